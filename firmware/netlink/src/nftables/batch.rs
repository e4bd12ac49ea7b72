//! A batch: messages that nfnetlink carries out together or not at all (NFNL_MSG_BATCH_BEGIN … END of
//! linux/netfilter/nfnetlink.h), and what each of them is about.

use super::refusal::{Place, Refusal, Unsayable, Why};
use super::rule;
use super::writer::Writer;
use super::{Kind, SUBSYSTEM};
use crate::error::KernelError;
use crate::message::messages;
use neli::consts::nl::NlmF;
use plan::ruleset::{Family, Ruleset};

/// NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// NFNL_BATCH_GENID.
const BATCH_GENERATION: u16 = 1;

/// A ruleset as one batch. Every message is known by its sequence number: the first one opens the batch, the
/// last but one asks for the acknowledgement that says that all of it is in force.
#[derive(Debug)]
pub struct Batch<'a> {
    ruleset: &'a Ruleset,
    bytes: Vec<u8>,
    first_sequence: u32,
    places: Vec<Place>,
}

impl Batch<'_> {
    /// The whole datagram.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // Beginning and end.
        self.places.len() <= 2
    }

    /// Messages, and so sequence numbers, in it.
    #[must_use]
    pub fn messages(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// Whether an answer of this sequence number belongs to it.
    #[must_use]
    pub fn has(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first_sequence) < self.messages()
    }

    /// Whether an answer of this sequence number, when it is good, says that all of it is in force.
    #[must_use]
    pub fn is_last(&self, sequence: u32) -> bool {
        // The end of the batch is the last one.
        sequence.wrapping_sub(self.first_sequence) == self.messages().saturating_sub(2)
    }

    /// The kernel's error in answer to the message of this sequence number, with what that was about; `at`: where
    /// in it lies what was refused (`Message::refused_at`).
    #[must_use]
    pub fn refusal(&self, sequence: u32, error: KernelError, at: Option<usize>) -> Refusal {
        let position = usize::try_from(sequence.wrapping_sub(self.first_sequence)).ok();
        let place = position.and_then(|position| self.places.get(position));
        let place = place.copied().unwrap_or(Place::Batch);
        let refused = position.and_then(|position| messages(&self.bytes).nth(position)?.ok());
        let step = refused
            .zip(at)
            .and_then(|(message, at)| rule::step_at(&message, at));
        Refusal {
            place: place.words(self.ruleset),
            step,
            error,
        }
    }
}

/// A batch while it is written.
pub(super) struct Draft<'a> {
    pub(super) ruleset: &'a Ruleset,
    writer: Writer,
    first_sequence: u32,
    places: Vec<Place>,
    /// Where the last message starts.
    last_message: usize,
    /// Number of the next set, by which other messages of the batch know it.
    next_set: u32,
}

impl<'a> Draft<'a> {
    /// Opens a batch that is void unless the kernel's generation is this one.
    pub(super) fn open(ruleset: &'a Ruleset, generation: u32, first_sequence: u32) -> Self {
        let mut draft = Draft {
            ruleset,
            writer: Writer::default(),
            first_sequence,
            places: Vec::new(),
            last_message: 0,
            next_set: 1,
        };
        draft.raw_message(BATCH_BEGIN, NlmF::empty(), None, Place::Batch, |writer| {
            writer.u32(BATCH_GENERATION, generation);
        });
        draft
    }

    /// A number for a set.
    pub(super) fn number_set(&mut self) -> u32 {
        let number = self.next_set;
        self.next_set = number.wrapping_add(1);
        number
    }

    /// One message.
    pub(super) fn message<T>(
        &mut self,
        kind: Kind,
        flags: NlmF,
        family: Family,
        place: Place,
        attributes: impl FnOnce(&mut Writer) -> T,
    ) -> T {
        self.raw_message(kind.number(), flags, Some(family), place, attributes)
    }

    fn raw_message<T>(
        &mut self,
        kind: u16,
        flags: NlmF,
        family: Option<Family>,
        place: Place,
        attributes: impl FnOnce(&mut Writer) -> T,
    ) -> T {
        let position = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let sequence = self.first_sequence.wrapping_add(position);
        self.places.push(place);
        let flags = u16::from(NlmF::REQUEST | flags);
        let family_number = family.map_or(0, family_number);
        let resource = if family.is_some() { 0 } else { SUBSYSTEM };
        let writer = &mut self.writer;
        let start = writer.open_message(kind, flags, sequence, family_number, resource);
        self.last_message = start;
        let result = attributes(writer);
        writer.close_message(start);
        result
    }

    /// Closes the batch.
    pub(super) fn close(mut self) -> Result<Batch<'a>, Unsayable> {
        self.writer.ask_for_acknowledgement(self.last_message);
        self.raw_message(BATCH_END, NlmF::empty(), None, Place::Batch, |_| ());
        let too_long = Why::TooLong("an attribute");
        let Some(bytes) = self.writer.finish() else {
            return Err(Unsayable::new(Place::Batch, self.ruleset, too_long));
        };
        Ok(Batch {
            ruleset: self.ruleset,
            bytes,
            first_sequence: self.first_sequence,
            places: self.places,
        })
    }
}

/// NFPROTO_*.
pub(super) const fn family_number(family: Family) -> u8 {
    match family {
        Family::Inet => 1,
        Family::Ip => 2,
        Family::Arp => 3,
        Family::Netdev => 5,
        Family::Ip6 => 10,
    }
}
