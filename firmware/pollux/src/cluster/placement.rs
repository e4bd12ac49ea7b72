//! A virtual address as it stands on this box: the device it belongs on, what the kernel is to be asked for
//! it, and why the kernel would not set it. Pure; `addresses` asks the kernel.

use netlink::{EncodeError, KernelError, Request};
use plan::config::{Prefix, VirtualAddress};
use plan::kernel::{Address, Device};
use plan::validate::INTERFACES_MAX;

/// One virtual address.
pub struct Placement {
    prefix: Prefix,
    /// Index into `Config::interfaces`.
    interface: usize,
    /// `None` while there is no such device.
    seat: Option<Seat>,
    /// What the kernel said when it was last asked to set it there.
    refusal: Option<KernelError>,
}

/// Its device, with the requests made beforehand: none is to be made when every millisecond counts.
struct Seat {
    /// It is set on this one.
    device: Device,
    /// Whose cable it depends on: the same, or the card below.
    card: Device,
    add: Request,
    delete: Request,
}

impl Placement {
    /// On no device yet.
    pub fn new(address: &VirtualAddress) -> Self {
        Placement {
            prefix: address.prefix,
            interface: usize::from(address.interface),
            seat: None,
            refusal: None,
        }
    }

    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Index into `Config::interfaces`.
    pub fn interface(&self) -> usize {
        self.interface
    }

    /// The device it is set on.
    pub fn device(&self) -> Option<&Device> {
        self.seat.as_ref().map(|seat| &seat.device)
    }

    /// The card it is reached by: that device, or the one below.
    pub fn card(&self) -> Option<&Device> {
        self.seat.as_ref().map(|seat| &seat.card)
    }

    /// As the kernel has it once it is set.
    pub fn address(&self) -> Option<Address> {
        let index = self.device()?.index;
        let prefix = self.prefix;
        Some(Address { index, prefix })
    }

    /// The request that sets it; `None` without a device.
    pub fn add(&self) -> Option<&Request> {
        self.seat.as_ref().map(|seat| &seat.add)
    }

    /// The request that removes it; `None` without a device.
    pub fn delete(&self) -> Option<&Request> {
        self.seat.as_ref().map(|seat| &seat.delete)
    }

    /// Goes where its device is now, and the card below it. What was refused on the device as it was may be
    /// taken on it as it is: a carrier that comes or goes makes no difference to that.
    pub fn follow(
        &mut self,
        device: Option<&Device>,
        card: Option<&Device>,
    ) -> Result<(), EncodeError> {
        if (self.device(), self.card()) == (device, card) {
            return Ok(());
        }
        let seat = device.zip(card);
        let ground = |(device, card): (&Device, &Device)| {
            (device.index, device.mac, card.up, card.mtu_bytes)
        };
        if self.device().zip(self.card()).map(ground) != seat.map(ground) {
            self.refusal = None;
        }
        let seat = seat.map(|(device, card)| self.seat_on(device, card));
        self.seat = seat.transpose()?;
        Ok(())
    }

    fn seat_on(&self, device: &Device, card: &Device) -> Result<Seat, EncodeError> {
        let (index, prefix) = (device.index, self.prefix);
        let address = Address { index, prefix };
        Ok(Seat {
            device: device.clone(),
            card: card.clone(),
            add: netlink::address::add_virtual(&address)?,
            delete: netlink::address::delete(&address)?,
        })
    }

    /// Why the kernel does not hold it although it was asked to.
    pub fn refusal(&self) -> Option<&KernelError> {
        self.refusal.as_ref()
    }

    /// Notes what came of the request to set it. Returns whether that is news.
    pub fn answered(&mut self, outcome: Result<(), KernelError>) -> bool {
        let refusal = outcome.err();
        let is_news = self.refusal != refusal;
        self.refusal = refusal;
        is_news
    }

    /// What its interface is worth as far as this address goes.
    fn worth(&self) -> u8 {
        match self.card() {
            Some(card) if card.up && card.carrier => 2 - u8::from(self.refusal.is_some()),
            _ => 0,
        }
    }
}

/// How well this box can serve: each interface under virtual addresses that has carrier counts 2, or 1 where
/// the kernel refuses one of its addresses. Of two boxes the fitter one is to be active.
pub fn fitness(placements: &[Placement]) -> u8 {
    let worth_of = |interface| {
        let of_interface = placements
            .iter()
            .filter(|placement| placement.interface == interface);
        of_interface.map(Placement::worth).min()
    };
    (0..INTERFACES_MAX).filter_map(worth_of).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::dataplane::samples::prefix;

    fn device(index: u8, carrier: bool) -> Device {
        Device {
            index: index.into(),
            name: format!("eth{index}"),
            mac: [0x52, 0x54, 0, 0, 1, index],
            permanent_mac: None,
            up: true,
            carrier,
            mtu_bytes: 1500,
        }
    }

    fn placement(text: &str, interface: u8, device: Option<&Device>) -> Placement {
        let mut placement = Placement::new(&VirtualAddress {
            prefix: prefix(text),
            interface,
        });
        placement.follow(device, device).unwrap();
        placement
    }

    fn refused() -> Result<(), KernelError> {
        Err(KernelError {
            errno: 13,
            text: None,
        })
    }

    #[test]
    fn fitness_counts_interfaces_not_addresses() {
        let (wan, lan) = (device(0, true), device(1, true));
        let mut placements = [
            placement("198.51.100.10/24", 0, Some(&wan)),
            placement("198.51.100.11/24", 0, Some(&wan)),
            placement("10.0.0.1/24", 1, Some(&lan)),
        ];
        assert_eq!(fitness(&placements), 4);
        let cut = device(1, false);
        placements[2].follow(Some(&cut), Some(&cut)).unwrap();
        assert_eq!(fitness(&placements), 2);
        placements[2].follow(None, None).unwrap();
        assert_eq!(fitness(&placements), 2);
        assert_eq!(fitness(&[]), 0);
    }

    #[test]
    fn a_refused_address_costs_less_than_a_lost_carrier_and_more_than_nothing() {
        let wan = device(0, true);
        let mut placements = [
            placement("198.51.100.10/24", 0, Some(&wan)),
            placement("2001:db8::10/64", 0, Some(&wan)),
        ];
        assert!(placements[1].answered(refused()));
        assert!(!placements[1].answered(refused()));
        assert_eq!(fitness(&placements), 1);
        assert!(placements[1].answered(Ok(())));
        assert_eq!(fitness(&placements), 2);
    }

    #[test]
    fn a_bearer_is_as_fit_as_its_card_although_it_is_down_itself() {
        let wan = device(0, true);
        let bearer = Device {
            index: 9,
            up: false,
            carrier: false,
            ..wan.clone()
        };
        let mut placement = placement("198.51.100.10/24", 0, None);
        placement.follow(Some(&bearer), Some(&wan)).unwrap();
        assert_eq!(placement.address().unwrap().index, 9);
        assert_eq!(fitness(&[placement]), 2);
    }

    #[test]
    fn a_refusal_is_forgotten_when_the_device_changes_but_not_for_a_cable() {
        let mut placement = placement("2001:db8::10/64", 0, Some(&device(0, true)));
        placement.answered(refused());
        for carrier in [false, true] {
            let same = device(0, carrier);
            placement.follow(Some(&same), Some(&same)).unwrap();
            assert!(placement.refusal().is_some());
        }
        let jumbo = Device {
            mtu_bytes: 9000,
            ..device(0, true)
        };
        placement.follow(Some(&jumbo), Some(&jumbo)).unwrap();
        assert!(placement.refusal().is_none());
        placement.answered(refused());
        placement.follow(None, None).unwrap();
        placement.follow(Some(&jumbo), Some(&jumbo)).unwrap();
        assert!(placement.refusal().is_none());
    }
}
