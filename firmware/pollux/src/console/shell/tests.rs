//! Sessions played through: what the operator types, what control answers, what appears.

use super::*;
use crate::ipc::control::Level;
use crate::ipc::control::tables::{FirewallLine, FirewallPage};

fn hello(wants_password: bool) -> Response {
    Response::Hello(Hello {
        version: "0.1.0".into(),
        cluster: "edge".into(),
        node: "castor".into(),
        wants_password,
    })
}

fn at_prompt() -> Shell {
    let mut shell = Shell::new();
    shell.connected();
    assert_eq!(shell.take_request(), Some(Request::Hello));
    shell.answered(hello(false));
    assert!(shell.take_output().ends_with("\rcastor> \x1b[K"));
    shell
}

fn line(sequence: u64, text: &str) -> LogLine {
    LogLine {
        sequence,
        at_ms: 12_345,
        level: Level::Info,
        text: text.into(),
    }
}

#[test]
fn a_password_comes_first_and_is_never_shown() {
    let mut shell = Shell::new();
    shell.connected();
    shell.answered(hello(true));
    shell.take_request();
    shell.typed(b"gemini\r");
    assert!(!shell.take_output().contains("gemini"));
    let Some(Request::Authenticate(password)) = shell.take_request() else {
        panic!("no login");
    };
    assert_eq!(password, "gemini");
    shell.answered(Response::Authenticated(false));
    assert!(
        shell
            .take_output()
            .ends_with("wrong password\n\rpassword: \x1b[K")
    );
    shell.typed(b"gemini2\r");
    shell.answered(Response::Authenticated(true));
    assert!(shell.take_output().ends_with("\rcastor> \x1b[K"));
}

#[test]
fn log_lines_appear_above_what_is_being_typed() {
    let mut shell = at_prompt();
    shell.typed(b"sta");
    shell.take_output();
    shell.log_line(&line(1, "cluster: peer is up"));
    assert_eq!(
        shell.take_output(),
        "\r\x1b[K[   12.345] info  cluster: peer is up\n\rcastor> sta\x1b[K"
    );
}

#[test]
fn what_is_typed_ahead_waits_for_the_answer() {
    let mut shell = at_prompt();
    shell.typed(b"standby\rtakeover\r");
    assert_eq!(
        shell.take_request(),
        Some(Request::Standby { force: false })
    );
    assert_eq!(shell.take_request(), None);
    shell.answered(Response::Accepted);
    assert_eq!(
        shell.take_request(),
        Some(Request::Takeover { force: false })
    );
}

#[test]
fn control_c_leaves_a_command_that_hangs() {
    let mut shell = at_prompt();
    shell.typed(b"status\r\x03help\r");
    assert!(shell.take_output().contains("takeover"));
}

#[test]
fn the_last_lines_of_the_log_come_in_pages() {
    let mut shell = at_prompt();
    shell.typed(b"log 3\r");
    assert_eq!(shell.take_request(), Some(Request::Log { from: u64::MAX }));
    let end = 11;
    let lines = Vec::new();
    shell.answered(Response::Log { lines, end });
    assert_eq!(shell.take_request(), Some(Request::Log { from: 8 }));
    let lines = vec![line(8, "a"), line(9, "b")];
    shell.answered(Response::Log { lines, end });
    assert_eq!(shell.take_request(), Some(Request::Log { from: 10 }));
    let lines = vec![line(10, "c")];
    shell.answered(Response::Log { lines, end });
    let output = shell.take_output();
    assert_eq!(output.matches("info").count(), 3);
    assert!(output.ends_with("castor> \x1b[K"));
}

#[test]
fn rules_are_printed_as_they_come_until_control_c() {
    let page = |names: [&str; 2]| {
        let rules = names.map(|name| FirewallLine::Rule {
            about: name.into(),
            decision: "drop".into(),
            counted: None,
        });
        let total = 20_000;
        let lines = rules.into();
        Response::Firewall(FirewallPage { lines, total })
    };
    let mut shell = at_prompt();
    shell.typed(b"firewall\r");
    assert_eq!(shell.take_request(), Some(Request::Firewall { from: 0 }));
    shell.answered(page(["a", "b"]));
    assert_eq!(shell.take_output().matches("drop").count(), 2);
    assert_eq!(shell.take_request(), Some(Request::Firewall { from: 2 }));
    shell.answered(page(["c", "d"]));
    assert_eq!(shell.take_request(), Some(Request::Firewall { from: 4 }));
    shell.typed(b"\x03");
    shell.answered(page(["e", "f"]));
    assert_eq!(shell.take_output().matches("drop").count(), 2);
    assert_eq!(shell.take_request(), None);
}

#[test]
fn a_lost_control_socket_is_said_and_greets_again() {
    let mut shell = at_prompt();
    shell.typed(b"status\r");
    shell.disconnected();
    assert!(shell.take_output().contains("control worker is gone"));
    shell.connected();
    assert_eq!(shell.take_request(), Some(Request::Hello));
    shell.answered(hello(false));
    assert!(shell.take_output().ends_with("castor> \x1b[K"));
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_the_next() {
    let mut shell = at_prompt();
    shell.typed(b"status\r");
    assert_eq!(shell.take_request(), Some(Request::Status));
    shell.typed(b"\x03standby\r");
    shell.take_output();
    shell.answered(Response::Failed("late".into()));
    assert_eq!(shell.take_output(), "");
    shell.answered(Response::Accepted);
    assert!(shell.take_output().starts_with("accepted"));
}

#[test]
fn tab_completes_and_lists() {
    let mut shell = at_prompt();
    shell.typed(b"se\t");
    assert!(shell.take_output().ends_with("\rcastor> services \x1b[K"));
    shell.typed(b"\x15st\t\t");
    assert!(shell.take_output().contains("\nstatus  standby\n"));
}

#[test]
fn watch_takes_the_screen_and_gives_it_back() {
    let mut shell = at_prompt();
    shell.typed(b"watch\r");
    assert_eq!(shell.take_request(), Some(Request::Status));
    shell.take_output();
    shell.log_line(&line(1, "not above a prompt that is not there"));
    assert_eq!(shell.take_output(), "");
    shell.typed(b"qstat");
    assert!(
        shell
            .take_output()
            .ends_with("\x1b[24;1H\n\rcastor> \x1b[Kstat")
    );
    // The answer that was under way is nobody's.
    shell.answered(Response::Failed("late".into()));
    assert_eq!(shell.take_output(), "");
    shell.typed(b"us\r");
    assert_eq!(shell.take_request(), Some(Request::Status));
}

#[test]
fn watch_ends_with_the_control_socket() {
    let mut shell = at_prompt();
    shell.typed(b"watch\r");
    shell.disconnected();
    assert!(shell.take_output().contains("control worker is gone"));
    assert!(shell.watch().is_none());
}

#[test]
fn a_script_can_t_watch() {
    let mut shell = Shell::of_script("watch");
    shell.connected();
    shell.answered(hello(false));
    assert!(shell.has_ended() && shell.has_failed());
}

#[test]
fn what_is_no_ascii_is_said_once_a_line() {
    let mut shell = at_prompt();
    shell.typed("h\u{e4}\u{f6}elp".as_bytes());
    let output = shell.take_output();
    assert_eq!(output.matches("only plain ASCII").count(), 1, "{output}");
    assert!(output.contains("\rcastor> h\x1b[K"), "{output}");
    shell.typed(b"\r\xe4");
    let output = shell.take_output();
    assert!(output.contains("takeover") && output.contains("only plain ASCII"));
}
