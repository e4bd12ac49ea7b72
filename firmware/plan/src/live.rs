//! What of a new config a running box takes over without a restart: the firewall, services and their checks, routes,
//! the console, and own addresses that no heartbeat leaves by. All else is what the two boxes know each other by, or
//! what the cluster worker has opened: each box must begin anew with it, one after the other.

use crate::config::firewall::Firewall;
use crate::config::{Cluster, Config, Interface, Link};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

/// Sections of `new` that differ from `running` and want a restart, as the operator writes them; none: all of it
/// can change on a box that runs. Both are valid.
#[must_use]
pub fn wants_restart(running: &Config, new: &Config) -> Vec<Cow<'static, str>> {
    // By name, so that a section which is new to the config is thought about here.
    let Config {
        cluster,
        nodes,
        interfaces: _,
        routes: _,
        virtual_addresses,
        links,
        services: _,
        console: _,
        virtual_mac,
        firewall,
    } = running;
    let mut sections = cluster_keys(cluster, &new.cluster);
    let mut note = |differs: bool, section: &'static str| {
        if differs {
            sections.push(section.into());
        }
    };
    note(*virtual_mac != new.virtual_mac, "virtual-mac");
    note(*nodes != new.nodes, "[[node]]");
    note(
        *virtual_addresses != new.virtual_addresses,
        "[[virtual-address]]",
    );
    note(*links != new.links, "[[link]]");
    note(
        unsets(firewall, &new.firewall),
        "[connections] (what is set no more returns to the kernel's own value)",
    );
    sections.extend(interfaces(running, new));
    sections
}

/// Whether the boxes' own addresses differ.
#[must_use]
pub fn changes_addresses(running: &Config, new: &Config) -> bool {
    let of = |config: &Config| -> Vec<_> {
        let attachments = config.interfaces.iter().flat_map(|it| it.on.iter());
        let addresses =
            attachments.map(|at| at.as_ref().map(|attachment| attachment.addresses.clone()));
        addresses.collect()
    };
    of(running) != of(new)
}

fn cluster_keys(running: &Cluster, new: &Cluster) -> Vec<Cow<'static, str>> {
    let Cluster {
        name,
        key,
        timing,
        fail_back,
    } = running;
    let keys = [
        (*name != new.name, "name"),
        (*key != new.key, "key"),
        (*timing != new.timing, "timing"),
        (*fail_back != new.fail_back, "fail-back"),
    ];
    let different = keys.into_iter().filter(|(differs, _)| *differs);
    different.map(|(_, key)| key.into()).collect()
}

/// A limit or a timeout of the running config is not in the new one: nobody knows any more what it was before.
fn unsets(running: &Firewall, new: &Firewall) -> bool {
    let (before, after) = (&running.connections, &new.connections);
    let is_set = |phase| after.timeouts_s.iter().any(|(other, _)| *other == phase);
    let tracked = !running.zones.is_empty();
    tracked
        && (new.zones.is_empty() && (before.max.is_some() || !before.timeouts_s.is_empty())
            || before.max.is_some() && after.max.is_none()
            || before.timeouts_s.iter().any(|(phase, _)| !is_set(*phase)))
}

fn interfaces(running: &Config, new: &Config) -> Vec<Cow<'static, str>> {
    if running.interfaces.len() != new.interfaces.len() {
        return Vec::from(["[[interface]]".into()]);
    }
    let both = running.interfaces.iter().zip(&new.interfaces).enumerate();
    let different = both.filter(|(position, (before, after))| {
        if carries_heartbeats(running, *position) {
            before != after
        } else {
            without_addresses(before) != without_addresses(after)
        }
    });
    different
        .map(|(_, (before, _))| format!("[[interface]] {}", before.name).into())
        .collect()
}

fn carries_heartbeats(config: &Config, position: usize) -> bool {
    let mut links = config.links.iter();
    links.any(
        |link| matches!(link, Link::Udp { interface, .. } if usize::from(*interface) == position),
    )
}

fn without_addresses(interface: &Interface) -> Interface {
    let mut interface = interface.clone();
    let attachments = interface.on.iter_mut().flatten();
    attachments.for_each(|attachment| attachment.addresses.clear());
    interface
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::config::firewall::{Phase, Zone};
    use crate::config::{Cast, FailBack, Timing};
    use crate::samples::{large, pair};
    use std::string::String;
    use std::vec;

    /// What of `before`, changed by `change`, wants a restart.
    fn after(before: &Config, change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut new = before.clone();
        change(&mut new);
        assert_ne!(*before, new, "nothing was changed");
        let sections = wants_restart(before, &new).into_iter();
        sections.map(Cow::into_owned).collect()
    }

    #[test]
    fn what_passes_and_who_serves_changes_on_a_box_that_runs() {
        let pair = pair();
        let none: Vec<String> = Vec::new();
        assert_eq!(wants_restart(&pair, &pair), none);
        assert_eq!(
            after(&pair, |new| new.services = large(2, 3).services),
            none
        );
        assert_eq!(after(&pair, |new| new.services.clear()), none);
        assert_eq!(after(&pair, |new| new.firewall.log_refused = true), none);
        let route = pair.routes.first().cloned();
        assert_eq!(after(&pair, |new| new.routes.extend(route)), none);
        assert_eq!(
            after(&pair, |new| {
                new.console.log_level = crate::config::LogLevel::Debug;
                new.console.password = None;
                new.firewall.connections.max = Some(9);
            }),
            none
        );
    }

    #[test]
    fn what_the_boxes_know_each_other_by_does_not() {
        let pair = pair();
        assert_eq!(after(&pair, |new| new.cluster.name.push('x')), ["name"]);
        assert_eq!(after(&pair, |new| new.cluster.key[0] ^= 1), ["key"]);
        assert_eq!(
            after(&pair, |new| {
                new.cluster.timing = Timing::Fast;
                new.cluster.fail_back = match new.cluster.fail_back {
                    FailBack::Off => FailBack::Auto,
                    FailBack::Auto => FailBack::Off,
                };
            }),
            ["timing", "fail-back"]
        );
        assert_eq!(after(&pair, |new| new.nodes[0].priority ^= 1), ["[[node]]"]);
        assert_eq!(
            after(&pair, |new| {
                new.links.pop();
                new.virtual_addresses.clear();
                new.virtual_mac ^= true;
            }),
            ["virtual-mac", "[[virtual-address]]", "[[link]]"]
        );
        assert_eq!(
            after(&pair, |new| new.interfaces.truncate(1)),
            ["[[interface]]"]
        );
    }

    #[test]
    fn own_addresses_change_where_no_heartbeat_leaves_by_them() {
        let mut pair = pair();
        pair.links = vec![Link::Udp {
            interface: 1,
            port: 694,
            cast: Cast::Unicast,
        }];
        let names =
            [0, 1].map(|position| format!("[[interface]] {}", pair.interfaces[position].name));
        let readdressed = |position: usize| {
            after(&pair, |new| {
                let attachment = new.interfaces[position].on[0].as_mut();
                attachment.unwrap().addresses.clear();
            })
        };
        assert_eq!(readdressed(0), Vec::<String>::new());
        assert_eq!(readdressed(1), [names[1].clone()]);
        let larger = |new: &mut Config| new.interfaces[0].mtu_bytes = Some(9000);
        assert_eq!(after(&pair, larger), [names[0].clone()]);

        let mut new = pair.clone();
        assert!(!changes_addresses(&pair, &new));
        new.interfaces[0].on[1] = None;
        assert!(changes_addresses(&pair, &new));
    }

    #[test]
    fn a_timeout_can_be_changed_and_not_forgotten() {
        let mut pair = pair();
        pair.firewall.zones = vec![Zone {
            name: "inside".into(),
            interfaces: vec![0],
            anti_spoofing: true,
        }];
        pair.firewall.connections.timeouts_s = vec![(Phase::Udp, 9)];
        let changed = |new: &mut Config| new.firewall.connections.timeouts_s[0].1 = 8;
        assert_eq!(after(&pair, changed), Vec::<String>::new());
        let forgotten = |new: &mut Config| new.firewall.connections.timeouts_s.clear();
        let wants = after(&pair, forgotten);
        assert!(wants[0].starts_with("[connections]"), "{wants:?}");
        let open = after(&pair, |new| new.firewall.zones.clear());
        assert_eq!(open.len(), 1);
    }
}
