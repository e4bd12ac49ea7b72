//! The active box dies in the very moment in which it tells its twin everything: the twin came back just before. It takes
//! over all the same, and what it was told of lives on. What it was not told of it can't know, and it says so.

use super::flows::{Act, NOTHING_BY_ITSELF};
use super::flows_weather::PORT;
use super::stage::{Stage, ensure, line_with};
use crate::flows::Ends;
use crate::flows::route::Way;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active};
use crate::weather::Weather;
use anyhow::Result;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Ways of connections that the firewall knows of.
const WAYS: [Way; 3] = [Way::Routed, Way::Masqueraded, Way::Translated];
/// As conntrack(8) names its protocol, and who calls whom.
type Connection = (String, Ends);
/// So many full datagrams of the news arrive: about a third.
pub const FULL: u64 = 5;

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.firewall_pair()?;
    let act = Act::begin(stage, pair.clone(), &WAYS)?;
    pair.wait_in_sync()?;
    let active = pair.active()?;
    let heir = pair.machine(1 - active)?;
    heir.power_cut();
    let weather = Weather::start_until("sync", PORT, active, FULL)?;
    let (console, door) = (heir.console.mark(), heir.door.mark());
    heir.power_on()?;
    weather.wait_over(BOOT_TIMEOUT)?;
    crate::door::wait_open(&heir.door, door)?;
    pair.shell(1 - active, NOTHING_BY_ITSELF)?;
    let told = wait_known(&pair, 1 - active)?;
    let status = pair.status(1 - active)?;
    let connections = line_with(&status, "connections: ")?;
    let is_said = connections.starts_with("connections: NOT ");
    ensure(
        is_said,
        "the heir should say that it lacks some",
        connections,
    )?;
    let excused = act
        .flows
        .excuse(|protocol, ends| told.contains(&(protocol.to_owned(), ends)));
    act.flows.forget_stalls();
    pair.machine(active)?.power_cut();
    let line = heir
        .console
        .wait_for(console, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    act.go_on(line.at)?;
    let whole = act.flows.so_far().flows_total;
    let broken = act.flows.excused_broken();
    let story = format!("told of {whole} flows, which go on; of {excused} others {broken} broke");
    stage.world.timeline.note(heir.name(), story.clone());
    ensure(
        whole > 0 && excused > 0,
        "the heir should be told of some flows and not of all",
        &story,
    )?;
    weather.clear()?;
    act.rejoin(active)?;
    act.end()
}

/// The same, once what arrived is in the kernel.
fn wait_known(pair: &Pair, node: usize) -> Result<BTreeSet<Connection>> {
    let deadline = Instant::now() + ROLE_TIMEOUT;
    loop {
        let all = known(pair, node)?;
        if !all.is_empty() {
            return Ok(all);
        }
        let what = "the heir's kernel should hold what arrived";
        ensure(Instant::now() < deadline, what, "nothing")?;
    }
}

/// The connections that the kernel of a box holds, as conntrack(8) says.
fn known(pair: &Pair, node: usize) -> Result<BTreeSet<Connection>> {
    let mut all = BTreeSet::new();
    for family in ["ipv4", "ipv6"] {
        // Only what is wanted: a serial line is slow.
        let command = format!(
            "conntrack -L -f {family} 2>&1 | sed -E 's/^([a-z]+) [^=]*src=([^ ]+) dst=([^ ]+) sport=([0-9]+) dport=([0-9]+) .*/\\1 \\2 \\4 \\3 \\5/'"
        );
        let lines = pair.shell(node, &command)?;
        all.extend(lines.iter().filter_map(|line| connection(line)));
    }
    Ok(all)
}

/// Its protocol, then address and port of the one, then of the other.
fn connection(line: &str) -> Option<Connection> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [protocol, from, from_port, to, to_port] = words.as_slice() else {
        return None;
    };
    let end = |address: &str, port: &str| -> Option<SocketAddr> {
        let address: IpAddr = address.parse().ok()?;
        Some(SocketAddr::new(address, port.parse().ok()?))
    };
    let ends = (end(from, from_port)?, end(to, to_port)?);
    Some(((*protocol).to_owned(), ends))
}
