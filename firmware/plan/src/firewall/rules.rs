//! The chains of zone pairs: the rules of the config, what address translation opens, the balancer's services,
//! and the policy. Each pair has two: for what begins, and for connections that began under other rules.

use super::layout::speaks_of;
use super::traffic::{View, source};
use super::{Plan, counted};
use crate::config::firewall::{
    Action, ConnectionState, ConnectionsMax, Limit as ConfigLimit, Period, Policy,
    Rule as ConfigRule, Side,
};
use crate::ruleset::{
    Burst, Chain, ConnectionLimit, ConnectionStates, DynamicOperation, Kind, Limit, LimitUnit, Log,
    LogLevel, LogTo, Meter, Per, Rule, Set, Shape, Statement, Table, Verdict,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// Sources that a limit of a rule keeps count of; above that the rule speaks of nobody new.
const SOURCES_MAX: u32 = 65_535;
/// Lines of log a rule writes in a second.
const LOG_LINES: u32 = 10;

/// From one side to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) from: Side,
    pub(super) to: Side,
}

impl Plan<'_> {
    /// All pairs but the box with itself.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair> {
        let sides = self.layout.all_sides();
        let pairs = sides
            .clone()
            .flat_map(move |from| sides.clone().map(move |to| Pair { from, to }));
        pairs.filter(|pair| (pair.from, pair.to) != (Side::Box, Side::Box))
    }

    /// The name of the chain that judges what begins between two sides.
    pub(super) fn chain_of(&self, pair: Pair) -> String {
        format!("{}.{}", self.side_name(pair.from), self.side_name(pair.to))
    }

    /// The name of the chain that judges anew what began between two sides.
    pub(super) fn chain_again(&self, pair: Pair) -> String {
        format!("{}.again", self.chain_of(pair))
    }

    pub(super) fn side_name(&self, side: Side) -> &str {
        match side {
            Side::Any => "any",
            Side::Box => "box",
            Side::Zone(position) => self
                .config
                .firewall
                .zones
                .get(usize::from(position))
                .map_or("", |zone| &zone.name),
        }
    }

    /// Both chains of each pair.
    pub(super) fn zone_chains(&self, table: &mut Table) {
        for pair in self.pairs() {
            let mut begins = Chain::regular(self.chain_of(pair));
            let mut again = Chain::regular(self.chain_again(pair));
            for (position, rule) in self.config.firewall.rules.iter().enumerate() {
                let is_meant = speaks_of(&rule.traffic.from, pair.from)
                    && speaks_of(&rule.traffic.to, pair.to);
                if is_meant {
                    begins.rules.extend(self.beginnings(position, rule));
                    again.rules.extend(self.again(position, rule));
                }
            }
            let opened = self.opened(pair);
            begins.rules.extend(opened.iter().cloned());
            again.rules.extend(opened);
            begins.rules.extend(self.service_openings(pair));
            self.policy(pair, &mut begins, &mut again);
            table.chains.extend([begins, again]);
        }
    }

    /// A rule for what begins. Its limits and its log are in a chain of its own, so that all pairs and both
    /// families share them.
    fn beginnings(&self, position: usize, rule: &ConfigRule) -> Vec<Rule> {
        let about = about(position, rule);
        let has_more = has_more(rule);
        let with_state = |made: Rule| {
            if !rule.states.is_empty() {
                made.and(Statement::state(states(&rule.states)))
            } else if rule.limit.is_some() || rule.connections_max.is_some() {
                made.and(Statement::state(ConnectionStates::NEW))
            } else {
                made
            }
        };
        let end = |made: Rule| {
            if has_more {
                made.then(Verdict::Jump(rule_chain(position)))
            } else {
                counted(made, decision(rule.action))
            }
        };
        let rules = self.rules_for(View::Packet, &rule.traffic, &about);
        rules.into_iter().map(with_state).map(end).collect()
    }

    /// A rule for connections that began before it. One that was within a limit then is not to be cut for it now.
    fn again(&self, position: usize, rule: &ConfigRule) -> Vec<Rule> {
        use ConnectionState::{Established, New, Related};
        let is_tracked = |state: &ConnectionState| matches!(state, New | Established | Related);
        let is_limited = rule.limit.is_some() || rule.connections_max.is_some();
        let speaks = rule.states.is_empty() || rule.states.iter().any(is_tracked);
        if !speaks || is_limited && rule.action != Action::Accept {
            return Vec::new();
        }
        let rules = self.rules_for(View::Connection, &rule.traffic, &about(position, rule));
        let end = |made| counted(made, decision_again(rule.action));
        rules.into_iter().map(end).collect()
    }

    fn policy(&self, pair: Pair, begins: &mut Chain, again: &mut Chain) {
        let Some(policy) = self.policy_of(pair) else {
            begins.rules.push(Rule::about("no rule").then(refused()));
            again.rules.push(counted(Rule::about("no rule"), cut()));
            return;
        };
        let about = format!("policy {}", self.chain_of(pair));
        if policy.log {
            begins.rules.push(logged(&about, &about));
        }
        let end = decision(policy.action);
        begins.rules.push(counted(Rule::about(about.clone()), end));
        let end = decision_again(policy.action);
        again.rules.push(counted(Rule::about(about), end));
    }

    /// The policy that names both sides, or one of them, or none.
    fn policy_of(&self, pair: Pair) -> Option<&Policy> {
        let named = |from, to| {
            let mut policies = self.config.firewall.policies.iter();
            policies.find(|policy| (policy.from, policy.to) == (from, to))
        };
        let any = |side| if side == Side::Box { side } else { Side::Any };
        named(pair.from, pair.to)
            .or_else(|| named(pair.from, any(pair.to)))
            .or_else(|| named(any(pair.from), pair.to))
            .or_else(|| named(any(pair.from), any(pair.to)))
    }

    /// The chains of rules with limits and logs. What is above a limit goes back, to the next rule.
    pub(super) fn rule_chains(&self, table: &mut Table) {
        let rules = self.config.firewall.rules.iter().enumerate();
        for (position, rule) in rules.filter(|(_, rule)| has_more(rule)) {
            let about = about(position, rule);
            let mut chain = Chain::regular(rule_chain(position));
            let end = if let Some(prefix) = &rule.log {
                let name = format!("{}.log", chain.name);
                let mut log = Chain::regular(name.clone());
                log.rules.push(logged(&about, &format!("{prefix}: ")));
                log.rules
                    .push(Rule::about(about.clone()).then(decision(rule.action)));
                table.chains.push(log);
                Verdict::Goto(name)
            } else {
                decision(rule.action)
            };
            for is_ipv4 in families(rule) {
                let limited = limited(Rule::about(about.clone()), position, rule, is_ipv4);
                chain.rules.push(counted(limited, end.clone()));
            }
            table.chains.push(chain);
            table.sets.extend(meters(position, rule));
        }
    }
}

/// One rule for all, or one for each family where sources are told apart.
fn families(rule: &ConfigRule) -> Vec<Option<bool>> {
    let of_rate = rule.limit.is_some_and(|limit| limit.per_source);
    let of_count = rule.connections_max.is_some_and(|max| max.per_source);
    if of_rate || of_count {
        vec![Some(true), Some(false)]
    } else {
        vec![None]
    }
}

fn limited(mut made: Rule, position: usize, rule: &ConfigRule, is_ipv4: Option<bool>) -> Rule {
    let per_source = |made: Rule, what, operation, meter| {
        let is_ipv4 = is_ipv4.unwrap_or(true);
        made.and(Statement::Update {
            operation,
            set: meter_name(position, what, is_ipv4),
            key: vec![source(View::Packet, is_ipv4)],
            timeout_s: None,
            meters: vec![meter],
        })
    };
    if let Some(limit) = rule.limit {
        let rate = rate(limit);
        made = if limit.per_source {
            per_source(made, "rate", DynamicOperation::Update, Meter::Limit(rate))
        } else {
            made.and(Statement::Limit(rate))
        };
    }
    if let Some(max) = rule.connections_max {
        let count = ConnectionLimit {
            connections: max.count,
            above: false,
        };
        made = if max.per_source {
            let meter = Meter::ConnectionLimit(count);
            per_source(made, "count", DynamicOperation::Add, meter)
        } else {
            made.and(Statement::ConnectionLimit(count))
        };
    }
    made
}

/// The sets that keep what a rule counts per source.
fn meters(position: usize, rule: &ConfigRule) -> Vec<Set> {
    let mut sets = Vec::new();
    for (is_ipv4, kind) in [(true, Kind::Ipv4), (false, Kind::Ipv6)] {
        if let Some(limit) = rule.limit.filter(|limit| limit.per_source) {
            sets.push(Set {
                name: meter_name(position, "rate", is_ipv4),
                shape: Shape::dynamic([kind], forgotten_after_s(limit), SOURCES_MAX),
                elements: Vec::new(),
            });
        }
        if let Some(ConnectionsMax {
            per_source: true, ..
        }) = rule.connections_max
        {
            sets.push(Set {
                name: meter_name(position, "count", is_ipv4),
                shape: Shape::connections([kind], SOURCES_MAX),
                elements: Vec::new(),
            });
        }
    }
    sets
}

/// Once a source may have all of its burst again, nothing is left to be kept about it.
fn forgotten_after_s(limit: ConfigLimit) -> u32 {
    let seconds = u64::from(period_s(limit.per)) * u64::from(limit.burst.max(1));
    let refilled_s = seconds.div_ceil(u64::from(limit.count.max(1)));
    u32::try_from(refilled_s)
        .unwrap_or(u32::MAX)
        .clamp(10, 2_592_000)
}

const fn period_s(period: Period) -> u32 {
    match period {
        Period::Second => 1,
        Period::Minute => 60,
        Period::Hour => 3600,
        Period::Day => 86_400,
    }
}

fn rate(limit: ConfigLimit) -> Limit {
    Limit {
        rate: NonZeroU32::new(limit.count).unwrap_or(NonZeroU32::MIN),
        unit: LimitUnit::Packets,
        per: match limit.per {
            Period::Second => Per::Second,
            Period::Minute => Per::Minute,
            Period::Hour => Per::Hour,
            Period::Day => Per::Day,
        },
        burst: Burst::Of(limit.burst),
        above: false,
    }
}

/// A rule that writes a line for whatever comes to it, but not too many.
pub(super) fn logged(about: &str, prefix: &str) -> Rule {
    let lines = Limit {
        rate: NonZeroU32::new(LOG_LINES).unwrap_or(NonZeroU32::MIN),
        unit: LimitUnit::Packets,
        per: Per::Second,
        burst: Burst::Of(2 * LOG_LINES),
        above: false,
    };
    let log = Log {
        prefix: Some(prefix.to_string()),
        to: LogTo::Kernel(LogLevel::Info),
    };
    Rule::about(about)
        .and(Statement::Limit(lines))
        .and(Statement::Log(log))
}

/// What ends a rule about something that begins.
pub(super) fn decision(action: Action) -> Verdict {
    match action {
        Action::Accept => seal(),
        Action::Drop => Verdict::Drop,
        Action::Reject => Verdict::Goto("rejected".into()),
    }
}

fn decision_again(action: Action) -> Verdict {
    match action {
        Action::Accept => seal(),
        Action::Drop | Action::Reject => cut(),
    }
}

/// Accepts, for as long as these rules are in force.
pub(super) fn seal() -> Verdict {
    Verdict::Goto("seal".into())
}

/// What nothing allows.
pub(super) fn refused() -> Verdict {
    Verdict::Goto("refused".into())
}

/// Ends a connection that has been open.
pub(super) fn cut() -> Verdict {
    Verdict::Goto("cut".into())
}

fn has_more(rule: &ConfigRule) -> bool {
    rule.limit.is_some() || rule.connections_max.is_some() || rule.log.is_some()
}

/// What a rule is called in listings, as people count.
fn about(position: usize, rule: &ConfigRule) -> String {
    named("rule", position, &rule.name)
}

/// `rule 3: ssh from admins`; quotation marks would be in the way of nft(8).
pub(super) fn named(what: &str, position: usize, name: &str) -> String {
    let number = position + 1;
    if name.is_empty() {
        format!("{what} {number}")
    } else {
        format!("{what} {number}: {name}")
    }
}

fn rule_chain(position: usize) -> String {
    format!("rule.{}", position + 1)
}

fn meter_name(position: usize, what: &str, is_ipv4: bool) -> String {
    let family = if is_ipv4 { 4 } else { 6 };
    format!("{}.{what}.{family}", rule_chain(position))
}

fn states(states: &[ConnectionState]) -> ConnectionStates {
    let of = |state: &ConnectionState| match state {
        ConnectionState::New => ConnectionStates::NEW,
        ConnectionState::Established => ConnectionStates::ESTABLISHED,
        ConnectionState::Related => ConnectionStates::RELATED,
        ConnectionState::Invalid => ConnectionStates::INVALID,
        ConnectionState::Untracked => ConnectionStates::UNTRACKED,
    };
    let states = states.iter().map(of);
    states
        .reduce(|all, one| all | one)
        .unwrap_or(ConnectionStates::NEW)
}
