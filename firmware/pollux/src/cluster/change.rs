//! The way from one set of virtual addresses in the kernel to another: which request is next, and when the
//! last is answered. A newer change replaces one under way; answers to the old one then count no more.
//! Pure; `addresses` sends and receives.

/// Requests that may be unanswered at once: they are carried out within the system call that sends them, and
/// for so long the node hears no beat and sends none.
const UNANSWERED_MAX: usize = 32;

const _: () = assert!(UNANSWERED_MAX <= sys::netlink::REQUESTS_MAX);

/// What a change is to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// All are set, by an order of this term.
    Take {
        /// As in the order.
        term: u64,
    },
    /// All are removed, by an order of this term.
    Release {
        /// As in the order.
        term: u64,
    },
    /// Those that are missing are set.
    Mend,
}

/// What one request of a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The device at this position among the bearers.
    Bearer(usize),
    /// The virtual address at this position.
    Address(usize),
}

/// A change under way, or none.
#[derive(Debug, Default)]
pub struct Change {
    goal: Option<Goal>,
    /// What is to be changed, in this order.
    queue: Vec<Target>,
    /// Sequence number of the first one's request.
    first: u32,
    sent: usize,
    answered: usize,
    failed: bool,
}

impl Change {
    /// Begins a change of `targets`, whatever was under way.
    pub fn begin(&mut self, goal: Goal, targets: impl Iterator<Item = Target>) {
        let used = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        self.first = self.first.wrapping_add(used);
        self.queue.clear();
        self.queue.extend(targets);
        self.goal = Some(goal);
        (self.sent, self.answered, self.failed) = (0, 0, false);
    }

    /// What is under way.
    pub fn goal(&self) -> Option<Goal> {
        self.goal
    }

    /// Gives up.
    pub fn stop(&mut self) {
        self.goal = None;
    }

    /// There is a request to send.
    pub fn wants_to_send(&self) -> bool {
        let unanswered = self.sent.saturating_sub(self.answered);
        self.goal.is_some() && self.sent < self.queue.len() && unanswered < UNANSWERED_MAX
    }

    /// The next request to send: its sequence number, and what it is about.
    pub fn poll_request(&mut self) -> Option<(u32, Target)> {
        if !self.wants_to_send() {
            return None;
        }
        let target = *self.queue.get(self.sent)?;
        let offset = u32::try_from(self.sent).unwrap_or(u32::MAX);
        self.sent = self.sent.saturating_add(1);
        Some((self.first.wrapping_add(offset), target))
    }

    /// Counts an answer, and says what it is about; `None` where it belongs to an earlier change.
    pub fn answer(&mut self, sequence: u32) -> Option<Target> {
        let offset = usize::try_from(sequence.wrapping_sub(self.first)).ok()?;
        if self.goal.is_none() || offset >= self.sent {
            return None;
        }
        self.answered = self.answered.saturating_add(1);
        self.queue.get(offset).copied()
    }

    /// The goal is missed: somebody has to order it anew.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// What was under way, once all is answered; told once. A goal that was missed is never told.
    pub fn poll_done(&mut self) -> Option<Goal> {
        let is_over = self.answered >= self.queue.len();
        let goal = self.goal.take_if(|_| is_over)?;
        (!self.failed).then_some(goal)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn addresses(count: usize) -> impl Iterator<Item = Target> {
        (0..count).map(Target::Address)
    }

    /// All that may be sent now.
    fn sent(change: &mut Change) -> Vec<(u32, Target)> {
        core::iter::from_fn(|| change.poll_request()).collect()
    }

    #[test]
    fn hundreds_go_in_bounded_parts_and_are_done_when_the_last_is_answered() {
        let mut change = Change::default();
        let goal = Goal::Take { term: 3 };
        change.begin(goal, addresses(200));
        let mut turns = 0;
        let mut changed = Vec::new();
        while change.goal().is_some() {
            let part = sent(&mut change);
            assert!((1..=UNANSWERED_MAX).contains(&part.len()));
            assert!(!change.wants_to_send());
            for (sequence, target) in part {
                assert_eq!(change.poll_done(), None);
                assert_eq!(change.answer(sequence), Some(target));
                changed.push(target);
            }
            turns += 1;
            if changed.len() == 200 {
                assert_eq!(change.poll_done(), Some(goal));
            }
        }
        assert_eq!(changed, addresses(200).collect::<Vec<_>>());
        assert_eq!(turns, 200_usize.div_ceil(UNANSWERED_MAX));
        assert_eq!(change.poll_done(), None);
    }

    #[test]
    fn answers_to_a_change_that_was_replaced_count_no_more() {
        let mut change = Change::default();
        change.begin(Goal::Take { term: 3 }, addresses(5));
        let taken = sent(&mut change);
        change.begin(Goal::Release { term: 3 }, addresses(5));
        let released = sent(&mut change);
        for (sequence, _) in taken {
            assert_eq!(change.answer(sequence), None);
        }
        assert_eq!(change.poll_done(), None);
        for (sequence, target) in released {
            assert_eq!(change.answer(sequence), Some(target));
        }
        assert_eq!(change.poll_done(), Some(Goal::Release { term: 3 }));
    }

    #[test]
    fn nothing_to_change_is_done_at_once() {
        let mut change = Change::default();
        assert_eq!(change.poll_done(), None);
        change.begin(Goal::Release { term: 1 }, core::iter::empty());
        assert_eq!(change.poll_done(), Some(Goal::Release { term: 1 }));
    }

    #[test]
    fn a_goal_that_was_missed_is_not_told() {
        let mut change = Change::default();
        change.begin(Goal::Release { term: 1 }, addresses(1));
        let (sequence, _) = change.poll_request().unwrap();
        change.fail();
        change.answer(sequence);
        assert_eq!(change.poll_done(), None);
        assert_eq!(change.goal(), None);
    }
}
