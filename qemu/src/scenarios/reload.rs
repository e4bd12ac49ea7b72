//! A new config for a pair that runs and carries flows: its media are written anew and both boxes are told `reload`.
//! What the new rules allow goes on, what they forbid ends, nobody changes hands; what can't be taken is refused in
//! words and changes nothing.

use super::media::spoil_newest;
use super::stage::{CALM_TIMING, Stage, ensure, line_with};
use crate::config::PairConfig;
use crate::flows::route::{WAYS, over_both};
use crate::flows::{Flows, Group, Pace};
use crate::net::{CLIENT, NODES};
use crate::ns;
use crate::pair::Pair;
use crate::tools::Image;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Transfers on each way, beside a stream of datagrams.
const FLOWS: usize = 4;
/// From datagram to datagram: an emulated box has room for it beside its work.
const DATAGRAM_INTERVAL: Duration = Duration::from_millis(50);
/// Datagrams of a stream that may be lost: two reloads and emulation; a gap would lose more.
const LOST_MAX: u64 = 2;
/// How long after a reload the last flow may still stand still: its pace and a repetition.
const GO_ON_TIMEOUT: Duration = Duration::from_secs(5);
/// A port of a host behind the pair that the first config opens and the next one does not.
const FORBIDDEN: u16 = 9099;
const HOST: (&str, [u8; 4]) = ("web1", [10, 0, 0, 11]);
/// A packet that is cut off is answered at once.
const CUT_TIMEOUT: Duration = Duration::from_secs(10);

pub fn run(stage: &mut Stage) -> Result<()> {
    let first = |config: &mut PairConfig| {
        config.has_flow_services = true;
        config.has_firewall = true;
        config.open_port = Some(FORBIDDEN);
    };
    let pair = stage.fresh_pair(first)?;
    pair.wait_in_sync()?;
    let active = pair.active()?;
    let routes = over_both(&WAYS);
    let streams = u64::try_from(routes.len())?;
    let flows = Flows::start(&[Group {
        routes,
        count: FLOWS,
        pace: Pace {
            datagram_interval: DATAGRAM_INTERVAL,
            ..Pace::default()
        },
    }])?;
    let mut forbidden = connect()?;
    echo(&mut forbidden).context("before the rules forbid it")?;

    let mut next = PairConfig {
        timing: CALM_TIMING,
        has_flow_services: true,
        has_firewall: true,
        has_all_services: true,
        ..PairConfig::default()
    };
    write(stage, &pair, &next)?;
    for index in [1 - active, active] {
        let said = pair.machine(index)?.console.ask("reload")?;
        line_with(&said, "config: generation 2 from ")?;
        line_with(&said, "is in force, after generation 1")?;
        flows.wait_moving(Instant::now(), GO_ON_TIMEOUT)?;
    }
    ensure(
        echo(&mut forbidden).is_err(),
        "a connection that the new rules forbid should break",
        "it goes on",
    )?;
    flows.wait_moving(Instant::now(), GO_ON_TIMEOUT)?;
    pair.expect_active(active)?;
    both_run_the_new_one(&pair)?;

    write(stage, &pair, &next)?;
    for medium in &pair.media {
        spoil_newest(medium)?;
    }
    refused(&pair, "no medium holds a newer config than generation 2")?;
    next.timing = "default";
    write(stage, &pair, &next)?;
    refused(&pair, "changes what a running box can't: timing;")?;

    flows.wait_moving(Instant::now(), GO_ON_TIMEOUT)?;
    pair.expect_active(active)?;
    let outcome = flows.finish()?;
    let story = outcome.story();
    stage.world.timeline.note("client", story.clone());
    ensure(outcome.is_clean(), "every flow should end whole", &story)?;
    let what = format!("at most {LOST_MAX} datagrams of each stream should be lost");
    ensure(outcome.datagrams_lost <= LOST_MAX * streams, &what, &story)
}

/// A new generation on both media, as an operator would write it.
fn write(stage: &Stage, pair: &Pair, config: &PairConfig) -> Result<()> {
    for (node, medium) in NODES.iter().zip(&pair.media) {
        let text = stage.logs.join(format!("{node}.toml"));
        fs::write(&text, config.to_toml())?;
        let tools = &stage.world.tools;
        // The kind of an existing medium is its own.
        tools.write_medium(&text, node, Image::Usb, medium)?;
    }
    Ok(())
}

/// Both say so, and list and show what it names.
fn both_run_the_new_one(pair: &Pair) -> Result<()> {
    for index in [0, 1] {
        let status = pair.status(index)?;
        let line = line_with(&status, "config:")?;
        ensure(
            line.contains("generation 2,") && line.contains("on both boxes"),
            "both should run generation 2",
            line,
        )?;
        let console = &pair.machine(index)?.console;
        line_with(&console.ask("services")?, "[2001:db8:1::10]:80")?;
        let text = console.ask("config")?.join("\n");
        let what = "`config` should show the new rules";
        ensure(!text.contains("one more"), what, &text)?;
    }
    Ok(())
}

/// Both boxes refuse to take what is on their media, in these words, and run what they ran.
fn refused(pair: &Pair, words: &str) -> Result<()> {
    for index in [0, 1] {
        let said = pair.machine(index)?.console.ask("reload")?;
        line_with(&said, words)?;
        let status = pair.status(index)?;
        line_with(&status, "generation 2,")?;
        line_with(&status, "refused")?;
    }
    Ok(())
}

/// From the client to a host behind the pair that says everything again.
fn connect() -> Result<TcpStream> {
    let (host, address) = HOST;
    let target = SocketAddr::from((address, FORBIDDEN));
    let listener = ns::within(host, move || Ok(TcpListener::bind(target)?))?;
    thread::spawn(move || -> Result<()> {
        let (stream, _) = listener.accept()?;
        std::io::copy(&mut &stream, &mut &stream)?;
        Ok(())
    });
    let stream = ns::within(CLIENT, move || Ok(TcpStream::connect(target)?))?;
    stream.set_read_timeout(Some(CUT_TIMEOUT))?;
    Ok(stream)
}

/// Says a word and hears it again.
fn echo(stream: &mut TcpStream) -> Result<()> {
    let mut heard = [0; 4];
    let exchanged = stream
        .write_all(b"word")
        .and_then(|()| stream.read_exact(&mut heard));
    match exchanged {
        Ok(()) if &heard == b"word" => Ok(()),
        Ok(()) => bail!("another word came back"),
        Err(error) => Err(error.into()),
    }
}
