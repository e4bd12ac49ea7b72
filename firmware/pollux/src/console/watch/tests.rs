//! A view played through: what it asks, when, and what keys do.

use super::*;
use crate::console::samples::{service, status};
use crate::ipc::control::Level;

fn line(sequence: u64) -> LogLine {
    LogLine {
        sequence,
        at_ms: 1,
        level: Level::Info,
        text: "x".into(),
    }
}

fn begun(now: Instant) -> Watch {
    let (watch, opening, request) = Watch::begin(now, "castor", Some(SIZE_DEFAULT));
    assert_eq!((opening.as_str(), request), ("", Request::Status));
    watch
}

/// Answers a whole round at once.
fn round(watch: &mut Watch, now: Instant, end: u64) {
    let status = Response::Status(Box::new(status()));
    assert_eq!(
        watch.answered(now, status),
        Some(Request::Services { from: 0 })
    );
    let (services, total) = (vec![service()], 1);
    let page = Response::Services(ServicePage { services, total });
    let mut next = watch.answered(now, page);
    while let Some(Request::Log { from }) = next {
        let lines = (from..end).take(40).map(line).collect();
        next = watch.answered(now, Response::Log { lines, end });
    }
    assert_eq!(next, None);
}

#[test]
fn a_round_asks_for_everything_and_the_next_waits() {
    let now = Instant::now();
    let mut watch = begun(now);
    round(&mut watch, now, 200);
    assert_eq!(watch.facts.events.next(200), 200);
    watch.paint(usize::MAX);
    assert_eq!(watch.poll(now), None);
    assert_eq!(watch.poll(now + INTERVAL), Some(Request::Status));
    assert_eq!(watch.poll(now + INTERVAL), None, "one is under way");
}

#[test]
fn nothing_is_asked_while_the_line_lags_behind() {
    let now = Instant::now();
    let mut watch = begun(now);
    round(&mut watch, now, 3);
    watch.paint(200);
    assert!(watch.is_behind());
    assert_eq!(watch.poll(now + INTERVAL), None);
    watch.paint(usize::MAX);
    assert!(!watch.is_behind());
    assert_eq!(watch.poll(now + INTERVAL), Some(Request::Status));
}

#[test]
fn a_slow_box_is_asked_seldom() {
    let now = Instant::now();
    let mut watch = begun(now);
    let later = now + Duration::from_secs(1);
    round(&mut watch, later, 3);
    assert_eq!(watch.next_round(), later + Duration::from_secs(3));
}

#[test]
fn an_event_is_shown_at_once_and_looked_into_soon() {
    let now = Instant::now();
    let mut watch = begun(now);
    round(&mut watch, now, 3);
    watch.log_line(&line(3));
    assert_eq!(watch.facts.events.next(9), 4);
    assert_eq!(watch.next_round(), now + HASTE_INTERVAL);
    // One that does not follow on is asked for.
    watch.log_line(&line(7));
    assert_eq!(watch.facts.events.next(9), 4);
}

#[test]
fn what_fails_is_shown_and_the_rest_goes_on() {
    let now = Instant::now();
    let mut watch = begun(now);
    let failed = || Response::Failed("nobody answers".into());
    assert!(watch.answered(now, failed()).is_some());
    let from = u64::MAX;
    assert_eq!(watch.answered(now, failed()), Some(Request::Log { from }));
    assert_eq!(watch.answered(now, failed()), None);
    assert!(watch.paint(usize::MAX).contains("nobody answers"));
}

#[test]
fn keys_leave_redraw_and_scroll() {
    let now = Instant::now();
    let mut watch = begun(now);
    round(&mut watch, now, 3);
    watch.paint(usize::MAX);
    assert!(!watch.pressed(Key::Down), "nothing to scroll");
    assert_eq!(watch.facts.scrolled, 0);
    assert!(!watch.pressed(Key::Clear));
    assert!(watch.paint(usize::MAX).starts_with("\x1b[0m\x1b[2J"));
    for key in [Key::Char('q'), Key::Cancel, Key::EndOfInput] {
        assert!(watch.pressed(key));
    }
}

#[test]
fn the_terminal_tells_how_large_it_is() {
    let now = Instant::now();
    let (mut watch, opening, _) = Watch::begin(now, "castor", None);
    assert!(opening.contains("\x1b[6n"));
    let (row, column) = (50, 132);
    watch.pressed(Key::CursorAt { row, column });
    assert_eq!(watch.painter.size().rows, 50);
    let (row, column) = (0, 9999);
    watch.pressed(Key::CursorAt { row, column });
    let size = watch.painter.size();
    assert_eq!((size.rows, size.columns), (12, 200));
}
