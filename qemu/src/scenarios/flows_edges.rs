//! What is awkward about flows that two boxes know: answers that go by the other box for a moment, a client that
//! begins anew from a port that the heir holds to be in use, a flow that ends while its box is dead, and an order to
//! take over given to a box that is just being told everything.

use super::flows::Act;
use super::stage::Stage;
use crate::flows::route::{PORT_PLAIN, WAYS};
use crate::net::CLIENT;
use crate::ns;
use crate::pair::{BOOT_TIMEOUT, ROLE_TIMEOUT, is_active, is_standing};
use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Source ports of connections that begin anew: below those that the client's kernel gives to the flows.
const REUSED: u16 = 22_333;
const ENDED: u16 = 22_334;
/// A client whose port is taken for in use is asked about it, says no, and asks again a second later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
const WEBS: [&str; 3] = ["web1", "web2", "web3"];
/// How long answers go by the other box.
const CROSSED: Duration = Duration::from_secs(2);

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.firewall_pair()?;
    let act = Act::begin(stage, pair, &WAYS)?;
    act.pair.wait_in_sync()?;
    let first = act.pair.active()?;
    crossed(&act, first)?;

    let (reused, ended) = (connect(REUSED)?, connect(ENDED)?);
    act.pair.wait_in_sync()?;
    // Its reset goes into the void; the heir learns of nothing.
    act.power_cut_and(first, || {
        reused.set_linger(Some(Duration::ZERO))?;
        drop(reused);
        Ok(())
    })?;
    drop(connect(REUSED).context("from a port that the heir holds to be in use")?);
    drop(ended);

    rejoin_hastily(&act, first)?;
    drop(connect(ENDED).context("from the port of a flow that ended while its box was dead")?);
    act.end()
}

/// Hosts behind the pair answer by way of the standby, and then as before.
fn crossed(act: &Act, active: usize) -> Result<()> {
    let standby = 1 - active + 2;
    let began = Instant::now();
    route_by(&format!("10.0.0.{standby}"), &format!("fd00:a::{standby}"))?;
    let outcome = act.go_on(began + CROSSED);
    route_by("10.0.0.1", "fd00:a::1")?;
    outcome?;
    act.go_on(Instant::now())
}

fn route_by(v4: &str, v6: &str) -> Result<()> {
    let lines = format!("route replace default via {v4}\nroute replace ::/0 via {v6}\n");
    WEBS.iter().try_for_each(|host| ns::ip_in(host, &lines))
}

/// Box `dead` comes back and is told to take over before it can know anything: it must wait until it does.
fn rejoin_hastily(act: &Act, dead: usize) -> Result<()> {
    let machine = act.pair.machine(dead)?;
    let mark = machine.console.mark();
    machine.power_on()?;
    machine
        .console
        .wait_for(mark, "`standby, ready`", BOOT_TIMEOUT, is_standing)?;
    machine.console.ask("takeover")?;
    let line = machine
        .console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    act.go_on(line.at)?;
    act.pair.wait_calm()
}

/// A connection from the client's port `port` to a host behind the pair.
fn connect(port: u16) -> Result<Socket> {
    ns::within(CLIENT, move || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        let target = SocketAddr::from(([10, 0, 0, 11], PORT_PLAIN));
        socket
            .connect_timeout(&target.into(), CONNECT_TIMEOUT)
            .with_context(|| format!("connecting from port {port} to {target}"))?;
        Ok(socket)
    })
}
