//! The kernel's rules and connections as text for people.

use super::protocol;
use super::table::Table;
use crate::ipc::control::tables::{ConnectionLine, ConnectionReport, FirewallLine, Talker};
use core::fmt::Write;
use std::net::IpAddr;

/// A page of the ruleset in force: chain by chain, each rule with what it has seen.
pub fn firewall(lines: &[FirewallLine]) -> String {
    if lines.is_empty() {
        return "no rules are in force: every packet passes\n".into();
    }
    let mut out = String::new();
    let mut table = rules();
    for line in lines {
        match line {
            FirewallLine::Chain { name, hook } => {
                out.push_str(&core::mem::replace(&mut table, rules()).render());
                let _ = match hook {
                    Some(hook) => writeln!(out, "{name}: {hook}"),
                    None => writeln!(out, "{name}"),
                };
            }
            FirewallLine::Rule {
                about,
                decision,
                counted,
            } => {
                let count = |number: Option<u64>| number.map_or("-".into(), |n| n.to_string());
                table.row([
                    count(counted.map(|(packets, _)| packets)),
                    count(counted.map(|(_, bytes)| bytes)),
                    decision.clone(),
                    about.clone(),
                ]);
            }
        }
    }
    out.push_str(&table.render());
    out
}

fn rules() -> Table {
    Table::new(2, &["packets", "bytes", "then", "rule"])
}

/// Sums, who opens most, and some of the connections where not all were wanted.
pub fn connections(report: &ConnectionReport) -> String {
    let mut out = String::new();
    let ConnectionReport {
        total, matching, ..
    } = report;
    let kinds = report.protocols.iter();
    let kinds = kinds.map(|(number, count)| format!("{count} {}", protocol::name(*number)));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    let _ = match matching {
        0 => writeln!(out, "0 of {total} connections"),
        _ => writeln!(
            out,
            "{matching} of {total} connections: {kinds}; {} bytes",
            report.bytes
        ),
    };
    out.push_str(&talkers(&report.talkers));
    if report.is_partial {
        out.push_str("  (there are more than are counted here)\n");
    }
    out.push_str(&each(&report.connections));
    let shown = u64::try_from(report.connections.len()).unwrap_or(u64::MAX);
    if shown > 0 && shown < *matching {
        let _ = writeln!(out, "  ({} more)", matching - shown);
    }
    out
}

fn talkers(talkers: &[Talker]) -> String {
    let mut table = Table::new(2, &["opened by", "connections", "bytes"]);
    for talker in talkers {
        table.row([
            talker.address.to_string(),
            talker.connections.to_string(),
            talker.bytes.to_string(),
        ]);
    }
    table.render()
}

fn each(connections: &[ConnectionLine]) -> String {
    let mut table = Table::new(
        2,
        &["", "state", "left s", "bytes", "from, to, answered by"],
    );
    for connection in connections {
        let way = match connection.translated {
            None => format!("{} {}", end(connection.from), end(connection.to)),
            Some([server, client]) => format!(
                "{} {} {} to {}",
                end(connection.from),
                end(connection.to),
                end(server),
                end(client)
            ),
        };
        table.row([
            protocol::name(connection.protocol),
            connection.state.clone().unwrap_or_default(),
            connection.timeout_s.to_string(),
            connection
                .bytes
                .map_or("-".into(), |bytes| bytes.to_string()),
            way,
        ]);
    }
    table.render()
}

fn end((address, port): (IpAddr, Option<u16>)) -> String {
    match (address, port) {
        (_, None) => address.to_string(),
        (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn rules_look_like_this() {
        let rule = |about: &str, decision: &str, counted| FirewallLine::Rule {
            about: about.into(),
            decision: decision.into(),
            counted,
        };
        let lines = [
            FirewallLine::Chain {
                name: "forward".into(),
                hook: Some("forward, policy drop".into()),
            },
            rule("rule 3 \"ssh\"", "accept", Some((12, 4711))),
            rule("between zones", "vmap", None),
        ];
        assert_eq!(
            firewall(&lines),
            "forward: forward, policy drop\n  \
             packets  bytes  then    rule\n  \
             12       4711   accept  rule 3 \"ssh\"\n  \
             -        -      vmap    between zones\n"
        );
        assert!(firewall(&[]).contains("every packet passes"));
    }

    #[test]
    fn connections_look_like_this() {
        let address = |last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        let report = ConnectionReport {
            total: 7,
            matching: 2,
            protocols: vec![(6, 1), (1, 1)],
            bytes: 999,
            talkers: vec![Talker {
                address: address(1),
                connections: 2,
                bytes: 999,
            }],
            is_partial: false,
            connections: vec![ConnectionLine {
                protocol: 6,
                from: (address(1), Some(5)),
                to: (address(2), Some(80)),
                translated: Some([(address(3), Some(8080)), (address(1), Some(5))]),
                state: Some("ESTABLISHED".into()),
                timeout_s: 9,
                bytes: Some(900),
            }],
        };
        assert_eq!(
            connections(&report),
            "2 of 7 connections: 1 tcp, 1 icmp; 999 bytes\n  \
             opened by  connections  bytes\n  \
             10.0.0.1   2            999\n       \
             state        left s  bytes  from, to, answered by\n  \
             tcp  ESTABLISHED  9       900    10.0.0.1:5 10.0.0.2:80 10.0.0.3:8080 to\n                                   \
             10.0.0.1:5\n  \
             (1 more)\n"
        );
    }
}
