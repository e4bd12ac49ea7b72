//! What the balancer of the standby knows: every connection of the active one's, its state, its server and its timer,
//! over every forwarding method and IP version, and which client keeps to which server. Debian's ipvsadm says so on
//! both boxes.

use super::stage::{Stage, ensure};
use crate::door;
use crate::net::{CLIENT, ECHO_PORT, VIRTUAL_V4, VIRTUAL_V6};
use crate::ns;
use crate::pair::{BOOT_TIMEOUT, Pair, ROLE_TIMEOUT, is_active, is_standing};
use crate::servers::{PORT_DIRECT, PORT_NAT, PORT_TUNNEL};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Long enough for the whole scenario.
const PERSISTENCE_S: u32 = 300;
/// Connections to each service.
const CONNECTIONS: usize = 3;
/// Within which the standby holds what the active box does. Under emulation; on iron it is 50 ms.
const MIRROR_TIMEOUT: Duration = Duration::from_secs(5);
/// Within which a standby that came back holds it again.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How far two timers of one connection may lie apart: the mirror keeps what is in use for 30 s longer, and is told
/// of a timer that began anew when it has run for 30 s.
const TIMER_S: u64 = 40;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// By protocol, source, virtual and real address: state and seconds left.
type Connections = BTreeMap<String, (String, u64)>;

pub fn mirrored(stage: &mut Stage) -> Result<()> {
    let pair = stage.fresh_pair(|config| {
        config.has_all_services = true;
        config.persistence_s = Some(PERSISTENCE_S);
    })?;
    let active = pair.active()?;
    let mut held = Held::open()?;
    let count = held.streams.len();
    wait_alike(&pair, active, &held, MIRROR_TIMEOUT)?;
    wait_counted(&pair, active)?;
    stage.world.timeline.note(
        "testbed",
        format!("{count} connections, and what clients keep to, are on both boxes"),
    );
    restart(&pair, 1 - active)?;
    wait_alike(&pair, active, &held, JOIN_TIMEOUT)?;
    wait_counted(&pair, active)?;
    held.ask_all()?;
    // Some end, in states of their own.
    held.close_some();
    wait_alike(&pair, active, &held, MIRROR_TIMEOUT)?;
    // The mirror is as good as the original.
    let standby = pair.machine(1 - active)?;
    let mark = standby.console.mark();
    pair.machine(active)?.power_cut();
    standby
        .console
        .wait_for(mark, "`active`", ROLE_TIMEOUT, is_active)?;
    held.ask_all()
}

/// Connections of the client's.
struct Held {
    streams: Vec<TcpStream>,
    /// Source and virtual address of each, as ipvsadm prints them; of those that were closed, too.
    names: Vec<String>,
    /// The UDP service's.
    socket: UdpSocket,
}

impl Held {
    /// Some to each service, each with a request that was answered.
    fn open() -> Result<Self> {
        let mut held = ns::within(CLIENT, || {
            let mut streams = Vec::new();
            for address in [VIRTUAL_V4, VIRTUAL_V6] {
                for port in [PORT_NAT, PORT_DIRECT, PORT_TUNNEL] {
                    let to = SocketAddr::new(address.parse()?, port);
                    for _ in 0..CONNECTIONS {
                        let stream = TcpStream::connect(to);
                        streams.push(stream.with_context(|| format!("connecting to {to}"))?);
                    }
                }
            }
            let any: IpAddr = "0.0.0.0".parse()?;
            let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.connect((VIRTUAL_V4, ECHO_PORT))?;
            socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            socket.send(b"here")?;
            socket.recv(&mut [0; 8]).context("waiting for an echo")?;
            Ok(Held {
                streams,
                names: Vec::new(),
                socket,
            })
        })?;
        for stream in &held.streams {
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            let (from, to) = (stream.local_addr()?, stream.peer_addr()?);
            held.names.push(format!("TCP {from} {to} "));
        }
        let (from, to) = (held.socket.local_addr()?, held.socket.peer_addr()?);
        held.names.push(format!("UDP {from} {to} "));
        held.ask_all()?;
        Ok(held)
    }

    /// Every connection carries a request and its answer.
    fn ask_all(&mut self) -> Result<()> {
        for stream in &mut self.streams {
            let to = stream.peer_addr()?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: pollux\r\n\r\n")?;
            let mut answer = [0; 1024];
            let length = stream
                .read(&mut answer)
                .with_context(|| format!("waiting for an answer of {to}"))?;
            let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
            ensure(
                text.starts_with("HTTP/1.1 200"),
                "an open connection should be answered",
                &text,
            )?;
        }
        Ok(())
    }

    /// Ends the first connection to each service.
    fn close_some(&mut self) {
        let streams = std::mem::take(&mut self.streams).into_iter().enumerate();
        let kept = streams.filter(|(position, _)| position % CONNECTIONS != 0);
        self.streams = kept.map(|(_, stream)| stream).collect();
    }
}

/// Cuts the power of a box and waits until it is back.
fn restart(pair: &Pair, node: usize) -> Result<()> {
    let machine = pair.machine(node)?;
    let mark = machine.console.mark();
    let door = machine.door.mark();
    machine.power_cut();
    machine.power_on()?;
    machine
        .console
        .wait_for(mark, "a role, ready", BOOT_TIMEOUT, is_standing)?;
    door::wait_open(&machine.door, door)?;
    pair.wait_calm()
}

/// Waits until the standby shows each connection of the client's, and each template, as the active box does.
fn wait_alike(pair: &Pair, active: usize, held: &Held, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let (ours, theirs) = (listed(pair, active)?, listed(pair, 1 - active)?);
        let missing = difference(&ours, &theirs, held);
        if missing.is_empty() {
            return Ok(());
        }
        let found = format!("{}\nof\n{theirs:#?}", missing.join("\n"));
        ensure(
            Instant::now() < deadline,
            "both boxes should hold the same connections",
            &found,
        )?;
    }
}

/// Waits until both boxes say of both how many ipvsadm lists, those apart that keep clients to their servers.
fn wait_counted(pair: &Pair, active: usize) -> Result<()> {
    let connections = listed(pair, active)?.into_keys();
    let count = connections.filter(|key| !key.contains(":0 ")).count();
    let row = format!("balanced {count} {count}");
    let what = format!("both boxes should say `{row}`");
    pair.wait_status(&what, MIRROR_TIMEOUT, |status| {
        status.iter().all(|lines| {
            let mut rows = lines.iter().map(|line| line.split_whitespace());
            rows.any(|words| words.eq(row.split(' ')))
        })
    })
}

/// What is not alike, in words.
fn difference(active: &Connections, standby: &Connections, held: &Held) -> Vec<String> {
    let mut missing = Vec::new();
    for name in &held.names {
        if !active.keys().any(|key| key.starts_with(name.as_str())) {
            missing.push(format!("the active box has no {name}"));
        }
    }
    if !active.keys().any(|key| key.contains(":0 ")) {
        missing.push("the active box knows nobody who keeps to a server".into());
    }
    for (key, (state, left_s)) in active {
        match standby.get(key) {
            None => missing.push(format!("no {key}")),
            Some((other, _)) if other != state => {
                missing.push(format!("{key} {other}, not {state}"));
            }
            Some((_, other_s)) if other_s.abs_diff(*left_s) > TIMER_S => {
                missing.push(format!("{key} for {other_s} s, not {left_s} s"));
            }
            Some(_) => {}
        }
    }
    missing
}

/// `ipvsadm -Lcn` of a box, but for connections that are not established yet and the kernel's own.
fn listed(pair: &Pair, node: usize) -> Result<Connections> {
    let lines = pair.shell(node, "ipvsadm -Lcn")?;
    Ok(lines.iter().filter_map(|line| connection(line)).collect())
}

fn connection(line: &str) -> Option<(String, (String, u64))> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [protocol, left, state, source, service, server] = words.try_into().ok()?;
    let (minutes, seconds) = left.split_once(':')?;
    let left_s = minutes.parse::<u64>().ok()? * 60 + seconds.parse::<u64>().ok()?;
    let is_told_of = !state.starts_with("SYN") && !source.starts_with("0.0.0.0:");
    is_told_of.then(|| {
        let key = format!("{protocol} {source} {service} {server}");
        (key, (state.to_owned(), left_s))
    })
}
