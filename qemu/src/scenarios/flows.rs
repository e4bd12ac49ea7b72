//! Long-lived flows over faults of the pair: 500 transfers and a stream of datagrams on each way, through power cuts,
//! rejoins and handovers. No flow may break, no byte may be wrong, and all go on by themselves.

use super::stage::{Stage, ensure};
use crate::door;
use crate::flows::route::{WAYS, Way, over_both};
use crate::flows::{Flows, Group, Pace};
use crate::net::NODES;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::timeline::Timeline;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Transfers at once, over all routes of a scenario.
const FLOWS: usize = 500;
/// Those of them that rest, on each route.
const IDLE: usize = 2;
/// From word to word of a flow that rests: half of the time after which the firewall of the config forgets it.
const REST: Duration = Duration::from_secs(20);
/// A kernel takes up no connection in its midst: a flow that passes the firewall breaks unless the box was told of it.
pub const NOTHING_BY_ITSELF: &str = "echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose";
/// How long after a takeover the last flow may still stand still: TCP asks again after pauses that double.
const GO_ON_TIMEOUT: Duration = Duration::from_secs(15);

const BALANCED: [Way; 3] = [Way::BalancedNat, Way::BalancedDirect, Way::BalancedTunnel];

pub fn routed(stage: &mut Stage) -> Result<()> {
    let pair = stage.flow_pair()?;
    survive(&Act::begin(stage, pair, &[Way::Routed])?)
}

pub fn balanced(stage: &mut Stage) -> Result<()> {
    let pair = stage.flow_pair()?;
    survive(&Act::begin(stage, pair, &BALANCED)?)
}

pub fn firewall(stage: &mut Stage) -> Result<()> {
    let pair = stage.firewall_pair()?;
    survive(&Act::begin(stage, pair, &WAYS)?)
}

/// Both boxes die once each, with a rejoin and handovers in both directions between.
fn survive(act: &Act) -> Result<()> {
    act.pair.wait_in_sync()?;
    let first = act.pair.active()?;
    act.power_cut(first)?;
    act.rejoin(first)?;
    act.hand_over(first)?;
    act.hand_over(1 - first)?;
    act.power_cut(1 - first)?;
    act.rejoin(1 - first)?;
    act.end()
}

/// A pair under the load of flows, and what can be done to it.
pub struct Act {
    /// The two boxes.
    pub pair: Arc<Pair>,
    /// What they carry.
    pub flows: Flows,
    timeline: Timeline,
}

impl Act {
    /// Starts all transfers, spread evenly over these ways. Some of them rest.
    pub fn begin(stage: &Stage, pair: Arc<Pair>, ways: &[Way]) -> Result<Self> {
        let routes = over_both(ways);
        let busy = Group {
            count: FLOWS / routes.len() - IDLE,
            routes: routes.clone(),
            pace: Pace::default(),
        };
        let idle = Group {
            count: IDLE,
            routes,
            pace: Pace {
                interval: REST,
                datagram_interval: REST,
                ..Pace::default()
            },
        };
        for node in 0..NODES.len() {
            pair.shell(node, NOTHING_BY_ITSELF)?;
        }
        let marks = pair.marks();
        let flows = Flows::start(&[busy, idle]);
        // Else what flows suffered is no news.
        pair.expect_unmoved(marks).context("while flows began")?;
        let act = Act {
            pair,
            flows: flows?,
            timeline: stage.world.timeline.clone(),
        };
        act.note();
        Ok(act)
    }

    /// Says in the timeline how the flows are.
    pub fn note(&self) {
        self.timeline.note("client", self.flows.so_far().story());
    }

    /// Every flow that does not rest moves on both ends after `moment`.
    pub fn go_on(&self, moment: Instant) -> Result<()> {
        let outcome = self.flows.wait_moving(moment, GO_ON_TIMEOUT);
        self.note();
        outcome
    }

    /// Cuts the power of box `active`; the twin takes over and every flow goes on.
    pub fn power_cut(&self, active: usize) -> Result<()> {
        let taken = self.taken_over(active, || Ok(()))?;
        self.go_on(taken)
    }

    /// Cuts the power of box `active`; `meanwhile` is done when nobody is active. Gives when the twin took over.
    pub fn taken_over(
        &self,
        active: usize,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<Instant> {
        self.flows.forget_stalls();
        let heir = self.pair.machine(1 - active)?;
        let mark = heir.console.mark();
        self.pair.machine(active)?.power_cut();
        meanwhile()?;
        let line = heir
            .console
            .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
        Ok(line.at)
    }

    /// Powers box `dead` on again and waits until the pair is whole.
    pub fn rejoin(&self, dead: usize) -> Result<()> {
        let machine = self.pair.machine(dead)?;
        let (mark, door) = (machine.console.mark(), machine.door.mark());
        machine.power_on()?;
        machine
            .console
            .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
        door::wait_open(&machine.door, door)?;
        self.pair.shell(dead, NOTHING_BY_ITSELF)?;
        self.pair.wait_calm()?;
        self.pair.expect_active(1 - dead)
    }

    /// Box `heir` takes over by order; every flow goes on.
    pub fn hand_over(&self, heir: usize) -> Result<()> {
        self.flows.forget_stalls();
        let console = &self.pair.machine(heir)?.console;
        let mark = console.mark();
        console.ask("takeover")?;
        let line = console.wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
        self.go_on(line.at)?;
        self.pair.wait_calm()
    }

    /// Those that rested answer, and all flows end with all their bytes.
    pub fn end(&self) -> Result<()> {
        self.flows.wake(GO_ON_TIMEOUT)?;
        let outcome = self.flows.finish()?;
        let story = outcome.story();
        self.timeline.note("client", story.clone());
        ensure(outcome.is_clean(), "every flow should end whole", &story)
    }
}
