//! The dataplane worker: brings the kernel to what config and health say, and keeps it there. Boot, a device
//! that appears, a verdict and drift all take the same path: observe, `plan::desired`, `plan::diff`, steps.
//! Virtual addresses are the cluster worker's: it removes them only when that fails for good (`custody`). A
//! step that fails is said and tried again, never fatal. Restarted, it learns from the kernel what its
//! predecessor knew of the servers.

mod cards;
mod census;
mod cluster_process;
mod custody;
mod draft;
mod failing;
mod firewall;
mod guest;
mod kernel;
mod listing;
mod pass;
mod readiness;
mod rules;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod samples;
mod verdicts;
mod words;

use crate::clock::{now, wait_until};
use crate::ipc::{
    Channel, ClusterToDataplane, ControlToDataplane, DataplaneAnswer, DataplaneRequest,
    DataplaneToCluster, DataplaneToControl, DataplaneToHealth, FromWorker, HealthToDataplane,
    ToWorker, Wire,
};
use crate::worker::{self, TURN_MESSAGES_MAX, WorkerContext, WorkerError};
use census::Census;
use cluster_process::ClusterProcess;
use core::time::Duration;
use custody::Custody;
use kernel::{Events, Kernel};
use pass::{Cause, Planner};
use plan::config::Config;
use readiness::Readiness;
use rules::Rules;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use sys::poll::readable;
use sys::sandbox::Capability;
use verdicts::Verdicts;

/// From one look for drift to the next.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// From one word to PID 1 and to the cluster worker to the next; also the longest turn.
const BEAT: Duration = Duration::from_millis(500);

/// Questions of control answered in one turn; each reads all services from the kernel.
const QUESTIONS_PER_TURN: usize = 4;

/// Runs until PID 1 says stop or a failure that only a restart can mend.
pub fn run(mut context: WorkerContext) -> Result<(), WorkerError> {
    let wires = Wires {
        cluster: context.wire(Wire::ClusterDataplane)?,
        control: context.wire(Wire::DataplaneControl)?,
        health: context.wire(Wire::HealthDataplane)?,
        lifeline: context.lifeline,
    };
    // Before the first look, so that no change falls between the two.
    let events =
        Events::open().map_err(|error| WorkerError::failed("watching the kernel", error))?;
    let lifeline = wires.lifeline.another_end();
    let lifeline =
        lifeline.map_err(|error| WorkerError::failed("keeping a second end to init", error))?;
    let kernel = Kernel::open(context.place.is_guest, lifeline)
        .map_err(|error| WorkerError::failed("reaching the kernel", error))?;
    if let Err(error) = sys::sandbox::keep(&[Capability::NetAdmin, Capability::SysNice]) {
        log::warn!("{error}: going on with what there is");
    }
    let now = now();
    let mut worker = Worker {
        next_config: context.place.next_config(),
        verdicts: Verdicts::new(&context.config),
        planner: Planner::new(context.node, context.place.is_guest, now),
        config: Arc::new(context.config),
        custody: Custody::new(now),
        cluster: ClusterProcess::Gone,
        readiness: Readiness::new(now),
        kernel,
        events,
        wires,
        census: None,
        rules: Rules::default(),
        check_at: now,
        beat_at: now,
        told_ready: false,
    };
    worker.start()?;
    while worker.turn()? {}
    worker.leave();
    Ok(())
}

struct Wires {
    lifeline: Channel<FromWorker, ToWorker>,
    cluster: Channel<DataplaneToCluster, ClusterToDataplane>,
    control: Channel<DataplaneToControl, ControlToDataplane>,
    health: Channel<DataplaneToHealth, HealthToDataplane>,
}

struct Worker {
    config: Arc<Config>,
    /// Where a config lies that is to be tried.
    next_config: PathBuf,
    kernel: Kernel,
    events: Events,
    wires: Wires,
    verdicts: Verdicts,
    planner: Planner,
    custody: Custody,
    cluster: ClusterProcess,
    readiness: Readiness,
    /// One at a time.
    census: Option<Census>,
    rules: Rules,
    check_at: Duration,
    beat_at: Duration,
    told_ready: bool,
}

impl Worker {
    /// What a predecessor left in the kernel is what is known of the servers until health speaks. Going on
    /// without it would take every server out of service.
    fn start(&mut self) -> Result<(), WorkerError> {
        let held = self.kernel.services().map_err(|error| {
            WorkerError::failed("reading what the kernel balances already", error)
        })?;
        self.verdicts.adopt(&self.config, &held);
        self.pass();
        Ok(())
    }

    /// One turn of the loop; `false` once PID 1 said stop.
    fn turn(&mut self) -> Result<bool, WorkerError> {
        self.wait()?;
        if self.events.drain() | self.kernel.drain_ruleset_changes() {
            self.planner.request(Cause::Event, now());
        }
        self.hear_health()?;
        self.hear_cluster()?;
        self.watch_over_addresses();
        if self.check_at <= now() {
            self.planner.request(Cause::Check, now());
        }
        if self.planner.is_due(now()) {
            self.pass();
        }
        self.get_ready();
        self.beat();
        self.hear_control()?;
        self.go_on_counting();
        self.go_on_listing();
        self.hear_init()
    }

    fn hear_init(&mut self) -> Result<bool, WorkerError> {
        let heard = self.wires.lifeline.receive();
        match heard.map_err(|error| WorkerError::failed("listening to init", error))? {
            Some(ToWorker::Stop) => return Ok(false),
            Some(ToWorker::Config(news)) => worker::set_log_level(news.log_level),
            Some(ToWorker::Try { digest }) => {
                let refusal = self.follow_config(digest).err();
                // PID 1 that hears nothing starts this worker anew, with the config before.
                let _ = self
                    .wires
                    .lifeline
                    .send(&FromWorker::Tried { digest, refusal });
            }
            Some(ToWorker::Resign | ToWorker::Answer(..) | ToWorker::LogLine(_)) | None => {}
        }
        Ok(true)
    }

    /// Lives by another config from now on, unless the kernel refuses its ruleset: then all stays as it was.
    /// Anything else that fails is tried again, as it always is.
    fn follow_config(&mut self, digest: u64) -> Result<(), String> {
        let next = worker::read_image(&self.next_config).map_err(|error| error.to_string())?;
        if next.digest != digest {
            return Err("the config was replaced while it was read: reload again".into());
        }
        let config = Arc::new(next.config);
        let verdicts = self.verdicts.under(&self.config, &config);
        self.planner
            .put_ruleset(&mut self.kernel, &config, verdicts.health())
            .map_err(|error| format!("the kernel refuses its firewall: {error}"))?;
        self.config = config;
        self.verdicts = verdicts;
        self.planner.request(Cause::Reload, now());
        self.pass();
        Ok(())
    }

    fn wait(&self) -> Result<(), WorkerError> {
        let lifeline = self.wires.lifeline.as_fd();
        let cluster = self.cluster.end();
        let mut fds = [
            readable(self.events.as_fd()),
            readable(self.kernel.ruleset_changes().unwrap_or(lifeline)),
            readable(lifeline),
            readable(cluster.unwrap_or(lifeline)),
            readable(self.wires.cluster.as_fd()),
            readable(self.wires.control.as_fd()),
            readable(self.wires.health.as_fd()),
        ];
        wait_until(&mut fds, self.wake_at())
            .map_err(|error| WorkerError::failed("waiting for events", error))
    }

    fn wake_at(&self) -> Duration {
        if self.census.is_some() || self.rules.is_reading() {
            return now();
        }
        let others = [
            self.planner.due_at(),
            self.readiness.deadline(),
            self.custody.deadline(),
        ];
        let always = self.check_at.min(self.beat_at);
        others.into_iter().flatten().fold(always, Duration::min)
    }

    fn pass(&mut self) {
        let health = self.verdicts.health();
        self.planner
            .pass(&mut self.kernel, &self.config, health, now());
        self.check_at = now().saturating_add(CHECK_INTERVAL);
    }

    /// All of it ends, so no virtual address may stay; the cluster worker, whose they are, may have failed.
    fn leave(&mut self) {
        self.planner.note_orphaned(true);
        self.pass();
    }

    fn get_ready(&mut self) {
        if self.readiness.is_ready() {
            return;
        }
        let complete = self.planner.is_complete();
        let first_round_done = self.verdicts.first_round_done();
        let had_settled = self.readiness.has_settled();
        self.readiness.advance(now(), complete, first_round_done);
        if self.readiness.has_settled() && !had_settled {
            self.let_health_begin();
        }
        if !self.readiness.is_ready() {
            return;
        }
        match (complete, first_round_done) {
            (true, true) => log::info!("ready: the kernel holds the plan"),
            (true, false) => log::info!("ready, though not all servers have been heard of yet"),
            (false, _) => log::warn!("ready, though the kernel does not hold the whole plan"),
        }
    }

    fn hear_health(&mut self) -> Result<(), WorkerError> {
        for _ in 0..TURN_MESSAGES_MAX {
            let heard = self.wires.health.receive();
            match heard.map_err(|error| WorkerError::failed("listening to health", error))? {
                None => break,
                // Else it hears once this box has settled.
                Some(HealthToDataplane::Started) if self.readiness.has_settled() => {
                    self.let_health_begin();
                }
                Some(HealthToDataplane::Started) => {}
                Some(HealthToDataplane::Verdict {
                    service,
                    server,
                    up,
                    checks,
                }) => {
                    // Of services that were in its place before a reload.
                    if checks != self.verdicts.checks() {
                        continue;
                    }
                    if self.verdicts.note(service.into(), server.into(), up) {
                        self.planner.request(Cause::Health, now());
                    }
                }
            }
        }
        Ok(())
    }

    /// Earlier, checks would find no network and call servers down that are not.
    fn let_health_begin(&mut self) {
        let _ = self.wires.health.send(&DataplaneToHealth::Begin);
    }

    fn hear_cluster(&mut self) -> Result<(), WorkerError> {
        for _ in 0..TURN_MESSAGES_MAX {
            let heard = self.wires.cluster.receive();
            match heard.map_err(|error| WorkerError::failed("listening to cluster", error))? {
                None => break,
                Some(ClusterToDataplane::Started { pid }) => {
                    self.custody.started(now());
                    self.cluster = ClusterProcess::of(pid);
                    self.beat_at = now();
                }
                Some(ClusterToDataplane::Alive { pid, custodian }) => {
                    if self.cluster.is_gone() {
                        self.cluster = ClusterProcess::of(pid);
                    }
                    self.custody.alive(now(), custodian);
                }
            }
        }
        Ok(())
    }

    fn watch_over_addresses(&mut self) {
        self.custody.look(now(), self.cluster.is_gone());
        let orphaned = self.custody.is_lost(now());
        if self.planner.note_orphaned(orphaned) {
            log::error!(
                "the cluster worker fails: virtual addresses are removed, so that the peer alone answers for them"
            );
            self.planner.request(Cause::Check, now());
        }
    }

    /// While it is not ready nothing is said to the cluster worker, which after a restart of this one goes
    /// by what it heard last: the kernel still holds the plan.
    fn beat(&mut self) {
        let ready = self.readiness.is_ready();
        if self.beat_at > now() && ready == self.told_ready {
            return;
        }
        if ready {
            let state = DataplaneToCluster::State { ready };
            let _ = self.wires.cluster.send(&state);
            self.told_ready = true;
        }
        let _ = self.wires.lifeline.send(&FromWorker::Alive);
        self.beat_at = now().saturating_add(BEAT);
    }

    fn hear_control(&mut self) -> Result<(), WorkerError> {
        for _ in 0..QUESTIONS_PER_TURN {
            let heard = self.wires.control.receive();
            let Some(question) =
                heard.map_err(|error| WorkerError::failed("listening to control", error))?
            else {
                break;
            };
            self.answer(question);
        }
        Ok(())
    }

    fn answer(&mut self, question: ControlToDataplane) {
        let request = question.request;
        let answer = match question.what {
            DataplaneRequest::Services { from } => self.kernel.services().map(|held| {
                let all = listing::all(&self.config, &held, &self.verdicts);
                DataplaneAnswer::Services(listing::page(all, from))
            }),
            DataplaneRequest::Firewall { from } => match self.rules.ask(now(), (request, from)) {
                Ok(None) => return,
                Ok(Some(page)) => Ok(DataplaneAnswer::Firewall(page)),
                Err(error) => Err(error),
            },
            DataplaneRequest::Connections(query) => match Census::begin(request, query) {
                // Whoever asked before asks in vain: it hears so after a while.
                Ok(census) => {
                    self.census = Some(census);
                    return;
                }
                Err(error) => Err(error),
            },
        };
        self.reply(request, answer);
    }

    fn go_on_counting(&mut self) {
        let Some(census) = &mut self.census else {
            return;
        };
        let request = census.request;
        let answer = match census.advance() {
            Ok(None) => return,
            Ok(Some(report)) => Ok(DataplaneAnswer::Connections(Box::new(report))),
            Err(error) => Err(error),
        };
        self.census = None;
        self.reply(request, answer);
    }

    fn go_on_listing(&mut self) {
        let mut answers = Vec::new();
        self.rules.go_on(now(), |request, page| {
            answers.push((request, page.map(DataplaneAnswer::Firewall)));
        });
        for (request, answer) in answers {
            self.reply(request, answer);
        }
    }

    fn reply(&mut self, request: u32, answer: Result<DataplaneAnswer, sys::netlink::Error>) {
        let answer = answer.map_err(|error| error.to_string());
        let answer = DataplaneToControl { request, answer };
        let _ = self.wires.control.send(&answer);
    }
}
