//! Parsers of single values. Each says what is wrong with what it was given and what to write instead.

use crate::diagnostic::nearest;
use plan::config::{Endpoint, Prefix};
use std::net::{IpAddr, SocketAddr};
use toml::de::{DeTable, DeValue};

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The rest of a sentence that begins with the value.
    pub fault: String,
    /// What to write instead.
    pub advice: String,
}

impl Fault {
    pub(super) fn new(fault: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            fault: fault.into(),
            advice: advice.into(),
        }
    }
}

pub(super) fn table<'v, 'i>(value: &'v DeValue<'i>) -> Result<&'v DeTable<'i>, Fault> {
    match value {
        DeValue::Table(table) => Ok(table),
        _ => Err(Fault::new(
            "is no table",
            "write { … }, or a section of its own",
        )),
    }
}

/// A string, read by `parse`.
pub(super) fn text<'i, T>(
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> impl Fn(&DeValue<'i>) -> Result<T, Fault> {
    move |value| match value {
        DeValue::String(text) => parse(text),
        _ => Err(Fault::new("is no text", "write it in quotation marks")),
    }
}

/// Any string.
pub(super) fn string(value: &DeValue<'_>) -> Result<String, Fault> {
    text(|text| Ok(text.to_owned()))(value)
}

/// An integer that the type can hold.
pub(super) fn number<T>(max: T) -> impl Fn(&DeValue<'_>) -> Result<T, Fault>
where
    T: TryFrom<u64> + Into<u64> + Copy,
{
    move |value| {
        let advice = || format!("write a whole number up to {}", max.into());
        let DeValue::Integer(integer) = value else {
            return Err(Fault::new("is no whole number", advice()));
        };
        let parsed = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        parsed
            .and_then(|parsed| T::try_from(parsed).ok())
            .ok_or_else(|| Fault::new("is out of range", advice()))
    }
}

/// `true` or `false`.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, Fault> {
    match value {
        DeValue::Boolean(truth) => Ok(*truth),
        _ => Err(Fault::new(
            "is neither true nor false",
            "write true or false, without quotation marks",
        )),
    }
}

/// One of a set of words.
pub(super) fn word<'i, T: Copy>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl Fn(&DeValue<'i>) -> Result<T, Fault> {
    text(move |word| {
        let found = all.iter().copied().find(|&value| name(value) == word);
        found
            .ok_or_else(|| unknown_word(word, "is not known", all.iter().map(|&value| name(value))))
    })
}

/// The fault of a word that is none of `known`.
pub(super) fn unknown_word<'a>(
    word: &str,
    fault: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Fault {
    let advice = match nearest(word, known.clone()) {
        Some(guess) => format!("write \"{guess}\""),
        None => format!("write one of {}", known.collect::<Vec<_>>().join(", ")),
    };
    Fault::new(fault, advice)
}

pub(super) fn ip(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            "is no IP address",
            "write one such as \"198.51.100.1\" or \"2001:db8::1\"",
        )
    })
}

pub(super) fn prefix(text: &str) -> Result<Prefix, Fault> {
    let fault = "is no address with a prefix length";
    let Some((address, length)) = text.split_once('/') else {
        let advice = match text.parse::<IpAddr>() {
            Ok(address) => format!(
                "write \"{address}/{}\" or the length of its network",
                if address.is_ipv4() { 24 } else { 64 }
            ),
            Err(_) => "write one such as \"198.51.100.2/24\" or \"2001:db8::2/64\"".to_owned(),
        };
        return Err(Fault::new(fault, advice));
    };
    let address = ip(address).map_err(|wrong| {
        Fault::new(
            fault,
            wrong
                .advice
                .replace(".1\"", ".2/24\"")
                .replace("::1\"", "::2/64\""),
        )
    })?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    match length.parse() {
        Ok(length) if length <= max => Ok(Prefix { address, length }),
        _ => Err(Fault::new(
            format!("has no such prefix length as /{length}"),
            format!("write /1 to /{max}"),
        )),
    }
}

/// An address with port, or with the port of the service it belongs to.
pub(super) fn endpoint(text: &str, default_port: Option<u16>) -> Result<Endpoint, Fault> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(Endpoint {
            address: socket.ip(),
            port: socket.port(),
        });
    }
    let advice = match (text.parse::<IpAddr>(), default_port) {
        (Ok(address), Some(port)) => return Ok(Endpoint { address, port }),
        (Ok(address), None) => format!("write \"{}\"", SocketAddr::new(address, 80)),
        (Err(_), _) => "write one such as \"10.0.0.21:80\" or \"[2001:db8::21]:80\"".to_owned(),
    };
    Err(Fault::new("is no address with a port", advice))
}

pub(super) fn mac(text: &str) -> Result<[u8; 6], Fault> {
    let wrong = || {
        Fault::new(
            "is no MAC address",
            "write six bytes such as \"52:54:00:12:34:56\"",
        )
    };
    let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(wrong)
}

/// `COUNT` bytes in hexadecimal.
pub(super) fn hex<const COUNT: usize>(text: &str) -> Option<[u8; COUNT]> {
    let pairs = (0..text.len())
        .step_by(2)
        .map(|start| text.get(start..start + 2).and_then(byte));
    pairs.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// A byte as two hexadecimal digits.
fn byte(text: &str) -> Option<u8> {
    let is_plain = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_plain
        .then(|| u8::from_str_radix(text, 16).ok())
        .flatten()
}
