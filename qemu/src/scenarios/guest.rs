//! A daemon in a network namespace of its own, on a kernel with a balancer: what it had to mirror connections of services
//! is gone once it has ended, and one that comes after a killed one takes over what that left.

use super::stage::{Stage, ensure};
use crate::pair::{BOOT_TIMEOUT, Pair};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Of the daemon in the box's own /run.
const RUN_DIR: &str = "/run/guest";
const PID: &str = "/run/guest.pid";
const LOG: &str = "/run/guest.log";
/// From one look to the next: nobody announces it.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub fn cleans_up(stage: &mut Stage) -> Result<()> {
    let pair = stage.pair()?;
    let index = 1 - pair.active()?;
    let outcome = runs_and_ends(&pair, index);
    // Nothing of it stays for whoever comes next.
    let _ = signal(&pair, index, "KILL");
    let log = pair.shell(index, &format!("cat {LOG}"));
    stage.world.timeline.note("testbed", log?.join("; "));
    outcome?;
    pair.wait_calm()
}

fn runs_and_ends(pair: &Pair, index: usize) -> Result<()> {
    // Holds the namespaces while no daemon does. The null modem is the box's own.
    pair.shell(
        index,
        &format!(
            "/bin/busybox unshare -n -m /bin/busybox sh -c '/bin/busybox mount --bind /dev/null /dev/ttyS1; \
             exec /bin/busybox sleep 600' & echo $! >{PID}.namespace; \
             until grep -q ttyS1 /proc/$!/mounts; do usleep 10000; done"
        ),
    )?;
    for word in ["KILL", "TERM"] {
        let start = format!(
            "/bin/busybox nsenter -t $(cat {PID}.namespace) -n -m /pollux run --config /run/pollux/config.plx \
             --node castor --run-dir {RUN_DIR} >>{LOG} 2>&1 </dev/null & echo $! >{PID}"
        );
        pair.shell(index, &start)?;
        wait_for(pair, index, "sync worker", |held| {
            held.mirrors && held.daemons == 2
        })?;
        signal(pair, index, word)?;
        wait_for(pair, index, "an end", |held| !held.runs)?;
        let held = held(pair, index)?;
        // What was killed could clear nothing away.
        let expected = if word == "KILL" { (2, 2) } else { (0, 0) };
        let what = format!("after {word}, daemons and devices should be {expected:?}");
        let found = (held.daemons, held.devices);
        ensure(found == expected, &what, &format!("{found:?}"))?;
    }
    pair.shell(index, &format!("kill $(cat {PID}.namespace)"))
        .map(drop)
}

fn signal(pair: &Pair, index: usize, word: &str) -> Result<()> {
    pair.shell(index, &format!("kill -{word} $(cat {PID})"))
        .map(drop)
}

/// What the namespace holds.
struct Held {
    runs: bool,
    /// Its sync worker has begun.
    mirrors: bool,
    daemons: usize,
    devices: usize,
}

fn held(pair: &Pair, index: usize) -> Result<Held> {
    let inside = format!("/bin/busybox nsenter -t $(cat {PID}.namespace) -n -m");
    let command = format!(
        "kill -0 $(cat {PID}) 2>/dev/null && echo runs; {inside} /bin/ip -o link; {inside} /bin/ipvsadm -L --daemon; \
         {inside} /pollux console --run-dir {RUN_DIR} -c status 2>&1; true"
    );
    let lines = pair.shell(index, &command)?;
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    Ok(Held {
        runs: lines.iter().any(|line| line == "runs"),
        mirrors: count("sync worker is not heard") > 0,
        daemons: count("sync daemon"),
        devices: count(": ipvs0") + count(": ipvs1"),
    })
}

fn wait_for(pair: &Pair, index: usize, what: &str, is_so: impl Fn(&Held) -> bool) -> Result<()> {
    let deadline = Instant::now() + BOOT_TIMEOUT;
    while !is_so(&held(pair, index)?) {
        if Instant::now() > deadline {
            bail!("no {what} of the daemon");
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}
