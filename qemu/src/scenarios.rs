//! The scenarios on real kernels: each has a name, says what must hold, and can be run alone. Those that need
//! nothing but a healthy pair share one, which is built anew after a failure.

mod addresses;
mod balanced_state;
mod balancer;
mod boots;
mod cable_back;
mod consoles;
mod fail_back;
mod faults;
mod flows;
mod flows_bulk;
mod flows_each;
mod flows_edges;
mod flows_million;
mod flows_weather;
mod frozen;
mod guest;
mod handover;
mod handover_begun;
mod homeless;
mod itself;
mod judge;
mod judge_firewall;
mod judge_ruleset;
mod large;
mod leaving;
mod links;
mod matrix;
mod media;
mod reload;
mod server_limit;
mod sight;
mod stage;
mod strangers;
mod table_full;
mod talk;
mod turns;
mod workers;

use crate::pair::World;
use anyhow::{Result, bail};
use stage::Stage;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// A scenario.
pub struct Scenario {
    name: &'static str,
    /// What must hold.
    about: &'static str,
    run: fn(&mut Stage) -> Result<()>,
    /// It is part of a run that names none.
    is_usual: bool,
}

impl Scenario {
    /// It takes so long that it runs only where it is named.
    const fn on_request(self) -> Self {
        Scenario {
            is_usual: false,
            ..self
        }
    }
}

const fn scenario(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Stage) -> Result<()>,
) -> Scenario {
    Scenario {
        name,
        about,
        run,
        is_usual: true,
    }
}

/// In the order they run: those that share a pair stand together.
const ALL: [Scenario; 68] = [
    scenario(
        "boot-bios-cd-floppy",
        "BIOS, ISO on CD, config on floppy",
        boots::bios_cd_floppy,
    ),
    scenario(
        "boot-bios-usb-stick",
        "BIOS, ISO on USB, config on USB stick",
        boots::bios_usb_stick,
    ),
    scenario(
        "boot-bios-cd-cd",
        "BIOS, ISO on CD with the config on it",
        boots::bios_cd_cd,
    ),
    scenario(
        "boot-uefi-cd-stick",
        "UEFI, ISO on CD, config on USB stick",
        boots::uefi_cd_stick,
    ),
    scenario(
        "boot-uefi-usb-floppy",
        "UEFI, ISO on USB, config on floppy",
        boots::uefi_usb_floppy,
    ),
    scenario(
        "boot-uefi-usb-disk",
        "UEFI, ISO on USB, config on virtio disk",
        boots::uefi_usb_disk,
    ),
    scenario(
        "boot-64-mib",
        "a box lives in 64 MiB of RAM",
        boots::small_memory,
    ),
    scenario(
        "large-config",
        "10,000 rules, 100,000 addresses: booted with, taken, listed",
        large::boots,
    )
    .on_request(),
    scenario(
        "late-medium",
        "no config: the box says so; a stick plugged in later is taken",
        media::late,
    ),
    scenario(
        "spoilt-slot",
        "a bad byte in the newer slot: the other wins, the console says why",
        media::spoilt,
    ),
    scenario(
        "torn-slot",
        "a write cut short at any byte leaves the other generation",
        media::torn,
    ),
    scenario(
        "corrupt-medium",
        "both slots are corrupt: a clear message, and the box stays up",
        media::corrupt,
    ),
    scenario(
        "console-9600",
        "the console on a line of 9600 baud",
        consoles::slow_line,
    ),
    scenario(
        "testbed-killed",
        "SIGKILL of a testbed leaves nothing running",
        itself::killed,
    ),
    scenario(
        "same-instant",
        "two equal boxes powered on at once: exactly one active",
        faults::same_instant,
    ),
    scenario(
        "serial-9600-noisy",
        "the null modem at 9600 baud with noise: nothing moves",
        links::slow_and_noisy,
    ),
    scenario(
        "virtual-mac",
        "takeover and power cut: the client keeps the MAC it knows",
        addresses::virtual_mac,
    ),
    scenario(
        "wrong-key",
        "frames of another key: counted, without effect",
        strangers::wrong_key,
    ),
    scenario(
        "replay",
        "a replayed capture: counted, without effect",
        strangers::replay,
    ),
    scenario(
        "noise",
        "random bytes on each link: counted, without effect",
        strangers::noise,
    ),
    scenario(
        "rival",
        "a stranger claims the address: told, counted, clients set right",
        addresses::rival,
    ),
    scenario(
        "judge-services",
        "Debian's ipvsadm sees on both boxes what was configured",
        judge::services,
    ),
    scenario(
        "judge-addresses",
        "Debian's ip sees addresses and forwarding as configured",
        judge::addresses,
    ),
    scenario(
        "console-screen",
        "the console on the screen, by keyboard",
        consoles::screen,
    ),
    scenario(
        "killed-workers",
        "each worker that is killed comes back; traffic flows meanwhile",
        workers::killed,
    ),
    scenario(
        "cluster-crash-loop",
        "the active's cluster worker dies again and again: one owner",
        workers::crash_loop,
    ),
    scenario(
        "watchdog",
        "a box that hangs: the twin takes over, its watchdog resets it",
        workers::hang,
    ),
    scenario(
        "null-modem-pulled",
        "the null modem is pulled: nothing moves",
        faults::null_modem,
    ),
    scenario(
        "heartbeats-cut",
        "every Ethernet heartbeat cut, serial lives: no second active",
        faults::heartbeats,
    ),
    scenario(
        "one-way-links",
        "each link cut in each direction: down for both, nothing moves",
        links::one_way,
    ),
    scenario(
        "carrier-lost",
        "carrier lost under a virtual address: the box yields",
        faults::carrier,
    ),
    scenario(
        "refused-address",
        "a kernel refuses an address: the twin serves; alone, the others",
        addresses::refused,
    ),
    scenario(
        "power-cut",
        "power cut of the active: served again within a second",
        faults::power_cut,
    ),
    scenario(
        "frozen-active",
        "the active stands still for 3 s: silent 50 ms after its thaw",
        frozen::active,
    ),
    scenario(
        "starved",
        "boxes with a quarter of a processor: nothing moves",
        frozen::starved,
    ),
    scenario(
        "handover-traffic",
        "handovers under HTTP: what begins after them succeeds",
        handover::traffic,
    ),
    scenario(
        "handover-freeze",
        "a box stands still amid a handover: one owner, in time",
        handover::freeze,
    ),
    scenario(
        "handover-power-cut",
        "a power cut at each step of a handover: one owner, in time",
        handover::cut,
    ),
    scenario(
        "reboots-in-turn",
        "both boxes restarted in turn under traffic: one owner, in time",
        turns::in_turn,
    ),
    scenario(
        "starts-together",
        "ten starts of both boxes at one instant: never two owners",
        turns::together,
    ),
    scenario(
        "forward-nat",
        "NAT carries HTTP over IPv4 and IPv6",
        balancer::nat,
    ),
    scenario(
        "forward-direct",
        "direct routing carries HTTP over IPv4 and IPv6",
        balancer::direct,
    ),
    scenario(
        "forward-tunnel",
        "tunnel carries HTTP over IPv4 and IPv6",
        balancer::tunnel,
    ),
    scenario(
        "server-down",
        "a web server dies and comes back: clients don't notice",
        balancer::server_down,
    ),
    scenario(
        "all-down",
        "no server is well: the fallback answers",
        balancer::all_down,
    ),
    scenario(
        "flows-balanced",
        "500 transfers balanced: cut, rejoin, hand-back, cut: none breaks",
        flows::balanced,
    ),
    scenario(
        "flows-routed",
        "500 transfers routed: cut, rejoin, hand-back, cut: none breaks",
        flows::routed,
    ),
    scenario(
        "cable-back",
        "a cable soon back: no late word in the name of the addresses",
        cable_back::run,
    ),
    scenario(
        "flows-firewall",
        "500 transfers on all ways through firewall and NAT: none breaks",
        flows::firewall,
    ),
    scenario(
        "flows-weather",
        "state sync with 10 % lost, doubled, late: a cut breaks no flow",
        flows_weather::bad,
    ),
    scenario(
        "flows-sync-cut",
        "state sync cut for 5 s and healed: a power cut breaks no flow",
        flows_weather::none,
    ),
    scenario(
        "flows-edges",
        "answers by the other box, ports used anew, haste: none breaks",
        flows_edges::run,
    ),
    scenario(
        "flows-bulk",
        "death amid the twin's bulk sync: what it was told of lives on",
        flows_bulk::run,
    ),
    scenario(
        "flows-each",
        "500 transfers on each way, one way after the other",
        flows_each::run,
    )
    .on_request(),
    scenario(
        "flows-million",
        "1,000,000 flows in 1 GiB: mirrored, none lost over a cut",
        flows_million::run,
    )
    .on_request(),
    scenario(
        "fail-back",
        "the preferred box comes back: once it is in sync, no flow breaks",
        fail_back::run,
    ),
    scenario(
        "judge-firewall",
        "a packet matrix; nft and conntrack say what our console says",
        judge_firewall::run,
    ),
    scenario(
        "table-full",
        "no room for connections: said, and no twin is called in sync",
        table_full::run,
    ),
    scenario(
        "balanced-state",
        "the standby knows the balancer's connections and templates",
        balanced_state::mirrored,
    ),
    scenario(
        "handover-begun",
        "connections that begin in the midst of a handover go on",
        handover_begun::run,
    ),
    scenario(
        "homeless",
        "a tunnelled connection whose server the heir has removed ends, and its client hears of it",
        homeless::run,
    ),
    scenario(
        "server-limit",
        "a full server gets no more connections, from the heir neither",
        server_limit::run,
    ),
    scenario(
        "reload",
        "new rules and services under flows: none that may pass breaks",
        reload::run,
    ),
    scenario(
        "daemon-ends",
        "a daemon that ends takes the balancer's sync daemons with it",
        guest::cleans_up,
    ),
    scenario(
        "reboot",
        "`reboot` on the active: it hands over, and comes back as standby",
        leaving::reboot,
    ),
    scenario(
        "reboot-unsynced",
        "`reboot` waits for a twin that lacks connections, but not long",
        leaving::reboot_unsynced,
    ),
    scenario(
        "ctrl-alt-del",
        "ctrl-alt-del reboots in the same way",
        leaving::ctrl_alt_del,
    ),
    scenario(
        "poweroff",
        "`poweroff` on the active: it hands over and goes off",
        leaving::power_off,
    ),
];

/// Prints names and what each is about.
pub fn list() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for Scenario {
        name,
        about,
        is_usual,
        ..
    } in &ALL
    {
        let when = if *is_usual { "" } else { " (only if named)" };
        writeln!(out, "{name:<22} {about}{when}")?;
    }
    Ok(())
}

/// The scenarios of these names; all usual ones if there are none.
pub fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| ALL.iter().all(|scenario| scenario.name != **name))
    {
        bail!("no scenario {unknown}: see `testbed test --list`");
    }
    let is_chosen = |scenario: &&Scenario| match names {
        [] => scenario.is_usual,
        _ => names.iter().any(|name| name == scenario.name),
    };
    Ok(ALL.iter().filter(is_chosen).collect())
}

/// Runs them, each after the other, to the end; fails if one did.
pub fn run(world: World, chosen: &[&Scenario], folder: &Path, endurance: Duration) -> Result<()> {
    let mut stage = Stage::new(world, folder, endurance);
    let mut failed = Vec::new();
    let begin = Instant::now();
    for (number, scenario) in chosen.iter().enumerate() {
        let Scenario { name, run, .. } = scenario;
        let began = Instant::now();
        print!("[{:>2}/{}] {name:<22} ", number + 1, chosen.len());
        // The line is seen while the scenario runs; a closed pipe is nobody's loss.
        let _ = std::io::stdout().flush();
        let outcome = stage.enter(name).and_then(|()| run(&mut stage));
        let seconds = began.elapsed().as_secs_f64();
        match &outcome {
            Ok(()) => println!("ok    {seconds:>6.1} s"),
            Err(error) => {
                println!("FAIL  {seconds:>6.1} s\n  {error:#}");
                println!(
                    "  logs: {}; again: qemu/testbed test {name}",
                    stage.logs.display()
                );
                failed.push(*name);
            }
        }
        stage.leave(outcome.is_ok());
    }
    let (count, seconds) = (chosen.len(), begin.elapsed().as_secs());
    println!(
        "{} of {count} scenarios hold, in {seconds} s",
        count - failed.len()
    );
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
