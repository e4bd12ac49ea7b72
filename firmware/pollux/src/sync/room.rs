//! Room in the kernel's table of connections. When it is full the kernel drops what is new, and ends early what has had no
//! answer; nobody sees that but those who can't connect, so it is said: when room becomes scarce, when something was lost
//! for want of it, and when that has passed.

use crate::ipc::control::TableStatus;
use core::fmt;
use std::fs;

/// Of a hundred places so many are taken: there will soon be none.
const SCARCE_PERCENT: u64 = 90;

/// So many, and it has passed.
const AMPLE_PERCENT: u64 = 80;

/// Below so many the kernel is asked again for what it had no room for.
const ROOM_PERCENT: u64 = 95;

/// What the operator can do.
const HELP: &str = "raise `max` in [connections]";

/// Watches the table.
#[derive(Debug, Default)]
pub struct Room {
    before: Option<Reading>,
    status: Option<TableStatus>,
    is_scarce: bool,
    /// Losses of this time of want have been said.
    has_said_lost: bool,
}

/// What the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    count: u64,
    max: u64,
    /// By its counters since it started, of all causes.
    dropped: u64,
    ended_early: u64,
}

/// What is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// There is little left.
    Scarce(TableStatus),
    /// The kernel has dropped or ended something.
    Lost(TableStatus),
    /// It has passed.
    Ample(TableStatus),
}

impl Room {
    /// Looks at the kernel's table.
    pub fn look(&mut self) -> Option<News> {
        self.judge(read()?)
    }

    /// As it was at the last look; `None` in a kernel that does not say.
    pub fn status(&self) -> Option<TableStatus> {
        self.status
    }

    /// The kernel may have room for what it refused before.
    pub fn has_some(&self) -> bool {
        let table = self.status.filter(|table| table.max > 0);
        table.is_none_or(|table| table.count * 100 < table.max * ROOM_PERCENT)
    }

    fn judge(&mut self, reading: Reading) -> Option<News> {
        let before = self.before.replace(reading).unwrap_or(reading);
        let taken = reading.count * 100;
        let was_scarce = self.is_scarce;
        let bound = if was_scarce {
            AMPLE_PERCENT
        } else {
            SCARCE_PERCENT
        };
        self.is_scarce = reading.max > 0 && taken >= reading.max * bound;
        let table = self.status.get_or_insert_default();
        (table.count, table.max) = (reading.count, reading.max);
        // With room for all, something else was wrong with what the kernel dropped.
        if was_scarce || self.is_scarce {
            table.dropped += reading.dropped.saturating_sub(before.dropped);
            table.ended_early += reading.ended_early.saturating_sub(before.ended_early);
        }
        let table = *table;
        let has_lost =
            (reading.dropped, reading.ended_early) != (before.dropped, before.ended_early);
        match (was_scarce, self.is_scarce) {
            (true, false) => {
                self.has_said_lost = false;
                Some(News::Ample(table))
            }
            (_, true) if has_lost && !self.has_said_lost => {
                self.has_said_lost = true;
                Some(News::Lost(table))
            }
            (false, true) => Some(News::Scarce(table)),
            (true, true) | (false, false) => None,
        }
    }
}

impl News {
    /// Logs it.
    pub fn say(&self) {
        match self {
            News::Scarce(_) | News::Lost(_) => log::warn!("{self}"),
            News::Ample(_) => log::info!("{self}"),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Scarce(table) => {
                write!(
                    f,
                    "the table of connections is nearly full: {table}; {HELP}"
                )
            }
            News::Lost(table) => write!(f, "the table of connections is full: {table}; {HELP}"),
            News::Ample(table) => write!(f, "the table of connections has room again: {table}"),
        }
    }
}

/// The table's size and bound for this network namespace, and the counters of all processors.
fn read() -> Option<Reading> {
    let number = |name: &str| {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let counters = fs::read_to_string("/proc/net/stat/nf_conntrack").unwrap_or_default();
    Some(Reading {
        count: number("count")?,
        max: number("max")?,
        dropped: total(&counters, "drop"),
        ended_early: total(&counters, "early_drop"),
    })
}

/// The sum of a column: a row for each processor, hexadecimal, below a row of names (`ct_cpu_seq_show` in
/// net/netfilter/nf_conntrack_standalone.c).
fn total(counters: &str, name: &str) -> u64 {
    let mut rows = counters.lines().map(str::split_ascii_whitespace);
    let names = rows.next();
    let Some(position) = names.and_then(|mut names| names.position(|each| each == name)) else {
        return 0;
    };
    let cells = rows.filter_map(|mut row| row.nth(position));
    let counts = cells.filter_map(|cell| u64::from_str_radix(cell, 16).ok());
    counts.sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn reading(count: u64, dropped: u64, ended_early: u64) -> Reading {
        Reading {
            count,
            max: 1000,
            dropped,
            ended_early,
        }
    }

    fn says(room: &mut Room, count: u64, dropped: u64, ended_early: u64) -> Option<String> {
        let news = room.judge(reading(count, dropped, ended_early))?;
        Some(news.to_string())
    }

    #[test]
    fn want_of_room_is_said_once_and_again_when_it_has_passed() {
        let mut room = Room::default();
        // Dropped with room for all, and before this worker: for another reason.
        assert_eq!(says(&mut room, 899, 7, 3), None);
        assert_eq!(says(&mut room, 899, 8, 3), None);
        let nearly = "the table of connections is nearly full: 900 of 1000 flows (90 %); \
                      raise `max` in [connections]";
        assert_eq!(says(&mut room, 900, 8, 3).unwrap(), nearly);
        assert_eq!(says(&mut room, 850, 8, 3), None);
        assert!(room.has_some());
        let full = "the table of connections is full: 1000 of 1000 flows (100 %), \
                    4 new ones dropped, 1 ended early; raise `max` in [connections]";
        assert_eq!(says(&mut room, 1000, 12, 4).unwrap(), full);
        assert!(!room.has_some());
        assert_eq!(says(&mut room, 1000, 20, 4), None);
        let over = "the table of connections has room again: 799 of 1000 flows (79 %), \
                    12 new ones dropped, 1 ended early";
        assert_eq!(says(&mut room, 799, 20, 4).unwrap(), over);
        assert!(says(&mut room, 1000, 21, 4).unwrap().contains("is full: "));
    }

    #[test]
    fn a_table_without_a_bound_is_never_full() {
        let mut room = Room::default();
        let endless = Reading {
            max: 0,
            ..reading(5000, 1, 1)
        };
        assert_eq!(room.judge(endless), None);
        assert!(room.has_some());
        assert_eq!(room.status().unwrap().to_string(), "5000 flows, no bound");
    }

    #[test]
    fn counters_of_all_processors_are_added() {
        let counters = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n\
                        00000003  00000000 00000001 00000000 00000002 00000000 00000000 00000000 00000000 00000000 0000000a 00000001 00000000  00000000 00000000 00000000 00000000\n\
                        00000003  00000000 00000001 00000000 00000002 00000000 00000000 00000000 00000000 00000000 00000010 00000000 00000000  00000000 00000000 00000000 00000000\n";
        assert_eq!(
            (total(counters, "drop"), total(counters, "early_drop")),
            (26, 1)
        );
        assert_eq!(total("", "drop"), 0);
    }
}
