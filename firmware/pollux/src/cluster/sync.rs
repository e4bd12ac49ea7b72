//! What the cluster worker and the sync worker have to do with each other: roles go there, readiness comes back,
//! and before a takeover the state of connections goes into the kernel. An address before its state is how peers
//! reset connections, so addresses are held back until the sync worker is done, or a bound has passed.

use super::{Worker, instant};
use crate::clock::now;
use crate::ipc::{Channel, ClusterToSync, SyncToCluster};
use crate::worker::{TURN_MESSAGES_MAX, WorkerError};
use core::time::Duration;
use proto::failover::State;
use proto::node::Input;
use proto::report::{LinkStatus, Status};

/// Addresses nobody holds wait no longer than this for the state of their connections: it lies in this box's
/// socket buffers, and clients wait, too.
pub const DRAIN_MAX: Duration = Duration::from_millis(30);

/// Addresses that the twin still answers for wait longer: nobody misses them, and the twin sends what it has not
/// sent yet. Well below `proto::node::TAKE_TIMEOUT`.
pub const PLANNED_DRAIN_MAX: Duration = Duration::from_millis(300);

/// A sync worker that is silent for so long is dead or hangs; it speaks twice a second.
const SILENCE_MAX: Duration = Duration::from_millis(1500);

/// The other end, and the takeover that waits for it.
pub struct Sync {
    wire: Channel<ClusterToSync, SyncToCluster>,
    heard_at: Option<Duration>,
    in_sync: bool,
    /// Connections in this kernel, and in the twin's where it is heard.
    counts: (u64, Option<u64>),
    told: Option<ClusterToSync>,
    held_back: Option<HeldBack>,
}

/// A takeover whose addresses wait for state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HeldBack {
    term: u64,
    since: Duration,
    until: Duration,
}

impl Sync {
    /// Nothing heard yet.
    pub fn new(wire: Channel<ClusterToSync, SyncToCluster>) -> Self {
        Sync {
            wire,
            heard_at: None,
            in_sync: false,
            counts: (0, None),
            told: None,
            held_back: None,
        }
    }

    /// To wait on.
    pub fn wire(&self) -> &Channel<ClusterToSync, SyncToCluster> {
        &self.wire
    }

    /// When addresses are held back no longer.
    pub fn due_at(&self) -> Option<Duration> {
        self.held_back.map(|held| held.until)
    }

    /// A takeover is off.
    pub fn forget(&mut self) {
        self.held_back = None;
    }

    /// What a twin that is not in sync lacks, in words.
    pub fn lack(&self) -> String {
        match self.counts {
            (here, Some(there)) if there < here => {
                let lacking = here - there;
                format!("the twin lacks {lacking} of {here} connections, which break")
            }
            (here, Some(_)) => format!(
                "the twin may not have the newest state of all {here} connections; those break"
            ),
            (here, None) => format!(
                "the twin's sync worker is not heard: {here} connections may break, and those of services"
            ),
        }
    }

    fn is_live(&self, now: Duration) -> bool {
        let silence = self.heard_at.map(|at| now.saturating_sub(at));
        silence.is_some_and(|silence| silence < SILENCE_MAX)
    }

    /// Has the sync worker drain; says whether there is anything to wait for.
    fn drain(&mut self, now: Duration, term: u64, planned: bool) -> bool {
        let order = ClusterToSync::Drain { term, planned };
        if !self.is_live(now) || self.wire.send(&order).is_err() {
            self.held_back = None;
            return false;
        }
        let bound = if planned {
            PLANNED_DRAIN_MAX
        } else {
            DRAIN_MAX
        };
        self.held_back = Some(HeldBack {
            term,
            since: now,
            until: now.saturating_add(bound),
        });
        true
    }

    /// Tells the role to a sync worker that may have been restarted. While a drain waits that would call it off
    /// (`Mirror::set_role`), and the addresses would wait for their bound.
    pub fn repeat(&mut self) {
        if let Some(role) = self.told
            && self.held_back.is_none()
        {
            let _ = self.wire.send(&role);
        }
    }

    /// The takeover that waits no longer.
    fn release(&mut self, now: Duration, drained: Option<u64>) -> Option<u64> {
        let is_over = |held: &mut HeldBack| drained == Some(held.term) || held.until <= now;
        let held = self.held_back.take_if(is_over)?;
        let waited_us = now.saturating_sub(held.since).as_micros();
        match drained {
            Some(_) => {
                log::info!("the state of connections was in the kernel after {waited_us} us");
            }
            None => log::warn!(
                "the state of connections did not come within {} ms: taking the addresses without the rest",
                waited_us / 1000
            ),
        }
        Some(held.term)
    }
}

impl Worker {
    /// Takes the addresses once their state is in the kernel.
    pub(super) fn take_after_state(&mut self, term: u64) {
        let status = self.node.status(instant(now()));
        let peer = status.peer.filter(|peer| peer.alive);
        let planned = peer.is_some_and(|peer| matches!(peer.state, State::Offering(_)));
        if !self.sync.drain(now(), term, planned) {
            self.take(term);
        }
    }

    fn take(&mut self, term: u64) {
        self.addresses.take(term);
        self.advance();
    }

    /// Hears whether this box is in sync, and goes on with a takeover that waited.
    pub(super) fn hear_sync(&mut self) -> Result<(), WorkerError> {
        let mut drained = None;
        for _ in 0..TURN_MESSAGES_MAX {
            let heard = self.sync.wire.receive();
            let heard = heard.map_err(|error| WorkerError::failed("listening to sync", error))?;
            let Some(message) = heard else { break };
            self.sync.heard_at = Some(now());
            match message {
                SyncToCluster::State {
                    in_sync,
                    here,
                    there,
                } => {
                    self.sync.in_sync = in_sync;
                    self.sync.counts = (here, there);
                }
                SyncToCluster::Drained { term } => drained = Some(term),
            }
        }
        // A twin that mirrors nothing any more holds what was.
        let in_sync = self.sync.in_sync && self.sync.is_live(now());
        self.input(Input::InSync(in_sync));
        if let Some(term) = self.sync.release(now(), drained) {
            self.take(term);
        }
        Ok(())
    }

    /// Tells the sync worker whose connections these are, when that changed.
    pub(super) fn tell_sync(&mut self, status: &Status) {
        if self.sync.held_back.is_some() {
            // It is told by `Drain`.
            return;
        }
        let active = status.state.holds() || status.state == State::Taking;
        let role = ClusterToSync::Role {
            active,
            term: if active {
                status.term
            } else {
                status.newest_term
            },
            links_up: links_up(&status.links),
        };
        if self.sync.told != Some(role) && self.sync.wire.send(&role).is_ok() {
            self.sync.told = Some(role);
        }
    }
}

/// Bit n for link n.
fn links_up(links: &[LinkStatus]) -> u8 {
    let bits = links.iter().zip(0_u32..).filter(|(link, _)| link.up);
    bits.fold(0, |up, (_, position)| {
        up | 1_u8.checked_shl(position).unwrap_or(0)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    type Far = Channel<SyncToCluster, ClusterToSync>;

    fn sync(heard_at: Option<Duration>) -> (Sync, Far) {
        let (near, far) = sys::socket::pair().unwrap();
        let mut sync = Sync::new(Channel::new(near).unwrap());
        sync.heard_at = heard_at;
        (sync, Channel::new(far).unwrap())
    }

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn addresses_wait_for_their_state_and_no_longer_than_the_bound() {
        for (planned, bound) in [(false, DRAIN_MAX), (true, PLANNED_DRAIN_MAX)] {
            let (mut sync, mut far) = sync(Some(NOW));
            assert!(sync.drain(NOW, 7, planned));
            let order = ClusterToSync::Drain { term: 7, planned };
            assert_eq!(far.receive(), Ok(Some(order)));
            assert_eq!(sync.due_at(), Some(NOW + bound));
            assert_eq!(sync.release(NOW, Some(6)), None, "an older takeover's");
            assert_eq!(sync.release(NOW + bound / 2, None), None);
            assert_eq!(sync.release(NOW + bound, None), Some(7));
            assert_eq!(sync.release(NOW + bound, Some(7)), None, "only once");
        }
    }

    #[test]
    fn a_role_is_told_again_but_not_within_a_drain() {
        let (mut sync, mut far) = sync(Some(NOW));
        let role = ClusterToSync::Role {
            active: false,
            term: 6,
            links_up: 1,
        };
        sync.told = Some(role);
        sync.repeat();
        assert_eq!(far.receive(), Ok(Some(role)));
        assert!(sync.drain(NOW, 7, true));
        sync.repeat();
        let order = ClusterToSync::Drain {
            term: 7,
            planned: true,
        };
        assert_eq!(far.receive(), Ok(Some(order)));
        assert_eq!(far.receive(), Ok(None));
    }

    #[test]
    fn what_a_twin_lacks_is_told_as_far_as_it_is_known() {
        let (mut sync, _far) = sync(None);
        assert!(sync.lack().contains("not heard"));
        sync.counts = (5000, Some(3000));
        let lack = "the twin lacks 2000 of 5000 connections, which break";
        assert_eq!(sync.lack(), lack);
        sync.counts = (5000, Some(5001));
        assert!(sync.lack().contains("newest state of all 5000"));
    }

    #[test]
    fn drained_state_lets_go_at_once() {
        let (mut sync, _far) = sync(Some(NOW));
        assert!(sync.drain(NOW, 7, false));
        assert_eq!(sync.release(NOW, Some(7)), Some(7));
    }

    #[test]
    fn nobody_waits_for_a_sync_worker_that_is_not_there() {
        for heard_at in [None, Some(NOW - SILENCE_MAX)] {
            let (mut sync, _far) = sync(heard_at);
            assert!(!sync.drain(NOW, 7, true));
            assert_eq!(sync.due_at(), None);
        }
        let (mut gone, far) = sync(Some(NOW));
        drop(far);
        assert!(!gone.drain(NOW, 7, true));
    }
}
