//! The virtual addresses in the kernel: set, removed, announced and read for the console, a bounded part in
//! each turn of the loop, so that heartbeats go on while hundreds change. Whether they are held is proto's
//! decision; what the kernel tells of them meanwhile is in `news`.

mod exchange;
mod news;
#[cfg(test)]
mod segment_tests;
#[cfg(test)]
mod tests;

use super::bearers::{self, Raised};
use super::change::{Change, Goal, Target};
use super::placement::{self, Placement};
use super::rivals::{Rivals, Wiretap};
use crate::clock::now;
use crate::ipc::control::AddressStatus;
use core::time::Duration;
use netlink::KernelError;
use plan::config::Config;
use plan::kernel::{Address, Device};
use std::os::fd::{AsFd, BorrowedFd};
use sys::netlink::{Bulk, Error, Netlink, Notifications, Protocol};
use sys::packet::PacketSocket;

/// From one attempt to set what the kernel refused to the next, where its device stays as it is.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Addresses announced in one turn, of two frames each at most.
const ANNOUNCED_PER_TURN: usize = 32;

/// What a change has brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// All that the kernel takes are set and announced, by the order of this term.
    Taken {
        /// As in the order.
        term: u64,
    },
    /// All are removed, by the order of this term.
    Released {
        /// As in the order.
        term: u64,
    },
    /// Those that were missing were tried.
    Mended {
        /// Some of them are set and announced now.
        any: bool,
    },
}

/// Virtual addresses and devices.
pub struct Addresses {
    config: Config,
    /// Index into `Config::nodes`.
    node: usize,
    route: Netlink,
    bulk: Bulk,
    events: Notifications,
    packets: PacketSocket,
    wiretap: Wiretap,
    devices: Vec<Device>,
    /// Devices of virtual MAC addresses.
    bearers: Vec<Raised>,
    /// In the order of `Config::virtual_addresses`.
    placements: Vec<Placement>,
    rivals: Rivals,
    change: Change,
    held: bool,
    /// The change under way has brought something about.
    any_set: bool,
    /// Something changed while a change was under way: look at the kernel once it is over.
    look_again: bool,
    retry_at: Duration,
    /// Position of the next one to announce; past the end none is.
    announcing: usize,
    /// Requests on their way to the kernel; kept, so that sending allocates nothing.
    datagram: Vec<u8>,
}

impl Addresses {
    /// Subscribes, then looks at what there is.
    pub fn open(config: &Config, node: usize) -> Result<Self, Error> {
        let events = Notifications::open(Protocol::Route, &netlink::event::GROUPS_ADDRESS)?;
        let mut route = Netlink::open(Protocol::Route)?;
        let placements: Vec<_> = config
            .virtual_addresses
            .iter()
            .map(Placement::new)
            .collect();
        let mut addresses = Addresses {
            config: config.clone(),
            node,
            devices: news::devices(&mut route)?,
            route,
            bulk: Bulk::open(Protocol::Route)?,
            events,
            packets: PacketSocket::open()?,
            wiretap: Wiretap::open(config)?,
            bearers: Vec::new(),
            rivals: Rivals::new(placements.len()),
            announcing: placements.len(),
            placements,
            change: Change::default(),
            held: false,
            any_set: false,
            look_again: false,
            retry_at: Duration::ZERO,
            datagram: Vec::new(),
        };
        addresses.seat()?;
        Ok(addresses)
    }

    /// As the kernel last told.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// All that can be set were set and not removed since.
    pub fn are_held(&self) -> bool {
        self.held
    }

    /// As `placement::fitness`.
    pub fn fitness(&self) -> u8 {
        placement::fitness(&self.placements)
    }

    /// Begins to set all whose device exists; one that is set already is as good. `advance` goes on with it
    /// and announces each as it is set.
    pub fn take(&mut self, term: u64) {
        self.say_what_has_no_device();
        self.held = false;
        let targets = targets(&self.bearers, &self.placements);
        self.change.begin(Goal::Take { term }, targets);
    }

    /// Begins to remove all, also those that a predecessor left; one that is not there is as good. `advance`
    /// goes on with it.
    pub fn release(&mut self, term: u64) {
        self.held = false;
        self.announcing = self.placements.len();
        let targets = targets(&self.bearers, &self.placements);
        self.change.begin(Goal::Release { term }, targets);
    }

    /// There is something to do right away.
    pub fn is_busy(&self) -> bool {
        self.change.wants_to_send() || self.announcing < self.placements.len()
    }

    /// Begins to tell every network where its virtual addresses are; `announce_some` goes on with it.
    pub fn announce(&mut self) {
        self.announcing = 0;
    }

    /// Announces a bounded number of those that are yet to be.
    pub fn announce_some(&mut self) {
        let next = self.announcing;
        self.announcing = next
            .saturating_add(ANNOUNCED_PER_TURN)
            .min(self.placements.len());
        let some = self.placements.get(next..self.announcing);
        for placement in some.unwrap_or_default() {
            announce(&self.packets, placement);
        }
    }

    /// In the order of the config, asked of the kernel just now.
    pub fn status(&mut self) -> Vec<AddressStatus> {
        let now = now();
        let present = self.present().unwrap_or_default();
        let numbered = self.placements.iter().enumerate();
        let status = |(position, placement): (usize, &Placement)| AddressStatus {
            prefix: placement.prefix(),
            device: placement.device().map(|device| device.name.clone()),
            held: placement
                .address()
                .is_some_and(|address| present.contains(&address)),
            refusal: placement.refusal().map(KernelError::to_string),
            rival: self.rivals.status(position, now),
        };
        numbered.map(status).collect()
    }

    fn present(&mut self) -> Result<Vec<Address>, Error> {
        self.route
            .dump(&netlink::address::dump()?, netlink::address::decode)
    }

    fn say_what_has_no_device(&self) {
        for (position, interface) in self.config.interfaces.iter().enumerate() {
            let of_interface = self.placements.iter();
            let without = of_interface
                .filter(|placement| {
                    placement.interface() == position && placement.device().is_none()
                })
                .count();
            if without > 0 {
                let name = &interface.name;
                log::warn!(
                    "interface {name} has no device on this box: its virtual addresses \
                     ({without}) are set when it comes, the others now"
                );
            }
        }
    }

    /// Drops what waits for neighbours behind cards without carrier. Sent when a cable is back, it would speak in
    /// the name of addresses that are the twin's by then.
    pub fn drop_unsent(&mut self) {
        let (placements, route) = (&self.placements, &mut self.route);
        let is_cut = |device: &&Device| !device.carrier && is_card_of(placements, device);
        for card in self.devices.iter().filter(is_cut) {
            let request = netlink::link::forget_neighbours(card.index).map_err(Error::from);
            if let Err(error) = request.and_then(|request| route.execute(&request)) {
                log::warn!("{}: {error}", card.name);
            }
        }
    }

    /// Removes the devices that were made here, with what is left on them: this process ends for good.
    pub fn leave(&mut self) {
        for bearer in &self.bearers {
            if let Err(error) = self.route.execute(bearer.remove()) {
                log::warn!("{}: {error}", bearer.name());
            }
        }
    }

    /// Readable when the kernel has told something, and when somebody claims an address.
    pub fn fds(&self) -> [BorrowedFd<'_>; 3] {
        let [arp, neighbour] = self.wiretap.fds();
        [self.events.as_fd(), arp, neighbour]
    }
}

/// One of the addresses is reached by it.
fn is_card_of(placements: &[Placement], device: &Device) -> bool {
    let mut cards = placements.iter().filter_map(Placement::card);
    cards.any(|card| card.index == device.index)
}

/// All that there is to change: bearers first, since taking one down silences all its addresses at once.
fn targets(bearers: &[Raised], placements: &[Placement]) -> impl Iterator<Item = Target> {
    let seated = placements.iter().enumerate();
    let seated =
        seated.filter_map(|(at, placement)| placement.device().map(|_| Target::Address(at)));
    (0..bearers.len()).map(Target::Bearer).chain(seated)
}

/// Tells the network where an address is, unless the kernel would not have it there. A frame that can't be
/// sent is made up for by the burst's next.
fn announce(packets: &PacketSocket, placement: &Placement) {
    let (Some(device), None) = (placement.device(), placement.refusal()) else {
        return;
    };
    let prefix = placement.prefix();
    for frame in netlink::announce::frames(prefix.address, device.mac) {
        if let Err(error) = packets.send(device.index, frame.as_ref()) {
            log::debug!("announcing {prefix} on {}: {error}", device.name);
        }
    }
}
