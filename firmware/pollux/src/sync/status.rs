//! What the console is told of connections: the engine's counters in words, and rates of the last second.

use super::balanced::Lost;
use crate::clock::micros;
use crate::ipc::control::{BulkStatus, SyncKind, SyncStatus};
use core::time::Duration;
use proto::sync::{Kind, Rejection, Status};

/// Rates are of so long a time.
const SPAN: Duration = Duration::from_secs(1);

/// Turns counters into rates, and watches bulks.
#[derive(Debug, Default)]
pub struct Meter {
    since: Duration,
    sent: u64,
    received: u64,
    sent_per_s: u64,
    received_per_s: u64,
    sessions: u64,
    bulk: Option<Bulk>,
}

/// Both boxes told each other everything.
#[derive(Debug, Clone, Copy)]
struct Bulk {
    began: Duration,
    ended: Option<Duration>,
    flows: u64,
}

impl Meter {
    /// When to look next.
    pub fn due_at(&self) -> Duration {
        self.since.saturating_add(SPAN)
    }

    /// Looks at the counters.
    pub fn look(&mut self, now: Duration, status: &Status) {
        self.watch_bulk(now, status);
        if now < self.due_at() {
            return;
        }
        let span_us = micros(now.saturating_sub(self.since)).max(1);
        let rate = |before: u64, count: u64| {
            let per_span = u128::from(count.saturating_sub(before)) * 1_000_000;
            u64::try_from(per_span / u128::from(span_us)).unwrap_or(u64::MAX)
        };
        self.sent_per_s = rate(self.sent, status.sent_records);
        self.received_per_s = rate(self.received, status.applied);
        (self.sent, self.received) = (status.sent_records, status.applied);
        self.since = now;
    }

    fn watch_bulk(&mut self, now: Duration, status: &Status) {
        if status.joined && status.sessions != self.sessions {
            self.sessions = status.sessions;
            self.bulk = Some(Bulk {
                began: now,
                ended: None,
                flows: 0,
            });
        }
        if let Some(bulk) = &mut self.bulk
            && bulk.ended.is_none()
        {
            // The boxes agree on these; what is balanced ages on each.
            let [connections, expected, _] = status.kinds;
            bulk.flows = u64::from(connections.here) + u64::from(expected.here);
            bulk.ended = status.in_sync.then_some(now);
        }
    }

    /// For the console.
    pub fn status(&self, now: Duration, way: Option<&str>, status: &Status) -> SyncStatus {
        SyncStatus {
            in_sync: status.in_sync,
            joined: status.joined,
            way: way.map(String::from),
            failure: None,
            kinds: kinds(status),
            equal_slices: status
                .joined
                .then_some((status.agreed_slices, Status::SLICES)),
            lag_ms: status.lag_ms,
            sent_per_s: self.sent_per_s,
            received_per_s: self.received_per_s,
            resent: status.resent,
            dropped: dropped(status),
            table: None,
            last_bulk: self.bulk.map(|bulk| {
                let until = bulk.ended.unwrap_or(now);
                BulkStatus {
                    ago_ms: micros(now.saturating_sub(bulk.began)) / 1000,
                    took_ms: micros(until.saturating_sub(bulk.began)) / 1000,
                    flows: bulk.flows,
                    goes_on: bulk.ended.is_none(),
                }
            }),
        }
    }
}

fn kinds(status: &Status) -> Vec<SyncKind> {
    let kinds = Kind::ALL.into_iter().zip(&status.kinds);
    let kinds = kinds.map(|(kind, counts)| SyncKind {
        name: name(kind).into(),
        here: counts.here.into(),
        there: counts.there.into(),
    });
    kinds.collect()
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Conntrack => "connections",
        Kind::Expectation => "expected",
        Kind::Ipvs => "balanced",
    }
}

/// Connections of services that were not told on.
pub fn lost(lost: &Lost) -> impl Iterator<Item = (String, u64)> {
    let causes = [
        (
            "words of the kernel's balancer that could not be read",
            lost.unread,
        ),
        (
            "connections of services that could not be read",
            lost.foreign,
        ),
        (
            "tunnelled connections to servers that this box does not have",
            lost.homeless,
        ),
        (
            "connections of services that the kernel did not take",
            lost.unsent,
        ),
    ];
    let causes = causes.into_iter().filter(|(_, count)| *count > 0);
    causes.map(|(cause, count)| (cause.into(), count))
}

/// By cause; zeros are left out.
fn dropped(status: &Status) -> Vec<(String, u64)> {
    let datagrams = Rejection::ALL.iter().zip(status.rejected);
    let datagrams = datagrams.map(|(cause, count)| (cause.to_string(), count));
    let others = [
        ("datagrams lost on the way", status.lost),
        ("states that newer ones overtook", status.overtaken),
        ("states of which this box knows better", status.outranked),
        ("states that this kernel refused", status.refused),
        ("states too large to be sent", status.oversized),
        (
            "times that the kernel dropped events; all was read anew",
            status.overruns,
        ),
    ];
    let others = others.map(|(cause, count)| (cause.to_string(), count));
    let all = datagrams.chain(others);
    all.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proto::sync::{Engine, Settings};
    use proto::time::Instant;
    use proto::wire::ClusterTag;

    fn status() -> Status {
        let settings = Settings {
            cluster: ClusterTag::of_name("edge"),
            key: &[7; 32],
            incarnation: 1,
            table: 1,
        };
        let now = Instant::from_micros(0);
        Engine::new(now, &settings).status(now)
    }

    #[test]
    fn rates_are_of_the_last_second() {
        let mut meter = Meter::default();
        let mut status = status();
        for (second, sent, rate) in [(2, 100, 50), (3, 400, 300), (4, 400, 0)] {
            status.sent_records = sent;
            let now = Duration::from_secs(second);
            meter.look(now, &status);
            assert_eq!(meter.status(now, None, &status).sent_per_s, rate);
        }
    }

    #[test]
    fn a_bulk_lasts_from_the_meeting_until_the_boxes_agree() {
        let mut meter = Meter::default();
        let mut status = status();
        (status.joined, status.sessions) = (true, 1);
        let at = Duration::from_secs;
        meter.look(at(10), &status);
        status.kinds[0].here = 300;
        meter.look(at(12), &status);
        let bulk = |meter: &Meter, second| {
            let status = meter.status(at(second), None, &status);
            status.last_bulk.unwrap()
        };
        assert!(bulk(&meter, 13).goes_on);
        let mut agreed = status.clone();
        agreed.in_sync = true;
        meter.look(at(13), &agreed);
        let over = bulk(&meter, 20);
        assert!(!over.goes_on);
        assert_eq!(
            (over.ago_ms, over.took_ms, over.flows),
            (10_000, 3_000, 300)
        );
    }

    #[test]
    fn what_was_dropped_is_named() {
        let mut status = status();
        assert_eq!(dropped(&status), []);
        status.overruns = 2;
        let dropped = dropped(&status);
        assert_eq!(dropped.len(), 1);
        assert!(dropped[0].0.contains("read anew") && dropped[0].1 == 2);
    }
}
