//! The control worker: serves the control socket, checks passwords, and passes questions and commands
//! on to whoever can answer. It never waits for one of them: a request that nobody answers is answered
//! by its deadline.

mod facts;
mod guesses;
mod redact;
pub mod session;

use crate::clock::wait;
use crate::ipc::control::{Hello, Request, Response};
use crate::ipc::{
    Ask, Channel, ClusterRequest, ClusterToControl, ConfigNews, ControlToCluster,
    ControlToDataplane, ControlToSync, DataplaneToControl, FromWorker, SyncToControl, ToWorker,
    Wire,
};
use crate::worker::{self, WorkerContext, WorkerError};
use guesses::Guesses;
use session::{Facts, Session, Step};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sys::poll::readable;
use sys::socket::Listener;

/// Most clients at once: a console per tty and a few visitors. One more is turned away.
const CLIENTS_MAX: usize = 16;

/// Consoles run as nobody. Whoever is on the box may speak; the password says who may do more.
const CONTROL_MODE: u32 = 0o666;

/// On somebody else's machine there are others, and often no password.
const GUEST_CONTROL_MODE: u32 = 0o600;

/// Nothing here is due less often.
const TURN: Duration = Duration::from_secs(1);

struct Client {
    channel: Channel<Response, Request>,
    session: Session,
    /// A password that is not looked at yet, for somebody has just guessed wrong.
    held: Option<Request>,
    gone: bool,
}

struct Control {
    config_path: PathBuf,
    facts: Facts,
    listener: Listener,
    lifeline: Channel<FromWorker, ToWorker>,
    cluster: Channel<ControlToCluster, ClusterToControl>,
    dataplane: Channel<ControlToDataplane, DataplaneToControl>,
    sync: Channel<ControlToSync, SyncToControl>,
    clients: Vec<Client>,
    guesses: Guesses,
    last_request: u32,
}

/// Runs until PID 1 says stop.
pub fn run(mut context: WorkerContext) -> Result<(), WorkerError> {
    let cluster = context.wire(Wire::ClusterControl)?;
    let dataplane = context.wire(Wire::DataplaneControl)?;
    let sync = context.wire(Wire::SyncControl)?;
    let mode = match context.place.is_guest {
        true => GUEST_CONTROL_MODE,
        false => CONTROL_MODE,
    };
    let listener = Listener::bind(&context.place.control(), mode)
        .map_err(|error| WorkerError::failed("serving clients", error))?;
    // What is left to do here needs no privilege.
    sys::sandbox::keep(&[]).map_err(|error| WorkerError::failed("giving up privileges", error))?;
    let node = context.config.nodes.get(context.node);
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        cluster: context.config.cluster.name.clone(),
        node: node.map_or_else(String::new, |node| node.name.clone()),
        wants_password: context.config.console.password.is_some(),
    };
    let mut control = Control {
        config_path: context.place.config(),
        facts: Facts {
            config: context.config,
            hello,
            generation: context.generation,
            digest: context.digest,
        },
        listener,
        lifeline: context.lifeline,
        cluster,
        dataplane,
        sync,
        clients: Vec::new(),
        guesses: Guesses::default(),
        last_request: 0,
    };
    while control.turn()? {}
    Ok(())
}

impl Control {
    /// Waits for something to do and does it; false once PID 1 has said stop.
    fn turn(&mut self) -> Result<bool, WorkerError> {
        self.wait()?;
        let now = Instant::now();
        if !self.read_workers()? {
            return Ok(false);
        }
        self.accept()?;
        for index in self.guesses.turns(self.clients.len()) {
            self.serve(now, index);
        }
        self.clients.retain(|client| !client.gone);
        Ok(true)
    }

    fn wait(&self) -> Result<(), WorkerError> {
        let mut fds = vec![
            readable(self.listener.as_fd()),
            readable(self.lifeline.as_fd()),
            readable(self.cluster.as_fd()),
            readable(self.dataplane.as_fd()),
            readable(self.sync.as_fd()),
        ];
        let idle = self.clients.iter().filter(|client| !client.is_busy());
        fds.extend(idle.map(|client| readable(client.channel.as_fd())));
        let deadlines = self
            .clients
            .iter()
            .filter_map(|client| client.session.deadline());
        let held = self.clients.iter().any(|client| client.held.is_some());
        let deadlines = deadlines.chain(self.guesses.next().filter(|_| held));
        let now = Instant::now();
        let next = deadlines.map(|at| at.saturating_duration_since(now)).min();
        let timeout = next.unwrap_or(TURN).min(TURN);
        wait(&mut fds, Some(timeout)).map_err(|error| WorkerError::failed("waiting", error))
    }

    /// Passes on what the other workers answer.
    fn read_workers(&mut self) -> Result<bool, WorkerError> {
        while let Ok(Some(message)) = self.lifeline.receive() {
            match message {
                ToWorker::Stop => return Ok(false),
                ToWorker::Answer(request, answer) => {
                    self.reply(request, |session, facts| {
                        session.init_answered(answer, facts)
                    });
                }
                ToWorker::Config(news) => self.follow_config(news)?,
                ToWorker::Resign | ToWorker::LogLine(_) | ToWorker::Try { .. } => {}
            }
        }
        while let Ok(Some(ClusterToControl { request, answer })) = self.cluster.receive() {
            self.reply(request, |session, facts| {
                session.cluster_answered(answer, facts)
            });
        }
        while let Ok(Some(DataplaneToControl { request, answer })) = self.dataplane.receive() {
            self.reply(request, |session, _| {
                Some(session.dataplane_answered(answer))
            });
        }
        while let Ok(Some(SyncToControl { request, status })) = self.sync.receive() {
            self.reply(request, |session, facts| {
                session.sync_answered(status, facts)
            });
        }
        Ok(true)
    }

    /// The box lives by another config. Who logged in with another password logs in again.
    fn follow_config(&mut self, news: ConfigNews) -> Result<(), WorkerError> {
        worker::set_log_level(news.log_level);
        let image = worker::read_image(&self.config_path)?;
        let password = &image.config.console.password;
        if *password != self.facts.config.console.password {
            self.facts.hello.wants_password = password.is_some();
            let sessions = self.clients.iter_mut().map(|client| &mut client.session);
            sessions.for_each(Session::log_out);
        }
        self.facts.config = image.config;
        self.facts.generation = image.generation;
        self.facts.digest = image.digest;
        Ok(())
    }

    /// An answer that comes after its request's deadline finds nobody and is dropped.
    fn reply(&mut self, request: u32, take: impl FnOnce(&mut Session, &Facts) -> Option<Response>) {
        let asked = |client: &&mut Client| client.session.waits_for(request);
        let Some(client) = self.clients.iter_mut().find(asked) else {
            return;
        };
        if let Some(response) = take(&mut client.session, &self.facts) {
            client.send(&response);
        }
    }

    fn accept(&mut self) -> Result<(), WorkerError> {
        loop {
            let accepted = self.listener.accept();
            let accepted =
                accepted.map_err(|error| WorkerError::failed("accepting a client", error))?;
            let Some((socket, _)) = accepted else {
                return Ok(());
            };
            if self.clients.len() >= CLIENTS_MAX {
                log::warn!("a client was turned away: there are {CLIENTS_MAX} already");
                continue;
            }
            if let Ok(channel) = Channel::new(socket) {
                self.clients.push(Client {
                    channel,
                    session: Session::default(),
                    held: None,
                    gone: false,
                });
            }
        }
    }

    fn serve(&mut self, now: Instant, index: usize) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        if let Some(response) = client.session.expire(now, &self.facts) {
            client.send(&response);
        }
        let Some(request) = client.next() else { return };
        let is_guess = matches!(request, Request::Authenticate(_));
        if is_guess && !self.guesses.may(now) {
            client.held = Some(request);
            return;
        }
        self.last_request = self.last_request.wrapping_add(1);
        let number = self.last_request;
        let step = client.session.begin(now, number, request, &self.facts);
        if step == Step::Delay {
            log::warn!("a wrong console password was typed");
            self.guesses.wrong(now, index);
        }
        self.take(index, number, step);
    }

    /// Sends a step on its way. Where there is no room the request runs into its deadline, which says
    /// who did not answer: so the outcomes of sending are not looked at.
    fn take(&mut self, index: usize, request: u32, step: Step) {
        match step {
            Step::Delay => {}
            Step::Reply(response) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.send(&response);
                }
            }
            Step::AskInit(ask) => {
                let _ = self.lifeline.send(&FromWorker::Ask(request, ask));
            }
            Step::AskCluster(what) => {
                let _ = self.cluster.send(&ControlToCluster { request, what });
            }
            Step::AskDataplane(what) => {
                let _ = self.dataplane.send(&ControlToDataplane { request, what });
            }
            Step::AskStatus => {
                let what = ClusterRequest::Status;
                let _ = self.cluster.send(&ControlToCluster { request, what });
                let _ = self.sync.send(&ControlToSync { request });
                let ask = FromWorker::Ask(request, Ask::Workers);
                let _ = self.lifeline.send(&ask);
            }
        }
    }
}

impl Client {
    /// It has an answer to come, so it is not read: what it sends next stays in its socket.
    fn is_busy(&self) -> bool {
        self.session.is_waiting() || self.held.is_some()
    }

    /// The request that was held back, or the next one.
    fn next(&mut self) -> Option<Request> {
        if self.session.is_waiting() {
            return None;
        }
        if self.held.is_some() {
            return self.held.take();
        }
        match self.channel.receive() {
            Ok(request) => request,
            Err(_) => {
                self.gone = true;
                None
            }
        }
    }

    /// One that does not read its answers is closed.
    fn send(&mut self, response: &Response) {
        if self.channel.send(response).is_err() {
            self.gone = true;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
