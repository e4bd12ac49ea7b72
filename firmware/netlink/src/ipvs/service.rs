//! IPVS_CMD_ATTR_SERVICE: what names a virtual service, and how it schedules.

use super::Attribute;
use super::attributes::{CommandAttribute, ServiceAttribute};
use crate::attribute::{Payloads, address_of, generic_attribute, nest};
use crate::error::{DecodeError, EncodeError};
use neli::genl::Nlattr;
use neli::types::{Buffer, GenlBuffer};
use plan::config::{Endpoint, Protocol, Scheduler};
use plan::kernel::{Service, ServiceKey};
use std::net::IpAddr;

/// IP_VS_SVC_F_PERSISTENT.
const PERSISTENT: u32 = 1 << 0;

/// IP_VS_SVC_F_SCHED1, which sh and mh take for "pass over servers of weight 0".
const SCHEDULE_FALLBACK: u32 = 1 << 3;

/// All flags are ours to set and clear; the kernel keeps IP_VS_SVC_F_HASHED to itself.
const FLAGS_MASK: u32 = u32::MAX;

/// AF_INET and AF_INET6 of linux/socket.h.
const FAMILY_V4: u16 = 2;
const FAMILY_V6: u16 = 10;

/// IPPROTO_TCP and IPPROTO_UDP of linux/in.h.
const PROTOCOLS: [(Protocol, u16); 2] = [(Protocol::Tcp, 6), (Protocol::Udp, 17)];

/// Names of net/netfilter/ipvs/ip_vs_*.c.
const SCHEDULERS: [(Scheduler, &str); 6] = [
    (Scheduler::Rr, "rr"),
    (Scheduler::Wrr, "wrr"),
    (Scheduler::Lc, "lc"),
    (Scheduler::Wlc, "wlc"),
    (Scheduler::Sh, "sh"),
    (Scheduler::Mh, "mh"),
];

type Encoded = Result<Nlattr<ServiceAttribute, Buffer>, EncodeError>;

/// What the kernel finds a service by.
pub(super) fn key(key: &ServiceKey) -> Result<Attribute, EncodeError> {
    nest(CommandAttribute::Service, identity(key))
}

/// All that NEW_SERVICE and SET_SERVICE want.
pub(super) fn full(service: &Service) -> Result<Attribute, EncodeError> {
    let name = SCHEDULERS
        .iter()
        .find(|(scheduler, _)| Some(*scheduler) == service.scheduler);
    let (_, name) = name.ok_or(EncodeError("an unknown scheduler"))?;
    let persistent = if service.persistence_s.is_some() {
        PERSISTENT
    } else {
        0
    };
    let fallback = if service.schedule_fallback {
        SCHEDULE_FALLBACK
    } else {
        0
    };
    let rest = [
        generic_attribute(ServiceAttribute::Scheduler, *name),
        generic_attribute(ServiceAttribute::Flags, flags(persistent | fallback)),
        generic_attribute(
            ServiceAttribute::Timeout,
            service.persistence_s.unwrap_or(0),
        ),
        generic_attribute(ServiceAttribute::Netmask, host_netmask(&service.key)),
    ];
    nest(
        CommandAttribute::Service,
        identity(&service.key).into_iter().chain(rest),
    )
}

fn identity(key: &ServiceKey) -> [Encoded; 4] {
    let protocol = PROTOCOLS
        .iter()
        .find(|(protocol, _)| *protocol == key.protocol);
    let protocol = protocol.map_or(0, |(_, number)| *number);
    [
        generic_attribute(ServiceAttribute::Family, family(key.endpoint.address)),
        generic_attribute(ServiceAttribute::Protocol, protocol),
        generic_attribute(
            ServiceAttribute::Address,
            inet_address(key.endpoint.address),
        ),
        generic_attribute(ServiceAttribute::Port, key.endpoint.port.to_be_bytes()),
    ]
}

/// `struct ip_vs_flags`: the flags, and which of them are meant.
fn flags(flags: u32) -> [u8; 8] {
    let [a, b, c, d] = flags.to_ne_bytes();
    let [e, f, g, h] = FLAGS_MASK.to_ne_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Persistence counts each client for itself: all 32 bits of an IPv4 address, as a mask in network
/// order, or all 128 of an IPv6 address, as a number in host order.
fn host_netmask(key: &ServiceKey) -> u32 {
    if key.endpoint.address.is_ipv4() {
        u32::MAX
    } else {
        128
    }
}

pub(super) fn family(address: IpAddr) -> u16 {
    if address.is_ipv4() {
        FAMILY_V4
    } else {
        FAMILY_V6
    }
}

/// `union nf_inet_addr`: always 16 bytes, an IPv4 address in the first four.
pub(super) fn inet_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address in a `union nf_inet_addr`.
pub(super) fn inet_address_of(family: u16, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        FAMILY_V4 => address_of(bytes.get(..4)?),
        FAMILY_V6 => address_of(bytes.get(..16)?),
        _ => None,
    }
}

pub(super) fn decode(
    body: &GenlBuffer<CommandAttribute, Buffer>,
) -> Result<Option<Service>, DecodeError> {
    let bad = DecodeError("virtual service");
    let outer = body.get_attr_handle();
    let service = outer.get_nested_attributes::<ServiceAttribute>(CommandAttribute::Service);
    let service = service.map_err(|_| bad)?;
    if service.bytes(ServiceAttribute::Fwmark).is_some() {
        return Ok(None);
    }
    let number = service.u16(ServiceAttribute::Protocol).ok_or(bad)?;
    let Some((protocol, _)) = PROTOCOLS.iter().find(|(_, known)| *known == number) else {
        return Ok(None);
    };
    let family = service.u16(ServiceAttribute::Family).ok_or(bad)?;
    let address = service.bytes(ServiceAttribute::Address).ok_or(bad)?;
    let endpoint = Endpoint {
        address: inet_address_of(family, address).ok_or(bad)?,
        port: service.u16_be(ServiceAttribute::Port).ok_or(bad)?,
    };
    let name = service.text(ServiceAttribute::Scheduler).ok_or(bad)?;
    let flags = service
        .bytes(ServiceAttribute::Flags)
        .and_then(<[u8]>::first_chunk::<4>);
    let flags = flags.map(|flags| u32::from_ne_bytes(*flags)).ok_or(bad)?;
    let timeout_s = service.u32(ServiceAttribute::Timeout).ok_or(bad)?;
    Ok(Some(Service {
        key: ServiceKey {
            protocol: *protocol,
            endpoint,
        },
        scheduler: SCHEDULERS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(known, _)| *known),
        schedule_fallback: flags & SCHEDULE_FALLBACK != 0,
        persistence_s: (flags & PERSISTENT != 0).then_some(timeout_s),
        destinations: Vec::new(),
    }))
}
