//! From the config to the ruleset of one box. Pure; the same on the active and on the standby box, but for the
//! box's own addresses and the names of its cards.
//!
//! A connection is judged when it begins: the chain of its pair of zones (`outside.inside`) is asked, and what
//! accepts it puts the ruleset's *seal* into its mark. Sealed connections pass by the first rule of each hook. The
//! seal is computed from the rules, so that after a change of rules every connection has an old one: with its next
//! packet, in whichever direction, it is judged anew by what conntrack knows of it (`outside.inside.again`), and is
//! sealed again or cut, TCP with a reset. Thus a reload breaks nothing that the new rules allow, and nothing that they
//! forbid lives on. Marks are mirrored to the twin, where connections pass at once, the rules being the same.
//!
//! What the balancer carries is not tracked (`balanced`).

mod balanced;
mod judge;
mod layout;
mod needs;
mod orphans;
mod rules;
mod spoofing;
mod terms;
mod traffic;
mod translation;

use crate::config::Config;
use crate::kernel::Device;
use crate::ruleset::{
    Chain, Family, Hook, InterfaceName, Meta, Policy, Rule, Ruleset, Set, Statement, Table,
    Verdict, priority,
};
use alloc::vec;
use alloc::vec::Vec;
use layout::Layout;
use sha2::{Digest, Sha256};
use terms::one_of;
use traffic::{Extent, Joined};

/// The name of our table, of family inet.
pub const TABLE: &str = "pollux";

/// Behind IPVS, which takes requests at 99 and answers at 100 (ip_vs_core.c).
const BEHIND_BALANCER: i32 = priority::SOURCE_NAT + 10;

/// What is in force before any config is: nothing passes, but for the box's own loopback.
#[must_use]
pub fn closed() -> Ruleset {
    let mut table = Table::new(Family::Inet, TABLE);
    let chain = |name, hook, rules| Chain {
        rules,
        ..Chain::base(name, hook, priority::FILTER, Policy::Drop)
    };
    table.chains = vec![
        chain("input", Hook::Input, loopback(Meta::InputName)),
        chain("forward", Hook::Forward, Vec::new()),
        chain("output", Hook::Output, loopback(Meta::OutputName)),
    ];
    Ruleset {
        tables: vec![table],
    }
}

/// The ruleset of node `node`, for the devices that exist: an interface without its card has no rules, and what
/// comes by a card of no interface is dropped. Without zones nothing is filtered but what the balancer needs held
/// back (`orphans`).
#[must_use]
pub fn ruleset(config: &Config, node: usize, devices: &[Device]) -> Ruleset {
    let mut table = Table::new(Family::Inet, TABLE);
    let sets = Joined::of(config);
    let plan = Plan {
        config,
        node,
        layout: Layout::new(config, node, devices),
        sets: sets.iter().map(Joined::extents).collect(),
        seal: seal(config),
    };
    if !config.firewall.zones.is_empty() {
        plan.named_sets(sets, &mut table);
        plan.fill(&mut table);
        let rules = table.chains.iter_mut().flat_map(|chain| &mut chain.rules);
        // There may be tens of thousands, and they are kept.
        rules.for_each(|rule| rule.statements.shrink_to_fit());
    }
    plan.orphans(&mut table);
    Ruleset {
        tables: vec![table],
    }
}

/// All that the parts go by.
struct Plan<'a> {
    config: &'a Config,
    node: usize,
    layout: Layout,
    /// By set of the config: what it holds of IPv4, and of IPv6.
    sets: Vec<[Extent; 2]>,
    /// Mark of connections that these rules have accepted; even, and never 0. The odd number above it is the
    /// mark of those that they have cut.
    seal: u32,
}

impl Plan<'_> {
    fn fill(&self, table: &mut Table) {
        self.balanced_sets(table);
        self.needed_sets(table);
        self.before_routing(table);
        self.translations(table);
        self.verdicts(table);
        self.rule_chains(table);
        self.zone_chains(table);
        self.hooks(table);
    }
}

/// The same on both boxes, and another one whenever connections may be judged otherwise. Services are left out:
/// what they carry is not tracked.
fn seal(config: &Config) -> u32 {
    let judged_by = (&config.firewall, &config.interfaces);
    // Serializing to memory cannot fail.
    let bytes = postcard::to_allocvec(&judged_by).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let head = digest
        .first_chunk()
        .map_or(0, |head| u32::from_be_bytes(*head));
    head & !1 | 2
}

/// What a box says to itself is never refused.
fn loopback(device: Meta) -> Vec<Rule> {
    let names: Vec<_> = InterfaceName::new("lo").into_iter().collect();
    vec![
        Rule::about("the box to itself")
            .when(device, one_of(names))
            .then(Verdict::Accept),
    ]
}

/// Ends a rule that is worth counting.
fn counted(rule: Rule, verdict: Verdict) -> Rule {
    rule.and(Statement::Counter).then(verdict)
}

fn add_set(table: &mut Table, set: Set) {
    if !set.elements.is_empty() || set.shape.is_dynamic {
        table.sets.push(set);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
