//! What conntrack keeps of a flow beside its tuples: the state of its protocol (CTA_PROTOINFO), shifted sequence
//! numbers (CTA_SEQ_ADJ_*) and the SYN proxy's secrets (CTA_SYNPROXY).

use super::tuple::{DCCP, SCTP, TCP};
use crate::error::DecodeError;
use crate::netfilter::{Attribute, put, put_nest};

/// enum ctattr_protoinfo.
const PROTOINFO_TCP: u16 = 1;
const PROTOINFO_DCCP: u16 = 2;
const PROTOINFO_SCTP: u16 = 3;

/// enum ctattr_protoinfo_tcp.
const TCP_STATE: u16 = 1;
const TCP_SCALE_ORIGINAL: u16 = 2;
const TCP_SCALE_REPLY: u16 = 3;
const TCP_FLAGS_ORIGINAL: u16 = 4;
const TCP_FLAGS_REPLY: u16 = 5;

/// enum ctattr_protoinfo_dccp.
const DCCP_STATE: u16 = 1;
const DCCP_ROLE: u16 = 2;
const DCCP_HANDSHAKE: u16 = 3;

/// enum ctattr_protoinfo_sctp.
const SCTP_STATE: u16 = 1;
const SCTP_TAG_ORIGINAL: u16 = 2;
const SCTP_TAG_REPLY: u16 = 3;

/// enum tcp_conntrack, as conntrack(8) names it.
const TCP_NAMES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// TCP_CONNTRACK_ESTABLISHED.
pub(super) const TCP_ESTABLISHED: u8 = 3;
/// TCP_CONNTRACK_TIME_WAIT; from here on a flow is over.
pub(super) const TCP_TIME_WAIT: u8 = 7;

/// IP_CT_TCP_FLAG_*: the sender offered window scaling.
pub(super) const TCP_WINDOW_SCALE: u8 = 0x01;
/// The sender allows selective acknowledgements.
pub(super) const TCP_SACK: u8 = 0x02;
/// The sender closed first: a new SYN may take the flow's place.
pub(super) const TCP_CLOSE_INIT: u8 = 0x04;
/// Windows are not enforced.
pub(super) const TCP_BE_LIBERAL: u8 = 0x08;
/// Both sent a SYN at once.
pub(super) const TCP_SIMULTANEOUS_OPEN: u8 = 0x80;

/// State of the flow's protocol. Pairs are of the original direction, then of the reply's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolState {
    /// TCP.
    Tcp {
        /// enum tcp_conntrack.
        state: u8,
        /// Window scales, in bits.
        scales: [u8; 2],
        /// IP_CT_TCP_FLAG_*.
        flags: [u8; 2],
    },
    /// SCTP.
    Sctp {
        /// enum sctp_conntrack.
        state: u8,
        /// Verification tags.
        tags: [u32; 2],
    },
    /// DCCP.
    Dccp {
        /// enum ct_dccp_states.
        state: u8,
        /// 0: the original direction's sender is the client.
        role: u8,
        /// Sequence number of the handshake.
        handshake: u64,
    },
}

impl ProtocolState {
    /// TCP's state as conntrack(8) names it; of other protocols nothing.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self {
            ProtocolState::Tcp { state, .. } => TCP_NAMES.get(usize::from(*state)).copied(),
            ProtocolState::Sctp { .. } | ProtocolState::Dccp { .. } => None,
        }
    }
}

/// Whether conntrack keeps a state for the protocol.
pub(super) fn has_state(protocol: u8) -> bool {
    [TCP, SCTP, DCCP].contains(&protocol)
}

/// How far a helper's edits have shifted the sequence numbers of one direction (`struct nf_ct_seqadj`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceShift {
    /// Where it last changed.
    pub position: u32,
    /// Before that position, two's complement.
    pub before: u32,
    /// Behind it, two's complement.
    pub after: u32,
}

/// What a SYN proxy answered in the server's stead (`struct nf_conn_synproxy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynProxy {
    /// Initial sequence number.
    pub sequence: u32,
    /// Initial timestamp.
    pub timestamp: u32,
    /// What timestamps are shifted by.
    pub timestamp_offset: u32,
}

impl SynProxy {
    /// What the kernel tells of every flow that was put into its table, as of one that no SYN proxy answered.
    pub(super) const NONE: SynProxy = SynProxy {
        sequence: 0,
        timestamp: 0,
        timestamp_offset: 0,
    };
}

/// CTA_PROTOINFO; `None` for a protocol that nobody here knows.
pub(super) fn decode(nest: &Attribute<'_>) -> Result<Option<ProtocolState>, DecodeError> {
    let Some(inner) = nest.nested().next().transpose()? else {
        return Ok(None);
    };
    match inner.kind {
        PROTOINFO_TCP => decode_tcp(&inner).map(Some),
        PROTOINFO_SCTP => decode_sctp(&inner).map(Some),
        PROTOINFO_DCCP => decode_dccp(&inner).map(Some),
        _ => Ok(None),
    }
}

/// Of a flow that is gone only the state is told.
fn decode_tcp(nest: &Attribute<'_>) -> Result<ProtocolState, DecodeError> {
    let (mut state, mut scales, mut flags) = (None, [0; 2], [0; 2]);
    for attribute in nest.nested() {
        let attribute = attribute?;
        match attribute.kind {
            TCP_STATE => state = Some(attribute.u8()?),
            TCP_SCALE_ORIGINAL => scales[0] = attribute.u8()?,
            TCP_SCALE_REPLY => scales[1] = attribute.u8()?,
            // `struct nf_ct_tcp_flags`: flags, mask.
            TCP_FLAGS_ORIGINAL => [flags[0], _] = attribute.bytes()?,
            TCP_FLAGS_REPLY => [flags[1], _] = attribute.bytes()?,
            _ => {}
        }
    }
    let state = state.ok_or(DecodeError("TCP state"))?;
    Ok(ProtocolState::Tcp {
        state,
        scales,
        flags,
    })
}

fn decode_sctp(nest: &Attribute<'_>) -> Result<ProtocolState, DecodeError> {
    let (mut state, mut tags) = (None, [0; 2]);
    for attribute in nest.nested() {
        let attribute = attribute?;
        match attribute.kind {
            SCTP_STATE => state = Some(attribute.u8()?),
            SCTP_TAG_ORIGINAL => tags[0] = attribute.u32()?,
            SCTP_TAG_REPLY => tags[1] = attribute.u32()?,
            _ => {}
        }
    }
    let state = state.ok_or(DecodeError("SCTP state"))?;
    Ok(ProtocolState::Sctp { state, tags })
}

fn decode_dccp(nest: &Attribute<'_>) -> Result<ProtocolState, DecodeError> {
    let (mut state, mut role, mut handshake) = (None, 0, 0);
    for attribute in nest.nested() {
        let attribute = attribute?;
        match attribute.kind {
            DCCP_STATE => state = Some(attribute.u8()?),
            DCCP_ROLE => role = attribute.u8()?,
            DCCP_HANDSHAKE => handshake = attribute.u64()?,
            _ => {}
        }
    }
    Ok(ProtocolState::Dccp {
        state: state.ok_or(DecodeError("DCCP state"))?,
        role,
        handshake,
    })
}

/// Appends CTA_PROTOINFO. All of TCP's flags are set as given, but for those that the kernel keeps for itself.
pub(super) fn encode(bytes: &mut Vec<u8>, kind: u16, state: &ProtocolState) {
    put_nest(bytes, kind, |bytes| match *state {
        ProtocolState::Tcp {
            state,
            scales,
            flags,
        } => put_nest(bytes, PROTOINFO_TCP, |bytes| {
            const MASK: u8 = TCP_WINDOW_SCALE
                | TCP_SACK
                | TCP_CLOSE_INIT
                | TCP_BE_LIBERAL
                | TCP_SIMULTANEOUS_OPEN;
            put(bytes, TCP_STATE, &[state]);
            put(bytes, TCP_SCALE_ORIGINAL, &[scales[0]]);
            put(bytes, TCP_SCALE_REPLY, &[scales[1]]);
            put(bytes, TCP_FLAGS_ORIGINAL, &[flags[0], MASK]);
            put(bytes, TCP_FLAGS_REPLY, &[flags[1], MASK]);
        }),
        ProtocolState::Sctp { state, tags } => put_nest(bytes, PROTOINFO_SCTP, |bytes| {
            put(bytes, SCTP_STATE, &[state]);
            put(bytes, SCTP_TAG_ORIGINAL, &tags[0].to_be_bytes());
            put(bytes, SCTP_TAG_REPLY, &tags[1].to_be_bytes());
        }),
        ProtocolState::Dccp {
            state,
            role,
            handshake,
        } => put_nest(bytes, PROTOINFO_DCCP, |bytes| {
            put(bytes, DCCP_STATE, &[state]);
            put(bytes, DCCP_ROLE, &[role]);
            put(bytes, DCCP_HANDSHAKE, &handshake.to_be_bytes());
        }),
    });
}

/// Three numbers: enum ctattr_seqadj and enum ctattr_synproxy count alike.
fn decode_three(nest: &Attribute<'_>) -> Result<[u32; 3], DecodeError> {
    let mut numbers = [None; 3];
    for attribute in nest.nested() {
        let attribute = attribute?;
        let place = usize::from(attribute.kind).checked_sub(1);
        if let Some(number) = place.and_then(|place| numbers.get_mut(place)) {
            *number = Some(attribute.u32()?);
        }
    }
    match numbers {
        [Some(one), Some(two), Some(three)] => Ok([one, two, three]),
        _ => Err(DecodeError("sequence numbers")),
    }
}

fn encode_three(bytes: &mut Vec<u8>, kind: u16, numbers: [u32; 3]) {
    put_nest(bytes, kind, |bytes| {
        for (place, number) in (1..).zip(numbers) {
            put(bytes, place, &number.to_be_bytes());
        }
    });
}

/// CTA_SEQ_ADJ_*.
pub(super) fn decode_shift(nest: &Attribute<'_>) -> Result<SequenceShift, DecodeError> {
    decode_three(nest).map(|[position, before, after]| SequenceShift {
        position,
        before,
        after,
    })
}

/// Appends CTA_SEQ_ADJ_*.
pub(super) fn encode_shift(bytes: &mut Vec<u8>, kind: u16, shift: &SequenceShift) {
    encode_three(bytes, kind, [shift.position, shift.before, shift.after]);
}

/// CTA_SYNPROXY.
pub(super) fn decode_syn_proxy(nest: &Attribute<'_>) -> Result<SynProxy, DecodeError> {
    decode_three(nest).map(|[sequence, timestamp, timestamp_offset]| SynProxy {
        sequence,
        timestamp,
        timestamp_offset,
    })
}

/// Appends CTA_SYNPROXY.
pub(super) fn encode_syn_proxy(bytes: &mut Vec<u8>, kind: u16, proxy: &SynProxy) {
    let numbers = [proxy.sequence, proxy.timestamp, proxy.timestamp_offset];
    encode_three(bytes, kind, numbers);
}
