//! The record of a flow. Its value opens with a byte that says what follows, in this order; a second such byte
//! stands behind it where one of the rarer parts is there.

use super::bytes::{Error, Reader, is_name, put_name, put_tuple, put_tuple_like};
use crate::conntrack::flow::{
    ASSURED, CONFIRMED, EXPECTED, LABEL_BYTES, NAT_DONE, SEEN_REPLY, SEQUENCE_SHIFTED,
};
use crate::conntrack::protocol::{
    TCP_CLOSE_INIT, TCP_SACK, TCP_SIMULTANEOUS_OPEN, TCP_TIME_WAIT, TCP_WINDOW_SCALE, has_state,
};
use crate::conntrack::tuple::{DCCP, SCTP, TCP};
use crate::conntrack::{FlowRef, ProtocolState, SequenceShift, SynProxy, Tuple, Zone};

/// The first byte: two bits of the status; then what follows.
const HAS_SEEN_REPLY: u8 = 1 << 0;
const IS_ASSURED: u8 = 1 << 1;
/// NAT rules have been asked.
const IS_NAT_DONE: u8 = 1 << 2;
/// A reply that is not the inverse of the original direction.
const HAS_REPLY: u8 = 1 << 3;
const HAS_STATE: u8 = 1 << 4;
const HAS_MARK: u8 = 1 << 5;
/// The reply is none of conntrack's own NAT's: another part of the kernel translates (IPVS, where it is told to keep
/// its connections here as well). Only with `HAS_REPLY`, and otherwise NAT rules have been asked.
const IS_FOREIGN: u8 = 1 << 6;
/// The second byte.
const HAS_MORE: u8 = 1 << 7;

/// The second byte.
const HAS_LABELS: u8 = 1 << 0;
const HAS_HELPER: u8 = 1 << 1;
const HAS_SHIFTS: u8 = 1 << 2;
const HAS_SYN_PROXY: u8 = 1 << 3;
const HAS_MASTER: u8 = 1 << 4;
const MORE_MASK: u8 = 0b1_1111;

/// TCP's flags that both boxes see alike, and their place in half a byte.
const TCP_FLAGS: [(u8, u8); 4] = [
    (TCP_WINDOW_SCALE, 1),
    (TCP_SACK, 2),
    (TCP_CLOSE_INIT, 4),
    (TCP_SIMULTANEOUS_OPEN, 8),
];

/// TCP_CONNTRACK_CLOSE.
const TCP_CLOSE: u8 = 8;
/// The last state of each protocol: TCP_CONNTRACK_SYN_SENT2, SCTP_CONNTRACK_HEARTBEAT_ACKED, CT_DCCP_TIMEWAIT.
const STATE_MAX: u8 = 9;
/// TCP_MAX_WSCALE (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;

/// Appends the key.
pub(super) fn encode_key(bytes: &mut Vec<u8>, flow: &FlowRef<'_>) {
    put_tuple(bytes, &flow.original, flow.zone);
}

/// Appends the value.
pub(super) fn encode_value(bytes: &mut Vec<u8>, flow: &FlowRef<'_>) {
    let is_translated = flow.is_translated();
    let is_ours = is_translated && flow.nat_bits() != 0;
    let state = flow
        .state
        .filter(|state| is_of(state, flow.original.protocol));
    let labels = flow.labels.filter(|labels| *labels != [0; LABEL_BYTES]);
    let helper = flow.helper.filter(|name| is_name(name));
    let syn_proxy = flow.syn_proxy.filter(|proxy| *proxy != SynProxy::NONE);
    let more = when(labels.is_some(), HAS_LABELS)
        | when(helper.is_some(), HAS_HELPER)
        | when(flow.shifts.is_some(), HAS_SHIFTS)
        | when(syn_proxy.is_some(), HAS_SYN_PROXY)
        | when(flow.master.is_some(), HAS_MASTER);
    bytes.push(
        when(flow.is(SEEN_REPLY), HAS_SEEN_REPLY)
            | when(flow.is(ASSURED), IS_ASSURED)
            | when(flow.is(NAT_DONE) || is_ours, IS_NAT_DONE)
            | when(is_translated, HAS_REPLY)
            | when(is_translated && !is_ours, IS_FOREIGN)
            | when(state.is_some(), HAS_STATE)
            | when(flow.mark != 0, HAS_MARK)
            | when(more != 0, HAS_MORE),
    );
    if more != 0 {
        bytes.push(more);
    }
    if is_translated {
        put_tuple_like(bytes, &flow.reply);
    }
    if let Some(state) = state {
        encode_state(bytes, &state);
    }
    if flow.mark != 0 {
        bytes.extend_from_slice(&flow.mark.to_be_bytes());
    }
    if let Some(labels) = labels {
        bytes.extend_from_slice(&labels);
    }
    if let Some(name) = helper {
        put_name(bytes, name);
    }
    encode_rare(bytes, &FlowRef { syn_proxy, ..*flow });
}

/// What few flows have.
fn encode_rare(bytes: &mut Vec<u8>, flow: &FlowRef<'_>) {
    for shift in flow.shifts.iter().flatten() {
        for number in [shift.position, shift.before, shift.after] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
    if let Some(proxy) = flow.syn_proxy {
        for number in [proxy.sequence, proxy.timestamp, proxy.timestamp_offset] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
    if let Some(master) = flow.master {
        put_tuple(bytes, &master, Zone::DEFAULT);
    }
}

fn when(is: bool, bit: u8) -> u8 {
    if is { bit } else { 0 }
}

/// Whether it is the state of that protocol, within what a record can say.
fn is_of(state: &ProtocolState, protocol: u8) -> bool {
    match *state {
        ProtocolState::Tcp { state, scales, .. } => {
            protocol == TCP && state <= STATE_MAX && scales.iter().all(|scale| *scale <= SCALE_MAX)
        }
        ProtocolState::Sctp { state, .. } => protocol == SCTP && state <= STATE_MAX,
        ProtocolState::Dccp { state, role, .. } => {
            protocol == DCCP && state <= STATE_MAX && role <= 1
        }
    }
}

fn encode_state(bytes: &mut Vec<u8>, state: &ProtocolState) {
    match *state {
        ProtocolState::Tcp {
            state,
            scales,
            flags,
        } => {
            let flags = flags.map(|flags| shared_flags(state, flags));
            let [original, reply] = shared_scales(scales, flags);
            bytes.extend_from_slice(&[state, original << 4 | reply, flags[0] << 4 | flags[1]]);
        }
        ProtocolState::Sctp { state, tags } => {
            bytes.push(state);
            for tag in tags {
                bytes.extend_from_slice(&tag.to_be_bytes());
            }
        }
        ProtocolState::Dccp {
            state,
            role,
            handshake,
        } => {
            bytes.extend_from_slice(&[state, role]);
            bytes.extend_from_slice(&handshake.to_be_bytes());
        }
    }
}

/// In half a byte. Of a flow that is over both count as who closed first: only then does the kernel let a new SYN
/// take its place, and it does not tell who sent the last RST.
fn shared_flags(state: u8, flags: u8) -> u8 {
    let is_over = (TCP_TIME_WAIT..=TCP_CLOSE).contains(&state);
    let flags = flags | when(is_over, TCP_CLOSE_INIT);
    TCP_FLAGS.iter().fold(0, |half, (flag, place)| {
        half | when(flags & flag != 0, *place)
    })
}

/// The kernel takes scales only where both ends offered them.
fn shared_scales(scales: [u8; 2], halves: [u8; 2]) -> [u8; 2] {
    if halves.iter().all(|half| half & 1 != 0) {
        scales
    } else {
        [0; 2]
    }
}

/// The flow that a key names: its original direction and zone.
///
/// # Errors
/// A key that this version does not write.
pub fn decode_flow_key(key: &[u8]) -> Result<(Tuple, Zone), Error> {
    let mut reader = Reader(key);
    let named = reader.tuple()?;
    reader.end()?;
    Ok(named)
}

/// The flow of a record. It has no timeout, counters or id; its status has the bits that follow from the rest.
///
/// # Errors
/// A record that this version does not write.
pub fn decode_flow<'a>(key: &[u8], value: &'a [u8]) -> Result<FlowRef<'a>, Error> {
    let (original, zone) = decode_flow_key(key)?;
    let mut reader = Reader(value);
    let head = reader.u8("a value")?;
    let more = match head & HAS_MORE {
        0 => 0,
        _ => reader.u8("what more there is")?,
    };
    let is_orphan = head & (HAS_REPLY | IS_FOREIGN) == IS_FOREIGN;
    if is_orphan || more & !MORE_MASK != 0 || (more == 0 && head & HAS_MORE != 0) {
        return Err(Error::Value("head of a value"));
    }
    let reply = decode_reply(&mut reader, head, &original)?;
    let state = optional(head & HAS_STATE, || {
        decode_state(&mut reader, original.protocol)
    })?;
    let mark = optional(head & HAS_MARK, || decode_mark(&mut reader))?;
    let labels = optional(more & HAS_LABELS, || decode_labels(&mut reader))?;
    let helper = optional(more & HAS_HELPER, || reader.name())?;
    let shifts = optional(more & HAS_SHIFTS, || {
        Ok([decode_shift(&mut reader)?, decode_shift(&mut reader)?])
    })?;
    let syn_proxy = optional(more & HAS_SYN_PROXY, || decode_syn_proxy(&mut reader))?;
    let master = optional(more & HAS_MASTER, || reader.plain_tuple())?;
    reader.end()?;
    Ok(FlowRef {
        zone,
        original,
        reply,
        status: status(head, more, &original, &reply),
        timeout_s: None,
        state,
        mark: mark.unwrap_or(0),
        labels,
        helper,
        shifts,
        syn_proxy,
        master,
        id: None,
        counters: None,
    })
}

fn optional<T>(bit: u8, read: impl FnOnce() -> Result<T, Error>) -> Result<Option<T>, Error> {
    if bit == 0 { Ok(None) } else { read().map(Some) }
}

fn decode_reply(reader: &mut Reader<'_>, head: u8, original: &Tuple) -> Result<Tuple, Error> {
    let plain = original.inverse();
    if head & HAS_REPLY == 0 {
        return plain.ok_or(Error::Value("ICMP type"));
    }
    let reply = reader.tuple_like(original)?;
    let is_ours = original.nat_bits(&reply) != 0;
    let is_said = head & IS_FOREIGN != 0 || (is_ours && head & IS_NAT_DONE != 0);
    if Some(reply) == plain || !is_said {
        return Err(Error::Value("reply"));
    }
    Ok(reply)
}

fn decode_state(reader: &mut Reader<'_>, protocol: u8) -> Result<ProtocolState, Error> {
    if !has_state(protocol) {
        return Err(Error::Value("state of its protocol"));
    }
    let number = reader.u8("a state")?;
    let state = match protocol {
        TCP => decode_tcp(reader, number)?,
        SCTP => ProtocolState::Sctp {
            state: number,
            tags: [reader.u32("a tag")?, reader.u32("a tag")?],
        },
        _ => ProtocolState::Dccp {
            state: number,
            role: reader.u8("a role")?,
            handshake: reader.take("a sequence number").map(u64::from_be_bytes)?,
        },
    };
    if is_of(&state, protocol) {
        Ok(state)
    } else {
        Err(Error::Value("state of its protocol"))
    }
}

fn decode_tcp(reader: &mut Reader<'_>, state: u8) -> Result<ProtocolState, Error> {
    let scales = reader.u8("window scales")?;
    let halves = reader.u8("TCP flags")?;
    let (scales, halves) = ([scales >> 4, scales & 15], [halves >> 4, halves & 15]);
    let flags = halves.map(|half| {
        TCP_FLAGS.iter().fold(0, |flags, (flag, place)| {
            flags | when(half & place != 0, *flag)
        })
    });
    let is_canonical = flags.map(|flags| shared_flags(state, flags)) == halves
        && shared_scales(scales, halves) == scales;
    if !is_canonical {
        return Err(Error::Value("TCP flags"));
    }
    Ok(ProtocolState::Tcp {
        state,
        scales,
        flags,
    })
}

fn decode_mark(reader: &mut Reader<'_>) -> Result<u32, Error> {
    match reader.u32("a mark")? {
        0 => Err(Error::Value("mark")),
        mark => Ok(mark),
    }
}

fn decode_labels(reader: &mut Reader<'_>) -> Result<[u8; LABEL_BYTES], Error> {
    let labels = reader.take("labels")?;
    if labels == [0; LABEL_BYTES] {
        return Err(Error::Value("labels"));
    }
    Ok(labels)
}

fn decode_shift(reader: &mut Reader<'_>) -> Result<SequenceShift, Error> {
    Ok(SequenceShift {
        position: reader.u32("a sequence number")?,
        before: reader.u32("a sequence number")?,
        after: reader.u32("a sequence number")?,
    })
}

fn decode_syn_proxy(reader: &mut Reader<'_>) -> Result<SynProxy, Error> {
    let proxy = SynProxy {
        sequence: reader.u32("a sequence number")?,
        timestamp: reader.u32("a timestamp")?,
        timestamp_offset: reader.u32("a timestamp")?,
    };
    if proxy == SynProxy::NONE {
        return Err(Error::Value("SYN proxy"));
    }
    Ok(proxy)
}

fn status(head: u8, more: u8, original: &Tuple, reply: &Tuple) -> u32 {
    let bits = [
        (true, CONFIRMED),
        (head & HAS_SEEN_REPLY != 0, SEEN_REPLY),
        (head & IS_ASSURED != 0, ASSURED),
        (head & IS_NAT_DONE != 0, NAT_DONE),
        (more & HAS_SHIFTS != 0, SEQUENCE_SHIFTED),
        (more & HAS_MASTER != 0, EXPECTED),
    ];
    let nat = match head & IS_FOREIGN {
        0 => original.nat_bits(reply),
        _ => 0,
    };
    bits.iter()
        .fold(nat, |status, (is, bit)| status | if *is { *bit } else { 0 })
}
