//! Frames in which somebody says that an address is his: what is read as a claim passes the kernel's filter
//! for that address, so that no rival goes unseen, and our own announcements are read as what they say.

use crate::bpf::passes;
use netlink::announce;
use netlink::claim::{Claim, arp_filter, neighbour_filter, parse};
use std::net::IpAddr;

/// A frame, Ethernet header first.
pub(super) fn run(frame: &[u8]) {
    let Some(claim) = parse(frame) else { return };
    let filter = match claim.address {
        IpAddr::V4(address) => arp_filter(core::iter::once(address)),
        IpAddr::V6(address) => neighbour_filter(core::iter::once(address)),
    };
    assert!(passes(&filter, frame), "{claim:?} is filtered out");
    for announcement in announce::frames(claim.address, claim.mac) {
        let Claim { address, mac } = claim;
        let announced = parse(announcement.as_ref());
        assert_eq!(announced, Some(Claim { address, mac }));
    }
}

/// Announcements of both kinds.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mac = [2, 0, 0, 0, 0, 1];
    let addresses = [
        [192, 0, 2, 80].into(),
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80].into(),
    ];
    let frames = addresses
        .into_iter()
        .flat_map(|address: IpAddr| announce::frames(address, mac));
    frames.map(|frame| frame.as_ref().to_vec()).collect()
}
