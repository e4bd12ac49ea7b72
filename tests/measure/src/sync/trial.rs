//! What is done to a subject, the same to each. *Burst*: flows appear in the sender's kernel as fast as that takes them, the
//! twin gets them, a cache is committed; then the twin is switched off and on, and gets them again. *Paced*: flows appear at
//! a pace, and for each the time is taken from there to the twin's kernel.

use super::cable::Cable;
use super::flows::{self, Listener};
use super::place::{PATIENCE, Place, Side, Sight, watch};
use super::subjects::{Home, Subject};
use super::usage::Usage;
use crate::takeover::world::NODES;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::thread;
use std::time::{Duration, Instant};

const SENDER: &str = NODES[0];
const TWIN: &str = NODES[1];

/// Within this a pair works.
const START_LIMIT: Duration = Duration::from_secs(30);
/// What is done after the last flow has come (acknowledgements, digests) is counted for so long.
const AFTERMATH: Duration = Duration::from_secs(1);
/// From one question to a subject to the next: it costs it something.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// Of a burst.
pub(super) struct Burst {
    pub(super) sender: Usage,
    pub(super) twin: Usage,
    pub(super) flows_per_s: f64,
    pub(super) flows_lost: f64,
    /// `None`: there is nothing to commit, and flows are missing all the same.
    pub(super) commit_ms: Option<f64>,
    pub(super) rejoin_s: f64,
    pub(super) rejoin_lost: f64,
}

/// Of a paced run.
pub(super) struct Paced {
    /// Of the flows that came, sorted.
    pub(super) lags_ms: Vec<f64>,
    pub(super) flows_lost: f64,
    /// Of both sides, per second.
    pub(super) cpu_share: f64,
}

/// A subject at work.
struct Pair<'a> {
    // Dropped in this order: the place goes last.
    sender: Box<dyn Side>,
    twin: Box<dyn Side>,
    subject: &'a Subject,
    place: Box<dyn Place>,
}

/// Flows that have come, and how long that took.
struct Arrival {
    count: u32,
    took: Duration,
}

/// All flows at once, and the twin anew.
pub(super) fn burst(subject: &Subject, place: Box<dyn Place>, count: u32) -> Result<Burst> {
    let mut pair = Pair::start(subject, place)?;
    let before = pair.usage()?;
    let arrival = pair.fill(count)?;
    thread::sleep(AFTERMATH);
    let after = pair.usage()?;
    let commit_ms = pair.commit(count)?;
    let flows_lost = pair.missing(count)?;
    let begin = pair.restart_twin()?;
    let rejoin = pair.arrival(begin, count)?;
    Ok(Burst {
        sender: since(before[0], after[0]),
        twin: since(before[1], after[1]),
        flows_per_s: f64::from(arrival.count) / arrival.took.as_secs_f64(),
        flows_lost,
        commit_ms,
        rejoin_s: rejoin.took.as_secs_f64(),
        rejoin_lost: f64::from(count.saturating_sub(rejoin.count)),
    })
}

/// Flows at a pace. `None`: the subject does not put them into the twin's kernel.
pub(super) fn paced(subject: &Subject, count: u32, per_s: u32) -> Result<Option<Paced>> {
    if subject.home != Home::Kernel {
        return Ok(None);
    }
    let pair = Pair::start(subject, Box::new(Cable::new()?))?;
    let records = flows::records(count);
    let listener = Listener::start(TWIN, records.len())?;
    let before = pair.usage()?;
    let begin = Instant::now();
    let put_at = flows::put_paced(SENDER, &records, per_s)?;
    pair.arrival(begin, count)?;
    let took = begin.elapsed();
    let after = pair.usage()?;
    let came_at = listener.end()?;
    let lags = put_at.into_iter().zip(came_at);
    let lags =
        lags.filter_map(|(put_at, came_at)| Some(came_at?.saturating_duration_since(put_at)));
    let mut lags_ms: Vec<f64> = lags.map(|lag| lag.as_secs_f64() * 1e3).collect();
    lags_ms.sort_by(f64::total_cmp);
    let used_s = before
        .iter()
        .zip(&after)
        .map(|(before, after)| after.cpu_s - before.cpu_s);
    Ok(Some(Paced {
        lags_ms,
        flows_lost: pair.missing(count)?,
        cpu_share: used_s.sum::<f64>() / took.as_secs_f64(),
    }))
}

impl<'a> Pair<'a> {
    fn start(subject: &'a Subject, mut place: Box<dyn Place>) -> Result<Self> {
        let sender = place.start(subject, 0)?;
        wait_until_ready(subject, &*sender, 1).context("starting the sender")?;
        let twin = place.start(subject, 1)?;
        wait_until_ready(subject, &*twin, 2).context("starting the twin")?;
        Ok(Self {
            sender,
            twin,
            subject,
            place,
        })
    }

    /// Gives the moment from which on its return counts.
    fn restart_twin(&mut self) -> Result<Instant> {
        self.twin.kill();
        let begin = self.place.renew_twin()?;
        self.twin = self.place.start(self.subject, 1)?;
        Ok(begin)
    }

    fn usage(&self) -> Result<[Usage; 2]> {
        Ok([self.sender.usage()?, self.twin.usage()?])
    }

    /// Puts `count` flows into the sender's kernel, and waits for them at the twin.
    fn fill(&self, count: u32) -> Result<Arrival> {
        let load = self.sender.load(count)?;
        thread::scope(|scope| {
            let begin = Instant::now();
            let load = scope.spawn(load);
            let arrival = self.arrival(begin, count)?;
            load.join().map_err(|_| anyhow!("the load panicked"))??;
            Ok(arrival)
        })
    }

    /// Waits until the twin has `count` flows, or no more come.
    fn arrival(&self, begin: Instant, count: u32) -> Result<Arrival> {
        let sight = match self.subject.home {
            Home::Kernel => self.twin.watch(count),
            Home::Cache { .. } => watch(count, ASK_INTERVAL, PATIENCE, || {
                Ok(self.subject.cached(&*self.twin))
            }),
        };
        Arrival::new(begin, sight?)
    }

    /// Has a cache put into the kernel; in milliseconds. Where there is none, all must be in the kernel by now.
    fn commit(&self, count: u32) -> Result<Option<f64>> {
        let Home::Cache { commit } = self.subject.home else {
            return Ok((self.twin.missing(count)? == 0).then_some(0.0));
        };
        let begin = Instant::now();
        self.twin.order(commit)?;
        let arrival = Arrival::new(begin, self.twin.watch(count)?)?;
        Ok(Some(arrival.took.as_secs_f64() * 1e3))
    }

    /// Flows that the twin's kernel does not hold; where there are some, both sides tell what they know of it.
    fn missing(&self, count: u32) -> Result<f64> {
        let missing = self.twin.missing(count)?;
        if missing > 0 {
            let title = self.subject.title();
            eprintln!("bench: {title}: {missing} of {count} flows are missing on the twin");
            for (name, side) in [(SENDER, &self.sender), (TWIN, &self.twin)] {
                eprintln!("{name} says:\n{}", self.subject.says(&**side));
            }
        }
        Ok(f64::from(missing))
    }
}

impl Arrival {
    /// What was seen just now of what began at `begin`.
    fn new(begin: Instant, sight: Sight) -> Result<Self> {
        ensure!(
            sight.count > 0,
            "no flow came to the twin within {PATIENCE:?}"
        );
        Ok(Self {
            count: sight.count,
            took: begin.elapsed().saturating_sub(sight.ago),
        })
    }
}

fn wait_until_ready(subject: &Subject, side: &dyn Side, sides: usize) -> Result<()> {
    let begin = Instant::now();
    while !subject.is_ready(side, sides) {
        if begin.elapsed() > START_LIMIT {
            let says = subject.says(side);
            bail!("not ready within {START_LIMIT:?}; it says:\n{says}");
        }
        thread::sleep(ASK_INTERVAL);
    }
    Ok(())
}

/// What was used from one reading to the other; memory is that of the later one.
fn since(before: Usage, after: Usage) -> Usage {
    Usage {
        cpu_s: after.cpu_s - before.cpu_s,
        ..after
    }
}
