//! What a client and the wire saw of a fault: a datagram every millisecond through the balancer, and the watch on
//! who answers for the virtual addresses. Opened before the fault, closed and judged after it.

use super::stage::{DEAD_TIME, Stage, ensure};
use crate::net::{CLIENT, ECHO_PORT, VIRTUAL_V4};
use crate::pair::ROLE_TIMEOUT;
use crate::probe::udp::UdpProbe;
use crate::timeline::Timeline;
use crate::watch::{ASK_INTERVAL, Record, Watch};
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Hard limit for an unplanned takeover.
pub const OUTAGE_MAX: Duration = Duration::from_secs(1);
/// The same for a pair that has lately seen a box stand still or start: until it has been calm for a while, it
/// believes in silence only after up to 2 s (proto's DEAD_TIME_MAX), and a box that has just started hears its
/// links out for four dead times before it acts on silence, unless all of them are up.
pub const WIDENED_OUTAGE_MAX: Duration = Duration::from_millis(2200);
/// Limit for whatever is planned, or no concern of the traffic's.
pub const PLANNED_OUTAGE_MAX: Duration = Duration::from_millis(100);
/// Words that were under way when their box let go.
const STRAGGLE: Duration = Duration::from_millis(50);

/// Open eyes.
pub struct Sight {
    probe: UdpProbe,
    watch: Watch,
    opened: Instant,
    timeline: Timeline,
}

/// What they saw.
pub struct Seen {
    /// The longest time between two answers.
    pub outage: Duration,
    /// The longest run of probes without any answer; a machine that stands still loses none.
    pub lost: Duration,
    /// Who claimed the addresses.
    pub record: Record,
}

impl Sight {
    /// Opens them once the service answers.
    pub fn open(stage: &Stage) -> Result<Self> {
        let watch = Watch::start(&stage.logs, ASK_INTERVAL)?;
        let probe = UdpProbe::start(CLIENT, SocketAddr::new(VIRTUAL_V4.parse()?, ECHO_PORT))?;
        let first = probe.wait_answer(Instant::now(), ROLE_TIMEOUT);
        let opened = first.context("waiting for the UDP service")?;
        let timeline = stage.world.timeline.clone();
        Ok(Sight {
            probe,
            watch,
            opened,
            timeline,
        })
    }

    /// Waits until a probe that left after `moment` is answered.
    pub fn wait_served(&self, moment: Instant) -> Result<()> {
        self.probe.wait_answer(moment, ROLE_TIMEOUT).map(drop)
    }

    /// Waits until the service answers, and closes them.
    pub fn close(self) -> Result<Seen> {
        self.wait_served(Instant::now())?;
        let outage = self.probe.outage_since(self.opened).duration();
        let lost = self.probe.unanswered_since(self.opened);
        let record = self.watch.finish()?;
        let story = record.story(DEAD_TIME);
        let text = format!("longest outage {outage:?}, probes lost for {lost:?}; owners: {story}");
        self.timeline.note("client", text);
        Ok(Seen {
            outage,
            lost,
            record,
        })
    }
}

impl Seen {
    /// An unplanned takeover: served again in time, and nobody answered for an address no longer than that.
    pub fn ensure_outage(&self) -> Result<()> {
        self.ensure_outage_under(OUTAGE_MAX)
    }

    /// The same with a limit of the caller's.
    pub fn ensure_outage_under(&self, max: Duration) -> Result<()> {
        let vacancy = self.record.vacancy();
        let found = format!("{:?}, and {vacancy:?} without an owner", self.outage);
        let what = format!("the outage should be under {max:?}");
        ensure(self.outage.max(vacancy) < max, &what, &found)
    }

    /// A planned change, or nothing that should touch traffic: next to no probe is lost.
    pub fn ensure_planned(&self) -> Result<()> {
        let found = format!("{:?}", self.lost);
        let what = format!("probes should be lost for less than {PLANNED_OUTAGE_MAX:?}");
        ensure(self.lost < PLANNED_OUTAGE_MAX, &what, &found)
    }

    /// One change of owner, from `loser` to `heir`: both answered for a dead time at most, and the loser says no
    /// word later.
    pub fn ensure_change(&self, loser: usize, heir: usize) -> Result<()> {
        let both = self.record.last_words(loser, heir);
        let what = format!("two should answer for {DEAD_TIME:?} at most");
        ensure(both <= DEAD_TIME + STRAGGLE, &what, &format!("{both:?}"))
    }

    /// Any number of changes: never two owners for longer than a dead time.
    pub fn ensure_one_owner(&self) -> Result<()> {
        let both = self.record.overlap(DEAD_TIME);
        let what = format!("two should answer for {DEAD_TIME:?} at most");
        ensure(both <= DEAD_TIME + STRAGGLE, &what, &format!("{both:?}"))
    }
}
