//! What is awkward about flows that two boxes know: answers that go by the other box for a moment, a client that
//! begins anew from a port that the heir holds to be in use, a flow that ends while its box is dead, and an order to
//! take over given to a box that is just being told everything.

use super::flows::{Act, NOTHING_BY_ITSELF};
use super::flows_bulk::FULL;
use super::flows_weather::PORT;
use super::stage::{Stage, ensure};
use crate::door;
use crate::flows::route::{Route, WAYS, Way};
use crate::net::{CLIENT, NODES};
use crate::ns;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::weather::Weather;
use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// A connection of the client's from this port of its own, below those that its kernel gives to the flows.
type Call = (u16, Way);

/// Those that begin anew.
const REUSED: [Call; 2] = [(22_333, Way::Routed), (22_334, Way::Translated)];
/// The one that ends while its box is dead.
const ENDED: Call = (22_335, Way::Routed);
/// A client whose port is taken for in use is asked about it, says no, and asks again a second later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
const WEBS: [&str; 3] = ["web1", "web2", "web3"];
/// How long answers go by the other box.
const CROSSED: Duration = Duration::from_secs(2);
/// At least so many of them: a small part of what the flows say meanwhile.
const CROSSED_PACKETS_MIN: u64 = 100;
const ESTABLISHED: &str = "ESTABLISHED";

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.firewall_pair()?;
    let act = Act::begin(stage, pair, &WAYS)?;
    act.pair.wait_in_sync()?;
    let first = act.pair.active()?;
    crossed(&act, first)?;

    let ended = connect(ENDED)?;
    let reused: Vec<_> = REUSED.into_iter().map(connect).collect::<Result<_>>()?;
    let calls = REUSED.into_iter().chain([ENDED]);
    calls
        .clone()
        .try_for_each(|call| wait_known(&act.pair, call))?;
    // Their resets go into the void; the heir learns of nothing.
    let taken = act.taken_over(first, || {
        for socket in reused {
            socket.set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    })?;
    for call in REUSED {
        drop(connect(call).context("from a port that the heir holds to be in use")?);
    }
    act.go_on(taken)?;
    drop(ended);

    rejoin_hastily(&act, first)?;
    for node in 0..NODES.len() {
        let found = states(&act.pair, node, ENDED)?.join("\n");
        let what = "no box should hold open what ended while its box was dead";
        ensure(!found.contains(ESTABLISHED), what, &found)?;
    }
    drop(connect(ENDED).context("from the port of a flow that ended while its box was dead")?);
    act.end()
}

/// Waits until the kernels of both boxes hold a connection for established.
fn wait_known(pair: &Pair, call: Call) -> Result<()> {
    let deadline = Instant::now() + ROLE_TIMEOUT;
    for node in 0..NODES.len() {
        loop {
            let found = states(pair, node, call)?.join("\n");
            if found.contains(ESTABLISHED) {
                break;
            }
            let what = format!(
                "both boxes should know of the connection from port {}",
                call.0
            );
            ensure(Instant::now() < deadline, &what, &found)?;
        }
    }
    Ok(())
}

/// What the kernel of a box holds of a connection, as conntrack(8) says.
fn states(pair: &Pair, node: usize, (port, _): Call) -> Result<Vec<String>> {
    pair.shell(
        node,
        &format!("conntrack -L -p tcp --orig-port-src {port} 2>/dev/null"),
    )
}

/// Hosts behind the pair answer by way of the standby, and then as before.
fn crossed(act: &Act, active: usize) -> Result<()> {
    let standby = 1 - active;
    let number = standby + 2;
    let before = forwarded(&act.pair, standby)?;
    let began = Instant::now();
    route_by(&format!("10.0.0.{number}"), &format!("fd00:a::{number}"))?;
    let outcome = act.go_on(began + CROSSED);
    route_by("10.0.0.1", "fd00:a::1")?;
    outcome?;
    let after = forwarded(&act.pair, standby)?;
    for (count, more) in before.into_iter().zip(after) {
        let found = format!("{count} packets, then {more}");
        let what = "the standby should forward answers of either family";
        ensure(more >= count + CROSSED_PACKETS_MIN, what, &found)?;
    }
    act.go_on(Instant::now())
}

/// Packets that a box has forwarded, over IPv4 and IPv6.
fn forwarded(pair: &Pair, node: usize) -> Result<[u64; 2]> {
    let lines = pair.shell(node, "grep ^Ip: /proc/net/snmp")?;
    let words: Vec<Vec<_>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let names = words.first().into_iter().flatten();
    let mut columns = names.zip(words.last().into_iter().flatten());
    let v4 = columns.find(|(name, _)| **name == "ForwDatagrams");
    let lines = pair.shell(node, "grep Ip6OutForwDatagrams /proc/net/snmp6")?;
    let v6 = lines.iter().find_map(|line| line.split_whitespace().last());
    let count = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
    let counts = (count(v4.map(|(_, value)| *value)), count(v6));
    let (Some(v4), Some(v6)) = counts else {
        bail!("no counters of what is forwarded: {words:?}, {lines:?}");
    };
    Ok([v4, v6])
}

fn route_by(v4: &str, v6: &str) -> Result<()> {
    let lines = format!("route replace default via {v4}\nroute replace ::/0 via {v6}\n");
    WEBS.iter().try_for_each(|host| ns::ip_in(host, &lines))
}

/// Box `dead` comes back and is told to take over in the midst of the heir's bulk: it must wait until it knows all.
fn rejoin_hastily(act: &Act, dead: usize) -> Result<()> {
    let machine = act.pair.machine(dead)?;
    let weather = Weather::start_until("sync", PORT, 1 - dead, FULL)?;
    let (mark, door) = (machine.console.mark(), machine.door.mark());
    machine.power_on()?;
    weather.wait_over(BOOT_TIMEOUT)?;
    machine
        .console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    door::wait_open(&machine.door, door)?;
    act.pair.shell(dead, NOTHING_BY_ITSELF)?;
    let answer = machine.console.ask("takeover")?.join("\n");
    let what = "an order amid the bulk should wait for the rest of it";
    ensure(
        answer.contains("it waits: this box does not hold"),
        what,
        &answer,
    )?;
    weather.clear()?;
    let line = machine
        .console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    act.go_on(line.at)?;
    act.pair.wait_calm()
}

/// Opens a connection to a host behind the pair.
fn connect((port, way): Call) -> Result<Socket> {
    let target = Route { way, is_v6: false }.target(0)?;
    ns::within(CLIENT, move || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        socket
            .connect_timeout(&target.into(), CONNECT_TIMEOUT)
            .with_context(|| format!("connecting from port {port} to {target}"))?;
        Ok(socket)
    })
}
