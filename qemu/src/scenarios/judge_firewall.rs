//! What the firewall does and what it says. Real hosts try every kind of rule: accepted, refused, dropped, translated.
//! Debian's nft and conntrack then say, on the boxes' own kernels, which rules and connections they hold, and each line of
//! it must be in what our console says, and the ruleset what `polluxctl rules` promises. Last, a flowtable: packets that
//! pass it pass our kernel without the rules.

use super::judge_ruleset;
use super::matrix::{self, Held};
use super::stage::{Stage, ensure};
use crate::net::NODES;
use crate::pair::Pair;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const VERDICT_TIMEOUT: Duration = Duration::from_secs(20);
/// The client's addresses, by which its connections are listed.
const CLIENTS: [(&str, &str); 2] = [("ipv4", "192.0.2.100"), ("ipv6", "2001:db8:1::100")];
/// A table of the judge's own; ours stays as it is.
const FLOWTABLE: &str = "table inet judge { flowtable fast { hook ingress priority 0; devices = { eth0, eth1 }; }; \
    chain forward { type filter hook forward priority 1; ct state established flow add @fast; }; }";
/// Passed through the flowtable, and back.
const FAST_BYTES: usize = 100_000;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.fresh_pair(|config| {
        config.has_firewall = true;
        config.has_matrix = true;
    })?;
    let active = pair.active()?;
    matrix::serve()?;
    let held = matrix::try_all()?;
    stage
        .world
        .timeline
        .note("testbed", "every row of the matrix is as the config means");
    for (node, name) in NODES.iter().enumerate() {
        let outcome = wait_alike(|| judge_ruleset::views(&stage.world, &pair, node));
        outcome.with_context(|| format!("the ruleset of {name}"))?;
        wait_alike(|| rules(&pair, node))?;
    }
    for (family, client) in CLIENTS {
        wait_alike(|| connections(&pair, active, family, client))?;
    }
    pass_flowtable(&pair, active, held)
}

/// What the judge says and what we say, line by line.
pub struct Views {
    /// Debian's nft or conntrack.
    pub judge: BTreeSet<String>,
    /// The console or polluxctl.
    pub ours: BTreeSet<String>,
}

/// Waits until both say the same, and something.
fn wait_alike(look: impl Fn() -> Result<Views>) -> Result<()> {
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    loop {
        let Views { judge, ours } = look()?;
        if judge == ours && !judge.is_empty() {
            return Ok(());
        }
        let only = |mine: &BTreeSet<String>, other| {
            let lines = mine.difference(other).map(String::as_str);
            lines.collect::<Vec<_>>().join("\n")
        };
        let found = format!(
            "{} lines of the judge's; it alone says:\n{}\nwe alone say:\n{}",
            judge.len(),
            only(&judge, &ours),
            only(&ours, &judge)
        );
        let what = "the judge and we should say the same";
        ensure(Instant::now() < deadline, what, &found)?;
    }
}

/// Each rule as `chain number: counts, comment`. Counts are compared where only what is forwarded counts: the box itself
/// never rests.
fn rules(pair: &Pair, node: usize) -> Result<Views> {
    let text = pair.shell(node, "nft list table inet pollux")?;
    let judge = judged_rules(&text);
    let said = pair.machine(node)?.console.ask("firewall")?;
    Ok(Views {
        judge,
        ours: said_rules(&said),
    })
}

fn judged_rules(lines: &[String]) -> BTreeSet<String> {
    let mut all = Rules::default();
    let mut is_chain = false;
    for line in lines {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("chain ") {
            is_chain = true;
            all.enter(name.trim_end_matches(" {"));
        } else if line == "}" {
            is_chain = false;
        } else if is_chain && !line.is_empty() && !line.starts_with("type ") {
            let counts = line.split_once("counter packets ").and_then(|(_, rest)| {
                let mut words = rest.split(' ');
                Some((words.next()?, words.nth(1)?))
            });
            let comment = line.rsplit_once(" comment \"").map(|(_, comment)| comment);
            all.add(counts, comment.unwrap_or_default().trim_end_matches('"'));
        }
    }
    all.lines
}

fn said_rules(lines: &[String]) -> BTreeSet<String> {
    let mut all = Rules::default();
    let mut column = 0;
    for line in unwrapped(lines) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            _ if !line.starts_with(' ') => all.enter(line.split(':').next().unwrap_or_default()),
            ["packets", ..] => column = line.rfind("rule").unwrap_or_default(),
            [packets, bytes, ..] => {
                let counts = (*packets != "-").then_some((*packets, *bytes));
                all.add(counts, line.get(column..).unwrap_or_default().trim());
            }
            _ => (),
        }
    }
    all.lines
}

#[derive(Default)]
struct Rules {
    chain: String,
    number: usize,
    lines: BTreeSet<String>,
}

impl Rules {
    fn enter(&mut self, chain: &str) {
        (self.chain, self.number) = (chain.trim().to_owned(), 0);
    }

    fn add(&mut self, counts: Option<(&str, &str)>, comment: &str) {
        self.number += 1;
        let mut line = format!("{} {}: ", self.chain, self.number);
        let _ = match counts {
            Some((packets, bytes)) if is_at_rest(&self.chain) => {
                write!(line, "{packets} packets, {bytes} bytes")
            }
            Some(_) => write!(line, "counted"),
            None => write!(line, "not counted"),
        };
        self.lines.insert(format!("{line}, {comment}"));
    }
}

/// Only what is forwarded passes it.
fn is_at_rest(chain: &str) -> bool {
    let mut between = chain.split('.');
    let is_zone = |name: Option<&str>| matches!(name, Some("outside" | "inside"));
    is_zone(between.next()) && is_zone(between.next())
}

/// Each TCP or UDP connection as `tcp ESTABLISHED 192.0.2.100:5 10.0.0.11:80`, and who answers whom where that differs.
fn connections(pair: &Pair, node: usize, family: &str, client: &str) -> Result<Views> {
    let text = pair.shell(
        node,
        &format!("conntrack -L -f {family} -s {client} 2>/dev/null"),
    )?;
    let judge = text.iter().filter_map(|line| judged_connection(line));
    let said = pair
        .machine(node)?
        .console
        .ask(&format!("connections {client}"))?;
    let console = unwrapped(&said);
    let console = console.iter().filter_map(|line| said_connection(line));
    let is_from = |line: &String| {
        let from = line
            .split(' ')
            .rev()
            .nth(if line.contains(" to ") { 4 } else { 1 });
        let from = from.and_then(|from| from.parse::<SocketAddr>().ok());
        from.is_some_and(|from| from.ip().to_string() == client)
    };
    Ok(Views {
        judge: judge.collect(),
        ours: console.filter(is_from).collect(),
    })
}

/// `tcp 6 99 ESTABLISHED src=A dst=B sport=1 dport=2 src=C dst=D sport=3 dport=4 [ASSURED] …`.
fn judged_connection(line: &str) -> Option<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let protocol = *words.first().filter(|name| ["tcp", "udp"].contains(name))?;
    let state = words.get(3).filter(|word| !word.contains('='));
    let values = |name: &str| -> Vec<String> {
        let prefix = format!("{name}=");
        let values = words.iter().filter_map(|word| word.strip_prefix(&prefix));
        values.map(str::to_owned).collect()
    };
    let end = |address: &str, port: &str, place: usize| -> Option<SocketAddr> {
        let address: IpAddr = values(address).get(place)?.parse().ok()?;
        Some(SocketAddr::new(
            address,
            values(port).get(place)?.parse().ok()?,
        ))
    };
    let (from, to) = (end("src", "sport", 0)?, end("dst", "dport", 0)?);
    let (server, answered) = (end("src", "sport", 1)?, end("dst", "dport", 1)?);
    let mut text = protocol.to_owned();
    if let Some(state) = state {
        text += &format!(" {state}");
    }
    text += &format!(" {from} {to}");
    if (server, answered) != (to, from) {
        text += &format!(" {server} to {answered}");
    }
    Some(text)
}

/// A row of our console's table: seconds left and bytes are passing things.
fn said_connection(line: &str) -> Option<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let protocol = *words.first().filter(|name| ["tcp", "udp"].contains(name))?;
    let ends = if words.contains(&"to") { 5 } else { 2 };
    let start = words.len().checked_sub(ends)?;
    let state = words.get(1..start.checked_sub(2)?)?;
    let parts = [&[protocol], state, words.get(start..)?].concat();
    Some(parts.join(" "))
}

/// Rows of a table with the rest of each, which stands far to the right below it, put back.
fn unwrapped(lines: &[String]) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for line in lines {
        match rows.last_mut() {
            Some(row) if line.starts_with("      ") => {
                row.push(' ');
                row.push_str(line.trim());
            }
            _ => rows.push(line.trim_end().to_owned()),
        }
    }
    rows
}

/// A connection that is held goes on by a flowtable, and conntrack says so.
fn pass_flowtable(pair: &Pair, node: usize, mut held: Held) -> Result<()> {
    pair.shell(node, &format!("nft '{FLOWTABLE}'"))?;
    let (stream, server) = held.accepted()?;
    let from = stream.local_addr()?;
    echo(stream)?;
    let offloaded = pair.shell(node, "conntrack -L -p tcp 2>/dev/null")?;
    let port = format!("sport={} ", from.port());
    let is_ours = |line: &&String| line.contains(&port);
    let line = offloaded.iter().find(is_ours);
    let line = line.with_context(|| format!("no connection from {from} to {server}"))?;
    let what = "a connection through a flowtable should be marked so";
    ensure(line.contains("[OFFLOAD]"), what, line)?;
    pair.shell(node, "nft delete table inet judge")?;
    echo(stream)?;
    let tables = pair.shell(node, "nft list tables")?.join("\n");
    let is_left = tables.contains("judge");
    ensure(!is_left, "the judge should leave no table", &tables)
}

/// Bytes that come back as they were sent.
fn echo(stream: &mut TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(FAST_BYTES).collect();
    let mut back = vec![0; FAST_BYTES];
    for (piece, room) in sent.chunks(4096).zip(back.chunks_mut(4096)) {
        stream.write_all(piece)?;
        stream
            .read_exact(room)
            .context("waiting for what was sent to come back")?;
    }
    ensure(
        sent == back,
        "bytes should come back as they were sent",
        "others",
    )
}
