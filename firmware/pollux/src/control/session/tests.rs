//! Sessions with and without a password, answered in full, in part and not at all.

use super::*;
use crate::samples::config;

fn facts(password: Option<&str>) -> Facts {
    let mut config = config();
    config.console.password = password.map(|text| password::derive(text, [1; 16], 3));
    Facts {
        hello: Hello {
            version: "0.1.0".into(),
            cluster: "edge".into(),
            node: "castor".into(),
            wants_password: password.is_some(),
        },
        config,
        generation: 7,
        digest: 9,
    }
}

#[test]
fn nothing_but_hello_before_the_password() {
    let facts = facts(Some("gemini"));
    let mut session = Session::default();
    let now = Instant::now();
    let refused = Step::Reply(Response::NotAuthenticated);
    for request in [Request::Status, Request::Reboot, Request::Log { from: 1 }] {
        assert_eq!(session.begin(now, 1, request, &facts), refused);
    }
    let login = Request::Authenticate("gemini".into());
    let welcome = Step::Reply(Response::Authenticated(true));
    assert_eq!(session.begin(now, 2, login, &facts), welcome);
    assert_eq!(
        session.begin(now, 3, Request::Status, &facts),
        Step::AskStatus
    );
}

#[test]
fn a_wrong_password_is_answered_late() {
    let facts = facts(Some("gemini"));
    let mut session = Session::default();
    let now = Instant::now();
    let login = Request::Authenticate("gemin".into());
    assert_eq!(session.begin(now, 1, login, &facts), Step::Delay);
    assert_eq!(session.expire(now, &facts), None);
    let later = now + WRONG_PASSWORD_DELAY;
    assert_eq!(
        session.expire(later, &facts),
        Some(Response::Authenticated(false))
    );
    assert!(!session.is_waiting());
}

#[test]
fn hello_ends_a_login() {
    let facts = facts(Some("gemini"));
    let mut session = Session::default();
    let now = Instant::now();
    session.begin(now, 1, Request::Authenticate("gemini".into()), &facts);
    session.begin(now, 2, Request::Hello, &facts);
    let refused = Step::Reply(Response::NotAuthenticated);
    assert_eq!(
        session.begin(now, 3, Request::Takeover { force: false }, &facts),
        refused
    );
}

#[test]
fn status_waits_for_all_and_says_who_is_missing() {
    let facts = facts(None);
    let mut session = Session::default();
    let now = Instant::now();
    assert_eq!(
        session.begin(now, 5, Request::Status, &facts),
        Step::AskStatus
    );
    assert!(session.waits_for(5));
    let workers = Answer::Workers {
        workers: Vec::new(),
        watchdog: Some("ib700".into()),
        refused_reload: Some(RefusedReload {
            ago_ms: 3,
            why: "torn".into(),
        }),
    };
    assert_eq!(session.init_answered(workers, &facts), None);
    let Some(Response::Status(status)) = session.expire(now + ANSWER_TIMEOUT, &facts) else {
        panic!("no status");
    };
    assert_eq!(status.watchdog.as_deref(), Some("ib700"));
    assert_eq!(status.refused_reload.map(|it| it.why), Some("torn".into()));
    assert!(status.cluster.is_err() && status.sync.is_err());
}

#[test]
fn a_reload_is_waited_for_and_says_what_came_of_it() {
    let facts = facts(Some("gemini"));
    let mut session = Session::default();
    let now = Instant::now();
    let barred = Step::Reply(Response::NotAuthenticated);
    assert_eq!(session.begin(now, 1, Request::Reload, &facts), barred);
    let login = Request::Authenticate("gemini".into());
    session.begin(now, 2, login, &facts);
    let asked = session.begin(now, 3, Request::Reload, &facts);
    assert_eq!(asked, Step::AskInit(Ask::Reload));
    assert!(session.expire(now + 10 * ANSWER_TIMEOUT, &facts).is_none());
    // Its password went with the config that it was asked under.
    session.log_out();
    let said = session.init_answered(Answer::Said("generation 2".into()), &facts);
    assert_eq!(said, Some(Response::Said("generation 2".into())));
    assert_eq!(session.begin(now, 4, Request::Reload, &facts), barred);
}

#[test]
fn the_config_comes_in_pages_without_its_key() {
    let facts = facts(Some("gemini"));
    let mut session = Session::default();
    let mut text = String::new();
    loop {
        let from = u32::try_from(text.len()).unwrap_or(0);
        let Response::Config {
            text: page,
            total_bytes,
        } = session.config_page(&facts.config, from)
        else {
            panic!("no page");
        };
        text.push_str(&page);
        if page.is_empty() || text.len() >= usize::try_from(total_bytes).unwrap_or(0) {
            break;
        }
    }
    assert!(text.contains("castor"), "{text}");
    assert!(!text.contains("0707"), "{text}");
    assert_eq!(session.config_text, "");
}
