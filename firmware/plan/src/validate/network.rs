//! Checks of routes and virtual addresses, and what all checks of addresses ask the config.

use super::{Problems, is_repeated};
use crate::config::{Attachment, Config, Prefix, Route, VirtualAddress};
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    for (position, route) in config.routes.iter().enumerate() {
        check_route(config, position, route, problems);
    }
    for (position, address) in config.virtual_addresses.iter().enumerate() {
        virtual_address(config, position, *address, problems);
    }
}

/// How one node is attached to the interfaces it has.
pub(super) fn attachments(
    config: &Config,
    node: usize,
) -> impl Iterator<Item = (usize, &Attachment)> {
    let interfaces = config.interfaces.iter().enumerate();
    interfaces.filter_map(move |(position, interface)| {
        Some((position, interface.on.get(node)?.as_ref()?))
    })
}

/// The box's own addresses of one node, with their interface.
pub(super) fn own_addresses(config: &Config, node: usize) -> impl Iterator<Item = (usize, Prefix)> {
    attachments(config, node).flat_map(|(position, attachment)| {
        attachment.addresses.iter().map(move |&own| (position, own))
    })
}

/// The own addresses of all nodes.
pub(super) fn all_own(config: &Config) -> impl Iterator<Item = IpAddr> {
    (0..config.nodes.len())
        .flat_map(|node| own_addresses(config, node))
        .map(|(_, own)| own.address)
}

/// Name of the first node that has no own address in the network of `address`, on `interface` if given.
pub(super) fn node_without(
    config: &Config,
    address: IpAddr,
    interface: Option<usize>,
) -> Option<&str> {
    let reaches = |node| {
        let mut own = own_addresses(config, node)
            .filter(|(position, _)| interface.is_none_or(|wanted| wanted == *position));
        own.any(|(_, own)| own.contains(address))
    };
    config
        .nodes
        .iter()
        .enumerate()
        .find(|&(node, _)| !reaches(node))
        .map(|(_, node)| node.name.as_str())
}

/// An address as it is set on an interface.
pub(super) fn host_prefix(path: String, prefix: Prefix, problems: &mut Problems) {
    problems.unicast(path.clone(), prefix.address);
    let max = prefix.length_max();
    if prefix.length == 0 || prefix.length > max {
        problems.add(
            path,
            &prefix,
            "has no such prefix length",
            &format!("write /1 to /{max}"),
        );
    } else if prefix
        .broadcast()
        .is_some_and(|broadcast| prefix.address == broadcast || prefix == prefix.network())
    {
        let fault = "is the first or last address of its network, which no host may have";
        problems.add(path, &prefix, fault, "write an address between them");
    }
}

fn check_route(config: &Config, position: usize, route: &Route, problems: &mut Problems) {
    let path = |field| format!("routes[{position}].{field}");
    destination(config, position, route, problems);
    if route.to.address.is_ipv4() != route.via.is_ipv4() {
        problems.add(
            path("via"),
            &route.via,
            "is of another family than the destination",
            "write a next hop of the same family",
        );
        return;
    }
    problems.unicast(path("via"), route.via);
    if is_ours(config, route.via) {
        problems.add(
            path("via"),
            &route.via,
            "is an address of the boxes themselves",
            "write the router's address",
        );
    }
    match route.interface.map(usize::from) {
        Some(interface) => reached_by(config, position, route, interface, problems),
        None if is_reached(config, route.via) => {}
        None => problems.add(
            path("via"),
            &route.via,
            "is in no network of either box",
            "write a router that a box reaches directly",
        ),
    }
}

fn destination(config: &Config, position: usize, route: &Route, problems: &mut Problems) {
    let path = format!("routes[{position}].to");
    let to = route.to;
    if to.length > to.length_max() {
        let advice = format!("write at most /{}", to.length_max());
        problems.add(path.clone(), &to, "has no such prefix length", &advice);
    } else if to.network() != to {
        let advice = format!("write {}", to.network());
        problems.add(path.clone(), &to, "has bits behind its prefix", &advice);
    }
    let mut known = config.routes.iter().map(|route| route.to);
    if is_repeated(&mut known, position, &to) {
        problems.add(path, &to, "has two routes", "keep one of them");
    }
}

/// Whether it is one of the boxes' own addresses or of the virtual ones.
fn is_ours(config: &Config, address: IpAddr) -> bool {
    let virtuals = config.virtual_addresses.iter();
    let virtuals = virtuals.map(|address| address.prefix.address);
    all_own(config).chain(virtuals).any(|own| own == address)
}

/// Whether some box has it in a network of its own.
fn is_reached(config: &Config, address: IpAddr) -> bool {
    (0..config.nodes.len())
        .any(|node| own_addresses(config, node).any(|(_, own)| own.contains(address)))
}

/// Checks a next hop that is said to be behind an interface.
fn reached_by(
    config: &Config,
    position: usize,
    route: &Route,
    interface: usize,
    problems: &mut Problems,
) {
    let path = |field| format!("routes[{position}].{field}");
    if interface >= config.interfaces.len() {
        problems.add(
            path("interface"),
            &interface,
            "is no interface",
            "write an interface's name",
        );
    } else if let Some(node) = node_without(config, route.via, Some(interface)) {
        let fault = format!("is in no network of {node} on this interface");
        problems.add(
            path("via"),
            &route.via,
            &fault,
            "write a router of that network, or leave out the interface",
        );
    }
}

fn virtual_address(
    config: &Config,
    position: usize,
    address: VirtualAddress,
    problems: &mut Problems,
) {
    let path = |field| format!("virtual_addresses[{position}].{field}");
    host_prefix(path("prefix"), address.prefix, problems);
    let known = config
        .virtual_addresses
        .iter()
        .map(|address| address.prefix.address);
    if is_repeated(known, position, &address.prefix.address) {
        problems.add(
            path("prefix"),
            &address.prefix,
            "is there twice",
            "keep one of them",
        );
    }
    if all_own(config).any(|own| own == address.prefix.address) {
        let advice = "write an address that moves between the boxes, not one that belongs to a box";
        problems.add(
            path("prefix"),
            &address.prefix,
            "is a box's own address",
            advice,
        );
        return;
    }
    let interface = usize::from(address.interface);
    if !is_on_both(config, interface) {
        let fault = "is not an interface of both boxes, so the address could not move";
        problems.add(
            path("interface"),
            &InterfaceName(config, interface),
            fault,
            "write an interface that both boxes have",
        );
    } else if brings_its_own_network(config, address) {
        if let Some(other) = overlapping(config, address) {
            let fault = format!("is in the network of interface {other}");
            let advice = "put it there, or write an address of another network";
            problems.add(path("prefix"), &address.prefix, &fault, advice);
        }
    } else if let Some(node) = node_without(config, address.prefix.address, Some(interface)) {
        let fault = format!(
            "is in no network of {node} on interface {}",
            InterfaceName(config, interface)
        );
        problems.add(
            path("prefix"),
            &address.prefix,
            &fault,
            "write an address of that network, or add one of its addresses to the box",
        );
    }
}

/// Neither box has an address of this family on its interface: the network is there with the virtual address,
/// on the active box.
fn brings_its_own_network(config: &Config, address: VirtualAddress) -> bool {
    let is_alike = |(position, own): (usize, Prefix)| {
        position == usize::from(address.interface)
            && own.address.is_ipv4() == address.prefix.address.is_ipv4()
    };
    (0..config.nodes.len()).all(|node| !own_addresses(config, node).any(is_alike))
}

/// Another interface in whose network a virtual address is.
fn overlapping(config: &Config, address: VirtualAddress) -> Option<InterfaceName<'_>> {
    let overlaps =
        |own: Prefix| own.contains(address.prefix.address) || address.prefix.contains(own.address);
    let mut own = (0..config.nodes.len()).flat_map(|node| own_addresses(config, node));
    let (other, _) = own.find(|&(_, own)| overlaps(own))?;
    Some(InterfaceName(config, other))
}

/// Whether both boxes are attached to an interface.
pub(super) fn is_on_both(config: &Config, interface: usize) -> bool {
    config
        .interfaces
        .get(interface)
        .is_some_and(|interface| interface.on.iter().all(Option::is_some))
}

/// The name of the interface at a position.
pub(super) struct InterfaceName<'a>(pub(super) &'a Config, pub(super) usize);

impl fmt::Display for InterfaceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.interfaces.get(self.1) {
            Some(interface) => f.write_str(&interface.name),
            None => write!(f, "number {}", self.1),
        }
    }
}
