//! Who answers for the virtual addresses, read off the wire and not asked of the boxes: an asker that takes part
//! in nothing sends ARP requests and neighbour solicitations for each address all the while, and captures on the
//! bridges keep every answer, announcement and packet that a box sends as the holder of one.

mod claims;
mod frames;

pub use claims::Record;

use crate::capture::Capture;
use crate::net::{INTRUDER, VIRTUAL, mac_bytes};
use crate::ns;
use crate::timeline::lock;
use anyhow::{Context, Result};
use claims::Claim;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// From question to question for each address, where nothing speaks against it; what is judged is no finer.
pub const ASK_INTERVAL: Duration = Duration::from_millis(10);
/// Who has nothing to ask looks so often whether the watch is over.
const IDLE: Duration = Duration::from_millis(100);
/// Networks with virtual addresses.
const WATCHED: [&str; 2] = ["wan", "lan"];

/// Questions to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asking {
    interval: Duration,
    /// This box alone; `None`: whoever is there.
    node: Option<usize>,
}

/// What an asker is to ask, and that this has changed.
#[derive(Debug, Default)]
struct Orders(Mutex<Option<Asking>>, Condvar);

impl Orders {
    fn give(&self, asking: Option<Asking>) {
        *lock(&self.0) = asking;
        self.1.notify_all();
    }
}

/// The watch; ends when dropped.
#[derive(Debug)]
pub struct Watch {
    captures: Vec<Capture>,
    is_stopped: Arc<AtomicBool>,
    /// Of the asker that asks all, and of the one that asks one.
    orders: [Arc<Orders>; 2],
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
            orders: Default::default(),
        };
        watch.ask_all(Some(interval));
        for network in WATCHED {
            for orders in &watch.orders {
                let (orders, is_stopped) = (Arc::clone(orders), Arc::clone(&watch.is_stopped));
                ns::spawn(INTRUDER, move || ask(network, &orders, &is_stopped))?;
            }
        }
        Ok(watch)
    }

    /// From now on asks whoever is there for each address once an `interval`, or not at all.
    pub fn ask_all(&self, interval: Option<Duration>) {
        let [all, _] = &self.orders;
        all.give(interval.map(|interval| Asking {
            interval,
            node: None,
        }));
    }

    /// From now on asks box `node`, and it alone, for each address once an `interval`: the other one's cards have
    /// nothing of it.
    pub fn ask_one(&self, node: usize, interval: Duration) {
        let [_, one] = &self.orders;
        one.give(Some(Asking {
            interval,
            node: Some(node),
        }));
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

fn ask(network: &'static str, orders: &Orders, is_stopped: &AtomicBool) -> Result<()> {
    let socket = sys::packet::PacketSocket::open()?;
    let index = nix::net::if_::if_nametoindex(network)
        .with_context(|| format!("the asker has no leg on {network}"))?;
    let addresses = VIRTUAL.iter().filter(|(_, _, on)| *on == network);
    let questions: Vec<_> = addresses
        .map(|(address, ..)| Ok(frames::question(address.parse::<IpAddr>()?)))
        .collect::<Result<_>>()?;
    while !is_stopped.load(Ordering::Relaxed) {
        let Orders(now, changed) = orders;
        let asking = *lock(now);
        for question in &questions {
            let Some(Asking { node, .. }) = asking else {
                break;
            };
            let question = match node {
                Some(node) => &frames::aimed(question.clone(), mac_bytes(node, network)),
                None => question,
            };
            // A full queue: the next one is asked soon.
            let _ = socket.send(index, question);
        }
        let pause = asking.map_or(IDLE, |asking| asking.interval);
        let _ = changed.wait_timeout_while(lock(now), pause, |now| *now == asking);
    }
    Ok(())
}
