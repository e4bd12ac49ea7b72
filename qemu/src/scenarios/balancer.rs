//! The balancer as a client sees it: every forwarding method with real HTTP over IPv4 and IPv6, and servers that
//! fall ill and recover.

use super::stage::{Stage, ensure};
use crate::net::{CLIENT, VIRTUAL_V4, VIRTUAL_V6};
use crate::probe::http::{self, HttpStream, tally};
use crate::servers::{PORT_DIRECT, PORT_NAT, PORT_TUNNEL};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Requests by which every server must have answered.
const REQUESTS: usize = 12;
const REQUEST_INTERVAL: Duration = Duration::from_millis(50);
/// Checks every second with a timeout of 1 s, two failures or successes in a row, and a margin for emulation.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(15);
const WEB: [&str; 3] = ["web1", "web2", "web3"];

pub fn nat(stage: &mut Stage) -> Result<()> {
    carries(stage, PORT_NAT, &WEB)
}

pub fn direct(stage: &mut Stage) -> Result<()> {
    carries(stage, PORT_DIRECT, &["direct1", "direct2"])
}

pub fn tunnel(stage: &mut Stage) -> Result<()> {
    carries(stage, PORT_TUNNEL, &["tunnel1", "tunnel2"])
}

pub fn server_down(stage: &mut Stage) -> Result<()> {
    let _pair = stage.pair()?;
    let target = target(VIRTUAL_V4, PORT_NAT)?;
    wait_servers(target, &WEB)?;
    // An unwell server still answers, so that no request need fail: it is quiesced, not cut off.
    let stream = HttpStream::start(CLIENT, target, REQUEST_INTERVAL)?;
    stage.world.servers.set_well("web2", false)?;
    wait_servers(target, &["web1", "web3"])?;
    stage.world.servers.set_well("web2", true)?;
    wait_servers(target, &WEB)?;
    let quiesced = tally(&stream.finish());
    ensure(
        quiesced.failed == 0,
        "no request should fail",
        &format!("{quiesced:?}"),
    )?;
    // A dead one refuses connections until two checks have failed.
    stage.world.servers.stop("web2");
    wait_servers(target, &["web1", "web3"])?;
    stage.world.servers.restart("web2")?;
    wait_servers(target, &WEB)
}

pub fn all_down(stage: &mut Stage) -> Result<()> {
    let _pair = stage.pair()?;
    let target = target(VIRTUAL_V4, PORT_NAT)?;
    wait_servers(target, &WEB)?;
    for name in WEB {
        stage.world.servers.set_well(name, false)?;
    }
    wait_servers(target, &["sorry"])?;
    for name in WEB {
        stage.world.servers.set_well(name, true)?;
    }
    wait_servers(target, &WEB)
}

fn target(address: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(address.parse()?, port))
}

fn carries(stage: &mut Stage, port: u16, servers: &[&str]) -> Result<()> {
    let _pair = stage.pair()?;
    for address in [VIRTUAL_V4, VIRTUAL_V6] {
        wait_servers(target(address, port)?, servers)?;
    }
    Ok(())
}

/// Asks until a round of requests is answered by exactly these servers, each of them at least once.
fn wait_servers(target: SocketAddr, servers: &[&str]) -> Result<()> {
    let wanted: BTreeSet<String> = servers.iter().map(|name| (*name).to_owned()).collect();
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    loop {
        let answers: Vec<Result<String>> =
            (0..REQUESTS).map(|_| http::get(CLIENT, target)).collect();
        let names: BTreeSet<String> = answers.iter().flatten().cloned().collect();
        let failure = answers.iter().find_map(|answer| answer.as_ref().err());
        if failure.is_none() && names == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            let failure = failure
                .map(|error| format!("; {error:#}"))
                .unwrap_or_default();
            bail!("{target} should be answered by {wanted:?}, is by {names:?}{failure}");
        }
    }
}
