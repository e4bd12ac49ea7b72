//! The frames of the watch: the questions (ARP, RFC 826; neighbour solicitation, RFC 4861), and what of a box's
//! frames claims an address for it. Pure.

use crate::net::{ECHO_PORT, NETWORKS, VIRTUAL, mac_bytes};
use crate::servers::{PORT_DIRECT, PORT_NAT, PORT_TUNNEL};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The asker's hardware address: nobody's.
const ASKER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xa5];
/// fe80::a5: nobody's either.
const ASKER_V6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa5];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// Ports of the services on the virtual addresses.
const SERVED: [u16; 4] = [ECHO_PORT, PORT_NAT, PORT_DIRECT, PORT_TUNNEL];
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// "Who has `address`?", as a whole frame.
pub fn question(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp_request(address),
        IpAddr::V6(address) => solicitation(address),
    }
}

/// With 0.0.0.0 as the sender (an ARP probe, RFC 5227), so that nobody learns anything from it.
fn arp_request(address: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(ASKER_MAC);
    frame.extend(ARP);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(ASKER_MAC);
    frame.extend([0; 4]);
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

fn solicitation(address: Ipv6Addr) -> Vec<u8> {
    let target = address.octets();
    let [.., x, y, z] = target;
    let group = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, x, y, z];
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target);
    message.extend([1, 1]);
    message.extend(ASKER_MAC);
    let length = u8::try_from(message.len()).unwrap_or(u8::MAX);
    let pseudo_header = [&ASKER_V6[..], &group, &[0, 0, 0, length, 0, 0, 0, ICMPV6]];
    let sum = checksum(&[pseudo_header.concat(), message.clone()].concat());
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    let mut frame = vec![0x33, 0x33, 0xff, x, y, z];
    frame.extend(ASKER_MAC);
    frame.extend(IPV6);
    frame.extend([0x60, 0, 0, 0, 0, length, ICMPV6, 255]);
    frame.extend(ASKER_V6);
    frame.extend(group);
    frame.extend(message);
    frame
}

/// RFC 1071, over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).filter_map(<[u8]>::first_chunk);
    let sum: u64 = words.map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    let fold = |sum: u64| (sum & 0xffff) + (sum >> 16);
    !u16::try_from(fold(fold(sum))).unwrap_or(0)
}

/// Which box says by this frame that it holds which virtual address, by their indices.
pub fn claim(frame: &[u8]) -> Option<(usize, usize)> {
    let source: [u8; 6] = *frame.get(6..)?.first_chunk()?;
    let owner = [0, 1].into_iter().find(|node| {
        let cards = NETWORKS.map(|network| mac_bytes(*node, network));
        cards.contains(&source)
    })?;
    let holder = holder(frame)?;
    let address = VIRTUAL
        .iter()
        .position(|(address, ..)| address.parse() == Ok(holder))?;
    Some((owner, address))
}

/// The address whose holder sends such a frame: an ARP frame, an advertisement, or what comes from a service.
/// A packet of a connection that the box itself once opened from the address answers for nothing.
fn holder(frame: &[u8]) -> Option<IpAddr> {
    let kind: [u8; 2] = *frame.get(12..)?.first_chunk()?;
    let v4 = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<4>()?));
    let v6 = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<16>()?));
    let is_served = |at: usize| {
        let port = frame.get(at..).and_then(<[u8]>::first_chunk);
        port.is_some_and(|port| SERVED.contains(&u16::from_be_bytes(*port)))
    };
    match (kind, frame.get(20)) {
        // The sender's protocol address, in requests and replies alike.
        (ARP, _) => v4(28),
        // Without options, as all kernels here send it.
        (IPV4, _) if is_served(34) => v4(26),
        (IPV6, Some(&ICMPV6)) if frame.get(54) == Some(&ADVERTISEMENT) => v6(62),
        (IPV6, Some(&(TCP | UDP))) if is_served(54) => v6(22),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_solicitation_has_a_right_checksum() {
        let frame = question("2001:db8:1::10".parse().unwrap());
        let message = &frame[54..];
        let mut all = frame[22..54].to_vec();
        all.extend([0, 0, 0, 32, 0, 0, 0, ICMPV6]);
        all.extend(message);
        assert_eq!((message.len(), checksum(&all)), (32, 0));
    }

    #[test]
    fn an_arp_reply_claims_its_sender_address_for_the_box_that_sent_it() {
        let mut frame = question("192.0.2.10".parse().unwrap());
        frame[6..12].copy_from_slice(&mac_bytes(1, "wan"));
        // A request for the address, even from a box, is no claim to it.
        assert_eq!(claim(&frame), None);
        frame[28..32].copy_from_slice(&[192, 0, 2, 10]);
        assert_eq!(claim(&frame), Some((1, 0)));
        frame[6..12].copy_from_slice(&ASKER_MAC);
        assert_eq!(claim(&frame), None);
    }

    #[test]
    fn an_advertisement_claims_its_target() {
        let mut frame = question("2001:db8:1::10".parse().unwrap());
        frame[6..12].copy_from_slice(&mac_bytes(0, "wan"));
        assert_eq!(claim(&frame), None);
        frame[54] = ADVERTISEMENT;
        assert_eq!(claim(&frame), Some((0, 1)));
    }

    #[test]
    fn a_service_s_answer_claims_its_source_and_a_client_s_question_does_not() {
        let mut frame = question("2001:db8:1::10".parse().unwrap());
        frame[6..12].copy_from_slice(&mac_bytes(0, "lan"));
        frame[20] = TCP;
        let address: IpAddr = VIRTUAL[3].0.parse().unwrap();
        let IpAddr::V6(address) = address else {
            return;
        };
        frame[22..38].copy_from_slice(&address.octets());
        frame[54..56].copy_from_slice(&40_000_u16.to_be_bytes());
        assert_eq!(claim(&frame), None);
        frame[54..56].copy_from_slice(&PORT_NAT.to_be_bytes());
        assert_eq!(claim(&frame), Some((0, 3)));
    }

    #[test]
    fn what_is_cut_short_claims_nothing() {
        let mut frame = question("192.0.2.10".parse().unwrap());
        frame[6..12].copy_from_slice(&mac_bytes(0, "wan"));
        frame[28..32].copy_from_slice(&[192, 0, 2, 10]);
        assert!((0..32).all(|length| claim(&frame[..length]).is_none()));
    }
}
