//! The console's look at the ruleset in force: read from the kernel piece by piece, a few each turn, since it may have
//! tens of thousands of rules. What was read is kept while it is asked for page by page, and not for long.

use super::firewall::is_ours;
use crate::ipc::control::PAGE_BYTES;
use crate::ipc::control::tables::{FirewallLine, FirewallPage};
use core::time::Duration;
use netlink::DecodeError;
use netlink::nftables::listing::{self, ListedBase, ListedChain, ListedRule};
use plan::ruleset::{Family, Policy};
use sys::netlink::{Error, Piecemeal, Protocol};

/// Pieces read in one turn of the worker: some milliseconds.
const PIECES_PER_TURN: usize = 16;

/// How often a listing that changes under our hands is begun anew.
const ATTEMPTS: usize = 8;

/// Whoever has not asked for the next page by then has gone: on a line of 9600 baud printing one takes 17 s.
const KEPT: Duration = Duration::from_secs(60);

/// Requests that wait for a listing; those above wait in vain.
const WAITING_MAX: usize = 16;

/// What a line costs in a message beside its text, in bytes, generously.
const LINE_BYTES: usize = 32;

/// A request of control, and the position it asks from.
pub type Asked = (u32, u32);

/// The listing, while there is one.
#[derive(Default)]
pub struct Rules {
    reading: Option<Reading>,
    waiting: Vec<Asked>,
    /// Of the last reading.
    lines: Vec<FirewallLine>,
    kept_until: Duration,
}

impl Rules {
    /// Takes a request. Returns its page if that has been read, else it waits.
    pub fn ask(&mut self, now: Duration, asked: Asked) -> Result<Option<FirewallPage>, Error> {
        let (_, from) = asked;
        if self.reading.is_none() && from > 0 && !self.lines.is_empty() {
            self.kept_until = now.saturating_add(KEPT);
            return Ok(Some(page(&self.lines, from)));
        }
        if self.reading.is_none() {
            self.reading = Some(Reading::begin()?);
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(asked);
        }
        Ok(None)
    }

    /// Whether there is something to read.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Goes on for a turn. Hands over each page that is ready, or why there is none.
    pub fn go_on(
        &mut self,
        now: Duration,
        mut answer: impl FnMut(u32, Result<FirewallPage, Error>),
    ) {
        let Some(reading) = &mut self.reading else {
            if self.kept_until <= now {
                self.lines = Vec::new();
            }
            return;
        };
        match reading.advance() {
            Ok(None) => return,
            Ok(Some(lines)) => {
                self.lines = lines;
                for (request, from) in self.waiting.drain(..) {
                    answer(request, Ok(page(&self.lines, from)));
                }
            }
            Err(error) => {
                for (request, _) in self.waiting.drain(..) {
                    answer(request, Err(error.clone()));
                }
            }
        }
        self.reading = None;
        self.kept_until = now.saturating_add(KEPT);
    }
}

/// A reading that goes on.
struct Reading {
    attempts_left: usize,
    dump: Piecemeal,
    chains: Vec<ListedChain>,
    /// `None` until the chains have been read.
    lines: Option<Lines>,
}

impl Reading {
    fn begin() -> Result<Self, Error> {
        Ok(Reading {
            attempts_left: ATTEMPTS,
            dump: Piecemeal::begin(Protocol::Netfilter, &listing::chains()?)?,
            chains: Vec::new(),
            lines: None,
        })
    }

    /// Reads on; the lines once they are complete.
    fn advance(&mut self) -> Result<Option<Vec<FirewallLine>>, Error> {
        for _ in 0..PIECES_PER_TURN {
            match self.step() {
                Err(Error::Unsteady(_)) if self.attempts_left > 0 => {
                    let attempts_left = self.attempts_left - 1;
                    *self = Reading {
                        attempts_left,
                        ..Reading::begin()?
                    };
                }
                Ok(None) => {}
                outcome => return outcome,
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<Option<Vec<FirewallLine>>, Error> {
        let Some(lines) = &mut self.lines else {
            let chains = &mut self.chains;
            let more = self.dump.step(&mut |message| {
                let chain = listing::decode_chain(message)?;
                chains.extend(chain.filter(|chain| is_ours(&chain.table)));
                Ok::<_, DecodeError>(())
            })?;
            return if more {
                Ok(None)
            } else {
                self.go_on_to_rules()
            };
        };
        let more = self.dump.step(&mut |message| {
            if let Some(rule) = listing::decode_rule(message)? {
                lines.add(rule);
            }
            Ok(())
        })?;
        Ok((!more).then(|| core::mem::take(lines).finish()))
    }

    /// Nothing more where there are no chains.
    fn go_on_to_rules(&mut self) -> Result<Option<Vec<FirewallLine>>, Error> {
        let chains = core::mem::take(&mut self.chains);
        let Some((family, table)) = table(&chains) else {
            return Ok(Some(Vec::new()));
        };
        let request = listing::rules_of_table(family, &table)?;
        self.dump = Piecemeal::begin(Protocol::Netfilter, &request)?;
        self.lines = Some(Lines::new(chains));
        Ok(None)
    }
}

/// We have one table.
fn table(chains: &[ListedChain]) -> Option<(Family, String)> {
    let first = chains.first()?;
    Some((first.family, first.table.clone()))
}

/// Chains and their rules, which come in the order of the chains.
#[derive(Default)]
struct Lines {
    chains: std::vec::IntoIter<ListedChain>,
    current: Option<String>,
    lines: Vec<FirewallLine>,
}

impl Lines {
    fn new(chains: Vec<ListedChain>) -> Self {
        Lines {
            chains: chains.into_iter(),
            ..Lines::default()
        }
    }

    fn add(&mut self, rule: ListedRule) {
        while self.current.as_ref() != Some(&rule.chain) && self.next_chain() {}
        self.lines.push(line(rule));
    }

    fn next_chain(&mut self) -> bool {
        let Some(chain) = self.chains.next() else {
            return false;
        };
        self.current = Some(chain.name.clone());
        self.lines.push(FirewallLine::Chain {
            hook: chain.base.as_ref().map(hook),
            name: chain.name,
        });
        true
    }

    fn finish(mut self) -> Vec<FirewallLine> {
        while self.next_chain() {}
        self.lines
    }
}

fn hook(base: &ListedBase) -> String {
    let policy = match base.policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    };
    format!("{} {}, else {policy}", base.hook, base.kind)
}

fn line(rule: ListedRule) -> FirewallLine {
    FirewallLine::Rule {
        about: rule.comment.unwrap_or_default(),
        decision: rule
            .decision
            .map_or_else(String::new, |decision| decision.to_string()),
        counted: rule.counter.map(|counter| (counter.packets, counter.bytes)),
    }
}

/// As many lines as fit a message, from position `from` on.
fn page(lines: &[FirewallLine], from: u32) -> FirewallPage {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let mut bytes: usize = 0;
    let wanted = lines.iter().skip(from).enumerate();
    let fitting = wanted.take_while(|(position, line)| {
        bytes += LINE_BYTES + text_bytes(line);
        *position == 0 || bytes <= PAGE_BYTES
    });
    FirewallPage {
        lines: fitting.map(|(_, line)| line.clone()).collect(),
        total: u32::try_from(lines.len()).unwrap_or(u32::MAX),
    }
}

fn text_bytes(line: &FirewallLine) -> usize {
    match line {
        FirewallLine::Chain { name, hook } => name.len() + hook.as_ref().map_or(0, String::len),
        FirewallLine::Rule {
            about, decision, ..
        } => about.len() + decision.len(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chain(name: &str) -> ListedChain {
        ListedChain {
            family: Family::Inet,
            table: "pollux".into(),
            name: name.into(),
            base: None,
        }
    }

    fn rule(chain: &str, comment: &str) -> ListedRule {
        ListedRule {
            family: Family::Inet,
            table: "pollux".into(),
            chain: chain.into(),
            handle: 1,
            comment: Some(comment.into()),
            counter: None,
            decision: None,
        }
    }

    #[test]
    fn rules_stand_below_their_chains_and_chains_without_rules_are_there() {
        let names = ["empty", "input", "output", "last"];
        let mut lines = Lines::new(names.map(chain).into());
        for (chain, comment) in [("input", "1"), ("input", "2"), ("output", "3")] {
            lines.add(rule(chain, comment));
        }
        let shown = lines.finish().into_iter().map(|line| match line {
            FirewallLine::Chain { name, .. } => name,
            FirewallLine::Rule { about, .. } => about,
        });
        let shown: Vec<_> = shown.collect();
        assert_eq!(shown, ["empty", "input", "1", "2", "output", "3", "last"]);
    }

    #[test]
    fn pages_lead_through_everything_and_fit_a_message() {
        let lines: Vec<_> = (0..100_000)
            .map(|number| line(rule("forward", &format!("rule {number}"))))
            .collect();
        let mut rules = Rules {
            lines: lines.clone(),
            ..Rules::default()
        };
        let mut had = page(&lines, 0).lines;
        while had.len() < lines.len() {
            let from = u32::try_from(had.len()).unwrap();
            let page = rules.ask(Duration::ZERO, (1, from)).unwrap().unwrap();
            assert!(postcard::to_allocvec(&page).unwrap().len() <= PAGE_BYTES);
            assert_eq!(page.total, 100_000);
            had.extend(page.lines);
        }
        assert!(had == lines);
        // Nobody has asked for a while.
        rules.go_on(KEPT, |_, _| ());
        assert!(rules.lines.is_empty());
    }
}
