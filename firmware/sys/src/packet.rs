//! Whole Ethernet frames (packet(7)): out of a device gratuitous ARP and unsolicited neighbour
//! advertisements, built by `netlink::announce`; in from all devices what a filter of `netlink::claim` passes.

mod listener;

pub use listener::PacketListener;

use crate::Error;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::{AsRawFd, OwnedFd};

/// AF_PACKET, as wide as an address has it.
const FAMILY: libc::sa_family_t = 17;

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
            sll_family: FAMILY,
            sll_protocol: 0,
            sll_ifindex: libc::c_int::try_from(index).unwrap_or(0),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = crate::length_of::<libc::sockaddr_ll>();
        let (fd, bytes) = (self.0.as_raw_fd(), frame.as_ptr().cast());
        // SAFETY: both pointers and lengths describe values that outlive the call.
        let sent =
            unsafe { libc::sendto(fd, bytes, frame.len(), 0, (&raw const to).cast(), length) };
        Errno::result(sent)
            .map(|_| ())
            .map_err(Error::during("sending a frame"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::poll;
    use crate::testing::between_two_boxes;
    use nix::net::if_::if_nametoindex;
    use nix::sys::socket::SockProtocol;
    use std::os::fd::AsFd;

    #[test]
    fn an_announcement_arrives_as_it_was_built() {
        between_two_boxes(|boxes| {
            boxes.enter(1);
            let far = (AddressFamily::Packet, SockType::Raw, SockProtocol::EthAll);
            let far = socket(far.0, far.1, SockFlag::empty(), far.2).unwrap();
            boxes.enter(0);
            let near = PacketSocket::open().unwrap();
            let index = if_nametoindex("lan0").unwrap();
            let mac = [2, 0, 0, 0, 0, 1];
            let frames: Vec<_> =
                netlink::announce::frames("192.0.2.80".parse().unwrap(), mac).collect();
            for frame in &frames {
                near.send(index, frame.as_ref()).unwrap();
            }
            for frame in &frames {
                // Past what IPv6 says of itself when a device comes up.
                let mut buffer = [0; 256];
                while buffer[6..12] != mac {
                    let deadline_us = crate::clock::monotonic_us() + 5_000_000;
                    let mut fds = [poll::readable(far.as_fd())];
                    assert_ne!(
                        poll::until(&mut fds, Some(deadline_us)),
                        Ok(0),
                        "nothing came"
                    );
                    nix::unistd::read(&far, &mut buffer).unwrap();
                }
                assert_eq!(&buffer[..42], frame.as_ref());
            }
        });
    }

    #[test]
    fn a_missing_device_is_an_error() {
        between_two_boxes(|_| {
            let error = PacketSocket::open()
                .unwrap()
                .send(9999, &[0; 60])
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "sending a frame: ENXIO: No such device or address"
            );
        });
    }
}
