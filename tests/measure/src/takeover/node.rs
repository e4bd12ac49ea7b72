//! A node at work: a subject's processes in namespaces of their own (processes, mounts, host name, IPC, and the node's
//! network), so that two of them get along on one machine and all of one die at one stroke.

use super::world::{self, NODES};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where a script leaves the process id of its subject.
pub(crate) const PID_FILE: &str = "/run/subject.pid";

/// What the shell of the node `name` is told, to carry out `script`.
pub(crate) fn whole(name: &str, script: &str) -> String {
    format!(
        "mount -t tmpfs tmpfs /run\nhostname {name}\n{} & echo $! >{PID_FILE}\nwait\n",
        script.trim_end()
    )
}

/// A running node; killed when dropped.
pub(crate) struct Node(Child);

impl Node {
    /// Starts `script` at a node: what prepares it, and as its last line the subject's program, which stays in the foreground.
    /// What it says goes to `log`.
    pub(crate) fn start(node: usize, script: &str, log: &Path) -> Result<Self> {
        let name = NODES.get(node).context("there are two nodes")?;
        let log = File::options().append(true).create(true).open(log)?;
        let script = whole(name, script);
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", world::netns(name)));
        command.args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork"]);
        command.args(["--mount-proc", "--kill-child", "sh", "-ec", &script]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        let child = command.stderr(log).spawn();
        Ok(Self(
            child.context("starting nsenter (package util-linux)")?,
        ))
    }

    /// Its process here, from which all others of it descend.
    pub(crate) fn process(&self) -> Result<i32> {
        i32::try_from(self.0.id()).context("a process id out of range")
    }

    /// Gives an order, as a line for the shell, and returns what that says.
    pub(crate) fn order(&self, order: &str) -> Result<String> {
        let pid = self.first_process()?;
        let mut command = Command::new("nsenter");
        command.args([
            "--target", &pid, "--mount", "--uts", "--ipc", "--net", "--pid",
        ]);
        world::run(command.args(["sh", "-ec", order]))
    }

    /// The process that is number 1 inside, by the number it has here.
    fn first_process(&self) -> Result<String> {
        let pid = self.0.id();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let first = children.split_whitespace().next();
        Ok(first.context("a node's processes have ended")?.into())
    }

    /// SIGKILL to all of it: `unshare` takes the first process with it, and that the others.
    pub(crate) fn kill(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
