//! `testbed`: the pair on real kernels. Boots boxes in QEMU inside a network namespace of its own, joins them
//! by a null modem and networks, breaks things, and measures what a client sees.

// A binary exports nothing: `pub` marks what other modules may use.
#![allow(unreachable_pub)]

mod capture;
mod config;
mod console;
mod crowd;
mod demo;
mod door;
mod flows;
mod modem;
mod net;
mod ns;
mod pair;
mod plot;
mod probe;
mod rate;
mod remote;
mod report;
mod scenarios;
mod servers;
mod terminal;
mod timeline;
mod tools;
mod tunnel;
mod vm;
mod watch;
mod weather;

use anyhow::Result;
use clap::{Parser, Subcommand};
use pair::World;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use timeline::Timeline;
use tools::{Tools, fresh_folder};

/// The pair on real kernels in QEMU: a demo, tests, and a playground.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Where results go, and the socket of a testbed that stays.
    #[arg(long, default_value = "target", global = true, value_name = "FOLDER")]
    target: PathBuf,
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Boot the pair, cut the active box's power, measure; writes target/demo/.
    Demo {
        /// Leave the pair running afterwards.
        #[arg(long)]
        stay: bool,
    },
    /// Run scenarios; logs go to target/tests/NAME/.
    Test {
        /// Which ones; all if none is named.
        names: Vec<String>,
        /// How long scenarios go on that have no end of their own, in seconds.
        #[arg(long, default_value_t = 120, value_name = "SECONDS")]
        endurance: u64,
        /// Only say which there are.
        #[arg(long)]
        list: bool,
    },
    /// Attach to a box's console; ctrl-] leaves it.
    Console {
        /// castor or pollux.
        node: String,
    },
    /// Pull a cable or put it back.
    Link {
        /// cut or mend.
        action: String,
        /// null-modem, heartbeats, wan, lan, sync, castor-wan, …
        cable: String,
    },
    /// Pull a box's power plug or put it back.
    Power {
        /// cut or on.
        action: String,
        /// castor or pollux.
        node: String,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { target, command }: Cli) -> Result<()> {
    let socket = target.join("testbed.sock");
    match command {
        What::Demo { stay } => run_demo(&target, &socket, stay),
        What::Test { list: true, .. } => scenarios::list(),
        What::Test {
            names, endurance, ..
        } => run_tests(&target, &names, Duration::from_secs(endurance)),
        What::Console { node } => remote::console(&socket, &node),
        What::Link { action, cable } => remote::command(&socket, &["link", &action, &cable]),
        What::Power { action, node } => remote::command(&socket, &["power", &action, &node]),
    }
}

fn run_demo(target: &Path, socket: &Path, stay: bool) -> Result<()> {
    let tools = Tools::from_environment()?;
    ns::enter()?;
    let folder = fresh_folder(&target.join("demo"))?;
    let timeline = Timeline::new(&folder.join("timeline.txt"), true)?;
    let world = World::build(tools, &timeline)?;
    let pair = demo::run(&world, &folder, commit())?;
    println!("{}", folder.display());
    if stay {
        println!("{}", remote::help("qemu/testbed"));
        remote::serve(&pair, socket)?;
    }
    Ok(())
}

fn run_tests(target: &Path, names: &[String], endurance: Duration) -> Result<()> {
    let tools = Tools::from_environment()?;
    let chosen = scenarios::choose(names)?;
    ns::enter()?;
    let folder = target.join("tests");
    std::fs::create_dir_all(&folder)?;
    let timeline = Timeline::new(&folder.join("timeline.txt"), false)?;
    let world = World::build(tools, &timeline)?;
    scenarios::run(world, &chosen, &folder, endurance)
}

/// What is tested, for the report; a tree without git is tested all the same.
fn commit() -> String {
    let describe = ["describe", "--always", "--dirty"];
    let output = Command::new("git").args(describe).output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or("unknown".into())
}
