//! Who answers for the virtual addresses, read off the wire and not asked of the boxes: an asker that takes part
//! in nothing sends ARP requests and neighbour solicitations for each address all the while, and captures on the
//! bridges keep every answer, announcement and packet that a box sends as the holder of one.

mod claims;
mod frames;

pub use claims::Record;

use crate::capture::Capture;
use crate::net::{INTRUDER, VIRTUAL, mac_bytes};
use crate::ns;
use crate::timeline::millis;
use anyhow::{Context, Result};
use claims::Claim;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// From question to question for each address, where nothing speaks against it; what is judged is no finer.
pub const ASK_INTERVAL: Duration = Duration::from_millis(10);
/// Networks with virtual addresses.
const WATCHED: [&str; 2] = ["wan", "lan"];

/// The watch; ends when dropped.
#[derive(Debug)]
pub struct Watch {
    captures: Vec<Capture>,
    is_stopped: Arc<AtomicBool>,
    interval_ms: Arc<AtomicU64>,
}

impl Watch {
    /// Starts asking for each address once an `interval`, and capturing; the captures stay in `logs`.
    pub fn start(logs: &Path, interval: Duration) -> Result<Self> {
        let captures = WATCHED.iter().map(|network| {
            let path = logs.join(format!("claims-{network}.pcap"));
            Capture::start(network, &filter(network), &path)
        });
        let watch = Watch {
            captures: captures.collect::<Result<_>>()?,
            is_stopped: Arc::default(),
            interval_ms: Arc::default(),
        };
        watch.ask_every(interval);
        for network in WATCHED {
            let is_stopped = Arc::clone(&watch.is_stopped);
            let interval_ms = Arc::clone(&watch.interval_ms);
            ns::spawn(INTRUDER, move || ask(network, &interval_ms, &is_stopped))?;
        }
        Ok(watch)
    }

    /// Asks for each address once an `interval` from the next question on.
    pub fn ask_every(&self, interval: Duration) {
        self.interval_ms.store(millis(interval), Ordering::Relaxed);
    }

    /// Ends it; gives who claimed what when.
    pub fn finish(mut self) -> Result<Record> {
        let mut claims = Vec::new();
        for capture in self.captures.drain(..) {
            for frame in capture.finish()? {
                let claim = frames::claim(&frame.bytes);
                claims.extend(claim.map(|(owner, address)| Claim {
                    at: frame.at,
                    owner,
                    address,
                }));
            }
        }
        Record::new(claims)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// All that a box says as the holder of an address of `network`, and as little else as a filter can tell.
fn filter(network: &str) -> String {
    let boxes = [0, 1].map(|node| {
        let [a, b, c, d, e, f] = mac_bytes(node, network);
        format!("ether src {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    });
    let sources = VIRTUAL
        .iter()
        .filter(|(_, _, on)| *on == network)
        .map(|(address, ..)| format!("src host {address}"));
    let sources: Vec<_> = sources.collect();
    format!(
        "({}) and (arp or icmp6 or {})",
        boxes.join(" or "),
        sources.join(" or ")
    )
}

fn ask(network: &'static str, interval_ms: &AtomicU64, is_stopped: &AtomicBool) -> Result<()> {
    let socket = sys::packet::PacketSocket::open()?;
    let index = nix::net::if_::if_nametoindex(network)
        .with_context(|| format!("the asker has no leg on {network}"))?;
    let addresses = VIRTUAL.iter().filter(|(_, _, on)| *on == network);
    let questions: Vec<_> = addresses
        .map(|(address, ..)| Ok(frames::question(address.parse::<IpAddr>()?)))
        .collect::<Result<_>>()?;
    while !is_stopped.load(Ordering::Relaxed) {
        for question in &questions {
            // A full queue: the next one is asked soon.
            let _ = socket.send(index, question);
        }
        let interval = Duration::from_millis(interval_ms.load(Ordering::Relaxed));
        thread::sleep(interval);
    }
    Ok(())
}
