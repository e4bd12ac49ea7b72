//! The whole table of the state machine, and the promises that hold in every cell of it.

extern crate std;

use super::*;
use std::fmt::Write as _;
use std::string::String;

const STATES: [(&str, State); 13] = [
    ("Listening", State::Listening),
    ("Standby", State::Standby),
    ("Held", State::Held),
    ("Asking", State::Asking),
    ("Taking", State::Taking),
    ("Active", State::Active),
    ("Offering>S", State::Offering(Goal::Standby)),
    ("Offering>H", State::Offering(Goal::Held)),
    ("Offering>R", State::Offering(Goal::Resigned)),
    ("Releasing>S", State::Releasing(Goal::Standby)),
    ("Releasing>H", State::Releasing(Goal::Held)),
    ("Releasing>R", State::Releasing(Goal::Resigned)),
    ("Resigned", State::Resigned),
];

/// Events that carry a reason only pass it on, so one of each kind stands for all.
const EVENTS: [(&str, Event); 16] = [
    ("Vacant", Event::Vacant(Vacancy::PeerDead)),
    ("Offered", Event::Offered),
    ("Outranked", Event::Outranked),
    ("Asked", Event::Asked),
    ("PeerBetter", Event::PeerBetter(Preference::Fitness)),
    ("PeerUnable", Event::PeerUnable),
    ("Contested", Event::Contested),
    ("PeerLetGo", Event::PeerLetGo),
    ("Restarted", Event::PeerRestarted),
    ("Stalled", Event::Stalled),
    ("Taken", Event::Taken),
    ("Released", Event::Released),
    ("Deadline", Event::Deadline),
    ("standby", Event::Told(Command::Standby)),
    ("takeover", Event::Told(Command::Takeover)),
    ("resign", Event::Told(Command::Resign)),
];

/// A row for each state, a column for each event; `.` stays, `!` announces, `again` repeats the order.
const TABLE: &str = include_str!("table.txt");

fn name(state: State) -> &'static str {
    STATES
        .iter()
        .find(|(_, it)| *it == state)
        .map_or("?", |(name, _)| name)
}

fn cells() -> impl Iterator<Item = (State, Event, Step)> {
    STATES.into_iter().flat_map(|(_, state)| {
        EVENTS
            .into_iter()
            .map(move |(_, event)| (state, event, step(state, event)))
    })
}

#[test]
fn the_table_is_this() {
    let mut table = String::new();
    let _ = write!(table, "{:12}", "");
    for (event, _) in EVENTS {
        let _ = write!(table, "{event:12}");
    }
    for (row, state) in STATES {
        table.truncate(table.trim_end().len());
        let _ = write!(table, "\n{row:12}");
        for (_, event) in EVENTS {
            let cell = match step(state, event) {
                Step::Stay => ".",
                Step::Announce => "!",
                Step::Again => "again",
                Step::Go(to, _) => name(to),
            };
            let _ = write!(table, "{cell:12}");
        }
    }
    let table = table.trim_end();
    assert_eq!(table, TABLE.trim_end(), "the table is now:\n{table}\n");
}

#[test]
fn nobody_becomes_active_but_by_taking_or_by_calling_off_an_offer() {
    for (from, event, outcome) in cells() {
        if let Step::Go(State::Active, _) = outcome {
            let taken = from == State::Taking && event == Event::Taken;
            assert!(
                taken || matches!(from, State::Offering(_)),
                "{from:?} {event:?}"
            );
        }
    }
}

#[test]
fn who_may_answer_never_becomes_idle_without_releasing() {
    for (from, event, outcome) in cells() {
        if let Step::Go(to, _) = outcome
            && from.may_answer()
            && !to.may_answer()
        {
            assert!(matches!(from, State::Releasing(_)), "{from:?} {event:?}");
            assert_eq!(event, Event::Released);
        }
    }
}

#[test]
fn a_stall_makes_every_holder_let_go_and_moves_nobody_else() {
    for (state, goal) in [
        (State::Taking, Goal::Standby),
        (State::Active, Goal::Standby),
        (State::Offering(Goal::Held), Goal::Held),
        (State::Offering(Goal::Resigned), Goal::Resigned),
    ] {
        assert_eq!(
            step(state, Event::Stalled),
            Step::Go(State::Releasing(goal), Reason::Stalled)
        );
    }
    for (_, state) in STATES {
        if !matches!(state, State::Taking | State::Active | State::Offering(_)) {
            assert_eq!(step(state, Event::Stalled), Step::Stay, "{state:?}");
        }
    }
}

#[test]
fn who_resigned_or_is_resigning_never_takes_again() {
    let leaving = |state| {
        matches!(
            state,
            State::Resigned | State::Offering(Goal::Resigned) | State::Releasing(Goal::Resigned)
        )
    };
    for (from, event, outcome) in cells() {
        if let Step::Go(to, _) = outcome
            && leaving(from)
        {
            assert!(leaving(to), "{from:?} {event:?} {to:?}");
        }
    }
}

#[test]
fn resign_is_followed_from_every_state() {
    for (_, state) in STATES {
        let told = match step(state, Event::Told(Command::Resign)) {
            Step::Go(to, _) => to,
            _ => state,
        };
        let mut state = told;
        for event in [Event::PeerUnable, Event::Released] {
            if let Step::Go(to, _) = step(state, event) {
                state = to;
            }
        }
        assert_eq!(state, State::Resigned, "from {told:?}");
    }
}

#[test]
fn reasons_are_passed_on() {
    for why in [Preference::Fitness, Preference::Priority] {
        let outcome = step(State::Active, Event::PeerBetter(why));
        let offering = State::Offering(Goal::Standby);
        assert_eq!(outcome, Step::Go(offering, Reason::PeerBetter(why)));
    }
    for why in [
        Vacancy::NobodyHeard,
        Vacancy::PeerDead,
        Vacancy::PeerRestarted,
        Vacancy::PeerResigned,
        Vacancy::Preferred,
    ] {
        let outcome = step(State::Standby, Event::Vacant(why));
        assert_eq!(outcome, Step::Go(State::Taking, Reason::Vacant(why)));
    }
}
