//! A flow as the kernel tells of it, in an event or in a dump (`ctnetlink_fill_info` and
//! `ctnetlink_conntrack_event` in net/netfilter/nf_conntrack_netlink.c). Nothing is allocated.

use super::protocol::{self, ProtocolState, SequenceShift, SynProxy};
use super::tuple::{self, Tuple};
use crate::error::DecodeError;
use crate::netfilter::{Attribute, Attributes};

/// enum ctattr_type.
pub(super) const TUPLE_ORIGINAL: u16 = 1;
pub(super) const TUPLE_REPLY: u16 = 2;
pub(super) const STATUS: u16 = 3;
pub(super) const PROTOINFO: u16 = 4;
pub(super) const HELP: u16 = 5;
pub(super) const NAT_SOURCE: u16 = 6;
pub(super) const TIMEOUT: u16 = 7;
pub(super) const MARK: u16 = 8;
pub(super) const COUNTERS_ORIGINAL: u16 = 9;
pub(super) const COUNTERS_REPLY: u16 = 10;
pub(super) const ID: u16 = 12;
pub(super) const NAT_DESTINATION: u16 = 13;
pub(super) const TUPLE_MASTER: u16 = 14;
pub(super) const SHIFT_ORIGINAL: u16 = 15;
pub(super) const SHIFT_REPLY: u16 = 16;
pub(super) const ZONE: u16 = 18;
pub(super) const LABELS: u16 = 22;
pub(super) const SYN_PROXY: u16 = 24;

/// enum ctattr_help.
pub(super) const HELP_NAME: u16 = 1;

/// enum ctattr_counters.
const COUNTER_PACKETS: u16 = 1;
const COUNTER_BYTES: u16 = 2;

/// IPS_EXPECTED: a helper expected it; it has a master.
pub const EXPECTED: u32 = 1 << 0;
/// IPS_SEEN_REPLY: packets went both ways.
pub const SEEN_REPLY: u32 = 1 << 1;
/// IPS_ASSURED: not dropped early when the table is full.
pub const ASSURED: u32 = 1 << 2;
/// IPS_CONFIRMED: it is in the table.
pub const CONFIRMED: u32 = 1 << 3;
/// IPS_SRC_NAT: the source is translated.
pub const SOURCE_NAT: u32 = 1 << 4;
/// IPS_DST_NAT: the destination is translated.
pub const DESTINATION_NAT: u32 = 1 << 5;
/// IPS_SEQ_ADJUST: sequence numbers are shifted.
pub const SEQUENCE_SHIFTED: u32 = 1 << 6;
/// IPS_SRC_NAT_DONE and IPS_DST_NAT_DONE: NAT rules have been asked, whatever they said.
pub const NAT_DONE: u32 = 1 << 7 | 1 << 8;
/// IPS_OFFLOAD: a flowtable carries it.
pub const OFFLOADED: u32 = 1 << 14;

/// Bytes of all labels (XT_CONNLABEL_MAXBIT is 127).
pub const LABEL_BYTES: usize = 16;

/// What a flow lives on that a flowtable carries, for which the kernel tells no timeout: it gets a new one
/// with its next packet, so any that spans a takeover does.
const LIFETIME_OFFLOADED_S: u32 = 600;

/// A conntrack zone; 0 is the default one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone {
    /// Its number.
    pub id: u16,
    /// Where it counts.
    pub direction: ZoneDirection,
}

/// Where a zone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ZoneDirection {
    /// In both directions; also zone 0.
    Both,
    /// In the original direction alone (`ct original zone set`).
    Original,
    /// In the reply direction alone.
    Reply,
}

impl Zone {
    /// The default zone.
    pub const DEFAULT: Zone = Zone {
        id: 0,
        direction: ZoneDirection::Both,
    };

    fn new(id: Option<u16>, direction: ZoneDirection) -> Option<Self> {
        let id = id.filter(|id| *id != 0)?;
        Some(Zone { id, direction })
    }
}

/// What went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes of IP.
    pub bytes: u64,
}

/// A flow. Pairs are of the original direction, then of the reply's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRef<'a> {
    /// Conntrack zone.
    pub zone: Zone,
    /// What its first sender sends.
    pub original: Tuple,
    /// What is answered; where it is not the inverse of `original`, NAT or IPVS is why.
    pub reply: Tuple,
    /// Of the constants of this module (IPS_*).
    pub status: u32,
    /// Seconds that it lives without another packet; an offloaded flow has none.
    pub timeout_s: Option<u32>,
    /// State of its protocol; events tell it where it changed.
    pub state: Option<ProtocolState>,
    /// ct mark; 0 where none is told.
    pub mark: u32,
    /// ct labels; told where there are any, and in events only where they changed.
    pub labels: Option<[u8; LABEL_BYTES]>,
    /// Name of its helper.
    pub helper: Option<&'a str>,
    /// Shifted sequence numbers; events tell them where they changed.
    pub shifts: Option<[SequenceShift; 2]>,
    /// The SYN proxy's part; events tell it where it changed.
    pub syn_proxy: Option<SynProxy>,
    /// The flow whose helper expected this one; events tell it where it is new.
    pub master: Option<Tuple>,
    /// Of this very entry: another one of the same tuples has another id.
    pub id: Option<u32>,
    /// With net.netfilter.nf_conntrack_acct, in dumps and at the end.
    pub counters: Option<[Counters; 2]>,
}

impl FlowRef<'_> {
    /// A flow in the default zone that is in the table, and of which nothing else is told.
    #[must_use]
    pub const fn new(original: Tuple, reply: Tuple) -> Self {
        FlowRef {
            zone: Zone::DEFAULT,
            original,
            reply,
            status: CONFIRMED,
            timeout_s: None,
            state: None,
            mark: 0,
            labels: None,
            helper: None,
            shifts: None,
            syn_proxy: None,
            master: None,
            id: None,
            counters: None,
        }
    }

    /// Whether all is told that a record holds. The kernel's events leave out what did not change, so of a flow
    /// that is not whole ask the kernel anew; what a dump or an answer tells is all there is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let has_state = self.state.is_some()
            || self.is(OFFLOADED)
            || !protocol::has_state(self.original.protocol);
        has_state
            && (self.master.is_some() || !self.is(EXPECTED))
            && (self.shifts.is_some() || !self.is(SEQUENCE_SHIFTED))
    }

    /// Whether any of these bits of the status is set.
    #[must_use]
    pub fn is(&self, bits: u32) -> bool {
        self.status & bits != 0
    }

    /// Whether addresses or ports are translated.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        self.original.inverse() != Some(self.reply)
    }

    /// IPS_SRC_NAT and IPS_DST_NAT, where conntrack's own NAT is why the reply is another; else 0.
    pub(super) fn nat_bits(&self) -> u32 {
        if self.is(SOURCE_NAT | DESTINATION_NAT) {
            self.original.nat_bits(&self.reply)
        } else {
            0
        }
    }

    /// Seconds that it lives without another packet.
    #[must_use]
    pub fn lifetime_s(&self) -> u32 {
        self.timeout_s.unwrap_or(LIFETIME_OFFLOADED_S)
    }
}

/// What is read of the attributes, in whatever order they come.
#[derive(Default)]
struct Parts<'a> {
    original: Option<(Tuple, Option<u16>)>,
    reply: Option<(Tuple, Option<u16>)>,
    zone: Option<u16>,
    status: u32,
    timeout_s: Option<u32>,
    state: Option<ProtocolState>,
    mark: u32,
    labels: Option<[u8; LABEL_BYTES]>,
    helper: Option<&'a str>,
    shifts: [Option<SequenceShift>; 2],
    syn_proxy: Option<SynProxy>,
    master: Option<Tuple>,
    id: Option<u32>,
    counters: [Option<Counters>; 2],
}

/// The flow of a message's attributes.
pub(super) fn decode(attributes: Attributes<'_>) -> Result<FlowRef<'_>, DecodeError> {
    let mut parts = Parts::default();
    for attribute in attributes {
        parts.take(&attribute?)?;
    }
    let (original, zone_original) = parts.original.ok_or(DecodeError("flow without a tuple"))?;
    let (reply, zone_reply) = parts.reply.ok_or(DecodeError("flow without a reply"))?;
    if !original.is_like(&reply) {
        return Err(DecodeError("flow whose directions do not match"));
    }
    let zone = Zone::new(parts.zone, ZoneDirection::Both)
        .or(Zone::new(zone_original, ZoneDirection::Original))
        .or(Zone::new(zone_reply, ZoneDirection::Reply));
    Ok(FlowRef {
        zone: zone.unwrap_or(Zone::DEFAULT),
        original,
        reply,
        status: parts.status,
        timeout_s: parts.timeout_s,
        state: parts.state,
        mark: parts.mark,
        labels: parts.labels,
        helper: parts.helper,
        shifts: both(parts.shifts),
        syn_proxy: parts.syn_proxy,
        master: parts.master,
        id: parts.id,
        counters: both(parts.counters),
    })
}

impl<'a> Parts<'a> {
    fn take(&mut self, attribute: &Attribute<'a>) -> Result<(), DecodeError> {
        match attribute.kind {
            TUPLE_ORIGINAL => self.original = Some(tuple::decode(attribute)?),
            TUPLE_REPLY => self.reply = Some(tuple::decode(attribute)?),
            TUPLE_MASTER => self.master = Some(tuple::decode(attribute)?.0),
            STATUS => self.status = attribute.u32()?,
            PROTOINFO => self.state = protocol::decode(attribute)?,
            HELP => self.helper = decode_helper(attribute)?,
            TIMEOUT => self.timeout_s = Some(attribute.u32()?),
            MARK => self.mark = attribute.u32()?,
            COUNTERS_ORIGINAL => self.counters[0] = Some(decode_counters(attribute)?),
            COUNTERS_REPLY => self.counters[1] = Some(decode_counters(attribute)?),
            ID => self.id = Some(attribute.u32()?),
            SHIFT_ORIGINAL => self.shifts[0] = Some(protocol::decode_shift(attribute)?),
            SHIFT_REPLY => self.shifts[1] = Some(protocol::decode_shift(attribute)?),
            ZONE => self.zone = Some(attribute.u16()?),
            LABELS => self.labels = Some(attribute.bytes()?),
            SYN_PROXY => self.syn_proxy = Some(protocol::decode_syn_proxy(attribute)?),
            _ => {}
        }
        Ok(())
    }
}

fn both<T>([original, reply]: [Option<T>; 2]) -> Option<[T; 2]> {
    Some([original?, reply?])
}

fn decode_helper<'a>(nest: &Attribute<'a>) -> Result<Option<&'a str>, DecodeError> {
    for attribute in nest.nested() {
        let attribute = attribute?;
        if attribute.kind == HELP_NAME {
            return attribute.text().map(Some);
        }
    }
    Ok(None)
}

fn decode_counters(nest: &Attribute<'_>) -> Result<Counters, DecodeError> {
    let mut counters = Counters::default();
    for attribute in nest.nested() {
        let attribute = attribute?;
        match attribute.kind {
            COUNTER_PACKETS => counters.packets = attribute.u64()?,
            COUNTER_BYTES => counters.bytes = attribute.u64()?,
            _ => {}
        }
    }
    Ok(counters)
}
