//! A plan as it is carried out on somebody else's machine: what the config names, and nothing that the
//! machine does besides. Pure. On a box of its own all that is not in the plan goes; here it stays, and
//! settings of the whole machine become those of the configured devices, or are left alone.

use plan::config::{Config, Forwarding, Service, VirtualAddress};
use plan::kernel::{Address, Device, State};

/// When a setting of the plan is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// As it is.
    Always,
    /// On each configured device instead of on all: the stronger of the two counts in the kernel.
    OnDevices,
    /// The same, with services that are balanced by NAT, whose packets are routed.
    OnDevicesForNat,
    /// With such services of the setting's own family.
    ForNat,
    /// With services.
    ForServices,
    /// Never: the machine's own policy.
    Never,
}

/// By the last part of the path.
const USES: [(&str, Use); 14] = [
    ("arp_ignore", Use::OnDevices),
    ("arp_announce", Use::OnDevices),
    ("promote_secondaries", Use::OnDevices),
    ("accept_dad", Use::Always),
    ("retrans_time_ms", Use::Always),
    ("rp_filter", Use::OnDevicesForNat),
    ("ip_forward", Use::ForNat),
    ("forwarding", Use::ForNat),
    ("send_redirects", Use::ForNat),
    ("conntrack", Use::ForServices),
    ("expire_nodest_conn", Use::ForServices),
    ("expire_quiescent_template", Use::ForServices),
    ("sloppy_tcp", Use::ForServices),
    ("accept_redirects", Use::Never),
];

/// Where the settings of all devices lie.
const ALL: &str = "net/ipv4/conf/all/";

/// The settings of `desired` that are made here.
pub fn settings(config: &Config, desired: &State) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (path, value) in &desired.sysctls {
        let on_devices = |device: &Device| {
            let own = path.replacen(ALL, &format!("net/ipv4/conf/{}/", device.name), 1);
            (own, value.clone())
        };
        let is_v6 = path.starts_with("net/ipv6/");
        match usage(path) {
            Use::OnDevices => settings.extend(desired.devices.iter().map(on_devices)),
            Use::OnDevicesForNat if routes_to_servers(config, is_v6) => {
                settings.extend(desired.devices.iter().map(on_devices));
            }
            Use::ForNat if !routes_to_servers(config, is_v6) => {}
            Use::ForServices if config.services.is_empty() => {}
            Use::Always | Use::ForNat | Use::ForServices => {
                settings.push((path.clone(), value.clone()));
            }
            Use::OnDevicesForNat | Use::Never => {}
        }
    }
    settings
}

fn usage(path: &str) -> Use {
    let name = path.rsplit('/').next().unwrap_or_default();
    let known = USES.iter().find(|(known, _)| *known == name);
    known.map_or(Use::Never, |(_, usage)| *usage)
}

fn routes_to_servers(config: &Config, is_v6: bool) -> bool {
    let is_routed = |service: &Service| {
        service.forwarding == Forwarding::Nat && service.address.is_ipv6() == is_v6
    };
    config.services.iter().any(is_routed)
}

/// Takes out of what the kernel holds all that is not ours to remove: addresses that the config does not
/// name, and IPVS services unless the table is ours (`has_balanced`), because the config has or had some.
pub fn overlook(config: &Config, desired: &State, observed: &mut State, has_balanced: bool) {
    let is_named = |address: &Address| {
        let is_it = |known: &VirtualAddress| known.prefix == address.prefix;
        desired.addresses.contains(address) || config.virtual_addresses.iter().any(is_it)
    };
    observed.addresses.retain(is_named);
    if !has_balanced {
        observed.services.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::samples::{balancer, prefix};
    use plan::Health;
    use plan::kernel::Step;

    fn eth0() -> Device {
        Device {
            index: 2,
            name: "eth0".into(),
            mac: [0x52, 0x54, 0, 0, 1, 1],
            permanent_mac: None,
            up: true,
            carrier: true,
            mtu_bytes: 1500,
        }
    }

    fn desired(config: &Config) -> State {
        plan::desired(config, 0, &[eth0()], &Health::new(config))
    }

    fn paths(config: &Config) -> Vec<String> {
        let settings = settings(config, &desired(config));
        settings.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn a_machine_without_services_of_ours_routes_as_before() {
        let mut config = balancer();
        config.services.clear();
        let expected = [
            "net/ipv4/conf/eth0/arp_ignore",
            "net/ipv4/conf/eth0/arp_announce",
            "net/ipv4/conf/eth0/promote_secondaries",
            "net/ipv6/conf/eth0/accept_dad",
        ];
        assert_eq!(paths(&config), expected);
    }

    #[test]
    fn services_by_nat_are_routed_in_their_own_family() {
        let paths = paths(&balancer());
        let has = |path: &str| paths.iter().any(|known| known == path);
        assert!(has("net/ipv4/ip_forward") && has("net/ipv4/conf/eth0/rp_filter"));
        assert!(has("net/ipv4/vs/sloppy_tcp") && has("net/ipv4/conf/eth0/send_redirects"));
        assert!(!has("net/ipv6/conf/all/forwarding"), "{paths:?}");
        // Other devices send redirects all the same: theirs is the word that says so.
        let of_all = paths.iter().filter(|path| path.starts_with(ALL));
        let of_all: Vec<_> = of_all.map(String::as_str).collect();
        assert_eq!(of_all, ["net/ipv4/conf/all/send_redirects"], "{paths:?}");
    }

    #[test]
    fn every_setting_of_a_box_has_been_thought_about() {
        let unknown = |(path, _): &(String, String)| {
            let left_alone = path.ends_with("accept_redirects") || path.ends_with("accept_ra");
            usage(path) == Use::Never && !left_alone
        };
        let settings = desired(&balancer()).sysctls;
        let unknown: Vec<_> = settings.into_iter().filter(unknown).collect();
        assert_eq!(unknown, []);
    }

    #[test]
    fn services_that_a_config_no_longer_has_go_and_those_of_others_stay() {
        let mut config = balancer();
        let observed = desired(&config);
        config.services.clear();
        let desired = desired(&config);
        let deleted = |has_balanced| {
            let mut observed = observed.clone();
            overlook(&config, &desired, &mut observed, has_balanced);
            let steps = plan::diff(&desired, &observed);
            let is_deleted = |step: &&Step| matches!(step, Step::DeleteService(_));
            steps.iter().filter(is_deleted).count()
        };
        assert_eq!((deleted(true), deleted(false)), (1, 0));
    }

    #[test]
    fn what_others_set_stays_and_an_orphan_of_ours_goes() {
        let config = balancer();
        let mut desired = desired(&config);
        let address = |text| Address {
            index: 2,
            prefix: prefix(text),
        };
        let mut observed = desired.clone();
        let virtual_address = address("198.51.100.10/24");
        observed.addresses = vec![
            address("198.51.100.2/24"),
            address("198.51.100.77/24"),
            virtual_address,
        ];
        desired.virtual_addresses.clear();
        overlook(&config, &desired, &mut observed, true);
        let steps = plan::diff(&desired, &observed);
        assert_eq!(steps, [Step::DeleteAddress(virtual_address)]);
    }
}
