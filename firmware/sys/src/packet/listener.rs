//! Frames that come in, on one device or any, and pass a filter.

use super::FAMILY;
use crate::Error;
use netlink::claim::Instruction;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Room for what comes in while we are busy: some hundred frames. What does not fit is dropped, since the next
/// of its kind says the same.
const SOCKET_BUFFER_BYTES: usize = 128 * 1024;

const ATTEMPT: &str = "listening to frames";

/// All devices, those to come as well.
const ANY_DEVICE: u32 = 0;

/// Receives frames of one ethertype; what this box sends is not among them.
#[derive(Debug)]
pub struct PacketListener(OwnedFd);

impl PacketListener {
    /// Listens to frames of `ethertype` (0x0806: ARP) that pass `filter`, from now on.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW; EINVAL for a filter that the kernel can't follow.
    pub fn open(ethertype: u16, filter: &[Instruction]) -> Result<Self, Error> {
        let socket = prepared(filter)?;
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES)
            .map_err(Error::during(ATTEMPT))?;
        bind(&socket, ethertype, ANY_DEVICE).map_err(Error::during(ATTEMPT))?;
        Ok(PacketListener(socket))
    }

    /// Listens on the device of that index alone, with room for `buffer_bytes`.
    ///
    /// # Errors
    /// As `open`; ENODEV where there is no such device.
    pub fn open_on(
        index: u32,
        ethertype: u16,
        filter: &[Instruction],
        buffer_bytes: usize,
    ) -> Result<Self, Error> {
        let socket = prepared(filter)?;
        // Above the system's limit only CAP_NET_ADMIN may go; up to it anybody.
        if setsockopt(&socket, sockopt::RcvBufForce, &buffer_bytes).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &buffer_bytes).map_err(Error::during(ATTEMPT))?;
        }
        bind(&socket, ethertype, index).map_err(Error::during(ATTEMPT))?;
        Ok(PacketListener(socket))
    }

    /// The next frame that waits: the index of its device, and how much of `buffer` it fills; `None` where
    /// none waits. Of a frame longer than `buffer` the rest is lost.
    ///
    /// # Errors
    /// ENETDOWN and the like, each told once; go on receiving.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<(u32, usize)>, Error> {
        let mut from = link_address(0, ANY_DEVICE);
        let mut from_bytes = crate::length_of::<libc::sockaddr_ll>();
        loop {
            // SAFETY: pointers and lengths describe `buffer` and `from`, which outlive the call.
            let received = unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut from_bytes,
                )
            };
            let index = u32::try_from(from.sll_ifindex).unwrap_or(0);
            match Errno::result(received) {
                Ok(length) => {
                    return Ok(usize::try_from(length).ok().map(|length| (index, length)));
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::during("receiving frames")(errno)),
            }
        }
    }
}

/// Readable when a frame waits.
impl AsFd for PacketListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Protocol 0: nothing comes in before the filter is there.
fn prepared(filter: &[Instruction]) -> Result<OwnedFd, Error> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)
        .map_err(Error::during(ATTEMPT))?;
    attach(&socket, filter).map_err(Error::during(ATTEMPT))?;
    Ok(socket)
}

fn attach(socket: &OwnedFd, filter: &[Instruction]) -> Result<(), Errno> {
    let mut program: Vec<libc::sock_filter> = filter.iter().map(sock_filter).collect();
    let program = libc::sock_fprog {
        len: libc::c_ushort::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: `program` describes a list that outlives the call; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            crate::length_of::<libc::sock_fprog>(),
        )
    };
    Errno::result(result).map(|_| ())
}

fn sock_filter(instruction: &Instruction) -> libc::sock_filter {
    libc::sock_filter {
        code: instruction.code,
        jt: instruction.jump_true,
        jf: instruction.jump_false,
        k: instruction.operand,
    }
}

fn bind(socket: &OwnedFd, ethertype: u16, index: u32) -> Result<(), Errno> {
    let address = link_address(ethertype.to_be(), index);
    let length = crate::length_of::<libc::sockaddr_ll>();
    // SAFETY: pointer and length describe `address`, which outlives the call.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result).map(|_| ())
}

fn link_address(protocol: u16, index: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: FAMILY,
        sll_protocol: protocol,
        sll_ifindex: libc::c_int::try_from(index).unwrap_or(0),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::packet::PacketSocket;
    use crate::poll;
    use crate::testing::between_two_boxes;
    use netlink::{announce, claim};
    use nix::net::if_::if_nametoindex;
    use std::net::IpAddr;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn next_claim(listener: &PacketListener) -> (u32, IpAddr) {
        let deadline_us = crate::clock::monotonic_us() + 5_000_000;
        let mut fds = [poll::readable(listener.as_fd())];
        assert_ne!(poll::until(&mut fds, Some(deadline_us)), Ok(0));
        let mut buffer = [0; claim::FRAME_BYTES];
        let (index, length) = listener.receive(&mut buffer).unwrap().unwrap();
        let claim = claim::parse(&buffer[..length]).unwrap();
        assert_eq!(claim.mac, MAC);
        (index, claim.address)
    }

    #[test]
    fn on_one_device_the_others_are_not_heard() {
        between_two_boxes(|boxes| {
            boxes.enter(0);
            crate::testing::ip("link add near type veth peer name far");
            crate::testing::ip("link set near up");
            crate::testing::ip("link set far up");
            let [near, far] = ["near", "far"].map(|name| if_nametoindex(name).unwrap());
            // Passes all.
            let filter = [Instruction {
                code: 6,
                jump_true: 0,
                jump_false: 0,
                operand: u32::MAX,
            }];
            let listener = PacketListener::open_on(far, 0x88b5, &filter, 4 << 20).unwrap();
            let own = PacketSocket::open().unwrap();
            let frame = [[0xff; 6], MAC].concat();
            // The first one arrives at the near end.
            for index in [far, near] {
                own.send(index, &[&frame[..], &[0x88, 0xb5], &[0; 46]].concat())
                    .unwrap();
            }
            let deadline_us = crate::clock::monotonic_us() + 5_000_000;
            let mut fds = [poll::readable(listener.as_fd())];
            assert_ne!(poll::until(&mut fds, Some(deadline_us)), Ok(0));
            assert_eq!(listener.receive(&mut [0; 60]), Ok(Some((far, 60))));
            assert_eq!(listener.receive(&mut [0; 60]), Ok(None));
        });
    }

    /// The strangers' frames come first: what is heard first shows that they were kept out.
    #[test]
    fn the_kernel_passes_claims_of_our_addresses_only() {
        between_two_boxes(|boxes| {
            let ours: [IpAddr; 2] =
                ["192.0.2.80", "2001:db8::80"].map(|text| text.parse().unwrap());
            let strangers = ["192.0.2.79", "2001:db8::79"].map(|text| text.parse().unwrap());
            let v4 = ours.iter().filter_map(|address| match address {
                IpAddr::V4(v4) => Some(*v4),
                IpAddr::V6(_) => None,
            });
            let v6 = ours.iter().filter_map(|address| match address {
                IpAddr::V6(v6) => Some(*v6),
                IpAddr::V4(_) => None,
            });
            boxes.enter(1);
            let arp = PacketListener::open(0x0806, &claim::arp_filter(v4)).unwrap();
            let neighbour = PacketListener::open(0x86dd, &claim::neighbour_filter(v6)).unwrap();
            let own = PacketSocket::open().unwrap();
            let index = if_nametoindex("lan0").unwrap();
            for frame in announce::frames(ours[0], [2, 0, 0, 0, 0, 2]) {
                own.send(index, frame.as_ref()).unwrap();
            }
            boxes.enter(0);
            let far = PacketSocket::open().unwrap();
            let far_index = if_nametoindex("lan0").unwrap();
            for address in strangers.into_iter().chain(ours) {
                for frame in announce::frames(address, MAC) {
                    far.send(far_index, frame.as_ref()).unwrap();
                }
            }
            assert_eq!(next_claim(&arp), (index, ours[0]));
            assert_eq!(next_claim(&arp), (index, ours[0]));
            assert_eq!(next_claim(&neighbour), (index, ours[1]));
            assert_eq!(arp.receive(&mut [0; 60]), Ok(None));
        });
    }
}
