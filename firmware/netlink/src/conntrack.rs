//! Connection tracking by netlink (linux/netfilter/nfnetlink_conntrack.h, "ctnetlink"): what the kernel tells of
//! flows and expectations, records of them that a twin understands, and requests that put them into its kernel so
//! that packets pass at once. No sockets (`sys::conntrack` has them); reading and writing allocate nothing.

pub mod filter;
pub mod record;

mod batch;
mod expectation;
mod flow;
mod protocol;
mod request;
mod tuple;

pub use batch::{Batch, Kind, RECORDS_MAX};
pub use expectation::ExpectationRef;
pub use flow::{
    ASSURED, CONFIRMED, Counters, DESTINATION_NAT, EXPECTED, FlowRef, LABEL_BYTES, NAT_DONE,
    OFFLOADED, SEEN_REPLY, SEQUENCE_SHIFTED, SOURCE_NAT, Zone, ZoneDirection,
};
pub use protocol::{ProtocolState, SequenceShift, SynProxy};
pub use tuple::{Addresses, Ports, Tuple};

use crate::error::DecodeError;
use crate::message::Message;
use crate::netfilter::attributes;
use neli::consts::nl::NlmF;

/// NFNLGRP_CONNTRACK_NEW: the group that tells of flows as they begin.
pub const GROUP_FLOW_NEW: u32 = 1;

/// Groups that tell of flows: that one, NFNLGRP_CONNTRACK_UPDATE and _DESTROY.
pub const GROUPS_FLOW: [u32; 3] = [GROUP_FLOW_NEW, 2, 3];

/// Groups that tell of expectations: NFNLGRP_CONNTRACK_EXP_NEW and _DESTROY (the kernel sends no updates).
pub const GROUPS_EXPECTATION: [u32; 2] = [4, 6];

/// NFNL_SUBSYS_CTNETLINK and NFNL_SUBSYS_CTNETLINK_EXP, in the upper byte of a message's type.
const SUBSYSTEM: u16 = 1 << 8;
const SUBSYSTEM_EXPECTATION: u16 = 2 << 8;

/// IPCTNL_MSG_CT_NEW, _GET and _DELETE; those of expectations count alike.
const NEW: u16 = 0;
const GET: u16 = 1;
const DELETE: u16 = 2;

/// Bytes of `struct nfgenmsg`: family, version, resource.
const GENERIC_BYTES: usize = 4;

/// What befell a flow or an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there from now on.
    New,
    /// It is other than before; in dumps and answers, as it is.
    Updated,
    /// It is gone.
    Destroyed,
}

/// What a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Of a flow.
    Flow(Change, FlowRef<'a>),
    /// Of an expectation.
    Expectation(Change, ExpectationRef<'a>),
}

/// The event of a message, in a notification, a dump or an answer; `None` for messages of other kinds. Who caused
/// it is the message's `port`: 0 is the kernel itself.
///
/// # Errors
/// A message that linux/netfilter/nfnetlink_conntrack.h does not allow.
pub fn decode<'a>(message: &Message<'a>) -> Result<Option<Event<'a>>, DecodeError> {
    let is_new = message.flags.contains(NlmF::CREATE);
    let change = match message.kind & 0xff {
        NEW if is_new => Change::New,
        NEW => Change::Updated,
        DELETE => Change::Destroyed,
        _ => return Ok(None),
    };
    let subsystem = message.kind & 0xff00;
    if ![SUBSYSTEM, SUBSYSTEM_EXPECTATION].contains(&subsystem) {
        return Ok(None);
    }
    let body = message.body.get(GENERIC_BYTES..);
    let attributes = attributes(body.ok_or(DecodeError("ctnetlink message"))?);
    Ok(Some(if subsystem == SUBSYSTEM {
        Event::Flow(change, flow::decode(attributes)?)
    } else {
        Event::Expectation(change, expectation::decode(attributes)?)
    }))
}

/// A request for all flows, or for all expectations; `decode` reads what comes.
#[must_use]
pub fn dump(kind: Kind, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    request::dump(&mut bytes, sequence, kind == Kind::Expectation);
    bytes
}

/// Questions for single flows, of which an event told in part only: their answers are whole.
#[derive(Debug, Default)]
pub struct Questions {
    bytes: Vec<u8>,
    count: u32,
}

/// Questions in one system call: their answers find room in a receive buffer of 200 kB.
pub const QUESTIONS_MAX: u32 = 64;

impl Questions {
    /// Makes room for some.
    #[must_use]
    pub fn new() -> Self {
        Questions::default()
    }

    /// Asks for a flow as it is now.
    pub fn ask(&mut self, flow: &FlowRef<'_>) {
        self.count += 1;
        let name = (request::By::Original, &flow.original, flow.zone);
        request::get(&mut self.bytes, self.count, name);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// All of them, ended by a fence with the number `count() + 1`.
    pub fn finish(&mut self) -> &[u8] {
        request::fence(&mut self.bytes, self.count + 1);
        &self.bytes
    }

    /// Forgets them, for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
