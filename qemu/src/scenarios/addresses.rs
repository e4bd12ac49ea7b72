//! What can go wrong with a virtual address while both boxes are well: a stranger claims it. What clients believe is
//! read from the client's neighbour table.

use super::stage::{Stage, ensure, line_with};
use crate::net::{CLIENT, ECHO_PORT, INTRUDER, VIRTUAL_V4, mac};
use crate::ns;
use crate::pair::ROLE_TIMEOUT;
use crate::probe::udp::UdpProbe;
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a neighbour table, or a status, may take to become what it should be.
const LEARN_TIMEOUT: Duration = Duration::from_secs(10);
/// The stranger's hardware address.
const RIVAL: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];
const BROADCAST: [u8; 6] = [0xff; 6];

/// A stranger first deceives the client alone, so that it is sure that it has believed him, and then claims the
/// address before all: the active box must notice, count it and set the client right.
pub fn rival(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let active = pair.active()?;
    let holder = pair.machine(active)?;
    let marks = pair.marks();
    let rival = text_of(RIVAL);
    let probe = probe()?;
    probe.wait_answer(Instant::now(), ROLE_TIMEOUT)?;
    let client = own_mac(CLIENT)?;
    claim(client)?;
    wait_neighbour(&rival, || claim(client))?;

    let mark = holder.console.mark();
    claim(BROADCAST)?;
    let said = format!("{rival} claims virtual address {VIRTUAL_V4}");
    holder.console.wait(mark, &said, ROLE_TIMEOUT)?;
    wait_neighbour(&mac(active, "wan"), || Ok(()))?;
    probe.wait_answer(Instant::now(), ROLE_TIMEOUT)?;
    let counted = format!("{VIRTUAL_V4} claimed by {rival} too: ");
    line_with(&pair.status(active)?, &counted)?;
    // To the box that does not hold it, he is no rival; and nobody yields to him.
    let standby = pair.status(1 - active)?;
    let is_counted = standby.iter().any(|line| line.contains(&counted));
    ensure(
        !is_counted,
        "a standby should count nobody",
        &standby.join("\n"),
    )?;
    pair.expect_quiet(marks, Duration::ZERO)?;
    pair.expect_active(active)
}

fn probe() -> Result<UdpProbe> {
    UdpProbe::start(CLIENT, SocketAddr::new(VIRTUAL_V4.parse()?, ECHO_PORT))
}

/// Where the client believes the virtual address to be; empty if it does not know.
fn neighbour() -> Result<String> {
    let said = ip(&["-n", CLIENT, "neigh", "show", VIRTUAL_V4, "dev", "wan"])?;
    Ok(after(&said, "lladdr").unwrap_or_default())
}

/// Waits until that is `wanted`, doing `meanwhile` from look to look.
fn wait_neighbour(wanted: &str, meanwhile: impl Fn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + LEARN_TIMEOUT;
    loop {
        let found = neighbour()?;
        if found == wanted {
            return Ok(());
        }
        let what = format!("the client should come to know {VIRTUAL_V4} at {wanted}");
        ensure(Instant::now() < deadline, &what, &found)?;
        meanwhile()?;
    }
}

/// The hardware address of a namespace on the WAN.
fn own_mac(name: &str) -> Result<[u8; 6]> {
    let said = ip(&["-n", name, "-o", "link", "show", "wan"])?;
    let text = after(&said, "link/ether").context("a device without MAC address")?;
    let mut mac = [0; 6];
    for (byte, digits) in mac.iter_mut().zip(text.split(':')) {
        *byte = u8::from_str_radix(digits, 16)?;
    }
    Ok(mac)
}

/// The word after `key`.
fn after(text: &str, key: &str) -> Option<String> {
    let mut words = text.split_whitespace().skip_while(|word| *word != key);
    words.nth(1).map(str::to_owned)
}

fn ip(arguments: &[&str]) -> Result<String> {
    let output = Command::new("ip").args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), "`ip` should succeed", &said)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The stranger says to `target` that the virtual address is his: gratuitous ARP, as whoever takes an address sends
/// it (RFC 5944, 4.6).
fn claim(target: [u8; 6]) -> Result<()> {
    let address = VIRTUAL_V4.parse::<Ipv4Addr>()?.octets();
    let mut frame = target.to_vec();
    frame.extend(RIVAL);
    frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(RIVAL);
    frame.extend(address);
    frame.extend([0; 6]);
    frame.extend(address);
    ns::within(INTRUDER, move || {
        let index = nix::net::if_::if_nametoindex("wan").context("the intruder has no leg")?;
        sys::packet::PacketSocket::open()?.send(index, &frame)?;
        Ok(())
    })
}

fn text_of(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
