//! Steps in words, for the log: `add address 10.0.0.2/24 to eth1`.

use plan::kernel::{Address, Destination, Device, Route, ServiceKey, Step};
use plan::ruleset::Ruleset;

/// What a step does, as a phrase that completes `repaired: …` and `failed: …`.
pub fn of(step: &Step, devices: &[Device]) -> String {
    let device = |index: u32| name(index, devices);
    match step {
        Step::LoadRuleset(ruleset) => ruleset_words(ruleset),
        Step::SetSysctl { path, value } => format!("set {path} to {value}"),
        Step::SetLink { index, mtu_bytes } => match mtu_bytes {
            None => format!("set {} up", device(*index)),
            Some(bytes) => format!("set {} up with MTU {bytes}", device(*index)),
        },
        Step::AddAddress(Address { index, prefix }) => {
            format!("add address {prefix} to {}", device(*index))
        }
        Step::DeleteAddress(Address { index, prefix }) => {
            format!("delete address {prefix} from {}", device(*index))
        }
        Step::AddRoute(route) => format!("add {}", route_words(route)),
        Step::DeleteRoute(route) => format!("delete {}", route_words(route)),
        Step::AddService(service) => format!("add service {}", key(&service.key)),
        Step::EditService(service) => format!("change service {}", key(&service.key)),
        Step::DeleteService(service) => format!("delete service {}", key(service)),
        Step::AddDestination(service, server) => format!(
            "add server {} with {} to {}",
            server.endpoint,
            share(server),
            key(service)
        ),
        Step::EditDestination(service, server) => format!(
            "set server {} of {} to {}",
            server.endpoint,
            key(service),
            share(server)
        ),
        Step::DeleteDestination(service, server) => {
            format!("delete server {server} from {}", key(service))
        }
    }
}

/// How much of a service's traffic a server takes.
fn share(server: &Destination) -> String {
    let limit = server.thresholds.connections_max();
    let limit = limit.map(|limit| format!(" and at most {limit} connections"));
    format!("weight {}{}", server.weight, limit.unwrap_or_default())
}

fn ruleset_words(ruleset: &Ruleset) -> String {
    let chains = ruleset.tables.iter().flat_map(|table| &table.chains);
    match chains.map(|chain| chain.rules.len()).sum() {
        0_usize => {
            "put a firewall in force that lets everything pass: the config has no zones".into()
        }
        rules => format!("put the firewall in force, {rules} rules"),
    }
}

fn route_words(route: &Route) -> String {
    format!("route {} via {}", route.to, route.via)
}

fn key(key: &ServiceKey) -> String {
    format!("{} {}", key.protocol.name(), key.endpoint)
}

fn name(index: u32, devices: &[Device]) -> String {
    let device = devices.iter().find(|device| device.index == index);
    device.map_or_else(|| format!("device {index}"), |device| device.name.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use plan::config::Prefix;

    #[test]
    fn steps_read_like_orders() {
        let prefix = Prefix {
            address: "10.0.0.2".parse().unwrap(),
            length: 24,
        };
        let step = Step::AddAddress(Address { index: 3, prefix });
        assert_eq!(of(&step, &[]), "add address 10.0.0.2/24 to device 3");
        let eth1 = Device {
            index: 3,
            name: "eth1".into(),
            mac: [0; 6],
            permanent_mac: None,
            up: true,
            carrier: true,
            mtu_bytes: 1500,
        };
        assert_eq!(of(&step, &[eth1]), "add address 10.0.0.2/24 to eth1");
        let step = Step::SetSysctl {
            path: "net/ipv4/ip_forward".into(),
            value: "1".into(),
        };
        assert_eq!(of(&step, &[]), "set net/ipv4/ip_forward to 1");
    }
}
