//! A tunnelled connection whose server the standby alone holds for down, and has removed. In Linux it would go nowhere
//! after a takeover, and its client would hear nothing: the heir must not take it over, but end it.

use super::stage::{Stage, ensure};
use crate::net::{CLIENT, NODES, VIRTUAL_V4, cut, mend, tap};
use crate::ns;
use crate::pair::{Pair, ROLE_TIMEOUT, is_active};
use crate::probe::http;
use crate::servers::PORT_TUNNEL;
use anyhow::{Context, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Checks every second, two failures or successes in a row, and a margin for emulation.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection that nobody knows is reset after 3 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: pollux\r\n\r\n";

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

    let mut stream = ns::within(CLIENT, || Ok(TcpStream::connect(target()?)?))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(REQUEST)?;
    let answered = stream.read(&mut [0; 1024])?;
    ensure(answered > 0, "the active box should carry it", "an end")?;
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
    stream.write_all(REQUEST)?;
    // Told of again it lives, unknown it is reset: either is an answer.
    let heard = stream.read(&mut [0; 1024]);
    let is_silence = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    let what = "the client should hear of its connection";
    ensure(
        !heard.as_ref().is_err_and(is_silence),
        what,
        &format!("{heard:?}"),
    )?;
    wait_servers(&pair, heir, true)?;
    let name = http::get(CLIENT, target()?)?;
    let what = "the heir should carry new connections to the servers";
    ensure(name.starts_with("tunnel"), what, &name)
}

fn target() -> Result<SocketAddr> {
    Ok(SocketAddr::new(VIRTUAL_V4.parse()?, PORT_TUNNEL))
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
