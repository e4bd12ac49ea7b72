//! A virtual machine whose serial console is read line by line until the line that is waited for. Always software emulation:
//! the same everywhere. Nothing of it reaches the host's network, and it ends with its handle.

use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// A booting machine.
pub(crate) struct Machine {
    child: Child,
    power_on: Instant,
    lines: Receiver<(Instant, String)>,
}

/// Hardware that every measured box has: two processors, two cards. Behind the first card QEMU itself answers on
/// 10.0.2.100:80, the one server of boot.toml.
const HARDWARE: &[&str] = &[
    "-accel",
    "tcg,thread=multi",
    "-smp",
    "2",
    "-no-reboot",
    "-display",
    "none",
    "-monitor",
    "none",
    "-nic",
    "user,model=virtio-net-pci,restrict=on,guestfwd=tcp:10.0.2.100:80-cmd:cat",
    "-nic",
    "user,model=virtio-net-pci,restrict=on,net=192.0.2.0/24",
];

/// Where the second serial port leads.
#[derive(Clone, Copy)]
pub(crate) enum NullModem<'a> {
    /// Nothing is plugged in.
    None,
    /// This machine holds the cable's socket.
    Listen(&'a Path),
    /// This machine joins the one that listens.
    Join(&'a Path),
}

impl NullModem<'_> {
    fn arguments(self) -> Vec<OsString> {
        let (path, how) = match self {
            NullModem::None => return vec!["-serial".into(), "null".into()],
            NullModem::Listen(path) => (path, ",server=on,wait=off"),
            NullModem::Join(path) => (path, ",server=off"),
        };
        let mut device = OsString::from("socket,id=modem,path=");
        device.push(path);
        device.push(how);
        vec![
            "-chardev".into(),
            device,
            "-serial".into(),
            "chardev:modem".into(),
        ]
    }
}

impl Machine {
    /// Powers on a machine with this much memory and these further arguments for QEMU.
    pub(crate) fn boot(memory_mib: u32, modem: NullModem, arguments: &[OsString]) -> Result<Self> {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(HARDWARE)
            .args(["-m", &memory_mib.to_string(), "-serial", "stdio"]);
        command.args(modem.arguments()).args(arguments);
        command
            .stdin(Stdio::null())
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
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                // Nobody listens any more once the line that was waited for has come.
                let _ = sender.send((Instant::now(), String::from_utf8_lossy(&line).into_owned()));
            }
        });
        Ok(Self {
            child,
            power_on,
            lines,
        })
    }

    /// Waits for a line that holds `wanted`; gives the time since power on, or `None` when it doesn't come within `limit`.
    pub(crate) fn wait_for(&self, wanted: &str, limit: Duration) -> Option<Duration> {
        let deadline = self.power_on + limit;
        loop {
            let (at, line) = self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .ok()?;
            if line.contains(wanted) {
                return Some(at - self.power_on);
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One `-drive` that is never written to.
pub(crate) fn drive(interface: &str, path: &OsStr) -> [OsString; 2] {
    let mut value = OsString::from(format!("if={interface},format=raw,snapshot=on,file="));
    value.push(path);
    ["-drive".into(), value]
}
