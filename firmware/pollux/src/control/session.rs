//! One client of the control socket, without I/O: what it may do, whom to ask for it, and how the parts
//! of an answer come together. A client has one request under way at a time.

use super::redact;
use crate::ipc::control::{
    ClusterStatus, Hello, RefusedReload, Request, Response, Status, SyncStatus, WorkerStatus,
};
use crate::ipc::{Answer, Ask, ClusterAnswer, ClusterRequest, DataplaneAnswer, DataplaneRequest};
use plan::config::Config;
use plan::password;
use std::time::{Duration, Instant};

/// How long others may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1000);

/// How long it may take to look at every connection, or at every rule; a million of them take half a minute on an emulated
/// box.
const CENSUS_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a reload may take: the sum of its bounds (`init::reload`), and room around it.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(72);

/// How long a wrong password is not answered, and no other looked at, against guessing by machine.
pub const WRONG_PASSWORD_DELAY: Duration = Duration::from_secs(2);

/// Bytes of config text in an answer.
const CONFIG_PAGE_BYTES: usize = 8 * 1024;

/// What is to be done for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Answer at once.
    Reply(Response),
    /// Ask PID 1.
    AskInit(Ask),
    /// Ask the cluster worker.
    AskCluster(ClusterRequest),
    /// Ask the dataplane.
    AskDataplane(DataplaneRequest),
    /// Ask PID 1, the cluster worker and the sync worker.
    AskStatus,
    /// Nothing until the deadline.
    Delay,
}

/// The parts of an answer that is not complete.
#[derive(Debug)]
struct Waiting {
    request: u32,
    deadline: Instant,
    what: What,
}

#[derive(Debug)]
enum What {
    WrongPassword,
    One(&'static str),
    Status(Parts),
}

/// Of a status.
#[derive(Debug, Default)]
struct Parts {
    cluster: Option<Box<ClusterStatus>>,
    sync: Option<Box<SyncStatus>>,
    workers: Option<(Vec<WorkerStatus>, Option<String>)>,
    refused_reload: Option<RefusedReload>,
}

/// What all sessions share.
pub struct Facts {
    /// The config of the pair.
    pub config: Config,
    /// To `Hello`.
    pub hello: Hello,
    /// Generation of the config.
    pub generation: u64,
    /// First bytes of its digest.
    pub digest: u64,
}

/// A client.
#[derive(Debug, Default)]
pub struct Session {
    authenticated: bool,
    waiting: Option<Waiting>,
    /// Of the config, while it is read page by page.
    config_text: String,
}

impl Session {
    /// The password that it knew is not the one any more.
    pub fn log_out(&mut self) {
        self.authenticated = false;
    }

    /// Whether a request is under way, so that the next must wait.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether the request under way has this number.
    pub fn waits_for(&self, request: u32) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|waiting| waiting.request == request)
    }

    /// When the request under way is answered at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.as_ref().map(|waiting| waiting.deadline)
    }

    /// Takes a request that gets the number `number` if it has to wait.
    pub fn begin(&mut self, now: Instant, number: u32, request: Request, facts: &Facts) -> Step {
        let step = self.decide(request, facts);
        let (after, what) = match &step {
            Step::Reply(_) => return step,
            Step::Delay => (WRONG_PASSWORD_DELAY, What::WrongPassword),
            Step::AskInit(Ask::Reload) => (RELOAD_TIMEOUT, What::One("PID 1")),
            Step::AskInit(_) => (ANSWER_TIMEOUT, What::One("PID 1")),
            Step::AskCluster(_) => (ANSWER_TIMEOUT, What::One("the cluster worker")),
            Step::AskDataplane(
                DataplaneRequest::Connections(_) | DataplaneRequest::Firewall { .. },
            ) => (CENSUS_TIMEOUT, What::One("the dataplane worker")),
            Step::AskDataplane(DataplaneRequest::Services { .. }) => {
                (ANSWER_TIMEOUT, What::One("the dataplane worker"))
            }
            Step::AskStatus => (ANSWER_TIMEOUT, What::Status(Parts::default())),
        };
        self.waiting = Some(Waiting {
            request: number,
            deadline: now + after,
            what,
        });
        step
    }

    fn decide(&mut self, request: Request, facts: &Facts) -> Step {
        let password = facts.config.console.password.as_ref();
        match request {
            Request::Hello => {
                self.authenticated = password.is_none();
                Step::Reply(Response::Hello(facts.hello.clone()))
            }
            Request::Authenticate(typed) => {
                self.authenticated = password.is_none_or(|hash| password::verify(hash, &typed));
                match self.authenticated {
                    true => Step::Reply(Response::Authenticated(true)),
                    false => Step::Delay,
                }
            }
            _ if !self.authenticated && password.is_some() => {
                Step::Reply(Response::NotAuthenticated)
            }
            Request::Status => Step::AskStatus,
            Request::Services { from } => Step::AskDataplane(DataplaneRequest::Services { from }),
            Request::Firewall { from } => Step::AskDataplane(DataplaneRequest::Firewall { from }),
            Request::Connections(query) => Step::AskDataplane(DataplaneRequest::Connections(query)),
            Request::Log { from } => Step::AskInit(Ask::Log { from }),
            Request::Config { from } => Step::Reply(self.config_page(&facts.config, from)),
            Request::Standby { force } => Step::AskCluster(ClusterRequest::Standby { force }),
            Request::Takeover { force } => Step::AskCluster(ClusterRequest::Takeover { force }),
            Request::Restart(name) => Step::AskInit(Ask::Restart(name)),
            Request::Reboot => Step::AskInit(Ask::Reboot),
            Request::PowerOff => Step::AskInit(Ask::PowerOff),
            Request::Reload => Step::AskInit(Ask::Reload),
        }
    }

    /// The text is made for the first page and kept until the last one: it may be long.
    fn config_page(&mut self, config: &Config, from: u32) -> Response {
        if from == 0 || self.config_text.is_empty() {
            self.config_text = redact::config_text(config);
        }
        let text = &self.config_text;
        let total_bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = text.get(from..).unwrap_or("");
        // Cut where a character ends.
        let end = (0..=CONFIG_PAGE_BYTES.min(rest.len()))
            .rev()
            .find(|end| rest.is_char_boundary(*end));
        let page: String = rest.get(..end.unwrap_or(0)).unwrap_or("").into();
        if page.len() == rest.len() {
            self.config_text = String::new();
        }
        Response::Config {
            text: page,
            total_bytes,
        }
    }

    /// PID 1 has answered the request under way; the response, if complete.
    pub fn init_answered(&mut self, answer: Answer, facts: &Facts) -> Option<Response> {
        let response = match answer {
            Answer::Done => Response::Accepted,
            Answer::Refused(why) => Response::Failed(why),
            Answer::Said(what) => Response::Said(what),
            Answer::Log { lines, end } => Response::Log { lines, end },
            Answer::Workers {
                workers: list,
                watchdog,
                refused_reload,
            } => {
                return self.complete(facts, |parts| {
                    parts.refused_reload = refused_reload;
                    parts.workers = Some((list, watchdog));
                });
            }
        };
        self.waiting = None;
        Some(response)
    }

    /// The cluster worker has; the response, if complete.
    pub fn cluster_answered(&mut self, answer: ClusterAnswer, facts: &Facts) -> Option<Response> {
        let response = match answer {
            ClusterAnswer::Accepted => Response::Accepted,
            ClusterAnswer::Waits(why) => Response::Waits(why),
            ClusterAnswer::Refused(why) => Response::Failed(why),
            ClusterAnswer::Status(status) => {
                return self.complete(facts, |parts| parts.cluster = Some(status));
            }
        };
        self.waiting = None;
        Some(response)
    }

    /// The sync worker has; the response, if complete.
    pub fn sync_answered(&mut self, status: Box<SyncStatus>, facts: &Facts) -> Option<Response> {
        self.complete(facts, |parts| parts.sync = Some(status))
    }

    /// The dataplane has.
    pub fn dataplane_answered(&mut self, answer: Result<DataplaneAnswer, String>) -> Response {
        self.waiting = None;
        match answer {
            Ok(DataplaneAnswer::Services(page)) => Response::Services(page),
            Ok(DataplaneAnswer::Firewall(page)) => Response::Firewall(page),
            Ok(DataplaneAnswer::Connections(report)) => Response::Connections(report),
            Err(why) => Response::Failed(why),
        }
    }

    /// The response that is due although something is missing.
    pub fn expire(&mut self, now: Instant, facts: &Facts) -> Option<Response> {
        if self.deadline()? > now {
            return None;
        }
        let waiting = self.waiting.take()?;
        Some(match waiting.what {
            What::WrongPassword => Response::Authenticated(false),
            What::One(who) => Response::Failed(format!(
                "{who} does not answer; it may be restarting: see `log`, then try again"
            )),
            What::Status(parts) => status(parts, facts),
        })
    }

    /// Takes a part of a status; the response, if that was the last one.
    fn complete(&mut self, facts: &Facts, take: impl FnOnce(&mut Parts)) -> Option<Response> {
        let Some(What::Status(parts)) = self.waiting.as_mut().map(|waiting| &mut waiting.what)
        else {
            return None;
        };
        take(parts);
        if parts.cluster.is_none() || parts.sync.is_none() || parts.workers.is_none() {
            return None;
        }
        let parts = core::mem::take(parts);
        self.waiting = None;
        Some(status(parts, facts))
    }
}

/// Of whatever parts there are.
fn status(parts: Parts, facts: &Facts) -> Response {
    let silent = |who: &str| format!("the {who} worker does not answer: see `log`");
    let cluster = parts.cluster.map(|status| *status);
    let (workers, watchdog) = parts.workers.unwrap_or_default();
    let (memory_total_kib, memory_available_kib) = super::facts::memory_kib();
    Response::Status(Box::new(Status {
        cluster: cluster.ok_or_else(|| silent("cluster")),
        sync: parts
            .sync
            .map(|status| *status)
            .ok_or_else(|| silent("sync")),
        workers,
        watchdog,
        generation: facts.generation,
        digest: facts.digest,
        refused_reload: parts.refused_reload,
        sysctls: super::facts::sysctls(),
        uptime_s: super::facts::uptime_s(),
        memory_total_kib,
        memory_available_kib,
    }))
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests;
