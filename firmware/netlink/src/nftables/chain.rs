//! Tables, chains and flowtables to messages: names, hooks, priorities, policies.

use super::Kind;
use super::batch::Draft;
use super::refusal::Place;
use super::writer::Writer;
use neli::consts::nl::NlmF;
use plan::ruleset::{Base, Chain, Family, Flowtable, Hook, InterfaceName, NatHook, Policy, Table};

/// NFTA_TABLE_*, NFTA_CHAIN_*, NFTA_HOOK_*, NFTA_DEVICE_*, NFTA_FLOWTABLE_*.
const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const HOOK_DEVICE: u16 = 3;
const HOOK_DEVICES: u16 = 4;
const DEVICE_NAME: u16 = 1;
const FLOWTABLE_TABLE: u16 = 1;
const FLOWTABLE_NAME: u16 = 2;
const FLOWTABLE_HOOK: u16 = 3;
const FLOWTABLE_FLAGS: u16 = 7;
const FLOWTABLE_HOOK_NUMBER: u16 = 1;
const FLOWTABLE_HOOK_PRIORITY: u16 = 2;
const FLOWTABLE_HOOK_DEVICES: u16 = 3;

/// NFT_FLOWTABLE_COUNTER.
const WITH_COUNTERS: u32 = 2;

/// NF_NETDEV_INGRESS: the only hook of flowtables.
const FLOWTABLE_INGRESS: u32 = 0;

/// The table, unless it is there.
pub(super) fn add_table(draft: &mut Draft<'_>, position: usize, table: &Table) {
    let place = Place::Table(position);
    draft.message(
        Kind::NewTable,
        NlmF::CREATE,
        table.family,
        place,
        |writer| {
            writer.text(TABLE_NAME, &table.name);
        },
    );
}

/// A table with all that is in it.
pub(super) fn delete_table(draft: &mut Draft<'_>, family: Family, name: &str) {
    let flags = NlmF::empty();
    draft.message(Kind::DeleteTable, flags, family, Place::Old, |writer| {
        writer.text(TABLE_NAME, name);
    });
}

/// A chain, or the policy of one that is there.
pub(super) fn add(draft: &mut Draft<'_>, place: Place, table: &Table, chain: &Chain) {
    draft.message(
        Kind::NewChain,
        NlmF::CREATE,
        table.family,
        place,
        |writer| {
            writer.text(CHAIN_TABLE, &table.name);
            writer.text(CHAIN_NAME, &chain.name);
            if let Some(base) = &chain.base {
                hook(writer, table.family, base);
            }
        },
    );
}

fn hook(writer: &mut Writer, family: Family, base: &Base) {
    writer.nest(CHAIN_HOOK, |writer| {
        writer.u32(HOOK_NUMBER, hook_number(family, &base.hook));
        writer.u32(HOOK_PRIORITY, base.priority.cast_unsigned());
        match devices(&base.hook) {
            [] => {}
            [device] => writer.text(HOOK_DEVICE, device.as_str()),
            devices => list_devices(writer, HOOK_DEVICES, devices),
        }
    });
    writer.u32(CHAIN_POLICY, policy_number(base.policy));
    writer.text(CHAIN_TYPE, chain_type(&base.hook));
}

/// NF_DROP, NF_ACCEPT.
pub(super) const fn policy_number(policy: Policy) -> u32 {
    match policy {
        Policy::Drop => 0,
        Policy::Accept => 1,
    }
}

fn list_devices(writer: &mut Writer, kind: u16, devices: &[InterfaceName]) {
    writer.nest(kind, |writer| {
        for device in devices {
            writer.text(DEVICE_NAME, device.as_str());
        }
    });
}

/// The devices that a chain of this hook listens to.
pub(super) fn devices(hook: &Hook) -> &[InterfaceName] {
    match hook {
        Hook::Ingress(devices) | Hook::Egress(devices) => devices,
        _ => &[],
    }
}

/// nft's chain type.
pub(super) const fn chain_type(hook: &Hook) -> &'static str {
    match hook {
        Hook::Nat(_) => "nat",
        Hook::Reroute => "route",
        _ => "filter",
    }
}

/// NF_INET_*, NF_ARP_*, NF_NETDEV_*.
pub(super) const fn hook_number(family: Family, hook: &Hook) -> u32 {
    match (family, hook) {
        (Family::Arp | Family::Netdev, Hook::Input | Hook::Ingress(_)) => 0,
        (Family::Arp | Family::Netdev, Hook::Output | Hook::Egress(_)) => 1,
        (_, Hook::Prerouting | Hook::Nat(NatHook::Prerouting)) => 0,
        (_, Hook::Input | Hook::Nat(NatHook::Input)) => 1,
        (_, Hook::Forward) => 2,
        (_, Hook::Output | Hook::Nat(NatHook::Output) | Hook::Reroute) => 3,
        (_, Hook::Postrouting | Hook::Nat(NatHook::Postrouting)) => 4,
        (_, Hook::Ingress(_)) => 5,
        // No family but netdev has it; the kernel says so.
        (_, Hook::Egress(_)) => 6,
    }
}

/// nft's word for a hook; `None` for one that is not known.
pub(super) fn hook_words(family: Family, number: u32) -> Option<&'static str> {
    const HOOKS: [&str; 6] = [
        "prerouting",
        "input",
        "forward",
        "output",
        "postrouting",
        "ingress",
    ];
    let words: &[&str] = match family {
        Family::Arp => &["input", "output"],
        Family::Netdev => &["ingress", "egress"],
        _ => &HOOKS,
    };
    words.get(usize::try_from(number).ok()?).copied()
}

/// A flowtable.
pub(super) fn add_flowtable(draft: &mut Draft<'_>, place: Place, table: &Table, flow: &Flowtable) {
    let flags = NlmF::CREATE;
    draft.message(Kind::NewFlowtable, flags, table.family, place, |writer| {
        writer.text(FLOWTABLE_TABLE, &table.name);
        writer.text(FLOWTABLE_NAME, &flow.name);
        writer.nest(FLOWTABLE_HOOK, |writer| {
            writer.u32(FLOWTABLE_HOOK_NUMBER, FLOWTABLE_INGRESS);
            writer.u32(FLOWTABLE_HOOK_PRIORITY, flow.priority.cast_unsigned());
            list_devices(writer, FLOWTABLE_HOOK_DEVICES, &flow.devices);
        });
        if flow.has_counters {
            writer.u32(FLOWTABLE_FLAGS, WITH_COUNTERS);
        }
    });
}
