//! The running figure beside the timeline: each second, how many HTTP requests ended, how they ended, and
//! which server answered.

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
    /// Starts printing what `stream` does.
    pub fn start(timeline: &Timeline, stream: &Arc<HttpStream>) -> Result<Self> {
        let (alive, ended) = mpsc::channel::<()>();
        let timeline = timeline.clone();
        let stream: Weak<HttpStream> = Arc::downgrade(stream);
        thread::Builder::new().name("rate".into()).spawn(move || {
            let mut since = Instant::now();
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(stream) = stream.upgrade() else {
                    return;
                };
                let now = Instant::now();
                let requests = stream.so_far();
                let ended = requests
                    .iter()
                    .filter(|request| (since..now).contains(&request.ended));
                timeline.note("client", describe(&tally(ended)));
                since = now;
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
