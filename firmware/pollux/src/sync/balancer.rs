//! The balancer's connections in the loop of the worker: what the kernel's master tells goes to the engine, what the
//! engine wants goes to the kernel's backup, and a listing goes on a part at a time.

use super::balanced::{Balanced, Count, LINES_PER_TURN, Listing, Lost, NUDGE_INTERVAL, Which};
use super::flows::instant;
use super::handshakes::Handshakes;
use core::time::Duration;
use plan::config::Config;
use proto::sync::{Engine, Kind};
use std::os::fd::{AsFd, BorrowedFd};

/// A box that has let go has its master tell the rest for so long: a client may have come in the last moment.
const AFTERWORDS: Duration = Duration::from_secs(1);
/// From count to count, for the console.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// The kernel's balancer, where the config has services and the kernel has IPVS.
pub struct Balancer {
    balanced: Option<Balanced>,
    /// Why there is none, where the config has services.
    failure: Option<String>,
    listing: Option<Listing>,
    handshakes: Handshakes,
    nudge_at: Duration,
    count: Option<Count>,
    count_at: Duration,
    /// From when on the master has nothing to tell, not even of before a handover.
    silent_at: Duration,
    complained: bool,
}

impl Balancer {
    /// Opens it, or says why connections of services are not mirrored. Without services nothing stays of what a worker
    /// before this one had to mirror them.
    pub fn open(config: &Config) -> Self {
        let wanted = !config.services.is_empty();
        let opened = if wanted {
            Balanced::open()
        } else {
            clear_away();
            Ok(None)
        };
        let (balanced, failure) = match opened {
            Ok(None) if wanted => (None, Some("the kernel has no IPVS".into())),
            Ok(balanced) => (balanced, None),
            Err(error) => (None, Some(error.to_string())),
        };
        if let Some(why) = &failure {
            log::error!("{why}; a takeover breaks the connections of services");
        }
        Balancer {
            balanced,
            failure,
            listing: None,
            handshakes: Handshakes::default(),
            nudge_at: Duration::ZERO,
            count: None,
            count_at: Duration::ZERO,
            silent_at: Duration::ZERO,
            complained: false,
        }
    }

    /// Leaves nothing behind in the kernel of somebody else's machine.
    pub fn close(&mut self) {
        if self.balanced.take().is_some() {
            clear_away();
        }
    }

    /// Readable when the master said something.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.balanced.as_ref().map(AsFd::as_fd)
    }

    /// When `turn` is due, whatever comes.
    pub fn wake_at(&self, now: Duration, is_active: bool) -> Duration {
        let count = self.count.as_ref().map_or(self.count_at, |_| now);
        if self.balanced.is_none() {
            return count;
        }
        let nudges = is_active || now < self.silent_at;
        let all = [
            self.listing.as_ref().map(|_| now),
            self.handshakes.wake_at(now),
            nudges.then_some(self.nudge_at),
        ];
        all.into_iter().flatten().fold(count, Duration::min)
    }

    /// Tells the engine what the master told, and has it tell the rest.
    pub fn turn(&mut self, now: Duration, engine: &mut Engine, is_active: bool) {
        self.hear(now, engine);
        self.list_on(now, engine);
        self.look_for_handshakes(now, engine, is_active);
        if is_active {
            self.silent_at = now.saturating_add(AFTERWORDS);
        }
        if self.nudge_at <= now && now < self.silent_at {
            self.nudge(now);
        }
        self.count_on(now, engine);
    }

    /// Whether they are mirrored or not.
    fn count_on(&mut self, now: Duration, engine: &mut Engine) {
        if self.count.is_none() && self.count_at <= now {
            self.count_at = now.saturating_add(COUNT_INTERVAL);
            self.count = Count::begin();
        }
        if let Some(sum) = self.count.as_mut().and_then(Count::advance) {
            self.count = None;
            engine.set_balanced(sum);
        }
    }

    fn look_for_handshakes(&mut self, now: Duration, engine: &mut Engine, is_active: bool) {
        let Some(balanced) = &mut self.balanced else {
            return;
        };
        if let Err(error) = self.handshakes.turn(now, is_active, balanced, engine) {
            self.complain(&error.to_string());
        }
    }

    /// Has the master tell what it holds back: most of it comes some 20 ms later.
    pub fn nudge(&mut self, now: Duration) {
        self.nudge_at = now.saturating_add(NUDGE_INTERVAL);
        if let Some(balanced) = &mut self.balanced {
            balanced.nudge();
        }
    }

    fn hear(&mut self, now: Duration, engine: &mut Engine) {
        let Some(balanced) = &mut self.balanced else {
            return;
        };
        let received = balanced.receive(|key, value, lifetime_s| {
            engine.note(instant(now), Kind::Ipvs, key, value, lifetime_s);
        });
        if let Err(error) = received {
            self.complain(&error.to_string());
        }
    }

    /// Lists all connections for the engine.
    pub fn list(&mut self, now: Duration, engine: &mut Engine) {
        if self.listing.is_some() {
            return;
        }
        engine.sweep_begin(instant(now), Kind::Ipvs);
        let listing = |balanced: &mut Balanced| balanced.list(Which::Open);
        match self.balanced.as_mut().map(listing) {
            Some(Ok(listing)) => self.listing = Some(listing),
            Some(Err(error)) => {
                self.complain(&error.to_string());
                engine.sweep_abort(instant(now), Kind::Ipvs);
            }
            None => engine.sweep_end(instant(now), Kind::Ipvs),
        }
    }

    fn list_on(&mut self, now: Duration, engine: &mut Engine) {
        let Some(listing) = &mut self.listing else {
            return;
        };
        if engine.room() < LINES_PER_TURN {
            return;
        }
        let at = instant(now);
        let advanced = listing.advance(LINES_PER_TURN, |key, value, lifetime_s| {
            // Each ages out where it is: none is ever to be removed.
            let _ = engine.sweep_note(at, Kind::Ipvs, key, value, lifetime_s);
        });
        match advanced {
            Ok(true) => return,
            Ok(false) => {
                log::debug!("{} listed connections passed over", listing.passed_over());
                engine.sweep_end(at, Kind::Ipvs);
            }
            Err(error) => {
                self.complain(&error.to_string());
                engine.sweep_abort(at, Kind::Ipvs);
            }
        }
        self.listing = None;
    }

    /// A connection of the twin's.
    pub fn put(&mut self, key: &[u8], value: &[u8], lifetime_s: u32) {
        if let Some(balanced) = &mut self.balanced {
            balanced.put(key, value, lifetime_s);
        }
    }

    /// Sends what was put.
    pub fn flush(&mut self) {
        if let Some(balanced) = &mut self.balanced {
            balanced.flush();
        }
    }

    /// Why connections of services are not mirrored, where there are services.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What was not told on.
    pub fn lost(&self) -> Lost {
        self.balanced
            .as_ref()
            .map(Balanced::lost)
            .unwrap_or_default()
    }

    fn complain(&mut self, why: &str) {
        if !core::mem::replace(&mut self.complained, true) {
            log::warn!("mirroring connections of services: {why}; said once");
        }
    }
}

fn clear_away() {
    match Balanced::clear_away() {
        Ok(true) => log::info!("the balancer's sync daemons and their cable are gone"),
        Ok(false) => {}
        Err(error) => log::warn!("taking away the balancer's sync daemons: {error}"),
    }
}
