//! What is done to a subject, the same to each: it is handed over in its own orderly way, then its active side loses all
//! processes and its cable at once; or it bears four busy loops for a while, and nothing else.

use super::node::Node;
use super::probe::{Probe, changes, longest_gap_ms};
use super::subjects::Subject;
use super::world::{NODES, World};
use anyhow::{Context, Result, ensure};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// Within this a pair must have an active side; heartbeat takes ten seconds at its start.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The slowest takeover takes six seconds.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(30);
/// Watched before a fault, so that the last answer before it is among those that are looked at.
const BEFORE: Duration = Duration::from_millis(20);
/// Watched after the new owner's first answer: one that loses clients again has not taken over.
const AFTER: Duration = Duration::from_millis(1500);
/// A settled pair answers without a gap of this length, in milliseconds.
const CALM_GAP_MS: f64 = 250.0;
/// Twice as many as this machine may have processors.
const BUSY_LOOPS: usize = 4;

/// Longest time without an answer, in milliseconds.
pub(crate) struct Times {
    pub(crate) handover_ms: f64,
    pub(crate) power_cut_ms: f64,
}

/// A subject at work in a world of its own.
struct Pair<'a> {
    // Dropped in this order: the world goes last.
    probe: Probe,
    nodes: [Node; 2],
    subject: &'a Subject,
    world: World,
}

/// Hands over, then cuts the power of whoever is active; each `phase` after the pair has settled.
pub(crate) fn faults(subject: &Subject, phase: Duration) -> Result<Times> {
    let mut pair = Pair::start(subject)?;
    let handover_ms = pair.handover(phase).context("handing over")?;
    let power_cut_ms = pair.power_cut(phase).context("cutting the power")?;
    Ok(Times {
        handover_ms,
        power_cut_ms,
    })
}

/// Changes of owner and the longest gap in milliseconds under `seconds` of load.
pub(crate) fn load(subject: &Subject, seconds: u64) -> Result<(u32, f64)> {
    let pair = Pair::start(subject)?;
    pair.settle()?;
    let from = Instant::now();
    let loops = Loops::start()?;
    let span = Duration::from_secs(seconds);
    thread::sleep(span);
    let answers = pair.probe.since(from);
    drop(loops);
    ensure!(!answers.is_empty(), "nobody answered under load");
    Ok((changes(&answers), longest_gap_ms(&answers)))
}

impl<'a> Pair<'a> {
    fn start(subject: &'a Subject) -> Result<Self> {
        let world = World::new()?;
        let nodes = [start(subject, 0)?, start(subject, 1)?];
        let probe = Probe::start()?;
        Ok(Self {
            probe,
            nodes,
            subject,
            world,
        })
    }

    /// Waits until one node has answered alone and without a gap for as long as the subject needs to be whole.
    fn settle(&self) -> Result<usize> {
        let begin = Instant::now();
        let first = self.probe.wait_for(begin, START_LIMIT, |_| true);
        first.context("waiting for an active side")?;
        while begin.elapsed() < START_LIMIT {
            let from = Instant::now();
            thread::sleep(self.subject.whole_after);
            let answers = self.probe.since(from);
            let calm = changes(&answers) == 0 && longest_gap_ms(&answers) < CALM_GAP_MS;
            if let Some(last) = answers.last().filter(|_| calm) {
                return Ok(last.owner);
            }
        }
        anyhow::bail!("the pair does not settle within {START_LIMIT:?}")
    }

    fn handover(&mut self, phase: Duration) -> Result<f64> {
        let owner = self.settle()?;
        thread::sleep(phase);
        let from = Instant::now();
        let node = self.nodes.get_mut(owner).context("there are two nodes")?;
        node.order(&self.subject.handover)?;
        let gap_ms = self.gap_ms(from, owner)?;
        if self.subject.ends_by_handover {
            let node = self.nodes.get_mut(owner).context("there are two nodes")?;
            node.kill();
            *node = start(self.subject, owner)?;
        }
        Ok(gap_ms)
    }

    fn power_cut(&mut self, phase: Duration) -> Result<f64> {
        let owner = self.settle()?;
        thread::sleep(phase);
        let from = Instant::now();
        self.world.cut(owner)?;
        let node = self.nodes.get_mut(owner).context("there are two nodes")?;
        node.kill();
        self.gap_ms(from, owner)
    }

    /// The longest gap since a fault that began at `from`, once somebody else than `owner` has taken over for good.
    fn gap_ms(&self, from: Instant, owner: usize) -> Result<f64> {
        let other = self
            .probe
            .wait_for(from, TAKEOVER_LIMIT, |answer| answer.owner != owner);
        other.context("waiting for the other side to take over")?;
        thread::sleep(AFTER);
        let answers = self.probe.since(from.checked_sub(BEFORE).unwrap_or(from));
        let taken = answers.last().is_some_and(|last| last.owner != owner);
        ensure!(taken, "the other side has not kept what it took");
        Ok(longest_gap_ms(&answers))
    }
}

fn start(subject: &Subject, node: usize) -> Result<Node> {
    let name = NODES.get(node).context("there are two nodes")?;
    let log = subject.folder.join(format!("{name}.log"));
    Node::start(node, &(subject.script)(node), &log)
}

/// Busy loops at ordinary priority; they end when dropped.
struct Loops(Vec<Child>);

impl Loops {
    fn start() -> Result<Self> {
        let mut loops = Self(Vec::new());
        for _ in 0..BUSY_LOOPS {
            let child = Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn();
            loops.0.push(child.context("starting a busy loop")?);
        }
        Ok(loops)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
