//! What the watch saw: who claimed which address when, and for how long two did or nobody did. Pure.

use crate::net::{NODES, VIRTUAL};
use anyhow::{Result, bail};
use std::time::Duration;

/// A box said that it holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// When, as time since 1970.
    pub at: Duration,
    /// Which box.
    pub owner: usize,
    /// Which virtual address.
    pub address: usize,
}

/// A time in which a box claimed an address without a longer pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tenure {
    owner: usize,
    from: Duration,
    to: Duration,
}

/// All claims of a watch, by time.
#[derive(Debug)]
pub struct Record {
    claims: Vec<Claim>,
}

impl Record {
    /// Fails where an address was never claimed: then nothing was watched.
    pub fn new(mut claims: Vec<Claim>) -> Result<Self> {
        claims.sort_by_key(|claim| claim.at);
        for (index, (address, ..)) in VIRTUAL.iter().enumerate() {
            if claims.iter().all(|claim| claim.address != index) {
                bail!("the watch saw nobody answer for {address}");
            }
        }
        Ok(Record { claims })
    }

    /// The longest time in which both boxes answered for an address. A box that is silent for longer than
    /// `pause` has given it up; what it says after that is a tenure of its own.
    pub fn overlap(&self, pause: Duration) -> Duration {
        let addresses = 0..VIRTUAL.len();
        let overlaps = addresses.map(|address| longest_overlap(&self.tenures(address, pause)));
        overlaps.max().unwrap_or_default()
    }

    /// The longest time between two claims to an address, whoever made them.
    pub fn vacancy(&self) -> Duration {
        let addresses = 0..VIRTUAL.len();
        let gaps = addresses.flat_map(|address| {
            let moments: Vec<_> = self.of(address).map(|claim| claim.at).collect();
            let next = moments.iter().skip(1);
            let gaps = moments.iter().zip(next).map(|(from, to)| *to - *from);
            gaps.collect::<Vec<_>>()
        });
        gaps.max().unwrap_or_default()
    }

    /// Claims of box `owner` after `moment`.
    pub fn after(&self, moment: Duration, owner: usize) -> Vec<Claim> {
        let claims = self.claims.iter();
        let late = claims.filter(|claim| claim.owner == owner && claim.at > moment);
        late.copied().collect()
    }

    /// From the first claim of `heir` to the last one of `loser`, the longest of all addresses: how long both
    /// answered in a watch of one change of owner. Nothing that the loser says later is forgiven.
    pub fn last_words(&self, loser: usize, heir: usize) -> Duration {
        let addresses = 0..VIRTUAL.len();
        let spans = addresses.filter_map(|address| {
            let first = self.of(address).find(|claim| claim.owner == heir)?;
            let last = self
                .of(address)
                .filter(|claim| claim.owner == loser)
                .last()?;
            last.at.checked_sub(first.at)
        });
        spans.max().unwrap_or_default()
    }

    /// Changes of owner of the first address, for logs: who held it from when to when.
    pub fn story(&self, pause: Duration) -> String {
        let tenures = self.tenures(0, pause);
        let zero = tenures.iter().map(|tenure| tenure.from).min();
        let since = |moment: Duration| (moment - zero.unwrap_or_default()).as_secs_f64();
        let lines = tenures.iter().map(|Tenure { owner, from, to }| {
            let name = NODES.get(*owner).copied().unwrap_or_default();
            format!("{name} {:.3} to {:.3} s", since(*from), since(*to))
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    fn of(&self, address: usize) -> impl Iterator<Item = &Claim> {
        let claims = self.claims.iter();
        claims.filter(move |claim| claim.address == address)
    }

    fn tenures(&self, address: usize, pause: Duration) -> Vec<Tenure> {
        let mut tenures: Vec<Tenure> = Vec::new();
        for Claim { at, owner, .. } in self.of(address) {
            let mut own = tenures.iter_mut().rev();
            match own.find(|tenure| tenure.owner == *owner) {
                Some(tenure) if *at - tenure.to <= pause => tenure.to = *at,
                _ => tenures.push(Tenure {
                    owner: *owner,
                    from: *at,
                    to: *at,
                }),
            }
        }
        tenures
    }
}

fn longest_overlap(tenures: &[Tenure]) -> Duration {
    let pairs = tenures.iter().enumerate().flat_map(|(index, one)| {
        let others = tenures.iter().skip(index + 1);
        others.map(move |other| (one, other))
    });
    let overlaps = pairs
        .filter(|(one, other)| one.owner != other.owner)
        .filter_map(|(one, other)| {
            let until = one.to.min(other.to);
            until.checked_sub(one.from.max(other.from))
        });
    overlaps.max().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Claims to the first address; the others are claimed once, so that the record is whole.
    fn record(claims: &[(u64, usize)]) -> Record {
        let first = claims.iter().map(|(at_ms, owner)| Claim {
            at: ms(*at_ms),
            owner: *owner,
            address: 0,
        });
        let others = (1..VIRTUAL.len()).map(|address| Claim {
            at: ms(0),
            owner: 0,
            address,
        });
        Record::new(first.chain(others).collect()).unwrap()
    }

    #[test]
    fn an_orderly_change_overlaps_by_what_both_said() {
        let record = record(&[
            (0, 0),
            (50, 0),
            (60, 1),
            (70, 0),
            (80, 1),
            (90, 0),
            (150, 1),
        ]);
        assert_eq!(record.overlap(PAUSE), ms(30));
        assert_eq!(record.last_words(0, 1), ms(30));
        assert_eq!(record.vacancy(), ms(60));
    }

    #[test]
    fn who_paused_and_came_back_held_nothing_in_between() {
        let record = record(&[(0, 0), (200, 1), (250, 1), (900, 0), (950, 0)]);
        assert_eq!(record.overlap(PAUSE), ms(0));
        assert_eq!(record.vacancy(), ms(650));
    }

    #[test]
    fn a_late_word_is_not_forgiven_though_it_is_no_tenure() {
        let claims = [(0, 0), (200, 1), (280, 1), (360, 1), (400, 0), (440, 1)];
        let record = record(&claims);
        assert_eq!(record.overlap(PAUSE), ms(0));
        assert_eq!(record.last_words(0, 1), ms(200));
        assert_eq!(record.after(ms(300), 0).len(), 1);
    }

    #[test]
    fn two_owners_all_the_while_are_seen() {
        let claims: Vec<_> = (0..20).map(|n| (n * 50, usize::from(n % 2 == 0))).collect();
        assert_eq!(record(&claims).overlap(PAUSE), ms(850));
    }

    #[test]
    fn a_watch_that_saw_nothing_is_none() {
        assert!(Record::new(Vec::new()).is_err());
    }
}
