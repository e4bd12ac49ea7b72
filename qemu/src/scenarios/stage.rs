//! What a scenario stands on: the world, its folder for logs, a healthy pair, or a lone box made to order.

use crate::config::PairConfig;
use crate::console::Mark;
use crate::door;
use crate::modem::NullModem;
use crate::net::{self, NODES};
use crate::pair::{BOOT_TIMEOUT, Order, Pair, World, hardware, is_active};
use crate::tools::{Image, fresh_folder};
use crate::vm::Machine;
use crate::vm::arguments::{Boot, Firmware, Hardware, Medium};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Machines that run tests stand still now and then for longer than the default dead time, and a box that
/// stood still rightly steps down. Where nothing may move, that would be noise; a client's limit of a second
/// for an outage holds all the same.
pub const CALM_TIMING: &str = "{ beat-ms = 50, dead-ms = 500 }";
/// The dead time of CALM_TIMING.
pub const DEAD_TIME: Duration = Duration::from_millis(500);

/// See the module.
pub struct Stage {
    /// What all scenarios share.
    pub world: World,
    /// Logs of the scenario that runs.
    pub logs: PathBuf,
    /// How long scenarios go on that have no end of their own.
    pub endurance: Duration,
    folder: PathBuf,
    name: &'static str,
    pair: Option<(Kind, Arc<Pair>)>,
    door: Option<PathBuf>,
}

/// What a pair that scenarios share is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// HTTP over every forwarding method.
    Services,
    /// Long-lived flows.
    Flows,
    /// Long-lived flows through a firewall.
    Firewall,
}

/// What a lone box has its config on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Floppy,
    Stick,
    Disk,
    /// On the ISO, or nowhere.
    None,
}

/// A box without a twin.
pub struct Lone {
    /// The box, called castor.
    pub machine: Machine,
    /// Image of its config medium.
    pub medium: PathBuf,
    /// Its config as text.
    pub config: PathBuf,
}

impl Stage {
    /// Logs go to folders below `folder`.
    pub fn new(world: World, folder: &Path, endurance: Duration) -> Self {
        Stage {
            world,
            endurance,
            logs: folder.into(),
            folder: folder.into(),
            name: "",
            pair: None,
            door: None,
        }
    }

    /// Before a scenario.
    pub fn enter(&mut self, name: &'static str) -> Result<()> {
        self.name = name;
        self.logs = fresh_folder(&self.folder.join(name))?;
        self.world
            .timeline
            .note("testbed", format!("scenario {name}"));
        Ok(())
    }

    /// After it: keeps what happened, and clears away what a failure left behind.
    pub fn leave(&mut self, is_ok: bool) {
        let events = self.world.timeline.events();
        let began = events
            .iter()
            .rposition(|event| event.text == format!("scenario {}", self.name));
        let lines = events.iter().skip(began.unwrap_or(0)).map(|event| {
            format!(
                "{:>9.3}  {:<8} {}\n",
                crate::timeline::seconds(event.at_ms),
                event.source,
                event.text
            )
        });
        // Logs are a help, not a result.
        let _ = fs::write(self.logs.join("timeline.txt"), lines.collect::<String>());
        if !is_ok {
            self.copy_console_logs();
            self.pair = None;
            // What cannot be mended shows in the next scenario.
            let _ = net::mend();
            self.world.servers.heal();
        }
    }

    /// Consoles of a shared pair are logged where it was booted.
    fn copy_console_logs(&self) {
        let Some((_, pair)) = self
            .pair
            .as_ref()
            .filter(|(_, pair)| pair.logs != self.logs)
        else {
            return;
        };
        for machine in &pair.boxes {
            for kind in ["console", "door"] {
                let name = format!("{}.{kind}.log", machine.name());
                // Logs are a help, not a result.
                let _ = fs::copy(pair.logs.join(&name), self.logs.join(&name));
            }
        }
    }

    /// A pair with doors, booted and calm, with all services; the one of the scenario before, if it is still well.
    pub fn pair(&mut self) -> Result<Arc<Pair>> {
        self.shared_pair(Kind::Services, |config| config.has_all_services = true)
    }

    /// The same, for long-lived flows on every way.
    pub fn flow_pair(&mut self) -> Result<Arc<Pair>> {
        self.shared_pair(Kind::Flows, |config| config.has_flow_services = true)
    }

    /// The same, with a firewall before them.
    pub fn firewall_pair(&mut self) -> Result<Arc<Pair>> {
        self.shared_pair(Kind::Firewall, |config| {
            config.has_flow_services = true;
            config.has_firewall = true;
        })
    }

    fn shared_pair(&mut self, kind: Kind, change: impl Fn(&mut PairConfig)) -> Result<Arc<Pair>> {
        if let Some((_, pair)) = self.pair.as_ref().filter(|(of, _)| *of == kind) {
            pair.wait_calm()?;
            return Ok(Arc::clone(pair));
        }
        let pair = Arc::new(self.fresh_pair(change)?);
        self.pair = Some((kind, Arc::clone(&pair)));
        Ok(pair)
    }

    /// A pair with doors and a config of the scenario's own, booted and calm; nobody else gets it.
    pub fn fresh_pair(&mut self, change: impl Fn(&mut PairConfig)) -> Result<Pair> {
        self.pair_of(self.order().with(change))
    }

    /// A pair with doors of the scenario's own, as ordered, booted and calm.
    pub fn pair_of(&mut self, order: Order) -> Result<Pair> {
        self.without_pair();
        let order = order.with_door(self.door()?);
        let pair = Pair::assemble(&self.world, &order)?;
        let marks = pair.marks();
        pair.boot()?;
        for (machine, mark) in pair.boxes.iter().zip(marks) {
            door::wait_open(&machine.door, mark)?;
        }
        pair.wait_calm()?;
        Ok(pair)
    }

    /// A pair named like the scenario, with the timing that `DEAD_TIME` is of.
    pub fn order(&self) -> Order {
        Order::new(self.name, &self.logs).with(|config| config.timing = CALM_TIMING)
    }

    /// An initramfs with a back door.
    pub fn door(&mut self) -> Result<PathBuf> {
        if let Some(door) = &self.door {
            return Ok(door.clone());
        }
        let folder = fresh_folder(Path::new("/run/door"))?;
        let archive = door::build(&self.world.tools.init, &folder)?;
        self.door = Some(archive.clone());
        Ok(archive)
    }

    /// Gives the shared pair up: a scenario is about to use the taps itself.
    pub fn without_pair(&mut self) {
        self.pair = None;
    }

    /// A lone castor that boots the ISO, with its config on `carrier`; power is off.
    pub fn lone(
        &mut self,
        config: &PairConfig,
        carrier: Carrier,
        change: impl FnOnce(&mut Hardware),
    ) -> Result<Lone> {
        self.without_pair();
        let folder = fresh_folder(&Path::new("/run").join(self.name))?;
        let text = self.logs.join("castor.toml");
        fs::write(&text, config.to_toml())?;
        let medium = folder.join("medium.img");
        let kind = if carrier == Carrier::Floppy {
            Image::Floppy
        } else {
            Image::Usb
        };
        self.world
            .tools
            .write_medium(&text, NODES[0], kind, &medium)?;
        let attached = match carrier {
            Carrier::Floppy => Some(Medium::Floppy(medium.clone())),
            Carrier::Stick => Some(Medium::Usb(medium.clone())),
            Carrier::Disk => Some(Medium::Disk(medium.clone())),
            Carrier::None => None,
        };
        let order = Order::new(self.name, &self.logs);
        let boot = Boot::Cd(self.world.tools.iso.clone());
        let mut parts = hardware(0, &order, boot, Medium::Usb(medium.clone()));
        parts.medium = attached;
        change(&mut parts);
        let home = folder.join(NODES[0]);
        let machine = Machine::new(NODES[0], &home, &self.logs, parts, &self.world.timeline)?;
        let far = folder.join("far-end");
        // Nobody is at the far end of its null modem.
        NullModem::listen([&Machine::modem_socket(&home), &far])?;
        Ok(Lone {
            machine,
            medium,
            config: text,
        })
    }

    /// The ISO with the config for castor on it.
    pub fn iso_with_config(&self, config: &PairConfig) -> Result<PathBuf> {
        let text = self.logs.join("castor.toml");
        fs::write(&text, config.to_toml())?;
        let out = Path::new("/run").join(format!("{}.iso", self.name));
        self.world.tools.write_iso(&text, NODES[0], &out)?;
        Ok(out)
    }
}

impl Lone {
    /// Powers it on and waits until it is active: without a twin it must be. Gives where its boot began.
    pub fn boot(&self) -> Result<Mark> {
        let mark = self.machine.console.mark();
        self.machine.power_on()?;
        self.machine
            .console
            .wait_for(mark, "`active, ready`", BOOT_TIMEOUT, is_active)?;
        Ok(mark)
    }

    /// What it has printed since `mark`.
    pub fn lines_since(&self, mark: Mark) -> Vec<String> {
        let lines = self.machine.console.lines_since(mark);
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Its `status`, line by line.
    pub fn status(&self) -> Result<Vec<String>> {
        self.machine.console.ask("status")
    }
}

/// The line of `lines` that contains `text`.
pub fn line_with<'a>(lines: &'a [String], text: &str) -> Result<&'a str> {
    let found = lines
        .iter()
        .find(|line| line.contains(text))
        .map(String::as_str);
    found.with_context(|| format!("no line with `{text}` in:\n{}", lines.join("\n")))
}

/// Fails with what was found where `is_so` is false.
pub fn ensure(is_so: bool, what: &str, found: &str) -> Result<()> {
    if !is_so {
        bail!("{what}; found: {found}");
    }
    Ok(())
}

/// Turns the firmware to UEFI, which needs memory of its own while it loads the kernel.
pub fn uefi(hardware: &mut Hardware) {
    hardware.firmware = Firmware::Uefi;
    hardware.memory_mib = 256;
}
