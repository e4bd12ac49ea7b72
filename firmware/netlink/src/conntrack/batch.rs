//! Puts records into a kernel, many per system call, sans I/O: `next_round` gives the bytes to send, `answer` takes
//! what the kernel says, until no round is left. Almost always one round does; a clash is settled in the next ones,
//! and what the twin's box says counts: what stands here in its way is deleted, and `displaced` names it.
//!
//! A flow is created. Where the kernel says EEXIST, it is asked what it holds and told to change that; where that is
//! not the same flow (other NAT: its port was used again; or a flow that has seen more), or its reply tuple belongs to
//! another, those are deleted and it is created anew. A master that is not there yet is waited for one round.
//!
//! In the kernel of the box whose table counts (`keep_answered`) flows live that the twin knows nothing of yet: there it is
//! asked first, and what was answered is neither deleted nor taken back to less than it has seen.

mod keys;
mod step;

use super::flow::FlowRef;
use super::record::{
    self, Recorder, decode_expectation, decode_expectation_key, decode_flow, decode_flow_key,
};
use super::request::{self, By};
use super::{Event, Tuple, Zone, decode};
use crate::error::DecodeError;
use crate::message::{Message, Outcome};
use core::ops::Range;
use keys::Keys;
use step::{Said, Step};

/// Records in a batch; the kernel's cost of a system call vanishes from 64 on.
pub const RECORDS_MAX: usize = 128;

/// Create, compare, replace, and each again without a master and a helper that are not there.
const ROUNDS_MAX: u32 = 8;

/// errno(3) of what the kernel says about flows.
const ENOENT: i32 = 2;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const ENOSPC: i32 = 28;
const EOPNOTSUPP: i32 = 95;

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A flow.
    Flow,
    /// An expectation.
    Expectation,
}

/// Records on their way into a kernel. Its memory is kept from one batch to the next.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    keys: Keys,
    /// Keys and values of `items`.
    records: Vec<u8>,
    keeps_answered: bool,
    /// Keys of flows that were deleted for others.
    displaced: Vec<Vec<u8>>,
    /// What is sent in this round, and which item each message of it is for.
    bytes: Vec<u8>,
    messages: Vec<(usize, Part)>,
    /// Of the first of `messages`.
    first_sequence: u32,
    rounds: u32,
}

#[derive(Debug)]
struct Item {
    task: Task,
    key: Range<usize>,
    value: Range<usize>,
    lifetime_s: u32,
    step: Step,
    /// What the kernel said in this round.
    said: Said,
    is_master_awaited: bool,
    without_master: bool,
    without_helper: bool,
    is_replaced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    PutFlow,
    RemoveFlow,
    ExtendFlow,
    PutExpectation,
    RemoveExpectation,
}

/// What a message of a round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Its refusal is the item's.
    Deed,
    /// Its answer is the flow that is there.
    Question,
    /// Its answer is the flow that has its reply's tuple.
    Rival,
    /// Its answer is a flow that is about to be deleted.
    Victim,
    /// Whether there was anything to delete does not matter.
    Clearing,
}

impl Batch {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Batch::default()
    }

    /// Whether flows that were answered in this kernel stay, whatever the records say: it is that of the box whose table counts.
    /// Applies to all that is in the batch.
    pub fn keep_answered(&mut self, keeps: bool) {
        self.keeps_answered = keeps;
    }

    /// Whether it takes no more: send it first.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items.len() >= RECORDS_MAX
    }

    /// Whether it has a record of that key. What is told of a flow twice has an order, and a batch has none: send it first.
    #[must_use]
    pub fn holds(&self, key: &[u8]) -> bool {
        let is_of = |item: &Item| self.records.get(item.key.clone()) == Some(key);
        self.keys.may_hold(key) && self.items.iter().any(is_of)
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// A flow or an expectation is to be there, as its record says, for `lifetime_s` seconds.
    ///
    /// # Errors
    /// A record that this version does not write.
    pub fn put(
        &mut self,
        kind: Kind,
        key: &[u8],
        value: &[u8],
        lifetime_s: u32,
    ) -> Result<(), record::Error> {
        let task = match kind {
            Kind::Flow => decode_flow(key, value).map(|_| Task::PutFlow),
            Kind::Expectation => decode_expectation(key, value).map(|_| Task::PutExpectation),
        };
        self.add(task?, key, value, lifetime_s);
        Ok(())
    }

    /// It is to be gone. That it is not there is no failure.
    ///
    /// # Errors
    /// A key that this version does not write.
    pub fn remove(&mut self, kind: Kind, key: &[u8]) -> Result<(), record::Error> {
        let task = match kind {
            Kind::Flow => decode_flow_key(key).map(|_| Task::RemoveFlow),
            Kind::Expectation => decode_expectation_key(key).map(|_| Task::RemoveExpectation),
        };
        self.add(task?, key, &[], 0);
        Ok(())
    }

    /// A flow that is there is to live for so many seconds from now; ENOENT where it is not.
    ///
    /// # Errors
    /// A key that this version does not write.
    pub fn extend(&mut self, key: &[u8], lifetime_s: u32) -> Result<(), record::Error> {
        decode_flow_key(key)?;
        self.add(Task::ExtendFlow, key, &[], lifetime_s);
        Ok(())
    }

    fn add(&mut self, task: Task, key: &[u8], value: &[u8], lifetime_s: u32) {
        self.keys.add(key);
        let start = self.records.len();
        self.records.extend_from_slice(key);
        let middle = self.records.len();
        self.records.extend_from_slice(value);
        self.items.push(Item {
            task,
            key: start..middle,
            value: middle..self.records.len(),
            lifetime_s,
            step: Step::First,
            said: Said::default(),
            is_master_awaited: false,
            without_master: false,
            without_helper: false,
            is_replaced: false,
        });
    }

    /// What to send now; `None` when all is settled. It ends with a fence: `answer` says when its answer is there,
    /// and then all others are.
    pub fn next_round(&mut self) -> Option<&[u8]> {
        // Numbers of a round are not used again in the next one, so late answers are told from new ones.
        let used = u32::try_from(self.messages.len()).unwrap_or(0);
        self.first_sequence = self.first_sequence.wrapping_add(used + 1);
        self.bytes.clear();
        self.messages.clear();
        self.rounds += 1;
        for number in 0..self.items.len() {
            self.encode(number);
        }
        if self.messages.is_empty() || self.rounds > ROUNDS_MAX {
            return None;
        }
        let fence = self.next_sequence();
        request::fence(&mut self.bytes, fence);
        Some(&self.bytes)
    }

    fn next_sequence(&self) -> u32 {
        let used = u32::try_from(self.messages.len()).unwrap_or(0);
        self.first_sequence.wrapping_add(used)
    }

    /// Appends the messages that an item wants in this round.
    fn encode(&mut self, number: usize) {
        let Some(item) = self.items.get_mut(number) else {
            return;
        };
        item.said = Said::default();
        let key = self.records.get(item.key.clone()).unwrap_or_default();
        let value = self.records.get(item.value.clone()).unwrap_or_default();
        let mut round = Round {
            number,
            bytes: &mut self.bytes,
            messages: &mut self.messages,
            first_sequence: self.first_sequence,
        };
        let is_open = !matches!(item.step, Step::Done | Step::Failed(_));
        // `put`, `remove` and `extend` have read the record, so it can be read.
        match item.task {
            _ if !is_open => {}
            Task::PutFlow => {
                if let Ok(flow) = decode_flow(key, value) {
                    round.put_flow(item, &item.as_it_goes(&flow));
                }
            }
            Task::PutExpectation => {
                if let Ok(expectation) = decode_expectation(key, value) {
                    let lifetime_s = item.lifetime_s;
                    let tuple = expectation.tuple;
                    round.add(Part::Clearing, |bytes, sequence| {
                        request::delete_expectation(bytes, sequence, &tuple);
                    });
                    round.add(Part::Deed, |bytes, sequence| {
                        request::create_expectation(bytes, sequence, &expectation, lifetime_s);
                    });
                }
            }
            Task::RemoveExpectation => {
                if let Ok((tuple, ..)) = decode_expectation_key(key) {
                    round.add(Part::Clearing, |bytes, sequence| {
                        request::delete_expectation(bytes, sequence, &tuple);
                    });
                }
            }
            Task::RemoveFlow => {
                if let Ok((tuple, zone)) = decode_flow_key(key) {
                    round.add(Part::Clearing, |bytes, sequence| {
                        request::delete(bytes, sequence, By::Original, &tuple, zone);
                    });
                }
            }
            Task::ExtendFlow => {
                if let Ok((tuple, zone)) = decode_flow_key(key) {
                    let lifetime_s = item.lifetime_s;
                    round.add(Part::Deed, |bytes, sequence| {
                        request::extend(bytes, sequence, &tuple, zone, lifetime_s);
                    });
                }
            }
        }
    }

    /// Takes what the kernel answered; says whether it is the fence's answer, with which the round is over.
    ///
    /// # Errors
    /// An answer that is none; what was taken before stands.
    pub fn answer(&mut self, message: &Message<'_>) -> Result<bool, DecodeError> {
        let place = message.sequence.wrapping_sub(self.first_sequence);
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if place == self.messages.len() {
            self.settle();
            return Ok(true);
        }
        let Some(&(number, part)) = self.messages.get(place) else {
            return Ok(false);
        };
        let Some(item) = self.items.get_mut(number) else {
            return Ok(false);
        };
        match message.outcome()? {
            Outcome::Refused(error) if part == Part::Deed => item.said.refusal = Some(error.errno),
            Outcome::Data if part != Part::Deed => {
                if let Some(Event::Flow(_, found)) = decode(message)? {
                    let key = self.records.get(item.key.clone()).unwrap_or_default();
                    let value = self.records.get(item.value.clone()).unwrap_or_default();
                    if let Ok(wanted) = decode_flow(key, value) {
                        item.said.hear(part, &found, &wanted);
                    }
                    if part == Part::Victim {
                        displace(&mut self.displaced, key, &found);
                    }
                }
            }
            _ => {}
        }
        Ok(false)
    }

    fn settle(&mut self) {
        for item in &mut self.items {
            let takes_part = !matches!(item.step, Step::Done | Step::Failed(_));
            if takes_part {
                item.step = item.after_round(self.keeps_answered);
            }
        }
    }

    /// What the kernel did not take, by key, with its errno.
    pub fn failures(&self) -> impl Iterator<Item = (Kind, &[u8], i32)> {
        self.items.iter().filter_map(|item| {
            let errno = match item.step {
                Step::Done => return None,
                Step::Failed(errno) => errno,
                // It went on changing from round to round.
                Step::First | Step::Compare | Step::Weigh | Step::Change | Step::Replace => EEXIST,
            };
            let kind = match item.task {
                Task::PutFlow | Task::RemoveFlow | Task::ExtendFlow => Kind::Flow,
                Task::PutExpectation | Task::RemoveExpectation => Kind::Expectation,
            };
            Some((kind, self.records.get(item.key.clone())?, errno))
        })
    }

    /// Keys of flows that were deleted since others had their place. No event tells of them.
    pub fn displaced(&self) -> impl Iterator<Item = &[u8]> {
        self.displaced.iter().map(Vec::as_slice)
    }

    /// Empties it for the next one.
    pub fn clear(&mut self) {
        self.items.clear();
        self.displaced.clear();
        self.keys.clear();
        self.records.clear();
        self.rounds = 0;
    }
}

/// Notes that `found` goes, unless it bears the name of the one that comes.
fn displace(displaced: &mut Vec<Vec<u8>>, key: &[u8], found: &FlowRef<'_>) {
    let mut recorder = Recorder::new();
    let found = recorder.flow_key(found);
    if found != key && displaced.iter().all(|known| known != found) {
        displaced.push(found.into());
    }
}

/// Where the messages of an item go.
struct Round<'a> {
    number: usize,
    bytes: &'a mut Vec<u8>,
    messages: &'a mut Vec<(usize, Part)>,
    first_sequence: u32,
}

impl Round<'_> {
    fn add(&mut self, part: Part, encode: impl FnOnce(&mut Vec<u8>, u32)) {
        let used = u32::try_from(self.messages.len()).unwrap_or(0);
        encode(self.bytes, self.first_sequence.wrapping_add(used));
        self.messages.push((self.number, part));
    }

    fn ask(&mut self, part: Part, name: (By, &Tuple, Zone)) {
        self.add(part, |bytes, sequence| request::get(bytes, sequence, name));
    }

    fn put_flow(&mut self, item: &Item, flow: &FlowRef<'_>) {
        let (original, reply, zone) = (&flow.original, &flow.reply, flow.zone);
        let (by_original, by_reply) = ((By::Original, original, zone), (By::Reply, reply, zone));
        let asks_first = matches!(item.step, Step::Compare | Step::Weigh);
        if asks_first {
            self.ask(Part::Question, by_original);
        }
        if item.step == Step::Weigh {
            self.ask(Part::Rival, by_reply);
            return;
        }
        if matches!(item.step, Step::Compare | Step::Change) {
            self.add(Part::Deed, |bytes, sequence| {
                request::update(bytes, sequence, flow, item.lifetime_s);
            });
            return;
        }
        if item.step == Step::Replace {
            self.ask(Part::Victim, by_original);
            self.ask(Part::Victim, by_reply);
            self.add(Part::Clearing, |bytes, sequence| {
                request::delete(bytes, sequence, By::Original, original, zone);
            });
            self.add(Part::Clearing, |bytes, sequence| {
                request::delete(bytes, sequence, By::Reply, reply, zone);
            });
        }
        self.add(Part::Deed, |bytes, sequence| {
            request::create(bytes, sequence, flow, item.lifetime_s);
        });
    }
}

impl Item {
    /// The flow without what this kernel does not have.
    fn as_it_goes<'a>(&self, flow: &FlowRef<'a>) -> FlowRef<'a> {
        FlowRef {
            master: flow.master.filter(|_| !self.without_master),
            helper: flow.helper.filter(|_| !self.without_helper),
            ..*flow
        }
    }
}

#[cfg(test)]
mod tests;
