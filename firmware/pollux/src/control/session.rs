//! One client of the control socket, without I/O: what it may do, whom to ask for it, and how the parts
//! of an answer come together. A client has one request under way at a time.

use super::redact;
use crate::ipc::control::{
    ClusterStatus, Hello, Request, Response, ServicePage, Status, WorkerStatus,
};
use crate::ipc::{Answer, Ask, ClusterAnswer, ClusterRequest};
use plan::config::Config;
use plan::password;
use std::time::{Duration, Instant};

/// How long others may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1000);

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
    /// Ask the dataplane for services from this position on.
    AskDataplane(u16),
    /// Ask both PID 1 and the cluster worker.
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
    Status {
        cluster: Option<Box<ClusterStatus>>,
        workers: Option<(Vec<WorkerStatus>, Option<String>)>,
    },
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
}

impl Session {
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
            Step::AskInit(_) => (ANSWER_TIMEOUT, What::One("PID 1")),
            Step::AskCluster(_) => (ANSWER_TIMEOUT, What::One("the cluster worker")),
            Step::AskDataplane(_) => (ANSWER_TIMEOUT, What::One("the dataplane worker")),
            Step::AskStatus => {
                let (cluster, workers) = (None, None);
                (ANSWER_TIMEOUT, What::Status { cluster, workers })
            }
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
            Request::Services { from } => Step::AskDataplane(from),
            Request::Log { from } => Step::AskInit(Ask::Log { from }),
            Request::Config { from } => Step::Reply(config_page(&facts.config, from)),
            Request::Standby => Step::AskCluster(ClusterRequest::Standby),
            Request::Takeover => Step::AskCluster(ClusterRequest::Takeover),
            Request::Restart(name) => Step::AskInit(Ask::Restart(name)),
            Request::Reboot => Step::AskInit(Ask::Reboot),
            Request::PowerOff => Step::AskInit(Ask::PowerOff),
        }
    }

    /// PID 1 has answered the request under way; the response, if complete.
    pub fn init_answered(&mut self, answer: Answer, facts: &Facts) -> Option<Response> {
        let response = match answer {
            Answer::Done => Response::Accepted,
            Answer::Refused(why) => Response::Failed(why),
            Answer::Log { lines, end } => Response::Log { lines, end },
            Answer::Workers {
                workers: list,
                watchdog,
            } => {
                if let Some(Waiting {
                    what: What::Status { workers, .. },
                    ..
                }) = &mut self.waiting
                {
                    *workers = Some((list, watchdog));
                }
                return self.complete_status(facts);
            }
        };
        self.waiting = None;
        Some(response)
    }

    /// The cluster worker has; the response, if complete.
    pub fn cluster_answered(&mut self, answer: ClusterAnswer, facts: &Facts) -> Option<Response> {
        let response = match answer {
            ClusterAnswer::Accepted => Response::Accepted,
            ClusterAnswer::Refused(why) => Response::Failed(why),
            ClusterAnswer::Status(status) => {
                if let Some(Waiting {
                    what: What::Status { cluster, .. },
                    ..
                }) = &mut self.waiting
                {
                    *cluster = Some(status);
                }
                return self.complete_status(facts);
            }
        };
        self.waiting = None;
        Some(response)
    }

    /// The dataplane has.
    pub fn dataplane_answered(&mut self, page: Result<ServicePage, String>) -> Response {
        self.waiting = None;
        match page {
            Ok(page) => Response::Services(page),
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
            What::Status { cluster, workers } => {
                let silent = || "the cluster worker does not answer: see `log`".into();
                let cluster = cluster.map(|status| *status).ok_or_else(silent);
                status(cluster, workers.unwrap_or_default(), facts)
            }
        })
    }

    fn complete_status(&mut self, facts: &Facts) -> Option<Response> {
        let waiting = self.waiting.take()?;
        match waiting.what {
            What::Status {
                cluster: Some(cluster),
                workers: Some(workers),
            } => Some(status(Ok(*cluster), workers, facts)),
            what => {
                self.waiting = Some(Waiting { what, ..waiting });
                None
            }
        }
    }
}

fn status(
    cluster: Result<ClusterStatus, String>,
    (workers, watchdog): (Vec<WorkerStatus>, Option<String>),
    facts: &Facts,
) -> Response {
    let (memory_total_kib, memory_available_kib) = super::facts::memory_kib();
    Response::Status(Box::new(Status {
        cluster,
        workers,
        watchdog,
        generation: facts.generation,
        digest: facts.digest,
        sysctls: super::facts::sysctls(),
        uptime_s: super::facts::uptime_s(),
        memory_total_kib,
        memory_available_kib,
    }))
}

fn config_page(config: &Config, from: u32) -> Response {
    let text = redact::config_text(config);
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let rest = text.get(from..).unwrap_or("");
    // Cut where a character ends.
    let end = (0..=CONFIG_PAGE_BYTES.min(rest.len()))
        .rev()
        .find(|end| rest.is_char_boundary(*end));
    let page = rest.get(..end.unwrap_or(0)).unwrap_or("");
    Response::Config {
        text: page.into(),
        total_bytes: u32::try_from(text.len()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests;
