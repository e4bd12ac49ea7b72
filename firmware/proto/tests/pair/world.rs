//! The world that two nodes live in: boxes with kernels that take time, links with delay, loss and
//! cuts, and a clock that jumps from event to event. It also keeps the books on the invariants: how
//! long nobody held the addresses, and how long both did.

use crate::random::Random;
use core::time::Duration;
use proto::failover::{Command, Reason, State};
use proto::node::{
    Action, ConfigVersion, FailBack, Input, LinkIndex, Medium, Node, Refusal, Timing,
};
use proto::report::{Report, Status};
use proto::settings::Settings;
use proto::time::Instant;
use proto::wire::ClusterTag;
use std::collections::{BTreeMap, VecDeque};

/// A cable with both its directions; index is the sender.
#[derive(Clone)]
pub(crate) struct Cable {
    pub(crate) medium: Medium,
    pub(crate) cut: [bool; 2],
    pub(crate) loss_permille: u64,
    /// Frames are delayed by up to so much, in turn.
    pub(crate) jitter: Duration,
    /// All that was ever put on it, by sender.
    pub(crate) capture: [Vec<Vec<u8>>; 2],
}

/// One box: its node, and the kernel that its driver commands.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) settings: Settings,
    pub(crate) node: Option<Node>,
    /// The kernel holds the virtual addresses.
    pub(crate) holds: bool,
    pub(crate) announcements: u32,
    pub(crate) reports: Vec<Report>,
    /// Until then its processes are stopped; its kernel goes on.
    pub(crate) stopped_until: Option<Instant>,
    /// What its sockets hold while it is stopped.
    buffered: VecDeque<(LinkIndex, Vec<u8>)>,
    /// Orders under way, in turn, with the time at which they are done.
    orders: VecDeque<(Instant, Action)>,
    /// The driver can't set addresses.
    pub(crate) broken: bool,
    /// The driver can't remove addresses.
    pub(crate) stuck: bool,
    pub(crate) became_ready: Option<Instant>,
    pub(crate) started: Instant,
}

#[derive(Clone)]
enum Arrival {
    Frame {
        to: usize,
        link: LinkIndex,
        bytes: Vec<u8>,
    },
    Ready {
        of: usize,
        started: Instant,
    },
}

/// Both boxes, and what is between them.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) machines: [Machine; 2],
    pub(crate) cables: Vec<Cable>,
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    arrival_count: u64,
    pub(crate) log: Vec<String>,
    /// Number of the node that took each term.
    takers: BTreeMap<u64, u8>,
    pub(crate) both_hold_since: Option<Instant>,
    pub(crate) both_held_max: Duration,
    pub(crate) none_holds_since: Option<Instant>,
    pub(crate) none_held_max: Duration,
    /// The longest silence that some box would have borne.
    pub(crate) silence_max: Duration,
}

pub(crate) const CASTOR: usize = 0;
pub(crate) const POLLUX: usize = 1;
pub(crate) const UDP: Medium = Medium::Datagram;
pub(crate) const NULL_MODEM: Medium = Medium::Serial { baud: 19_200 };

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn settings(number: u8, media: &[Medium]) -> Settings {
    Settings {
        cluster: ClusterTag::of_name("pair"),
        key: [42; 32],
        number,
        peer: 3 - number,
        priority: 100,
        timing: Timing::DEFAULT,
        fail_back: FailBack::Off,
        config: ConfigVersion {
            generation: 1,
            digest: 7,
        },
        links: media.iter().copied().collect(),
    }
}

impl World {
    /// Two boxes without power, joined by these links.
    pub(crate) fn new(seed: u64, media: &[Medium]) -> Self {
        let machine = |number| Machine {
            settings: settings(number, media),
            node: None,
            holds: false,
            announcements: 0,
            reports: Vec::new(),
            stopped_until: None,
            buffered: VecDeque::new(),
            orders: VecDeque::new(),
            broken: false,
            stuck: false,
            became_ready: None,
            started: Instant::default(),
        };
        let cable = |medium: &Medium| Cable {
            medium: *medium,
            cut: [false; 2],
            loss_permille: 0,
            jitter: Duration::ZERO,
            capture: [Vec::new(), Vec::new()],
        };
        Self {
            now: Instant::from_micros(1_000_000),
            seed,
            random: Random(seed),
            machines: [machine(1), machine(2)],
            cables: media.iter().map(cable).collect(),
            arrivals: BTreeMap::new(),
            arrival_count: 0,
            log: Vec::new(),
            takers: BTreeMap::new(),
            both_hold_since: None,
            both_held_max: Duration::ZERO,
            none_holds_since: Some(Instant::from_micros(1_000_000)),
            none_held_max: Duration::ZERO,
            silence_max: Duration::ZERO,
        }
    }

    /// Castor active, Pollux standby, everything settled.
    pub(crate) fn settled(media: &[Medium]) -> Self {
        Self::settled_with(Timing::DEFAULT, media)
    }

    /// The same with another timing.
    pub(crate) fn settled_with(timing: Timing, media: &[Medium]) -> Self {
        let mut world = World::new(1, media);
        for machine in &mut world.machines {
            machine.settings.timing = timing;
        }
        world.start(CASTOR);
        world.start(POLLUX);
        world.run(ms(3000));
        world.expect([State::Active, State::Standby]);
        world.forget();
        world
    }

    /// Starts the books anew.
    pub(crate) fn forget(&mut self) {
        self.both_held_max = Duration::ZERO;
        self.none_held_max = Duration::ZERO;
        self.silence_max = Duration::ZERO;
        for machine in &mut self.machines {
            machine.announcements = 0;
            machine.reports.clear();
        }
    }

    /// Starts the cluster worker; the dataplane is ready 100 ms later.
    pub(crate) fn start(&mut self, of: usize) {
        let seed = self.random.next();
        let now = self.now;
        let machine = &mut self.machines[of];
        machine.node = Some(Node::new(now, machine.settings.clone(), seed));
        machine.started = now;
        machine.orders.clear();
        machine.buffered.clear();
        machine.stopped_until = None;
        machine.became_ready = None;
        self.say(of, "starts");
        self.input(of, Input::Fitness(2));
        self.arrive(ms(100), Arrival::Ready { of, started: now });
    }

    /// Pulls the plug: kernel and all.
    pub(crate) fn power_cut(&mut self, of: usize) {
        self.say(of, "loses power");
        self.machines[of].holds = false;
        self.kill_worker(of);
    }

    /// Kills the cluster worker; the kernel keeps what it holds.
    pub(crate) fn kill_worker(&mut self, of: usize) {
        self.say(of, "has no cluster worker");
        let machine = &mut self.machines[of];
        machine.node = None;
        machine.orders.clear();
        self.keep_books();
    }

    /// Stops the processes of a box for a while; its kernel goes on.
    pub(crate) fn stop(&mut self, of: usize, span: Duration) {
        self.say(of, &format!("stands still for {span:?}"));
        self.machines[of].stopped_until = Some(self.now + span);
        self.keep_books();
    }

    pub(crate) fn cut_all(&mut self, cut: bool) {
        for cable in &mut self.cables {
            cable.cut = [cut; 2];
        }
    }

    pub(crate) fn input(&mut self, of: usize, input: Input) {
        let now = self.now;
        if let Some(node) = &mut self.machines[of].node {
            node.handle_input(now, input);
        }
        self.pump(of);
    }

    pub(crate) fn command(&mut self, of: usize, command: Command) -> Result<(), Refusal> {
        let now = self.now;
        let node = self.machines[of].node.as_mut().unwrap();
        let answer = node.handle_command(now, command);
        self.say(of, &format!("is told {command}: {answer:?}"));
        self.pump(of);
        answer
    }

    /// Puts bytes into a box as if they had come in on a link.
    pub(crate) fn inject(&mut self, to: usize, link: u8, bytes: &[u8]) {
        let link = LinkIndex(link);
        let bytes = bytes.to_vec();
        self.arrive(Duration::ZERO, Arrival::Frame { to, link, bytes });
        self.run(Duration::ZERO);
    }

    pub(crate) fn status(&self, of: usize) -> Status {
        self.machines[of].node.as_ref().unwrap().status(self.now)
    }

    pub(crate) fn state(&self, of: usize) -> State {
        self.status(of).state
    }

    /// Why the box changed its state, from `skip` transitions ago.
    pub(crate) fn reason(&self, of: usize, skip: usize) -> Reason {
        self.status(of).transitions[skip].transition.reason
    }

    pub(crate) fn expect(&self, states: [State; 2]) {
        let found =
            [CASTOR, POLLUX].map(|of| self.machines[of].node.as_ref().map(|_| self.state(of)));
        assert_eq!(found, states.map(Some), "{}", self.story());
    }

    /// The other box is without power.
    pub(crate) fn expect_alone(&self, of: usize, state: State) {
        assert!(self.machines[1 - of].node.is_none());
        assert_eq!(self.state(of), state, "{}", self.story());
    }

    /// The log of the run, for those who must find out why.
    pub(crate) fn story(&self) -> String {
        let tail = self.log.len().saturating_sub(60);
        format!("seed {}:\n{}\n", self.seed, self.log[tail..].join("\n"))
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
        self.keep_books();
    }

    fn next_time(&self) -> Option<Instant> {
        let arrival = self.arrivals.keys().next().map(|(at, _)| *at);
        let machines = self.machines.iter().filter_map(|machine| {
            let node = machine.node.as_ref()?;
            let order = machine.orders.front().map(|(at, _)| *at);
            let due = order.into_iter().chain([node.poll_timeout()]).min();
            machine.stopped_until.or(due)
        });
        machines.chain(arrival).min()
    }

    /// Everything that is due now.
    fn step(&mut self) {
        while let Some(entry) = self.arrivals.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let arrival = entry.remove();
            self.deliver(arrival);
        }
        for of in [CASTOR, POLLUX] {
            self.wake_if_due(of);
            self.finish_orders(of);
            let now = self.now;
            let machine = &mut self.machines[of];
            if machine.stopped_until.is_none()
                && let Some(node) = &mut machine.node
                && node.poll_timeout() <= now
            {
                node.handle_timeout(now);
                self.pump(of);
                let next = self.machines[of].node.as_ref().map(Node::poll_timeout);
                assert!(next > Some(now), "spins: {}", self.story());
            }
        }
    }

    fn deliver(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Frame { to, link, bytes } => {
                let now = self.now;
                let machine = &mut self.machines[to];
                if machine.stopped_until.is_some() {
                    machine.buffered.push_back((link, bytes));
                } else if let Some(node) = &mut machine.node {
                    node.handle_frame(now, link, &bytes);
                    self.pump(to);
                }
            }
            Arrival::Ready { of, started } => {
                let machine = &mut self.machines[of];
                if machine.node.is_none() || machine.started != started {
                    return;
                }
                if machine.stopped_until.is_some() {
                    return self.arrive(ms(50), Arrival::Ready { of, started });
                }
                if machine.became_ready.replace(self.now).is_none() {
                    self.input(of, Input::InSync(true));
                }
                self.input(of, Input::Ready(true));
                // As the dataplane does: once a second, so that a loss heals.
                self.arrive(ms(1000), Arrival::Ready { of, started });
            }
        }
    }

    /// A box that goes on after a stop finds its sockets full.
    fn wake_if_due(&mut self, of: usize) {
        let now = self.now;
        let machine = &mut self.machines[of];
        if machine.stopped_until.is_none_or(|until| until > now) {
            return;
        }
        machine.stopped_until = None;
        let buffered = core::mem::take(&mut machine.buffered);
        if let Some(node) = &mut machine.node {
            for (link, bytes) in buffered {
                node.handle_frame(now, link, &bytes);
            }
            node.handle_timeout(now);
        }
        self.say(of, "goes on");
        self.pump(of);
    }

    /// The kernel has done what it was told.
    fn finish_orders(&mut self, of: usize) {
        let now = self.now;
        let machine = &mut self.machines[of];
        if machine.stopped_until.is_some() {
            return;
        }
        while machine.orders.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, order)) = machine.orders.pop_front() else {
                return;
            };
            let answer = match order {
                Action::TakeAddresses { .. } if machine.broken => continue,
                Action::ReleaseAddresses { .. } if machine.stuck => continue,
                Action::TakeAddresses { term } => {
                    machine.holds = true;
                    machine.announcements += 1;
                    Input::AddressesTaken { term }
                }
                Action::ReleaseAddresses { term } => {
                    machine.holds = false;
                    Input::AddressesReleased { term }
                }
                Action::Announce => {
                    machine.announcements += 1;
                    continue;
                }
                Action::Report(_) => continue,
            };
            return self.input(of, answer);
        }
    }

    /// Empties a node after it was called, as every driver must.
    fn pump(&mut self, of: usize) {
        let Some(mut node) = self.machines[of].node.take() else {
            return;
        };
        while let Some(transmit) = node.poll_transmit() {
            self.send(of, transmit.link, transmit.frame.to_vec());
        }
        while let Some(action) = node.poll_action() {
            if let Action::Report(report) = action {
                self.say(of, &report.to_string());
                self.machines[of].reports.push(report);
            } else {
                if let Action::TakeAddresses { term } = action {
                    let number = self.machines[of].settings.number;
                    let taker = *self.takers.entry(term).or_insert(number);
                    assert_eq!(taker, number, "both took term {term}: {}", self.story());
                }
                let done = self.now + Duration::from_micros(200 + self.random.below(2000));
                self.machines[of].orders.push_back((done, action));
            }
        }
        self.machines[of].node = Some(node);
        self.keep_books();
    }

    fn send(&mut self, from: usize, link: LinkIndex, bytes: Vec<u8>) {
        let to = 1 - from;
        let cable = &mut self.cables[usize::from(link.0)];
        cable.capture[from].push(bytes.clone());
        let lost = self.random.below(1000) < cable.loss_permille;
        if cable.cut[from] || lost || self.machines[to].node.is_none() {
            return;
        }
        let delay = match cable.medium {
            Medium::Datagram => Duration::from_micros(50 + self.random.below(1000)),
            Medium::Serial { baud } => {
                let bits = (bytes.len() as u64 + 5) * 10;
                Duration::from_micros(bits * 1_000_000 / u64::from(baud))
            }
        };
        let jitter = self.cables[usize::from(link.0)].jitter.as_micros() as u64;
        let delay = delay + Duration::from_micros(self.random.below(jitter + 1));
        self.arrive(delay, Arrival::Frame { to, link, bytes });
    }

    fn arrive(&mut self, delay: Duration, arrival: Arrival) {
        self.arrival_count += 1;
        let key = (self.now + delay, self.arrival_count);
        self.arrivals.insert(key, arrival);
    }

    pub(crate) fn say(&mut self, of: usize, what: &str) {
        let name = ["castor", "pollux"][of];
        let at = self.now.us / 1000;
        self.log.push(format!("{at:>8} {name}: {what}"));
    }

    /// How long both or none held the addresses. A stopped box can't help what it holds: its time
    /// counts from when it goes on.
    fn keep_books(&mut self) {
        let now = self.now;
        let nodes = self.machines.iter().filter_map(|it| it.node.as_ref());
        let silence = nodes.map(Node::silence_max).max();
        self.silence_max = self.silence_max.max(silence.unwrap_or_default());
        let [castor, pollux] = &self.machines;
        let both = castor.holds && pollux.holds;
        let none = !castor.holds && !pollux.holds;
        let stopped = self.machines.iter().any(|it| it.stopped_until.is_some());
        let workerless = self.machines.iter().any(|it| it.holds && it.node.is_none());
        let since = |counts: bool, since: &mut Option<Instant>, max: &mut Duration| {
            if let Some(since) = since {
                *max = (*max).max(now.since(*since));
            }
            *since = counts.then(|| since.unwrap_or(now));
        };
        let both = both && !stopped && !workerless;
        since(both, &mut self.both_hold_since, &mut self.both_held_max);
        since(none, &mut self.none_holds_since, &mut self.none_held_max);
    }
}
