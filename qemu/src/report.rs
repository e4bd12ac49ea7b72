//! The demo's figures as `report.json`, and what they must not exceed.

use crate::flows::Outcome;
use crate::probe::http::Tally;
use crate::timeline::Event;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Hard limit for a power cut.
const POWER_CUT_OUTAGE_MS_MAX: f64 = 1000.0;
/// Limit for a planned handover.
const HANDOVER_OUTAGE_MS_MAX: f64 = 100.0;

/// The figures of one demo.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// What was tested: `git describe --always --dirty`.
    pub commit: String,
    /// Longest time without an answered probe around the power cut.
    pub power_cut_outage_ms: f64,
    /// The same around the planned handover.
    pub handover_outage_ms: f64,
    /// Probes sent, one a millisecond.
    pub probes_sent: usize,
    /// HTTP requests, each on a new connection.
    pub requests_total: usize,
    /// Those that failed, whenever they began.
    pub requests_failed: usize,
    /// Those that failed though no change of role was under way while they were.
    pub requests_failed_outside_changes: usize,
    /// Answers by server.
    pub requests_by_server: BTreeMap<String, usize>,
    /// TCP transfers through NAT and the balancer, open from before the power cut to the end.
    pub flows_total: usize,
    /// Those of them that broke.
    pub flows_reset: usize,
    /// Those that got a wrong byte, or not all bytes.
    pub flows_corrupt: usize,
    /// Bytes that they carried; each was compared with the one that was sent.
    pub flows_bytes: u64,
    /// Datagrams beside them that came back altered.
    pub datagrams_corrupt: u64,
    /// Streams of datagrams that another server answered than before.
    pub streams_moved: usize,
    /// The longest time that one of them stood still at the power cut, beyond its pace.
    pub flows_stalled_ms_max: f64,
    /// Seconds from power-on of both boxes until one was active and one standby.
    pub boot_s: f64,
    /// Seconds from power-on of the dead box until it was standby again.
    pub rejoin_s: f64,
    /// Seconds of the whole demo.
    pub total_s: f64,
    /// Changes of role, as the consoles showed them.
    pub transitions: Vec<Event>,
}

impl Report {
    /// Takes over what the HTTP requests came to.
    pub fn set_requests(&mut self, all: Tally, outside_changes: &Tally) {
        self.requests_total = all.total;
        self.requests_failed = all.failed;
        self.requests_by_server = all.by_server;
        self.requests_failed_outside_changes = outside_changes.failed;
    }

    /// Takes over what became of the transfers.
    pub fn set_flows(&mut self, outcome: &Outcome) {
        self.flows_total = outcome.flows_total;
        self.flows_reset = outcome.flows_reset;
        self.flows_corrupt = outcome.flows_corrupt + outcome.flows_unfinished;
        self.flows_bytes = outcome.bytes;
        self.datagrams_corrupt = outcome.datagrams_corrupt;
        self.streams_moved = outcome.streams_moved;
    }

    /// What is not as it should be; nothing means the demo passed.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut limit = |name: &str, value: f64, max: f64| {
            if value > max {
                failures.push(format!("{name} is {value:.1}, more than {max}"));
            }
        };
        limit(
            "power_cut_outage_ms",
            self.power_cut_outage_ms,
            POWER_CUT_OUTAGE_MS_MAX,
        );
        limit(
            "handover_outage_ms",
            self.handover_outage_ms,
            HANDOVER_OUTAGE_MS_MAX,
        );
        if self.requests_failed_outside_changes > 0 {
            let count = self.requests_failed_outside_changes;
            failures.push(format!(
                "{count} HTTP requests failed while no change of role was under way"
            ));
        }
        let broken = self.flows_reset + self.flows_corrupt;
        if broken > 0 || self.flows_total == 0 {
            let total = self.flows_total;
            failures.push(format!("{broken} of {total} transfers broke"));
        }
        if self.datagrams_corrupt > 0 || self.streams_moved > 0 {
            failures.push(format!(
                "datagrams altered: {}; streams of them moved to another server: {}",
                self.datagrams_corrupt, self.streams_moved
            ));
        }
        if self.requests_by_server.len() < 2 {
            failures.push("fewer than two servers answered".into());
        }
        failures
    }

    /// Writes `report.json` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("report.json");
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_flow_fails_the_demo() {
        let whole = Outcome {
            flows_total: 30,
            ..Outcome::default()
        };
        let failures = |outcome: &Outcome| {
            let mut report = Report {
                requests_by_server: [("a".into(), 1), ("b".into(), 1)].into(),
                ..Report::default()
            };
            report.set_flows(outcome);
            report.failures()
        };
        assert_eq!(failures(&whole), [""; 0]);
        let broken: [fn(&mut Outcome); 5] = [
            |outcome| outcome.flows_reset = 1,
            |outcome| outcome.flows_corrupt = 1,
            |outcome| outcome.flows_unfinished = 1,
            |outcome| outcome.datagrams_corrupt = 1,
            |outcome| outcome.streams_moved = 1,
        ];
        for damage in broken {
            let mut outcome = whole.clone();
            damage(&mut outcome);
            assert!(!outcome.is_clean());
            assert_eq!(failures(&outcome).len(), 1, "{}", outcome.story());
        }
    }
}
