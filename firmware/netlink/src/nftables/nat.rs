//! NAT to expressions: what an address or a port becomes is put into registers first, those of IPv6 addresses
//! side by side with four words each.

use super::expression::{Found, expression, immediate, lookup, register};
use super::load::load_key;
use super::refusal::Why;
use super::statement::{Steps, named};
use super::value::{Value, form, network};
use plan::ruleset::{Datum, Entries, Family, Kind, NatFlags, NatTarget, Selector};
use std::net::IpAddr;

/// NFTA_NAT_*, NFTA_MASQ_*, NFTA_REDIR_*.
const NAT_TYPE: u16 = 1;
const NAT_FAMILY: u16 = 2;
const NAT_ADDRESS_FIRST: u16 = 3;
const NAT_ADDRESS_LAST: u16 = 4;
const NAT_PORT_FIRST: u16 = 5;
const NAT_PORT_LAST: u16 = 6;
const NAT_FLAGS: u16 = 7;
const MASQUERADE_FLAGS: u16 = 1;
const MASQUERADE_FIRST: u16 = 2;
const MASQUERADE_LAST: u16 = 3;
const REDIRECT_FIRST: u16 = 1;
const REDIRECT_LAST: u16 = 2;
const REDIRECT_FLAGS: u16 = 3;

/// NFT_NAT_*.
const SOURCE: u32 = 0;
const DESTINATION: u32 = 1;

/// NF_NAT_RANGE_* of linux/netfilter/nf_nat.h.
const WITH_PORTS: u32 = 2;
const PERSISTENT: u32 = 8;
const FULLY_RANDOM: u32 = 16;
const SAME_HOST: u32 = 64;

/// NFPROTO_*.
const IPV4: u32 = 2;
const IPV6: u32 = 10;
const INET: u32 = 1;

/// Where constants are put: four words for each address, four for each port.
const ADDRESS_FIRST: u32 = 0;
const ADDRESS_LAST: u32 = 4;
const PORT_FIRST: u32 = 8;
const PORT_LAST: u32 = 12;

/// What is put where, and how the kernel is told.
#[derive(Default)]
struct Places {
    family: u32,
    address_first: Option<u32>,
    address_last: Option<u32>,
    port_first: Option<u32>,
    port_last: Option<u32>,
    flags: u32,
}

impl Steps<'_> {
    pub(super) fn translate(
        &mut self,
        target: &NatTarget,
        flags: NatFlags,
        is_source: bool,
    ) -> Result<(), Why> {
        let mut places = self.place(target)?;
        places.flags |= flag_bits(flags);
        expression(self.writer, "nat", |writer| {
            writer.u32(NAT_TYPE, if is_source { SOURCE } else { DESTINATION });
            writer.u32(NAT_FAMILY, places.family);
            for (kind, word) in [
                (NAT_ADDRESS_FIRST, places.address_first),
                (NAT_ADDRESS_LAST, places.address_last),
                (NAT_PORT_FIRST, places.port_first),
                (NAT_PORT_LAST, places.port_last),
            ] {
                if let Some(word) = word {
                    writer.u32(kind, register(word));
                }
            }
            if places.flags != 0 {
                writer.u32(NAT_FLAGS, places.flags);
            }
        });
        Ok(())
    }

    fn place(&mut self, target: &NatTarget) -> Result<Places, Why> {
        match target {
            NatTarget::Addresses { addresses, ports } => {
                let mut places = self.place_addresses(addresses.0, addresses.1)?;
                if let Some(ports) = ports {
                    self.place_ports(&mut places, *ports)?;
                }
                Ok(places)
            }
            NatTarget::Ports(first, last) => {
                let mut places = Places {
                    family: self.family_number(),
                    ..Places::default()
                };
                self.place_ports(&mut places, (*first, *last))?;
                Ok(places)
            }
            NatTarget::Network(prefix) => {
                let (first, last) = network(*prefix);
                immediate(self.writer, ADDRESS_FIRST, &first);
                immediate(self.writer, ADDRESS_LAST, &last);
                Ok(Places {
                    family: family_of(prefix.address),
                    address_first: Some(ADDRESS_FIRST),
                    address_last: Some(ADDRESS_LAST),
                    flags: SAME_HOST,
                    ..Places::default()
                })
            }
            NatTarget::Mapped { key, map } => self.place_mapped(key, map),
        }
    }

    fn place_addresses(&mut self, first: IpAddr, last: IpAddr) -> Result<Places, Why> {
        if family_of(first) != family_of(last) {
            return Err(Why::MixedFamilies);
        }
        if first > last {
            return Err(Why::BackwardRange);
        }
        let value = |address| super::value::value(&Datum::from(address));
        immediate(self.writer, ADDRESS_FIRST, &value(first));
        if last != first {
            immediate(self.writer, ADDRESS_LAST, &value(last));
        }
        Ok(Places {
            family: family_of(first),
            address_first: Some(ADDRESS_FIRST),
            address_last: (last != first).then_some(ADDRESS_LAST),
            ..Places::default()
        })
    }

    fn place_ports(&mut self, places: &mut Places, ports: (u16, u16)) -> Result<(), Why> {
        let (first, last) = self.load_ports(ports)?;
        places.port_first = Some(first);
        places.port_last = last;
        places.flags |= WITH_PORTS;
        Ok(())
    }

    /// Puts ports where they belong; the words of the first and, where it is another, the last.
    fn load_ports(&mut self, (first, last): (u16, u16)) -> Result<(u32, Option<u32>), Why> {
        if first > last {
            return Err(Why::BackwardRange);
        }
        immediate(self.writer, PORT_FIRST, &Value::new(&first.to_be_bytes()));
        if first == last {
            return Ok((PORT_FIRST, None));
        }
        immediate(self.writer, PORT_LAST, &Value::new(&last.to_be_bytes()));
        Ok((PORT_FIRST, Some(PORT_LAST)))
    }

    fn place_mapped(&mut self, key: &[Selector], map: &str) -> Result<Places, Why> {
        let entries = &self.names.map(map, key)?.entries;
        let content = super::set::map_content(entries);
        let (kinds, is_network) = match entries {
            Entries::Data { kinds, .. } => (kinds.clone(), false),
            Entries::Networks(_) => (vec![content.network_kind()], true),
            _ => return Err(Why::NotForNat),
        };
        let (address, has_port) = match kinds.as_slice() {
            [address] => (*address, false),
            [address, Kind::Port] => (*address, true),
            _ => return Err(Why::NotForNat),
        };
        let family = match address {
            Kind::Ipv4 => IPV4,
            Kind::Ipv6 => IPV6,
            _ => return Err(Why::NotForNat),
        };
        load_key(self.writer, &mut self.guard, key)?;
        lookup(self.writer, named(map), Found::IsValue);
        let behind = form(address).words();
        Ok(Places {
            family,
            address_first: Some(0),
            address_last: is_network.then_some(behind),
            port_first: has_port.then_some(behind),
            port_last: None,
            flags: match (is_network, has_port) {
                (true, _) => SAME_HOST,
                (false, true) => WITH_PORTS,
                (false, false) => 0,
            },
        })
    }

    pub(super) fn masquerade(
        &mut self,
        ports: Option<(u16, u16)>,
        flags: NatFlags,
    ) -> Result<(), Why> {
        let kinds = [MASQUERADE_FLAGS, MASQUERADE_FIRST, MASQUERADE_LAST];
        self.choose("masq", kinds, ports, flags)
    }

    pub(super) fn redirect(
        &mut self,
        ports: Option<(u16, u16)>,
        flags: NatFlags,
    ) -> Result<(), Why> {
        let kinds = [REDIRECT_FLAGS, REDIRECT_FIRST, REDIRECT_LAST];
        self.choose("redir", kinds, ports, flags)
    }

    /// NAT to an address that the kernel finds: only ports and how to choose them are told, by attributes of
    /// these kinds (flags, first port, last port).
    fn choose(
        &mut self,
        name: &str,
        [flags_kind, first_kind, last_kind]: [u16; 3],
        ports: Option<(u16, u16)>,
        flags: NatFlags,
    ) -> Result<(), Why> {
        let ports = ports.map(|ports| self.load_ports(ports)).transpose()?;
        let flags = flag_bits(flags) | ports.map_or(0, |_| WITH_PORTS);
        expression(self.writer, name, |writer| {
            if let Some((first, last)) = ports {
                writer.u32(first_kind, register(first));
                if let Some(last) = last {
                    writer.u32(last_kind, register(last));
                }
            }
            if flags != 0 {
                writer.u32(flags_kind, flags);
            }
        });
        Ok(())
    }

    const fn family_number(&self) -> u32 {
        match self.family {
            Family::Ip => IPV4,
            Family::Ip6 => IPV6,
            _ => INET,
        }
    }
}

const fn family_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => IPV4,
        IpAddr::V6(_) => IPV6,
    }
}

const fn flag_bits(flags: NatFlags) -> u32 {
    let persistent = if flags.persistent { PERSISTENT } else { 0 };
    persistent | if flags.fully_random { FULLY_RANDOM } else { 0 }
}
