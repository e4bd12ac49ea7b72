#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::capture::assert_sends;
use crate::capture::{bytes, decoded, noise};
use crate::message::messages;
use plan::config::{Forwarding, Protocol, Scheduler};
use plan::kernel::Thresholds;
use proptest::prelude::*;

#[test]
fn a_kernel_without_ipvs_says_so() {
    let capture = bytes(include_str!("../../captures/genl-family-missing.hex"));
    let message = messages(&capture).next().unwrap().unwrap();
    let crate::Outcome::Refused(error) = message.outcome().unwrap() else {
        panic!("not refused")
    };
    assert_eq!(
        error.to_string(),
        "ENOENT: not in this kernel, or no such entry"
    );
}

/// The number that the kernel of the captures gave.
const FAMILY: Family = Family(24);

fn endpoint(address: &str, port: u16) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        port,
    }
}

fn key(protocol: Protocol, address: &str, port: u16) -> ServiceKey {
    ServiceKey {
        protocol,
        endpoint: endpoint(address, port),
    }
}

fn service(key: ServiceKey, scheduler: Scheduler) -> Service {
    Service {
        key,
        scheduler: Some(scheduler),
        schedule_fallback: false,
        persistence_s: None,
        destinations: Vec::new(),
    }
}

fn web() -> ServiceKey {
    key(Protocol::Tcp, "192.0.2.80", 80)
}

fn nat() -> Destination {
    let endpoint = endpoint("10.0.0.1", 8080);
    Destination {
        endpoint,
        forwarding: Forwarding::Nat,
        weight: 3,
        thresholds: Thresholds::default(),
    }
}

#[test]
fn the_family_is_found_by_name() {
    let found = decoded(
        include_str!("../../captures/ipvs-family.hex"),
        decode_family,
    );
    assert_eq!(found, [FAMILY]);
    let found = decoded(
        include_str!("../../captures/genl-family-nlctrl.hex"),
        decode_family,
    );
    assert_eq!(found, []);
}

#[test]
fn the_family_is_asked_for_as_genl_does() {
    assert_sends(
        resolve(),
        include_str!("../../captures/genl-family-request.hex"),
    );
}

#[test]
fn services_are_set_as_ipvsadm_does() {
    let sticky = Service {
        persistence_s: Some(300),
        ..service(web(), Scheduler::Wrr)
    };
    let capture = include_str!("../../captures/ipvs-add-service-v4.hex");
    assert_sends(FAMILY.add_service(&sticky), capture);
    let v6 = service(key(Protocol::Tcp, "2001:db8::80", 80), Scheduler::Mh);
    let v6 = Service {
        schedule_fallback: true,
        ..v6
    };
    let capture = include_str!("../../captures/ipvs-add-service-v6.hex");
    assert_sends(FAMILY.add_service(&v6), capture);
    let udp = service(key(Protocol::Udp, "192.0.2.80", 53), Scheduler::Sh);
    let capture = include_str!("../../captures/ipvs-add-service-udp.hex");
    assert_sends(FAMILY.add_service(&udp), capture);
    let capture = include_str!("../../captures/ipvs-edit-service.hex");
    assert_sends(FAMILY.edit_service(&service(web(), Scheduler::Rr)), capture);
    assert_sends(
        FAMILY.flush(),
        include_str!("../../captures/ipvs-flush.hex"),
    );
}

/// ipvsadm repeats the whole service with each destination; its name is enough. The rest is compared as
/// the kernel would read it.
#[test]
fn destinations_are_set_as_ipvsadm_does() {
    let v6 = Destination {
        endpoint: endpoint("2001:db8::1", 80),
        forwarding: Forwarding::Direct,
        weight: u16::MAX,
        thresholds: Thresholds::default(),
    };
    let tunnel = Destination {
        endpoint: endpoint("10.0.0.2", 53),
        forwarding: Forwarding::Tunnel,
        weight: 0,
        thresholds: Thresholds::default(),
    };
    for (capture, destination) in [
        (include_str!("../../captures/ipvs-add-dest-nat.hex"), nat()),
        (
            include_str!("../../captures/ipvs-add-dest-direct-v6.hex"),
            v6,
        ),
        (
            include_str!("../../captures/ipvs-add-dest-tunnel.hex"),
            tunnel,
        ),
    ] {
        let ours = FAMILY
            .add_destination(&web(), &destination)
            .unwrap()
            .to_bytes(1);
        let theirs = bytes(capture);
        for request in [ours, theirs] {
            let message = messages(&request).next().unwrap().unwrap();
            let (read, _) = FAMILY.decode_destination(&message).unwrap().unwrap();
            assert_eq!(read, destination);
        }
    }
}

/// As `ipvsadm -x 4711 -y 4711` has it: the capture without limits, with both thresholds written in.
#[test]
fn limits_are_both_thresholds() {
    let limited = Destination {
        thresholds: Thresholds::at_most(Some(4711)),
        ..nat()
    };
    let ours = FAMILY
        .add_destination(&web(), &limited)
        .unwrap()
        .to_bytes(1);
    let mut theirs = bytes(include_str!("../../captures/ipvs-add-dest-nat.hex"));
    // Lengths and numbers of the attributes (linux/ip_vs.h), each with a value of 0.
    for number in [5_u8, 6] {
        let unlimited = [8, 0, number, 0, 0, 0, 0, 0];
        let thresholds = theirs.windows(8).rposition(|window| window == unlimited);
        let at = thresholds.unwrap() + 4;
        theirs[at..at + 4].copy_from_slice(&4711_u32.to_ne_bytes());
    }
    let nest = |request: &[u8]| request[request.len() - 16..].to_vec();
    assert_eq!(nest(&ours), nest(&theirs));
    for request in [ours, theirs] {
        let message = messages(&request).next().unwrap().unwrap();
        let (read, _) = FAMILY.decode_destination(&message).unwrap().unwrap();
        assert_eq!(read, limited);
    }
}

/// As somebody else may have set them: fuzzing once had those with one of 0 become others.
#[test]
fn thresholds_that_differ_are_read_as_they_are() {
    for (upper, lower) in [(3, 0), (3, 2), (0, 3)] {
        let strange = Destination {
            thresholds: Thresholds { upper, lower },
            ..nat()
        };
        let request = FAMILY.add_destination(&web(), &strange).unwrap();
        let request = request.to_bytes(1);
        let message = messages(&request).next().unwrap().unwrap();
        let (read, _) = FAMILY.decode_destination(&message).unwrap().unwrap();
        assert_eq!(read, strange);
    }
}

#[test]
fn what_is_deleted_or_listed_is_named_by_its_key() {
    let requests = [
        FAMILY.delete_service(&web()),
        FAMILY.delete_destination(&web(), &nat().endpoint),
        FAMILY.dump_destinations(&web()),
    ];
    // Header, command and 48 bytes of key; 40 more for a destination.
    let lengths = requests.map(|request| request.unwrap().to_bytes(1).len());
    assert_eq!(lengths, [68, 108, 68]);
}

#[test]
fn services_are_listed_without_firewall_marks() {
    let capture = include_str!("../../captures/ipvs-list-services.hex");
    let mut found = decoded(capture, |message| FAMILY.decode_service(message));
    found.sort_by_key(|service| service.key);
    let v6 = service(key(Protocol::Tcp, "2001:db8::80", 80), Scheduler::Mh);
    let v6 = Service {
        schedule_fallback: true,
        ..v6
    };
    let udp = service(key(Protocol::Udp, "192.0.2.80", 53), Scheduler::Sh);
    assert_eq!(found, [service(web(), Scheduler::Rr), v6, udp]);
}

#[test]
fn destinations_are_listed_with_their_counters() {
    let capture = include_str!("../../captures/ipvs-list-destinations.hex");
    let found = decoded(capture, |message| FAMILY.decode_destination(message));
    assert_eq!(found.len(), 3);
    assert!(found.contains(&(nat(), DestinationCounters::default())));
}

proptest! {
    #[test]
    fn no_body_panics(body in noise(), command in 0_u8..10) {
        let mut framed = vec![command, 1, 0, 0];
        framed.extend(body);
        for kind in [16, 30] {
            let message = Message { kind, flags: NlmF::empty(), sequence: 0, port: 0, body: &framed };
            let _ = decode_family(&message);
            let _ = Family(30).decode_service(&message);
            let _ = Family(30).decode_destination(&message);
        }
    }
}
