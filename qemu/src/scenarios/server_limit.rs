//! A server that has as many connections as it may have gets no more; nor does the box that takes over send it any, which
//! counts those that its twin told it of.

use super::stage::{Stage, ensure};
use super::talk::Talk;
use crate::pair::{Pair, ROLE_TIMEOUT, is_active};
use crate::servers::PORT_NAT;
use anyhow::Result;
use std::time::{Duration, Instant};

const LIMIT: u32 = 1;
/// Twice as many as there are servers, so that each is asked for twice.
const TALKS: usize = 6;
const FULL: &str = "web1";
/// Of the full server in `ipvsadm -Ln --thresholds`: both thresholds, connections, and those that have ended.
const ROW: &str = "-> 10.0.0.11:80 1 1 1 0";
/// Connections of services are told on within a second.
const TOLD_TIMEOUT: Duration = Duration::from_secs(20);

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.fresh_pair(|config| config.server_limit = Some(LIMIT))?;
    pair.wait_in_sync()?;
    let mut talks = Vec::new();
    for _ in 0..TALKS {
        let mut talk = Talk::begin(PORT_NAT)?;
        let name = ask(&mut talk)?;
        talks.push((talk, name));
    }
    let names: Vec<_> = talks.iter().map(|(_, name)| name.clone()).collect();
    let full = names.iter().filter(|name| *name == FULL).count();
    let what = "the server with a limit should have one connection";
    ensure(full == 1, what, &names.join(" "))?;
    let active = pair.active()?;
    wait_row(&pair, active)?;
    wait_told(&pair, 1 - active)?;
    wait_row(&pair, 1 - active)?;
    let console = &pair.machine(1 - active)?.console;
    let mark = console.mark();
    pair.machine(active)?.power_cut();
    console.wait_for(mark, "`active`", ROLE_TIMEOUT, is_active)?;
    for (talk, name) in &mut talks {
        let again = ask(talk)?;
        let what = "a connection should stay with its server";
        ensure(again == *name, what, &format!("{again} after {name}"))?;
    }
    for _ in 0..TALKS {
        let name = ask(&mut Talk::begin(PORT_NAT)?)?;
        let what = "the heir should send the full server no more";
        ensure(name != FULL, what, &name)?;
    }
    wait_row(&pair, 1 - active)?;
    let told = console.ask("connections 10.0.0.11")?.join("\n");
    let is_listed = told.contains("1 of ") && told.contains("192.0.2.10:80 10.0.0.11:80");
    ensure(is_listed, "the console should list its connection", &told)
}

fn ask(talk: &mut Talk) -> Result<String> {
    talk.ask()?;
    talk.expect_answer("a connection should be answered")
}

/// Waits until a box knows all connections.
fn wait_told(pair: &Pair, node: usize) -> Result<()> {
    let deadline = Instant::now() + TOLD_TIMEOUT;
    loop {
        let lines = pair.shell(node, "ipvsadm -Lnc")?;
        let open = lines.iter().filter(|line| line.contains(" ESTABLISHED "));
        if open.count() == TALKS {
            return Ok(());
        }
        let what = "the standby should be told of each connection";
        ensure(Instant::now() < deadline, what, &lines.join("\n"))?;
    }
}

/// Waits until the kernel of a box says that the server is full.
fn wait_row(pair: &Pair, node: usize) -> Result<()> {
    let deadline = Instant::now() + TOLD_TIMEOUT;
    loop {
        let lines = pair.shell(node, "ipvsadm -Ln --thresholds")?;
        let mut rows = lines.iter().map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.join(" ")
        });
        if rows.any(|row| row == ROW) {
            return Ok(());
        }
        let what = format!("the server should be full: {ROW}");
        ensure(Instant::now() < deadline, &what, &lines.join("\n"))?;
    }
}
