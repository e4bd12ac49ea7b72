//! A virtual machine whose serial console is read line by line until the line that is waited for. Always software emulation:
//! the same everywhere. Nothing of it reaches the host's network, and it ends with its handle.

use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// A booting machine.
pub(crate) struct Machine {
    child: Child,
    keys: ChildStdin,
    power_on: Instant,
    lines: Receiver<(Instant, String)>,
}

/// What every machine is. Its first serial port is ours.
const MACHINE: &[&str] = &[
    "-accel",
    "tcg,thread=multi",
    "-no-reboot",
    "-display",
    "none",
    "-monitor",
    "none",
    "-serial",
    "stdio",
];

/// Hardware that every booted box has: two processors, and a card behind which QEMU itself answers
/// on 10.0.2.100:80, the one server of boot.toml.
const BOX: &[&str] = &[
    "-smp",
    "2",
    "-nic",
    "user,model=virtio-net-pci,restrict=on,guestfwd=tcp:10.0.2.100:80-cmd:cat",
];

/// What the second card and the second serial port are joined to.
#[derive(Clone, Copy)]
pub(crate) enum Twin<'a> {
    /// Nothing: the cables hang loose.
    None,
    /// The other box, which comes second; the cables' sockets are in this folder.
    Second(&'a Path),
    /// The other box, which came first.
    First(&'a Path),
}

impl Twin<'_> {
    fn arguments(self) -> Vec<OsString> {
        let (folder, ends, side) = match self {
            Twin::None => {
                let loose = ["-device", "virtio-net-pci", "-serial", "null"];
                return loose.map(OsString::from).to_vec();
            }
            Twin::Second(folder) => (folder, ["sync-1", "sync-2"], "server=on,wait=off"),
            Twin::First(folder) => (folder, ["sync-2", "sync-1"], "server=off"),
        };
        let [here, there] = ends.map(|end| folder.join(end).display().to_string());
        let modem = folder.join("modem").display().to_string();
        let network = format!(
            "dgram,id=sync,local.type=unix,local.path={here},remote.type=unix,remote.path={there}"
        );
        let modem = format!("socket,id=modem,path={modem},{side}");
        let card = "virtio-net-pci,netdev=sync";
        let cables = [
            "-netdev",
            &network,
            "-device",
            card,
            "-chardev",
            &modem,
            "-serial",
            "chardev:modem",
        ];
        cables.map(OsString::from).to_vec()
    }
}

impl Machine {
    /// Powers on a box with this much memory and these further arguments for QEMU.
    pub(crate) fn boot(memory_mib: u32, twin: Twin, arguments: &[OsString]) -> Result<Self> {
        let hardware = BOX.iter().map(OsString::from).chain(twin.arguments());
        Self::start(memory_mib, hardware.chain(arguments.iter().cloned()))
    }

    /// The same for any machine.
    pub(crate) fn start(
        memory_mib: u32,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self> {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(MACHINE).args(["-m", &memory_mib.to_string()]);
        command.args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let power_on = Instant::now();
        let mut child = command
            .spawn()
            .context("starting qemu-system-x86_64 (package qemu-system-x86)")?;
        let console = child
            .stdout
            .take()
            .context("reading the machine's console")?;
        let keys = child.stdin.take().context("writing to the console")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                // Nobody listens any more once the line that was waited for has come.
                let _ = sender.send((Instant::now(), String::from_utf8_lossy(&line).into_owned()));
            }
        });
        Ok(Self {
            child,
            keys,
            power_on,
            lines,
        })
    }

    /// Writes a line to its console.
    pub(crate) fn send(&mut self, line: &str) -> Result<()> {
        writeln!(self.keys, "{line}").context("writing to a machine that is gone")
    }

    /// The next line of its console, within `limit`.
    pub(crate) fn line(&self, limit: Duration) -> Result<String> {
        let line = self.lines.recv_timeout(limit);
        let (_, line) =
            line.with_context(|| format!("the machine is gone, or says nothing for {limit:?}"))?;
        Ok(line)
    }

    /// Waits for a line that holds `wanted`; gives the time since power on. When it doesn't come within `limit`, the error
    /// tells what the console said last.
    pub(crate) fn wait_for(&self, wanted: &str, limit: Duration) -> Result<Duration> {
        const SHOWN_LINES: usize = 10;
        let deadline = self.power_on + limit;
        let mut said = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, line)) = self.lines.recv_timeout(left) else {
                let last = said
                    .split_off(said.len().saturating_sub(SHOWN_LINES))
                    .join("\n");
                bail!(
                    "no {wanted:?} within {} s of power on; the console said last:\n{last}",
                    limit.as_secs()
                );
            };
            if line.contains(wanted) {
                return Ok(at - self.power_on);
            }
            said.push(line);
        }
    }

    /// Cuts its power.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One `-drive` that is never written to.
pub(crate) fn drive(interface: &str, path: &OsStr) -> [OsString; 2] {
    let mut value = OsString::from(format!("if={interface},format=raw,snapshot=on,file="));
    value.push(path);
    ["-drive".into(), value]
}
