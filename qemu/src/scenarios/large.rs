//! A config as large as is promised: 10,000 rules and two sets of 50,000 addresses each, on a stick.

use super::stage::{Carrier, Stage, ensure, line_with};
use crate::config::PairConfig;
use crate::net::NODES;
use crate::tools::Image;
use crate::vm::arguments::Hardware;
use anyhow::Result;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const RULES: u32 = 10_000;
const HOSTS: u32 = 50_000;
const NETWORKS: u32 = 50_000;

/// Twice the memory of other boxes: while a ruleset takes the place of another, the kernel holds both.
const MEMORY_MIB: u32 = 256;

/// Rules and sets as the kernel lists them take some lines more.
const LINES_MIN: usize = 10_000;

/// An emulated box reads, tries and loads for many seconds.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A box boots with it, takes another one, lists it, and nobody is killed for taking long.
pub fn boots(stage: &mut Stage) -> Result<()> {
    let config = PairConfig {
        has_firewall: true,
        ..PairConfig::default()
    };
    let more = |hardware: &mut Hardware| hardware.memory_mib = MEMORY_MIB;
    let lone = stage.lone(&config, Carrier::Stick, more)?;
    let tools = &stage.world.tools;
    let small = fs::read_to_string(&lone.config)?;
    let write = |rules| -> Result<()> {
        fs::write(&lone.config, small.clone() + &guarding(rules))?;
        tools.write_medium(&lone.config, NODES[0], Image::Usb, &lone.medium)
    };
    // What was made for the small config has no room for this one.
    fs::remove_file(&lone.medium)?;
    write(RULES - 1)?;

    let begun = Instant::now();
    let mark = lone.boot()?;
    let took_ms = begun.elapsed().as_millis();
    let lines = lone.lines_since(mark);
    let set_up = line_with(&lines, "kernel set up: ")?;
    let mut told = format!("active {took_ms} ms after power on; {set_up}");

    write(RULES)?;
    let begun = Instant::now();
    let console = &lone.machine.console;
    let asked = console.mark();
    console.send("reload\r")?;
    console.wait(asked, "is in force, after generation 1", RELOAD_TIMEOUT)?;
    told += &format!("; reload in {} ms", begun.elapsed().as_millis());
    let begun = Instant::now();
    let listed = console.ask("firewall")?;
    told += &format!(
        "; {} lines of rules in {} ms",
        listed.len(),
        begun.elapsed().as_millis()
    );
    line_with(&listed, "customer 0")?;
    line_with(&listed, &format!("customer {}", RULES - 1))?;
    let what = "each rule should be listed";
    ensure(listed.len() >= LINES_MIN, what, &told)?;

    let status = lone.status()?;
    line_with(&status, "active, ready")?;
    let memory = line_with(&status, "; RAM ")?;
    let story = format!("{told}; {memory}");
    stage.world.timeline.note("testbed", story);
    let lines = lone.lines_since(mark);
    let ends = lines
        .into_iter()
        .filter(|line| line.contains("; it starts again"));
    let ends: Vec<_> = ends.collect();
    ensure(ends.is_empty(), "no worker should end", &ends.join("; "))
}

/// Sets, and rules of which every other one names a set.
fn guarding(rules: u32) -> String {
    let mut text = String::new();
    let hosts = (0..HOSTS).map(|number| Ipv4Addr::from_bits(0x0b00_0000 + 3 * number).to_string());
    let networks = (0..NETWORKS)
        .map(|number| format!("{}/28", Ipv4Addr::from_bits(0x6400_0000 + 32 * number)));
    for (name, addresses) in [
        ("hosts", hosts.collect::<Vec<_>>()),
        ("networks", networks.collect()),
    ] {
        let list = addresses.join("\",\n\"");
        // Writing to a string succeeds.
        let _ = write!(
            text,
            "\n[[set]]\nname = \"{name}\"\naddresses = [\n\"{list}\"\n]\n"
        );
    }
    for number in 0..rules {
        let source = match number % 4 {
            1 => "source = \"hosts\"\n",
            3 => "source = \"networks\"\n",
            _ => "",
        };
        let destination = Ipv4Addr::from_bits(0xc000_0200 + number);
        let _ = write!(
            text,
            "\n[[rule]]\nname = \"customer {number}\"\nfrom = \"outside\"\nto = \"inside\"\n{source}\
             destination = \"{destination}\"\nprotocol = \"tcp\"\nports = 443\naction = \"accept\"\n"
        );
    }
    text
}
