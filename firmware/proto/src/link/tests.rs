//! Links: what proves a peer, what does not, and what a slow line makes of the timing.

use super::*;
use crate::failover::State;
use crate::wire::{Echo, Standing};

const MINE: u64 = 11;
const PEER: u64 = 22;

fn link() -> Link {
    Link::new(at(0), Medium::Datagram, Timing::DEFAULT)
}

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

fn beat(incarnation: u64, sequence: u64, echo: Option<(u64, u64)>) -> Beat {
    Beat {
        sender: 2,
        link: 0,
        incarnation,
        sequence,
        echo: echo.map(|(incarnation, sequence)| Echo {
            incarnation,
            sequence,
            revision: 0,
        }),
        asks: false,
        standing: Standing {
            revision: 0,
            term: 0,
            state: State::Standby,
            priority: 0,
            fitness: 0,
            ready: true,
            in_sync: true,
            dead_ms: 200,
            generation: 0,
            digest: 0,
        },
    }
}

/// Sends so many frames, a beat apart; returns the time of the last.
fn send(link: &mut Link, count: u64) -> Instant {
    let mut now = link.next_beat;
    for _ in 0..count {
        now = link.next_beat;
        link.number_frame(now);
    }
    now
}

#[test]
fn comes_up_by_an_echo_of_this_start_only() {
    let mut link = link();
    let now = send(&mut link, 1);
    let unproven = Ok(Trust::Greeting);
    assert_eq!(link.receive(now, &beat(PEER, 1, None), MINE), unproven);
    assert_eq!(
        link.receive(now, &beat(PEER, 2, Some((99, 1))), MINE),
        unproven
    );
    assert_eq!(
        link.receive(now, &beat(PEER, 3, Some((MINE, 5))), MINE),
        unproven
    );
    assert!(!link.is_up());
    assert_eq!(
        link.receive(now, &beat(PEER, 4, Some((MINE, 1))), MINE),
        Ok(Trust::Proven)
    );
    assert!(link.is_up());
    assert_eq!(link.poll_change(), Some(true));
    assert_eq!(link.poll_change(), None);
}

#[test]
fn goes_down_after_the_dead_time_of_silence() {
    let mut link = link();
    let now = send(&mut link, 1);
    link.receive(now, &beat(PEER, 1, Some((MINE, 1))), MINE)
        .unwrap();
    link.expire(now + Duration::from_millis(199));
    assert!(link.is_up());
    link.expire(now + Duration::from_millis(200));
    assert!(!link.is_up());
}

#[test]
fn a_line_that_carries_one_way_only_goes_down_though_frames_come_in() {
    let mut link = link();
    send(&mut link, 1);
    for sequence in 1..=5 {
        let now = send(&mut link, 1);
        let echo = Some((MINE, link.sequence));
        link.receive(now, &beat(PEER, sequence, echo), MINE)
            .unwrap();
    }
    let last = link.sequence;
    for sequence in 6..=9 {
        let now = send(&mut link, 1);
        let news = beat(PEER, sequence, Some((MINE, last)));
        assert_eq!(
            link.receive(now, &news, MINE),
            Ok(Trust::Proven),
            "believed, for now"
        );
        link.expire(now);
    }
    assert!(!link.is_up());
    let now = send(&mut link, 1);
    let got = link.receive(now, &beat(PEER, 10, Some((MINE, last))), MINE);
    assert_eq!(got, Ok(Trust::OneWay));
}

#[test]
fn a_replay_is_counted_and_proves_nothing() {
    let mut link = link();
    let now = send(&mut link, 1);
    let genuine = beat(PEER, 7, Some((MINE, 1)));
    link.receive(now, &genuine, MINE).unwrap();
    let later = now + Duration::from_millis(150);
    assert_eq!(
        link.receive(later, &genuine, MINE),
        Err(Rejection::Replayed)
    );
    link.expire(now + Duration::from_millis(200));
    assert!(!link.is_up());
}

#[test]
fn a_frame_that_was_overtaken_is_neither_lost_nor_a_replay() {
    let mut link = link();
    let now = send(&mut link, 1);
    let echo = Some((MINE, 1));
    for sequence in [7, 10, 9] {
        let trust = link.receive(now, &beat(PEER, sequence, echo), MINE);
        let expected = if sequence == 9 {
            Trust::Late
        } else {
            Trust::Proven
        };
        assert_eq!(trust, Ok(expected));
    }
    assert_eq!(link.status(now).lost, 1);
    for sequence in [9, 7, 6] {
        let again = link.receive(now, &beat(PEER, sequence, echo), MINE);
        assert_eq!(again, Err(Rejection::Replayed), "{sequence}");
    }
}

#[test]
fn a_late_beat_is_jitter_and_a_lost_one_is_not() {
    let mut link = link();
    let now = send(&mut link, 1);
    let hear = |link: &mut Link, after_ms, late_ms, sequence| {
        let now = now + Duration::from_millis(after_ms);
        link.wake(now, Duration::from_millis(late_ms));
        let _ = link.receive(now, &beat(PEER, sequence, Some((MINE, 1))), MINE);
        link.jitter().as_millis()
    };
    assert_eq!(hear(&mut link, 0, 0, 1), 0);
    assert_eq!(hear(&mut link, 50, 0, 2), 0);
    assert_eq!(hear(&mut link, 60, 0, 3), 0, "news");
    assert_eq!(hear(&mut link, 210, 0, 6), 0, "two lost");
    assert_eq!(hear(&mut link, 360, 100, 7), 0, "late is this box");
    assert_eq!(hear(&mut link, 440, 0, 8), 30);
}

#[test]
fn silence_goes_on_to_count_where_a_stall_of_this_box_began() {
    let mut link = link();
    let now = send(&mut link, 1);
    link.receive(now, &beat(PEER, 1, Some((MINE, 1))), MINE)
        .unwrap();
    let late = |after_ms| now + Duration::from_millis(after_ms);
    link.wake(late(190), Duration::from_millis(20)); // ordinary
    link.wake(late(190), Duration::from_millis(60));
    assert_eq!(link.up_until, Some(late(260)));
    link.wake(late(900), Duration::from_millis(640));
    assert_eq!(link.up_until, Some(late(1000)), "two beats at most");
    // A box that is always late still finds out.
    for turn in 1..30 {
        link.wake(late(900 + turn * 110), Duration::from_millis(60));
        link.expire(late(900 + turn * 110));
    }
    assert!(!link.is_up());
}

#[test]
fn a_capture_of_another_start_does_not_turn_the_echo_away() {
    let mut link = link();
    let now = send(&mut link, 1);
    link.receive(now, &beat(PEER, 7, Some((MINE, 1))), MINE)
        .unwrap();
    let capture = beat(99, 1000, Some((98, 1000)));
    assert_eq!(link.receive(now, &capture, MINE), Ok(Trust::Greeting));
    assert_eq!(link.number_frame(now).heard, Some((PEER, 7)));
}

#[test]
fn who_talks_first_and_proves_nothing_does_not_keep_the_peer_out() {
    let mut link = link();
    let now = send(&mut link, 1);
    for sequence in 1..=3 {
        let capture = beat(99, 100 + sequence, Some((77, 5)));
        link.receive(now, &capture, MINE).unwrap();
        let peer = beat(PEER, sequence, Some((55, 5)));
        assert_eq!(link.receive(now, &peer, MINE), Ok(Trust::Greeting));
        assert_eq!(link.number_frame(now).heard, Some((PEER, sequence)));
    }
}

/// A link that has just come back after a start, and a stranger who plays captures more often than it beats.
#[test]
fn a_start_is_answered_before_the_next_capture_turns_the_echo_away() {
    let mut link = link();
    let now = send(&mut link, 1);
    let ms = Duration::from_millis;
    let capture = |sequence| beat(99, sequence, Some((98, 7)));
    let _ = link.receive(now + ms(1), &capture(1), MINE);
    // No more of them than one in a quarter of a beat.
    assert!(!link.is_due(now + ms(12)) && link.is_due(now + ms(13)));
    let _ = link.receive(now + ms(10), &beat(PEER, 1, None), MINE);
    assert!(link.is_due(now + ms(13)));
    let told = link.number_frame(now + ms(13));
    assert_eq!(told.heard, Some((PEER, 1)));
    let _ = link.receive(now + ms(24), &capture(2), MINE);
    // Of a start that is known already news wait for the next beat.
    link.number_frame(now + ms(26));
    let _ = link.receive(now + ms(47), &capture(3), MINE);
    assert!(!link.is_due(now + ms(75)) && link.is_due(now + ms(76)));
}

#[test]
fn a_genuine_restart_is_followed_at_once() {
    let mut link = link();
    let now = send(&mut link, 1);
    link.receive(now, &beat(PEER, 7, Some((MINE, 1))), MINE)
        .unwrap();
    assert_eq!(
        link.receive(now, &beat(33, 2, Some((MINE, 1))), MINE),
        Ok(Trust::Proven)
    );
    assert_eq!(link.number_frame(now).heard, Some((33, 2)));
}

#[test]
fn an_old_echo_proves_nothing() {
    let mut link = link();
    let now = send(&mut link, 100);
    let old = beat(PEER, 1, Some((MINE, 50)));
    assert_eq!(link.receive(now, &old, MINE), Ok(Trust::Greeting));
}

#[test]
fn loss_is_estimated_over_the_last_64() {
    let mut link = link();
    for sequence in (1..=200).filter(|sequence| sequence % 4 != 0) {
        let now = send(&mut link, 1);
        let echo = Some((MINE, link.sequence));
        link.receive(now, &beat(PEER, sequence, echo), MINE)
            .unwrap();
    }
    let status = link.status(at(0));
    assert_eq!(
        (status.loss_permille, status.lost, status.received),
        (250, 49, 150)
    );
    let now = send(&mut link, 1);
    let echo = Some((MINE, link.sequence));
    link.receive(now, &beat(PEER, 10_000, echo), MINE).unwrap();
    assert_eq!(link.status(now).loss_permille, 984);
}

#[test]
fn a_slow_line_beats_as_it_can_and_a_fast_one_as_told() {
    let serial = |baud, timing| Link::new(at(0), Medium::Serial { baud }, timing);
    let micros = |link: Link| (link.beat().as_micros(), link.patience().as_micros());
    // As `node::silence` tells it.
    for (baud, timing, beat_us, patience_us) in [
        (9_600, Timing::DEFAULT, 162_500, 406_250),
        (19_200, Timing::DEFAULT, 81_250, 203_125),
        (38_400, Timing::DEFAULT, 50_000, 200_000),
        (38_400, Timing::FAST, 40_624, 101_560),
        (115_200, Timing::DEFAULT, 50_000, 200_000),
        (115_200, Timing::FAST, 13_540, 33_850),
    ] {
        assert_eq!(micros(serial(baud, timing)), (beat_us, patience_us));
    }
    assert_eq!(serial(0, Timing::FAST).beat(), Duration::from_secs(1560));
}

#[test]
fn news_does_not_overrun_the_line() {
    let mut link = Link::new(at(0), Medium::Serial { baud: 19_200 }, Timing::DEFAULT);
    link.number_frame(at(0));
    link.hurry(at(1));
    assert!(!link.is_due(at(40)));
    assert!(link.is_due(at(41)));
}
