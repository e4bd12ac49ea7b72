//! What can go wrong with a virtual address while both boxes are well: a stranger claims it, the kernel of one box
//! won't set it, or its MAC address moves with it. What clients believe is read from the client's neighbour table.

use super::sight::WIDENED_OUTAGE_MAX;
use super::stage::{Stage, ensure, line_with};
use crate::net::{CLIENT, ECHO_PORT, INTRUDER, NODES, VIRTUAL, VIRTUAL_V4, VIRTUAL_V6, mac};
use crate::ns;
use crate::pair::{Pair, ROLE_TIMEOUT, is_active};
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
/// Less than IPv6 needs: the kernel takes its addresses from the device and sets none.
const MTU_WITHOUT_IPV6: u16 = 1000;
const MTU: u16 = 1500;

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

/// The kernel of the active box refuses one address: its twin, which can hold all, takes over. When that loses its
/// cable, the first one serves what it can; and yields again as soon as the cable is back.
pub fn refused(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let lame = pair.active()?;
    let (own, twin) = (pair.machine(lame)?, pair.machine(1 - lame)?);
    let device = device_of(&pair, lame)?;
    let marks = pair.marks();
    let (of_lame, of_twin) = if lame == 0 {
        (marks[0], marks[1])
    } else {
        (marks[1], marks[0])
    };
    let set_mtu = |bytes: u16| {
        let command = format!("/bin/ip link set {device} mtu {bytes}");
        pair.shell(lame, &command)
    };
    set_mtu(MTU_WITHOUT_IPV6)?;
    let refusal = format!("virtual address {VIRTUAL_V6}/64 can't be set on {device}: ");
    own.console.wait(of_lame, &refusal, ROLE_TIMEOUT)?;
    let became_active = |console: &crate::console::Console, mark| {
        console.wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)
    };
    became_active(&twin.console, of_twin)?;
    wait_held(&pair, 1 - lame, &VIRTUAL.map(|(address, ..)| address))?;

    let mark = own.console.mark();
    twin.set_cable("wan", false)?;
    became_active(&own.console, mark)?;
    let others = VIRTUAL
        .map(|(address, ..)| address)
        .into_iter()
        .filter(|address| *address != VIRTUAL_V6);
    wait_held(&pair, lame, &others.collect::<Vec<_>>())?;
    line_with(&pair.status(lame)?, &format!("{VIRTUAL_V6} can't be set: "))?;
    probe()?.wait_answer(Instant::now(), ROLE_TIMEOUT)?;

    let mark = twin.console.mark();
    twin.set_cable("wan", true)?;
    became_active(&twin.console, mark)?;
    set_mtu(MTU)?;
    pair.wait_calm()?;
    super::judge::hold_addresses(&pair, 1 - lame)
}

/// Virtual MAC addresses: neither a planned takeover nor a power cut changes what the client's neighbour table says,
/// and it is served by the heir all the same.
pub fn virtual_mac(stage: &mut Stage) -> Result<()> {
    let pair = stage.fresh_pair(|config| config.has_virtual_mac = true)?;
    let leaver = pair.active()?;
    let heir = pair.machine(1 - leaver)?;
    let probe = probe()?;
    let opened = probe.wait_answer(Instant::now(), ROLE_TIMEOUT)?;
    let known = neighbour()?;
    let is_card = (0..NODES.len()).any(|node| mac(node, "wan") == known);
    ensure(!is_card, "the address should have a MAC of its own", &known)?;

    let mark = heir.console.mark();
    heir.console.send("takeover\r")?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    pair.expect_active(1 - leaver)?;
    probe.wait_answer(Instant::now(), ROLE_TIMEOUT)?;
    is_unchanged(&known)?;

    let last = &pair.machine(leaver)?.console;
    let mark = last.mark();
    let cut = heir.power_cut();
    last.wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    probe.wait_answer(cut.max(Instant::now()), ROLE_TIMEOUT)?;
    is_unchanged(&known)?;
    let outage = probe.outage_since(opened).duration();
    let what = format!("the outage should be under {WIDENED_OUTAGE_MAX:?}");
    ensure(outage < WIDENED_OUTAGE_MAX, &what, &format!("{outage:?}"))
}

fn probe() -> Result<UdpProbe> {
    UdpProbe::start(CLIENT, SocketAddr::new(VIRTUAL_V4.parse()?, ECHO_PORT))
}

fn is_unchanged(known: &str) -> Result<()> {
    let found = neighbour()?;
    let what = format!("the client should know {VIRTUAL_V4} at {known}");
    ensure(found == known, &what, &found)
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

/// The device that bears the virtual address, as the box's `status` says.
fn device_of(pair: &Pair, node: usize) -> Result<String> {
    let status = pair.status(node)?;
    let row = line_with(&status, &format!("{VIRTUAL_V4}/"))?;
    let device = row.split_whitespace().nth(1);
    device.map(str::to_owned).context("a row without a device")
}

/// Waits until the kernel of a box holds `wanted` and no other virtual address, as Debian's `ip` sees it.
fn wait_held(pair: &Pair, node: usize, wanted: &[&str]) -> Result<()> {
    let deadline = Instant::now() + LEARN_TIMEOUT;
    loop {
        let lines = pair.shell(node, "/bin/ip -o addr show scope global")?;
        let is_held = |address: &str| {
            let prefix = format!(" {address}/");
            lines.iter().any(|line| line.contains(&prefix))
        };
        if VIRTUAL
            .iter()
            .all(|(address, ..)| is_held(address) == wanted.contains(address))
        {
            return Ok(());
        }
        let name = pair.machine(node)?.name();
        let what = format!("{name} should hold {}", wanted.join(", "));
        ensure(Instant::now() < deadline, &what, &lines.join("\n"))?;
    }
}
