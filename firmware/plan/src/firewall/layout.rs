//! Which devices of a box stand in which zone.

use crate::config::Config;
use crate::config::firewall::Side;
use crate::desired::device_of;
use crate::kernel::Device;
use crate::ruleset::InterfaceName;
use crate::virtual_mac::bearer;
use alloc::vec::Vec;

/// The names of the devices that exist.
pub(super) struct Layout {
    /// By interface of the config: its card, and what bears its virtual addresses.
    interfaces: Vec<Vec<InterfaceName>>,
    /// Interfaces of each zone.
    zones: Vec<Vec<u8>>,
}

impl Layout {
    pub(super) fn new(config: &Config, node: usize, devices: &[Device]) -> Self {
        let of_interface = |interface| {
            let card = device_of(config, node, interface, devices).map(|card| card.name.as_str());
            let bearer = bearer(config, node, interface, devices).map(|bearer| bearer.name);
            let names = card.into_iter().chain(bearer.as_deref());
            names.filter_map(InterfaceName::new).collect()
        };
        Self {
            interfaces: (0..config.interfaces.len()).map(of_interface).collect(),
            zones: config
                .firewall
                .zones
                .iter()
                .map(|zone| zone.interfaces.clone())
                .collect(),
        }
    }

    /// Devices of an interface of the config.
    pub(super) fn interface(&self, position: u8) -> Vec<InterfaceName> {
        let devices = self.interfaces.get(usize::from(position));
        devices.cloned().unwrap_or_default()
    }

    /// Devices of a side; the box has none.
    pub(super) fn side(&self, side: Side) -> Vec<InterfaceName> {
        self.interfaces_of(&[side])
            .into_iter()
            .flat_map(|interface| self.interface(interface))
            .collect()
    }

    /// Devices of several sides, each once.
    pub(super) fn sides(&self, sides: &[Side]) -> Vec<InterfaceName> {
        let interfaces = self.interfaces_of(sides).into_iter();
        interfaces
            .flat_map(|interface| self.interface(interface))
            .collect()
    }

    /// Interfaces of several sides, each once.
    pub(super) fn interfaces_of(&self, sides: &[Side]) -> Vec<u8> {
        let zones = (0u8..).map(Side::Zone).zip(&self.zones);
        let meant = zones.filter(|(zone, _)| speaks_of(sides, *zone));
        meant
            .flat_map(|(_, interfaces)| interfaces)
            .copied()
            .collect()
    }

    /// All zones, and the box.
    pub(super) fn all_sides(&self) -> impl Iterator<Item = Side> + Clone + use<> {
        let count = u8::try_from(self.zones.len()).unwrap_or(u8::MAX);
        (0..count).map(Side::Zone).chain([Side::Box])
    }
}

/// Whether `side` is among `sides`: `any` is every zone, but not the box.
pub(super) fn speaks_of(sides: &[Side], side: Side) -> bool {
    sides.contains(&side) || side != Side::Box && sides.contains(&Side::Any)
}
