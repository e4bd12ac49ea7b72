//! A datagram every millisecond from the client to the virtual address, echoed by whichever node holds it with that node's
//! number. All threads run under SCHED_FIFO, so that what is missing is missing on the wire.

use super::world::{CLIENT, NODES, VIRTUAL_ADDRESS, within};
use anyhow::{Context, Result, ensure};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// From probe to probe.
const INTERVAL: Duration = Duration::from_millis(1);
/// Who waits for a datagram looks this often whether it is over.
const LOOK: Duration = Duration::from_millis(100);
/// Above everything ordinary, below a subject that runs in real time itself.
const FIFO_PRIORITY: u8 = 40;
const PORT: u16 = 7;

/// An answered probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// When it came.
    pub(crate) at: Instant,
    /// Which node gave it.
    pub(crate) owner: usize,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    answers: Mutex<Vec<Answer>>,
    answered: Condvar,
}

/// A running probe, with its echoes; ends when dropped.
pub(crate) struct Probe(Arc<Shared>);

impl Probe {
    /// Starts in the world that there is.
    pub(crate) fn start() -> Result<Self> {
        let probe = Self(Arc::default());
        for (number, name) in (0_u8..).zip(NODES) {
            let socket = within(name, || bind(PORT))?;
            probe.employ(move |shared| echo(shared, &socket, number));
        }
        let socket = within(CLIENT, || bind(0))?;
        let sender = socket.try_clone()?;
        probe.employ(move |shared| send(shared, &sender));
        probe.employ(move |shared| receive(shared, &socket));
        Ok(probe)
    }

    fn employ(&self, work: impl FnOnce(&Shared) + Send + 'static) {
        let shared = Arc::clone(&self.0);
        thread::spawn(move || {
            if let Err(error) = sys::realtime::set_fifo(FIFO_PRIORITY) {
                eprintln!("bench: {error}: stalls of this machine will show as gaps");
            }
            work(&shared);
        });
    }

    /// Waits for an answer after `since` that `is_wanted`.
    pub(crate) fn wait_for(
        &self,
        since: Instant,
        limit: Duration,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        let mut answers = self.answers();
        loop {
            let later = answers.iter().rev().take_while(|answer| answer.at > since);
            if let Some(answer) = later.filter(|answer| is_wanted(answer)).last() {
                return Ok(*answer);
            }
            ensure!(since.elapsed() < limit, "no such answer within {limit:?}");
            let waited = self.0.answered.wait_timeout(answers, LOOK);
            answers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Answers from `moment` on.
    pub(crate) fn since(&self, moment: Instant) -> Vec<Answer> {
        let answers = self.answers();
        let first = answers.partition_point(|answer| answer.at < moment);
        answers.get(first..).unwrap_or_default().to_vec()
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        lock(&self.0.answers)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// The longest time between two answers in a row, in milliseconds.
pub(crate) fn longest_gap_ms(answers: &[Answer]) -> f64 {
    let pairs = answers.iter().zip(answers.iter().skip(1));
    let gaps = pairs.map(|(one, next)| next.at.duration_since(one.at));
    gaps.max().unwrap_or_default().as_secs_f64() * 1000.0
}

/// How often the answers came from another node than before.
pub(crate) fn changes(answers: &[Answer]) -> u32 {
    let pairs = answers.iter().zip(answers.iter().skip(1));
    let changed = pairs.filter(|(one, next)| one.owner != next.owner).count();
    u32::try_from(changed).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bind(port: u16) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(("0.0.0.0", port)).context("opening a probe's socket")?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

fn echo(shared: &Shared, socket: &UdpSocket, number: u8) {
    let mut bytes = [0];
    while !shared.is_over.load(Ordering::Relaxed) {
        if let Ok((_, from)) = socket.recv_from(&mut bytes) {
            // A cable that was cut is what is measured.
            let _ = socket.send_to(&[number], from);
        }
    }
}

fn send(shared: &Shared, socket: &UdpSocket) {
    let target = SocketAddr::from((VIRTUAL_ADDRESS, PORT));
    let mut next = Instant::now();
    while !shared.is_over.load(Ordering::Relaxed) {
        // Unreachable is an outage like any other: the answer is what is missed.
        let _ = socket.send_to(&[0], target);
        // After a stall of this machine it goes on from now: a burst would measure nothing.
        next = (next + INTERVAL).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn receive(shared: &Shared, socket: &UdpSocket) {
    let mut bytes = [0];
    while !shared.is_over.load(Ordering::Relaxed) {
        if let Ok((1, _)) = socket.recv_from(&mut bytes) {
            let [owner] = bytes.map(usize::from);
            let at = Instant::now();
            lock(&shared.answers).push(Answer { at, owner });
            shared.answered.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_changes_are_between_neighbours() {
        let start = Instant::now();
        let answer = |(ms, owner)| Answer {
            at: start + Duration::from_millis(ms),
            owner,
        };
        let answers: Vec<_> = [(0, 0), (1, 0), (40, 1), (41, 1), (43, 0)]
            .into_iter()
            .map(answer)
            .collect();
        assert!((longest_gap_ms(&answers) - 39.0).abs() < 0.001);
        assert_eq!(changes(&answers), 2);
        assert_eq!((longest_gap_ms(&[]), changes(&[])), (0.0, 0));
    }
}
