//! The virtual addresses in the kernel, and the devices under them: set, removed, announced, looked after
//! while they are held, and read for the console. Whether they are held is proto's decision.

use crate::ipc::control::AddressStatus;
use netlink::event::Event;
use plan::config::Config;
use plan::kernel::{Address, Device};
use std::os::fd::{AsFd, BorrowedFd};
use sys::netlink::{Error, Netlink, Notifications, Protocol, Received};
use sys::packet::PacketSocket;

/// What the kernel's news mean for the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// Neighbours may have missed the announcements: a cable came back, an address had to be set again.
    pub announce: bool,
}

/// Virtual addresses and devices.
pub struct Addresses {
    config: Config,
    /// Index into `Config::nodes`.
    node: usize,
    route: Netlink,
    events: Notifications,
    packets: PacketSocket,
    devices: Vec<Device>,
    held: bool,
}

impl Addresses {
    /// Subscribes, then looks at what there is.
    pub fn open(config: &Config, node: usize) -> Result<Self, Error> {
        let events = Notifications::open(Protocol::Route, &netlink::event::GROUPS)?;
        let mut route = Netlink::open(Protocol::Route)?;
        Ok(Addresses {
            config: config.clone(),
            node,
            devices: devices(&mut route)?,
            route,
            events,
            packets: PacketSocket::open()?,
            held: false,
        })
    }

    /// As the kernel last told.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// All were set and not removed since.
    pub fn are_held(&self) -> bool {
        self.held
    }

    /// Interfaces under virtual addresses that have carrier.
    pub fn fitness(&self) -> u8 {
        fitness(&self.config, self.node, &self.devices)
    }

    /// Sets all whose device exists. One that is set already is as good. Where one can't be set they don't
    /// count as held: nothing is announced or repaired, and proto will have them released.
    pub fn take(&mut self) -> Result<(), Error> {
        for address in self.wanted() {
            self.set(&address)?;
        }
        self.held = true;
        Ok(())
    }

    /// Removes all, also those that a predecessor left. One that is not there is as good.
    pub fn release(&mut self) -> Result<(), Error> {
        self.held = false;
        let mut first_failure = Ok(());
        for address in self.wanted() {
            match self.unset(&address) {
                Err(error) if !error.is_not_there() && first_failure.is_ok() => {
                    first_failure = Err(error);
                }
                _ => {}
            }
        }
        first_failure
    }

    /// Tells every network where its virtual addresses are. A frame that can't be sent is made up for by
    /// the burst's next.
    pub fn announce(&self) {
        for address in self.wanted() {
            let of_address = |device: &&Device| device.index == address.index;
            let Some(device) = self.devices.iter().find(of_address) else {
                continue;
            };
            for frame in netlink::announce::frames(address.prefix.address, device.mac) {
                if let Err(error) = self.packets.send(device.index, frame.as_ref()) {
                    log::debug!("announcing {} on {}: {error}", address.prefix, device.name);
                }
            }
        }
    }

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
        let repair = self.held && (devices_changed || address_gone);
        if !devices_changed && !repair {
            return None;
        }
        let carrier_came = devices_changed && self.look_at_devices();
        let was_set_again = repair && self.repair();
        Some(News {
            announce: carrier_came || was_set_again,
        })
    }

    /// Reads the devices anew. Returns whether one under a virtual address came to have carrier.
    fn look_at_devices(&mut self) -> bool {
        let now = match devices(&mut self.route) {
            Ok(now) => now,
            Err(error) => {
                log::warn!("{error}");
                return false;
            }
        };
        let before = core::mem::replace(&mut self.devices, now);
        let had_carrier = |index| {
            let mut before = before.iter();
            before.any(|device| device.index == index && device.carrier)
        };
        let under = under_virtual_addresses(&self.config, self.node, &self.devices);
        let mut carrier_came = false;
        for device in under {
            match (had_carrier(device.index), device.carrier) {
                (false, true) => {
                    carrier_came = true;
                    log::info!("{} has carrier", device.name);
                }
                (true, false) => log::warn!("{} lost carrier", device.name),
                (true, true) | (false, false) => {}
            }
        }
        carrier_came
    }

    /// Sets those that are missing. Returns whether any was.
    fn repair(&mut self) -> bool {
        let Ok(present) = self.present() else {
            return false;
        };
        let mut repaired = false;
        let missing = |address: &Address| !present.contains(address);
        for address in self.wanted().into_iter().filter(missing) {
            let prefix = address.prefix;
            match self.set(&address) {
                Ok(()) => {
                    repaired = true;
                    log::warn!("repaired: virtual address {prefix} was gone and is set again");
                }
                Err(error) => log::warn!("virtual address {prefix} is gone: {error}"),
            }
        }
        repaired
    }

    /// In the order of the config, asked of the kernel just now.
    pub fn status(&mut self) -> Vec<AddressStatus> {
        let present = self.present().unwrap_or_default();
        let status = |address: &plan::config::VirtualAddress| {
            let interface = usize::from(address.interface);
            let device = plan::device_of(&self.config, self.node, interface, &self.devices);
            let prefix = address.prefix;
            AddressStatus {
                prefix,
                device: device.map(|device| device.name.clone()),
                held: device.is_some_and(|device| {
                    let index = device.index;
                    present.contains(&Address { index, prefix })
                }),
            }
        };
        self.config.virtual_addresses.iter().map(status).collect()
    }

    fn wanted(&self) -> Vec<Address> {
        plan::virtual_addresses(&self.config, self.node, &self.devices)
    }

    fn present(&mut self) -> Result<Vec<Address>, Error> {
        self.route
            .dump(&netlink::address::dump()?, netlink::address::decode)
    }

    fn set(&mut self, address: &Address) -> Result<(), Error> {
        self.route.execute(&netlink::address::add(address)?)
    }

    fn unset(&mut self, address: &Address) -> Result<(), Error> {
        self.route.execute(&netlink::address::delete(address)?)
    }
}

/// Readable when the kernel has told something.
impl AsFd for Addresses {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn devices(route: &mut Netlink) -> Result<Vec<Device>, Error> {
    route.dump(&netlink::link::dump()?, netlink::link::decode)
}

fn under_virtual_addresses<'a>(
    config: &Config,
    node: usize,
    devices: &'a [Device],
) -> Vec<&'a Device> {
    let interfaces = config
        .virtual_addresses
        .iter()
        .map(|address| address.interface);
    let mut under: Vec<_> = interfaces
        .filter_map(|interface| plan::device_of(config, node, usize::from(interface), devices))
        .collect();
    under.sort_by_key(|device| device.index);
    under.dedup_by_key(|device| device.index);
    under
}

fn fitness(config: &Config, node: usize, devices: &[Device]) -> u8 {
    let under = under_virtual_addresses(config, node, devices);
    let fit = under.iter().filter(|device| device.up && device.carrier);
    u8::try_from(fit.count()).unwrap_or(u8::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::dataplane::samples::{balancer, prefix};
    use plan::config::VirtualAddress;

    fn device(index: u32, name: &str, carrier: bool) -> Device {
        Device {
            index,
            name: name.into(),
            mac: [0x52, 0x54, 0, 0, 1, u8::try_from(index).unwrap() - 1],
            up: true,
            carrier,
            mtu_bytes: 1500,
        }
    }

    #[test]
    fn fitness_counts_interfaces_not_addresses() {
        let mut config = balancer();
        let address = |text, interface| VirtualAddress {
            prefix: prefix(text),
            interface,
        };
        config
            .virtual_addresses
            .push(address("198.51.100.11/24", 0));
        config.virtual_addresses.push(address("10.0.0.1/24", 1));
        let mut devices = vec![device(2, "eth0", true), device(3, "eth1", true)];
        assert_eq!(fitness(&config, 0, &devices), 2);
        devices[1].carrier = false;
        assert_eq!(fitness(&config, 0, &devices), 1);
        devices[0].up = false;
        assert_eq!(fitness(&config, 0, &devices), 0);
        assert_eq!(fitness(&config, 0, &[]), 0);
    }

    #[test]
    fn interfaces_without_virtual_addresses_do_not_count() {
        let devices = [device(3, "eth1", true), device(4, "eth2", true)];
        assert_eq!(fitness(&balancer(), 0, &devices), 0);
    }
}
