//! The null-modem cable between the boxes' second serial ports. The testbed sits in the middle, so that it
//! can pull the cable, listen, and say things that neither box said. Bytes are passed on as they come: QEMU's
//! UART keeps the baud rate.

use crate::timeline::lock;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Bytes of line noise kept for replays; older ones go first.
const HEARD_BYTES_MAX: usize = 64 * 1024;

/// One end of the cable.
#[derive(Debug, Default)]
struct End {
    to_box: Mutex<Option<UnixStream>>,
    /// What the box said last.
    heard: Mutex<Vec<u8>>,
}

/// The cable; clones share it.
#[derive(Debug, Clone)]
pub struct NullModem {
    ends: [Arc<End>; 2],
    is_cut: Arc<AtomicBool>,
}

impl NullModem {
    /// Listens for the two QEMUs on `sockets`, again after each power cut.
    pub fn listen(sockets: [&Path; 2]) -> Result<Self> {
        let cable = NullModem {
            ends: Default::default(),
            is_cut: Arc::default(),
        };
        for (side, socket) in sockets.into_iter().enumerate() {
            let listener = UnixListener::bind(socket)
                .with_context(|| format!("listening on {}", socket.display()))?;
            let cable = cable.clone();
            thread::Builder::new()
                .name(format!("null modem {side}"))
                .spawn(move || {
                    for stream in listener.incoming().flatten() {
                        cable.carry(side, stream);
                    }
                })?;
        }
        Ok(cable)
    }

    /// Passes on what the box at `side` says, until its power is cut.
    fn carry(&self, side: usize, mut stream: UnixStream) {
        let (Some(here), Some(there)) = (self.ends.get(side), self.ends.get(1 - side)) else {
            return;
        };
        *lock(&here.to_box) = stream.try_clone().ok();
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let bytes = bytes.get(..count).unwrap_or_default();
            remember(&mut lock(&here.heard), bytes);
            if !self.is_cut.load(Ordering::Relaxed)
                && let Some(mut far) = lock(&there.to_box).as_ref()
            {
                // A far end whose power is off hears nothing, as with a real cable.
                let _ = far.write_all(bytes);
            }
        }
        *lock(&here.to_box) = None;
    }

    /// Pulls the cable.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// Puts it back.
    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
    }

    /// Says `bytes` to the box at `side`, as if they came down the line.
    pub fn inject(&self, side: usize, bytes: &[u8]) -> Result<()> {
        let end = self.ends.get(side).context("a null modem has two ends")?;
        match lock(&end.to_box).as_ref() {
            Some(mut stream) => Ok(stream.write_all(bytes)?),
            None => bail!("saying something on the null modem: the box at end {side} is off"),
        }
    }

    /// What the box at `side` said last, up to 64 KiB.
    pub fn heard(&self, side: usize) -> Vec<u8> {
        self.ends
            .get(side)
            .map(|end| lock(&end.heard).clone())
            .unwrap_or_default()
    }
}

fn remember(heard: &mut Vec<u8>, bytes: &[u8]) {
    heard.extend_from_slice(bytes);
    let excess = heard.len().saturating_sub(HEARD_BYTES_MAX);
    heard.drain(..excess);
}
