//! The cable between the kernel's sync daemons and us, and the daemons. It carries nothing else: no IPv6, and of IPv4
//! the one address that a master needs as its source.

use super::{Error, SYNC_ID};
use netlink::ipvs::Family;
use netlink::ipvs::daemon::{Daemon, DaemonRole};
use netlink::ipvs::sync_message::nudge;
use netlink::{address, link};
use plan::config::Prefix;
use plan::kernel::{Address, Device};
use std::fs;
use std::net::Ipv4Addr;
use sys::netlink::{Netlink, Protocol};

/// The daemons' end, and ours.
pub(super) const INNER: &str = "ipvs0";
pub(super) const OUTER: &str = "ipvs1";

/// The dummy address of RFC 7600, of which no router knows. Without one the master would take an address of another
/// device for its own, and fall silent when that one goes.
const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// What we know it by.
pub(super) struct Cable {
    /// Index of our end.
    pub(super) outer: u32,
    /// Hardware address of the daemons' end.
    pub(super) inner_mac: [u8; 6],
}

/// Makes it, or finds it as a worker before this one left it.
pub(super) fn lay() -> Result<Cable, Error> {
    let mut route = Netlink::open(Protocol::Route)?;
    let mut devices = route.dump(&link::dump()?, link::decode)?;
    if find(&devices, INNER).is_none() {
        route.execute(&link::add_veth(INNER, OUTER)?)?;
        devices = route.dump(&link::dump()?, link::decode)?;
    }
    let ends = (find(&devices, INNER), find(&devices, OUTER));
    let (Some(inner), Some(outer)) = ends else {
        return Err(Error::Cable);
    };
    for name in [INNER, OUTER] {
        // A kernel without IPv6 has no such setting.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    }
    for end in [outer, inner] {
        route.execute(&link::set_up(end.index, None)?)?;
    }
    route.execute(&address::add(&source_on(inner.index))?)?;
    Ok(Cable {
        outer: outer.index,
        inner_mac: inner.mac,
    })
}

/// Ends the daemons and takes the cable away, where they are there and ours; says whether they were.
pub(super) fn take_away(balancer: Option<(&mut Netlink, Family)>) -> Result<bool, Error> {
    let mut route = Netlink::open(Protocol::Route)?;
    let devices = route.dump(&link::dump()?, link::decode)?;
    let (Some(inner), Some(_)) = (find(&devices, INNER), find(&devices, OUTER)) else {
        return Ok(false);
    };
    // Others' devices may have these names, but not with this address.
    let addresses = route.dump(&address::dump()?, address::decode)?;
    if !addresses.contains(&source_on(inner.index)) {
        return Ok(false);
    }
    if let Some((generic, family)) = balancer {
        let decode = |message: &netlink::Message<'_>| family.decode_daemon(message);
        let running = generic.dump(&family.dump_daemons()?, decode)?;
        for daemon in running.iter().filter(|daemon| daemon.interface == INNER) {
            generic.execute(&family.stop_daemon(daemon.role)?)?;
        }
    }
    // The other end goes with it.
    route.execute(&link::delete(inner.index)?)?;
    Ok(true)
}

fn source_on(index: u32) -> Address {
    Address {
        index,
        prefix: Prefix {
            address: SOURCE.into(),
            length: 32,
        },
    }
}

fn find<'a>(devices: &'a [Device], name: &str) -> Option<&'a Device> {
    devices.iter().find(|device| device.name == name)
}

/// Starts those that do not run; a master with other messages than ours is started anew.
pub(super) fn start_daemons(generic: &mut Netlink, family: Family) -> Result<(), Error> {
    let decode = |message: &netlink::Message<'_>| family.decode_daemon(message);
    let running = generic.dump(&family.dump_daemons()?, decode)?;
    if let Some(other) = running.iter().find(|daemon| daemon.interface != INNER) {
        return Err(Error::Taken(other.interface.clone()));
    }
    for wanted in [daemon(DaemonRole::Backup), daemon(DaemonRole::Master)] {
        let runs = running.iter().find(|daemon| daemon.role == wanted.role);
        let is_ours = |daemon: &Daemon| {
            daemon.sync_id == wanted.sync_id
                && wanted
                    .message_bytes_max
                    .is_none_or(|bytes| daemon.message_bytes_max == Some(bytes))
        };
        if runs.is_some_and(is_ours) {
            continue;
        }
        if runs.is_some() {
            generic.execute(&family.stop_daemon(wanted.role)?)?;
        }
        generic.execute(&family.start_daemon(&wanted)?)?;
    }
    Ok(())
}

/// As the kernel chooses, but for a master's messages.
fn daemon(role: DaemonRole) -> Daemon {
    Daemon {
        role,
        interface: INNER.into(),
        sync_id: SYNC_ID,
        message_bytes_max: match role {
            DaemonRole::Master => Some(nudge::MESSAGE_BYTES_MAX),
            DaemonRole::Backup => None,
        },
        group: None,
        port: None,
        ttl: None,
    }
}
