//! With a real kernel, in a network namespace of their own; passed over with a word where there is none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::dataplane::samples::{balancer, prefix};
use nix::sched::{CloneFlags, unshare};
use plan::config::VirtualAddress;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Instant;

pub(super) fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `test` where `eth0` is one end of a cable, the other end being `far`.
fn with_a_network(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            crate::skip::skip(&format!("a network namespace wants root ({errno})"));
            return;
        }
        ip("link add eth0 type veth peer name far");
        ip("link set eth0 up");
        ip("link set far up");
        test();
    });
    thread.join().unwrap();
}

/// A config with these addresses on `eth0`.
fn config(addresses: impl Iterator<Item = String>) -> Config {
    let mut config = balancer();
    config.virtual_addresses = addresses
        .map(|text| VirtualAddress {
            prefix: prefix(&text),
            interface: 0,
        })
        .collect();
    config
}

pub(super) fn two() -> Config {
    config(
        ["198.51.100.10/24", "2001:db8::10/64"]
            .map(String::from)
            .into_iter(),
    )
}

/// Turns until something was brought about.
pub(super) fn finish(addresses: &mut Addresses) -> (Done, usize) {
    (1..)
        .find_map(|turns| addresses.advance().map(|done| (done, turns)))
        .unwrap()
}

fn held(addresses: &mut Addresses) -> Vec<bool> {
    addresses.status().iter().map(|one| one.held).collect()
}

/// Until the kernel's news are in, which it tells before `ip` ends.
fn hear(addresses: &mut Addresses) {
    while addresses.hear().is_some() {}
}

#[test]
fn two_hundred_are_taken_and_released_a_few_in_each_turn() {
    with_a_network(|| {
        let v4 = (0..100).map(|host| format!("198.51.100.{}/24", host + 10));
        let v6 = (0..100).map(|host| format!("2001:db8::{host:x}/64"));
        let config = config(v4.chain(v6));
        let mut addresses = Addresses::open(&config, 0).unwrap();
        for (order, done, is_held) in [
            (
                Addresses::take as fn(&mut Addresses, u64),
                Done::Taken { term: 5 },
                true,
            ),
            (Addresses::release, Done::Released { term: 5 }, false),
        ] {
            let began = Instant::now();
            order(&mut addresses, 5);
            let mut longest = Duration::ZERO;
            let mut turns = 0;
            loop {
                let turned = Instant::now();
                turns += 1;
                let outcome = addresses.advance();
                longest = longest.max(turned.elapsed());
                if let Some(outcome) = outcome {
                    assert_eq!(outcome, done);
                    break;
                }
                assert!(addresses.is_busy());
            }
            println!(
                "200 addresses, {done:?}: {:?}, longest turn {longest:?}",
                began.elapsed()
            );
            assert_eq!(turns, 7);
            assert_eq!(held(&mut addresses), [is_held; 200]);
        }
    });
}

#[test]
fn a_release_that_overtakes_a_take_leaves_nothing() {
    with_a_network(|| {
        let many = config((0..200).map(|host| format!("198.51.100.{}/24", host + 10)));
        let mut addresses = Addresses::open(&many, 0).unwrap();
        addresses.take(1);
        assert_eq!(addresses.advance(), None);
        addresses.release(1);
        assert_eq!(finish(&mut addresses).0, Done::Released { term: 1 });
        assert!(!ip("-o address show dev eth0").contains("198.51.100."));
    });
}

#[test]
fn one_that_the_kernel_refuses_keeps_none_of_the_others() {
    with_a_network(|| {
        let mut addresses = Addresses::open(&two(), 0).unwrap();
        assert_eq!(addresses.fitness(), 2);
        // IPv6 needs an MTU of 1280, and is taken from a device that has less.
        ip("link set eth0 mtu 1000");
        hear(&mut addresses);
        addresses.take(1);
        assert_eq!(finish(&mut addresses).0, Done::Taken { term: 1 });
        assert!(addresses.are_held());
        assert_eq!(addresses.fitness(), 1);
        let status = addresses.status();
        assert!(status[0].held && status[0].refusal.is_none());
        assert!(!status[1].held && status[1].refusal.is_some(), "{status:?}");

        // What is refused is not tried at every piece of news, but now and then.
        let retry_at = addresses.retry_at().unwrap();
        addresses.mend();
        assert!(!addresses.is_busy());
        addresses.retry_if_due(retry_at);
        assert_eq!(finish(&mut addresses).0, Done::Mended { any: false });
        assert_eq!(addresses.fitness(), 1);

        // Nor does it keep the box from letting go, and from taking the others again.
        addresses.release(1);
        assert_eq!(finish(&mut addresses).0, Done::Released { term: 1 });
        addresses.take(2);
        assert_eq!(finish(&mut addresses).0, Done::Taken { term: 2 });

        ip("link set eth0 mtu 1500");
        hear(&mut addresses);
        assert_eq!(finish(&mut addresses).0, Done::Mended { any: true });
        assert_eq!(held(&mut addresses), [true, true]);
        assert_eq!(addresses.fitness(), 2);
    });
}

#[test]
fn addresses_whose_device_comes_late_are_set_when_it_comes() {
    with_a_network(|| {
        ip("link set eth0 down");
        ip("link set eth0 name late0");
        let mut addresses = Addresses::open(&two(), 0).unwrap();
        addresses.take(1);
        assert_eq!(finish(&mut addresses).0, Done::Taken { term: 1 });
        assert_eq!(addresses.status()[0].device, None);
        assert_eq!(addresses.fitness(), 0);
        ip("link set late0 name eth0");
        ip("link set eth0 up");
        hear(&mut addresses);
        assert_eq!(finish(&mut addresses).0, Done::Mended { any: true });
        assert_eq!(held(&mut addresses), [true, true]);
    });
}

#[test]
fn one_that_somebody_removes_is_set_again_while_they_are_held() {
    with_a_network(|| {
        let mut addresses = Addresses::open(&two(), 0).unwrap();
        addresses.take(1);
        finish(&mut addresses);
        ip("address del 198.51.100.10/24 dev eth0");
        hear(&mut addresses);
        assert_eq!(finish(&mut addresses).0, Done::Mended { any: true });
        assert_eq!(held(&mut addresses), [true, true]);
        addresses.release(1);
        finish(&mut addresses);
        hear(&mut addresses);
        assert_eq!(addresses.advance(), None);
        assert_eq!(held(&mut addresses), [false, false]);
    });
}

#[test]
fn a_rival_is_noted_while_the_addresses_are_held() {
    with_a_network(|| {
        let mut addresses = Addresses::open(&two(), 0).unwrap();
        let rival = PacketSocket::open().unwrap();
        let far = addresses
            .devices()
            .iter()
            .find(|device| device.name == "far");
        let far = far.unwrap().index;
        let mac = [2, 0, 0, 0, 0, 9];
        let claim = || {
            for own in ["198.51.100.10", "2001:db8::10"] {
                for frame in netlink::announce::frames(own.parse().unwrap(), mac) {
                    rival.send(far, frame.as_ref()).unwrap();
                }
            }
        };
        let now = Duration::from_secs(100);
        claim();
        assert!(!addresses.hear_rivals(now, false));
        addresses.take(1);
        finish(&mut addresses);
        let invited = true;
        claim();
        assert!(!addresses.hear_rivals(now, invited));
        claim();
        assert!(addresses.hear_rivals(now, !invited));
        let status = addresses.status();
        let claims: Vec<_> = status
            .iter()
            .map(|one| one.rival.clone().unwrap())
            .collect();
        assert_eq!((claims[0].mac, claims[0].claims), (mac, 2));
        assert_eq!((claims[1].mac, claims[1].claims), (mac, 1));
        claim();
        assert!(!addresses.hear_rivals(now, false));
    });
}

#[test]
fn nothing_waits_for_a_cable_once_the_addresses_are_gone() {
    with_a_network(|| {
        // The kernel gives a neighbour up after three questions a second apart, perhaps before a slow machine came so far.
        for family in ["ipv4", "ipv6"] {
            let pace = format!("/proc/sys/net/{family}/neigh/eth0/retrans_time_ms");
            std::fs::write(pace, "60000").unwrap();
        }
        // Without an address of its own it would lose its neighbours with the last virtual one.
        ip("address add 198.51.100.3/24 dev eth0");
        let mut addresses = Addresses::open(&two(), 0).unwrap();
        addresses.take(1);
        finish(&mut addresses);
        ip("neigh add 198.51.100.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent");
        let say = |from: &str, to: &str| {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.send_to(b"?", (to, 9)).unwrap();
        };
        let waiting = || ip("neigh show").matches("INCOMPLETE").count();
        let speak = || {
            say("198.51.100.10", "198.51.100.50");
            say("2001:db8::10", "2001:db8::50");
            assert_eq!(waiting(), 2);
        };
        // While there is a cable neighbours have time to answer.
        speak();
        addresses.drop_unsent();
        assert_eq!(waiting(), 2);
        ip("link set far down");
        hear(&mut addresses);
        speak();
        addresses.release(1);
        finish(&mut addresses);
        assert_eq!(waiting(), 2);
        addresses.drop_unsent();
        assert_eq!(waiting(), 0);
        assert!(ip("neigh show").contains("PERMANENT"));
    });
}

#[test]
fn a_virtual_mac_is_up_with_its_addresses_and_down_without_them() {
    with_a_network(|| {
        let mut config = two();
        config.virtual_mac = true;
        let mut addresses = Addresses::open(&config, 0).unwrap();
        let name = addresses.bearers[0].name().to_owned();
        let shown = || ip(&format!("-d link show {name}"));
        assert!(shown().contains("macvlan mode private") && shown().contains("state DOWN"));
        assert_eq!(addresses.fitness(), 2);
        addresses.take(1);
        assert_eq!(finish(&mut addresses).0, Done::Taken { term: 1 });
        assert_eq!(held(&mut addresses), [true, true]);
        assert!(!shown().contains("state DOWN"));
        let listed = ip(&format!("-o address show dev {name}"));
        assert_eq!(listed.lines().count(), 2, "no link-local one: {listed}");

        // Taken down by a stranger, it loses its IPv6 address.
        hear(&mut addresses);
        ip(&format!("link set {name} down"));
        hear(&mut addresses);
        assert_eq!(finish(&mut addresses).0, Done::Mended { any: true });
        assert_eq!(held(&mut addresses), [true, true]);

        addresses.release(1);
        assert_eq!(finish(&mut addresses).0, Done::Released { term: 1 });
        assert!(shown().contains("state DOWN"));
        assert_eq!(held(&mut addresses), [false, false]);

        // A second start finds what the first has made.
        let mut again = Addresses::open(&config, 0).unwrap();
        assert_eq!(again.bearers[0].name(), name);
        again.leave();
        assert!(!ip("link show").contains(&name));
    });
}
