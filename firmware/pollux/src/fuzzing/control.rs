//! A client of the control socket, and those who answer for it. Before the password nothing is asked of
//! anybody; every request under way has an end; every answer fits a message.

use super::{script, written};
use crate::control::session::{Facts, Session, Step};
use crate::ipc::DataplaneAnswer;
use crate::ipc::channel::MESSAGE_BYTES_MAX;
use crate::ipc::control::{Hello, Request, Response, ServicePage};
use crate::ipc::{Answer, ClusterAnswer};
use crate::samples;
use plan::password;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const PASSWORD: &str = "gemini";

/// No request is under way for so long.
const ANY_WAIT: Duration = Duration::from_secs(120);

#[derive(Serialize, Deserialize)]
enum Happening {
    Asked(Request),
    InitAnswered(Answer),
    ClusterAnswered(ClusterAnswer),
    DataplaneAnswered(Result<DataplaneAnswer, String>),
    Waited(u16),
}

static OPEN: LazyLock<Facts> = LazyLock::new(|| facts(false));
static GUARDED: LazyLock<Facts> = LazyLock::new(|| facts(true));

fn facts(wants_password: bool) -> Facts {
    let mut config = samples::config();
    config.console.password = wants_password.then(|| password::derive(PASSWORD, [1; 16], 1));
    Facts {
        hello: Hello {
            version: "0.1.0".into(),
            cluster: "edge".into(),
            node: "castor".into(),
            wants_password,
        },
        config,
        generation: 7,
        digest: 9,
    }
}

/// A client, of a box with or without a password by the first byte.
pub fn control(bytes: &[u8]) {
    let Some((&guarded, happenings)) = bytes.split_first() else {
        return;
    };
    let facts: &Facts = if guarded % 2 == 1 { &GUARDED } else { &OPEN };
    let mut client = Client {
        session: Session::default(),
        facts,
        now: Instant::now(),
        number: 0,
        may_ask: guarded % 2 == 0,
    };
    script(happenings).for_each(|happening| client.happen(happening));
    client.wait(ANY_WAIT);
    assert!(!client.session.is_waiting(), "a request without an end");
}

struct Client {
    session: Session,
    facts: &'static Facts,
    now: Instant,
    number: u32,
    may_ask: bool,
}

impl Client {
    /// As control passes them on: requests one at a time, answers only where one is under way.
    fn happen(&mut self, happening: Happening) {
        let waits = self.session.is_waiting();
        match happening {
            Happening::Asked(request) if !waits => self.ask(request),
            Happening::InitAnswered(answer) if waits => {
                fits(self.session.init_answered(answer, self.facts).as_ref());
            }
            Happening::ClusterAnswered(answer) if waits => {
                fits(self.session.cluster_answered(answer, self.facts).as_ref());
            }
            Happening::DataplaneAnswered(page) if waits => {
                fits(Some(&self.session.dataplane_answered(page)));
            }
            Happening::Waited(span_ms) => self.wait(Duration::from_millis(span_ms.into())),
            _ => {}
        }
        let deadline = self.session.deadline();
        assert_eq!(deadline.is_some(), self.session.is_waiting());
    }

    fn ask(&mut self, request: Request) {
        self.number += 1;
        match &request {
            Request::Hello => self.may_ask = self.facts.config.console.password.is_none(),
            Request::Authenticate(typed) if typed == PASSWORD => self.may_ask = true,
            Request::Authenticate(_) => {
                self.may_ask = self.facts.config.console.password.is_none();
            }
            _ => {}
        }
        match self
            .session
            .begin(self.now, self.number, request, self.facts)
        {
            Step::Reply(Response::Config { .. }) => assert!(self.may_ask, "the config, unasked"),
            Step::Reply(response) => fits(Some(&response)),
            Step::Delay => {}
            step => assert!(self.may_ask, "{step:?} before the password"),
        }
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        fits(self.session.expire(self.now, self.facts).as_ref());
    }
}

/// Those that are made here; what others say is bounded by their own messages.
fn fits(response: Option<&Response>) {
    let made_here = matches!(
        response,
        Some(Response::Hello(_) | Response::Config { .. } | Response::NotAuthenticated)
    );
    let length = postcard::to_allocvec(&response).map(|bytes| bytes.len());
    assert!(!made_here || length.is_ok_and(|bytes| bytes <= MESSAGE_BYTES_MAX));
}

/// Clients that know the password, that guess it, and that wait in vain.
#[must_use]
pub fn control_seeds() -> Vec<Vec<u8>> {
    let login = |text: &str| Happening::Asked(Request::Authenticate(text.into()));
    let workers = Answer::Workers {
        refused_reload: None,
        workers: Vec::new(),
        watchdog: Some("iTCO".into()),
    };
    let page = ServicePage {
        services: Vec::new(),
        total: 0,
    };
    let known = [
        Happening::Asked(Request::Hello),
        login(PASSWORD),
        Happening::Asked(Request::Status),
        Happening::InitAnswered(workers),
        Happening::ClusterAnswered(ClusterAnswer::Refused("busy".into())),
        Happening::Asked(Request::Config { from: 0 }),
        Happening::Asked(Request::Services { from: 3 }),
        Happening::DataplaneAnswered(Ok(DataplaneAnswer::Services(page))),
    ];
    let guessed = [
        login("gemin"),
        Happening::Waited(2000),
        Happening::Asked(Request::Reboot),
        Happening::Asked(Request::Log { from: 1 }),
    ];
    let open = [
        Happening::Asked(Request::Takeover { force: true }),
        Happening::Waited(1000),
        Happening::Asked(Request::Restart("health".into())),
        Happening::InitAnswered(Answer::Done),
    ];
    let client = |guarded, happenings: &[Happening]| [vec![guarded], written(happenings)].concat();
    vec![client(1, &known), client(1, &guessed), client(0, &open)]
}
