//! A judge that shares no code with us: Debian's ipvsadm and `ip` on the kernels of both boxes, by the back door.
//! What they print is compared as text.

use super::stage::{Stage, ensure};
use crate::net::{NODES, VIRTUAL};
use crate::pair::Pair;
use anyhow::Result;
use std::time::{Duration, Instant};

const VERDICT_TIMEOUT: Duration = Duration::from_secs(20);

/// `ipvsadm -Sn` for the config with all services and all servers up, sorted.
const SERVICES: &str = "\
-A -t 192.0.2.10:80 -s rr
-A -t 192.0.2.10:81 -s wlc
-A -t 192.0.2.10:82 -s wrr
-A -t [2001:db8:1::10]:80 -s rr
-A -t [2001:db8:1::10]:81 -s wlc
-A -t [2001:db8:1::10]:82 -s wrr
-A -u 192.0.2.10:7 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.11:80 -m -w 1
-a -t 192.0.2.10:80 -r 10.0.0.12:80 -m -w 1
-a -t 192.0.2.10:80 -r 10.0.0.13:80 -m -w 1
-a -t 192.0.2.10:81 -r 10.0.0.21:81 -g -w 3
-a -t 192.0.2.10:81 -r 10.0.0.22:81 -g -w 1
-a -t 192.0.2.10:82 -r 10.0.0.31:82 -i -w 1 --tun-type ipip
-a -t 192.0.2.10:82 -r 10.0.0.32:82 -i -w 2 --tun-type ipip
-a -t [2001:db8:1::10]:80 -r [fd00:a::11]:80 -m -w 1
-a -t [2001:db8:1::10]:80 -r [fd00:a::12]:80 -m -w 1
-a -t [2001:db8:1::10]:80 -r [fd00:a::13]:80 -m -w 1
-a -t [2001:db8:1::10]:81 -r [fd00:a::21]:81 -g -w 3
-a -t [2001:db8:1::10]:81 -r [fd00:a::22]:81 -g -w 1
-a -t [2001:db8:1::10]:82 -r [fd00:a::31]:82 -i -w 1 --tun-type ipip
-a -t [2001:db8:1::10]:82 -r [fd00:a::32]:82 -i -w 2 --tun-type ipip
-a -u 192.0.2.10:7 -r 10.0.0.11:7 -m -w 1
-a -u 192.0.2.10:7 -r 10.0.0.12:7 -m -w 1
-a -u 192.0.2.10:7 -r 10.0.0.13:7 -m -w 1";

/// `ipvsadm -Ln` for the same, its blanks squeezed, without headings and the counts of connections; sorted.
const LISTING: &str = "\
-> 10.0.0.11:7 Masq 1
-> 10.0.0.11:80 Masq 1
-> 10.0.0.12:7 Masq 1
-> 10.0.0.12:80 Masq 1
-> 10.0.0.13:7 Masq 1
-> 10.0.0.13:80 Masq 1
-> 10.0.0.21:81 Route 3
-> 10.0.0.22:81 Route 1
-> 10.0.0.31:82 Tunnel 1
-> 10.0.0.32:82 Tunnel 2
-> [fd00:a::11]:80 Masq 1
-> [fd00:a::12]:80 Masq 1
-> [fd00:a::13]:80 Masq 1
-> [fd00:a::21]:81 Route 3
-> [fd00:a::22]:81 Route 1
-> [fd00:a::31]:82 Tunnel 1
-> [fd00:a::32]:82 Tunnel 2
TCP 192.0.2.10:80 rr
TCP 192.0.2.10:81 wlc
TCP 192.0.2.10:82 wrr
TCP [2001:db8:1::10]:80 rr
TCP [2001:db8:1::10]:81 wlc
TCP [2001:db8:1::10]:82 wrr
UDP 192.0.2.10:7 rr";

/// A box's own global addresses, as `ip -o addr` prints them; {n} is 2 for castor and 3 for pollux.
const ADDRESSES: [&str; 5] = [
    "10.0.0.{n}/24",
    "172.16.0.{n}/24",
    "192.0.2.{n}/24",
    "2001:db8:1::{n}/64",
    "fd00:a::{n}/64",
];

pub fn services(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    programmed(&pair)?;
    // Without a server, its weight goes to 0 and nothing else changes.
    stage.world.servers.set_well("web2", false)?;
    let quiesced = SERVICES
        .replace("10.0.0.12:80 -m -w 1", "10.0.0.12:80 -m -w 0")
        .replace("10.0.0.12:7 -m -w 1", "10.0.0.12:7 -m -w 0")
        .replace("[fd00:a::12]:80 -m -w 1", "[fd00:a::12]:80 -m -w 0");
    let listed = LISTING
        .replace("10.0.0.12:80 Masq 1", "10.0.0.12:80 Masq 0")
        .replace("10.0.0.12:7 Masq 1", "10.0.0.12:7 Masq 0")
        .replace("[fd00:a::12]:80 Masq 1", "[fd00:a::12]:80 Masq 0");
    for node in [0, 1] {
        wait_text(&pair, node, "ipvsadm -Sn", &quiesced, own)?;
        wait_text(&pair, node, "ipvsadm -Ln", &listed, listing)?;
    }
    stage.world.servers.set_well("web2", true)?;
    programmed(&pair)
}

pub fn addresses(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    hold_addresses(&pair, pair.active()?)?;
    let forward = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding";
    (0..NODES.len()).try_for_each(|node| wait_text(&pair, node, forward, "1\n1", own))
}

/// Both kernels hold all services with all servers.
pub fn programmed(pair: &Pair) -> Result<()> {
    for node in 0..NODES.len() {
        wait_text(pair, node, "ipvsadm -Sn", SERVICES, own)?;
        wait_text(pair, node, "ipvsadm -Ln", LISTING, listing)?;
    }
    Ok(())
}

/// The kernel of box `active` holds the virtual addresses, that of the other one none, and both their own.
pub fn hold_addresses(pair: &Pair, active: usize) -> Result<()> {
    for node in 0..NODES.len() {
        let number = (node + 2).to_string();
        let own = ADDRESSES.map(|address| address.replace("{n}", &number));
        let mut wanted = own.to_vec();
        if node == active {
            let held = VIRTUAL.map(|(address, length, _)| format!("{address}/{length}"));
            wanted.extend(held);
        }
        wanted.sort();
        let command = "/bin/ip -o addr show scope global";
        wait_text(pair, node, command, &wanted.join("\n"), address)?;
    }
    Ok(())
}

/// Runs a judge's command until what it prints, line by line through `pick` and sorted, is `wanted`.
fn wait_text(
    pair: &Pair,
    node: usize,
    command: &str,
    wanted: &str,
    pick: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    loop {
        let lines = pair.shell(node, command)?;
        let mut lines: Vec<_> = lines
            .iter()
            .filter_map(|line| pick(line.trim_end()))
            .collect();
        lines.sort();
        let found = lines.join("\n");
        if found == wanted {
            return Ok(());
        }
        let name = pair.machine(node)?.name();
        let what = format!("`{command}` on {name} should print\n{wanted}\n");
        ensure(Instant::now() < deadline, &what, &format!("\n{found}"))?;
    }
}

/// The whole line. What other programs say of the terminal is none of the judge's.
#[allow(clippy::unnecessary_wraps)] // one of several ways to pick
fn own(line: &str) -> Option<String> {
    Some(line.to_owned())
}

/// The address in a line of `ip -o addr`, but for the one of the kernel's sync daemons on a cable within the box.
fn address(line: &str) -> Option<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let device = words.get(1)?;
    let address = words.get(3).filter(|_| *device != "ipvs0")?;
    Some((*address).to_owned())
}

/// A service or server in `ipvsadm -Ln`: its first three or four words.
fn listing(line: &str) -> Option<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let count = match words.first()? {
        &"TCP" | &"UDP" => 3,
        &"->" if words.get(1) != Some(&"RemoteAddress:Port") => 4,
        _ => return None,
    };
    words.get(..count).map(|words| words.join(" "))
}
