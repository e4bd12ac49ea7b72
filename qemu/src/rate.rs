//! The running figures beside the timeline: each second, how many HTTP requests ended, how they ended, and which
//! server answered; how fast the transfers are, and whether all of them still are.

use crate::flows::{Flows, Outcome};
use crate::probe::http::{HttpStream, Tally, tally};
use crate::timeline::{Timeline, lock};
use anyhow::Result;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);

/// Prints until dropped.
#[derive(Debug)]
pub struct RateDisplay(Mutex<Option<Sender<()>>>);

impl RateDisplay {
    /// Starts printing what `stream` and `flows` do.
    pub fn start(
        timeline: &Timeline,
        stream: &Arc<HttpStream>,
        flows: &Arc<Flows>,
    ) -> Result<Self> {
        let (alive, ended) = mpsc::channel::<()>();
        let timeline = timeline.clone();
        let stream: Weak<HttpStream> = Arc::downgrade(stream);
        let flows: Weak<Flows> = Arc::downgrade(flows);
        thread::Builder::new().name("rate".into()).spawn(move || {
            let (mut since, mut bytes_before) = (Instant::now(), 0);
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let (Some(stream), Some(flows)) = (stream.upgrade(), flows.upgrade()) else {
                    return;
                };
                let now = Instant::now();
                let requests = stream.so_far();
                let ended = requests
                    .iter()
                    .filter(|request| (since..now).contains(&request.ended));
                let (outcome, span) = (flows.so_far(), now.duration_since(since));
                let rate = rate(outcome.bytes - bytes_before, span);
                let text = describe(&tally(ended));
                timeline.note("client", format!("{text}; {}, {rate}", state(&outcome)));
                (since, bytes_before) = (now, outcome.bytes);
            }
        })?;
        Ok(RateDisplay(Mutex::new(Some(alive))))
    }
}

impl Drop for RateDisplay {
    fn drop(&mut self) {
        lock(&self.0).take();
    }
}

/// `512 kB/s`.
fn rate(bytes: u64, span: Duration) -> String {
    let per_s = u128::from(bytes) / span.as_millis().max(1);
    format!("{per_s} kB/s")
}

/// `40 transfers, every byte right`, or what became of them.
fn state(outcome: &Outcome) -> String {
    let Outcome {
        flows_total,
        flows_reset,
        flows_corrupt,
        ..
    } = outcome;
    match (flows_reset, flows_corrupt) {
        (0, 0) => format!("{flows_total} transfers, every byte right"),
        (reset, corrupt) => format!("{flows_total} transfers, {reset} RESET, {corrupt} CORRUPT"),
    }
}

fn describe(tally: &Tally) -> String {
    let servers: Vec<_> = tally
        .by_server
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let failed = if tally.failed > 0 {
        format!(", {} FAILED", tally.failed)
    } else {
        String::new()
    };
    format!(
        "{:>3} requests/s{failed}: {}",
        tally.total,
        servers.join(", ")
    )
}
