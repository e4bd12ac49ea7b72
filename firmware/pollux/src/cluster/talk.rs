//! What the cluster worker says to the others and hears from them. Nothing here waits: a wire that is
//! full is tried again on the next turn, or its message is dropped as `ipc` says.

use super::links::HeartbeatLink;
use super::{Resigning, Worker, instant, now, status};
use crate::ipc::control::ClusterStatus;
use crate::ipc::{
    Channel, ClusterAnswer, ClusterRequest, ClusterToControl, ClusterToDataplane, ControlToCluster,
    DataplaneToCluster, FromWorker, ToWorker,
};
use crate::worker::WorkerError;
use core::time::Duration;
use proto::failover::{Command, Role, State};
use proto::node::Input;
use serde::{Serialize, de::DeserializeOwned};

/// From one word to PID 1 to the next.
const ALIVE_INTERVAL: Duration = Duration::from_millis(500);

impl Worker {
    pub(super) fn hear_dataplane(&mut self) -> Result<(), WorkerError> {
        while let Some(message) = receive(&mut self.wires.dataplane, "listening to dataplane")? {
            match message {
                DataplaneToCluster::Started => self.told = None,
                DataplaneToCluster::State { ready } => self.input(Input::Ready(ready)),
            }
        }
        Ok(())
    }

    pub(super) fn hear_control(&mut self) -> Result<(), WorkerError> {
        while let Some(ControlToCluster { request, what }) =
            receive(&mut self.wires.control, "listening to control")?
        {
            let answer = match what {
                ClusterRequest::Status => ClusterAnswer::Status(Box::new(self.status())),
                ClusterRequest::Standby => self.command(Command::Standby),
                ClusterRequest::Takeover => self.command(Command::Takeover),
            };
            // Control times out and says so where there is no room.
            let _ = self
                .wires
                .control
                .send(&ClusterToControl { request, answer });
        }
        Ok(())
    }

    fn command(&mut self, command: Command) -> ClusterAnswer {
        match self.node.handle_command(instant(now()), command) {
            Ok(()) => ClusterAnswer::Accepted,
            Err(refusal) => {
                log::info!("{command} refused: {refusal}");
                ClusterAnswer::Refused(refusal.to_string())
            }
        }
    }

    fn status(&mut self) -> ClusterStatus {
        let status = self.node.status(instant(now()));
        let facts: Vec<_> = self.links.iter().map(HeartbeatLink::facts).collect();
        let virtual_addresses = self.addresses.status();
        status::cluster_status(
            &self.config,
            self.position,
            &status,
            &facts,
            virtual_addresses,
        )
    }

    pub(super) fn hear_init(&mut self) -> Result<bool, WorkerError> {
        while let Some(message) = receive(&mut self.wires.lifeline, "listening to init")? {
            match message {
                ToWorker::Stop => return Ok(false),
                ToWorker::Resign => {
                    // Never refused; what becomes of it shows in the role.
                    let _ = self.node.handle_command(instant(now()), Command::Resign);
                    self.resigning = Resigning::Ordered;
                }
                ToWorker::Answer(..) | ToWorker::LogLine(_) => {}
            }
        }
        Ok(true)
    }

    /// Tells PID 1 and the dataplane where this box stands, when that changed and is no passing state.
    pub(super) fn stand(&mut self) {
        let status = self.node.status(instant(now()));
        if matches!(
            status.state,
            State::Standby | State::Held | State::Active | State::Resigned
        ) {
            self.tell_init(status.role, status.ready);
            self.tell_dataplane(status.state, status.term);
        }
        if self.resigning == Resigning::Ordered && status.role == Role::Resigned {
            let told = self.wires.lifeline.send(&FromWorker::Resigned);
            self.resigning = if told.is_ok() {
                Resigning::Told
            } else {
                Resigning::Ordered
            };
        }
    }

    fn tell_init(&mut self, role: Role, ready: bool) {
        if self.stood == Some((role, ready)) {
            return;
        }
        let standing = FromWorker::Standing {
            role: role.to_string(),
            ready,
        };
        if self.wires.lifeline.send(&standing).is_ok() {
            self.stood = Some((role, ready));
        }
    }

    pub(super) fn tell_dataplane(&mut self, state: State, term: u64) {
        let active = state == State::Active;
        if self.told == Some((active, term)) {
            return;
        }
        let _ = self
            .wires
            .dataplane
            .send(&ClusterToDataplane::Role { active, term });
        self.told = Some((active, term));
    }

    pub(super) fn beat(&mut self) {
        if self.alive_at <= now() {
            let _ = self.wires.lifeline.send(&FromWorker::Alive);
            self.alive_at = now().saturating_add(ALIVE_INTERVAL);
        }
    }
}

fn receive<Tx: Serialize, Rx: DeserializeOwned>(
    wire: &mut Channel<Tx, Rx>,
    attempt: &str,
) -> Result<Option<Rx>, WorkerError> {
    wire.receive()
        .map_err(|error| WorkerError::failed(attempt, error))
}
