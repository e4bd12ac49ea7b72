//! Who is measured: Pollux as a daemon, and conntrackd in its reliable mode (FTFW), once with direct injection into the
//! twin's kernel and once with its cache, whose flows a takeover has to commit. conntrackd gets room for the load and our
//! own socket buffer of 64 MB, since Debian's sample has neither; all else is the sample's.

use super::Options;
use super::place::Side;
use crate::takeover::world::{self, NODES, address};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Debian's; and where it looks up what `TCP` in its config is.
const CONNTRACKD: &str = "/usr/sbin/conntrackd";
const PROTOCOLS: &str = "/etc/protocols";

/// Where a twin's flows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Packets pass at once.
    Kernel,
    /// This order has them put into the kernel.
    Cache { commit: &'static str },
}

/// A program with one of its settings.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) profile: &'static str,
    pub(super) home: Home,
    /// For its configs and logs.
    pub(super) folder: PathBuf,
    /// Its program, and what that reads.
    pub(super) files: Vec<PathBuf>,
    /// How that is started at a node, as lines for the shell.
    script: Box<dyn Fn(&str) -> String>,
    /// What it says of itself.
    status: &'static str,
    /// Whether that says that it works: the first side alone, and both.
    is_ready: fn(&str, usize) -> bool,
}

/// All of them, ours first. On machines of their own, those that put flows into the twin's kernel.
pub(super) fn all(options: &Options) -> Result<Vec<Subject>> {
    if options.kernel.is_some() {
        return Ok(vec![
            pollux(options, "vms")?,
            conntrackd(options, "direct-vms", Home::Kernel)?,
        ]);
    }
    Ok(vec![
        pollux(options, "default")?,
        conntrackd(options, "direct", Home::Kernel)?,
        conntrackd(
            options,
            "cache",
            Home::Cache {
                commit: "conntrackd -C /run/conntrackd.conf -c",
            },
        )?,
    ])
}

impl Subject {
    /// Name and profile.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.name, self.profile)
    }

    /// What the shell of a node is told, to start its side.
    pub(super) fn script(&self, node: usize) -> Result<String> {
        let name = NODES.get(node).context("there are two nodes")?;
        Ok((self.script)(name))
    }

    /// Where a side's log goes.
    pub(super) fn log(&self, node: usize) -> Result<PathBuf> {
        let name = NODES.get(node).context("there are two nodes")?;
        Ok(self.folder.join(format!("{name}.log")))
    }

    /// What a side says of itself; empty while it does not answer.
    pub(super) fn says(&self, side: &dyn Side) -> String {
        side.order(self.status).unwrap_or_default()
    }

    /// Whether a side works: the first alone or, with `both`, with its twin.
    pub(super) fn is_ready(&self, side: &dyn Side, sides: usize) -> bool {
        (self.is_ready)(&self.says(side), sides)
    }

    /// Flows in the twin's cache.
    pub(super) fn cached(&self, side: &dyn Side) -> u32 {
        let says = self.says(side);
        let mut lines = says.lines();
        lines.find(|line| line.starts_with("cache external"));
        let count = lines.next().and_then(|line| line.split_whitespace().last());
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

/// A fresh folder for a subject.
fn folder(options: &Options, name: &str) -> Result<PathBuf> {
    let folder = options.work.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn pollux(options: &Options, profile: &'static str) -> Result<Subject> {
    let folder = folder(options, "pollux")?;
    let (text, image) = (folder.join("pair.toml"), folder.join("pair.plx"));
    fs::write(&text, include_str!("pair.toml")).context("writing the config")?;
    let mut build = Command::new(&options.polluxctl);
    world::run(build.arg("build").arg("--out").arg(&image).arg(&text))?;
    let program = options.pollux.display();
    let link = format!("ln -s {program} /run/subject");
    let run = format!("/run/subject run --config {}", image.display());
    Ok(Subject {
        name: "pollux",
        profile,
        home: Home::Kernel,
        folder,
        files: vec![options.pollux.clone(), image],
        script: Box::new(move |name| format!("{link}\n{run} --node {name}")),
        status: "/run/subject console -c status",
        is_ready: |says, sides| match sides {
            1 => says.contains("active"),
            _ => says.contains("connections: in sync"),
        },
    })
}

fn conntrackd(options: &Options, profile: &'static str, home: Home) -> Result<Subject> {
    let folder = folder(options, &format!("conntrackd-{profile}"))?;
    let mut files = vec![CONNTRACKD.into(), PROTOCOLS.into()];
    for (node, name) in NODES.into_iter().enumerate() {
        let path = folder.join(name).with_extension("conf");
        let text = settings(node, home == Home::Kernel);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        files.push(path);
    }
    let configs = folder.display().to_string();
    Ok(Subject {
        name: "conntrackd",
        profile,
        home,
        folder,
        files,
        script: Box::new(move |name| {
            let link = format!("ln -s {configs}/{name}.conf /run/conntrackd.conf");
            format!("{link}\n{CONNTRACKD} -C /run/conntrackd.conf")
        }),
        status: "conntrackd -C /run/conntrackd.conf -s",
        is_ready: |says, _| says.contains("cache internal"),
    })
}

fn settings(node: usize, injects: bool) -> String {
    let (own, peer) = (address(node), address(1 - node));
    let disabled = if injects { "yes" } else { "no" };
    format!(
        "Sync {{\n\
         Mode FTFW {{\nResendQueueSize 131072\nACKWindowSize 300\nStartupResync yes\nDisableExternalCache {disabled}\n}}\n\
         UDP {{\nIPv4_address {own}\nIPv4_Destination_Address {peer}\nPort 3780\nInterface eth0\n\
         SndSocketBuffer 1249280\nRcvSocketBuffer 1249280\nChecksum on\n}}\n}}\n\
         General {{\nHashSize 131072\nHashLimit 1048576\nSystemd no\nLogFile no\nSyslog no\n\
         LockFile /run/conntrackd.lock\nUNIX {{\nPath /run/conntrackd.ctl\n}}\n\
         NetlinkBufferSize 67108864\nNetlinkBufferSizeMaxGrowth 67108864\n\
         Filter From Userspace {{\nProtocol Accept {{\nTCP\n}}\nAddress Ignore {{\nIPv4_address 127.0.0.1\n\
         IPv4_address {own}\nIPv4_address {peer}\n}}\n}}\n}}\n"
    )
}
