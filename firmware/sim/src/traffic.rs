//! Frames on their way: from a node through its cable to the other box, and to whoever else is on the segment.

use crate::cable::Chunk;
use crate::queue::Item;
use crate::world::World;
use proto::node::{LinkIndex, Medium, Transmit};
use proto::wire::FrameBytes;

/// Time from a box to its neighbours on the segment.
const NEIGHBOUR_US: u64 = 100;

impl World {
    pub(crate) fn send(&mut self, from: usize, transmit: Transmit) {
        let link = usize::from(transmit.link.0);
        let now_us = self.now_us;
        let cable = &mut self.pairs[from / 2].cables[link];
        if cable.medium != Medium::Datagram {
            if let Some((chunk, through_us)) = cable.queue(now_us, from % 2, &transmit.frame) {
                self.queue
                    .plan(through_us, Item::Through { from, link, chunk });
            }
            return;
        }
        let fate = cable.send(now_us, from % 2, &transmit.frame);
        if self.machines.len() > 2 || self.setup.hears_itself {
            self.overheard(from, link, &transmit.frame);
        }
        let to = from ^ 1;
        if let Some(at_us) = fate.again_us {
            let frame = transmit.frame.clone();
            self.queue.plan(at_us, Item::Frame { to, link, frame });
        }
        if let Some(at_us) = fate.arrives_us {
            let mut frame = transmit.frame;
            if let Some((at, mask)) = fate.flipped {
                frame[at] ^= mask;
            }
            self.queue.plan(at_us, Item::Frame { to, link, frame });
        }
    }

    /// Others on the segment receive a datagram, too.
    fn overheard(&mut self, from: usize, link: usize, frame: &FrameBytes) {
        for to in 0..self.machines.len() {
            let is_own = to == from && self.setup.hears_itself;
            if is_own || to / 2 != from / 2 {
                let at_us = self.now_us + NEIGHBOUR_US;
                let frame = frame.clone();
                self.queue.plan(at_us, Item::Frame { to, link, frame });
            }
        }
    }

    pub(crate) fn receive(&mut self, to: usize, link: usize, frame: FrameBytes) {
        let index = LinkIndex(u8::try_from(link).unwrap_or(u8::MAX));
        if self.machines[to].node.is_none() {
            return;
        }
        if self.machines[to].asleep.is_some() || self.dozes(to) {
            return self.machines[to].buffer(index, frame);
        }
        self.call(to, |node, now| node.handle_frame(now, index, &frame));
    }

    /// Bytes have left a serial port, which takes the next ones.
    pub(crate) fn through(&mut self, from: usize, link: usize, chunk: Chunk) {
        let now_us = self.now_us;
        let cable = &mut self.pairs[from / 2].cables[link];
        let at_us = cable.arrival_us(now_us, from % 2);
        let next = cable.go_on(now_us, from % 2);
        self.queue.plan(at_us, Item::Read { from, link, chunk });
        if let Some((chunk, through_us)) = next {
            self.queue
                .plan(through_us, Item::Through { from, link, chunk });
        }
    }

    /// The other end reads them.
    pub(crate) fn read(&mut self, from: usize, link: usize, chunk: &Chunk) {
        let mut frames = core::mem::take(&mut self.frames);
        let cable = &mut self.pairs[from / 2].cables[link];
        cable.read(self.now_us, from % 2, chunk, &mut frames);
        for frame in frames.drain(..) {
            self.receive(from ^ 1, link, frame);
        }
        self.frames = frames;
    }
}
