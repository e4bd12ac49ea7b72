//! What the cluster worker says to the others and hears from them. Nothing here waits: a wire that is
//! full is tried again on the next turn, or its message is dropped as `ipc` says.

use super::links::HeartbeatLink;
use super::{Resigning, Worker, instant, status};
use crate::clock::now;
use crate::ipc::control::ClusterStatus;
use crate::ipc::{
    Channel, ClusterAnswer, ClusterRequest, ClusterToControl, ClusterToDataplane, ConfigNews,
    ControlToCluster, Custodian, DataplaneToCluster, FromWorker, ToWorker,
};
use crate::worker::{self, TURN_MESSAGES_MAX, WorkerError};
use core::time::Duration;
use proto::failover::{Command, Role, State};
use proto::node::Input;
use proto::settings::ConfigVersion;
use serde::{Serialize, de::DeserializeOwned};

/// From one word to PID 1 and to the dataplane to the next.
const ALIVE_INTERVAL: Duration = Duration::from_millis(500);

/// Questions of control answered in one turn. Each may read the kernel, and heartbeats must not wait for more.
const QUESTIONS_PER_TURN: usize = 4;

impl Worker {
    pub(super) fn hear_dataplane(&mut self) -> Result<(), WorkerError> {
        for _ in 0..TURN_MESSAGES_MAX {
            let heard = receive(&mut self.wires.dataplane, "listening to dataplane")?;
            let Some(DataplaneToCluster::State { ready }) = heard else {
                break;
            };
            self.input(Input::Ready(ready));
        }
        Ok(())
    }

    pub(super) fn hear_control(&mut self) -> Result<(), WorkerError> {
        for _ in 0..QUESTIONS_PER_TURN {
            let heard = receive(&mut self.wires.control, "listening to control")?;
            let Some(ControlToCluster { request, what }) = heard else {
                break;
            };
            let answer = match what {
                ClusterRequest::Status => ClusterAnswer::Status(Box::new(self.status())),
                ClusterRequest::Standby { force } => self.order(Command::Standby, force),
                ClusterRequest::Takeover { force } => self.order(Command::Takeover, force),
            };
            // Control times out and says so where there is no room.
            let _ = self
                .wires
                .control
                .send(&ClusterToControl { request, answer });
        }
        Ok(())
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
                ToWorker::Resign => self.resign(),
                ToWorker::Config(news) => self.follow_config(news),
                ToWorker::Answer(..) | ToWorker::LogLine(_) | ToWorker::Try { .. } => {}
            }
        }
        Ok(true)
    }

    /// A new config that says the same of all that this worker looks after: beats tell the peer of it.
    fn follow_config(&mut self, news: ConfigNews) {
        worker::set_log_level(news.log_level);
        self.input(Input::Config(ConfigVersion {
            generation: news.generation,
            digest: news.digest,
        }));
    }

    /// Tells the dataplane once it has settled, and PID 1 where this box stands, when that changed and is no
    /// passing state.
    pub(super) fn stand(&mut self) {
        let status = self.node.status(instant(now()));
        if matches!(
            status.state,
            State::Standby | State::Held | State::Active | State::Resigned
        ) {
            self.tell_init(status.role, status.ready);
        }
        self.tell_sync(&status);
        let has_twin = status.peer.as_ref().is_some_and(|peer| peer.alive);
        self.tell_dataplane(Custodian {
            settled: status.state != State::Listening,
            twin_waits_ms: has_twin.then_some(status.silence_max_ms),
        });
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

    pub(super) fn tell_dataplane(&mut self, custodian: Custodian) {
        if self.custodian != custodian {
            self.custodian = custodian;
            self.say_alive();
        }
    }

    fn say_alive(&mut self) {
        let (pid, custodian) = (std::process::id(), self.custodian);
        let alive = ClusterToDataplane::Alive { pid, custodian };
        let _ = self.wires.dataplane.send(&alive);
    }

    pub(super) fn beat(&mut self) {
        if self.alive_at <= now() {
            let _ = self.wires.lifeline.send(&FromWorker::Alive);
            self.say_alive();
            self.sync.repeat();
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
