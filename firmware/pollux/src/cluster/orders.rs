//! The operator's orders. One that would break connections waits until the boxes are in sync, and says so; it is
//! forgotten after a while, or when another one comes, so that none strikes when nobody remembers it. A box that is to
//! go waits in the same way, but not for long, and then goes all the same.

use super::{Resigning, Worker, instant};
use crate::clock::now;
use crate::ipc::{ClusterAnswer, RESIGN_SYNC_WAIT};
use core::time::Duration;
use proto::failover::Command;
use proto::node::Refusal;

/// How long an order waits.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// An order that waits for the boxes to be in sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    command: Command,
    until: Duration,
}

impl Worker {
    /// Carries out an order, or says why not, or for what it waits.
    pub(super) fn order(&mut self, command: Command, force: bool) -> ClusterAnswer {
        self.waiting = None;
        let at = instant(now());
        let outcome = match force {
            true => self.node.force_command(at, command),
            false => self.node.handle_command(at, command),
        };
        match outcome {
            Ok(()) => ClusterAnswer::Accepted,
            Err(refusal) if refusal.is_for_sync() => {
                log::info!("{command} waits: {refusal}");
                let until = now().saturating_add(WAIT_MAX);
                self.waiting = Some(Waiting { command, until });
                ClusterAnswer::Waits(refusal.to_string())
            }
            Err(refusal) => {
                log::info!("{command} refused: {refusal}");
                ClusterAnswer::Refused(refusal.to_string())
            }
        }
    }

    /// Resigns, for PID 1 says so.
    pub(super) fn resign(&mut self) {
        self.waiting = None;
        let until = now().saturating_add(RESIGN_SYNC_WAIT);
        self.resigning = Resigning::Waiting { until };
        self.go_on_resigning();
        if self.resigning != Resigning::Ordered {
            let wait_s = RESIGN_SYNC_WAIT.as_secs();
            log::warn!("waiting for the twin to have all connections, {wait_s} s at most");
        }
    }

    /// Hands over once that breaks nothing, or can wait no longer.
    pub(super) fn go_on_resigning(&mut self) {
        let Resigning::Waiting { until } = self.resigning else {
            return;
        };
        let outcome = self.node.handle_command(instant(now()), Command::Resign);
        if outcome.is_err_and(Refusal::is_for_sync) {
            if now() < until {
                return;
            }
            log::warn!("going without: {}", self.sync.lack());
            // Never refused; what becomes of it shows in the role.
            let _ = self.node.force_command(instant(now()), Command::Resign);
        }
        self.resigning = Resigning::Ordered;
    }

    /// Tries again what waits.
    pub(super) fn retry_order(&mut self) {
        let Some(Waiting { command, until }) = self.waiting else {
            return;
        };
        let outcome = self.node.handle_command(instant(now()), command);
        match outcome {
            Ok(()) => log::info!("{command}: the boxes are in sync now"),
            // A change of roles goes by, and the start of a box.
            Err(
                Refusal::Busy | Refusal::Listening | Refusal::NotInSync | Refusal::PeerNotInSync,
            ) if now() < until => {
                return;
            }
            Err(refusal) => log::warn!("{command} called off: {refusal}"),
        }
        self.waiting = None;
    }
}
