//! The world of a trial: two nodes and a client, each a network namespace, on one bridge. It is made anew for each trial, so
//! that no address, neighbour entry or setting outlives its subject. Nothing of it is seen outside the network, mount and
//! process namespaces in which `tests/bench` starts this program.

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// The nodes, by the names their configs know.
pub(crate) const NODES: [&str; 2] = ["castor", "pollux"];
/// Who asks.
pub(crate) const CLIENT: &str = "client";
/// What it asks; whoever is active holds it.
pub(crate) const VIRTUAL_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 10);
/// Address of the client.
const CLIENT_ADDRESS: &str = "10.9.0.100";
const NETNS_DIR: &str = "/run/netns";

/// The own address of a node.
pub(crate) fn address(node: usize) -> String {
    format!("10.9.0.{}", node + 1)
}

/// What fresh namespaces lack. Refuses to work anywhere else.
pub(crate) fn furnish() -> Result<()> {
    ensure!(
        std::process::id() == 1,
        "start this by `tests/bench`: it makes namespaces first, so that nothing on this machine changes"
    );
    run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]))?;
    std::fs::create_dir(NETNS_DIR).context("making a folder for namespaces")?;
    ip("link set lo up\n")
}

/// One world; gone when dropped.
pub(crate) struct World {
    /// Reads orders one by one and carries each out at once.
    switch: Child,
}

impl World {
    /// Nodes and client with their own addresses.
    pub(crate) fn new() -> Result<Self> {
        ip("link add br0 type bridge\nlink set br0 up\n")?;
        for (name, address) in [
            (NODES[0], address(0)),
            (NODES[1], address(1)),
            (CLIENT, CLIENT_ADDRESS.into()),
        ] {
            ip(&format!(
                "netns add {name}\n\
                 link add to-{name} type veth peer name eth0 netns {name}\n\
                 link set to-{name} master br0 up\n"
            ))?;
            let lines =
                format!("link set lo up\nlink set eth0 up\naddress add {address}/24 dev eth0\n");
            ip_in(name, &lines)?;
        }
        let switch = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .spawn();
        Ok(Self {
            switch: switch.context("starting ip (package iproute2)")?,
        })
    }

    /// Pulls a node's cable. Costs a write to a process that waits for it, not the start of one.
    pub(crate) fn cut(&mut self, node: usize) -> Result<()> {
        let name = NODES.get(node).context("there are two nodes")?;
        let order = format!("link set to-{name} down\n");
        let stdin = self.switch.stdin.as_mut().context("the switch is gone")?;
        stdin.write_all(order.as_bytes()).context("cutting a cable")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Whatever fails here the next world will stumble over and say.
        drop(self.switch.stdin.take());
        let _ = self.switch.wait();
        for name in NODES.into_iter().chain([CLIENT]) {
            let _ = ip(&format!("link delete to-{name}\nnetns delete {name}\n"));
        }
        let _ = ip("link delete br0\n");
    }
}

/// The path by which other programs find a namespace.
pub(crate) fn netns(name: &str) -> String {
    format!("{NETNS_DIR}/{name}")
}

/// Runs `work` on a thread whose sockets belong to the namespace `name`.
pub(crate) fn within<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let file = File::open(Path::new(NETNS_DIR).join(name)).context("opening a namespace")?;
    let thread = thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).context("entering a namespace")?;
        work()
    });
    match thread.join() {
        Ok(outcome) => outcome,
        Err(_) => bail!("a thread in namespace {name} panicked"),
    }
}

/// Runs `ip` on these lines.
pub(crate) fn ip(lines: &str) -> Result<()> {
    feed(Command::new("ip").args(["-batch", "-"]), lines).map(|_| ())
}

/// The same in the namespace `name`.
pub(crate) fn ip_in(name: &str, lines: &str) -> Result<()> {
    feed(Command::new("ip").args(["-n", name, "-batch", "-"]), lines).map(|_| ())
}

/// Runs a command, wants it to succeed, and returns what it said.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    feed(command, "")
}

fn feed(command: &mut Command, input: &str) -> Result<String> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} with\n{input}\nfailed: {}",
        said.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
