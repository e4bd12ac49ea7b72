//! From what the kernel holds to what it should hold: the smallest steps, in an order in which each can
//! succeed and no service is without servers on the way. What stays is not touched, and only what is ours
//! is removed: addresses on configured devices (never virtual or link-local ones), routes of our own
//! protocol, IPVS services.

use crate::kernel::{Address, Destination, Route, Service, State, Step};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Steps from `observed` to `desired`; none when they agree.
#[must_use]
pub fn diff(desired: &State, observed: &State) -> Vec<Step> {
    let mut steps = Vec::new();
    ruleset(desired, observed, &mut steps);
    sysctls(desired, observed, &mut steps);
    links(desired, observed, &mut steps);
    addresses(desired, observed, &mut steps);
    routes(desired, observed, &mut steps);
    services(desired, observed, &mut steps);
    steps
}

/// First of all: no interface is up before the firewall stands.
fn ruleset(desired: &State, observed: &State, steps: &mut Vec<Step>) {
    if desired.ruleset != observed.ruleset {
        steps.extend(desired.ruleset.clone().map(Step::LoadRuleset));
    }
}

fn sysctls(desired: &State, observed: &State, steps: &mut Vec<Step>) {
    let missing = desired
        .sysctls
        .iter()
        .filter(|setting| !observed.sysctls.contains(setting));
    steps.extend(missing.map(|(path, value)| Step::SetSysctl {
        path: path.clone(),
        value: value.clone(),
    }));
}

fn links(desired: &State, observed: &State, steps: &mut Vec<Step>) {
    for device in &desired.devices {
        let Some(current) = observed
            .devices
            .iter()
            .find(|current| current.index == device.index)
        else {
            continue;
        };
        let mtu_bytes = (current.mtu_bytes != device.mtu_bytes).then_some(device.mtu_bytes);
        if mtu_bytes.is_some() || current.up != device.up {
            steps.push(Step::SetLink {
                index: device.index,
                mtu_bytes,
            });
        }
    }
}

fn addresses(desired: &State, observed: &State, steps: &mut Vec<Step>) {
    let configured = |index| {
        let mut devices = desired.devices.iter();
        devices.any(|device| device.index == index) || desired.bearers.contains(&index)
    };
    let ours_to_delete = |address: &&Address| {
        configured(address.index)
            && !desired.addresses.contains(address)
            && !desired.virtual_addresses.contains(address)
            && !is_link_local(address.prefix.address)
    };
    // Deleted first: the kernel refuses an IPv6 address that it holds with another prefix length.
    steps.extend(
        observed
            .addresses
            .iter()
            .filter(ours_to_delete)
            .copied()
            .map(Step::DeleteAddress),
    );
    let missing = desired
        .addresses
        .iter()
        .filter(|address| !observed.addresses.contains(address));
    steps.extend(missing.copied().map(Step::AddAddress));
}

/// The kernel makes IPv6 link-local addresses itself.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn routes(desired: &State, observed: &State, steps: &mut Vec<Step>) {
    let agrees = |wanted: &Route, current: &Route| {
        wanted.to == current.to
            && wanted.via == current.via
            && (wanted.index.is_none() || wanted.index == current.index)
    };
    // A single route to the same destination is replaced by the one that is added: no gap for traffic.
    let is_replaced = |current: &Route| {
        desired.routes.iter().any(|wanted| wanted.to == current.to)
            && observed
                .routes
                .iter()
                .filter(|other| other.to == current.to)
                .count()
                == 1
    };
    let stale = observed
        .routes
        .iter()
        .filter(|current| !desired.routes.iter().any(|wanted| agrees(wanted, current)));
    steps.extend(
        stale
            .filter(|current| !is_replaced(current))
            .copied()
            .map(Step::DeleteRoute),
    );
    let missing = desired.routes.iter().filter(|wanted| {
        !observed
            .routes
            .iter()
            .any(|current| agrees(wanted, current))
    });
    steps.extend(missing.copied().map(Step::AddRoute));
}

fn services(desired: &State, observed: &State, steps: &mut Vec<Step>) {
    let gone = observed.services.iter().filter(|current| {
        !desired
            .services
            .iter()
            .any(|wanted| wanted.key == current.key)
    });
    steps.extend(gone.map(|current| Step::DeleteService(current.key)));
    for wanted in &desired.services {
        match observed
            .services
            .iter()
            .find(|current| current.key == wanted.key)
        {
            None => {
                steps.push(Step::AddService(wanted.clone()));
                destinations(wanted, &[], steps);
            }
            Some(current) => {
                if settings(wanted) != settings(current) {
                    steps.push(Step::EditService(wanted.clone()));
                }
                destinations(wanted, &current.destinations, steps);
            }
        }
    }
}

fn settings(service: &Service) -> impl PartialEq {
    (
        service.scheduler,
        service.schedule_fallback,
        service.persistence_s,
    )
}

/// Adds and raises before it quiesces and deletes, so that a service keeps a server while they change.
fn destinations(wanted: &Service, current: &[Destination], steps: &mut Vec<Step>) {
    let held = |destination: &&Destination| {
        current
            .iter()
            .any(|held| held.endpoint == destination.endpoint)
    };
    let added = wanted
        .destinations
        .iter()
        .filter(|destination| !held(destination));
    steps.extend(added.map(|&destination| Step::AddDestination(wanted.key, destination)));
    let edited = wanted
        .destinations
        .iter()
        .filter(|destination| held(destination) && !current.contains(destination));
    let (raised, quiesced): (Vec<_>, Vec<_>) =
        edited.partition(|destination| destination.weight > 0);
    steps.extend(
        raised
            .into_iter()
            .chain(quiesced)
            .map(|&destination| Step::EditDestination(wanted.key, destination)),
    );
    let deleted = current.iter().filter(|held| {
        !wanted
            .destinations
            .iter()
            .any(|destination| destination.endpoint == held.endpoint)
    });
    steps.extend(deleted.map(|held| Step::DeleteDestination(wanted.key, held.endpoint)));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
