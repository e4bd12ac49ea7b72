#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::poll;
use crate::testing::{in_own_network, ip, ip_prints};
use netlink::event::{self, Event};
use netlink::{address, ipvs, link, route};
use plan::config::Prefix;
use plan::kernel::{Address, Device, Route};
use std::net::UdpSocket;
use std::os::fd::AsFd;

const CABLE: &str = "link add lan0 address 02:00:00:00:00:01 type veth peer name lan1";

fn prefix(text: &str, length: u8) -> Prefix {
    Prefix {
        address: text.parse().unwrap(),
        length,
    }
}

fn device(route: &mut Netlink, name: &str) -> Device {
    let devices = route.dump(&link::dump().unwrap(), link::decode).unwrap();
    devices
        .into_iter()
        .find(|device| device.name == name)
        .unwrap()
}

#[test]
fn the_kernel_holds_what_was_asked() {
    in_own_network(&[CABLE, "link set lan1 up"], || {
        let mut socket = Netlink::open(Protocol::Route).unwrap();
        let index = device(&mut socket, "lan0").index;
        socket
            .execute(&link::set_up(index, Some(1400)).unwrap())
            .unwrap();
        let addresses = [
            prefix("192.0.2.1", 24),
            prefix("192.0.2.80", 32),
            prefix("2001:db8::1", 64),
        ]
        .map(|prefix| Address { index, prefix });
        for address in &addresses {
            socket.execute(&address::add(address).unwrap()).unwrap();
            // Twice is as good as once.
            socket.execute(&address::add(address).unwrap()).unwrap();
        }
        let routes = [
            ("198.51.100.0", 24, "192.0.2.254"),
            ("::", 0, "2001:db8::fe"),
        ]
        .map(|(to, length, via)| Route {
            to: prefix(to, length),
            via: via.parse().unwrap(),
            index: Some(index),
        });
        for route in &routes {
            socket.execute(&route::add(route).unwrap()).unwrap();
        }

        let seen = device(&mut socket, "lan0");
        assert_eq!((seen.up, seen.carrier, seen.mtu_bytes), (true, true, 1400));
        assert_eq!(seen.mac, [2, 0, 0, 0, 0, 1]);
        assert_eq!(
            socket
                .dump(&address::dump().unwrap(), address::decode)
                .unwrap(),
            addresses
        );
        let v4 = socket
            .dump(&route::dump_v4().unwrap(), route::decode)
            .unwrap();
        let v6 = socket
            .dump(&route::dump_v6().unwrap(), route::decode)
            .unwrap();
        assert_eq!([v4, v6].concat(), routes);
        assert!(
            ip_prints("-4 route show proto 80")
                .starts_with("198.51.100.0/24 via 192.0.2.254 dev lan0")
        );
        assert!(ip_prints("-6 addr show dev lan0").contains("2001:db8::1/64 scope global nodad"));

        for route in &routes {
            socket.execute(&route::delete(route).unwrap()).unwrap();
        }
        for address in &addresses {
            socket.execute(&address::delete(address).unwrap()).unwrap();
        }
        assert_eq!(
            socket
                .dump(&address::dump().unwrap(), address::decode)
                .unwrap(),
            []
        );
        assert_eq!(ip_prints("route show proto 80"), "");
    });
}

#[test]
fn a_virtual_address_is_never_the_source_of_what_the_box_says() {
    in_own_network(&[CABLE, "link set lan1 up"], || {
        let mut socket = Netlink::open(Protocol::Route).unwrap();
        let index = device(&mut socket, "lan0").index;
        socket.execute(&link::set_up(index, None).unwrap()).unwrap();
        // Each virtual address resembles its target more than the box's own does.
        for (own, virtual_one, target, length) in [
            ("192.0.2.1", "192.0.2.80", "192.0.2.81:9", 24),
            ("2001:db8::1:1", "2001:db8::80", "[2001:db8::81]:9", 64),
        ] {
            let [own, virtual_one] = [own, virtual_one].map(|text| Address {
                index,
                prefix: prefix(text, length),
            });
            socket.execute(&address::add(&own).unwrap()).unwrap();
            let added = address::add_virtual(&virtual_one).unwrap();
            socket.execute(&added).unwrap();
            let any = if own.prefix.address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let asker = UdpSocket::bind(any).unwrap();
            asker.connect(target).unwrap();
            assert_eq!(asker.local_addr().unwrap().ip(), own.prefix.address);
        }
    });
}

#[test]
fn refusals_say_why() {
    in_own_network(&[CABLE], || {
        let mut socket = Netlink::open(Protocol::Route).unwrap();
        let index = device(&mut socket, "lan0").index;
        let address = Address {
            index,
            prefix: prefix("192.0.2.1", 24),
        };
        let error = socket
            .execute(&address::delete(&address).unwrap())
            .unwrap_err();
        assert!(error.is_not_there());
        assert!(
            error
                .to_string()
                .starts_with("deleting an address: EADDRNOTAVAIL: "),
            "{error}"
        );
        let route = Route {
            to: prefix("203.0.113.0", 24),
            via: "10.9.9.9".parse().unwrap(),
            index: None,
        };
        let error = socket.execute(&route::add(&route).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "adding a route: ENETUNREACH: Nexthop has invalid gateway"
        );
        // The socket is good for the next one.
        assert_eq!(device(&mut socket, "lan0").index, index);
    });
}

#[test]
fn what_changes_is_told() {
    in_own_network(&[CABLE, "link set lan0 up", "link set lan1 up"], || {
        let mut events = Notifications::open(Protocol::Route, &event::GROUPS).unwrap();
        ip("link set lan1 down");
        ip("addr add 192.0.2.1/24 dev lan0");
        let mut seen = Vec::new();
        let deadline_us = crate::clock::monotonic_us() + 5_000_000;
        while !seen.iter().any(|event| matches!(event, Event::Address(_))) {
            assert_ne!(
                poll::until(&mut [poll::readable(events.as_fd())], Some(deadline_us)),
                Ok(0)
            );
            assert_eq!(
                events.receive(event::decode, |event| seen.push(event)),
                Ok(Received::All)
            );
        }
        assert!(seen.iter().any(
            |event| matches!(event, Event::Device(d) if d.name == "lan0" && d.up && !d.carrier)
        ));
    });
}

#[test]
fn an_overrun_has_a_name() {
    in_own_network(&[CABLE], || {
        let mut events = Notifications::open(Protocol::Route, &event::GROUPS).unwrap();
        setsockopt(&events.as_fd(), sockopt::RcvBuf, &1).unwrap();
        for mtu in 1300..1330 {
            ip(&format!("link set lan0 mtu {mtu}"));
        }
        assert_eq!(events.receive(event::decode, drop), Ok(Received::Overrun));
        while events.receive(event::decode, drop).unwrap() == Received::Overrun {}
    });
}

#[test]
fn a_kernel_without_ipvs_says_so() {
    let mut socket = Netlink::open(Protocol::Generic).unwrap();
    match socket.get(&ipvs::resolve().unwrap(), ipvs::decode_family) {
        Ok(_) => eprintln!("skipped: this kernel has IPVS"),
        Err(error) => {
            let words = "looking for IPVS: ENOENT: not in this kernel, or no such entry";
            assert_eq!(error.to_string(), words);
        }
    }
}
