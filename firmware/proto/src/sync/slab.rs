//! The slab: newest states of the flows that the peer does not have yet, and nothing else. It is bounded; who
//! finds it full must stop reading events until acknowledgements made room. States lie in chained cells, since
//! most take one and a few take eleven.

use super::{KEY_BYTES_MAX, Kind, VALUE_BYTES_MAX};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Flows on their way at most. At 10000 changes a second and 10 ms to the peer and back there are 100; the rest
/// is for bursts while the link is busy, and bounds the memory to 15 MB when all is taken.
pub(super) const SLOTS_MAX: usize = 65_536;
const CELL_BYTES: usize = 56;
const CELLS_MAX: usize = 2 * SLOTS_MAX;
/// Cells of the largest record.
const CELLS_PER_SLOT_MAX: usize = (KEY_BYTES_MAX + VALUE_BYTES_MAX).div_ceil(CELL_BYTES);
const NONE: u32 = u32::MAX;

/// A flow's newest state on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) hash: u64,
    /// Microseconds, when the oldest news in it came.
    pub(super) noted_us: u64,
    /// Datagram that carries this state; 0 while none does.
    pub(super) sequence: u64,
    pub(super) rank: u32,
    pub(super) lifetime_s: u32,
    first_cell: u32,
    key_bytes: u16,
    value_bytes: u16,
    pub(super) kind: Kind,
    pub(super) is_removal: bool,
    /// The peer knows nothing of the flow yet.
    pub(super) is_unsent: bool,
    /// Somebody waits for a flush that this is part of.
    pub(super) is_awaited: bool,
    is_used: bool,
    is_queued: bool,
}

struct Cell {
    bytes: [u8; CELL_BYTES],
    next: u32,
}

/// What is on its way, and what of it waits to be sent, oldest first.
pub(super) struct Slab {
    slots: Vec<Slot>,
    cells: Vec<Cell>,
    free_slots: Vec<u32>,
    free_cell: u32,
    cells_used: usize,
    queue: VecDeque<u32>,
    used: usize,
}

/// A record to be written into a datagram.
pub(super) struct Stored<'a> {
    slab: &'a Slab,
    pub(super) slot: Slot,
}

impl Slab {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            cells: Vec::new(),
            free_slots: Vec::new(),
            free_cell: NONE,
            cells_used: 0,
            queue: VecDeque::new(),
            used: 0,
        }
    }

    /// Flows that may surely still be put in.
    pub(super) fn room(&self) -> usize {
        let slots = SLOTS_MAX - self.slots.len() + self.free_slots.len();
        slots.min((CELLS_MAX - self.cells_used) / CELLS_PER_SLOT_MAX)
    }

    /// Flows on their way.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Flows that wait to be sent.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Puts in a new flow's state, to be sent; `None` where there is no room.
    pub(super) fn insert(&mut self, slot: Slot, key: &[u8], value: &[u8]) -> Option<u32> {
        if self.room() == 0 {
            return None;
        }
        let number = match self.free_slots.pop() {
            Some(number) => number,
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        let first_cell = self.store(key, value);
        *self.slots.get_mut(number as usize)? = Slot {
            first_cell,
            key_bytes: u16::try_from(key.len()).ok()?,
            value_bytes: u16::try_from(value.len()).ok()?,
            is_used: true,
            is_queued: false,
            ..slot
        };
        self.used += 1;
        self.enqueue(number);
        Some(number)
    }

    /// Newer state for a flow that is on its way; says whether there was room. The oldest news stay the measure
    /// of how late the peer learns of it.
    pub(super) fn replace(&mut self, number: u32, newer: Slot, key: &[u8], value: &[u8]) -> bool {
        let Some(old) = self.get(number) else {
            return false;
        };
        if self.room() == 0 {
            return false;
        }
        self.release_cells(old.first_cell);
        let first_cell = self.store(key, value);
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.first_cell = first_cell;
            slot.key_bytes = u16::try_from(key.len()).unwrap_or_default();
            slot.value_bytes = u16::try_from(value.len()).unwrap_or_default();
            slot.sequence = 0;
            slot.rank = newer.rank;
            slot.lifetime_s = newer.lifetime_s;
            slot.is_removal = newer.is_removal;
        }
        self.enqueue(number);
        true
    }

    /// The slot, if it is in use.
    pub(super) fn get(&self, number: u32) -> Option<Slot> {
        let slot = self.slots.get(number as usize)?;
        slot.is_used.then_some(*slot)
    }

    /// The slot with its record.
    pub(super) fn record(&self, number: u32) -> Option<Stored<'_>> {
        let slot = self.get(number)?;
        Some(Stored { slab: self, slot })
    }

    /// Frees a slot; the queue forgets it when its turn comes.
    pub(super) fn free(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return;
        };
        if !core::mem::replace(&mut slot.is_used, false) {
            return;
        }
        self.used -= 1;
        let first = slot.first_cell;
        slot.first_cell = NONE;
        // A queued one is handed out again only once it has left the queue.
        if !slot.is_queued {
            self.free_slots.push(number);
        }
        self.release_cells(first);
    }

    /// Frees all of them; `each` hears which flows they were.
    pub(super) fn clear(&mut self, mut each: impl FnMut(&Slot)) {
        for slot in self.slots.iter().filter(|slot| slot.is_used) {
            each(slot);
        }
        *self = Self::new();
    }

    /// All that is on its way.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| slot.is_used)
    }

    /// The one that waits longest.
    pub(super) fn front(&mut self) -> Option<(u32, Slot)> {
        while let Some(&number) = self.queue.front() {
            match self.get(number) {
                Some(slot) => return Some((number, slot)),
                None => self.pop(),
            }
        }
        None
    }

    /// The same, without tidying the queue.
    pub(super) fn first_queued(&self) -> Option<Slot> {
        self.queue.iter().find_map(|number| self.get(*number))
    }

    /// Takes the first one off the queue.
    pub(super) fn pop(&mut self) {
        let Some(number) = self.queue.pop_front() else {
            return;
        };
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return;
        };
        slot.is_queued = false;
        if !slot.is_used {
            self.free_slots.push(number);
        }
    }

    /// The first one is sent with that datagram.
    pub(super) fn send_front(&mut self, number: u32, sequence: u64) {
        self.pop();
        if let Some(slot) = self.slots.get_mut(number as usize) {
            slot.is_unsent = false;
            slot.sequence = sequence;
        }
    }

    /// The datagram that carried it is lost: its newest state is to be sent again. Says whether that was news.
    pub(super) fn lose(&mut self, number: u32, sequence: u64) -> bool {
        let carried = self.get(number).is_some_and(|it| it.sequence == sequence);
        if carried {
            if let Some(slot) = self.slots.get_mut(number as usize) {
                slot.sequence = 0;
            }
            self.enqueue(number);
        }
        carried
    }

    fn enqueue(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize)
            && !core::mem::replace(&mut slot.is_queued, true)
        {
            self.queue.push_back(number);
        }
    }

    /// Stores key and value one behind the other; the room was checked.
    fn store(&mut self, key: &[u8], value: &[u8]) -> u32 {
        let mut first = NONE;
        let mut bytes = key.iter().chain(value).copied();
        let mut last = NONE;
        let cells = (key.len() + value.len()).div_ceil(CELL_BYTES);
        for _ in 0..cells {
            let number = self.take_cell();
            if let Some(cell) = self.cells.get_mut(number as usize) {
                for (to, from) in cell.bytes.iter_mut().zip(&mut bytes) {
                    *to = from;
                }
            }
            match self.cells.get_mut(last as usize) {
                Some(cell) => cell.next = number,
                None => first = number,
            }
            last = number;
        }
        first
    }

    fn take_cell(&mut self) -> u32 {
        self.cells_used += 1;
        if let Some(cell) = self.cells.get_mut(self.free_cell as usize) {
            let number = self.free_cell;
            self.free_cell = cell.next;
            cell.next = NONE;
            return number;
        }
        self.cells.push(Cell {
            bytes: [0; CELL_BYTES],
            next: NONE,
        });
        u32::try_from(self.cells.len() - 1).unwrap_or(NONE)
    }

    fn release_cells(&mut self, mut number: u32) {
        while let Some(cell) = self.cells.get_mut(number as usize) {
            let next = core::mem::replace(&mut cell.next, self.free_cell);
            self.free_cell = number;
            self.cells_used -= 1;
            number = next;
        }
    }
}

impl Slot {
    /// A flow's state that came at that time, in microseconds.
    pub(super) fn new(hash: u64, kind: Kind, noted_us: u64) -> Self {
        Self {
            hash,
            noted_us,
            sequence: 0,
            rank: 0,
            lifetime_s: 0,
            first_cell: NONE,
            key_bytes: 0,
            value_bytes: 0,
            kind,
            is_removal: false,
            is_unsent: false,
            is_awaited: false,
            is_used: false,
            is_queued: false,
        }
    }
}

impl Stored<'_> {
    /// Lengths of key and value.
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.slot.key_bytes.into(), self.slot.value_bytes.into())
    }

    /// Key and value, one behind the other, in pieces.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (key, value) = self.lengths();
        let mut left = key + value;
        let mut next = self.slot.first_cell;
        core::iter::from_fn(move || {
            let cell = self.slab.cells.get(next as usize)?;
            let piece = cell.bytes.get(..left.min(CELL_BYTES))?;
            left -= piece.len();
            next = cell.next;
            Some(piece)
        })
    }
}
