//! Forged sources: a packet is dropped when the routing table would answer its source through another zone than
//! it came from, or through none. Whole zones are compared, not devices, since a virtual address may sit on a
//! device of its own above the card.
//!
//! What is for a box's own address may come from anywhere: a server whose gateway is the virtual address
//! reaches the standby through the active box, by another network than the way back takes. Of IPv6, addresses
//! of the link alone have no way back, and never leave it.

use super::Plan;
use super::counted;
use super::needs::{Way, at};
use super::rules::logged;
use super::terms::{among, host, joined};
use super::traffic::{View, destination, source};
use crate::config::Prefix;
use crate::config::firewall::Side;
use crate::ruleset::{
    Chain, Fib, FibKey, FibResult, InterfaceName, Rule, Span, Statement, Table, Test, Verdict,
};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

const CHAIN: &str = "spoofing";
/// fe80::/10
const LINK_LOCAL: Prefix = Prefix {
    address: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)),
    length: 10,
};

impl Plan<'_> {
    /// The way into the chain, where there is one.
    pub(super) fn spoofing(&self, table: &mut Table) -> Option<Rule> {
        let zones: Vec<_> = self.guarded_zones().collect();
        if zones.is_empty() {
            return None;
        }
        let mut chain = Chain::regular(CHAIN);
        for is_ipv4 in [true, false] {
            let own = joined(self.own_addresses().map(host), is_ipv4).unwrap_or_default();
            if !own.is_empty() {
                let rule = Rule::about("to the box alone");
                let rule = rule.when(destination(View::Packet, is_ipv4), among(own));
                chain.rules.push(rule.then(Verdict::Return));
            }
        }
        let unspecified = Span::One(IpAddr::V6(Ipv6Addr::UNSPECIFIED).into());
        let of_link = Test::OneOf(vec![unspecified, Span::Network(LINK_LOCAL)]);
        let rule = Rule::about("of the link alone").when(source(View::Packet, false), of_link);
        chain.rules.push(rule.then(Verdict::Return));
        for (name, devices) in zones {
            let about = format!("forged sources from {name}");
            let forged = |rule: Rule| at(rule, Way::In, &devices).and(way_back(&devices));
            if self.config.firewall.log_refused {
                let log = logged(&about, &format!("{about}: "));
                let mut rule = forged(Rule::about(about.clone()));
                rule.statements.extend(log.statements);
                chain.rules.push(rule);
            }
            chain
                .rules
                .push(counted(forged(Rule::about(about)), Verdict::Drop));
        }
        table.chains.push(chain);
        Some(Rule::about("forged sources").then(Verdict::Jump(CHAIN.into())))
    }

    fn guarded_zones(&self) -> impl Iterator<Item = (&str, Vec<InterfaceName>)> {
        let zones = (0u8..).zip(&self.config.firewall.zones);
        let guarded = zones.filter(|(_, zone)| zone.anti_spoofing);
        let devices = guarded
            .map(|(position, zone)| (zone.name.as_str(), self.layout.side(Side::Zone(position))));
        devices.filter(|(_, devices)| !devices.is_empty())
    }
}

/// Goes on where the way back to the source is by none of these devices.
fn way_back(devices: &[InterfaceName]) -> Statement {
    let fib = Fib {
        key: FibKey::Source,
        by_mark: false,
        by_input: false,
        by_output: false,
        result: FibResult::OutputName,
    };
    let test = match devices {
        [device] => Test::IsNot((*device).into()),
        _ => Test::NoneOf(
            devices
                .iter()
                .map(|&device| Span::One(device.into()))
                .collect(),
        ),
    };
    Statement::Match(fib.into(), test)
}
