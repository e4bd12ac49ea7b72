//! What the balancer carries. It keeps connections of its own, so that tracking them a second time (sysctl
//! `net.ipv4.vs.conntrack`) would cost a second entry, and the mirroring of it, for each: they are not tracked, and
//! these rules let pass just what belongs to services. IPVS hooks in behind the filters, so they see packets as they
//! are before it changes them (net/netfilter/ipvs/ip_vs_core.c):
//!
//! ```text
//! request            input: client → service, taken out of tracking at raw; then IPVS takes it
//! request, NAT       output: client → server
//! request, direct    output: client → service
//! request, tunnel    output: box → server, IP in IP
//! answer, NAT        forward: server → client: to conntrack a connection without a beginning; then IPVS makes it
//!                    service → client, and forward.balanced, behind it, looks whether it did
//! answer, others     does not come by
//! ```
//!
//! Answers are not taken out of tracking: who reaches a server's port without the balancer, by a rule of the config,
//! has a tracked connection whose answers look just alike. What looks like an answer and was not changed by IPVS is
//! judged by the rules of its zones like anything else.

use super::needs::{ICMP_ERRORS, ICMPV6_ERRORS};
use super::rules::Pair;
use super::terms::{among, host, joined, one_of};
use super::traffic::{View, destination, source};
use super::{Plan, add_set, counted};
use crate::config::firewall::Side;
use crate::config::{Endpoint, Forwarding, Protocol, Service};
use crate::ruleset::{
    Assignment, ConnectionStates, Datum, Field, Icmp, Icmpv6, Key, Kind, Members, Meta, Operand,
    Rule, Selector, Set, Shape, Statement, Table, Test, Verdict,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Mark of packets that may be answers from balanced servers, between the two forward chains.
const MAYBE_ANSWER: Datum = Datum::Mark(1);
/// IPPROTO_IPIP and IPPROTO_IPV6: the payload of tunnels over IPv4 and over IPv6.
const TUNNELS: [u8; 2] = [4, 41];

impl Plan<'_> {
    /// Services, and servers that answer by way of the box.
    pub(super) fn balanced_sets(&self, table: &mut Table) {
        for is_ipv4 in [true, false] {
            let services = self.services(is_ipv4).map(|service| {
                let endpoint = Endpoint {
                    address: service.address,
                    port: service.port,
                };
                (service.protocol, endpoint)
            });
            add_set(table, triples(service_set(is_ipv4), is_ipv4, services));
            let servers = self
                .nat_services(is_ipv4)
                .flat_map(|service| servers(service).map(|endpoint| (service.protocol, endpoint)));
            add_set(table, triples(server_set(is_ipv4), is_ipv4, servers));
        }
    }

    fn services(&self, is_ipv4: bool) -> impl Iterator<Item = &Service> {
        let services = self.config.services.iter();
        services.filter(move |service| service.address.is_ipv4() == is_ipv4)
    }

    fn nat_services(&self, is_ipv4: bool) -> impl Iterator<Item = &Service> {
        self.services(is_ipv4)
            .filter(|service| service.forwarding == Forwarding::Nat)
    }

    /// Whether servers answer by way of the box.
    pub(super) fn has_answers(&self) -> bool {
        let mut services = self.config.services.iter();
        services.any(|service| service.forwarding == Forwarding::Nat)
    }

    /// Tests for requests to services, before IPVS has them.
    pub(super) fn requests(&self) -> Vec<Rule> {
        let families = [true, false].into_iter();
        let families = families.filter(|&is_ipv4| self.services(is_ipv4).next().is_some());
        let request = |is_ipv4| {
            triple(
                "services",
                destination(View::Packet, is_ipv4),
                Field::DestinationPort,
                service_set(is_ipv4),
            )
        };
        families.map(request).collect()
    }

    /// Services are open for all zones, behind the rules.
    pub(super) fn service_openings(&self, pair: Pair) -> Vec<Rule> {
        if pair.to != Side::Box {
            return Vec::new();
        }
        let requests = self.requests().into_iter();
        requests
            .map(|request| counted(request, Verdict::Accept))
            .collect()
    }

    /// Requests on their way from IPVS to a server.
    pub(super) fn passed_on(&self) -> Vec<Rule> {
        let untracked = |rule: Rule| {
            let rule = rule.and(Statement::state(ConnectionStates::UNTRACKED));
            counted(rule, Verdict::Accept)
        };
        let mut rules = Vec::new();
        for is_ipv4 in [true, false] {
            let to = destination(View::Packet, is_ipv4);
            let mut add = |set| {
                let rule = triple("to servers", to.clone(), Field::DestinationPort, set);
                rules.push(untracked(rule));
            };
            if self.nat_services(is_ipv4).next().is_some() {
                add(server_set(is_ipv4));
            }
            let is_direct = |service: &Service| service.forwarding == Forwarding::Direct;
            if self.services(is_ipv4).any(is_direct) {
                add(service_set(is_ipv4));
            }
        }
        rules.extend(self.tunnels().into_iter().map(untracked));
        rules
    }

    /// Tests for tunnelled requests.
    pub(super) fn tunnels(&self) -> Vec<Rule> {
        let of_family = |is_ipv4| {
            let services = self.services(is_ipv4);
            let tunnelled = services.filter(|service| service.forwarding == Forwarding::Tunnel);
            let servers = tunnelled
                .flat_map(servers)
                .map(|endpoint| host(endpoint.address));
            let spans = joined(servers, is_ipv4).filter(|spans| !spans.is_empty())?;
            let tunnel = Test::OneOf(TUNNELS.map(|number| Datum::Protocol(number).into()).into());
            let rule = Rule::about("tunnels to servers").when(Meta::Protocol, tunnel);
            Some(rule.when(destination(View::Packet, is_ipv4), among(spans)))
        };
        [true, false].into_iter().filter_map(of_family).collect()
    }

    /// Lets what may be an answer through to IPVS.
    pub(super) fn answers(&self) -> Vec<Rule> {
        let through = |rule: Rule, states| {
            rule.and(Statement::state(states))
                .and(Statement::Assign(
                    Assignment::Mark,
                    Operand::Is(MAYBE_ANSWER),
                ))
                .then(Verdict::Accept)
        };
        let any_state =
            ConnectionStates::NEW | ConnectionStates::INVALID | ConnectionStates::UNTRACKED;
        let mut rules = Vec::new();
        for is_ipv4 in [true, false] {
            if self.nat_services(is_ipv4).next().is_some() {
                let from = source(View::Packet, is_ipv4);
                let rule = triple(
                    "answers of servers",
                    from,
                    Field::SourcePort,
                    server_set(is_ipv4),
                );
                rules.push(through(rule, any_state));
            }
        }
        if !rules.is_empty() {
            let errors = one_of(ICMP_ERRORS.map(Datum::IcmpType));
            let rule = Rule::about("errors from servers").when(Field::Icmp(Icmp::Type), errors);
            rules.push(through(rule, ConnectionStates::INVALID));
            let errors = one_of(ICMPV6_ERRORS.map(Datum::Icmpv6Type));
            let rule = Rule::about("errors from servers").when(Field::Icmpv6(Icmpv6::Type), errors);
            rules.push(through(rule, ConnectionStates::INVALID));
        }
        rules
    }

    /// Behind IPVS: what was no candidate passes, and what IPVS has made its own.
    pub(super) fn answered(&self) -> Vec<Rule> {
        let no_candidate =
            Rule::about("judged already").when(Meta::Mark, Test::IsNot(MAYBE_ANSWER));
        let mut rules = vec![no_candidate.then(Verdict::Accept)];
        for is_ipv4 in [true, false] {
            let addresses = self
                .nat_services(is_ipv4)
                .map(|service| host(service.address));
            if let Some(spans) = joined(addresses, is_ipv4).filter(|spans| !spans.is_empty()) {
                let rule = Rule::about("answers of services");
                let rule = rule.when(source(View::Packet, is_ipv4), among(spans));
                rules.push(counted(rule, Verdict::Accept));
            }
        }
        rules
    }
}

/// Servers of a service, and the one that stands in for all of them.
fn servers(service: &Service) -> impl Iterator<Item = Endpoint> {
    let servers = service.servers.iter().map(|server| server.endpoint);
    servers.chain(service.fallback)
}

/// A test for address, protocol and port in a set.
fn triple(about: &str, address: Selector, port: Field, set: String) -> Rule {
    let protocols = one_of([Datum::TCP, Datum::UDP]);
    Rule::about(about)
        .when(Meta::Protocol, protocols)
        .and(Statement::Lookup {
            key: vec![address, Meta::Protocol.into(), port.into()],
            members: Members::Named(set),
            inverted: false,
        })
}

fn triples(
    name: String,
    is_ipv4: bool,
    members: impl Iterator<Item = (Protocol, Endpoint)>,
) -> Set {
    let mut members: Vec<(IpAddr, Protocol, u16)> = members
        .map(|(protocol, endpoint)| (endpoint.address, protocol, endpoint.port))
        .collect();
    members.sort_unstable();
    members.dedup();
    let element = |(address, protocol, port)| {
        let protocol = match protocol {
            Protocol::Tcp => Datum::TCP,
            Protocol::Udp => Datum::UDP,
        };
        let parts = [Datum::from(address), protocol, Datum::Port(port)];
        Key::Several(parts.map(Into::into).into()).into()
    };
    let kind = if is_ipv4 { Kind::Ipv4 } else { Kind::Ipv6 };
    Set {
        name,
        shape: Shape::exact([kind, Kind::Protocol, Kind::Port]),
        elements: members.into_iter().map(element).collect(),
    }
}

fn service_set(is_ipv4: bool) -> String {
    format!("service.{}", if is_ipv4 { 4 } else { 6 })
}

fn server_set(is_ipv4: bool) -> String {
    format!("server.{}", if is_ipv4 { 4 } else { 6 })
}
