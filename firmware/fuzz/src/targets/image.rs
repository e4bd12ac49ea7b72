//! Config images: two slots as a medium holds them, or a payload behind a right header and CRC. What is
//! accepted makes a plan for both boxes that is done once it is carried out.

use crate::polluxctl::read::read;
use core::net::IpAddr;
use netlink::nftables;
use plan::config::{Config, Device as Identity, Link};
use plan::image::{Image, decode, digest, encode, newest};
use plan::kernel::Device;
use plan::{Health, desired, diff, paths, validate};

/// A config that uses everything there is.
const EVERYTHING: &str = include_str!("../../../../board/tests/round-trip/everything.toml");
const PAIR: &str = include_str!("../../../../board/examples/pair.toml");
const GUARD: &str = include_str!("../../../../board/examples/firewall.toml");

/// Slots, or by the first byte a payload.
pub(super) fn run(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else {
        return;
    };
    if kind % 2 == 1 {
        if let Some(image) = decoded(bytes) {
            plans(&image.config);
        }
        return;
    }
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let images = [one, other].map(decode);
    let choice = newest(&[one, other]);
    let valid = images.iter().flatten().map(|image| image.generation);
    assert_eq!(
        choice.newest.map(|(_, image)| image.generation),
        valid.max()
    );
}

/// The image of a payload, if it is one.
pub(super) fn decoded(payload: &[u8]) -> Option<Image> {
    // Any config's header and CRC do, once length and sum are right.
    let (config, rest) = postcard::take_from_bytes::<Config>(payload).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let image = decode(&encode(&config, 7).ok()?).ok()?;
    assert_eq!((image.digest, image.generation), (digest(&config), 7));
    assert_eq!(validate(&image.config), Ok(()));
    assert_eq!(image.config, config);
    Some(image)
}

fn plans(config: &Config) {
    let devices = devices(config);
    let health = Health::new(config);
    for node in 0..config.nodes.len() {
        let state = desired(config, node, &devices, &health);
        let bare = desired(config, node, &[], &health);
        assert_eq!(diff(&state, &state), [], "done and still to do");
        let _ = diff(&state, &bare);
        let _ = diff(&bare, &state);
        firewall(config, node, &devices);
        links(config, node);
    }
}

/// Every config that is accepted makes a ruleset that can be said to the kernel: no chain, set or map is missing, and
/// nothing is compared with what is of another kind.
fn firewall(config: &Config, node: usize, devices: &[Device]) {
    for ruleset in [
        plan::firewall::ruleset(config, node, devices),
        plan::firewall::ruleset(config, node, &[]),
        plan::firewall::closed(),
    ] {
        let batch = nftables::replace(&ruleset, &nftables::Held::default(), 1, 1);
        let refusal = batch.err().map(|error| error.to_string());
        assert_eq!(refusal, None);
    }
}

/// Every UDP link has its addresses, the same seen from both ends.
fn links(config: &Config, node: usize) {
    for (index, link) in config.links.iter().enumerate() {
        let Link::Udp { .. } = link else { continue };
        let path = |node| paths::udp_path(config, node, index);
        let ends: Option<[IpAddr; 2]> = path(node).map(|path| [path.local, path.peer]);
        assert!(ends.is_some(), "link {index} has no addresses");
        let far = path(1 - node).map(|path| [path.peer, path.local]);
        assert_eq!(ends, far, "link {index}");
    }
}

/// A device for each that the config names.
fn devices(config: &Config) -> Vec<Device> {
    let attachments = config.interfaces.iter().flat_map(|interface| &interface.on);
    let mut devices = Vec::new();
    for (attachment, index) in attachments.flatten().zip(1_u32..) {
        let (name, mac) = match &attachment.device {
            Identity::Mac(mac) => (format!("eth{index}"), *mac),
            Identity::Name(name) => (name.clone(), [0x52, 0, 0, 0, 0, 1]),
        };
        devices.push(Device {
            index,
            name,
            mac,
            permanent_mac: None,
            up: true,
            carrier: true,
            mtu_bytes: 1500,
        });
    }
    devices
}

/// Payloads of good configs, and a medium with an old and a torn slot.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let configs = [EVERYTHING, PAIR, GUARD].map(|text| read(text).config);
    let payloads = configs.iter().map(postcard::to_allocvec);
    let mut seeds: Vec<Vec<u8>> = payloads
        .filter_map(Result::ok)
        .map(|payload| [vec![1], payload].concat())
        .collect();
    for config in &configs {
        let images = [3, 4].map(|generation| encode(config, generation).unwrap_or_default());
        seeds.push([vec![0], images.concat()].concat());
    }
    seeds
}
