//! Named sets and maps. Keys may be single or put together from parts (nft: concatenation), and each part
//! one value, a range or a network. Elements must not overlap.

use super::{Datum, Kind, ObjectKind, Verdict};
use crate::config::Prefix;
use alloc::string::String;
use alloc::vec::Vec;

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Unique among the sets and maps of its table.
    pub name: String,
    /// What it holds.
    pub shape: Shape,
    /// What it holds from the start; the key's parts are of the shape's kinds.
    pub elements: Vec<Element>,
}

/// What keys a set or map takes, and how it may grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Kinds of the key's parts, one to five.
    pub key: Vec<Kind>,
    /// Elements may be ranges and networks. Of kinds in network order only: no marks, names or lengths.
    pub has_intervals: bool,
    /// How long an element stays that does not say so itself. `None`: for ever.
    pub timeout_s: Option<u32>,
    /// Elements may say themselves how long they stay; true wherever `timeout_s` is some.
    pub has_timeouts: bool,
    /// Rules add elements (`Statement::Update`), which is not to be had with intervals.
    pub is_dynamic: bool,
    /// Bound of a set that rules fill; `None`: 65,535 for those, none for others.
    pub elements_max: Option<u32>,
}

impl Shape {
    /// Elements that stay, each a single value.
    #[must_use]
    pub fn exact(key: impl Into<Vec<Kind>>) -> Self {
        Self {
            key: key.into(),
            has_intervals: false,
            timeout_s: None,
            has_timeouts: false,
            is_dynamic: false,
            elements_max: None,
        }
    }

    /// Elements that stay, values and ranges and networks.
    #[must_use]
    pub fn intervals(key: impl Into<Vec<Kind>>) -> Self {
        Self {
            has_intervals: true,
            ..Self::exact(key)
        }
    }

    /// Elements that rules add, and that go once the last connection counted there is gone
    /// (`Meter::ConnectionLimit`, which a set with timeouts can't have).
    #[must_use]
    pub fn connections(key: impl Into<Vec<Kind>>, elements_max: u32) -> Self {
        Self {
            is_dynamic: true,
            elements_max: Some(elements_max),
            ..Self::exact(key)
        }
    }

    /// Elements that rules add, and that go after a while without being added again.
    #[must_use]
    pub fn dynamic(key: impl Into<Vec<Kind>>, timeout_s: u32, elements_max: u32) -> Self {
        Self {
            timeout_s: Some(timeout_s),
            has_timeouts: true,
            is_dynamic: true,
            elements_max: Some(elements_max),
            ..Self::exact(key)
        }
    }
}

/// A key in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What is looked up.
    pub key: Key,
    /// How long it stays from the moment it is loaded; `None`: as the set says.
    pub timeout_s: Option<u32>,
}

impl From<Key> for Element {
    fn from(key: Key) -> Self {
        Self {
            key,
            timeout_s: None,
        }
    }
}

impl<T: Into<Span>> From<T> for Element {
    fn from(span: T) -> Self {
        Key::One(span.into()).into()
    }
}

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Of a set whose key has one part.
    One(Span),
    /// Of a set whose key has several.
    Several(Vec<Span>),
    /// Everything that no other element has (`*`).
    Any,
}

/// A part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// One value.
    One(Datum),
    /// From the first to the second, both included, both of one kind, the first not above the second. Sets
    /// with intervals only.
    Range(Datum, Datum),
    /// All addresses of a network; its host bits do not matter. Sets with intervals only.
    Network(Prefix),
}

impl Span {
    /// Of which kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::One(datum) | Self::Range(datum, _) => datum.kind(),
            Self::Network(prefix) => match prefix.address {
                core::net::IpAddr::V4(_) => Kind::Ipv4,
                core::net::IpAddr::V6(_) => Kind::Ipv6,
            },
        }
    }
}

impl From<Datum> for Span {
    fn from(datum: Datum) -> Self {
        Self::One(datum)
    }
}

impl From<Prefix> for Span {
    fn from(prefix: Prefix) -> Self {
        Self::Network(prefix)
    }
}

/// A named map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Unique among the sets and maps of its table.
    pub name: String,
    /// What keys it takes.
    pub shape: Shape,
    /// What they lead to.
    pub entries: Entries,
}

/// What the keys of a map lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entries {
    /// Values (`Operand::Mapped`, `NatTarget::Mapped`).
    Data {
        /// Kinds of the value's parts: an address, or an address and a port.
        kinds: Vec<Kind>,
        /// Which value for which key.
        entries: Vec<(Element, Vec<Datum>)>,
    },
    /// Networks of one family, for 1:1 translation (`NatTarget::Mapped`): the same host in that network. Keys
    /// are networks of the same size.
    Networks(Vec<(Element, Prefix)>),
    /// Verdicts (`VerdictMap::Named`).
    Verdicts(Vec<(Element, Verdict)>),
    /// Objects of the table, all of one kind, by name (`Statement::ObjectOf`).
    Objects {
        /// Of which kind.
        kind: ObjectKind,
        /// Which one for which key.
        entries: Vec<(Element, String)>,
    },
}
