//! What a node learns of its peer: from frames that prove themselves, and from silence. Nothing that a
//! link did not prove ever reaches the node's picture of the pair.

use super::{CONTEST_REPEAT, Event, LinkIndex, Node, Peer, RELEASE_RETRY, Retired, State};
use crate::link::{Link, Trust};
use crate::report::Report;
use crate::sabotage::{Sabotage, is_broken};
use crate::settings::ConfigVersion;
use crate::wire::{Beat, Rejection, Standing};

impl Node {
    /// Takes a frame, or counts why not.
    pub(super) fn receive(&mut self, link: LinkIndex, frame: &[u8]) {
        let learned = self
            .authenticate(link, frame)
            .and_then(|beat| self.hear(link, &beat));
        if let Err(rejection) = learned {
            self.reject(link, rejection);
        }
    }

    /// The beat in a frame, if it is the peer's, meant for this link.
    fn authenticate(&self, link: LinkIndex, frame: &[u8]) -> Result<Beat, Rejection> {
        let beat = self.codec.decode(frame)?;
        if beat.sender == self.settings.number {
            return Err(if beat.incarnation == self.incarnation {
                Rejection::OwnEcho
            } else {
                Rejection::SameNumber
            });
        }
        if beat.sender != self.settings.peer {
            return Err(Rejection::UnknownSender);
        }
        if beat.link != link.0 {
            return Err(Rejection::WrongLink);
        }
        if self.is_retired(&beat) {
            return Err(Rejection::Replayed);
        }
        Ok(beat)
    }

    /// The beat comes from a start of the peer that another one has followed. Which of two followed the other
    /// is only guessed, by which was heard later: whoever has heard since what was sent after that lives, and
    /// was taken for dead by mistake.
    fn is_retired(&self, beat: &Beat) -> bool {
        let echo = beat
            .echo
            .filter(|echo| echo.incarnation == self.incarnation);
        let heard = echo.map_or(0, |echo| echo.sequence);
        let outlived = |old: &Retired| {
            let sent = old.sent.get(usize::from(beat.link));
            sent.is_some_and(|sent| heard > *sent)
        };
        let mut retired = self.retired.iter();
        retired.any(|old| old.incarnation == beat.incarnation && !outlived(old))
    }

    /// Lets the link judge the beat; what it proves is believed, and what it asks is answered. So is what a
    /// proven peer says that does not hear this box any more: enough to give way to it, and not to take from
    /// it what it holds.
    fn hear(&mut self, index: LinkIndex, beat: &Beat) -> Result<(), Rejection> {
        let link = self.links.get_mut(usize::from(index.0));
        let link = link.ok_or(Rejection::WrongLink)?;
        let verdict = match link.receive(self.now, beat, self.incarnation)? {
            Trust::Greeting | Trust::Late => return Ok(()),
            Trust::OneWay => link.distrust(self.now, beat).map(|_| ()),
            Trust::Proven => {
                if beat.asks {
                    link.hurry(self.now);
                }
                Ok(())
            }
        };
        self.believe(beat);
        if let Some(peer) = &mut self.peer {
            peer.talked = Some((self.now, index));
        }
        verdict
    }

    /// Takes over what the peer says of itself, unless a faster link has said newer things.
    fn believe(&mut self, beat: &Beat) {
        self.term_max = self.term_max.max(beat.standing.term);
        if let Some(echo) = beat
            .echo
            .filter(|echo| echo.incarnation == self.incarnation)
        {
            self.dead.is_known(echo.revision);
        }
        match &mut self.peer {
            Some(peer) if peer.incarnation == beat.incarnation => {
                if is_newer(&beat.standing, &peer.standing) || is_broken(Sabotage::BelieveOld) {
                    // It may have held the addresses for a moment that no frame told of.
                    self.peer_may_answer |= beat.standing.term != peer.standing.term;
                    peer.standing = beat.standing;
                }
            }
            known => {
                let before = known.replace(Peer {
                    incarnation: beat.incarnation,
                    standing: beat.standing,
                    alive: false,
                    talked: None,
                });
                if let Some(before) = before {
                    self.bury(&before, beat.incarnation);
                }
            }
        }
    }

    /// The peer was started anew: what its earlier start said and held is void.
    fn bury(&mut self, before: &Peer, incarnation: u64) {
        if self.retired.is_full() {
            self.retired.pop_front();
        }
        // There is room now.
        let _ = self.retired.push_back(Retired {
            incarnation: before.incarnation,
            sent: self.links.iter().map(Link::sequence).collect(),
        });
        for link in &mut self.links {
            link.follow(incarnation);
        }
        self.abandoned |= before.alive && before.standing.state.is_in_office();
        self.peer_may_answer = true;
        self.chosen = None;
        self.better = None;
        self.dead.forget();
        self.report(Report::PeerRestarted);
        self.apply(Event::PeerRestarted);
    }

    /// Says which links went up or down.
    pub(super) fn judge_links(&mut self) {
        for index in 0..self.settings.links.len() {
            let Some(link) = self.links.get_mut(index) else {
                continue;
            };
            if let Some(up) = link.poll_change() {
                // At most LINKS_MAX links.
                let link = u8::try_from(index).unwrap_or(u8::MAX);
                self.report(Report::Link { link, up });
            }
        }
    }

    /// Says whether the peer is alive, lets go and runs the same config.
    pub(super) fn judge_peer(&mut self) {
        let all_up = self.links.iter().all(Link::is_up);
        let any_up = self.links.iter().any(Link::is_up);
        let is_trusted = all_up || !is_broken(Sabotage::OneLinkDecides);
        let Some(peer) = &mut self.peer else { return };
        let alive = is_trusted && (any_up || peer.talked.is_some());
        let was_alive = core::mem::replace(&mut peer.alive, alive);
        let standing = peer.standing;
        if alive != was_alive {
            self.report(Report::Peer { alive });
        }
        if !alive {
            self.contest = None;
            self.peer_may_answer = true;
            self.chosen = None;
            return;
        }
        self.judge_config(&standing);
        if standing.state.holds() {
            self.abandoned = false;
        }
        self.judge_contest(&standing, !was_alive);
        if self.standing.state == State::Taking {
            // Whoever lets go now may do so after the announcements that come with the taking.
            return;
        }
        let may_answer = standing.state.may_answer();
        if core::mem::replace(&mut self.peer_may_answer, may_answer) && !may_answer {
            self.apply(Event::PeerLetGo);
        }
    }

    /// Announces the addresses while the peer does not let go of them: at once where it says to hold them,
    /// too, and after a while where it only can't get rid of them.
    fn judge_contest(&mut self, peer: &Standing, is_back: bool) {
        let outranks = self.standing.term > peer.term;
        if !self.standing.state.holds() || !peer.state.is_in_office() || !outranks {
            self.contest = None;
            return;
        }
        // Who hands over says so before it lets go; who was not heard until now held them beside this box.
        let is_rival = is_back || peer.state == State::Active;
        let due = match self.contest {
            None if is_rival => self.now,
            None => self.now + RELEASE_RETRY,
            Some(due) => due,
        };
        self.contest = Some(due);
        if self.now < due {
            return;
        }
        self.contest = Some(self.now + CONTEST_REPEAT);
        self.report(Report::Contested {
            peer_term: peer.term,
        });
        self.apply(Event::Contested);
    }

    /// This box runs another config.
    pub(super) fn change_config(&mut self, version: ConfigVersion) {
        self.settings.config = version;
        self.standing.generation = version.generation;
        self.standing.digest = version.digest;
        if let Some(standing) = self.peer.as_ref().map(|peer| peer.standing) {
            self.judge_config(&standing);
        }
    }

    fn judge_config(&mut self, standing: &Standing) {
        let differs = self.differs_from(standing);
        if core::mem::replace(&mut self.differs, differs) != differs {
            self.report(Report::Drift {
                differs,
                peer_generation: standing.generation,
            });
        }
    }

    /// The peer runs another config.
    pub(super) fn differs_from(&self, peer: &Standing) -> bool {
        let own = self.settings.config;
        (own.generation, own.digest) != (peer.generation, peer.digest)
    }

    fn reject(&mut self, index: LinkIndex, rejection: Rejection) {
        let Some(link) = self.links.get_mut(usize::from(index.0)) else {
            return;
        };
        let total = link.reject(rejection);
        // The first one is news, then every doubling: a flood fills no log.
        if rejection.is_alarming() && total.is_power_of_two() {
            self.report(Report::Rejected {
                link: index.0,
                rejection,
                total,
            });
        }
    }
}

/// Revisions count round their type, like serial numbers (RFC 1982).
fn is_newer(new: &Standing, old: &Standing) -> bool {
    let ahead = new.revision.wrapping_sub(old.revision);
    ahead != 0 && ahead < u32::MAX / 2
}
