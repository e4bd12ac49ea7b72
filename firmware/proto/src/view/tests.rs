//! Judgements about the pair: who takes what nobody holds, who gives way, who is preferred.

use super::*;
use crate::failover::Goal;

const BASE: Standing = Standing {
    revision: 0,
    term: 3,
    state: State::Standby,
    priority: 100,
    fitness: 2,
    ready: true,
    in_sync: true,
    dead_ms: 200,
    generation: 1,
    digest: 1,
};

fn view(own: Standing, peer: Option<Standing>) -> View {
    View {
        own: Member {
            number: 1,
            standing: own,
        },
        peer: peer.map(|standing| Member {
            number: 2,
            standing,
        }),
        peer_was_heard: true,
        abandoned: false,
    }
}

/// As seen by node 2.
fn mirrored(view: &View) -> View {
    View {
        own: view.peer.unwrap(),
        peer: Some(view.own),
        ..*view
    }
}

fn with(state: State) -> Standing {
    Standing { state, ..BASE }
}

fn vacant(why: Vacancy) -> Option<Event> {
    Some(Event::Vacant(why))
}

#[test]
fn exactly_one_of_two_idle_boxes_takes_what_nobody_holds() {
    let standings = [
        BASE,
        with(State::Held),
        with(State::Asking),
        Standing {
            priority: 200,
            ..BASE
        },
        Standing { fitness: 1, ..BASE },
        Standing {
            fitness: 0,
            ..with(State::Asking)
        },
        Standing { term: 9, ..BASE },
    ];
    for own in standings {
        for peer in standings {
            let view = view(own, Some(peer));
            let takers = [view, mirrored(&view)]
                .iter()
                .filter(|view| view.event() == vacant(Vacancy::Preferred))
                .count();
            assert_eq!(takers, 1, "{own:?} {peer:?}");
        }
    }
}

#[test]
fn of_equals_the_lower_number_takes() {
    let view = view(BASE, Some(BASE));
    assert_eq!(view.event(), vacant(Vacancy::Preferred));
    assert_eq!(mirrored(&view).event(), None);
}

#[test]
fn nobody_takes_or_accepts_anything_before_it_is_ready() {
    let unready = Standing {
        ready: false,
        ..BASE
    };
    for peer in [
        None,
        Some(with(State::Resigned)),
        Some(with(State::Standby)),
    ] {
        assert_eq!(view(unready, peer).event(), None, "{peer:?}");
    }
    let offer = with(State::Offering(Goal::Standby));
    assert_eq!(view(unready, Some(offer)).event(), Some(Event::Outranked));
    assert_eq!(view(BASE, Some(offer)).event(), Some(Event::Offered));
}

#[test]
fn a_silent_peer_leaves_the_addresses_and_says_so() {
    assert_eq!(view(BASE, None).event(), vacant(Vacancy::PeerDead));
    let unheard = View {
        peer_was_heard: false,
        ..view(BASE, None)
    };
    assert_eq!(unheard.event(), vacant(Vacancy::NobodyHeard));
}

#[test]
fn even_the_lesser_box_takes_what_a_restart_abandoned() {
    let stronger = Standing {
        priority: 200,
        ..with(State::Listening)
    };
    let mut view = view(BASE, Some(stronger));
    assert_eq!(view.event(), None);
    view.abandoned = true;
    assert_eq!(view.event(), vacant(Vacancy::PeerRestarted));
}

#[test]
fn nothing_is_taken_while_the_other_takes_or_releases() {
    for state in [State::Taking, State::Releasing(Goal::Standby)] {
        assert_eq!(view(BASE, Some(with(state))).event(), None);
    }
}

#[test]
fn exactly_one_of_two_actives_gives_way_by_term_alone() {
    let winner = Standing {
        term: 4,
        ..with(State::Active)
    };
    let loser = Standing {
        priority: 255,
        fitness: 9,
        ..with(State::Active)
    };
    let view = view(winner, Some(loser));
    assert_eq!(view.event(), None);
    assert_eq!(mirrored(&view).event(), Some(Event::Outranked));
}

#[test]
fn who_holds_gives_way_only_to_who_holds() {
    let taking = Standing {
        term: 4,
        ..with(State::Taking)
    };
    assert_eq!(view(with(State::Active), Some(taking)).event(), None);
    let taken = Standing {
        term: 4,
        ..with(State::Active)
    };
    assert_eq!(
        view(with(State::Active), Some(taken)).event(),
        Some(Event::Outranked)
    );
    assert_eq!(
        view(with(State::Taking), Some(taking)).event(),
        Some(Event::Outranked)
    );
}

#[test]
fn an_offer_stands_while_the_peer_can_take_it() {
    let offering = with(State::Offering(Goal::Held));
    let unready = Standing {
        ready: false,
        ..BASE
    };
    for peer in [None, Some(unready), Some(with(State::Resigned))] {
        assert_eq!(view(offering, peer).event(), Some(Event::PeerUnable));
    }
    for peer in [BASE, with(State::Held), with(State::Taking)] {
        assert_eq!(view(offering, Some(peer)).event(), None);
    }
}

#[test]
fn an_active_box_hears_who_asks() {
    let asking = with(State::Asking);
    assert_eq!(
        view(with(State::Active), Some(asking)).event(),
        Some(Event::Asked)
    );
    let unready = Standing {
        ready: false,
        ..asking
    };
    assert_eq!(view(with(State::Active), Some(unready)).event(), None);
}

#[test]
fn nobody_hands_the_addresses_to_where_nobody_could_reach_them() {
    let stranded = Standing {
        fitness: 0,
        ..with(State::Asking)
    };
    let active = with(State::Active);
    assert_eq!(view(active, Some(stranded)).event(), None);
    let both = view(
        Standing {
            fitness: 0,
            ..active
        },
        Some(stranded),
    );
    assert_eq!(both.event(), Some(Event::Asked));
    // Where nobody holds them, the operator's word comes after that, too.
    assert_eq!(
        view(BASE, Some(stranded)).event(),
        vacant(Vacancy::Preferred)
    );
    assert_eq!(view(stranded, Some(BASE)).event(), None);
}

#[test]
fn a_held_box_is_offered_the_addresses_for_need_only() {
    let held = Some(with(State::Held));
    let active = |fitness| Standing {
        fitness,
        ..with(State::Active)
    };
    assert_eq!(view(active(1), held).preference(FailBack::Auto), None);
    let stranded = view(active(0), held).preference(FailBack::Off);
    assert_eq!(stranded, Some(Preference::Fitness));
}

#[test]
fn preference_goes_by_carriers_then_by_priority_where_fail_back_is_on() {
    let active = with(State::Active);
    let fitter = Standing { fitness: 3, ..BASE };
    let senior = Standing {
        priority: 200,
        ..BASE
    };
    let prefers = |peer, fail_back| view(active, Some(peer)).preference(fail_back);
    assert_eq!(prefers(fitter, FailBack::Off), Some(Preference::Fitness));
    assert_eq!(prefers(senior, FailBack::Auto), Some(Preference::Priority));
    assert_eq!(prefers(senior, FailBack::Off), None);
    assert_eq!(prefers(BASE, FailBack::Auto), None);
    // Carriers are a need, and priority is none: for that no connection is broken.
    let unsynced = |standing| Standing {
        in_sync: false,
        ..standing
    };
    let needed = prefers(unsynced(fitter), FailBack::Auto);
    assert_eq!(needed, Some(Preference::Fitness));
    assert_eq!(prefers(unsynced(senior), FailBack::Auto), None);
    let waits = |peer, fail_back| view(active, Some(peer)).fail_back_waits(fail_back);
    assert!(waits(unsynced(senior), FailBack::Auto));
    assert!(!waits(unsynced(senior), FailBack::Off) && !waits(senior, FailBack::Auto));
    assert!(!waits(unsynced(fitter), FailBack::Auto) && !waits(unsynced(BASE), FailBack::Auto));
    // Higher priority with fewer carriers, not ready, or held by its operator.
    for peer in [
        Standing {
            fitness: 1,
            ..senior
        },
        Standing {
            ready: false,
            ..senior
        },
        Standing {
            state: State::Held,
            ..senior
        },
        Standing {
            state: State::Held,
            ..fitter
        },
    ] {
        assert_eq!(prefers(peer, FailBack::Auto), None, "{peer:?}");
    }
}
