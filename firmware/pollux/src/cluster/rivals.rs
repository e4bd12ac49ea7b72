//! Whoever else answers for our virtual addresses: seen on the wire, counted, and answered by announcing
//! again, so that the segment learns anew where they are. It never sends; rates are bounded, since a
//! stranger may claim them as fast as he likes.

use crate::ipc::control::RivalStatus;
use core::time::Duration;
use netlink::claim::{self, Claim};
use plan::config::Config;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use sys::packet::PacketListener;

/// From one answer to a claim to the next. The announcements' schedule outlasts it: what is claimed in
/// between is answered, too.
const ANSWER_INTERVAL: Duration = Duration::from_millis(500);

/// Frames read in one turn.
const FRAMES_PER_TURN: usize = 64;

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Hears claims of virtual addresses on all devices. The listeners stay open: closing one waits for other
/// processors, which is not for our loop.
pub struct Wiretap {
    arp: PacketListener,
    neighbour: PacketListener,
}

impl Wiretap {
    /// Listens to claims of the config's virtual addresses.
    pub fn open(config: &Config) -> Result<Self, sys::Error> {
        let addresses = || {
            config
                .virtual_addresses
                .iter()
                .map(|ours| ours.prefix.address)
        };
        let v4 = addresses().filter_map(|address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        });
        let v6 = addresses().filter_map(|address| match address {
            IpAddr::V6(v6) => Some(v6),
            IpAddr::V4(_) => None,
        });
        Ok(Wiretap {
            arp: PacketListener::open(ETHERTYPE_ARP, &claim::arp_filter(v4))?,
            neighbour: PacketListener::open(ETHERTYPE_IPV6, &claim::neighbour_filter(v6))?,
        })
    }

    /// What to wait on.
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.arp.as_fd(), self.neighbour.as_fd()]
    }

    /// Hands the claims that wait to `each`, with the index of the device they came in on.
    pub fn receive(&self, mut each: impl FnMut(u32, Claim)) {
        for listener in [&self.arp, &self.neighbour] {
            let mut frame = [0; claim::FRAME_BYTES];
            for _ in 0..FRAMES_PER_TURN {
                // An error (a device is down) is nothing to act upon: no claim comes from there.
                let Ok(Some((index, length))) = listener.receive(&mut frame) else {
                    break;
                };
                if let Some(claim) = claim::parse(frame.get(..length).unwrap_or_default()) {
                    each(index, claim);
                }
            }
        }
    }
}

/// Somebody else who claimed a virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rival {
    mac: [u8; 6],
    claims: u64,
    last_at: Duration,
}

/// What was seen of rivals, by position of the virtual address.
#[derive(Debug, Default)]
pub struct Rivals {
    seen: Vec<Option<Rival>>,
    answered_at: Option<Duration>,
}

impl Rivals {
    /// None seen of `count` addresses.
    pub fn new(count: usize) -> Self {
        Rivals {
            seen: vec![None; count],
            answered_at: None,
        }
    }

    /// Counts a claim. Returns how many there were by this MAC address where that is worth a line: at the
    /// first, then at every doubling.
    pub fn count(&mut self, position: usize, mac: [u8; 6], now: Duration) -> Option<u64> {
        let seen = self.seen.get_mut(position)?;
        let rival = seen.filter(|rival| rival.mac == mac).unwrap_or(Rival {
            mac,
            claims: 0,
            last_at: now,
        });
        let claims = rival.claims.saturating_add(1);
        *seen = Some(Rival {
            mac,
            claims,
            last_at: now,
        });
        claims.is_power_of_two().then_some(claims)
    }

    /// Whether a claim seen now is to be answered.
    pub fn is_to_answer(&mut self, now: Duration) -> bool {
        let before = self.answered_at;
        let is_due = before.is_none_or(|at| now >= at.saturating_add(ANSWER_INTERVAL));
        if is_due {
            self.answered_at = Some(now);
        }
        is_due
    }

    /// The last one that claimed the address at `position`, for the console.
    pub fn status(&self, position: usize, now: Duration) -> Option<RivalStatus> {
        let rival = self.seen.get(position)?.as_ref()?;
        let ago = now.saturating_sub(rival.last_at);
        Some(RivalStatus {
            mac: rival.mac,
            claims: rival.claims,
            ago_ms: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_flood_of_claims_fills_no_log_and_is_answered_twice_a_second() {
        let mut rivals = Rivals::new(1);
        let mac = [2, 0, 0, 0, 0, 9];
        let (mut lines, mut answers) = (0, 0);
        for at in 0..2000 {
            lines += u32::from(rivals.count(0, mac, ms(at)).is_some());
            answers += u32::from(rivals.is_to_answer(ms(at)));
        }
        assert_eq!((lines, answers), (11, 4));
        let seen = rivals.status(0, ms(2100));
        let expected = RivalStatus {
            mac,
            claims: 2000,
            ago_ms: 101,
        };
        assert_eq!(seen, Some(expected));
    }

    #[test]
    fn another_rival_is_news_again() {
        let mut rivals = Rivals::new(2);
        assert_eq!(rivals.count(1, [2; 6], ms(0)), Some(1));
        assert_eq!(rivals.count(1, [4; 6], ms(1)), Some(1));
        assert_eq!(rivals.status(0, ms(1)), None);
        assert_eq!(rivals.count(7, [4; 6], ms(1)), None);
    }
}
