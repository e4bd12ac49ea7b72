//! A box: one QEMU, its console, its control socket and its power switch. A power cut is SIGKILL, so nothing
//! in the box or in QEMU gets to say goodbye.

pub mod arguments;
mod preferred;
mod program;
pub mod qmp;
pub mod starved;

use crate::console::Console;
use crate::ns::Guard;
use crate::timeline::{Timeline, lock};
use anyhow::{Context, Result, bail};
use arguments::{Firmware, Hardware, Medium, OVMF_VARS, socket};
use preferred::Preferred;
use qmp::Qmp;
use serde_json::json;
use starved::{Ration, Starved};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const QEMU: &str = "qemu-system-x86_64";
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// What QEMU says of what it has just been told to do.
const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// One box.
#[derive(Debug)]
pub struct Machine {
    name: String,
    folder: PathBuf,
    timeline: Timeline,
    hardware: Hardware,
    /// While it is on.
    life: Mutex<Option<Life>>,
    /// First serial port.
    pub console: Console,
    /// Third serial port of machines that have a back door.
    pub door: Console,
    qmp: Qmp,
}

/// The processes of a box that is on.
#[derive(Debug)]
struct Life {
    qemu: Guard,
    /// Keeps its program in memory, once it runs.
    program: Option<Guard>,
}

impl Machine {
    /// Furnishes `folder` for a box called `name`; its power is off. Console log: `logs/NAME.console.log`.
    pub fn new(
        name: &str,
        folder: &Path,
        logs: &Path,
        hardware: Hardware,
        timeline: &Timeline,
    ) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let log = |kind: &str| logs.join(format!("{name}.{kind}.log"));
        let listen =
            |kind: &str| Console::listen(name, &socket(folder, kind), &log(kind), timeline);
        Ok(Machine {
            name: name.into(),
            folder: folder.into(),
            timeline: timeline.clone(),
            hardware,
            life: Mutex::default(),
            console: listen("console")?,
            door: listen("door")?,
            qmp: Qmp::listen(name, &socket(folder, "qmp"))?,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its null modem is plugged in.
    pub fn modem_socket(folder: &Path) -> PathBuf {
        socket(folder, "modem")
    }

    /// Presses the power button of a box that is off.
    pub fn power_on(&self) -> Result<()> {
        let mut life = lock(&self.life);
        if life.is_some() {
            bail!("powering on {}: it is on", self.name);
        }
        let hardware = &self.hardware;
        if hardware.firmware == Firmware::Uefi {
            let variables = self.folder.join("uefi-variables.fd");
            fs::copy(OVMF_VARS, variables).context("copying UEFI variables (package ovmf)")?;
        }
        let log = File::create(self.folder.join("qemu.log"))?;
        let lives = self.qmp.lives();
        // Behind the client and the servers, or its emulated load would be taken for an outage.
        let mut command = Command::new("nice");
        command.args(["-n", "5", QEMU]);
        command.args(arguments::arguments(&self.name, &self.folder, hardware)?);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = command
            .spawn()
            .context("starting QEMU (package qemu-system-x86)")?;
        let process = child.id();
        *life = Some(Life {
            qemu: Guard::new(child),
            program: None,
        });
        drop(life);
        self.timeline.note(&self.name, "power on");
        self.qmp.wait_life(lives, START_TIMEOUT).with_context(|| {
            let said = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
            format!("starting {}: {}", self.name, said.trim())
        })?;
        let program = program::hold(process);
        if let Err(error) = &program {
            let what = format!("the host may page out its QEMU: {error:#}");
            self.timeline.note(&self.name, what);
        }
        if let Some(life) = lock(&self.life).as_mut() {
            life.program = program.ok();
        }
        Ok(())
    }

    /// Pulls the power plug; gives the moment.
    pub fn power_cut(&self) -> Instant {
        let moment = Instant::now();
        if let Some(mut life) = lock(&self.life).take() {
            life.qemu.kill();
        }
        self.timeline.note(&self.name, "POWER CUT");
        moment
    }

    /// Waits until the box has powered itself off.
    pub fn wait_off(&self, timeout: Duration) -> Result<()> {
        self.qmp.wait_end(timeout)?;
        if let Some(mut life) = lock(&self.life).take() {
            life.qemu.wait()?;
        }
        self.timeline.note(&self.name, "powered itself off");
        Ok(())
    }

    /// Waits until the box has reset itself since `forget_events`.
    pub fn wait_reset(&self, timeout: Duration) -> Result<()> {
        self.qmp.wait_event("RESET", timeout)?;
        self.timeline.note(&self.name, "reset itself");
        Ok(())
    }

    /// Waits until the watchdog has reset the box since `forget_events`.
    pub fn wait_watchdog(&self, timeout: Duration) -> Result<()> {
        self.qmp.wait_event("WATCHDOG", timeout)?;
        self.timeline.note(&self.name, "reset by its watchdog");
        Ok(())
    }

    /// Forgets resets so far.
    pub fn forget_events(&self) {
        self.qmp.forget_events();
    }

    /// Pulls the network cable out of a card, or puts it in: the box loses or gets carrier.
    pub fn set_cable(&self, network: &str, is_in: bool) -> Result<()> {
        let card = format!("{}-{network}-card", self.name);
        self.qmp
            .execute("set_link", &json!({ "name": card, "up": is_in }))?;
        let done = if is_in { "in" } else { "OUT" };
        self.timeline
            .note(&self.name, format!("cable of {network} {done}"));
        Ok(())
    }

    /// Has its processor go before whatever else runs on the host, until the guard is dropped.
    pub fn prefer(&self) -> Result<Option<Preferred>> {
        let preferred = Preferred::start(self.process()?)?;
        if preferred.is_none() {
            self.timeline.note(
                &self.name,
                "waits its turn: this host gives nobody precedence",
            );
        }
        Ok(preferred)
    }

    /// Freezes the processor, as a long SMI would.
    pub fn pause(&self) -> Result<()> {
        self.timeline.note(&self.name, "paused");
        self.qmp.execute("stop", &json!({})).map(drop)
    }

    /// Lets it go on; gives the moment, as time since 1970.
    pub fn resume(&self) -> Result<Duration> {
        self.qmp.forget_events();
        self.timeline.note(&self.name, "goes on");
        self.qmp.execute("cont", &json!({}))?;
        self.qmp.wait_event("RESUME", EVENT_TIMEOUT)
    }

    /// Presses ctrl-alt-del on the keyboard.
    pub fn press_ctrl_alt_del(&self) -> Result<()> {
        self.timeline.note(&self.name, "ctrl-alt-del");
        self.press(&["ctrl", "alt", "delete"])
    }

    /// Presses keys of the keyboard together, by QEMU's names for them (`a`, `ret`, `ctrl`).
    pub fn press(&self, codes: &[&str]) -> Result<()> {
        let keys = codes
            .iter()
            .map(|code| json!({ "type": "qcode", "data": code }));
        let keys = keys.collect::<Vec<_>>();
        self.qmp
            .execute("send-key", &json!({ "keys": keys }))
            .map(drop)
    }

    /// Takes most of its processor time away, until the guard is dropped.
    pub fn starve(&self, ration: Ration) -> Result<Starved> {
        let process = self.process()?;
        self.timeline.note(&self.name, "starved of CPU");
        Starved::start(process, ration)
    }

    /// Its QEMU.
    fn process(&self) -> Result<u32> {
        let process = lock(&self.life).as_ref().map(|life| life.qemu.id());
        process.with_context(|| format!("{} is off", self.name))
    }

    /// Plugs a config medium into a running box: a USB stick, or a floppy into the drive.
    pub fn plug(&self, medium: &Medium) -> Result<()> {
        let Medium::Usb(image) = medium else {
            bail!("only a USB stick can be plugged into a running box here");
        };
        let node = json!({ "driver": "raw", "node-name": "late",
            "file": { "driver": "file", "filename": image } });
        self.qmp.execute("blockdev-add", &node)?;
        let stick = json!({ "driver": "usb-storage", "bus": "usb.0", "drive": "late",
            "id": "late-stick", "removable": true });
        self.timeline.note(&self.name, "USB stick plugged in");
        self.qmp.execute("device_add", &stick).map(drop)
    }
}
