//! UDP sockets between the boxes, for heartbeats and state sync, each bound to one device: to one peer, to a broadcast address
//! or to a multicast group. They never block and never leave the device; unless they carry bulk they go out before other traffic.

use crate::Error;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// TC_PRIO_INTERACTIVE of linux/pkt_sched.h: the highest without CAP_NET_ADMIN.
const PRIORITY: i32 = 6;

/// Class selector 6, network control (RFC 2474): switches that know it let it pass first.
const TRAFFIC_CLASS: i32 = 0xc0;

/// Where what is sent goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To the peer.
    Unicast(IpAddr),
    /// To the broadcast address of the network.
    Broadcast(Ipv4Addr),
    /// To a group, no further than the segment.
    Multicast(Ipv4Addr),
}

impl Destination {
    fn address(self) -> IpAddr {
        match self {
            Destination::Unicast(address) => address,
            Destination::Broadcast(address) | Destination::Multicast(address) => address.into(),
        }
    }
}

/// A way to the other box over one device.
#[derive(Debug)]
pub struct UdpLink {
    socket: UdpSocket,
    to: SocketAddr,
    own: IpAddr,
}

impl UdpLink {
    /// Opens a link on the device called `device`. `own` is this box's address there; it need not be
    /// set yet. Both ends use the same `port`.
    ///
    /// # Errors
    /// ENODEV where there is no such device; EADDRINUSE; EPERM or EACCES without privilege.
    pub fn open(device: &str, own: IpAddr, to: Destination, port: u16) -> Result<Self, Error> {
        let at = |error: Error| error.on(device);
        let address = to.address();
        let socket = bare(address).map_err(at)?;
        set(&socket, sockopt::BindToDevice, &OsString::from(device)).map_err(at)?;
        if matches!(to, Destination::Broadcast(_)) {
            set(&socket, sockopt::Broadcast, &true).map_err(at)?;
        }
        if let Destination::Multicast(group) = to {
            set(&socket, sockopt::IpMulticastTtl, &1).map_err(at)?;
            set(&socket, sockopt::IpMulticastLoop, &false).map_err(at)?;
            join(&socket, device, group).map_err(at)?;
        }
        // Bound to a group or broadcast address a socket gets what was sent there and nothing else.
        let at_home = if matches!(to, Destination::Unicast(_)) {
            own
        } else {
            address
        };
        bind(
            socket.as_raw_fd(),
            &SockaddrStorage::from(SocketAddr::new(at_home, port)),
        )
        .map_err(Error::during("binding a UDP socket on"))
        .map_err(at)?;
        Ok(UdpLink {
            socket: socket.into(),
            to: SocketAddr::new(address, port),
            own,
        })
    }

    /// Prepares it for much at once: room for so many bytes each way, and no precedence, so that heartbeats on the
    /// same wire go first.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn carry_bulk(&self, room_bytes: usize) -> Result<(), Error> {
        let failed = "preparing a socket for bulk on";
        let socket = &self.socket;
        // Above the system's limit only CAP_NET_ADMIN may go; up to it anybody.
        if setsockopt(socket, sockopt::RcvBufForce, &room_bytes).is_err() {
            setsockopt(socket, sockopt::RcvBuf, &room_bytes).map_err(Error::during(failed))?;
        }
        if setsockopt(socket, sockopt::SndBufForce, &room_bytes).is_err() {
            setsockopt(socket, sockopt::SndBuf, &room_bytes).map_err(Error::during(failed))?;
        }
        // The kernel derives the priority from the class, so the class comes first.
        let plain = if self.to.is_ipv4() {
            setsockopt(socket, sockopt::Ipv4Tos, &0)
        } else {
            setsockopt(socket, sockopt::Ipv6TClass, &0)
        };
        let plain = plain.and_then(|()| setsockopt(socket, sockopt::Priority, &0));
        plain.map_err(Error::during(failed))
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// ENETDOWN, ENETUNREACH, EADDRNOTAVAIL: the network is not there (yet); EAGAIN: the device takes
    /// no more, the datagram is dropped.
    pub fn send(&self, datagram: &[u8]) -> Result<(), Error> {
        self.socket
            .send_to(datagram, self.to)
            .map(|_| ())
            .map_err(Error::io("sending a datagram"))
    }

    /// The next datagram that waits, with its sender; `None` where none does. What this box itself sent
    /// to its broadcast address is passed over; of one longer than `buffer` the rest is lost.
    ///
    /// # Errors
    /// ENETDOWN and the like, each told once; go on receiving.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddr)>, Error> {
        loop {
            match self.socket.recv_from(buffer) {
                Ok((_, from)) if from.ip() == self.own => {}
                Ok(received) => return Ok(Some(received)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("receiving datagrams")(error)),
            }
        }
    }
}

impl AsFd for UdpLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket with what all of them share.
fn bare(address: IpAddr) -> Result<OwnedFd, Error> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Datagram, flags, None)
        .map_err(Error::during("opening a UDP socket on"))?;
    set(&socket, sockopt::ReuseAddr, &true)?;
    set(&socket, sockopt::IpFreebind, &true)?;
    set(&socket, sockopt::Priority, &PRIORITY)?;
    if address.is_ipv4() {
        set(&socket, sockopt::Ipv4Tos, &TRAFFIC_CLASS)?;
    } else {
        set(&socket, sockopt::Ipv6V6Only, &true)?;
        set(&socket, sockopt::Ipv6TClass, &TRAFFIC_CLASS)?;
    }
    Ok(socket)
}

fn set<O: nix::sys::socket::SetSockOpt>(
    socket: &OwnedFd,
    option: O,
    value: &O::Val,
) -> Result<(), Error> {
    setsockopt(socket, option, value).map_err(Error::during("preparing a UDP socket on"))
}

/// Joins by device, not by address as nix would: the address need not be set yet.
fn join(socket: &OwnedFd, device: &str, group: Ipv4Addr) -> Result<(), Error> {
    let failed = "joining a multicast group on";
    let index = nix::net::if_::if_nametoindex(device).map_err(Error::during(failed))?;
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr {
            s_addr: u32::from_ne_bytes(group.octets()),
        },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: libc::c_int::try_from(index).unwrap_or(0),
    };
    let length = crate::length_of::<libc::ip_mreqn>();
    let (level, option) = (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP);
    // SAFETY: pointer and length describe `request`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const request).cast(),
            length,
        )
    };
    Errno::result(result)
        .map(|_| ())
        .map_err(Error::during(failed))
}

#[cfg(test)]
mod tests;
