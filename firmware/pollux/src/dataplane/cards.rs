//! Whose turn it is when packets come. Softirqs go before every process, so a flood on one card, or all that waits when
//! a frozen box thaws, would come before the heartbeats on another. Hence packets are taken in by threads: those of cards
//! that carry heartbeats weigh most, those of the others more than a process, for packets are what the box is for; and all
//! yield to the real-time cluster worker.

use plan::config::{Config, Link};
use plan::kernel::Device;
use sys::napi::Weight;

/// The cards that have their threads, by index.
#[derive(Default)]
pub struct Cards(Vec<u32>);

impl Cards {
    /// Gives threads to each configured card of node `node` that is up and has none yet.
    pub fn tend(&mut self, config: &Config, node: usize, devices: &[Device]) {
        self.0
            .retain(|known| devices.iter().any(|it| it.index == *known && it.up));
        for interface in 0..config.interfaces.len() {
            let device = plan::device_of(config, node, interface, devices);
            let new = device.filter(|device| device.up && !self.0.contains(&device.index));
            if let Some(device) = new {
                self.0.push(device.index);
                let weight = match carries_heartbeats(config, interface) {
                    true => Weight::Heartbeats,
                    false => Weight::Packets,
                };
                take_in_by_threads(&device.name, weight);
            }
        }
    }
}

fn carries_heartbeats(config: &Config, interface: usize) -> bool {
    config.links.iter().any(|link| match link {
        Link::Udp { interface: at, .. } => usize::from(*at) == interface,
        Link::Serial { .. } => false,
    })
}

/// A driver that knows no NAPI does without.
fn take_in_by_threads(device: &str, weight: Weight) {
    let threaded = sys::napi::thread(device);
    let weighed = threaded.and_then(|()| sys::napi::weigh(device, weight));
    if let Err(error) = weighed {
        log::debug!("{device}: packets wait for their turn: {error}");
    }
}
