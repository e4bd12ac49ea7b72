//! What is said to the kernel to change the virtual addresses, and what it answers: requests in bounded
//! batches, answers as they come, each failure said once with its reason.

use super::{Addresses, Done, Placement, RETRY_INTERVAL, Raised, announce};
use crate::clock::now;
use crate::cluster::change::{Goal, Target};
use netlink::KernelError;
use sys::netlink::{Error, Received};

impl Addresses {
    /// Goes on with what is under way, by a bounded number of requests. Says what was brought about, once.
    pub fn advance(&mut self) -> Option<Done> {
        self.change.goal()?;
        if let Err(error) = self.ask().and_then(|()| self.hear_answers()) {
            // Whoever ordered it will do so again; trying on at once would be a loop without end.
            log::error!("virtual addresses can't be changed: {error}");
            self.change.stop();
            return None;
        }
        let done = self.change.poll_done()?;
        let any_set = core::mem::take(&mut self.any_set);
        self.held = !matches!(done, Goal::Release { .. });
        self.retry_at = now().saturating_add(RETRY_INTERVAL);
        if core::mem::take(&mut self.look_again) {
            self.mend();
        }
        Some(match done {
            Goal::Take { term } => Done::Taken { term },
            Goal::Release { term } => Done::Released { term },
            Goal::Mend => Done::Mended { any: any_set },
        })
    }

    fn ask(&mut self) -> Result<(), Error> {
        self.datagram.clear();
        let removes = matches!(self.change.goal(), Some(Goal::Release { .. }));
        while let Some((sequence, target)) = self.change.poll_request() {
            let request = match target {
                Target::Bearer(at) if removes => self.bearers.get(at).map(Raised::lower),
                Target::Bearer(at) => self.bearers.get(at).map(Raised::raise),
                Target::Address(at) if removes => {
                    self.placements.get(at).and_then(Placement::delete)
                }
                Target::Address(at) => self.placements.get(at).and_then(Placement::add),
            };
            match request {
                Some(request) => request.append_to(&mut self.datagram, sequence),
                // Its device went after the change began: nothing is there and nothing can be.
                None => _ = self.change.answer(sequence),
            }
        }
        if self.datagram.is_empty() {
            return Ok(());
        }
        let attempt = if removes {
            "removing addresses"
        } else {
            "adding addresses"
        };
        self.bulk.send(attempt, &self.datagram)
    }

    fn hear_answers(&mut self) -> Result<(), Error> {
        let Some(goal) = self.change.goal() else {
            return Ok(());
        };
        let (change, placements, packets) = (&mut self.change, &mut self.placements, &self.packets);
        let any_set = &mut self.any_set;
        let bearers = &self.bearers;
        let removes = matches!(goal, Goal::Release { .. });
        let received = self
            .bulk
            .receive(|sequence, outcome| match change.answer(sequence) {
                Some(Target::Bearer(at)) => match (bearers.get(at), outcome) {
                    (Some(bearer), Err(error)) => {
                        log::error!("{} can't be set up or down: {error}", bearer.name());
                        if removes && !is_not_there(error) {
                            change.fail();
                        }
                    }
                    _ => *any_set = true,
                },
                Some(Target::Address(at)) => {
                    let Some(placement) = placements.get_mut(at) else {
                        return;
                    };
                    if removes {
                        if was_not_removed(placement, outcome) {
                            change.fail();
                        }
                    } else if was_set(placement, outcome, goal == Goal::Mend) {
                        *any_set = true;
                        announce(packets, placement);
                    }
                }
                None => {}
            });
        match received? {
            Received::All => Ok(()),
            Received::Overrun => Err(Error::NoAnswer("changing addresses")),
        }
    }
}

/// Notes what came of the request to set an address, and says what is news of it.
fn was_set(placement: &mut Placement, outcome: Result<(), KernelError>, mends: bool) -> bool {
    let was_refused = placement.refusal().is_some();
    let is_news = placement.answered(outcome);
    let prefix = placement.prefix();
    let device = placement.device().map_or("?", |device| &device.name);
    match placement.refusal() {
        Some(refusal) if is_news => log::error!(
            "virtual address {prefix} can't be set on {device}: {refusal}; the others are served, \
             this one is tried again now and then and when {device} changes"
        ),
        None if was_refused => log::info!("virtual address {prefix} is set on {device} now"),
        None if mends => {
            log::warn!("repaired: virtual address {prefix} was gone and is set again");
        }
        _ => {}
    }
    placement.refusal().is_none()
}

fn was_not_removed(placement: &Placement, outcome: Result<(), KernelError>) -> bool {
    let Err(error) = outcome else {
        return false;
    };
    let words = format!(
        "virtual address {} can't be removed: {error}",
        placement.prefix()
    );
    let stays = !is_not_there(error);
    if stays {
        log::error!("{words}; trying again");
    }
    stays
}

/// What is not there need not be removed.
fn is_not_there(error: KernelError) -> bool {
    Error::Refused("removing an address", error).is_not_there()
}
