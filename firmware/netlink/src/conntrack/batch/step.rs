//! What is to be done next about a record, after what the kernel said of it.

use super::{EBUSY, EEXIST, ENOENT, ENOSPC, EOPNOTSUPP, Item, Part, Task};
use crate::conntrack::flow::{ASSURED, FlowRef, SEEN_REPLY};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Do it.
    First,
    /// A flow of that tuple is there: ask which, and change it.
    Compare,
    /// The same, but ask first, and of whatever is in the way.
    Weigh,
    /// It is the same one: change it.
    Change,
    /// Another one is there: delete what is in the way, and create.
    Replace,
    Done,
    /// With the kernel's errno.
    Failed(i32),
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said {
    pub(super) refusal: Option<i32>,
    pub(super) is_same: bool,
    /// The same one, and it has seen more.
    is_ahead: bool,
    /// What is in the way was answered.
    is_answered: bool,
}

impl Said {
    /// What stands in this kernel where `wanted` is to be.
    pub(super) fn hear(&mut self, part: Part, found: &FlowRef<'_>, wanted: &FlowRef<'_>) {
        let is_same = is_same(found, wanted);
        if part == Part::Question {
            self.is_same = is_same;
            self.is_ahead = is_same && found.status & !wanted.status & (SEEN_REPLY | ASSURED) != 0;
        }
        self.is_answered |= !is_same && found.is(SEEN_REPLY);
    }
}

/// Whether it is the same flow, not just one of the same original direction.
fn is_same(found: &FlowRef<'_>, wanted: &FlowRef<'_>) -> bool {
    found.original == wanted.original && found.reply == wanted.reply && found.zone == wanted.zone
}

impl Item {
    /// The next step, after what the kernel said.
    pub(super) fn after_round(&mut self, keeps_answered: bool) -> Step {
        match (self.task, self.step, self.said.refusal) {
            (_, Step::Weigh, _) => self.after_weighing(),
            (_, Step::Change, None | Some(ENOSPC)) => Step::Done,
            (_, Step::Change, Some(errno)) => Step::Failed(errno),
            (Task::PutFlow, Step::Compare, None) if self.said.is_same => Step::Done,
            // All was changed but the labels, for which no rule of this kernel has a use.
            (Task::PutFlow, Step::Compare, Some(ENOSPC)) if self.said.is_same => Step::Done,
            (Task::PutFlow, Step::Compare, _) => Step::Replace,
            (_, _, None) => Step::Done,
            (Task::PutFlow, step, Some(EEXIST))
                if keeps_answered && step == Step::First && !self.is_replaced =>
            {
                Step::Weigh
            }
            (Task::PutFlow, step, Some(errno)) => self.after_refused_creation(step, errno),
            (Task::PutExpectation, _, Some(ENOENT)) if !self.is_master_awaited => {
                self.is_master_awaited = true;
                Step::First
            }
            (_, _, Some(errno)) => Step::Failed(errno),
        }
    }

    fn after_weighing(&self) -> Step {
        match self.said {
            Said { is_ahead: true, .. } => Step::Failed(EBUSY),
            Said { is_same: true, .. } => Step::Change,
            Said {
                is_answered: true, ..
            } => Step::Failed(EEXIST),
            Said { .. } => Step::Replace,
        }
    }

    fn after_refused_creation(&mut self, step: Step, errno: i32) -> Step {
        self.is_replaced |= step == Step::Replace;
        match errno {
            EEXIST if !self.is_replaced => Step::Compare,
            // No master: it may come in this very batch. Without one the flow passes all the same.
            ENOENT if !self.is_master_awaited => {
                self.is_master_awaited = true;
                Step::First
            }
            ENOENT if !self.without_master => {
                self.without_master = true;
                Step::First
            }
            EOPNOTSUPP if !self.without_helper => {
                self.without_helper = true;
                Step::First
            }
            errno => Step::Failed(errno),
        }
    }
}
