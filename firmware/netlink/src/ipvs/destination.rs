//! IPVS_CMD_ATTR_DEST: a real server of a virtual service, and what the kernel counts for it.

use super::Attribute;
use super::attributes::{CommandAttribute, DestinationAttribute, StatsAttribute};
use super::service::{family, inet_address, inet_address_of};
use crate::attribute::{Payloads, generic_attribute, nest};
use crate::error::{DecodeError, EncodeError};
use neli::genl::{GenlAttrHandle, Nlattr};
use neli::types::{Buffer, GenlBuffer};
use plan::config::{Endpoint, Forwarding};
use plan::kernel::{Destination, DestinationCounters, Thresholds};

/// IP_VS_CONN_F_MASQ, _TUNNEL and _DROUTE.
const METHODS: [(Forwarding, u32); 3] = [
    (Forwarding::Nat, 0),
    (Forwarding::Tunnel, 2),
    (Forwarding::Direct, 3),
];

/// IP_VS_CONN_F_FWD_MASK.
const METHOD_MASK: u32 = 7;

type Encoded = Result<Nlattr<DestinationAttribute, Buffer>, EncodeError>;

/// What the kernel finds a destination by.
pub(super) fn key(endpoint: &Endpoint) -> Result<Attribute, EncodeError> {
    nest(CommandAttribute::Dest, identity(endpoint))
}

/// All that NEW_DEST and SET_DEST want; tunnels are IP-in-IP, the default.
pub(super) fn full(destination: &Destination) -> Result<Attribute, EncodeError> {
    let method = METHODS
        .iter()
        .find(|(known, _)| *known == destination.forwarding);
    let Thresholds { upper, lower } = destination.thresholds;
    let rest = [
        generic_attribute(
            DestinationAttribute::Forwarding,
            method.map_or(0, |(_, n)| *n),
        ),
        generic_attribute(DestinationAttribute::Weight, u32::from(destination.weight)),
        generic_attribute(DestinationAttribute::UpperThreshold, upper),
        generic_attribute(DestinationAttribute::LowerThreshold, lower),
    ];
    nest(
        CommandAttribute::Dest,
        identity(&destination.endpoint).into_iter().chain(rest),
    )
}

fn identity(endpoint: &Endpoint) -> [Encoded; 3] {
    [
        generic_attribute(DestinationAttribute::Family, family(endpoint.address)),
        generic_attribute(
            DestinationAttribute::Address,
            inet_address(endpoint.address),
        ),
        generic_attribute(DestinationAttribute::Port, endpoint.port.to_be_bytes()),
    ]
}

pub(super) fn decode(
    body: &GenlBuffer<CommandAttribute, Buffer>,
) -> Result<(Destination, DestinationCounters), DecodeError> {
    let bad = DecodeError("real server");
    let outer = body.get_attr_handle();
    let dest = outer.get_nested_attributes::<DestinationAttribute>(CommandAttribute::Dest);
    let dest = dest.map_err(|_| bad)?;
    let family = dest.u16(DestinationAttribute::Family).ok_or(bad)?;
    let address = dest.bytes(DestinationAttribute::Address).ok_or(bad)?;
    let method = dest.u32(DestinationAttribute::Forwarding).ok_or(bad)? & METHOD_MASK;
    let method = METHODS.iter().find(|(_, number)| *number == method);
    let weight = dest.u32(DestinationAttribute::Weight).ok_or(bad)?;
    let threshold = |attribute| dest.u32(attribute).unwrap_or(0);
    let destination = Destination {
        endpoint: Endpoint {
            address: inet_address_of(family, address).ok_or(bad)?,
            port: dest.u16_be(DestinationAttribute::Port).ok_or(bad)?,
        },
        // Local delivery and bypass are set by nobody here; both leave the packet as it is, as direct
        // routing does.
        forwarding: method.map_or(Forwarding::Direct, |(forwarding, _)| *forwarding),
        // Ours fit 16 bits; a stranger's heavier one is as heavy as can be.
        weight: u16::try_from(weight).unwrap_or(u16::MAX),
        thresholds: Thresholds {
            upper: threshold(DestinationAttribute::UpperThreshold),
            lower: threshold(DestinationAttribute::LowerThreshold),
        },
    };
    let counters = DestinationCounters {
        active_connections: dest
            .u32(DestinationAttribute::ActiveConnections)
            .unwrap_or(0),
        inactive_connections: dest
            .u32(DestinationAttribute::InactiveConnections)
            .unwrap_or(0),
        connections_total: total(&dest, StatsAttribute::Connections),
        packets_in_total: total(&dest, StatsAttribute::PacketsIn),
        bytes_in_total: total(&dest, StatsAttribute::BytesIn),
        bytes_out_total: total(&dest, StatsAttribute::BytesOut),
    };
    Ok((destination, counters))
}

/// All in 64 bits, or some in 32 from kernels before 4.1; 0 where there is none.
fn total(dest: &GenlAttrHandle<'_, DestinationAttribute>, counter: StatsAttribute) -> u64 {
    let stats = |kind| dest.get_nested_attributes::<StatsAttribute>(kind).ok();
    let stats = stats(DestinationAttribute::Stats64).or_else(|| stats(DestinationAttribute::Stats));
    let bytes = stats.as_ref().and_then(|stats| stats.bytes(counter));
    let wide = bytes.and_then(|bytes| bytes.try_into().ok().map(u64::from_ne_bytes));
    let narrow = || bytes.and_then(|bytes| bytes.try_into().ok().map(u32::from_ne_bytes));
    wide.or_else(|| narrow().map(u64::from)).unwrap_or(0)
}
