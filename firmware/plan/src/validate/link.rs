//! Checks of heartbeat links.

use super::network::{InterfaceName, is_on_both};
use super::{LINKS_MAX, Problems, Quoted, is_repeated};
use crate::config::{Cast, Config, Link, Timing};
use crate::paths::{SYNC_PORT, udp_path};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Speeds that every 8250-compatible port has.
const BAUDS: [u32; 7] = [9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800];

/// The fast profile is no faster than this on a serial line: below it, silence means something only after more
/// than twice its dead time (`proto`, `node/silence.rs`).
const FAST_BAUD_MIN: u32 = 115_200;
/// A takeover waits for the silence of five heartbeats of 77 bytes, 8N1.
const SILENCE_BITS: u32 = 5 * 77 * 10;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let links = &config.links;
    problems.some("links", "[[link]]", links.len(), LINKS_MAX);
    for (position, link) in links.iter().enumerate() {
        match link {
            Link::Serial { tty, baud } => serial_link(links, position, tty, *baud, problems),
            Link::Udp {
                interface,
                port,
                cast,
            } => udp_link(config, position, (*interface, *port, *cast), problems),
        }
    }
}

/// Lines that are slower than the profile.
pub(super) fn weigh(config: &Config, concerns: &mut Problems) {
    if config.cluster.timing != Timing::Fast {
        return;
    }
    for (position, link) in config.links.iter().enumerate() {
        let Link::Serial { tty, baud } = link else {
            continue;
        };
        if *baud < FAST_BAUD_MIN {
            let silence_ms = (SILENCE_BITS * 1000).div_ceil(*baud);
            let fault = format!(
                "baud makes a takeover wait for {silence_ms} ms of silence on {tty}, the fast profile for 30 ms"
            );
            let advice = "write 115200 or more, or leave the default profile";
            concerns.add(format!("links[{position}].baud"), baud, &fault, advice);
        }
    }
}

fn serial_link(links: &[Link], position: usize, tty: &str, baud: u32, problems: &mut Problems) {
    let path = |field| format!("links[{position}].{field}");
    if !tty.starts_with("tty")
        || tty.len() > 15
        || !tty.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        problems.add(
            path("tty"),
            &Quoted(tty),
            "is no serial port",
            "write its name without /dev/, as \"ttyS1\"",
        );
    } else if tty == "ttyS0" {
        problems.add(
            path("tty"),
            &tty,
            "is the console",
            "write another port, as \"ttyS1\"",
        );
    }
    let ttys = links.iter().map(|link| {
        if let Link::Serial { tty, .. } = link {
            Some(tty.as_str())
        } else {
            None
        }
    });
    if is_repeated(ttys, position, &Some(tty)) {
        problems.add(path("tty"), &tty, "carries two links", "use each port once");
    }
    if !BAUDS.contains(&baud) {
        let known: Vec<String> = BAUDS.iter().map(|baud| format!("{baud}")).collect();
        problems.add(
            path("baud"),
            &baud,
            "is no usual speed",
            &format!("write one of {}", known.join(", ")),
        );
    }
}

fn udp_link(
    config: &Config,
    position: usize,
    (interface, port, cast): (u8, u16, Cast),
    problems: &mut Problems,
) {
    let path = |field| format!("links[{position}].{field}");
    problems.within(path("port"), port.into(), (1, 65_535), "");
    // Those of groups and broadcasts are bound to other addresses.
    if port == SYNC_PORT && cast == Cast::Unicast {
        problems.add(
            path("port"),
            &port,
            "is the port of state sync",
            "write another port, as 694",
        );
    }
    let sockets = config.links.iter().map(|link| {
        if let Link::Udp {
            interface, port, ..
        } = link
        {
            Some((*interface, *port))
        } else {
            None
        }
    });
    if is_repeated(sockets, position, &Some((interface, port))) {
        let fault = "is used by two links of this interface";
        problems.add(
            path("port"),
            &port,
            fault,
            "write another port for one of them",
        );
    }
    if let Cast::Multicast(group) = cast
        && !group.is_multicast()
    {
        problems.add(
            path("group"),
            &group,
            "is no multicast group",
            "write an address from 239.0.0.0 to 239.255.255.255",
        );
    }
    let name = InterfaceName(config, usize::from(interface));
    if !is_on_both(config, usize::from(interface)) {
        let fault = "is not an interface of both boxes";
        problems.add(
            path("interface"),
            &name,
            fault,
            "write an interface that both boxes have",
        );
    } else if udp_path(config, 0, position).is_none() {
        let (fault, advice) = match cast {
            Cast::Unicast => (
                "has no network in which both boxes have an own address",
                "give each box an address of the same network",
            ),
            Cast::Broadcast => (
                "has no IPv4 network with a broadcast address in which both boxes have an own address",
                "give each box an IPv4 address of the same network, or write udp = \"unicast\"",
            ),
            Cast::Multicast(_) => (
                "has no IPv4 network in which both boxes have an own address",
                "give each box an IPv4 address of the same network, or write udp = \"unicast\"",
            ),
        };
        problems.add(path("interface"), &name, fault, advice);
    }
}
