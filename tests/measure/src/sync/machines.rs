//! Both boxes as virtual machines of one processor each, on one cable: each has a kernel of its own, as real boxes do. Always
//! software emulation, so all times are longer than real ones: it is shares of the rival's that tell something. Nothing here
//! wants privileges, nor reaches the host's network.

use super::guest::{READY, Request};
use super::image;
use super::place::{Load, Place, Side, Sight};
use super::subjects::Subject;
use super::usage::Usage;
use crate::takeover::node;
use crate::takeover::world::{NODES, address};
use crate::vm::Machine;
use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Room for a million flows.
const MEMORY_MIB: u32 = 1024;
/// Within this a kernel is up, and within that a million flows are with the twin. A machine that ends is noticed at once.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: Duration = Duration::from_secs(900);

/// Two machines; off when dropped.
pub(super) struct Rack {
    kernel: PathBuf,
    image: PathBuf,
    /// For the cable's socket and the logs.
    folder: PathBuf,
    /// Those that are up and have no side yet.
    idle: [Option<Machine>; 2],
}

impl Rack {
    /// Switches both machines on, with an image that holds the subject.
    pub(super) fn new(kernel: &Path, subject: &Subject) -> Result<Self> {
        let mut rack = Self {
            kernel: kernel.into(),
            image: image::build(subject)?,
            folder: subject.folder.clone(),
            idle: [None, None],
        };
        rack.switch_on(0)?;
        rack.switch_on(1)?;
        Ok(rack)
    }

    fn switch_on(&mut self, node: usize) -> Result<()> {
        let machine = Machine::start(MEMORY_MIB, self.arguments(node)?)?;
        machine.wait_for(READY, BOOT_LIMIT).with_context(|| {
            let folder = self.folder.display();
            format!("booting a machine; its logs: {folder}")
        })?;
        let place = self.idle.get_mut(node).context("there are two nodes")?;
        *place = Some(machine);
        Ok(())
    }

    /// The sender's end of the cable waits for the twin's, again after each power cut.
    fn arguments(&self, node: usize) -> Result<Vec<OsString>> {
        let name = NODES.get(node).context("there are two nodes")?;
        let server = if node == 0 { "on" } else { "off" };
        let cable = self.folder.join("cable");
        if node == 0 && cable.exists() {
            fs::remove_file(&cable).context("removing the socket of a run before")?;
        }
        let log = self.folder.join(format!("{name}.console.log"));
        let lines = [
            "-smp".into(),
            "1".into(),
            "-netdev".into(),
            format!(
                "stream,id=cable,server={server},addr.type=unix,addr.path={}",
                cable.display()
            ),
            "-device".into(),
            "virtio-net-pci,netdev=cable,romfile=".into(),
            "-chardev".into(),
            format!("file,id=log,append=on,path={}", log.display()),
            "-serial".into(),
            "chardev:log".into(),
            "-append".into(),
            // What the kernel does not know it hands on to its init.
            format!("console=ttyS1 quiet panic=-1 own={}", address(node)),
        ];
        let mut arguments: Vec<_> = lines.map(OsString::from).into();
        arguments.extend(["-kernel".into(), self.kernel.clone().into()]);
        arguments.extend(["-initrd".into(), self.image.clone().into()]);
        Ok(arguments)
    }
}

impl Place for Rack {
    fn start(&mut self, subject: &Subject, node: usize) -> Result<Box<dyn Side>> {
        let name = NODES.get(node).context("there are two nodes")?;
        let machine = self.idle.get_mut(node).and_then(Option::take);
        let machine = machine.context("its machine is off, or taken")?;
        let side = Remote(Mutex::new(machine));
        let script = node::whole(name, &subject.script(node)?);
        side.ask::<()>(&Request::Start(script))?;
        Ok(Box::new(side))
    }

    /// How long a kernel takes to boot is another matter.
    fn renew_twin(&mut self) -> Result<Instant> {
        self.switch_on(1)?;
        Ok(Instant::now())
    }
}

/// A side on a machine.
struct Remote(Mutex<Machine>);

impl Remote {
    fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        let mut machine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        machine.send(&serde_json::to_string(request)?)?;
        let line = machine
            .line(ANSWER_LIMIT)
            .with_context(|| format!("waiting for an answer to {request:?}"))?;
        let answer: Result<T, String> =
            serde_json::from_str(&line).with_context(|| format!("reading the answer {line:?}"))?;
        answer.map_err(|error| anyhow!("{error}"))
    }
}

impl Side for Remote {
    fn order(&self, order: &str) -> Result<String> {
        self.ask(&Request::Order(order.into()))
    }

    fn usage(&self) -> Result<Usage> {
        self.ask(&Request::Usage)
    }

    fn load(&self, count: u32) -> Result<Load<'_>> {
        self.ask::<()>(&Request::Make(count))?;
        Ok(Box::new(|| self.ask(&Request::Put)))
    }

    fn watch(&self, count: u32) -> Result<Sight> {
        self.ask(&Request::Watch(count))
    }

    fn missing(&self, count: u32) -> Result<u32> {
        self.ask(&Request::Missing(count))
    }

    fn kill(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}
