//! Long-lived flows through the pair: TCP transfers whose every byte is checked at both ends, and streams of numbered
//! datagrams. They are what a failover must not break, so they are started before it and judged after it: none reset,
//! no byte wrong, all going on by themselves.

mod datagrams;
mod engine;
mod errand;
mod flow;
mod outcome;
pub mod route;
mod sockets;
mod stream;
mod table;
mod transfer;

pub use flow::Ends;
pub use outcome::Outcome;
pub use table::RATE_SPAN;

use crate::timeline::lock;
use anyhow::{Context, Result, anyhow, bail};
use engine::Engine;
use errand::{Errand, Shared};
use flow::Flow;
use outcome::{not_begun, overdue, standing_still};
use route::Route;
use sockets::Servers;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use table::{Datagrams, Table, Whom};

/// How long an orderly end may take: everything that was sent is still to arrive.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a flow may take to begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// From call to call. 500 calls fill whole intervals of the default pace, so that what follows is spread evenly.
const CALL_INTERVAL: Duration = Duration::from_millis(4);
/// Flows that may be about to begin at once. An emulated box takes a burst of hundreds for a reason to stand still; one
/// that can't keep up makes its callers wait, and all flows slow down as much.
const CALLS_AT_ONCE: usize = 8;
/// Whoever pauses for longer than so rests.
const REST_MIN: Duration = Duration::from_secs(5);
/// How much later than its rest is over a resting flow may have moved: TCP asks again after pauses that double.
const REST_PATIENCE: Duration = Duration::from_secs(15);
/// A datagram that wakes a stream may be lost: another one follows until one is answered.
const WAKE_INTERVAL: Duration = Duration::from_secs(2);

/// How fast flows are.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Sent at once, by each end.
    pub bytes: usize,
    /// From piece to piece.
    pub interval: Duration,
    /// From datagram to datagram.
    pub datagram_interval: Duration,
}

impl Default for Pace {
    /// 1.2 kB/s in each direction: an emulated box carries 500 of them through a firewall, unless it is slow. One packet
    /// takes all that is sent at once, in a tunnel too.
    fn default() -> Self {
        Pace {
            bytes: 1200,
            interval: Duration::from_secs(1),
            datagram_interval: Duration::from_millis(20),
        }
    }
}

impl Pace {
    /// So slow that nobody can wait for the next piece.
    pub fn is_resting(self) -> bool {
        self.interval > REST_MIN
    }
}

/// Flows that are alike.
#[derive(Debug, Clone)]
pub struct Group {
    /// Their ways through the pair.
    pub routes: Vec<Route>,
    /// Transfers on each of them, beside a stream of datagrams.
    pub count: usize,
    /// How fast they are.
    pub pace: Pace,
}

/// Running flows; broken off when dropped.
#[derive(Debug)]
pub struct Flows {
    shared: Arc<Shared>,
    engine: Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Flows {
    /// Starts all of these groups, one flow after the other as fast as the pair takes them, and waits until all move.
    pub fn start(groups: &[Group]) -> Result<Self> {
        let shared = Arc::new(Shared::new()?);
        let engine = Engine::new(Arc::clone(&shared), Servers::open()?)?;
        let thread = thread::Builder::new().name("flows".into());
        let engine = thread.spawn(move || engine.run())?;
        let flows = Flows {
            shared,
            engine: Mutex::new(Some(engine)),
        };
        flows.begin(groups).context("starting flows")?;
        flows.forget_stalls();
        Ok(flows)
    }

    fn begin(&self, groups: &[Group]) -> Result<()> {
        for Group { routes, pace, .. } in groups {
            for route in routes {
                let socket = sockets::ask(*route)?;
                let ends = Some((socket.local_addr()?, route.target(0)?));
                let stream = add_stream(&self.shared, *route, *pace, ends);
                self.shared.tell(Errand::Ask(socket, stream));
            }
        }
        let began = Instant::now();
        let mut undisturbed = Duration::ZERO;
        for group in groups {
            for number in 0..group.count {
                for route in &group.routes {
                    self.wait_begun(CALLS_AT_ONCE)?;
                    self.call(*route, number, group.pace)?;
                    thread::sleep(CALL_INTERVAL);
                    undisturbed += CALL_INTERVAL;
                    lock(&self.shared.table).slow_down(began.elapsed(), undisturbed);
                }
            }
        }
        self.wait_begun(1)?;
        self.wait_answered()
    }

    fn call(&self, route: Route, number: usize, pace: Pace) -> Result<()> {
        let socket = sockets::call(route, number)?;
        let ends = Some((socket.local_addr()?, route.target(number)?));
        let flow = add_flow(&self.shared, route, pace, ends);
        self.shared.tell(Errand::Call(socket, flow));
        Ok(())
    }

    /// Waits until fewer than `count` flows have not received anything yet at one of their ends.
    fn wait_begun(&self, count: usize) -> Result<()> {
        self.wait_fresh(|table| table.fresh_flows().nth(count - 1).is_none())
    }

    /// Waits until each stream of datagrams has had an answer.
    fn wait_answered(&self) -> Result<()> {
        self.wait_fresh(|table| table.fresh_streams().next().is_none())
    }

    fn wait_fresh(&self, is_so: impl Fn(&Table) -> bool) -> Result<()> {
        self.wait(BEGIN_TIMEOUT, is_so).map_err(|late| {
            late.unwrap_or_else(|| {
                let silent = not_begun(&self.table());
                anyhow!("flows that do not begin within {BEGIN_TIMEOUT:?}: {silent}")
            })
        })
    }

    /// Waits until both ends of each flow that does not rest have received something after `moment`; fails at once when
    /// one is broken.
    pub fn wait_moving(&self, moment: Instant, timeout: Duration) -> Result<()> {
        self.wait_moved(Whom::Busy, moment, timeout)?
            .map_err(|still| anyhow!("flows that do not go on within {timeout:?}: {still}"))
    }

    /// Lets those that rest say something, and waits until it has come to both ends of each.
    pub fn wake(&self, timeout: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            self.shared.tell(Errand::Wake);
            match self.wait_moved(Whom::Resting, began, WAKE_INTERVAL)? {
                Ok(()) => return Ok(()),
                Err(still) if began.elapsed() > timeout => {
                    bail!("flows that have rested and do not answer within {timeout:?}: {still}")
                }
                Err(_) => (),
            }
        }
    }

    /// The inner error says which ones still stand when the time is over.
    fn wait_moved(
        &self,
        whom: Whom,
        moment: Instant,
        timeout: Duration,
    ) -> Result<Result<(), String>> {
        let outcome = self.wait(timeout, |table| {
            let is_still = table.still_flows(whom, moment).next().is_some();
            !is_still && table.still_streams(whom, moment).next().is_none()
        });
        match outcome {
            Ok(()) => Ok(Ok(())),
            Err(Some(broken)) => Err(broken),
            Err(None) => Ok(Err(standing_still(&self.table(), whom, moment))),
        }
    }

    /// Waits until `is_so` of flows that are all whole. The error is empty when the time is over.
    fn wait(
        &self,
        timeout: Duration,
        is_so: impl Fn(&Table) -> bool,
    ) -> Result<(), Option<anyhow::Error>> {
        let deadline = Instant::now() + timeout;
        let mut table = lock(&self.shared.table);
        loop {
            if !table.is_clean() {
                return Err(Some(anyhow!(Outcome::of(&table, Instant::now()).story())));
            }
            let asleep = overdue(&table, REST_PATIENCE, Instant::now());
            if !asleep.is_empty() {
                return Err(Some(anyhow!(
                    "flows that do not go on after their rest: {asleep}"
                )));
            }
            if is_so(&table) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(None);
            }
            let waited = self.shared.changed.wait_timeout(table, left);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// From here on nothing is asked of those but which are known by protocol and ends. Gives how many TCP flows these
    /// are.
    pub fn excuse(&self, is_known: impl Fn(&'static str, Ends) -> bool) -> usize {
        lock(&self.shared.table).excuse(is_known)
    }

    /// How many of the excused broke.
    pub fn excused_broken(&self) -> usize {
        lock(&self.shared.table).excused_broken()
    }

    /// From here on, stalls are measured anew.
    pub fn forget_stalls(&self) {
        lock(&self.shared.table).forget_stalls(Instant::now());
    }

    /// How they are.
    pub fn so_far(&self) -> Outcome {
        Outcome::of(&self.table(), Instant::now())
    }

    /// Since the start, beginning of each `RATE_SPAN` and the bytes that came in it.
    pub fn arrivals(&self) -> Vec<(Instant, u64)> {
        lock(&self.shared.table).arrivals()
    }

    /// Brings all to an orderly end; each end must have got all that the other one sent.
    pub fn finish(&self) -> Result<Outcome> {
        let ended = self.so_far();
        self.shared.tell(Errand::Finish);
        let deadline = Instant::now() + END_TIMEOUT;
        let mut table = lock(&self.shared.table);
        while table
            .judged_flows()
            .any(|flow| flow.fault.is_none() && !flow.is_complete())
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.changed.wait_timeout(table, left);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let outcome = Outcome::at_end(&table, &ended);
        drop(table);
        self.stop()?;
        Ok(outcome)
    }

    fn stop(&self) -> Result<()> {
        self.shared.tell(Errand::Stop);
        match lock(&self.engine).take().map(JoinHandle::join) {
            Some(Err(_)) => bail!("the thread that carried the flows panicked"),
            Some(Ok(outcome)) => outcome.context("carrying flows"),
            None => Ok(()),
        }
    }

    fn table(&self) -> Table {
        lock(&self.shared.table).clone()
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        // Whoever drops flows that he has not finished has a better reason to fail.
        let _ = self.stop();
    }
}

fn add_flow(shared: &Shared, route: Route, pace: Pace, ends: Option<Ends>) -> usize {
    let flows = &mut lock(&shared.table).flows;
    flows.push(Flow::new(route, pace, ends, Instant::now()));
    flows.len() - 1
}

fn add_stream(shared: &Shared, route: Route, pace: Pace, ends: Option<Ends>) -> usize {
    let streams = &mut lock(&shared.table).datagrams;
    streams.push(Datagrams::new(route, pace, ends, Instant::now()));
    streams.len() - 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::route::Way;
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

    const ROUTE: Route = Route {
        way: Way::Routed,
        is_v6: false,
    };
    const TIMEOUT: Duration = Duration::from_secs(20);
    const COUNT: usize = 20;
    const RESTING: Pace = Pace {
        bytes: 1200,
        interval: Duration::from_secs(3600),
        datagram_interval: Duration::from_secs(3600),
    };

    /// Flows over the loopback, to `target` where it is given.
    fn local(target: Option<SocketAddr>) -> Flows {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (listener, echo) = (sockets::listen(any).unwrap(), sockets::echo(any).unwrap());
        let (called, asked) = (listener.local_addr().unwrap(), echo.local_addr().unwrap());
        let servers = Servers {
            listeners: vec![listener],
            echoes: vec![echo],
        };
        let pace = Pace {
            bytes: 5000,
            interval: Duration::from_millis(2),
            datagram_interval: Duration::from_millis(1),
        };
        let shared = Arc::new(Shared::new().unwrap());
        let engine = Engine::new(Arc::clone(&shared), servers).unwrap();
        for pace in [pace, RESTING] {
            for _ in 0..COUNT {
                let socket = sockets::connect(target.unwrap_or(called)).unwrap();
                let flow = add_flow(&shared, ROUTE, pace, None);
                shared.tell(Errand::Call(socket, flow));
            }
            let asker = sockets::echo(any).unwrap();
            asker.connect(asked).unwrap();
            let stream = add_stream(&shared, ROUTE, pace, None);
            shared.tell(Errand::Ask(asker, stream));
        }
        let engine = thread::spawn(move || engine.run());
        Flows {
            shared,
            engine: Mutex::new(Some(engine)),
        }
    }

    /// A middleman: what `meddle` makes of the first bytes of each connection goes on to nobody but the caller.
    fn liar(meddle: fn(TcpStream)) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().flatten().for_each(meddle));
        address
    }

    fn fate(flows: &Flows) -> Outcome {
        let error = flows.wait_moving(Instant::now() + TIMEOUT, TIMEOUT);
        assert!(error.is_err());
        flows.so_far()
    }

    #[test]
    fn undisturbed_flows_end_with_all_their_bytes_at_both_ends() {
        let flows = local(None);
        for _ in 0..3 {
            flows.wait_moving(Instant::now(), TIMEOUT).unwrap();
        }
        let outcome = flows.finish().unwrap();
        assert!(outcome.is_clean(), "{}", outcome.story());
        assert_eq!(outcome.flows_total, 2 * COUNT);
        assert!(outcome.bytes > 20 * 5000 * 2 * 3);
        assert!(outcome.datagrams_sent > 3);
    }

    #[test]
    fn those_that_rest_speak_when_they_are_woken_and_not_before() {
        let flows = local(None);
        flows.wait_begun(1).unwrap();
        flows.wait_answered().unwrap();
        let spoken = |flows: &Flows| -> Vec<u64> {
            let table = flows.table();
            let resting = table.flows.iter().filter(|flow| flow.pace.is_resting());
            resting.map(|flow| flow.halves[0].received).collect()
        };
        let before = spoken(&flows);
        flows.wait_moving(Instant::now(), TIMEOUT).unwrap();
        assert_eq!(before, [1200; COUNT]);
        assert_eq!(before, spoken(&flows));
        flows.wake(TIMEOUT).unwrap();
        assert_eq!(spoken(&flows), [2400; COUNT]);
        let outcome = flows.finish().unwrap();
        assert!(outcome.is_clean(), "{}", outcome.story());
    }

    #[test]
    fn a_reset_is_seen() {
        let address = liar(|mut stream| {
            // Closed with bytes unread: the kernel answers with a reset.
            let _ = stream.read(&mut [0; 10]);
        });
        let outcome = fate(&local(Some(address)));
        assert!(outcome.flows_reset > 0, "{}", outcome.story());
        assert_eq!(outcome.flows_corrupt, 0);
    }

    #[test]
    fn a_wrong_byte_is_seen() {
        let address = liar(|mut stream| {
            let _ = stream.write_all(b"not what the server of this flow says");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let outcome = fate(&local(Some(address)));
        assert!(outcome.flows_corrupt > 0, "{}", outcome.story());
    }

    #[test]
    fn a_refused_connection_counts_as_reset() {
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let outcome = fate(&local(Some(closed)));
        assert!(outcome.flows_reset > 0, "{}", outcome.story());
    }
}
