//! Terms that rules are made of: addresses and ports put in order and joined, as sets of the kernel want them.

use crate::config::Prefix;
use crate::config::firewall::{Addresses, PortRange};
use crate::ruleset::{Datum, Span, Test};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One of these values.
pub(super) fn one_of<T: Into<Datum>>(data: impl IntoIterator<Item = T>) -> Test {
    among(
        data.into_iter()
            .map(|datum| Span::One(datum.into()))
            .collect(),
    )
}

/// In one of these spans, of which there is at least one.
pub(super) fn among(spans: Vec<Span>) -> Test {
    match spans.as_slice() {
        [Span::One(datum)] => Test::Is(*datum),
        [span] => Test::Within(*span),
        _ => Test::OneOf(spans),
    }
}

/// The addresses of one family, ascending, none twice; `None`: all of them.
pub(super) fn joined(
    addresses: impl Iterator<Item = Addresses>,
    is_ipv4: bool,
) -> Option<Vec<Span>> {
    let of_family = addresses.filter(|each| each.is_ipv4() == is_ipv4);
    let bounds = of_family.map(|each| {
        let (first, last) = each.bounds();
        (bits(first), bits(last))
    });
    let joined = join(bounds.collect());
    let highest = if is_ipv4 { u32::MAX.into() } else { u128::MAX };
    if joined == [(0, highest)] {
        return None;
    }
    let spans = joined.into_iter();
    Some(
        spans
            .map(|(first, last)| span(first, last, is_ipv4))
            .collect(),
    )
}

/// Ports, ascending, none twice.
pub(super) fn joined_ports(ports: &[PortRange]) -> Vec<Span> {
    let bounds = ports
        .iter()
        .map(|range| (range.first.into(), range.last.into()));
    let port = |bits: u128| Datum::Port(u16::try_from(bits).unwrap_or(u16::MAX));
    let spans = join(bounds.collect()).into_iter().map(|(first, last)| {
        if first == last {
            Span::One(port(first))
        } else {
            Span::Range(port(first), port(last))
        }
    });
    spans.collect()
}

/// One address.
pub(super) fn host(address: IpAddr) -> Addresses {
    let length = if address.is_ipv4() { 32 } else { 128 };
    Addresses::Network(Prefix { address, length })
}

fn join(mut bounds: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    bounds.sort_unstable();
    let mut joined: Vec<(u128, u128)> = Vec::with_capacity(bounds.len());
    for (first, last) in bounds {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn span(first: u128, last: u128, is_ipv4: bool) -> Span {
    let datum = |bits| Datum::from(address(bits, is_ipv4));
    if first == last {
        return Span::One(datum(first));
    }
    let hosts = last - first;
    let is_network = hosts.wrapping_add(1).is_power_of_two() && first & hosts == 0;
    if !is_network {
        return Span::Range(datum(first), datum(last));
    }
    let length_max = if is_ipv4 { 32 } else { 128 };
    let host_bits = u8::try_from(hosts.count_ones()).unwrap_or(length_max);
    Span::Network(Prefix {
        address: address(first, is_ipv4),
        length: length_max - host_bits,
    })
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(bits: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into()
    } else {
        Ipv6Addr::from_bits(bits).into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::samples::prefix;
    use alloc::vec;

    #[test]
    fn addresses_that_overlap_or_touch_become_one_span() {
        let range = |first: &str, last: &str| {
            Addresses::Range(first.parse().unwrap(), last.parse().unwrap())
        };
        let addresses = [
            Addresses::Network(prefix("10.0.1.0/24")),
            Addresses::Network(prefix("2001:db8::/32")),
            range("10.0.0.0", "10.0.0.255"),
            range("10.0.0.7", "10.0.0.9"),
            range("10.0.9.1", "10.0.9.2"),
            Addresses::Network(prefix("10.0.9.9/32")),
        ];
        let found = joined(addresses.into_iter(), true).unwrap();
        let datum = |text: &str| Datum::from(text.parse::<IpAddr>().unwrap());
        let expected = vec![
            Span::Network(prefix("10.0.0.0/23")),
            Span::Range(datum("10.0.9.1"), datum("10.0.9.2")),
            Span::One(datum("10.0.9.9")),
        ];
        assert_eq!(found, expected);
        let found = joined(addresses.into_iter(), false).unwrap();
        assert_eq!(found, [Span::Network(prefix("2001:db8::/32"))]);
    }

    #[test]
    fn halves_of_everything_are_everything() {
        for (halves, is_ipv4) in [
            (["0.0.0.0/1", "128.0.0.0/1"], true),
            (["::/1", "8000::/1"], false),
        ] {
            let halves = halves.map(|half| Addresses::Network(prefix(half)));
            assert_eq!(joined(halves.into_iter(), is_ipv4), None);
            assert_eq!(joined(halves.into_iter(), !is_ipv4), Some(vec![]));
        }
    }

    #[test]
    fn ports_are_joined() {
        let range = |first, last| PortRange { first, last };
        let found = joined_ports(&[
            range(80, 80),
            range(1000, 65_535),
            range(81, 81),
            range(5, 5),
        ]);
        let port = Datum::Port;
        let expected = vec![
            Span::One(port(5)),
            Span::Range(port(80), port(81)),
            Span::Range(port(1000), port(65_535)),
        ];
        assert_eq!(found, expected);
    }
}
