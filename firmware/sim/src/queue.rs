//! What is going to happen, in the order of time; what is due at the same moment, in the order it was planned.

use crate::cable::Chunk;
use core::cmp::Reverse;
use proto::wire::FrameBytes;
use std::collections::BinaryHeap;

/// Something that is going to happen. Boxes are places in `World::machines`, links in `Pair::cables`.
#[derive(Debug)]
pub(crate) enum Item {
    /// A datagram, or a frame that somebody plays again, is received.
    Frame {
        to: usize,
        link: usize,
        frame: FrameBytes,
    },
    /// Bytes have left a serial port.
    Through {
        from: usize,
        link: usize,
        chunk: Chunk,
    },
    /// Bytes of a serial line are read at the other end.
    Read {
        from: usize,
        link: usize,
        chunk: Chunk,
    },
    /// A box is switched on, or its worker is.
    Start { of: usize },
    /// A box goes on after it stood still.
    Awake { of: usize },
    /// The kernel is done with a change of addresses.
    Changed { of: usize, number: u64 },
    /// The dataplane repeats whether it is ready.
    Ready { of: usize, start: u64 },
    /// A box holds the connections of its twin.
    InSync { of: usize, start: u64 },
    /// A box that resigned goes off, for so many microseconds.
    Off { of: usize, start: u64, off_us: u64 },
    /// An event of the schedule comes true, or is armed.
    Event { index: usize, is_armed: bool },
    /// One of the frames that are played again.
    Replay {
        to: usize,
        link: usize,
        turn: u64,
        left: u64,
        gap_us: u64,
    },
    /// Something that lasted is over.
    Over { index: usize },
}

/// What is going to happen. The heap orders places only, since items are large.
#[derive(Default)]
pub(crate) struct Queue {
    /// When, as the how manieth, and its place in `items`.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    items: Vec<Option<Item>>,
    free: Vec<usize>,
    planned: u64,
}

impl Queue {
    pub(crate) fn plan(&mut self, at_us: u64, item: Item) {
        self.planned += 1;
        let place = self.free.pop().unwrap_or(self.items.len());
        if place == self.items.len() {
            self.items.push(Some(item));
        } else {
            self.items[place] = Some(item);
        }
        self.order.push(Reverse((at_us, self.planned, place)));
    }

    /// When something happens next.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.order.peek().map(|Reverse((at_us, ..))| *at_us)
    }

    pub(crate) fn pop(&mut self) -> Option<Item> {
        let Reverse((_, _, place)) = self.order.pop()?;
        self.free.push(place);
        self.items[place].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_comes_what_is_earlier_then_what_was_planned_first() {
        let mut queue = Queue::default();
        for (at_us, of) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            queue.plan(at_us, Item::Start { of });
        }
        assert_eq!(queue.next_us(), Some(3));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let boxes = order.iter().map(|item| match item {
            Item::Start { of } => *of,
            _ => usize::MAX,
        });
        assert_eq!(boxes.collect::<Vec<_>>(), [1, 3, 0, 2]);
    }
}
