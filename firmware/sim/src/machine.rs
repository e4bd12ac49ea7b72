//! One box: the real node, and around it what its driver and its kernel do. The order in which the driver calls
//! the node is that of `pollux/src/cluster/turn.rs`: the time first, then what the sockets hold, then timeouts.

use crate::clock::Clock;
use crate::schedule::{Freeze, Trouble};
use proto::failover::{Reason, State};
use proto::node::{Action, LinkIndex, Node};
use proto::settings::{LINKS_MAX, Settings};
use proto::time::Instant;
use proto::wire::FrameBytes;

/// Frames that the sockets of a box hold while it does not read them; the newest are dropped. As a socket's
/// default buffer of 208 KiB with datagrams this small.
const INBOX_FRAMES_MAX: usize = 256;

/// Carriers that a box has where nothing is wrong.
pub(crate) const CARRIERS_MAX: usize = 2;

/// How much later a box acts that has heard out its links, at most: a clock is slow.
pub(crate) const HEARD_OUT_US: u64 = 1000;

/// A box, with or without power.
pub(crate) struct Machine {
    pub(crate) settings: Settings,
    pub(crate) node: Option<Node>,
    pub(crate) clock: Clock,
    /// Counts the starts: what was under way in an earlier one is void.
    pub(crate) start: u64,
    pub(crate) started_us: u64,
    /// As the node reported it.
    pub(crate) state: State,
    pub(crate) state_since_us: u64,
    /// When the node wants to be woken up.
    pub(crate) due_us: u64,
    pub(crate) kernel: Kernel,
    pub(crate) asleep: Option<Sleep>,
    pub(crate) slow: Option<Slow>,
    pub(crate) inbox: Vec<(LinkIndex, FrameBytes)>,
    /// What it reads now may have come since then: it stood still.
    pub(crate) reads_since_us: Option<u64>,
    /// The dataplane's word.
    pub(crate) ready: bool,
    /// It has said so for the first time since the start.
    pub(crate) heard_ready: bool,
    /// The node's: false after addresses that could not be set, until it is told again.
    pub(crate) believes_ready: bool,
    /// It holds the connections of its twin.
    pub(crate) in_sync: bool,
    pub(crate) carriers: u8,
    /// Probes that it had sent when a link came up last.
    pub(crate) probes_before: u64,
    /// Why it is in this state.
    pub(crate) reason: Option<Reason>,
    /// Which links are up, as the node reported: a bit for each.
    pub(crate) links_up: u32,
    /// It listens until then, at least.
    pub(crate) listens_until_us: u64,
    /// The start is heard out then, unless the box stood still meanwhile.
    pub(crate) heard_out_us: u64,
}

/// What the kernel does about virtual addresses.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// It answers for some of them.
    pub(crate) any: bool,
    /// It answers for all of them, and they were announced.
    pub(crate) all: bool,
    /// It answered for all of them until then, before it lost them or began to remove them.
    pub(crate) held_us: u64,
    pub(crate) change: Option<Change>,
    pub(crate) changes: u64,
    pub(crate) trouble: Option<(Trouble, u64)>,
}

/// An order that is being carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) order: Action,
    pub(crate) number: u64,
    pub(crate) done_us: u64,
    /// The kernel is slow with it, or refuses.
    pub(crate) is_troubled: bool,
}

/// A box that does not run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sleep {
    pub(crate) since_us: u64,
    pub(crate) until_us: u64,
    pub(crate) how: Freeze,
    /// Silence that its peer bears at most, as far as it knew when it fell asleep.
    pub(crate) silence_max_us: u64,
}

/// A box that wakes up late, time and again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slow {
    pub(crate) late_us: u64,
    pub(crate) until_us: u64,
}

impl Kernel {
    /// It is about to stop answering for all of them.
    pub(crate) fn note_held(&mut self, now_us: u64) {
        if self.all {
            self.held_us = now_us;
        }
    }
}

impl Machine {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            node: None,
            clock: Clock::new(0, 0, 0),
            start: 0,
            started_us: 0,
            state: State::Listening,
            state_since_us: 0,
            due_us: u64::MAX,
            kernel: Kernel::default(),
            asleep: None,
            slow: None,
            inbox: Vec::new(),
            reads_since_us: None,
            ready: false,
            heard_ready: false,
            believes_ready: false,
            in_sync: false,
            carriers: 2,
            probes_before: 0,
            reason: None,
            links_up: 0,
            listens_until_us: 0,
            heard_out_us: u64::MAX,
        }
    }

    /// Past its first state and with every link up there is nothing left to be heard.
    pub(crate) fn hear_out(&mut self, now_us: u64) {
        let all = (1 << self.settings.links.len()) - 1;
        if self.state != State::Listening && self.links_up == all {
            self.listens_until_us = self.listens_until_us.min(now_us);
            self.heard_out_us = self.heard_out_us.min(now_us + HEARD_OUT_US);
        }
    }

    /// The cluster worker is gone, and all that it had under way.
    pub(crate) fn stop(&mut self) {
        self.node = None;
        self.due_us = u64::MAX;
        self.asleep = None;
        self.inbox.clear();
        self.kernel.change = None;
        self.ready = false;
        self.heard_ready = false;
        self.believes_ready = false;
        self.in_sync = false;
    }

    /// The power is gone, too.
    pub(crate) fn power_off(&mut self, now_us: u64) {
        self.stop();
        self.kernel.note_held(now_us);
        self.kernel.any = false;
        self.kernel.all = false;
    }

    pub(crate) fn buffer(&mut self, link: LinkIndex, frame: FrameBytes) {
        if self.inbox.len() < INBOX_FRAMES_MAX * LINKS_MAX {
            self.inbox.push((link, frame));
        }
    }

    /// It runs, and nothing makes it run late.
    pub(crate) fn is_brisk(&self, now_us: u64) -> bool {
        self.node.is_some() && self.asleep.is_none() && !self.is_slow(now_us)
    }

    pub(crate) fn is_slow(&self, now_us: u64) -> bool {
        self.slow.is_some_and(|slow| now_us < slow.until_us)
    }

    /// What its kernel has against addresses.
    pub(crate) fn trouble(&self, now_us: u64) -> Option<Trouble> {
        let trouble = self
            .kernel
            .trouble
            .filter(|(_, until_us)| now_us < *until_us);
        trouble.map(|(trouble, _)| trouble)
    }

    /// Its kernel runs: the machine is not paused.
    pub(crate) fn kernel_runs(&self) -> bool {
        self.asleep
            .is_none_or(|sleep| sleep.how == Freeze::Processes)
    }

    /// It answers for all virtual addresses.
    pub(crate) fn serves(&self) -> bool {
        self.kernel.all && self.kernel_runs()
    }

    /// Its kernel lets it down: what it holds is not the node's doing.
    pub(crate) fn is_let_down(&self, now_us: u64) -> bool {
        let change = self.kernel.change;
        let hangs = change.is_some_and(|it| it.is_troubled || it.done_us < now_us);
        hangs || self.trouble(now_us).is_some()
    }

    /// It is removing addresses.
    pub(crate) fn is_letting_go(&self) -> bool {
        let order = self.kernel.change.map(|change| change.order);
        matches!(order, Some(Action::ReleaseAddresses { .. }))
    }

    /// It is healthy, so it is to serve when nobody else does.
    pub(crate) fn is_able(&self, now_us: u64) -> bool {
        self.is_brisk(now_us)
            && self.ready
            && self.believes_ready
            && now_us >= self.heard_out_us
            && !self.is_let_down(now_us)
            && !is_leaving(self.state)
    }

    /// It says that it may answer still: its kernel does not remove the addresses. Its peer must wait.
    pub(crate) fn is_stuck(&self, now_us: u64) -> bool {
        let releases = matches!(self.state, State::Releasing(_));
        self.node.is_some() && releases && self.is_let_down(now_us)
    }

    /// Probes that its node has sent on all links.
    pub(crate) fn probes(&self) -> u64 {
        let status = self.node.as_ref().map(|it| it.status(Instant::default()));
        let links = status.iter().flat_map(|it| &it.links);
        links.map(|link| link.probes).sum()
    }

    pub(crate) fn silence_max_us(&self) -> u64 {
        let silence = self.node.as_ref().map(Node::silence_max);
        silence.map_or(0, |it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX))
    }
}

/// The box is about to reboot.
pub(crate) fn is_leaving(state: State) -> bool {
    use proto::failover::Goal::Resigned;
    matches!(
        state,
        State::Resigned | State::Offering(Resigned) | State::Releasing(Resigned)
    )
}
