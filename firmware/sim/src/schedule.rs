//! A schedule: what a pair is made of and what befalls it, as plain values. All of it follows from a seed
//! (`draw`), and what is left of it after shrinking still runs: events stand on their own.

use core::fmt;
use proto::failover::Command;
use proto::node::{Medium, Timing};

/// One life of a pair.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// All chance comes from it.
    pub seed: u64,
    pub(crate) setup: Setup,
    pub(crate) events: Vec<Event>,
}

/// What there is from the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) timing: Timing,
    pub(crate) links: Vec<(Medium, Condition)>,
    pub(crate) fails_back: bool,
    pub(crate) priorities: [u8; 2],
    /// When each box is switched on.
    pub(crate) start_us: [u64; 2],
    /// From its start until its dataplane is ready.
    pub(crate) ready_after_us: [u64; 2],
    pub(crate) clock_ppm: [i64; 2],
    /// Time the kernel takes to set or to remove the addresses.
    pub(crate) change_us: u64,
    /// Boxes hear their own datagrams, as with broadcast.
    pub(crate) hears_itself: bool,
    pub(crate) neighbour: Option<Neighbour>,
    /// When all is healed.
    pub(crate) heal_us: u64,
}

/// A second pair on the same segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbour {
    OtherCluster,
    SameTagOtherKey,
    SameKeyOtherNumbers,
}

/// What a link does to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Condition {
    pub(crate) loss_permille: u32,
    pub(crate) duplicate_permille: u32,
    /// Frames with a flipped bit; of bytes on a serial line.
    pub(crate) corrupt_permille: u32,
    pub(crate) delay_us: u64,
    /// Frames are late by up to so much more, so they overtake each other.
    pub(crate) jitter_us: u64,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at_us: u64,
    /// It waits from `at_us` on for some box to enter this state, and then for so many microseconds.
    pub(crate) aim: Option<(Stage, u64)>,
    pub(crate) fault: Fault,
}

/// What a fault may be aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Taking,
    Active,
    Offering,
    Releasing,
    Asking,
}

/// What befalls a pair. Boxes are 0 and 1, spans end by themselves.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The plug is pulled, and put back later.
    PowerCut { of: usize, off_us: u64 },
    /// The cluster worker dies and is restarted; the kernel keeps what it holds.
    WorkerCrash { of: usize, off_us: u64 },
    /// Both lose power and get it back, almost at once.
    Blackout { off_us: u64, apart_us: u64 },
    /// The box stands still.
    Freeze {
        of: usize,
        span_us: u64,
        how: Freeze,
    },
    /// It wakes up late, by up to so much, again and again.
    SlowLoop {
        of: usize,
        late_us: u64,
        span_us: u64,
    },
    /// Frames sent by a box on a link vanish; `None`: both directions.
    Cut {
        link: usize,
        from: Option<usize>,
        span_us: u64,
    },
    /// All links are cut.
    Partition { from: Option<usize>, span_us: u64 },
    /// A link gets worse.
    Weather {
        link: usize,
        condition: Condition,
        span_us: u64,
    },
    /// Old frames are played again, with so many microseconds between them.
    Replay {
        link: usize,
        to: usize,
        count: u64,
        gap_us: u64,
    },
    /// The kernel is slow with addresses, or refuses.
    Kernel {
        of: usize,
        trouble: Trouble,
        span_us: u64,
    },
    /// The operator types.
    Command { of: usize, command: Command },
    /// The box is told to resign and reboots, done or not.
    Reboot {
        of: usize,
        patience_us: u64,
        off_us: u64,
    },
    /// Carriers under the virtual addresses change.
    Carriers { of: usize, count: u8 },
    /// The dataplane becomes ready, or is so no longer.
    Ready { of: usize, ready: bool },
}

/// How a box stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// Its processes; its kernel answers for the addresses.
    Processes,
    /// All of it, but for its clock.
    Machine,
    /// All of it, as a virtual machine that is paused: it sees no gap.
    MachineAndClock,
}

/// What a kernel does with virtual addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Slow { change_us: u64 },
    CannotTake,
    CannotRelease,
}

pub(crate) fn name(of: usize) -> &'static str {
    ["castor", "pollux", "neighbour 3", "neighbour 4"][of]
}

fn ms(us: u64) -> impl fmt::Display {
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

fn direction(from: Option<usize>) -> String {
    from.map_or("both ways".into(), |from| format!("from {}", name(from)))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::PowerCut { of, off_us } => {
                write!(f, "{} loses power for {}", name(*of), ms(*off_us))
            }
            Fault::WorkerCrash { of, off_us } => {
                write!(f, "{}'s cluster worker dies for {}", name(*of), ms(*off_us))
            }
            Fault::Blackout { off_us, apart_us } => {
                write!(
                    f,
                    "both lose power for {} (pollux {} longer)",
                    ms(*off_us),
                    ms(*apart_us)
                )
            }
            Fault::Freeze { of, span_us, how } => {
                write!(
                    f,
                    "{} stands still for {} ({how:?})",
                    name(*of),
                    ms(*span_us)
                )
            }
            Fault::SlowLoop {
                of,
                late_us,
                span_us,
            } => {
                write!(
                    f,
                    "{} wakes up to {} late for {}",
                    name(*of),
                    ms(*late_us),
                    ms(*span_us)
                )
            }
            Fault::Cut {
                link,
                from,
                span_us,
            } => {
                write!(
                    f,
                    "link {link} is cut {} for {}",
                    direction(*from),
                    ms(*span_us)
                )
            }
            Fault::Partition { from, span_us } => {
                write!(
                    f,
                    "all links are cut {} for {}",
                    direction(*from),
                    ms(*span_us)
                )
            }
            Fault::Weather {
                link,
                condition,
                span_us,
            } => {
                write!(f, "link {link} has {condition} for {}", ms(*span_us))
            }
            Fault::Replay {
                link,
                to,
                count,
                gap_us,
            } => {
                write!(
                    f,
                    "{count} old frames reach {} on link {link}, one every {}",
                    name(*to),
                    ms(*gap_us)
                )
            }
            Fault::Kernel {
                of,
                trouble,
                span_us,
            } => {
                write!(
                    f,
                    "{}'s kernel: {trouble:?} for {}",
                    name(*of),
                    ms(*span_us)
                )
            }
            Fault::Command { of, command } => write!(f, "{} is told {command}", name(*of)),
            Fault::Reboot {
                of,
                patience_us,
                off_us,
            } => {
                write!(
                    f,
                    "{} is rebooted: resigns for {}, off for {}",
                    name(*of),
                    ms(*patience_us),
                    ms(*off_us)
                )
            }
            Fault::Carriers { of, count } => write!(f, "{} has {count} carriers", name(*of)),
            Fault::Ready { of, ready: true } => write!(f, "{}'s dataplane is ready", name(*of)),
            Fault::Ready { of, ready: false } => {
                write!(f, "{}'s dataplane is not ready", name(*of))
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}‰ lost, {}‰ doubled, {}‰ damaged, {} late and up to {} more",
            self.loss_permille,
            self.duplicate_permille,
            self.corrupt_permille,
            ms(self.delay_us),
            ms(self.jitter_us)
        )
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profile = if self.timing == Timing::FAST {
            "fast"
        } else {
            "default"
        };
        let fail_back = if self.fails_back { "auto" } else { "off" };
        let [castor, pollux] = self.priorities;
        writeln!(
            f,
            "  profile {profile}, fail-back {fail_back}, priorities {castor} and {pollux}"
        )?;
        for (index, (medium, condition)) in self.links.iter().enumerate() {
            writeln!(f, "  link {index}: {medium:?}, {condition}")?;
        }
        if let Some(neighbour) = self.neighbour {
            writeln!(f, "  another pair on the same segments: {neighbour:?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.setup)?;
        for event in &self.events {
            let at = ms(event.at_us);
            match event.aim {
                None => writeln!(f, "  {at}: {}", event.fault)?,
                Some((stage, delay_us)) => {
                    let delay = ms(delay_us);
                    writeln!(
                        f,
                        "  from {at} on, {delay} after some box is {stage:?}: {}",
                        event.fault
                    )?;
                }
            }
        }
        Ok(())
    }
}
