//! Draws a schedule from a seed: what makes up the pair, and a handful of faults that come apart, together, or
//! aimed at the moment a box changes its state.

use crate::random::Random;
use crate::schedule::{
    Condition, Event, Fault, Freeze, Neighbour, Schedule, Setup, Stage, Trouble,
};
use proto::failover::Command;
use proto::node::{Medium, Timing};

const MS: u64 = 1000;
/// Virtual microseconds in which faults begin.
const FAULTS_DEFAULT_US: u64 = 3_000 * MS;
const FAULTS_FAST_US: u64 = 1_000 * MS;
/// Boxes listen for a second; most faults come after it.
const BOOT_US: u64 = 1_300 * MS;

impl Schedule {
    /// The schedule of a seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::branch(seed, 0);
        let setup = draw_setup(&mut random);
        let events = draw_events(&mut random, &setup);
        Self {
            seed,
            setup,
            events,
        }
    }
}

fn draw_setup(random: &mut Random) -> Setup {
    let is_fast = random.permille(120);
    let timing = if is_fast {
        Timing::FAST
    } else {
        Timing::DEFAULT
    };
    let links = draw_links(random, timing);
    let together = random.permille(400);
    let second = if together { 20 * MS } else { 800 * MS };
    let first_off = random.index(2);
    let mut start_us = [0; 2];
    start_us[first_off] = random.below(second);
    let ready_max = if random.permille(150) {
        2_500 * MS
    } else {
        200 * MS
    };
    let faults = if is_fast {
        FAULTS_FAST_US
    } else {
        FAULTS_DEFAULT_US
    };
    Setup {
        timing,
        links,
        fails_back: random.permille(400),
        priorities: random.pick(&[[100, 100], [100, 100], [100, 110], [110, 100]]),
        start_us,
        ready_after_us: [random.below(ready_max), random.below(ready_max)],
        clock_ppm: [ppm(random), ppm(random)],
        change_us: random.between(100, 3 * MS),
        hears_itself: random.permille(100),
        neighbour: random.permille(60).then(|| {
            random.pick(&[
                Neighbour::OtherCluster,
                Neighbour::SameTagOtherKey,
                Neighbour::SameKeyOtherNumbers,
            ])
        }),
        heal_us: BOOT_US + faults,
    }
}

fn ppm(random: &mut Random) -> i64 {
    i64::try_from(random.below(801)).unwrap_or_default() - 400
}

fn draw_links(random: &mut Random, timing: Timing) -> Vec<(Medium, Condition)> {
    let is_fast = timing == Timing::FAST;
    let baud = if is_fast {
        random.pick(&[38_400, 115_200])
    } else {
        random.pick(&[9_600, 19_200, 38_400, 115_200])
    };
    let serial = Medium::Serial { baud };
    let udp = Medium::Datagram;
    let media: &[Medium] = match random.below(10) {
        0..4 => &[udp],
        4 => &[serial],
        5..7 => &[udp, udp],
        7..9 => &[udp, serial],
        _ => &[serial, udp, udp],
    };
    let calm = random.permille(500);
    let condition = |random: &mut Random, medium: Medium| {
        let usual = usual(random, medium);
        if calm || random.permille(500) {
            usual
        } else {
            rough(random, medium, timing)
        }
    };
    media
        .iter()
        .map(|medium| (*medium, condition(random, *medium)))
        .collect()
}

fn usual(random: &mut Random, medium: Medium) -> Condition {
    let wire = if medium == Medium::Datagram { 50 } else { 10 };
    Condition {
        delay_us: wire,
        jitter_us: random.below(800),
        ..Condition::default()
    }
}

/// As bad as a link may be for long.
fn rough(random: &mut Random, medium: Medium, timing: Timing) -> Condition {
    let beat_us = u64::try_from(timing.beat.as_micros()).unwrap_or_default();
    if medium != Medium::Datagram {
        return Condition {
            corrupt_permille: 1,
            jitter_us: random.below(beat_us / 10),
            ..usual(random, medium)
        };
    }
    Condition {
        loss_permille: small(random, 60),
        duplicate_permille: small(random, 200),
        corrupt_permille: small(random, 30),
        delay_us: 50 + random.below(beat_us / 4),
        jitter_us: random.below(beat_us / 2),
    }
}

fn small(random: &mut Random, end: u64) -> u32 {
    u32::try_from(random.below(end)).unwrap_or_default()
}

fn draw_events(random: &mut Random, setup: &Setup) -> Vec<Event> {
    let count = random.between(1, 7);
    let span = setup.heal_us - BOOT_US;
    let mut at_us = if random.permille(200) {
        random.below(BOOT_US)
    } else {
        BOOT_US + random.below(span / 2)
    };
    let mut events = Vec::new();
    for _ in 0..count {
        let fault = draw_fault(random, setup);
        let aim = random.permille(350).then(|| draw_aim(random, setup));
        let leads = leads_to_change(&fault) && aim.is_none();
        events.push(Event { at_us, aim, fault });
        if leads && random.permille(400) {
            // What changes roles is worth to be disturbed.
            let aim = Some(draw_aim(random, setup));
            let fault = draw_fault(random, setup);
            events.push(Event { at_us, aim, fault });
        }
        at_us += match random.below(10) {
            0..2 => random.below(30 * MS),
            2..5 => random.below(400 * MS),
            _ => random.below(span / 2),
        };
        if at_us >= setup.heal_us {
            break;
        }
    }
    events
}

fn leads_to_change(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Command { .. }
            | Fault::PowerCut { .. }
            | Fault::Reboot { .. }
            | Fault::Carriers { .. }
    )
}

fn draw_aim(random: &mut Random, setup: &Setup) -> (Stage, u64) {
    let stages = [
        Stage::Taking,
        Stage::Active,
        Stage::Offering,
        Stage::Releasing,
        Stage::Asking,
    ];
    let delay_us = match random.below(3) {
        0 => 0,
        1 => random.below(setup.change_us * 2),
        _ => random.below(100 * MS),
    };
    (random.pick(&stages), delay_us)
}

/// Shorter spans are likelier.
fn span(random: &mut Random, max_us: u64) -> u64 {
    let most = random.below(max_us) + 1;
    random.below(most) + 1
}

fn draw_fault(random: &mut Random, setup: &Setup) -> Fault {
    let of = random.index(2);
    let link = random.index(setup.links.len());
    let from = random.permille(600).then(|| random.index(2));
    match random.below(30) {
        0..3 => Fault::PowerCut {
            of,
            off_us: span(random, 3_000 * MS),
        },
        3..5 => Fault::WorkerCrash {
            of,
            off_us: span(random, 600 * MS),
        },
        5 => Fault::Blackout {
            off_us: span(random, 400 * MS),
            apart_us: span(random, 60 * MS),
        },
        6..9 => draw_freeze(random, of),
        9 => Fault::SlowLoop {
            of,
            late_us: span(random, 300 * MS),
            span_us: span(random, 2_500 * MS),
        },
        10..13 => Fault::Cut {
            link,
            from,
            span_us: span(random, 3_000 * MS),
        },
        13..15 => Fault::Partition {
            from,
            span_us: span(random, 2_000 * MS),
        },
        15..17 => draw_weather(random, setup, link),
        17..19 => Fault::Replay {
            link,
            to: of,
            count: random.between(1, 60),
            gap_us: span(random, 60 * MS),
        },
        19..21 => draw_kernel(random, of),
        21..26 => Fault::Command {
            of,
            command: random.pick(&[Command::Standby, Command::Takeover, Command::Takeover]),
        },
        26 => Fault::Reboot {
            of,
            patience_us: span(random, 3_000 * MS),
            off_us: span(random, 1_000 * MS),
        },
        27..29 => Fault::Carriers {
            of,
            count: u8::try_from(random.below(3)).unwrap_or_default(),
        },
        _ => Fault::Ready {
            of,
            ready: random.permille(400),
        },
    }
}

fn draw_freeze(random: &mut Random, of: usize) -> Fault {
    Fault::Freeze {
        of,
        span_us: span(random, 2_500 * MS),
        how: random.pick(&[Freeze::Processes, Freeze::Machine, Freeze::MachineAndClock]),
    }
}

fn draw_weather(random: &mut Random, setup: &Setup, link: usize) -> Fault {
    let is_serial = setup.links[link].0 != Medium::Datagram;
    let condition = Condition {
        loss_permille: if is_serial { 0 } else { small(random, 900) },
        duplicate_permille: if is_serial { 0 } else { small(random, 600) },
        corrupt_permille: small(random, if is_serial { 30 } else { 300 }),
        delay_us: span(random, 300 * MS),
        jitter_us: span(random, 300 * MS),
    };
    Fault::Weather {
        link,
        condition,
        span_us: span(random, 2_000 * MS),
    }
}

fn draw_kernel(random: &mut Random, of: usize) -> Fault {
    let slow = Trouble::Slow {
        change_us: span(random, 2_000 * MS),
    };
    Fault::Kernel {
        of,
        trouble: random.pick(&[slow, Trouble::CannotTake, Trouble::CannotRelease]),
        span_us: span(random, 3_000 * MS),
    }
}
