//! The networks over which the boxes tell each other of connections: those that carry heartbeats by UDP, to the
//! peer's own address there. The best one that is up is sent on, all are heard. A network without virtual addresses
//! is best, for no client's traffic is in the way there.

use core::time::Duration;
use plan::config::{Config, Link};
use plan::kernel::Device;
use plan::paths::{SYNC_PORT, UdpPath, udp_path};
use std::os::fd::{AsFd, BorrowedFd};
use sys::netlink::{Error, Netlink, Protocol};
use sys::udp::{Destination, UdpLink};

/// Room in a socket each way: some 3,000 datagrams, which is what a bulk may have on its way.
const ROOM_BYTES: usize = 4 << 20;

/// From one look at the devices to the next: closed ways are opened, and those whose device is another now.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// When nothing has been heard of the peer for so long, the ways are tried in turn.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// EAGAIN of errno(3): the device takes no more now.
const FULL: i32 = 11;

/// One network.
struct Way {
    /// `sync 10.0.0.2`: interface and peer.
    name: String,
    interface: usize,
    path: UdpPath,
    /// Heartbeat links over it: bit n for position n in `Config::links`.
    links: u8,
    /// With the index of its device.
    open: Option<(UdpLink, u32)>,
    complained: bool,
}

/// All of them, best first.
pub struct Ways {
    config: Config,
    node: usize,
    route: Netlink,
    ways: Vec<Way>,
    links_up: u8,
    heard_at: Duration,
    look_at: Duration,
}

/// What came of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, or lost, which proto sees.
    Away,
    /// The device takes no more now.
    Full,
}

impl Ways {
    /// Finds them; nothing is open yet.
    pub fn new(config: &Config, node: usize) -> Result<Self, Error> {
        Ok(Ways {
            ways: ways(config, node),
            config: config.clone(),
            node,
            route: Netlink::open(Protocol::Route)?,
            links_up: 0,
            heard_at: Duration::ZERO,
            look_at: Duration::ZERO,
        })
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Heartbeat links that are up.
    pub fn set_links_up(&mut self, links_up: u8) {
        self.links_up = links_up;
    }

    /// When to look at the devices.
    pub fn look_at(&self) -> Duration {
        self.look_at
    }

    /// Opens what can be opened, and closes what lost its device.
    pub fn look(&mut self, now: Duration) {
        if now < self.look_at {
            return;
        }
        self.look_at = now.saturating_add(LOOK_INTERVAL);
        let devices = match devices(&mut self.route) {
            Ok(devices) => devices,
            Err(error) => return log::debug!("looking at devices: {error}"),
        };
        for way in &mut self.ways {
            let device = plan::device_of(&self.config, self.node, way.interface, &devices);
            way.follow(device);
        }
    }

    /// Where datagrams go now.
    pub fn name(&self, now: Duration) -> Option<&str> {
        let best = self.best(now).or(self.ways.first());
        best.map(|way| way.name.as_str())
    }

    fn best(&self, now: Duration) -> Option<&Way> {
        let silence = now.saturating_sub(self.heard_at);
        let is_up = |way: &&Way| way.links & self.links_up != 0;
        let open = || self.ways.iter().filter(|way| way.open.is_some());
        let best = open().find(is_up).or_else(|| open().next());
        if silence < SILENCE_MAX {
            return best;
        }
        // Heartbeats may pass where these datagrams do not.
        let turns = usize::try_from(silence.as_secs()).unwrap_or(0);
        open().cycle().nth(turns % self.ways.len().max(1))
    }

    /// Sends a datagram to the peer, by the best way.
    pub fn send(&self, now: Duration, datagram: &[u8]) -> Sent {
        let socket = self.best(now).and_then(|way| way.open.as_ref());
        let Some((socket, _)) = socket else {
            return Sent::Away;
        };
        match socket.send(datagram) {
            Err(error) if error.errno() == FULL => Sent::Full,
            Ok(()) | Err(_) => Sent::Away,
        }
    }

    /// The next datagram that waits on any way, at the front of `buffer`.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let mut sockets = self.ways.iter().filter_map(|way| way.open.as_ref());
        // An error (the network is down) is not worth a line: the peer falls silent, and that is said.
        let received = sockets.find_map(|(socket, _)| socket.receive(buffer).ok().flatten());
        let (length, _) = received?;
        buffer.get(..length)
    }

    /// The peer was heard.
    pub fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// What to wait on.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sockets = self.ways.iter().filter_map(|way| way.open.as_ref());
        sockets.map(|(socket, _)| socket.as_fd())
    }
}

impl Way {
    fn follow(&mut self, device: Option<&Device>) {
        let index = self.open.as_ref().map(|(_, index)| *index);
        if index.is_some() && index == device.map(|device| device.index) {
            return;
        }
        self.open = None;
        let opened = device.ok_or_else(|| "its device is not there".into());
        match opened.and_then(|device| self.open_on(device)) {
            Ok(open) => {
                self.open = Some(open);
                self.complained = false;
            }
            Err(why) => {
                if !self.complained {
                    log::warn!("state sync over {}: {why}; it is tried again", self.name);
                }
                self.complained = true;
            }
        }
    }

    fn open_on(&self, device: &Device) -> Result<(UdpLink, u32), String> {
        let to = Destination::Unicast(self.path.peer);
        let opened = UdpLink::open(&device.name, self.path.local, to, SYNC_PORT);
        let prepared = opened.and_then(|link| link.carry_bulk(ROOM_BYTES).map(|()| link));
        prepared
            .map(|link| (link, device.index))
            .map_err(|error| error.to_string())
    }
}

fn devices(route: &mut Netlink) -> Result<Vec<Device>, Error> {
    route.dump(&netlink::link::dump()?, netlink::link::decode)
}

/// One for each network that carries heartbeats by UDP; those without virtual addresses first.
fn ways(config: &Config, node: usize) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for (position, link) in config.links.iter().enumerate() {
        let (Link::Udp { interface, .. }, Some(path)) = (link, udp_path(config, node, position))
        else {
            continue;
        };
        let bit = u32::try_from(position).ok();
        let bit = bit
            .and_then(|position| 1_u8.checked_shl(position))
            .unwrap_or(0);
        let known = ways.iter_mut().find(|way| way.path.peer == path.peer);
        if let Some(way) = known {
            way.links |= bit;
            continue;
        }
        let interface = usize::from(*interface);
        let name = config.interfaces.get(interface);
        let name = name.map_or("?", |interface| interface.name.as_str());
        ways.push(Way {
            name: format!("{name} {}", path.peer),
            interface,
            path,
            links: bit,
            open: None,
            complained: false,
        });
    }
    ways.sort_by_key(|way| {
        let mut all = config.virtual_addresses.iter();
        all.any(|address| usize::from(address.interface) == way.interface)
    });
    ways
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::samples;
    use plan::config::{Cast, Interface, VirtualAddress};

    /// Two links over `lan`, which has a virtual address, and one over `sync`.
    fn config() -> Config {
        let mut config = samples::config();
        let mut attachments = config.interfaces[0].on.clone();
        for (host, attachment) in (1..).zip(attachments.iter_mut().flatten()) {
            attachment.addresses[0].address = [10, 0, 0, host].into();
        }
        config.interfaces.push(Interface {
            name: "sync".into(),
            mtu_bytes: None,
            on: attachments,
        });
        let mut prefix = config.interfaces[0].on[0].as_ref().unwrap().addresses[0];
        prefix.address = [192, 0, 2, 10].into();
        config.virtual_addresses = vec![VirtualAddress {
            prefix,
            interface: 0,
        }];
        let link = |interface, cast| Link::Udp {
            interface,
            port: 694,
            cast,
        };
        config.links.push(link(0, Cast::Unicast));
        config.links.push(link(0, Cast::Broadcast));
        config.links.push(link(1, Cast::Unicast));
        config
    }

    #[test]
    fn each_network_is_one_way_and_the_one_without_clients_is_best() {
        let ways = ways(&config(), 0);
        let told = ways.iter().map(|way| (way.name.as_str(), way.links));
        let told: Vec<_> = told.collect();
        assert_eq!(told, [("sync 10.0.0.2", 0b1000), ("lan 192.0.2.2", 0b0110)]);
    }

    #[test]
    fn a_serial_line_is_no_way() {
        assert!(ways(&samples::config(), 0).is_empty());
    }
}
