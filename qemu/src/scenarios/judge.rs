//! A judge that shares no code with us: Debian's ipvsadm and `ip` on the kernel of a running box, by the back
//! door. What they print is compared as text.

use super::stage::{Carrier, Lone, Stage, ensure};
use crate::config::PairConfig;
use crate::door;
use crate::vm::arguments::Boot;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// As on the ISO, but for what only a boot medium needs.
const COMMAND_LINE: &str = "quiet console=tty0 console=ttyS0,115200 panic=1";
const RESTART_TIMEOUT: Duration = Duration::from_secs(20);
const VERDICT_TIMEOUT: Duration = Duration::from_secs(20);
const WORKERS: [&str; 4] = ["cluster", "dataplane", "health", "control"];

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

/// Global addresses of the active castor, as `ip -o addr` prints them, sorted.
const ADDRESSES: &str = "\
10.0.0.1/24
10.0.0.2/24
172.16.0.2/24
192.0.2.10/24
192.0.2.2/24
2001:db8:1::10/64
2001:db8:1::2/64
fd00:a::1/64
fd00:a::2/64";

pub fn services(stage: &mut Stage) -> Result<()> {
    let lone = boot(stage)?;
    wait_text(&lone, "ipvsadm -Sn", SERVICES, str::to_owned)?;
    // Without a server, its weight goes to 0 and nothing else changes.
    stage.world.servers.set_well("web2", false)?;
    let quiesced = SERVICES
        .replace("10.0.0.12:80 -m -w 1", "10.0.0.12:80 -m -w 0")
        .replace("10.0.0.12:7 -m -w 1", "10.0.0.12:7 -m -w 0")
        .replace("[fd00:a::12]:80 -m -w 1", "[fd00:a::12]:80 -m -w 0");
    wait_text(&lone, "ipvsadm -Sn", &quiesced, str::to_owned)?;
    stage.world.servers.set_well("web2", true)?;
    wait_text(&lone, "ipvsadm -Sn", SERVICES, str::to_owned)
}

pub fn addresses(stage: &mut Stage) -> Result<()> {
    let lone = boot(stage)?;
    let address = |line: &str| {
        line.split_whitespace()
            .nth(3)
            .unwrap_or_default()
            .to_owned()
    };
    wait_text(
        &lone,
        "/bin/ip -o addr show scope global",
        ADDRESSES,
        address,
    )?;
    let forward = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding";
    wait_text(&lone, forward, "1\n1", str::to_owned)
}

pub fn killed_workers(stage: &mut Stage) -> Result<()> {
    let lone = boot(stage)?;
    let Lone { machine, .. } = &lone;
    for worker in WORKERS {
        let before = worker_row(&lone, worker)?;
        let pid = before
            .split_whitespace()
            .nth(1)
            .context("a worker has a pid")?;
        let mark = machine.console.mark();
        door::shell(&machine.door, &format!("kill -9 {pid}"))?;
        machine.console.wait_for(
            mark,
            &format!("why {worker} ended"),
            RESTART_TIMEOUT,
            |line| line.starts_with('[') && line.contains(worker),
        )?;
        wait_restarted(&lone, worker, pid)?;
    }
    // What the kernel holds stood all the while, and still does.
    wait_text(&lone, "ipvsadm -Sn", SERVICES, str::to_owned)
}

fn boot(stage: &mut Stage) -> Result<Lone> {
    let tools = stage.world.tools.clone();
    let initramfs = door::build(&tools.init, &stage.logs)?;
    let config = PairConfig {
        has_all_services: true,
        ..PairConfig::default()
    };
    let lone = stage.lone(&config, Carrier::Disk, |hardware| {
        let command_line = COMMAND_LINE.into();
        hardware.boot = Boot::Kernel {
            kernel: tools.kernel,
            initramfs,
            command_line,
        };
        hardware.has_back_door = true;
    })?;
    let mark = lone.machine.door.mark();
    lone.boot()?;
    door::wait_open(&lone.machine.door, mark)?;
    Ok(lone)
}

/// Runs a judge's command until what it prints, line by line through `pick` and sorted, is `wanted`.
fn wait_text(
    lone: &Lone,
    command: &str,
    wanted: &str,
    pick: impl Fn(&str) -> String,
) -> Result<()> {
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    loop {
        let lines = door::shell(&lone.machine.door, command)?;
        let mut lines: Vec<_> = lines.iter().map(|line| pick(line.trim_end())).collect();
        lines.sort();
        let found = lines.join("\n");
        if found == wanted {
            return Ok(());
        }
        let what = format!("`{command}` should print\n{wanted}\n");
        ensure(Instant::now() < deadline, &what, &format!("\n{found}"))?;
    }
}

fn worker_row(lone: &Lone, worker: &str) -> Result<String> {
    let status = lone.status()?;
    let row = status
        .iter()
        .find(|line| line.split_whitespace().next() == Some(worker));
    row.cloned()
        .with_context(|| format!("no worker {worker} in:\n{}", status.join("\n")))
}

fn wait_restarted(lone: &Lone, worker: &str, old_pid: &str) -> Result<()> {
    let deadline = Instant::now() + RESTART_TIMEOUT;
    loop {
        // While control itself is down, its console has no status to show.
        if let Ok(row) = worker_row(lone, worker) {
            let cells: Vec<_> = row.split_whitespace().collect();
            let is_new = cells
                .get(1)
                .is_some_and(|pid| *pid != old_pid && *pid != "-");
            if is_new && cells.get(2) == Some(&"up") {
                return Ok(());
            }
        }
        ensure(
            Instant::now() < deadline,
            &format!("{worker} should come back"),
            "it did not",
        )?;
    }
}
