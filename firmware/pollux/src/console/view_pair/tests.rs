//! The sentences about the pair, healthy and not.

use super::*;
use crate::console::samples::{cluster, link, status};

#[test]
fn loss_is_of_what_was_sent_to_us() {
    assert_eq!(lost_permille(0, 0), 0);
    assert_eq!(percent(lost_permille(1, 999)), "0.1%");
    assert_eq!(percent(lost_permille(u64::MAX, 1)), "99.9%");
}

#[test]
fn small_delays_have_a_decimal() {
    let texts = [0, 440, 9_949, 9_950, 84_499].map(millis);
    assert_eq!(texts, ["0.0 ms", "0.4 ms", "9.9 ms", "10 ms", "84 ms"]);
}

#[test]
fn drift_is_said_in_plain_words() {
    let status = status();
    let peer = cluster().peer;
    let with = |generation, digest| {
        let peer = peer.clone().map(|peer| PeerStatus {
            generation,
            digest,
            ..peer
        });
        config(&status, peer.as_ref())
    };
    assert_eq!(
        with(7, 9),
        "generation 7, digest 0000000000000009, on both boxes"
    );
    assert_eq!(
        with(6, 9),
        "the same on both boxes (generation 7 here, 6 on pollux)"
    );
    assert!(with(6, 8).ends_with("put generation 7 on pollux's medium, then `reload` there"));
    assert!(with(8, 8).ends_with("put generation 8 on this box's medium, then `reload` here"));
    assert!(with(7, 8).contains("but not the same (digest 0000000000000009 here"));
    assert_eq!(
        config(&status, None),
        "generation 7, digest 0000000000000009"
    );
}

#[test]
fn a_fail_back_that_waits_says_for_what() {
    let mut twin = cluster().peer;
    if let Some(twin) = &mut twin {
        (twin.in_sync, twin.fail_back_waits) = (false, true);
    }
    assert_eq!(
        peer(twin.as_ref()),
        "pollux is standby, ready; term 2, fail-back waits for sync"
    );
}

#[test]
fn a_refused_reload_says_why_until_one_is_not() {
    let mut status = status();
    let text = |status: &Status| {
        let mut out = String::new();
        pair("castor", &cluster(), status, &mut out);
        out
    };
    assert!(!text(&status).contains("reload"));
    status.refused_reload = Some(RefusedReload {
        ago_ms: 12_000,
        why: "[[link]] differs".into(),
    });
    let said = text(&status);
    assert!(
        said.contains("reload:     refused 12.0 s ago: [[link]] differs\n"),
        "{said}"
    );
}

#[test]
fn a_wider_dead_time_has_a_reason() {
    let mut cluster = cluster();
    assert_eq!(dead_time(&cluster), "200 ms, as configured");
    cluster.dead_ms = 350;
    cluster.delay_us = 84_000;
    assert_eq!(
        dead_time(&cluster),
        "350 ms instead of 200 ms: this box wakes up late, by 84 ms at worst"
    );
    cluster.links = vec![link("ttyS1 115200", 90_000), link("lan udp 694", 99_000)];
    assert!(dead_time(&cluster).ends_with("by 90 ms at worst on ttyS1 115200"));
    cluster.silence_max_ms = 700;
    assert!(dead_time(&cluster).ends_with("; 700 ms for the sake of a slow serial line"));
    if let Some(peer) = &mut cluster.peer {
        peer.dead_ms = 350;
    }
    assert!(dead_time(&cluster).contains(": pollux asks for it"));
}

#[test]
fn a_link_says_what_is_wrong_and_nothing_of_what_is_not() {
    let mut link = link("ttyS1 115200", 1_200);
    let mut out = String::new();
    link_part(core::slice::from_ref(&link), &mut out);
    assert_eq!(
        out,
        " link          state  silent  beat   jitter  loss  received  rejected\n \
         ttyS1 115200  up     31 ms   50 ms  1.2 ms  0.0%  190       0\n"
    );
    link.rejected = vec![("frame too short".into(), 3), ("line noise".into(), 4)];
    link.lost = 10;
    out.clear();
    link_part(&[link], &mut out);
    let rest: Vec<_> = out.lines().skip(1).collect();
    assert_eq!(
        rest,
        [
            " ttyS1 115200  up     31 ms   50 ms  1.2 ms  0.0%  190       7",
            "  ttyS1 115200:  10 lost since the start (5.0%)",
            "  ttyS1 115200:  3 rejected: frame too short",
            "  ttyS1 115200:  4 rejected: line noise",
        ]
    );
}
