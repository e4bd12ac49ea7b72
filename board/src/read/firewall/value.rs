//! Parsers of the firewall's values: sides, addresses, ports, protocols, rates.

use super::super::value::{Fault, text, unknown_word};
use plan::config::firewall::{Addresses, IcmpKind, Peer, Period, PortRange, Side, Transport};
use plan::config::{Config, Prefix};
use std::net::IpAddr;
use toml::de::DeValue;

/// A zone by its name, `box` or `any`.
pub(super) fn side<'c, 'i>(
    config: &'c Config,
) -> impl Fn(&DeValue<'i>) -> Result<Side, Fault> + use<'c, 'i> {
    text(move |word| match word {
        "any" => Ok(Side::Any),
        "box" => Ok(Side::Box),
        _ => {
            let names = config.firewall.zones.iter().map(|zone| zone.name.as_str());
            let position = names.clone().position(|name| name == word);
            let position = position.and_then(|position| u8::try_from(position).ok());
            let known = names.chain(["box", "any"]);
            position
                .map(Side::Zone)
                .ok_or_else(|| unknown_word(word, "is no zone", known))
        }
    })
}

/// Addresses, or the name of a set.
pub(super) fn peer<'c, 'i>(
    config: &'c Config,
) -> impl Fn(&DeValue<'i>) -> Result<Peer, Fault> + use<'c, 'i> {
    text(move |word| {
        let names = config.firewall.sets.iter().map(|set| set.name.as_str());
        let position = names.clone().position(|name| name == word);
        if let Some(position) = position.and_then(|position| u8::try_from(position).ok()) {
            return Ok(Peer::Set(position));
        }
        addresses(word).map(Peer::Addresses).map_err(|fault| {
            let is_word = !word.contains(['.', ':', '/']);
            if is_word && names.len() > 0 {
                unknown_word(word, "is no set and no address", names)
            } else if is_word {
                let advice = format!("add a [[set]] of this name, or {}", fault.advice);
                Fault::new("is no set and no address", advice)
            } else {
                fault
            }
        })
    })
}

/// An address, a network, or addresses from one to another.
pub(super) fn addresses(text: &str) -> Result<Addresses, Fault> {
    let wrong = || {
        Fault::new(
            "is no address and no network",
            "write one such as \"192.0.2.7\", \"198.51.100.0/24\", \"10.0.0.10-10.0.0.19\" or \"2001:db8::/32\"",
        )
    };
    let ip = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| wrong());
    if let Some((first, last)) = text.split_once('-') {
        return Ok(Addresses::Range(ip(first)?, ip(last)?));
    }
    let Some((address, length)) = text.split_once('/') else {
        return Ok(Addresses::Network(host(ip(text)?)));
    };
    let address = ip(address)?;
    let max = host(address).length;
    let length = length.parse().ok().filter(|&length| length <= max);
    let length = length.ok_or_else(|| {
        Fault::new(
            "has no such prefix length",
            format!("write /0 to /{max} behind the address"),
        )
    })?;
    Ok(Addresses::Network(Prefix { address, length }))
}

fn host(address: IpAddr) -> Prefix {
    let length = if address.is_ipv4() { 32 } else { 128 };
    Prefix { address, length }
}

/// A port, or ports from one to another.
pub(super) fn ports(value: &DeValue<'_>) -> Result<PortRange, Fault> {
    let wrong = || {
        Fault::new(
            "is no port and no range of ports",
            "write one such as 443 or \"8000-8010\"",
        )
    };
    let (first, last) = match value {
        DeValue::Integer(integer) => (integer.as_str(), integer.as_str()),
        DeValue::String(text) => text.split_once('-').unwrap_or((text, text)),
        _ => return Err(wrong()),
    };
    let port = |text: &str| text.trim().parse().map_err(|_| wrong());
    Ok(PortRange {
        first: port(first)?,
        last: port(last)?,
    })
}

/// A transport protocol by name or number.
pub(super) fn transport(value: &DeValue<'_>) -> Result<Transport, Fault> {
    const NAMED: [(&str, Transport); 7] = [
        ("tcp", Transport::Tcp),
        ("udp", Transport::Udp),
        ("icmp", Transport::Icmp),
        ("sctp", Transport::Sctp),
        ("gre", Transport::Gre),
        ("esp", Transport::Esp),
        ("ah", Transport::Ah),
    ];
    if let DeValue::Integer(_) = value {
        return super::super::value::number(u8::MAX)(value).map(Transport::Other);
    }
    text(|word| {
        let found = NAMED.iter().find(|(name, _)| *name == word);
        found.map(|(_, transport)| *transport).ok_or_else(|| {
            let fault = unknown_word(word, "is no protocol", NAMED.iter().map(|(name, _)| *name));
            Fault::new(fault.fault, format!("{}, or its number", fault.advice))
        })
    })(value)
}

/// A kind of ICMP message.
pub(super) fn icmp(value: &DeValue<'_>) -> Result<IcmpKind, Fault> {
    super::super::value::word(IcmpKind::ALL, IcmpKind::name)(value)
}

/// So many in a time: `10/second`.
pub(super) fn rate(text: &str) -> Result<(u32, Period), Fault> {
    let parsed = text.split_once('/').and_then(|(count, period)| {
        Some((
            count.trim().parse().ok()?,
            Period::from_name(period.trim())?,
        ))
    });
    parsed.ok_or_else(|| {
        let advice = "write one such as \"10/second\", \"100/minute\", \"5/hour\" or \"20/day\"";
        Fault::new("is no rate", advice)
    })
}
