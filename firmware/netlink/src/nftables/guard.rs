//! What a rule must have tested before it may read a header: the encoder adds those tests, once per rule and
//! only where the rule itself did not make them.

use super::expression::{compare_equal, load_meta};
use super::refusal::Why;
use super::writer::Writer;
use plan::ruleset::{Datum, Ether, Family, Field, Ipv4, Ipv6, Meta, Selector, Spread, Test};

/// NFT_META_PROTOCOL, NFT_META_NFPROTO, NFT_META_L4PROTO, NFT_META_IIFTYPE.
const META_ETHER_TYPE: u32 = 1;
const META_FAMILY: u32 = 15;
const META_TRANSPORT: u32 = 16;
const META_INPUT_TYPE: u32 = 8;

/// NFPROTO_IPV4, NFPROTO_IPV6.
const IPV4: u8 = 2;
const IPV6: u8 = 10;

const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;
const ETHER_TYPE_ARP: u16 = 0x0806;

/// ARPHRD_ETHER.
const ETHERNET: u16 = 1;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// What is known of the packets that get this far in a rule.
pub(super) struct Guard {
    family: Family,
    network: Option<u16>,
    transport: Option<u8>,
    is_ethernet: bool,
}

impl Guard {
    pub(super) const fn new(family: Family) -> Self {
        let network = match family {
            Family::Ip => Some(ETHER_TYPE_IPV4),
            Family::Ip6 => Some(ETHER_TYPE_IPV6),
            Family::Arp => Some(ETHER_TYPE_ARP),
            Family::Inet | Family::Netdev => None,
        };
        Guard {
            family,
            network,
            transport: None,
            is_ethernet: false,
        }
    }

    /// Takes note of a test that the rule makes.
    pub(super) fn note(&mut self, selector: &Selector, test: &Test) {
        let Test::Is(datum) = test else { return };
        match (selector, datum) {
            (Selector::Meta(Meta::NfProtocol), Datum::NfProtocol(IPV4)) => {
                self.network = Some(ETHER_TYPE_IPV4);
            }
            (Selector::Meta(Meta::NfProtocol), Datum::NfProtocol(IPV6)) => {
                self.network = Some(ETHER_TYPE_IPV6);
            }
            (Selector::Meta(Meta::EtherType), Datum::EtherType(kind)) => {
                self.network = Some(*kind);
            }
            (
                Selector::Meta(Meta::Protocol)
                | Selector::Field(Field::Ipv4(Ipv4::Protocol) | Field::Ipv6(Ipv6::NextHeader)),
                Datum::Protocol(protocol),
            ) => self.transport = Some(*protocol),
            _ => {}
        }
    }

    /// Writes the tests that `selector` needs and that were not made yet. They use the first register.
    pub(super) fn write(&mut self, writer: &mut Writer, selector: &Selector) -> Result<(), Why> {
        match selector {
            Selector::Field(field) => self.write_for_field(writer, *field),
            Selector::Spread(Spread::Hash { of, .. }) => {
                of.iter().try_for_each(|part| self.write(writer, part))
            }
            _ => Ok(()),
        }
    }

    fn write_for_field(&mut self, writer: &mut Writer, field: Field) -> Result<(), Why> {
        match field {
            Field::Ether(Ether::Source | Ether::Destination | Ether::Type) => {
                self.ethernet(writer);
                Ok(())
            }
            Field::Arp(_) => self.network(writer, ETHER_TYPE_ARP),
            Field::Ipv4(_) => self.network(writer, ETHER_TYPE_IPV4),
            Field::Ipv6(_) => self.network(writer, ETHER_TYPE_IPV6),
            Field::Tcp(_) => self.transport(writer, TCP),
            Field::Udp(_) => self.transport(writer, UDP),
            Field::Icmp(_) => {
                self.network(writer, ETHER_TYPE_IPV4)?;
                self.transport(writer, ICMP)
            }
            Field::Icmpv6(_) => {
                self.network(writer, ETHER_TYPE_IPV6)?;
                self.transport(writer, ICMPV6)
            }
            Field::SourcePort | Field::DestinationPort => Ok(()),
        }
    }

    /// The packet is of TCP.
    pub(super) fn tcp(&mut self, writer: &mut Writer) -> Result<(), Why> {
        self.transport(writer, TCP)
    }

    fn network(&mut self, writer: &mut Writer, ether_type: u16) -> Result<(), Why> {
        if self.network == Some(ether_type) {
            return Ok(());
        }
        match (self.family, ether_type) {
            (Family::Ip | Family::Ip6 | Family::Arp, _) | (Family::Inet, ETHER_TYPE_ARP) => {
                return Err(Why::OtherFamily);
            }
            (Family::Inet, _) => {
                let family = if ether_type == ETHER_TYPE_IPV4 {
                    IPV4
                } else {
                    IPV6
                };
                load_meta(writer, 0, META_FAMILY);
                compare_equal(writer, &[family]);
            }
            (Family::Netdev, _) => {
                load_meta(writer, 0, META_ETHER_TYPE);
                compare_equal(writer, &ether_type.to_be_bytes());
            }
        }
        self.network = Some(ether_type);
        Ok(())
    }

    fn transport(&mut self, writer: &mut Writer, protocol: u8) -> Result<(), Why> {
        if self.family == Family::Arp {
            return Err(Why::OtherFamily);
        }
        if self.transport != Some(protocol) {
            load_meta(writer, 0, META_TRANSPORT);
            compare_equal(writer, &[protocol]);
            self.transport = Some(protocol);
        }
        Ok(())
    }

    /// The packet came by an Ethernet device.
    fn ethernet(&mut self, writer: &mut Writer) {
        if !self.is_ethernet {
            load_meta(writer, 0, META_INPUT_TYPE);
            compare_equal(writer, &ETHERNET.to_ne_bytes());
        }
        self.is_ethernet = true;
    }
}
