//! How much a config may hold. Checked before everything else, which compares most entries with each other, and so that
//! an image of whoever's making costs neither minutes nor the memory of a box.

use super::{INTERFACES_MAX, LINKS_MAX, Problems};
use crate::config::firewall::{Firewall, Peer, Side, Traffic, TranslationKind};
use crate::config::{Config, Service};
use alloc::format;

/// The most of each kind; nodes are two, which has a message of its own.
const NODES_MAX: usize = 16;
const ADDRESSES_OF_BOXES_MAX: usize = 1024;
const ROUTES_MAX: usize = 8192;
const VIRTUAL_ADDRESSES_MAX: usize = 4096;
const SERVICES_MAX: usize = 2048;
const SERVERS_MAX: usize = 8192;
/// Each pair of zones has chains of its own.
const ZONES_MAX: usize = 16;
const SETS_MAX: usize = 128;
const POLICIES_MAX: usize = 512;
const TRANSLATIONS_MAX: usize = 4096;
const HELPERS_MAX: usize = 256;
/// Most rules and map entries that a config may make of its own for one hook: some 20 MB in the kernel. A rule counts
/// once for each pair of zones that it speaks of.
const WEIGHT_MAX: usize = 20_000;
/// Most addresses, and ports and words in lists, that the kernel has to hold: some 100 MB. Those of a set count once,
/// those that stand in a rule for each pair of zones that it speaks of.
const ELEMENTS_MAX: usize = 250_000;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    for (path, what, count, max) in counts(config) {
        if count > max {
            let value = format_args!("{count} {what}");
            let advice = format!("write {max} at most");
            problems.add(path.into(), &value, "are too many", &advice);
        }
    }
    let weight = weight(&config.firewall);
    if weight > WEIGHT_MAX {
        problems.add(
            "firewall.rules".into(),
            &format_args!("{weight} pairs of zones, over all rules and translations,"),
            "are more than a box takes",
            &format!("write {WEIGHT_MAX} at most: name single zones, use sets, join rules"),
        );
    }
    let elements = elements(&config.firewall);
    if elements > ELEMENTS_MAX {
        problems.add(
            "firewall.sets".into(),
            &format_args!("{elements} addresses and ports, over all sets and rules,"),
            "are more than a box takes",
            &format!(
                "write {ELEMENTS_MAX} at most: join addresses into networks, and name a set alone, \
                 since a rule that names more beside it has all of its addresses again"
            ),
        );
    }
}

type Count = (&'static str, &'static str, usize, usize);

fn counts(config: &Config) -> [Count; 13] {
    let firewall = &config.firewall;
    let seats = config.interfaces.iter().flat_map(|interface| &interface.on);
    let own = seats.clone().flatten().map(|seat| seat.addresses.len());
    let own: usize = own.chain([seats.count()]).sum();
    let servers = config.services.iter();
    let servers = servers.map(|service: &Service| service.servers.len()).sum();
    let (interfaces, links) = (config.interfaces.len(), config.links.len());
    let moving = config.virtual_addresses.len();
    let translations = firewall.translations.len();
    [
        ("nodes", "[[node]] sections", config.nodes.len(), NODES_MAX),
        (
            "interfaces",
            "[[interface]] sections",
            interfaces,
            INTERFACES_MAX,
        ),
        (
            "interfaces",
            "addresses of the boxes' own",
            own,
            ADDRESSES_OF_BOXES_MAX,
        ),
        ("links", "[[link]] sections", links, LINKS_MAX),
        (
            "routes",
            "[[route]] sections",
            config.routes.len(),
            ROUTES_MAX,
        ),
        (
            "virtual_addresses",
            "[[virtual-address]] sections",
            moving,
            VIRTUAL_ADDRESSES_MAX,
        ),
        (
            "services",
            "[[service]] sections",
            config.services.len(),
            SERVICES_MAX,
        ),
        (
            "services",
            "servers, over all services,",
            servers,
            SERVERS_MAX,
        ),
        (
            "firewall.zones",
            "[[zone]] sections",
            firewall.zones.len(),
            ZONES_MAX,
        ),
        (
            "firewall.sets",
            "[[set]] sections",
            firewall.sets.len(),
            SETS_MAX,
        ),
        (
            "firewall.policies",
            "[[policy]] sections",
            firewall.policies.len(),
            POLICIES_MAX,
        ),
        (
            "firewall.translations",
            "[[nat]] sections",
            translations,
            TRANSLATIONS_MAX,
        ),
        (
            "firewall.helpers",
            "[[helper]] sections",
            firewall.helpers.len(),
            HELPERS_MAX,
        ),
    ]
}

/// How many sides of a pair are meant.
fn sides(firewall: &Firewall, sides: &[Side]) -> usize {
    let zones = firewall.zones.len();
    let of = |side: &Side| if *side == Side::Any { zones } else { 1 };
    sides.iter().map(of).sum()
}

fn pairs(firewall: &Firewall, traffic: &Traffic) -> usize {
    sides(firewall, &traffic.from).saturating_mul(sides(firewall, &traffic.to))
}

/// How many rules the kernel has to hold.
fn weight(firewall: &Firewall) -> usize {
    let rules = firewall.rules.iter();
    let rules = rules.map(|rule| pairs(firewall, &rule.traffic));
    let translations = firewall.translations.iter();
    let translations = translations.map(|each| match each.kind {
        TranslationKind::Destination { ports, .. } => {
            let shifted = ports.map_or(0, |ports| usize::try_from(ports.count()).unwrap_or(0));
            let from = sides(firewall, &each.traffic.from);
            shifted.saturating_add((from + 1).saturating_mul(firewall.zones.len()))
        }
        _ => 1,
    });
    rules.chain(translations).fold(0, usize::saturating_add)
}

/// How many addresses, ports and words in lists the kernel has to hold.
fn elements(firewall: &Firewall) -> usize {
    let sets = firewall.sets.iter().map(|set| set.addresses.len());
    let rules = firewall.rules.iter().map(|rule| {
        let pairs = pairs(firewall, &rule.traffic).max(1);
        listed(firewall, &rule.traffic).saturating_mul(pairs)
    });
    let translations = firewall.translations.iter().map(|each| {
        let zones = firewall.zones.len().max(1);
        listed(firewall, &each.traffic).saturating_mul(zones)
    });
    let helpers = firewall.helpers.iter().map(|helper| {
        let from = sides(firewall, &helper.from).max(1);
        helper.ports.len().saturating_mul(from)
    });
    let all = sets.chain(rules).chain(translations).chain(helpers);
    all.fold(0, usize::saturating_add)
}

/// What a rule itself lists: a single value is none, and neither is a set's name alone.
fn listed(firewall: &Firewall, traffic: &Traffic) -> usize {
    let of_peer = |peer: &Peer| match *peer {
        Peer::Addresses(_) => 1,
        Peer::Set(position) => {
            let set = firewall.sets.get(usize::from(position));
            set.map_or(0, |set| set.addresses.len())
        }
    };
    let peers = [&traffic.source, &traffic.destination].map(|peers| match peers.as_slice() {
        [] | [_] => 0,
        peers => peers.iter().map(of_peer).fold(0, usize::saturating_add),
    });
    let lists = [
        traffic.ports.len(),
        traffic.source_ports.len(),
        traffic.protocols.len(),
        traffic.icmp.len(),
    ];
    let lists = lists.map(|length| if length > 1 { length } else { 0 });
    peers
        .into_iter()
        .chain(lists)
        .fold(0, usize::saturating_add)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::samples::{first_problem, guarding, large, pair};

    #[test]
    fn what_is_promised_fits() {
        assert_eq!(first_problem(&guarding(10_000, 100_000)), "valid");
        assert_eq!(first_problem(&guarding(20_000, 250_000)), "valid");
    }

    #[test]
    fn too_much_of_anything_is_said_before_it_is_looked_at() {
        let found = |config: &Config| first_problem(config);
        assert_eq!(
            found(&guarding(20_001, 2)),
            "firewall.rules: 20001 pairs of zones, over all rules and translations, are more than a box takes: \
             write 20000 at most: name single zones, use sets, join rules"
        );
        assert!(found(&guarding(1, 250_002)).starts_with("firewall.sets: 250002 addresses"));
        let problem = found(&large(2049, 1));
        assert_eq!(
            problem,
            "services: 2049 [[service]] sections are too many: write 2048 at most"
        );
        let mut config = pair();
        config.interfaces[0].on = alloc::vec![None; 2_000_000];
        assert!(found(&config).starts_with("interfaces: 2000008 addresses"));
    }

    #[test]
    fn a_set_beside_others_counts_for_each_rule_that_names_it_so() {
        let mut config = guarding(4, 100_000);
        for rule in &mut config.firewall.rules[..2] {
            rule.traffic.source = alloc::vec![Peer::Set(0), Peer::Set(1)];
        }
        assert_eq!(elements(&config.firewall), 300_000);
        assert!(first_problem(&config).contains("name a set alone"));
    }
}
