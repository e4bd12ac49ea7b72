//! Two boxes on their cables, ready to be booted, and the questions scenarios ask about them. What is shared
//! by all pairs of a run (networks, servers, client) is the `World`.

use crate::config::PairConfig;
use crate::console::{Mark, is_news};
use crate::door;
use crate::modem::NullModem;
use crate::net::{self, NETWORKS, NODES, mac, tap};
use crate::servers::Servers;
use crate::timeline::Timeline;
use crate::tools::{Image, Tools, fresh_folder};
use crate::vm::Machine;
use crate::vm::arguments::{Boot, Card, Firmware, Hardware, Medium};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a box may take from power-on to its first role, under emulation on a busy machine.
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(90);
/// From question to question where a state is waited for that nobody announces.
const ASK_INTERVAL: Duration = Duration::from_millis(300);
/// How long a change of role may take before it counts as not happening.
pub const ROLE_TIMEOUT: Duration = Duration::from_secs(20);

/// What all pairs of a run share.
#[derive(Debug)]
pub struct World {
    /// What was built.
    pub tools: Tools,
    /// The real servers.
    pub servers: Servers,
    /// The list of what happened.
    pub timeline: Timeline,
}

impl World {
    /// Builds networks and servers; inside the testbed's namespaces only.
    pub fn build(tools: Tools, timeline: &Timeline) -> Result<Self> {
        net::build()?;
        let servers = Servers::start(Path::new("/run/servers"), timeline)?;
        Ok(World {
            tools,
            servers,
            timeline: timeline.clone(),
        })
    }
}

/// What a pair is made of and where its logs go.
#[derive(Debug, Clone)]
pub struct Order {
    /// Distinguishes this pair from others in the run; a file name.
    pub name: String,
    /// Logs and captures.
    pub logs: PathBuf,
    /// Configs of castor and pollux: the same, but where they differ on purpose.
    pub configs: [PairConfig; 2],
    /// RAM.
    pub memory_mib: u32,
    /// An initramfs with a back door: both boxes boot it and the kernel straight, and have their config on a
    /// disk. `None`: they boot the ISO, castor from a CD with a floppy, pollux from a USB stick with another.
    pub door: Option<PathBuf>,
}

impl Order {
    /// A pair with the default config.
    pub fn new(name: &str, logs: &Path) -> Self {
        let configs = [PairConfig::default(), PairConfig::default()];
        Order {
            name: name.into(),
            logs: logs.into(),
            configs,
            memory_mib: 128,
            door: None,
        }
    }

    /// Booted straight into the kernel, with this initramfs.
    pub fn with_door(mut self, initramfs: PathBuf) -> Self {
        self.door = Some(initramfs);
        self
    }

    /// The same config on both boxes, changed by `change`.
    pub fn with(mut self, change: impl Fn(&mut PairConfig)) -> Self {
        self.configs.iter_mut().for_each(change);
        self
    }
}

/// Two boxes.
#[derive(Debug)]
pub struct Pair {
    /// castor and pollux.
    pub boxes: [Machine; 2],
    /// The cable between their second serial ports.
    pub modem: NullModem,
    /// Where their consoles are logged.
    pub logs: PathBuf,
    /// Images of their config media.
    pub media: [PathBuf; 2],
}

impl Pair {
    /// Assembles it as ordered. Power is off.
    pub fn assemble(world: &World, order: &Order) -> Result<Self> {
        let folder = fresh_folder(&Path::new("/run").join(&order.name))?;
        let images = match order.door {
            Some(_) => [Image::Usb, Image::Usb],
            None => [Image::Floppy, Image::Usb],
        };
        let media = NODES.map(|node| folder.join(format!("{node}.medium")));
        let parts = NODES.iter().zip(images).zip(&order.configs).zip(&media);
        for (((node, image), config), medium) in parts {
            let text = order.logs.join(format!("{node}.toml"));
            fs::write(&text, config.to_toml())?;
            world.tools.write_medium(&text, node, image, medium)?;
        }
        let [first, second] = media.clone();
        let hardware = match &order.door {
            Some(initramfs) => {
                let boot = || straight(&world.tools, initramfs);
                let mut both = [
                    hardware(0, order, boot(), Medium::Disk(first)),
                    hardware(1, order, boot(), Medium::Disk(second)),
                ];
                for one in &mut both {
                    one.has_back_door = true;
                    one.has_watchdog = true;
                }
                both
            }
            None => {
                let iso = &world.tools.iso;
                [
                    hardware(0, order, Boot::Cd(iso.clone()), Medium::Floppy(first)),
                    hardware(1, order, Boot::Usb(iso.clone()), Medium::Usb(second)),
                ]
            }
        };
        let [castor, pollux] = hardware;
        let [home_castor, home_pollux] = NODES.map(|node| folder.join(node));
        let timeline = &world.timeline;
        let boxes = [
            Machine::new(NODES[0], &home_castor, &order.logs, castor, timeline)?,
            Machine::new(NODES[1], &home_pollux, &order.logs, pollux, timeline)?,
        ];
        let ends = [
            Machine::modem_socket(&home_castor),
            Machine::modem_socket(&home_pollux),
        ];
        let modem = NullModem::listen(ends.each_ref().map(PathBuf::as_path))?;
        Ok(Pair {
            boxes,
            modem,
            logs: order.logs.clone(),
            media,
        })
    }

    /// Powers both on and waits until one is active and the other standby, both ready. Gives the active.
    pub fn boot(&self) -> Result<usize> {
        let marks = self.marks();
        self.boxes.iter().try_for_each(Machine::power_on)?;
        self.wait_settled(marks)
    }

    /// Here and now on both consoles.
    pub fn marks(&self) -> [Mark; 2] {
        self.boxes.each_ref().map(|machine| machine.console.mark())
    }

    /// Waits until both boxes have said a ready role since `marks` and exactly one is active.
    pub fn wait_settled(&self, marks: [Mark; 2]) -> Result<usize> {
        for (machine, mark) in self.boxes.iter().zip(marks) {
            machine
                .console
                .wait_for(mark, "a role, ready", BOOT_TIMEOUT, is_standing)?;
        }
        self.active()
    }

    /// Which box is active, once exactly one is and the other is standby.
    pub fn active(&self) -> Result<usize> {
        let deadline = Instant::now() + ROLE_TIMEOUT;
        loop {
            let mark = self.boxes[0].console.mark();
            let [castor, pollux] = [self.role(0)?, self.role(1)?];
            // `held standby` is what an operator's `standby` makes.
            match (castor.as_str(), pollux.as_str()) {
                ("active", "standby" | "held standby") => return Ok(0),
                ("standby" | "held standby", "active") => return Ok(1),
                _ if Instant::now() > deadline => {
                    bail!(
                        "exactly one box should be active; castor is {castor}, pollux is {pollux}"
                    );
                }
                // The two were not asked at the same moment, or are about to agree.
                _ => drop(
                    self.boxes[0]
                        .console
                        .wait_for(mark, "news", ASK_INTERVAL, is_news),
                ),
            }
        }
    }

    /// The role of a box, as its console's `status` says.
    pub fn role(&self, index: usize) -> Result<String> {
        let machine = self.machine(index)?;
        let status = machine.console.ask("status")?;
        let prefix = format!("{}: ", machine.name());
        let line = status.iter().find_map(|line| line.strip_prefix(&prefix));
        let role = line.and_then(|line| line.split(',').next());
        role.map(str::to_owned).with_context(|| {
            format!(
                "no role in the status of {}:\n{}",
                machine.name(),
                status.join("\n")
            )
        })
    }

    /// Fails unless box `index` is active and the other is not.
    pub fn expect_active(&self, index: usize) -> Result<()> {
        if self.active()? != index {
            bail!(
                "{} should be active and is not",
                self.machine(index)?.name()
            );
        }
        Ok(())
    }

    /// Waits until one box is active, the other standby, both ready and all links up.
    pub fn wait_calm(&self) -> Result<()> {
        let what = "the pair should come to rest";
        self.wait_status(what, BOOT_TIMEOUT, |status| {
            status.iter().all(|lines| is_calm(lines)) && self.active().is_ok()
        })
    }

    /// Waits until both boxes say that each holds the other's connections.
    pub fn wait_in_sync(&self) -> Result<()> {
        let what = "the boxes' connections should be in sync";
        let is_in_sync = |line: &String| line.starts_with("connections: in sync");
        self.wait_status(what, ROLE_TIMEOUT, |status| {
            status.iter().all(|lines| lines.iter().any(is_in_sync))
        })
    }

    /// Waits until what both boxes answer to `status` is so; `what` should be.
    pub fn wait_status(
        &self,
        what: &str,
        timeout: Duration,
        is_so: impl Fn(&[Vec<String>; 2]) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let mark = self.boxes[0].console.mark();
            let status = [self.status(0)?, self.status(1)?];
            if is_so(&status) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let [castor, pollux] = status.map(|lines| lines.join("\n"));
                bail!("{what}:\n{castor}\n\n{pollux}");
            }
            // Something new, or time to ask again: not everything that `status` tells is in the log.
            let _ = self.boxes[0]
                .console
                .wait_for(mark, "news", ASK_INTERVAL, is_news);
        }
    }

    /// What the console of a box answers to `status`.
    pub fn status(&self, index: usize) -> Result<Vec<String>> {
        self.machine(index)?.console.ask("status")
    }

    /// Fails if a box changes its role from `marks` on, watching for `span`.
    pub fn expect_quiet(&self, marks: [Mark; 2], span: Duration) -> Result<()> {
        std::thread::sleep(span);
        self.expect_unmoved(marks)
    }

    /// Fails if a box has changed its role since `marks`.
    pub fn expect_unmoved(&self, marks: [Mark; 2]) -> Result<()> {
        for (machine, mark) in self.boxes.iter().zip(marks) {
            let lines = machine.console.lines_since(mark);
            if let Some(line) = lines.iter().find(|line| is_news(&line.text)) {
                bail!(
                    "nothing should move, but {} says: {}",
                    machine.name(),
                    line.text
                );
            }
        }
        Ok(())
    }

    /// The row of a heartbeat link in a box's `status`.
    pub fn link_row(&self, index: usize, link: &str) -> Result<String> {
        let status = self.status(index)?;
        let mut rows = status
            .iter()
            .skip_while(|line| !line.trim_start().starts_with(link));
        let first = rows
            .next()
            .with_context(|| format!("no link {link} in:\n{}", status.join("\n")))?;
        // The last column goes on below itself.
        let wrapped = rows.take_while(|line| line.starts_with("     "));
        Ok(wrapped.fold(first.clone(), |row, more| row + " " + more.trim()))
    }

    /// Waits until a box shows a heartbeat link as `up` or `DOWN`.
    pub fn wait_link(&self, index: usize, link: &str, state: &str) -> Result<()> {
        let deadline = Instant::now() + ROLE_TIMEOUT;
        loop {
            let row = self.link_row(index, link)?;
            if row.split_whitespace().any(|word| word == state) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("link {link} should be {state}: {row}");
            }
        }
    }

    /// What a command behind the door of a box prints.
    pub fn shell(&self, index: usize, command: &str) -> Result<Vec<String>> {
        door::shell(&self.machine(index)?.door, command)
    }

    /// Castor or pollux.
    pub fn machine(&self, index: usize) -> Result<&Machine> {
        self.boxes.get(index).context("a pair has two boxes")
    }
}

/// The kernel's command line as on the ISO, but for what only a boot medium needs.
pub const COMMAND_LINE: &str =
    "quiet console=tty0 console=ttyS0,115200 panic=1 virtio_net.napi_weight=8";

/// Straight into the kernel under test.
pub fn straight(tools: &Tools, initramfs: &Path) -> Boot {
    Boot::Kernel {
        kernel: tools.kernel.clone(),
        initramfs: initramfs.into(),
        command_line: COMMAND_LINE.into(),
    }
}

/// The standard hardware of box `node`.
pub fn hardware(node: usize, order: &Order, boot: Boot, medium: Medium) -> Hardware {
    let name = NODES.get(node).copied().unwrap_or_default();
    let cards = NETWORKS.iter().map(|network| Card {
        tap: tap(name, network),
        mac: mac(node, network),
    });
    Hardware {
        firmware: Firmware::Bios,
        boot,
        medium: Some(medium),
        memory_mib: order.memory_mib,
        cards: cards.collect(),
        has_watchdog: false,
        has_back_door: false,
    }
}

/// Nothing in a status is on its way to somewhere else.
fn is_calm(status: &[String]) -> bool {
    // Two lines tell of readiness: the box's own and its peer's.
    let is_ready = status
        .iter()
        .filter(|line| line.contains(", ready; term"))
        .count()
        == 2;
    let is_down = status
        .iter()
        .any(|line| line.split_whitespace().any(|word| word == "DOWN"));
    is_ready && !is_down
}

/// PID 1's line about its role: `[    3.210] info  standby, ready`.
pub fn is_standing(line: &str) -> bool {
    line.ends_with(" standby, ready") || is_active(line)
}

/// PID 1's line about being active.
pub fn is_active(line: &str) -> bool {
    line.ends_with(" active, ready")
}
