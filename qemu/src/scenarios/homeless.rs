//! A tunnelled connection whose server the standby alone holds for down, and has removed. In Linux it would go nowhere
//! after a takeover, and its client would hear nothing: the heir must not take it over, but end it.

use super::stage::{Stage, ensure};
use super::talk::Talk;
use crate::net::{CLIENT, NODES, VIRTUAL_V4, cut, mend, tap};
use crate::pair::{Pair, ROLE_TIMEOUT, is_active};
use crate::probe::http;
use crate::servers::PORT_TUNNEL;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Checks every second, two failures or successes in a row, and a margin for emulation.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(20);

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.fresh_pair(|config| {
        config.has_all_services = true;
        config.on_failure = "remove";
    })?;
    let active = pair.active()?;
    let heir = 1 - active;
    let card = tap(NODES.get(heir).context("a pair has two boxes")?, "lan");
    cut(&[format!("iifname \"{card}\" tcp dport 80")])?;
    wait_servers(&pair, heir, false)?;

    let mut talk = Talk::begin(PORT_TUNNEL)?;
    talk.ask()?;
    talk.expect_answer("the active box should carry it")?;
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    let is_counted = |line: &String| line.contains("to servers that this box does not have");
    while !pair.status(heir)?.iter().any(is_counted) {
        let what = "the standby should count the connection that it has no server for";
        ensure(
            Instant::now() < deadline,
            what,
            "no such line in its status",
        )?;
    }

    let console = &pair.machine(heir)?.console;
    let mark = console.mark();
    pair.machine(active)?.power_cut();
    console.wait_for(mark, "`active`", ROLE_TIMEOUT, is_active)?;
    mend()?;
    talk.ask()?;
    // Told of again it lives, unknown it is reset: either is an answer.
    talk.expect_word("the client should hear of its connection")?;
    wait_servers(&pair, heir, true)?;
    let name = http::get(CLIENT, SocketAddr::new(VIRTUAL_V4.parse()?, PORT_TUNNEL))?;
    let what = "the heir should carry new connections to the servers";
    ensure(name.starts_with("tunnel"), what, &name)
}

/// Waits until the kernel of a box has the tunnels' servers, or has none of them.
fn wait_servers(pair: &Pair, node: usize, has: bool) -> Result<()> {
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    let is_server = |line: &String| line.contains("10.0.0.31:") || line.contains("10.0.0.32:");
    loop {
        let lines = pair.shell(node, "ipvsadm -Ln")?;
        if lines.iter().any(is_server) == has {
            return Ok(());
        }
        let what = format!("the servers should be there: {has}");
        ensure(Instant::now() < deadline, &what, &lines.join("\n"))?;
    }
}
