use super::*;
use crate::config::{Config, Scheduler};
use crate::kernel::ServiceKey;
use crate::samples::{configs, devices, endpoint, pair, prefix};
use crate::{Health, desired};
use proptest::prelude::*;

/// What a kernel does with a step; refuses as a kernel would.
fn apply(kernel: &mut State, step: Step) {
    match step {
        Step::LoadRuleset(new) => kernel.ruleset = Some(new),
        Step::SetSysctl { path, value } => {
            kernel.sysctls.retain(|(known, _)| *known != path);
            kernel.sysctls.push((path, value));
        }
        Step::SetLink { index, mtu_bytes } => {
            let device = kernel
                .devices
                .iter_mut()
                .find(|device| device.index == index)
                .unwrap();
            device.up = true;
            device.mtu_bytes = mtu_bytes.unwrap_or(device.mtu_bytes);
        }
        Step::AddAddress(new) => {
            let clashes = |held: &Address| {
                held.index == new.index && held.prefix.address == new.prefix.address
            };
            assert!(!kernel.addresses.iter().any(clashes), "EEXIST {new:?}");
            kernel.addresses.push(new);
        }
        Step::DeleteAddress(old) => remove(&mut kernel.addresses, |held| *held == old),
        Step::AddRoute(new) => {
            let replaced = kernel.routes.iter().position(|held| held.to == new.to);
            replaced.map(|position| kernel.routes.remove(position));
            kernel.routes.push(new);
        }
        Step::DeleteRoute(old) => remove(&mut kernel.routes, |held| *held == old),
        Step::AddService(new) => {
            assert!(
                kernel.services.iter().all(|held| held.key != new.key),
                "EEXIST {:?}",
                new.key
            );
            kernel.services.push(Service {
                destinations: Vec::new(),
                ..new
            });
        }
        Step::EditService(new) => {
            let held = service(kernel, new.key);
            let destinations = core::mem::take(&mut held.destinations);
            *held = Service {
                destinations,
                ..new
            };
        }
        Step::DeleteService(key) => remove(&mut kernel.services, |held| held.key == key),
        Step::AddDestination(key, new) => {
            let held = &mut service(kernel, key).destinations;
            assert!(
                held.iter().all(|held| held.endpoint != new.endpoint),
                "EEXIST {new:?}"
            );
            held.push(new);
        }
        Step::EditDestination(key, new) => {
            let held = &mut service(kernel, key).destinations;
            *held
                .iter_mut()
                .find(|held| held.endpoint == new.endpoint)
                .unwrap() = new;
        }
        Step::DeleteDestination(key, old) => {
            let held = &mut service(kernel, key).destinations;
            remove(held, |held| held.endpoint == old);
        }
    }
}

fn remove<T>(items: &mut Vec<T>, is_it: impl Fn(&T) -> bool) {
    let position = items
        .iter()
        .position(is_it)
        .unwrap_or_else(|| panic!("ENOENT"));
    items.remove(position);
}

fn service(kernel: &mut State, key: ServiceKey) -> &mut Service {
    kernel
        .services
        .iter_mut()
        .find(|held| held.key == key)
        .unwrap()
}

fn planned(config: &Config, up: &[bool]) -> State {
    let mut health = Health::new(config);
    let servers = config
        .services
        .iter()
        .enumerate()
        .flat_map(|(service, each)| (0..each.servers.len()).map(move |server| (service, server)));
    servers
        .zip(up.iter().cycle())
        .for_each(|((service, server), &up)| {
            health.set(service, server, up);
        });
    desired(config, 0, &devices(), &health)
}

/// A kernel that once held another config, on the active box, with strangers in it.
fn used_kernel(state: &State, strangers: usize) -> State {
    let foreign = Address {
        index: 2,
        prefix: prefix("203.0.113.9/24"),
    };
    let unconfigured = Address {
        index: 77,
        prefix: prefix("203.0.113.10/24"),
    };
    let link_local = Address {
        index: 2,
        prefix: prefix("fe80::1/64"),
    };
    let resized = Address {
        index: 2,
        prefix: prefix("2001:db8::2/48"),
    };
    let mut kernel = State {
        virtual_addresses: Vec::new(),
        ruleset: strangers
            .is_multiple_of(2)
            .then(|| crate::firewall::closed().into()),
        ..state.clone()
    };
    kernel.addresses.truncate(strangers % 4);
    kernel
        .addresses
        .retain(|held| held.prefix.address != resized.prefix.address);
    kernel
        .addresses
        .extend(state.virtual_addresses.iter().skip(strangers % 3));
    kernel
        .addresses
        .extend([foreign, unconfigured, link_local, resized]);
    kernel.devices = devices();
    kernel.sysctls.truncate(strangers);
    if let Some(route) = kernel.routes.first_mut() {
        route.via = endpoint("198.51.100.77:1").address;
    }
    kernel.routes.push(Route {
        to: prefix("10.55.0.0/16"),
        via: endpoint("10.0.0.7:1").address,
        index: Some(3),
    });
    kernel
}

proptest! {
    #[test]
    fn steps_lead_from_anything_to_what_is_desired(
        old in configs(), new in configs(), up: [bool; 5], was_up: [bool; 5], strangers in 0usize..30
    ) {
        let wanted = planned(&new, &up);
        let mut kernel = used_kernel(&planned(&old, &was_up), strangers);
        let virtual_before: Vec<_> = kernel.addresses.iter().filter(|held| wanted.virtual_addresses.contains(held)).copied().collect();
        for step in diff(&wanted, &kernel) {
            apply(&mut kernel, step);
        }
        prop_assert_eq!(diff(&wanted, &kernel), Vec::new());
        for address in &wanted.addresses {
            prop_assert!(kernel.addresses.contains(address));
        }
        for address in virtual_before {
            prop_assert!(kernel.addresses.contains(&address), "virtual address lost");
        }
        prop_assert!(!kernel.addresses.iter().any(|held| held.prefix == prefix("203.0.113.9/24")));
        prop_assert!(kernel.addresses.iter().any(|held| held.index == 77), "unconfigured device touched");
        prop_assert_eq!(kernel.services.len(), wanted.services.len());
        for service in &mut kernel.services {
            service.destinations.sort_by_key(|destination| destination.endpoint);
            prop_assert!(wanted.services.contains(service));
        }
        prop_assert_eq!(kernel.routes.len(), wanted.routes.len());
    }

    #[test]
    fn what_stands_is_not_touched(config in configs(), up: [bool; 5]) {
        let state = planned(&config, &up);
        prop_assert_eq!(diff(&state, &state), Vec::new());
    }

    /// Between the steps of a change of health a service that has a usable server before and after
    /// has one all the time.
    #[test]
    fn no_service_is_without_servers_on_the_way(config in configs(), up: [bool; 5], was_up: [bool; 5]) {
        let (wanted, mut kernel) = (planned(&config, &up), planned(&config, &was_up));
        let usable = |service: &Service| service.destinations.iter().any(|server| server.weight > 0);
        let served: Vec<_> = kernel.services.iter().zip(&wanted.services).map(|(before, after)| usable(before) && usable(after)).collect();
        for step in diff(&wanted, &kernel) {
            apply(&mut kernel, step);
            for (service, &served) in kernel.services.iter().zip(&served) {
                prop_assert!(!served || usable(service), "{:?}", service.key);
            }
        }
    }
}

#[test]
fn a_server_that_fails_costs_one_step() {
    let config = pair();
    let (before, after) = (
        planned(&config, &[true, true, true]),
        planned(&config, &[true, false, true]),
    );
    let key = before.services[0].key;
    assert_eq!(
        diff(&after, &before),
        [Step::DeleteDestination(key, endpoint("10.0.0.22:8080"))]
    );
}

#[test]
fn an_unknown_scheduler_is_corrected_and_a_stray_service_removed() {
    let wanted = planned(&pair(), &[true]);
    let mut kernel = wanted.clone();
    kernel.services[1].scheduler = None;
    let stray = ServiceKey {
        endpoint: endpoint("198.51.100.10:99"),
        ..kernel.services[0].key
    };
    kernel.services.push(Service {
        key: stray,
        scheduler: Some(Scheduler::Rr),
        ..kernel.services[0].clone()
    });
    assert_eq!(
        diff(&wanted, &kernel),
        [
            Step::DeleteService(stray),
            Step::EditService(wanted.services[1].clone())
        ]
    );
}

#[test]
fn a_route_whose_interface_the_kernel_chose_is_left_alone() {
    let mut wanted = planned(&pair(), &[true]);
    let kernel = wanted.clone();
    wanted
        .routes
        .iter_mut()
        .for_each(|route| route.index = None);
    assert_eq!(diff(&wanted, &kernel), []);
}
