//! What is known of every flow: written by the engine that carries them, read by whoever judges. No socket here.

use super::Pace;
use super::flow::{Ends, Flow, Side, Silence};
use super::route::Route;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What arrives is counted for so long at a time.
pub const RATE_SPAN: Duration = Duration::from_millis(100);

/// However slow the boxes are, flows that do not rest have to show that they move.
const SLOWNESS_MAX: f64 = 5.0;

/// A stream of numbered datagrams and their echoes.
#[derive(Debug, Clone)]
pub struct Datagrams {
    /// Its way through the pair.
    pub route: Route,
    /// How fast it is.
    pub pace: Pace,
    /// Datagrams sent; the next one's number.
    pub sent: u64,
    /// Echoes that came back, unaltered.
    pub answered: u64,
    /// Those of them that came after one with a higher number, or twice.
    pub disordered: u64,
    /// Datagrams or echoes that were altered.
    pub corrupt: u64,
    /// How often the stream came to another server, or from another address: a NAT that was forgotten.
    pub moved: u64,
    /// The server, and where it saw the client.
    pub seen: Option<(usize, SocketAddr)>,
    /// Highest number that was echoed.
    pub highest: Option<u64>,
    /// When the last echo came, or the stream was made.
    pub last: Instant,
    /// How silent it was.
    silence: Silence,
    /// Whose it is.
    ends: Option<Ends>,
    /// It may go astray.
    is_excused: bool,
}

impl Datagrams {
    /// One that is about to begin.
    pub fn new(route: Route, pace: Pace, ends: Option<Ends>, now: Instant) -> Self {
        Datagrams {
            route,
            pace,
            ends,
            is_excused: false,
            sent: 0,
            answered: 0,
            disordered: 0,
            corrupt: 0,
            moved: 0,
            seen: None,
            highest: None,
            last: now,
            silence: Silence::from(now),
        }
    }

    /// Notes that datagram `number` came back.
    pub fn note_answer(&mut self, number: u64, now: Instant) {
        self.answered += 1;
        if self.highest.is_some_and(|highest| number <= highest) {
            self.disordered += 1;
        }
        self.highest = self.highest.max(Some(number));
        self.silence.end(self.last, now);
        self.last = now;
    }

    /// Notes that server `server` saw the stream come from `client`.
    pub fn note_seen(&mut self, server: usize, client: SocketAddr) {
        let seen = (server, client);
        if self.seen.replace(seen).is_some_and(|before| before != seen) {
            self.moved += 1;
        }
    }

    /// The longest silence, the one that still lasts included.
    pub fn silence(&self, now: Instant) -> Duration {
        self.silence.longest(self.last, now)
    }

    /// Without an answer for longer than the pace and `patience`.
    pub fn is_overdue(&self, patience: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > self.pace.datagram_interval + patience
    }
}

/// Whom a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Those that hardly pause.
    Busy,
    /// Those that rest.
    Resting,
}

impl Whom {
    /// Those of this pace.
    fn are_meant(self, pace: Pace) -> bool {
        pace.is_resting() == (self == Whom::Resting)
    }
}

/// Everything.
#[derive(Debug, Clone)]
pub struct Table {
    /// By number.
    pub flows: Vec<Flow>,
    /// By number.
    pub datagrams: Vec<Datagrams>,
    /// How much longer than their pace says those pause that do not rest: the boxes can't take more.
    slowness: f64,
    /// When it was made.
    began: Instant,
    /// Bytes that came to either end of any flow, for each RATE_SPAN since then.
    arrived: Vec<u64>,
}

impl Default for Table {
    fn default() -> Self {
        Table {
            flows: Vec::new(),
            datagrams: Vec::new(),
            slowness: 1.0,
            began: Instant::now(),
            arrived: Vec::new(),
        }
    }
}

impl Table {
    /// From here on, stalls are measured anew.
    pub fn forget_stalls(&mut self, now: Instant) {
        for half in self.flows.iter_mut().flat_map(|flow| &mut flow.halves) {
            half.silence = Silence::from(now);
        }
        for stream in &mut self.datagrams {
            stream.silence = Silence::from(now);
        }
    }

    /// What has taken `taken` and should have taken `undisturbed` says how slow the boxes are.
    pub fn slow_down(&mut self, taken: Duration, undisturbed: Duration) {
        let slowness = taken.as_secs_f64() / undisturbed.as_secs_f64();
        self.slowness = slowness.clamp(1.0, SLOWNESS_MAX);
    }

    /// See `slow_down`.
    pub fn slowness(&self) -> f64 {
        self.slowness
    }

    /// How long an end of that pace pauses between two pieces, and between two datagrams.
    pub fn intervals(&self, pace: Pace) -> (Duration, Duration) {
        let slowness = if pace.is_resting() {
            1.0
        } else {
            self.slowness
        };
        let of = |interval: Duration| interval.mul_f64(slowness);
        (of(pace.interval), of(pace.datagram_interval))
    }

    /// Nothing is broken, altered or sent elsewhere.
    pub fn is_clean(&self) -> bool {
        let is_whole = |stream: &Datagrams| stream.corrupt == 0 && stream.moved == 0;
        let mut streams = self.judged_streams();
        self.judged_flows().all(|flow| flow.fault.is_none()) && streams.all(is_whole)
    }

    /// From here on nothing is asked of those but which are known by protocol and ends. Gives how many TCP flows these
    /// are.
    pub fn excuse(&mut self, is_known: impl Fn(&'static str, Ends) -> bool) -> usize {
        for flow in &mut self.flows {
            flow.is_excused = !flow.ends.is_some_and(|ends| is_known("tcp", ends));
        }
        for stream in &mut self.datagrams {
            stream.is_excused = !stream.ends.is_some_and(|ends| is_known("udp", ends));
        }
        self.flows.iter().filter(|flow| flow.is_excused).count()
    }

    /// How many of the excused broke.
    pub fn excused_broken(&self) -> usize {
        let excused = self.flows.iter().filter(|flow| flow.is_excused);
        excused.filter(|flow| flow.fault.is_some()).count()
    }

    /// Those of which something is asked.
    pub fn judged_flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(|flow| !flow.is_excused)
    }

    /// The same of streams.
    pub fn judged_streams(&self) -> impl Iterator<Item = &Datagrams> {
        self.datagrams.iter().filter(|stream| !stream.is_excused)
    }

    /// Flows that have not received anything yet at one of their ends.
    pub fn fresh_flows(&self) -> impl Iterator<Item = &Flow> {
        let is_fresh = |flow: &&Flow| flow.halves.iter().any(|half| half.received == 0);
        self.flows.iter().filter(is_fresh)
    }

    /// Streams without any answer yet.
    pub fn fresh_streams(&self) -> impl Iterator<Item = &Datagrams> {
        self.datagrams.iter().filter(|stream| stream.answered == 0)
    }

    /// Those of `whom` that have not received anything after `moment`, at one end or both.
    pub fn still_flows(&self, whom: Whom, moment: Instant) -> impl Iterator<Item = &Flow> {
        let flows = self.judged_flows();
        let meant = flows.filter(move |flow| whom.are_meant(flow.pace));
        meant.filter(move |flow| !flow.has_moved_since(moment))
    }

    /// The same of streams.
    pub fn still_streams(&self, whom: Whom, moment: Instant) -> impl Iterator<Item = &Datagrams> {
        let streams = self.judged_streams();
        let meant = streams.filter(move |stream| whom.are_meant(stream.pace));
        meant.filter(move |stream| stream.last <= moment)
    }

    /// Notes that `count` right bytes came to an end of flow `flow`.
    pub fn note_received(&mut self, flow: usize, side: Side, count: usize, now: Instant) {
        let spans = now.saturating_duration_since(self.began).as_millis() / RATE_SPAN.as_millis();
        let place = usize::try_from(spans).unwrap_or(usize::MAX);
        if self.arrived.len() <= place {
            self.arrived.resize(place + 1, 0);
        }
        if let Some(bytes) = self.arrived.get_mut(place) {
            *bytes += count as u64;
        }
        if let Some(flow) = self.flows.get_mut(flow) {
            flow.note_received(side, count, now);
        }
    }

    /// Beginning of each span of time, and the bytes that came in it.
    pub fn arrivals(&self) -> Vec<(Instant, u64)> {
        let spans = (0..).zip(&self.arrived);
        spans
            .map(|(number, bytes)| (self.began + RATE_SPAN * number, *bytes))
            .collect()
    }

    /// Bytes that came, in both directions.
    pub fn received_bytes(&self) -> u64 {
        let halves = self.flows.iter().flat_map(|flow| &flow.halves);
        halves.map(|half| half.received).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::flow::Fault;
    use super::super::route::Way;
    use super::*;

    const ROUTE: Route = Route {
        way: Way::Routed,
        is_v6: false,
    };

    #[test]
    fn a_flow_is_complete_when_each_end_has_all_and_knows_it() {
        let now = Instant::now();
        let mut flow = Flow::new(ROUTE, Pace::default(), None, now);
        flow.half(Side::Client).sent = 10;
        assert!(!flow.is_complete());
        flow.note_received(Side::Server, 10, now);
        flow.halves
            .iter_mut()
            .for_each(|half| half.has_ended = true);
        assert!(flow.is_complete());
        flow.half(Side::Server).sent = 1;
        assert!(!flow.is_complete());
    }

    #[test]
    fn slow_boxes_are_given_less_to_do_and_those_that_rest_do_not_care() {
        let ms = Duration::from_millis;
        let mut table = Table::default();
        let pace = Pace::default();
        let resting = Pace {
            interval: ms(20_000),
            ..pace
        };
        table.slow_down(ms(900), ms(1000));
        assert_eq!(
            table.intervals(pace),
            (pace.interval, pace.datagram_interval)
        );
        table.slow_down(ms(3000), ms(1000));
        let slowed = (pace.interval * 3, pace.datagram_interval * 3);
        assert_eq!(table.intervals(pace), slowed);
        assert_eq!(table.intervals(resting).0, resting.interval);
        table.slow_down(ms(90_000), ms(1000));
        assert_eq!(table.intervals(pace).0, pace.interval * 5);
    }

    #[test]
    fn of_the_excused_nothing_is_asked() {
        let now = Instant::now();
        let mut table = Table::default();
        let address = |port| SocketAddr::from(([192, 0, 2, 100], port));
        let ends = |port| (address(1), address(port));
        for port in [1, 2] {
            let mut flow = Flow::new(ROUTE, Pace::default(), Some(ends(port)), now);
            flow.note_fault(Fault::Reset("by the heir".into()));
            table.flows.push(flow);
        }
        assert_eq!(
            table.excuse(|protocol, known| (protocol, known) == ("tcp", ends(1))),
            1
        );
        assert!(!table.is_clean());
        assert_eq!(table.still_flows(Whom::Busy, now).count(), 1);
        assert_eq!(table.excuse(|_, known| known == ends(3)), 2);
        assert!(table.is_clean());
        assert_eq!(table.excused_broken(), 2);
    }

    #[test]
    fn a_stream_that_comes_from_elsewhere_has_moved() {
        let mut stream = Datagrams::new(ROUTE, Pace::default(), None, Instant::now());
        let client = SocketAddr::from(([192, 0, 2, 10], 1000));
        stream.note_seen(1, client);
        stream.note_seen(1, client);
        assert_eq!(stream.moved, 0);
        stream.note_seen(2, client);
        stream.note_seen(2, SocketAddr::from(([192, 0, 2, 10], 1001)));
        assert_eq!(stream.moved, 2);
    }

    #[test]
    fn what_arrives_is_counted_by_time() {
        let mut table = Table::default();
        let began = table.began;
        table
            .flows
            .push(Flow::new(ROUTE, Pace::default(), None, began));
        for (spans, bytes) in [(0, 5), (3, 7), (3, 1)] {
            table.note_received(0, Side::Client, bytes, began + RATE_SPAN * spans);
        }
        let arrivals: Vec<_> = table
            .arrivals()
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect();
        assert_eq!(arrivals, [5, 0, 0, 8]);
        assert_eq!(table.received_bytes(), 13);
    }

    #[test]
    fn silence_that_lasts_counts() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut flow = Flow::new(ROUTE, Pace::default(), None, start);
        flow.note_received(Side::Client, 1, after(300));
        flow.note_received(Side::Server, 1, after(100));
        assert_eq!(flow.silence(after(310)).as_millis(), 300);
        assert_eq!(flow.silence(after(900)).as_millis(), 800);
        assert!(!flow.has_moved_since(after(200)));
        assert!(flow.has_moved_since(after(50)));
    }
}
