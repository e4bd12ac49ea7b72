//! What a box has promised, checked after everything that happens to it: it takes addresses only when it is
//! ready and in a term of its own that rises, never after it has resigned; it sends no more than is due and
//! only frames that its peer can read; what does not prove itself changes nothing but counters.

use super::super::wire::is_signed;
use super::{LINKS, codec};
use proto::failover::State;
use proto::node::{Action, Input, LinkIndex, Node};
use proto::report::{LinkStatus, Status};
use proto::settings::LINKS_MAX;
use proto::term;
use proto::time::Instant;
use proto::wire::FrameBytes;

/// Terms that a pair would need ages to count to: whoever has the key may say them, and no term of its own
/// is left to a box then.
const TERM_MAX: u64 = u64::MAX - 2;

/// Orders that one call may lead to, and then reports.
const ACTIONS_MAX: usize = 64;

pub(super) struct Kept {
    pub(super) number: u8,
    pub(super) peer: u8,
    pub(super) obeys: bool,
    /// The last frame on each link.
    sent: [FrameBytes; LINKS as usize],
    term: u64,
    resigned: bool,
}

impl Kept {
    pub(super) fn new(number: u8, peer: u8) -> Self {
        Self {
            number,
            peer,
            obeys: false,
            sent: [const { FrameBytes::new() }; LINKS as usize],
            term: 0,
            resigned: false,
        }
    }

    pub(super) fn last_sent(&self, link: u8) -> &[u8] {
        self.sent.get(usize::from(link)).map_or(&[], |frame| frame)
    }

    /// Empties the box's queues, as its driver does, and looks at what comes.
    pub(super) fn holds(&mut self, node: &mut Node, now: Instant) {
        for _ in 0..ACTIONS_MAX {
            let Some(action) = node.poll_action() else {
                break;
            };
            let answer = self.judge(node, now, action);
            if let Some(answer) = answer.filter(|_| self.obeys) {
                node.handle_input(now, answer);
            }
        }
        assert_eq!(node.poll_action(), None, "orders without end");
        self.send(node);
        let status = node.status(now);
        assert!(status.term >= self.term, "its term falls: {status:?}");
        assert!(status.newest_term >= status.term);
        assert!(!self.resigned || status.state == State::Resigned);
        self.term = status.term;
        self.resigned = status.state == State::Resigned;
    }

    fn judge(&self, node: &Node, now: Instant, action: Action) -> Option<Input> {
        let status = node.status(now);
        match action {
            Action::TakeAddresses { term } => {
                assert_eq!(term, status.term);
                assert!(status.ready, "it takes and is not ready: {status:?}");
                assert!(!self.resigned, "it takes and has resigned: {status:?}");
                let taker = term::taker(term, self.number, self.peer);
                assert!(term > TERM_MAX || taker == Some(self.number), "{status:?}");
                Some(Input::AddressesTaken { term })
            }
            Action::ReleaseAddresses { term } => {
                assert_eq!(term, status.term);
                assert!(matches!(status.state, State::Releasing(_)), "{status:?}");
                Some(Input::AddressesReleased { term })
            }
            Action::Announce => {
                assert!(
                    status.state.holds(),
                    "it announces and does not hold: {status:?}"
                );
                None
            }
            Action::Report(report) => {
                assert!(!report.to_string().is_empty());
                None
            }
        }
    }

    /// Fetches what is due: one frame a link, each one that the peer can read.
    fn send(&mut self, node: &mut Node) {
        for _ in 0..LINKS_MAX {
            let Some(transmit) = node.poll_transmit() else {
                return;
            };
            let beat = codec().decode(&transmit.frame);
            assert!(
                beat.is_ok_and(|beat| beat.sender == self.number && beat.link == transmit.link.0)
            );
            if let Some(last) = self.sent.get_mut(usize::from(transmit.link.0)) {
                *last = transmit.frame;
            }
        }
        assert_eq!(node.poll_transmit(), None, "frames without end");
    }

    /// Feeds bytes that prove nothing: they change no more than a time-out at this moment would, but for
    /// counters. Bytes that carry the right MAC are passed over, but for the box's own.
    pub(super) fn ignores(&mut self, node: &mut Node, now: Instant, link: u8, bytes: &[u8]) {
        let is_own = self.sent.iter().any(|sent| sent == bytes);
        if is_signed(bytes) && !is_own {
            return;
        }
        let link = LinkIndex(link % (LINKS + 1));
        let mut spared = node.clone();
        spared.handle_frame(now, link, &[]);
        node.handle_frame(now, link, bytes);
        let (with, without) = (node.status(now), spared.status(now));
        assert_eq!(
            uncounted(with),
            uncounted(without),
            "noise changes something"
        );
        assert_eq!(node.poll_timeout(), spared.poll_timeout());
    }
}

/// Without what was thrown away and what was not fetched.
fn uncounted(mut status: Status) -> Status {
    let uncount = |link: &mut LinkStatus| link.rejected.clear();
    status.links.iter_mut().for_each(uncount);
    status.reports_dropped = 0;
    status
}
