//! The parts that records are made of: numbers in network order, tuples, names.

use crate::conntrack::{Addresses, Ports, Tuple, Zone, ZoneDirection};
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of a tuple's head: family, then what follows the addresses, then its zone.
const V6: u8 = 0b0_0001;
const PORTS: u8 = 0b0_0010;
const ICMP: u8 = 0b0_0100;
const ZONE_BOTH: u8 = 0b0_1000;
const ZONE_ORIGINAL: u8 = 0b1_0000;
const ZONE_REPLY: u8 = 0b1_1000;
const ZONE_MASK: u8 = 0b1_1000;

/// Names of helpers and of their functions are no longer (NF_CT_HELPER_NAME_LEN is 16).
const NAME_BYTES_MAX: usize = 32;

/// A record that no box of this version wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It ends before this.
    Cut(&'static str),
    /// This is not one of its values, or not written the one way it is written.
    Value(&'static str),
    /// Something follows its end.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Cut(what) => write!(f, "reading a connection's record: it ends before {what}"),
            Error::Value(what) => write!(f, "reading a connection's record: bad {what}"),
            Error::TooLong => {
                f.write_str("reading a connection's record: it goes on behind its end")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Reads what is left.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Error::Cut(what))?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.take(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        self.take(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.take(what).map(u32::from_be_bytes)
    }

    /// A name: its length, its bytes.
    pub(super) fn name(&mut self) -> Result<&'a str, Error> {
        let length = usize::from(self.u8("a name")?);
        let (name, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Error::Cut("a name"))?;
        self.0 = rest;
        let name = core::str::from_utf8(name).map_err(|_| Error::Value("name"))?;
        if is_name(name) {
            Ok(name)
        } else {
            Err(Error::Value("name"))
        }
    }

    /// A tuple, and the zone of its flow.
    pub(super) fn tuple(&mut self) -> Result<(Tuple, Zone), Error> {
        let head = self.u8("a tuple")?;
        let protocol = self.u8("a protocol")?;
        let addresses = self.addresses(head & V6 != 0)?;
        let ports = match head & !(V6 | ZONE_MASK) {
            0 => self.ports(Ports::None)?,
            PORTS => self.ports(PORTS_LIKE)?,
            ICMP => self.ports(ICMP_LIKE)?,
            _ => return Err(Error::Value("head of a tuple")),
        };
        let tuple = Tuple {
            addresses,
            protocol,
            ports,
        };
        Ok((tuple, self.zone(head & ZONE_MASK)?))
    }

    /// A tuple of no zone of its own.
    pub(super) fn plain_tuple(&mut self) -> Result<Tuple, Error> {
        match self.tuple()? {
            (tuple, Zone::DEFAULT) => Ok(tuple),
            _ => Err(Error::Value("zone of a tuple")),
        }
    }

    /// A tuple of the same family and protocol.
    pub(super) fn tuple_like(&mut self, like: &Tuple) -> Result<Tuple, Error> {
        let is_v6 = matches!(like.addresses, Addresses::V6 { .. });
        Ok(Tuple {
            addresses: self.addresses(is_v6)?,
            protocol: like.protocol,
            ports: self.ports(like.ports)?,
        })
    }

    /// One address of that family.
    pub(super) fn address(&mut self, is_v6: bool) -> Result<IpAddr, Error> {
        Ok(if is_v6 {
            self.take::<16>("an address")?.into()
        } else {
            self.take::<4>("an address")?.into()
        })
    }

    fn addresses(&mut self, is_v6: bool) -> Result<Addresses, Error> {
        Ok(if is_v6 {
            Addresses::V6 {
                source: Ipv6Addr::from(self.take::<16>("an address")?),
                destination: Ipv6Addr::from(self.take::<16>("an address")?),
            }
        } else {
            Addresses::V4 {
                source: Ipv4Addr::from(self.take::<4>("an address")?),
                destination: Ipv4Addr::from(self.take::<4>("an address")?),
            }
        })
    }

    /// Of the kind that `like` is.
    fn ports(&mut self, like: Ports) -> Result<Ports, Error> {
        Ok(match like {
            Ports::Ports { .. } => Ports::Ports {
                source: self.u16("a port")?,
                destination: self.u16("a port")?,
            },
            Ports::Icmp { .. } => Ports::Icmp {
                id: self.u16("an ICMP id")?,
                kind: self.u8("an ICMP type")?,
                code: self.u8("an ICMP code")?,
            },
            Ports::None => Ports::None,
        })
    }

    fn zone(&mut self, head: u8) -> Result<Zone, Error> {
        let direction = match head {
            ZONE_BOTH => ZoneDirection::Both,
            ZONE_ORIGINAL => ZoneDirection::Original,
            ZONE_REPLY => ZoneDirection::Reply,
            _ => return Ok(Zone::DEFAULT),
        };
        match self.u16("a zone")? {
            0 => Err(Error::Value("zone")),
            id => Ok(Zone { id, direction }),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::TooLong)
        }
    }
}

const PORTS_LIKE: Ports = Ports::Ports {
    source: 0,
    destination: 0,
};
const ICMP_LIKE: Ports = Ports::Icmp {
    id: 0,
    kind: 0,
    code: 0,
};

/// Whether a name can be in a record.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0')
}

/// Appends a name that `is_name`.
pub(super) fn put_name(bytes: &mut Vec<u8>, name: &str) {
    // At most `NAME_BYTES_MAX`.
    bytes.push(u8::try_from(name.len()).unwrap_or(0));
    bytes.extend_from_slice(name.as_bytes());
}

/// Appends a tuple, and the zone of its flow.
pub(super) fn put_tuple(bytes: &mut Vec<u8>, tuple: &Tuple, zone: Zone) {
    let family = match tuple.addresses {
        Addresses::V4 { .. } => 0,
        Addresses::V6 { .. } => V6,
    };
    let ports = match tuple.ports {
        Ports::Ports { .. } => PORTS,
        Ports::Icmp { .. } => ICMP,
        Ports::None => 0,
    };
    let in_zone = match zone {
        Zone { id: 0, .. } => 0,
        Zone { direction, .. } => match direction {
            ZoneDirection::Both => ZONE_BOTH,
            ZoneDirection::Original => ZONE_ORIGINAL,
            ZoneDirection::Reply => ZONE_REPLY,
        },
    };
    bytes.extend_from_slice(&[family | ports | in_zone, tuple.protocol]);
    put_tuple_like(bytes, tuple);
    if in_zone != 0 {
        bytes.extend_from_slice(&zone.id.to_be_bytes());
    }
}

/// Appends a tuple whose family and protocol the reader knows.
pub(super) fn put_tuple_like(bytes: &mut Vec<u8>, tuple: &Tuple) {
    put_address(bytes, tuple.source());
    put_address(bytes, tuple.destination());
    match tuple.ports {
        Ports::Ports {
            source,
            destination,
        } => {
            bytes.extend_from_slice(&source.to_be_bytes());
            bytes.extend_from_slice(&destination.to_be_bytes());
        }
        Ports::Icmp { id, kind, code } => {
            bytes.extend_from_slice(&id.to_be_bytes());
            bytes.extend_from_slice(&[kind, code]);
        }
        Ports::None => {}
    }
}

/// Appends an address whose family the reader knows.
pub(super) fn put_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
    }
}
