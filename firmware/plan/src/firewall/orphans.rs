//! Segments of balanced connections that this box knows nothing of. IPVS leaves them to the box's own TCP, which has no
//! socket for them and resets the connection. At a handover the twin may have met a client a moment ago, and what it
//! tells of that client may come after the client's next segment: so the first segments go unanswered, as if they
//! were lost, and the client sends again. What is unknown after `HELD_S` is reset as ever.

use super::traffic::{View, destination, source};
use super::{BEHIND_BALANCER, Plan, counted};
use crate::config::{Protocol, Service};
use crate::ruleset::{
    Chain, Datum, DynamicOperation, Element, Field, Hook, Key, Kind, Members, Policy, Rule, Set,
    Shape, Span, Statement, Table, Tcp, TcpFlags, Test, Verdict,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// From the first segment on: longer than a handover and a lost datagram take, and as long as a client's first four
/// retransmissions.
const HELD_S: u32 = 3;
/// Who was held is reset from then on, if it comes again within this.
const REMEMBERED_S: u32 = 60;
/// Bound of the sets; beyond it segments are answered as if there were no rules.
const ORPHANS_MAX: u32 = 65_535;

impl Plan<'_> {
    /// The chain and its sets, where there are services to which clients speak TCP.
    pub(super) fn orphans(&self, table: &mut Table) {
        let mut chain = Chain::base("orphans", Hook::Input, BEHIND_BALANCER, Policy::Accept);
        for is_ipv4 in [true, false] {
            let services: Vec<_> = self.tcp_services(is_ipv4).map(endpoint).collect();
            if services.is_empty() {
                continue;
            }
            table.sets.extend(sets(is_ipv4));
            chain.rules.extend(rules(is_ipv4, &services));
        }
        if !chain.rules.is_empty() {
            table.chains.push(chain);
        }
    }

    fn tcp_services(&self, is_ipv4: bool) -> impl Iterator<Item = &Service> {
        let services = self.config.services.iter();
        services.filter(move |service| {
            service.protocol == Protocol::Tcp && service.address.is_ipv4() == is_ipv4
        })
    }
}

fn sets(is_ipv4: bool) -> [Set; 2] {
    let kind = if is_ipv4 { Kind::Ipv4 } else { Kind::Ipv6 };
    [
        (held_set(is_ipv4), HELD_S),
        (known_set(is_ipv4), REMEMBERED_S),
    ]
    .map(|(name, timeout_s)| Set {
        name,
        shape: Shape::dynamic([kind, Kind::Port], timeout_s, ORPHANS_MAX),
        elements: Vec::new(),
    })
}

fn rules(is_ipv4: bool, services: &[Element]) -> [Rule; 3] {
    let sender = || vec![source(View::Packet, is_ipv4), Field::SourcePort.into()];
    let of = |about: &str| {
        let begins = Datum::TcpFlags(TcpFlags::SYN | TcpFlags::RST);
        Rule::about(about)
            .when(Field::Tcp(Tcp::Flags), Test::No(begins))
            .and(Statement::Lookup {
                key: vec![
                    destination(View::Packet, is_ipv4),
                    Field::DestinationPort.into(),
                ],
                members: Members::These(services.to_vec()),
                inverted: false,
            })
    };
    let is_in = |rule: Rule, set| {
        rule.and(Statement::Lookup {
            key: sender(),
            members: Members::Named(set),
            inverted: false,
        })
    };
    let remember = |rule: Rule, set| {
        rule.and(Statement::Update {
            operation: DynamicOperation::Add,
            set,
            key: sender(),
            timeout_s: None,
            meters: Vec::new(),
        })
    };
    let held = is_in(of("not known yet"), held_set(is_ipv4));
    let known = is_in(of("not known still"), known_set(is_ipv4));
    let first = remember(of("not known"), known_set(is_ipv4));
    let first = remember(first, held_set(is_ipv4));
    [
        counted(held, Verdict::Drop),
        counted(known, Verdict::Accept),
        counted(first, Verdict::Drop),
    ]
}

fn endpoint(service: &Service) -> Element {
    let parts = [Datum::from(service.address), Datum::Port(service.port)];
    Key::Several(parts.map(Span::One).into()).into()
}

fn held_set(is_ipv4: bool) -> String {
    format!("held.{}", if is_ipv4 { 4 } else { 6 })
}

fn known_set(is_ipv4: bool) -> String {
    format!("orphan.{}", if is_ipv4 { 4 } else { 6 })
}
