//! Checks of interfaces: their devices and the boxes' own addresses.

use super::network::{attachments, host_prefix, own_addresses};
use super::{INTERFACES_MAX, Problems, Quoted, is_repeated};
use crate::config::{Config, Device, Prefix};
use crate::virtual_mac;
use alloc::format;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let interfaces = &config.interfaces;
    problems.some(
        "interfaces",
        "[[interface]]",
        interfaces.len(),
        INTERFACES_MAX,
    );
    for (position, interface) in interfaces.iter().enumerate() {
        let path = |field| format!("interfaces[{position}].{field}");
        problems.name(path("name"), &interface.name, 15);
        if is_repeated(
            interfaces.iter().map(|interface| &interface.name),
            position,
            &&interface.name,
        ) {
            problems.add(
                path("name"),
                &interface.name,
                "names two interfaces",
                "give each interface its own name",
            );
        }
        let attachments = interface.on.iter().flatten();
        if let Some(mtu_bytes) = interface.mtu_bytes {
            let own = attachments
                .clone()
                .flat_map(|attachment| &attachment.addresses);
            let virtual_addresses = config.virtual_addresses.iter();
            let moving = virtual_addresses
                .filter(|address| usize::from(address.interface) == position)
                .map(|address| &address.prefix);
            let has_ipv6 = own.chain(moving).any(|prefix| prefix.address.is_ipv6());
            let min = if has_ipv6 { 1280 } else { 576 };
            problems.within(path("mtu_bytes"), mtu_bytes.into(), (min, 9216), " bytes");
        }
        if attachments.count() == 0 || interface.on.len() != config.nodes.len() {
            problems.add(
                path("on"),
                &interface.name,
                "is attached to no box",
                "write on.NODE = { device or mac, addresses }",
            );
        }
    }
    for node in 0..config.nodes.len() {
        devices(config, node, problems);
        addresses(config, node, problems);
    }
}

fn devices(config: &Config, node: usize, problems: &mut Problems) {
    for (order, (position, attachment)) in attachments(config, node).enumerate() {
        let path = || format!("interfaces[{position}].on[{node}].device");
        match &attachment.device {
            Device::Name(name) if !is_device_name(name) => {
                problems.add(
                    path(),
                    &Quoted(name),
                    "is no device",
                    "write the kernel's name of a network card, as \"eth0\"",
                );
            }
            Device::Name(name) if config.virtual_mac && name.starts_with(virtual_mac::PREFIX) => {
                let fault = "is called like the devices that bear virtual MAC addresses";
                problems.add(
                    path(),
                    &Quoted(name),
                    fault,
                    "rename the card, or find it by its MAC",
                );
            }
            // The first byte's lowest bit marks groups (IEEE 802).
            Device::Mac(mac)
                if *mac == [0; 6] || mac.first().is_some_and(|first| first & 1 == 1) =>
            {
                problems.add(
                    path(),
                    &attachment.device,
                    "is no card's address",
                    "write the card's MAC address",
                );
            }
            _ => {}
        }
        let on_this_node = attachments(config, node).map(|(_, attachment)| &attachment.device);
        let is_on_other_node = |mac| {
            (0..node).any(|other| {
                attachments(config, other).any(|(_, found)| found.device == Device::Mac(mac))
            })
        };
        let is_taken = match attachment.device {
            Device::Mac(mac) => is_on_other_node(mac),
            Device::Name(_) => false,
        };
        if is_taken || is_repeated(on_this_node, order, &&attachment.device) {
            problems.add(
                path(),
                &attachment.device,
                "is attached twice",
                "give each interface of each box its own card",
            );
        }
    }
}

fn is_device_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte);
    !name.is_empty()
        && name.len() <= 15
        && name.bytes().all(is_plain)
        && !["lo", ".", "..", "all", "default"].contains(&name)
}

fn addresses(config: &Config, node: usize, problems: &mut Problems) {
    for (position, attachment) in attachments(config, node) {
        for (order, &own) in attachment.addresses.iter().enumerate() {
            let path = || format!("interfaces[{position}].on[{node}].addresses[{order}]");
            host_prefix(path(), own, problems);
            let is_same = |other_node: usize| {
                own_addresses(config, other_node)
                    .filter(|(_, other)| other.address == own.address)
                    .count()
            };
            if is_same(node) > 1 || (0..node).any(|other| is_same(other) > 0) {
                problems.add(
                    path(),
                    &own,
                    "is set twice",
                    "give each box and interface its own address",
                );
            }
            let overlaps = |&(other, prefix): &(usize, Prefix)| {
                other < position && prefix.network() == own.network()
            };
            if let Some((other, _)) = own_addresses(config, node).find(overlaps) {
                let other = config
                    .interfaces
                    .get(other)
                    .map_or("another", |interface| interface.name.as_str());
                let fault = format!("is in the same network as interface {other}");
                problems.add(path(), &own, &fault, "give each interface its own network");
            }
        }
    }
}
