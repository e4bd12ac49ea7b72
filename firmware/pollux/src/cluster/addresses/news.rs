//! What the kernel tells of devices and addresses, and the wire of rivals: addresses that are gone are set
//! again, those that were refused are tried again, and whoever claims one of ours is noted.

use super::{Addresses, Error, Goal, RETRY_INTERVAL, Target, bearers, is_card_of};
use core::time::Duration;
use netlink::claim::Claim;
use netlink::event::Event;
use plan::kernel::Device;
use plan::virtual_mac;
use sys::netlink::{Netlink, Received};

/// What the kernel's news mean for the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// Neighbours may have missed the announcements: a cable came back.
    pub announce: bool,
}

impl Addresses {
    /// Takes in what the kernel told; `None`: nothing that matters here.
    pub fn hear(&mut self) -> Option<News> {
        let (mut devices_changed, mut address_gone) = (false, false);
        let received = self
            .events
            .receive(netlink::event::decode, |event| match event {
                Event::Device(_) | Event::DeviceGone(_) => devices_changed = true,
                Event::AddressGone(_) => address_gone = true,
                Event::Address(_) | Event::Route(_) | Event::RouteGone(_) => {}
            });
        // Where events were lost a look at everything makes up for them.
        if received != Ok(Received::All) {
            (devices_changed, address_gone) = (true, true);
        }
        let announce = devices_changed
            && self.look_at_devices().unwrap_or_else(|error| {
                log::warn!("{error}");
                false
            });
        if devices_changed || address_gone {
            self.mend();
        }
        devices_changed.then_some(News { announce })
    }

    /// Reads the devices anew. Returns whether one under a virtual address came to have carrier.
    fn look_at_devices(&mut self) -> Result<bool, Error> {
        let now = devices(&mut self.route)?;
        let before = core::mem::replace(&mut self.devices, now);
        self.seat()?;
        let cards = self.devices.iter();
        let cards = cards.filter(|device| is_card_of(&self.placements, device));
        let came = cards.filter(|device| carrier_came_to(device, &before));
        Ok(came.count() > 0)
    }

    /// Finds the device of each virtual address, and makes those of virtual MAC addresses.
    pub(super) fn seat(&mut self) -> Result<(), Error> {
        let (config, node) = (&self.config, self.node);
        let made = bearers::make_missing(&mut self.route, config, node, &self.devices);
        if made.unwrap_or_else(|error| {
            log::error!("{error}: its addresses are set on the card itself");
            false
        }) {
            self.devices = devices(&mut self.route)?;
        }
        self.bearers = bearers::existing(config, node, &self.devices)?;
        for placement in &mut self.placements {
            let interface = placement.interface();
            let device = virtual_mac::seat_of(config, node, interface, &self.devices);
            let card = plan::device_of(config, node, interface, &self.devices);
            placement.follow(device, card)?;
        }
        Ok(())
    }

    /// Begins to set those that should be there and are not, but for those that the kernel has refused.
    pub(super) fn mend(&mut self) {
        if self.change.goal().is_some() {
            self.look_again = true;
            return;
        }
        if !self.held {
            return;
        }
        let present = match self.present() {
            Ok(present) => present,
            Err(error) => return log::warn!("{error}"),
        };
        let down = self.bearers.iter().enumerate();
        let down = down.filter_map(|(at, bearer)| (!bearer.is_up()).then_some(Target::Bearer(at)));
        let placements = self.placements.iter().enumerate();
        let missing = placements.filter_map(|(at, placement)| {
            let is_missing =
                !present.contains(&placement.address()?) && placement.refusal().is_none();
            is_missing.then_some(Target::Address(at))
        });
        let mut targets = down.chain(missing).peekable();
        if targets.peek().is_some() {
            self.change.begin(Goal::Mend, targets);
        }
    }

    /// When those that were refused are due to be tried again; `None`: none was.
    pub fn retry_at(&self) -> Option<Duration> {
        let waits = self.held && self.change.goal().is_none();
        let any_refused = || {
            self.placements
                .iter()
                .any(|placement| placement.refusal().is_some())
        };
        (waits && any_refused()).then_some(self.retry_at)
    }

    /// Tries those that were refused again, if it is time.
    pub fn retry_if_due(&mut self, now: Duration) {
        if self.retry_at().is_none_or(|at| at > now) {
            return;
        }
        self.retry_at = now.saturating_add(RETRY_INTERVAL);
        let numbered = self.placements.iter().enumerate();
        let refused =
            numbered.filter_map(|(at, placement)| placement.refusal().map(|_| Target::Address(at)));
        self.change.begin(Goal::Mend, refused);
    }

    /// Takes in what the wire told. Returns whether somebody else claimed an address that is held here, and
    /// an answer is due; none while the addresses are handed over, which `invited` tells.
    pub fn hear_rivals(&mut self, now: Duration, invited: bool) -> bool {
        let contested = self.held && !invited;
        let (placements, rivals) = (&self.placements, &mut self.rivals);
        let mut is_rivalled = false;
        self.wiretap.receive(|index, claim| {
            let ours = |device: &Device| device.index == index && device.mac != claim.mac;
            let position = placements.iter().position(|placement| {
                placement.prefix().address == claim.address && placement.device().is_some_and(ours)
            });
            // The one that holds them is no rival of a standby, nor the one they are being handed to.
            let Some(position) = position.filter(|_| contested) else {
                return;
            };
            is_rivalled = true;
            if let Some(claims) = rivals.count(position, claim.mac, now) {
                say(&claim, claims);
            }
        });
        is_rivalled && self.rivals.is_to_answer(now)
    }
}

/// All devices.
pub(super) fn devices(route: &mut Netlink) -> Result<Vec<Device>, Error> {
    route.dump(&netlink::link::dump()?, netlink::link::decode)
}

fn say(claim: &Claim, claims: u64) {
    let rival = plan::config::Device::Mac(claim.mac);
    log::warn!(
        "{rival} claims virtual address {} ({claims} times so far): announcing it again",
        claim.address
    );
}

/// Says whether the carrier came or went.
fn carrier_came_to(device: &Device, before: &[Device]) -> bool {
    let had_carrier = before
        .iter()
        .any(|before| before.index == device.index && before.carrier);
    match (had_carrier, device.carrier) {
        (false, true) => log::info!("{} has carrier", device.name),
        (true, false) => log::warn!("{} lost carrier", device.name),
        (true, true) | (false, false) => {}
    }
    device.carrier && !had_carrier
}
