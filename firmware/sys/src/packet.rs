//! Whole Ethernet frames out of a device (packet(7)): gratuitous ARP and unsolicited neighbour
//! advertisements, built by `netlink::announce`. It sends and never receives.

use crate::Error;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::{AsRawFd, OwnedFd};

/// Sends frames on any device.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens it; protocol 0, so that the kernel hands it no copy of anything.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub fn open() -> Result<Self, Error> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socket(AddressFamily::Packet, SockType::Raw, flags, None)
            .map(PacketSocket)
            .map_err(Error::during("opening a packet socket"))
    }

    /// Sends `frame`, Ethernet header first, out of the device of that index.
    ///
    /// # Errors
    /// ENXIO where there is no such device, ENETDOWN while it is down, ENOBUFS or EAGAIN where it takes
    /// no more.
    pub fn send(&self, index: u32, frame: &[u8]) -> Result<(), Error> {
        let to = libc::sockaddr_ll {
            // AF_PACKET is 17.
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: 0,
            sll_ifindex: libc::c_int::try_from(index).unwrap_or(0),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // A struct of 20 bytes.
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        let (fd, bytes) = (self.0.as_raw_fd(), frame.as_ptr().cast());
        // SAFETY: both pointers and lengths describe values that outlive the call.
        let sent =
            unsafe { libc::sendto(fd, bytes, frame.len(), 0, (&raw const to).cast(), length) };
        Errno::result(sent)
            .map(|_| ())
            .map_err(Error::during("sending a frame"))
    }
}
