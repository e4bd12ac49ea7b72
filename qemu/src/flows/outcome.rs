//! What became of the flows: the figures that reports and scenarios judge, and the words that say what went wrong
//! on which way.

use super::flow::{Fault, Flow};
use super::route::Route;
use super::table::{Datagrams, Table, Whom};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Transfers that were begun.
    pub flows_total: usize,
    /// Those of them that broke: reset, refused, timed out or cut short.
    pub flows_reset: usize,
    /// Those that got a wrong byte.
    pub flows_corrupt: usize,
    /// Those whose ends do not have all that was sent, though they were given the time; 0 while they run.
    pub flows_unfinished: usize,
    /// Bytes that came, in both directions; each was checked.
    pub bytes: u64,
    /// The longest time that a transfer stood still, beyond its pace; the median of all.
    pub stalled_ms_median: f64,
    /// The same, of the one that stood still longest.
    pub stalled_ms_max: f64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Those that did not come back.
    pub datagrams_lost: u64,
    /// Those that came back late or twice.
    pub datagrams_disordered: u64,
    /// Those that were altered.
    pub datagrams_corrupt: u64,
    /// Streams of datagrams that came to another server or from another address than before.
    pub streams_moved: usize,
    /// The longest time without an echo, beyond the pace.
    pub datagrams_silent_ms_max: f64,
    /// How much longer they pause than their pace says, because the boxes can't carry more.
    pub slowness: f64,
    /// What went wrong, by route, with a few examples.
    #[serde(skip)]
    pub faults: String,
}

impl Outcome {
    /// While they run.
    pub fn of(table: &Table, now: Instant) -> Self {
        let flows = || table.judged_flows();
        let streams = || table.judged_streams();
        let count = |is_it: fn(&Flow) -> bool| flows().filter(|flow| is_it(flow)).count();
        let silences = flows().filter(|flow| flow.fault.is_none());
        let stalls = silences.map(|flow| beyond(flow.silence(now), table.intervals(flow.pace).0));
        let (stalled_ms_median, stalled_ms_max) = median_and_max(stalls.collect());
        let silences =
            streams().map(|stream| beyond(stream.silence(now), table.intervals(stream.pace).1));
        let sum = |of: fn(&Datagrams) -> u64| streams().map(of).sum();
        Outcome {
            flows_total: flows().count(),
            flows_reset: count(|flow| matches!(flow.fault, Some(Fault::Reset(_)))),
            flows_corrupt: count(|flow| matches!(flow.fault, Some(Fault::Corrupt(_)))),
            flows_unfinished: 0,
            bytes: table.received_bytes(),
            stalled_ms_median,
            stalled_ms_max,
            datagrams_sent: sum(|stream| stream.sent),
            datagrams_lost: sum(|stream| stream.sent.saturating_sub(stream.answered)),
            datagrams_disordered: sum(|stream| stream.disordered),
            datagrams_corrupt: sum(|stream| stream.corrupt),
            streams_moved: streams().filter(|stream| stream.moved > 0).count(),
            datagrams_silent_ms_max: median_and_max(silences.collect()).1,
            slowness: table.slowness(),
            faults: faults(table),
        }
    }

    /// After an orderly end; stalls are those of `running`, for whoever has ended is silent.
    pub fn at_end(table: &Table, running: &Outcome) -> Self {
        let is_unfinished = |flow: &&Flow| flow.fault.is_none() && !flow.is_complete();
        Outcome {
            flows_unfinished: table.judged_flows().filter(is_unfinished).count(),
            stalled_ms_median: running.stalled_ms_median,
            stalled_ms_max: running.stalled_ms_max,
            datagrams_silent_ms_max: running.datagrams_silent_ms_max,
            ..Outcome::of(table, Instant::now())
        }
    }

    /// Not one flow broken, not one byte wrong, no stream sent elsewhere.
    pub fn is_clean(&self) -> bool {
        let broken = self.flows_reset + self.flows_corrupt + self.flows_unfinished;
        broken + self.streams_moved == 0 && self.datagrams_corrupt == 0
    }

    /// A line for the timeline.
    pub fn story(&self) -> String {
        let Outcome {
            flows_total,
            flows_reset,
            flows_corrupt,
            flows_unfinished,
            stalled_ms_median,
            stalled_ms_max,
            datagrams_lost,
            datagrams_sent,
            streams_moved,
            slowness,
            faults,
            ..
        } = self;
        format!(
            "{flows_total} flows at 1/{slowness:.1} of their pace: {flows_reset} reset, {flows_corrupt} corrupt, {flows_unfinished} unfinished, \
             stalled for {stalled_ms_median:.0} ms (median), {stalled_ms_max:.0} ms (longest); \
             {datagrams_lost} of {datagrams_sent} datagrams lost, {streams_moved} streams moved{faults}"
        )
    }
}

fn beyond(silence: Duration, pace: Duration) -> f64 {
    silence.saturating_sub(pace).as_secs_f64() * 1000.0
}

/// 0 of nothing.
fn median_and_max(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    (at(values.len() / 2), at(values.len().saturating_sub(1)))
}

/// What went wrong, by route, each with the reason of its first case.
fn faults(table: &Table) -> String {
    let mut text = String::new();
    let counted = counted(
        table
            .judged_flows()
            .map(|flow| (flow.route, flow.fault.is_some())),
    );
    for (route, (faulty, all)) in counted {
        let mut faults = table
            .judged_flows()
            .filter(|flow| flow.route.name() == route);
        let first = faults.find_map(|flow| flow.fault.as_ref());
        if let Some(Fault::Reset(why) | Fault::Corrupt(why)) = first {
            let _ = write!(text, "; {route}: {faulty} of {all} ({why})");
        }
    }
    for stream in table.judged_streams().filter(|stream| stream.moved > 0) {
        let name = stream.route.name();
        let _ = write!(text, "; {name}: datagrams moved {} times", stream.moved);
    }
    text
}

/// Which flows have not received anything at one of their ends after `moment`, by route.
pub fn standing_still(table: &Table, whom: Whom, moment: Instant) -> String {
    let streams = table.still_streams(whom, moment);
    listed(table.still_flows(whom, moment), streams)
}

/// Which flows have not received anything yet at one of their ends, by route.
pub fn not_begun(table: &Table) -> String {
    listed(table.fresh_flows(), table.fresh_streams())
}

/// Which resting flows should have received something at both ends by now, with `patience`, by route.
pub fn overdue(table: &Table, patience: Duration, now: Instant) -> String {
    let flows = table.judged_flows().filter(|flow| flow.pace.is_resting());
    let streams = table.judged_streams();
    let streams = streams.filter(|stream| stream.pace.is_resting());
    listed(
        flows.filter(|flow| flow.is_overdue(patience, now)),
        streams.filter(|stream| stream.is_overdue(patience, now)),
    )
}

/// `routed IPv4: 3; dnat IPv4: datagrams; `.
fn listed<'a>(
    flows: impl Iterator<Item = &'a Flow>,
    streams: impl Iterator<Item = &'a Datagrams>,
) -> String {
    let mut text = String::new();
    let mut counts = BTreeMap::<_, usize>::new();
    for flow in flows {
        *counts.entry(flow.route.name()).or_default() += 1;
    }
    for (route, count) in counts {
        let _ = write!(text, "{route}: {count}; ");
    }
    for stream in streams {
        let _ = write!(text, "{}: datagrams; ", stream.route.name());
    }
    text
}

/// On each route where something is so at all: of how many flows, and of how many there are.
fn counted(flows: impl Iterator<Item = (Route, bool)>) -> BTreeMap<String, (usize, usize)> {
    let mut counts = BTreeMap::<_, (usize, usize)>::new();
    for (route, is_so) in flows {
        let (so, all) = counts.entry(route.name()).or_default();
        *so += usize::from(is_so);
        *all += 1;
    }
    counts.retain(|_, (so, _)| *so > 0);
    counts
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::Pace;
    use super::super::flow::Side;
    use super::super::route::Way;
    use super::*;

    const ROUTES: [Route; 2] = [
        Route {
            way: Way::Routed,
            is_v6: false,
        },
        Route {
            way: Way::BalancedNat,
            is_v6: true,
        },
    ];

    fn table(start: Instant) -> Table {
        let flows =
            [0, 1, 0, 1].map(|route: usize| Flow::new(ROUTES[route], Pace::default(), None, start));
        let mut table = Table::default();
        table.flows.extend(flows);
        table
    }

    #[test]
    fn stalls_are_what_is_beyond_the_pace() {
        let start = Instant::now();
        let mut table = table(start);
        let later = start + Duration::from_millis(1300);
        for flow in table.flows.iter_mut().take(3) {
            flow.note_received(Side::Client, 1, later);
            flow.note_received(Side::Server, 1, later);
        }
        let at = start + Duration::from_millis(2000);
        let outcome = Outcome::of(&table, at);
        assert!((outcome.stalled_ms_median - 300.0).abs() < 0.01);
        assert!((outcome.stalled_ms_max - 1000.0).abs() < 0.01);
        assert!(outcome.is_clean());
        let still = standing_still(&table, Whom::Busy, start);
        assert_eq!(still, "balanced NAT IPv6: 1; ");
    }

    #[test]
    fn whoever_rests_is_awaited_when_its_rest_is_over() {
        let start = Instant::now();
        let mut table = table(start);
        let resting = Pace {
            interval: Duration::from_secs(20),
            ..Pace::default()
        };
        table.flows[1].pace = resting;
        table.flows[2].pace = resting;
        let later = start + Duration::from_secs(10);
        for side in [Side::Client, Side::Server] {
            table.flows[2].note_received(side, 1, later);
        }
        let patience = Duration::from_secs(5);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(overdue(&table, patience, after(24)), "");
        assert_eq!(
            overdue(&table, patience, after(26)),
            "balanced NAT IPv6: 1; "
        );
        // Whoever measures stalls anew forgets nothing of this.
        table.forget_stalls(after(20));
        assert!(!overdue(&table, patience, after(26)).is_empty());
        let still = standing_still(&table, Whom::Resting, start);
        assert_eq!(still, "balanced NAT IPv6: 1; ");
    }

    #[test]
    fn a_fault_is_counted_and_told_with_its_way() {
        let mut table = table(Instant::now());
        table.flows[1].note_fault(Fault::Reset("Connection reset by peer".into()));
        table.flows[1].note_fault(Fault::Corrupt("later".into()));
        table.flows[2].note_fault(Fault::Corrupt("byte 3 is wrong".into()));
        let outcome = Outcome::of(&table, Instant::now());
        assert_eq!((outcome.flows_reset, outcome.flows_corrupt), (1, 1));
        assert!(!outcome.is_clean());
        let story = outcome.story();
        assert!(
            story.contains("balanced NAT IPv6: 1 of 2 (Connection reset"),
            "{story}"
        );
        assert!(
            story.contains("routed IPv4: 1 of 2 (byte 3 is wrong)"),
            "{story}"
        );
    }
}
