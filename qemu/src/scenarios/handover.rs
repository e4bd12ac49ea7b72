//! Planned handovers that go wrong half way: one of the two boxes loses its power or stands still at one of the
//! steps. Whoever is left must be active in time, and never both.

use super::sight::{Sight, WIDENED_OUTAGE_MAX};
use super::stage::{DEAD_TIME, Stage, ensure};
use crate::console::Mark;
use crate::net::{CLIENT, VIRTUAL_V4};
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::probe::http::{HttpStream, Request};
use crate::servers::PORT_NAT;
use anyhow::Result;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// When in the handover it happens.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after `takeover` was typed: it takes the boxes 10 to 30 ms to carry it out.
    After(Duration),
    /// When the old active box says that it hands over.
    HandingOver,
    /// When the heir says that it takes over.
    TakingOver,
}

/// Whom it happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Leaver,
    Heir,
}

use Moment::{After, HandingOver, TakingOver};
use Victim::{Heir, Leaver};

const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

const CUTS: [(Victim, Moment); 8] = [
    (Leaver, After(ms(0))),
    (Heir, After(ms(2))),
    (Leaver, After(ms(5))),
    (Heir, After(ms(10))),
    (Leaver, After(ms(20))),
    (Leaver, After(ms(50))),
    (Leaver, HandingOver),
    (Heir, TakingOver),
];
const FREEZES: [(Victim, Moment); 6] = [
    (Leaver, After(ms(5))),
    (Heir, After(ms(5))),
    (Leaver, After(ms(20))),
    (Heir, After(ms(20))),
    (Leaver, HandingOver),
    (Heir, TakingOver),
];
const HANDOVERS: usize = 4;
const REQUEST_INTERVAL: Duration = Duration::from_millis(10);
/// How long requests run before and after a handover.
const UNDER_WAY: Duration = Duration::from_millis(700);
/// Longer than the dead time, so that the other box acts.
const FREEZE: Duration = Duration::from_millis(1200);

pub fn cut(stage: &mut Stage) -> Result<()> {
    each(stage, &CUTS, |pair, victim| {
        let machine = pair.machine(victim)?;
        let moment = machine.power_cut();
        let mark = machine.console.mark();
        machine.power_on()?;
        machine
            .console
            .wait_for(mark, "a role, ready", BOOT_TIMEOUT, is_standing)?;
        Ok(moment)
    })
}

pub fn freeze(stage: &mut Stage) -> Result<()> {
    each(stage, &FREEZES, |pair, victim| {
        let machine = pair.machine(victim)?;
        let moment = Instant::now();
        machine.pause()?;
        std::thread::sleep(FREEZE);
        machine.resume()?;
        Ok(moment)
    })
}

/// Handovers as they should be, under many short HTTP requests: those that begin after the heir's word all succeed,
/// and of the others only such may fail as were under way while the addresses moved. (Their connections are known
/// to the leaver alone.)
pub fn traffic(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let target = SocketAddr::new(VIRTUAL_V4.parse()?, PORT_NAT);
    for _ in 0..HANDOVERS {
        let leaver = pair.active()?;
        let heir = pair.machine(1 - leaver)?;
        let sight = Sight::open(stage)?;
        let stream = HttpStream::start(CLIENT, target, REQUEST_INTERVAL)?;
        std::thread::sleep(UNDER_WAY);
        let mark = heir.console.mark();
        let begun = Instant::now();
        heir.console.send("takeover\r")?;
        let line = heir
            .console
            .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
        std::thread::sleep(UNDER_WAY);
        let requests = stream.finish();
        let seen = sight.close()?;
        seen.ensure_planned()?;
        seen.ensure_change(leaver, 1 - leaver)?;
        let failed: Vec<_> = requests
            .iter()
            .filter(|request| request.outcome.is_err())
            .collect();
        let note = format!("{} of {} requests failed", failed.len(), requests.len());
        stage.world.timeline.note("client", note);
        let is_excused = |request: &&Request| request.began < line.at && request.ended > begun;
        let wrong = failed.iter().find(|request| !is_excused(request));
        let found = format!("{wrong:?}");
        ensure(wrong.is_none(), "a request should not have failed", &found)?;
        pair.wait_calm()?;
    }
    Ok(())
}

/// One handover after the other, each with its accident. Gives `accident` the victim's number.
fn each(
    stage: &mut Stage,
    accidents: &[(Victim, Moment)],
    accident: impl Fn(&Pair, usize) -> Result<Instant>,
) -> Result<()> {
    let pair = stage.pair()?;
    for (victim, moment) in accidents {
        let about = format!("the {victim:?} at {moment:?}").to_lowercase();
        stage
            .world
            .timeline
            .note("testbed", format!("accident of {about}"));
        let outcome = one(stage, &pair, (*victim, *moment), &accident);
        outcome.map_err(|error| error.context(format!("accident of {about}")))?;
    }
    Ok(())
}

fn one(
    stage: &Stage,
    pair: &Pair,
    (victim, moment): (Victim, Moment),
    accident: impl Fn(&Pair, usize) -> Result<Instant>,
) -> Result<()> {
    pair.wait_calm()?;
    let leaver = pair.active()?;
    let marks = pair.marks();
    let sight = Sight::open(stage)?;
    pair.machine(1 - leaver)?.console.send("takeover\r")?;
    wait_moment(pair, leaver, marks, moment)?;
    let node = match victim {
        Leaver => leaver,
        Heir => 1 - leaver,
    };
    let happened = accident(pair, node)?;
    sight.wait_served(happened)?;
    pair.wait_calm()?;
    let seen = sight.close()?;
    seen.ensure_outage_under(WIDENED_OUTAGE_MAX)?;
    seen.ensure_one_owner()
}

fn wait_moment(pair: &Pair, leaver: usize, marks: [Mark; 2], moment: Moment) -> Result<()> {
    let wait = |node: usize, text: &str| -> Result<()> {
        let console = &pair.machine(node)?.console;
        let mark = if node == 0 { marks[0] } else { marks[1] };
        console.wait(mark, text, ROLE_TIMEOUT).map(drop)
    };
    match moment {
        After(span) => std::thread::sleep(span),
        HandingOver => wait(leaver, "-> handing over")?,
        TakingOver => wait(1 - leaver, "-> taking over")?,
    }
    Ok(())
}

const _: () = assert!(FREEZE.as_millis() > 2 * DEAD_TIME.as_millis());
