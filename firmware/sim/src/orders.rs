//! What the driver and its kernel do about the node's orders: addresses take their time to be set and removed, some
//! kernels are slow or refuse, and a newer order replaces the one that is being carried out.

use crate::machine::Change;
use crate::queue::Item;
use crate::schedule::Trouble;
use crate::world::World;
use proto::failover::State;
use proto::node::{Action, Input};
use proto::report::Report;

impl World {
    pub(crate) fn act(&mut self, of: usize, action: Action) {
        match action {
            Action::Report(report) => {
                self.tell(of, || report.to_string());
                if let Report::Transition(transition) = report {
                    self.judge_transition(of, &transition);
                    self.machines[of].state = transition.to;
                    self.machines[of].state_since_us = self.now_us;
                    self.machines[of].reason = Some(transition.reason);
                    if transition.to != State::Taking {
                        self.machines[of].hear_out(self.now_us);
                    }
                    self.fire(transition.to);
                }
                if let Report::Link { link, up } = report {
                    self.link_changed(of, link, up);
                }
            }
            Action::Announce => {
                self.tell(of, || "announces the addresses again".into());
                self.announced(of);
            }
            Action::TakeAddresses { term } => {
                self.fold(term);
                self.judge_take(of, term);
                self.begin_change(of, action);
            }
            Action::ReleaseAddresses { .. } => self.begin_change(of, action),
        }
    }

    fn link_changed(&mut self, of: usize, link: u8, up: bool) {
        let machine = &mut self.machines[of];
        machine.links_up &= !(1 << link);
        machine.links_up |= u32::from(up) << link;
        if up {
            machine.probes_before = machine.probes();
        }
        machine.hear_out(self.now_us);
    }

    /// The kernel begins to set or remove addresses. A newer order replaces one that is being carried out.
    fn begin_change(&mut self, of: usize, action: Action) {
        let trouble = self.machines[of].trouble(self.now_us);
        let usual_us = self.setup.change_us / 2 + self.random.below(self.setup.change_us);
        let change_us = match trouble {
            Some(Trouble::Slow { change_us }) => change_us,
            _ => usual_us,
        };
        let done_us = self.now_us + change_us;
        let kernel = &mut self.machines[of].kernel;
        kernel.changes += 1;
        let number = kernel.changes;
        kernel.change = Some(Change {
            order: action,
            number,
            done_us,
            is_troubled: trouble.is_some(),
        });
        if matches!(action, Action::ReleaseAddresses { .. }) {
            kernel.note_held(self.now_us);
            kernel.all &= trouble == Some(Trouble::CannotRelease);
        } else if trouble != Some(Trouble::CannotTake) {
            kernel.any = true;
        }
        self.queue.plan(done_us, Item::Changed { of, number });
    }

    /// The kernel is done.
    pub(crate) fn changed(&mut self, of: usize, number: u64) {
        let now_us = self.now_us;
        let machine = &mut self.machines[of];
        let trouble = machine.trouble(now_us);
        let kernel = &mut machine.kernel;
        let Some(Change { order, .. }) = kernel.change.filter(|it| it.number == number) else {
            return;
        };
        if machine.asleep.is_some() {
            return;
        }
        let answer = match order {
            // It hangs, until a newer order replaces it.
            Action::TakeAddresses { .. } if trouble == Some(Trouble::CannotTake) => return,
            Action::ReleaseAddresses { .. } if trouble == Some(Trouble::CannotRelease) => return,
            Action::TakeAddresses { term } => {
                (kernel.any, kernel.all) = (true, true);
                self.tell(of, || "has set and announced the addresses".into());
                self.announced(of);
                Input::AddressesTaken { term }
            }
            Action::ReleaseAddresses { term } => {
                (kernel.any, kernel.all) = (false, false);
                self.tell(of, || "has removed the addresses".into());
                self.released(of);
                Input::AddressesReleased { term }
            }
            Action::Announce | Action::Report(_) => return,
        };
        self.machines[of].kernel.change = None;
        self.input(of, answer);
    }
}
