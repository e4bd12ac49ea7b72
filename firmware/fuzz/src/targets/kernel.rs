//! Netlink messages of the kernel: every datagram comes to its end, and what is read of an address or a route
//! is what our own request for it says.

use core::net::{IpAddr, Ipv4Addr};
use netlink::ipvs::{Family, decode_family};
use netlink::message::HEADER_BYTES;
use netlink::{Message, Request, address, event, link, messages, route};
use plan::config::{Endpoint, Protocol};
use plan::kernel::ServiceKey;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The service that destinations are asked for.
const OF: ServiceKey = ServiceKey {
    protocol: Protocol::Tcp,
    endpoint: Endpoint {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)),
        port: 80,
    },
};

/// A datagram of rtnetlink.
pub(super) fn rtnetlink(datagram: &[u8]) {
    for message in whole(datagram) {
        let _ = message.outcome();
        let _ = event::decode(&message);
        let _ = link::decode(&message);
        if let Ok(Some(read)) = address::decode(&message) {
            let again = sent(address::add(&read).ok(), |message| {
                address::decode(message).ok()
            });
            assert_eq!(again, Some(Some(read)));
        }
        if let Ok(Some(mut read)) = route::decode(&message) {
            // The kernel sends no host bits, and takes none from us.
            read.to = read.to.network();
            let again = sent(route::add(&read).ok(), |message| {
                route::decode(message).ok()
            });
            assert_eq!(again, Some(Some(read)));
        }
    }
}

/// A datagram of generic netlink.
pub(super) fn ipvs(datagram: &[u8]) {
    for message in whole(datagram) {
        let _ = message.outcome();
        let _ = decode_family(&message);
        let Some(family) = *FAMILY else { return };
        if let Ok(Some(read)) = family.decode_service(&message)
            && read.scheduler.is_some()
        {
            let again = sent(family.add_service(&read).ok(), |message| {
                family.decode_service(message).ok()
            });
            assert_eq!(again, Some(Some(read)));
        }
        if let Ok(Some(read)) = family.decode_daemon(&message) {
            let again = sent(family.start_daemon(&read).ok(), |message| {
                family.decode_daemon(message).ok()
            });
            assert_eq!(again, Some(Some(read)));
        }
        if let Ok(Some((read, _))) = family.decode_destination(&message) {
            let again = sent(family.add_destination(&OF, &read).ok(), |message| {
                family.decode_destination(message).ok()
            });
            assert_eq!(again.flatten().map(|(again, _)| again), Some(read));
        }
    }
}

/// The messages of a datagram; each takes a header's bytes at least.
pub(super) fn whole(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let count = messages(datagram).count();
    assert!(
        count <= datagram.len() / HEADER_BYTES + 1,
        "{count} messages"
    );
    messages(datagram).filter_map(Result::ok)
}

/// What is read of a request of ours.
fn sent<T>(request: Option<Request>, read: impl Fn(&Message<'_>) -> Option<T>) -> Option<T> {
    let bytes = request?.to_bytes(1);
    whole(&bytes).find_map(|message| read(&message))
}

/// The number of IPVS in the kernel of the captures.
static FAMILY: LazyLock<Option<Family>> = LazyLock::new(|| {
    let capture = captures("ipvs-family").pop()?;
    whole(&capture).find_map(|message| decode_family(&message).ok().flatten())
});

/// What a kernel sent and was sent: the captures of that name's beginning.
pub(super) fn captures(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netlink/captures");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
    let texts = files.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let digits = texts.map(|text| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<String>()
    });
    digits
        .filter_map(|digits| crate::corpus::bytes(&digits).ok())
        .collect()
}

/// Dumps and events of devices, addresses and routes.
pub(super) fn rtnetlink_seeds() -> Vec<Vec<u8>> {
    let names = [
        "link",
        "address",
        "route",
        "event",
        "error",
        "acknowledgement",
        "macvlan",
    ];
    names.into_iter().flat_map(captures).collect()
}

/// Dumps of services and destinations, and the family's number.
pub(super) fn ipvs_seeds() -> Vec<Vec<u8>> {
    ["ipvs", "genl"].into_iter().flat_map(captures).collect()
}
