//! Who answers for the virtual addresses, read off the wire and not asked of the boxes: an asker that takes part
//! in nothing sends ARP requests and neighbour solicitations for each address all the while, and captures on the
//! bridges keep every answer, announcement and packet that a box sends as the holder of one.

mod claims;
mod frames;

pub use claims::{Claim, Record};

use crate::capture::Capture;
use crate::net::{INTRUDER, VIRTUAL, mac_bytes};
use crate::ns;
use crate::timeline::lock;
use anyhow::{Context, Result, anyhow};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// From question to question for each address, where nothing speaks against it; what is judged is no finer.
pub const ASK_INTERVAL: Duration = Duration::from_millis(10);
/// Networks with virtual addresses.
const WATCHED: [&str; 2] = ["wan", "lan"];

/// How often the askers ask.
#[derive(Debug)]
struct Pace {
    /// `None`: no more.
    interval: Mutex<Option<Duration>>,
    changed: Condvar,
}

impl Pace {
    fn set(&self, interval: Option<Duration>) {
        *lock(&self.interval) = interval;
        self.changed.notify_all();
    }
}

/// The watch; ends when dropped.
#[derive(Debug)]
pub struct Watch {
    captures: Vec<Capture>,
    pace: Arc<Pace>,
    askers: Vec<JoinHandle<Result<()>>>,
}

impl Watch {
    /// Starts asking for each address once an `interval`, and capturing; the captures stay in `logs`.
    pub fn start(logs: &Path, interval: Duration) -> Result<Self> {
        let captures = WATCHED.iter().map(|network| {
            let path = logs.join(format!("claims-{network}.pcap"));
            Capture::start(network, &filter(network), &path)
        });
        let mut watch = Watch {
            captures: captures.collect::<Result<_>>()?,
            pace: Arc::new(Pace {
                interval: Mutex::new(Some(interval)),
                changed: Condvar::new(),
            }),
            askers: Vec::new(),
        };
        for network in WATCHED {
            let pace = Arc::clone(&watch.pace);
            let asker = ns::spawn(INTRUDER, move || ask(network, &pace))?;
            watch.askers.push(asker);
        }
        Ok(watch)
    }

    /// Asks for each address once an `interval`, beginning now.
    pub fn ask_every(&self, interval: Duration) {
        self.pace.set(Some(interval));
    }

    /// Ends it; gives who claimed what when.
    pub fn finish(mut self) -> Result<Record> {
        self.pace.set(None);
        for asker in self.askers.drain(..) {
            let outcome = asker.join().map_err(|_| anyhow!("an asker panicked"));
            outcome?.context("asking for the addresses")?;
        }
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
        self.pace.set(None);
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

fn ask(network: &'static str, pace: &Pace) -> Result<()> {
    let socket = sys::packet::PacketSocket::open()?;
    let index = nix::net::if_::if_nametoindex(network)
        .with_context(|| format!("the asker has no leg on {network}"))?;
    let addresses = VIRTUAL.iter().filter(|(_, _, on)| *on == network);
    let questions: Vec<_> = addresses
        .map(|(address, ..)| Ok(frames::question(address.parse::<IpAddr>()?)))
        .collect::<Result<_>>()?;
    loop {
        for question in &questions {
            // A full queue: the next one is asked soon.
            let _ = socket.send(index, question);
        }
        let interval = lock(&pace.interval);
        let Some(pause) = *interval else {
            return Ok(());
        };
        let is_same = |interval: &mut Option<Duration>| *interval == Some(pause);
        let _ = pace.changed.wait_timeout_while(interval, pause, is_same);
    }
}
