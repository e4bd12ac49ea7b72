//! A datagram every millisecond from the client through the virtual address to an echo server and back. An
//! outage is the longest time between two answers in a row, so it counts what a client could not do, whatever
//! the cause.

use crate::ns;
use crate::timeline::lock;
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// From probe to probe.
const INTERVAL: Duration = Duration::from_millis(1);
/// The receiver looks this often whether the probe has been stopped.
const POLL: Duration = Duration::from_millis(200);

/// An answered probe.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// When the question left.
    pub sent: Instant,
    /// When the answer came.
    pub received: Instant,
}

/// The longest time without an answer.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// Last answer before.
    pub from: Instant,
    /// First answer after.
    pub to: Instant,
}

impl Outage {
    /// How long it was.
    pub fn duration(&self) -> Duration {
        self.to.duration_since(self.from)
    }
}

#[derive(Debug, Default)]
struct Shared {
    is_stopped: AtomicBool,
    /// When each probe left, by its number.
    sent: Mutex<Vec<Instant>>,
    answers: Mutex<Vec<Answer>>,
    answered: Condvar,
}

/// A running probe; stops when dropped.
#[derive(Debug)]
pub struct UdpProbe(Arc<Shared>);

impl UdpProbe {
    /// Starts probing `target` from the namespace `name`.
    pub fn start(name: &str, target: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let socket = ns::within(name, move || {
            let any = if target.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            // Not connected: an ICMP error must not end up as an error of the next send.
            UdpSocket::bind(any).context("opening the probe's socket")
        })?;
        socket.set_read_timeout(Some(POLL))?;
        let (sender, to) = (Arc::clone(&shared), socket.try_clone()?);
        thread::Builder::new()
            .name("probe send".into())
            .spawn(move || send(&sender, &to, target))?;
        let receiver = Arc::clone(&shared);
        thread::Builder::new()
            .name("probe receive".into())
            .spawn(move || receive(&receiver, &socket))?;
        Ok(UdpProbe(shared))
    }

    /// Waits until a probe that left after `moment` was answered; gives the moment of that answer.
    pub fn wait_answer(&self, moment: Instant, timeout: Duration) -> Result<Instant> {
        let deadline = Instant::now() + timeout;
        let mut answers = lock(&self.0.answers);
        loop {
            let late = answers
                .iter()
                .rev()
                .take_while(|answer| answer.received > moment);
            if let Some(answer) = late.filter(|answer| answer.sent > moment).last() {
                return Ok(answer.received);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            anyhow::ensure!(!left.is_zero(), "no probe was answered within {timeout:?}");
            let waited = self.0.answered.wait_timeout(answers, left);
            answers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Answers received after `from`, in order.
    pub fn answers_since(&self, from: Instant) -> Vec<Answer> {
        let answers = lock(&self.0.answers);
        let first = answers.partition_point(|answer| answer.received < from);
        answers.get(first..).unwrap_or_default().to_vec()
    }

    /// The longest outage after `from`. Silence that still lasts counts.
    pub fn outage_since(&self, from: Instant) -> Outage {
        let answers = self.answers_since(from);
        longest_gap(from, &answers, Instant::now())
    }

    /// How long probes that left after `from` stayed without an answer for good: from the sending of the first
    /// of a run to the sending of the next that was answered; the longest run. A machine that stands still
    /// sends no probes and answers late, so its stalls do not count.
    pub fn unanswered_since(&self, from: Instant) -> Duration {
        let answered: HashSet<Instant> = lock(&self.0.answers)
            .iter()
            .map(|answer| answer.sent)
            .collect();
        let sent = lock(&self.0.sent);
        let first = sent.partition_point(|moment| *moment < from);
        let probes = sent.get(first..).unwrap_or_default().iter();
        longest_run(probes.map(|moment| (*moment, answered.contains(moment))))
    }

    /// Probes sent so far.
    pub fn sent(&self) -> usize {
        lock(&self.0.sent).len()
    }
}

impl Drop for UdpProbe {
    fn drop(&mut self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
    }
}

fn longest_gap(from: Instant, answers: &[Answer], until: Instant) -> Outage {
    let moments = answers.iter().map(|answer| answer.received);
    let ends = moments.clone().chain([until]);
    let gaps = [from].into_iter().chain(moments).zip(ends);
    gaps.map(|(from, to)| Outage { from, to })
        .max_by_key(Outage::duration)
        .unwrap_or(Outage { from, to: until })
}

/// The longest time from a probe without an answer to the next one with; those at the end may be on their way.
fn longest_run(probes: impl Iterator<Item = (Instant, bool)>) -> Duration {
    let (mut longest, mut first_lost) = (Duration::ZERO, None);
    for (sent, is_answered) in probes {
        if is_answered {
            let run = first_lost.take().map(|first| sent.duration_since(first));
            longest = longest.max(run.unwrap_or_default());
        } else {
            first_lost.get_or_insert(sent);
        }
    }
    longest
}

fn send(shared: &Shared, socket: &UdpSocket, target: SocketAddr) {
    let mut next = Instant::now();
    while !shared.is_stopped.load(Ordering::Relaxed) {
        let number = {
            let mut sent = lock(&shared.sent);
            sent.push(Instant::now());
            sent.len() as u64 - 1
        };
        // Unreachable is an outage like any other: the answer is what is missed.
        let _ = socket.send_to(&number.to_be_bytes(), target);
        next += INTERVAL;
        let now = Instant::now();
        // After a stall of this machine, go on from now: a burst would measure nothing.
        next = next.max(now);
        thread::sleep(next - now);
    }
}

fn receive(shared: &Shared, socket: &UdpSocket) {
    let mut bytes = [0; 64];
    while !shared.is_stopped.load(Ordering::Relaxed) {
        let Ok((8, _)) = socket.recv_from(&mut bytes) else {
            continue;
        };
        let received = Instant::now();
        let number = bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let index = number.and_then(|number| usize::try_from(number).ok());
        let sent = index.and_then(|index| lock(&shared.sent).get(index).copied());
        if let Some(sent) = sent {
            lock(&shared.answers).push(Answer { sent, received });
            shared.answered.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(start: Instant, at_ms: &[u64]) -> Vec<Answer> {
        let moment = |ms: &u64| start + Duration::from_millis(*ms);
        at_ms
            .iter()
            .map(|ms| Answer {
                sent: moment(ms),
                received: moment(ms),
            })
            .collect()
    }

    #[test]
    fn the_longest_gap_may_lie_at_either_end_or_between() {
        let start = Instant::now();
        let until = start + Duration::from_millis(100);
        let gap_ms = |at_ms: &[u64]| {
            longest_gap(start, &answers(start, at_ms), until)
                .duration()
                .as_millis()
        };
        assert_eq!(gap_ms(&[1, 2, 60, 61, 99]), 58);
        assert_eq!(gap_ms(&[70, 71, 99]), 70);
        assert_eq!(gap_ms(&[1, 2, 3]), 97);
        assert_eq!(gap_ms(&[]), 100);
    }

    #[test]
    fn only_what_is_never_answered_counts_as_lost() {
        let start = Instant::now();
        let run_ms = |probes: &[(u64, bool)]| {
            let at = |ms: u64| start + Duration::from_millis(ms);
            longest_run(
                probes
                    .iter()
                    .map(|(ms, is_answered)| (at(*ms), *is_answered)),
            )
            .as_millis()
        };
        assert_eq!(run_ms(&[(0, true), (1, true), (90, true)]), 0);
        assert_eq!(
            run_ms(&[(0, true), (1, false), (2, false), (9, true), (10, false)]),
            8
        );
        assert_eq!(run_ms(&[(0, false), (5, true), (6, false), (20, true)]), 14);
    }
}
