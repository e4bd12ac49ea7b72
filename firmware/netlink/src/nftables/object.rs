//! Named objects to messages, and the contents that they share with statements of the same name.

use super::Kind;
use super::batch::{Draft, family_number};
use super::refusal::Place;
use super::writer::Writer;
use neli::consts::nl::NlmF;
use plan::ruleset::{
    Burst, Family, HelperProtocol, Limit, LimitUnit, Object, ObjectContent, ObjectKind, Per,
    Synproxy, Table, TcpPhase, Timeouts, UdpPhase,
};

/// NFTA_OBJ_*.
const TABLE: u16 = 1;
const NAME: u16 = 2;
const TYPE: u16 = 3;
const DATA: u16 = 4;

/// NFTA_CT_HELPER_*.
const HELPER_NAME: u16 = 1;
const HELPER_FAMILY: u16 = 2;
const HELPER_PROTOCOL: u16 = 3;

/// NFTA_CT_TIMEOUT_*.
const TIMEOUT_FAMILY: u16 = 1;
const TIMEOUT_PROTOCOL: u16 = 2;
const TIMEOUT_DATA: u16 = 3;

/// NFTA_LIMIT_*.
const LIMIT_RATE: u16 = 1;
const LIMIT_UNIT_S: u16 = 2;
const LIMIT_BURST: u16 = 3;
const LIMIT_TYPE: u16 = 4;
const LIMIT_FLAGS: u16 = 5;

/// NFTA_SYNPROXY_* and NF_SYNPROXY_OPT_* of linux/netfilter/nf_synproxy.h.
const SYNPROXY_SEGMENT: u16 = 1;
const SYNPROXY_SCALE: u16 = 2;
const SYNPROXY_FLAGS: u16 = 3;
const WITH_SEGMENT: u32 = 1;
const WITH_SCALE: u32 = 2;
const WITH_SELECTIVE_ACKS: u32 = 4;
const WITH_TIMESTAMPS: u32 = 8;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// nft's burst of packets where none is said.
const USUAL_BURST_PACKETS: u32 = 5;

/// NFT_OBJECT_*.
pub(super) const fn object_number(kind: ObjectKind) -> u32 {
    match kind {
        ObjectKind::Counter => 1,
        ObjectKind::Helper => 3,
        ObjectKind::Limit => 4,
        ObjectKind::Timeouts => 7,
        ObjectKind::Synproxy => 10,
    }
}

/// An object.
pub(super) fn add(draft: &mut Draft<'_>, place: Place, table: &Table, object: &Object) {
    let family = table.family;
    draft.message(Kind::NewObject, NlmF::CREATE, family, place, |writer| {
        writer.text(TABLE, &table.name);
        writer.text(NAME, &object.name);
        writer.u32(TYPE, object_number(object.content.kind()));
        writer.nest(DATA, |writer| match &object.content {
            ObjectContent::Counter => {}
            ObjectContent::Limit(limit) => write_limit(writer, limit),
            ObjectContent::Helper(helper) => write_helper(writer, family, helper.protocol),
            ObjectContent::Timeouts(timeouts) => write_timeouts(writer, family, timeouts),
            ObjectContent::Synproxy(synproxy) => write_synproxy(writer, synproxy),
        });
    });
}

fn write_helper(writer: &mut Writer, family: Family, protocol: HelperProtocol) {
    let (name, transport) = match protocol {
        HelperProtocol::Ftp => ("ftp", TCP),
        HelperProtocol::SipUdp => ("sip", UDP),
        HelperProtocol::SipTcp => ("sip", TCP),
        HelperProtocol::Tftp => ("tftp", UDP),
        HelperProtocol::Pptp => ("pptp", TCP),
    };
    writer.text(HELPER_NAME, name);
    writer.u16(HELPER_FAMILY, family_number(family).into());
    writer.u8(HELPER_PROTOCOL, transport);
}

fn write_timeouts(writer: &mut Writer, family: Family, timeouts: &Timeouts) {
    writer.u16(TIMEOUT_FAMILY, family_number(family).into());
    match timeouts {
        Timeouts::Tcp(phases) => {
            writer.u8(TIMEOUT_PROTOCOL, TCP);
            writer.nest(TIMEOUT_DATA, |writer| {
                for (phase, timeout_s) in phases {
                    writer.u32(tcp_phase_number(*phase), *timeout_s);
                }
            });
        }
        Timeouts::Udp(phases) => {
            writer.u8(TIMEOUT_PROTOCOL, UDP);
            writer.nest(TIMEOUT_DATA, |writer| {
                for (phase, timeout_s) in phases {
                    writer.u32(udp_phase_number(*phase), *timeout_s);
                }
            });
        }
    }
}

/// CTA_TIMEOUT_TCP_* of linux/netfilter/nfnetlink_cttimeout.h.
const fn tcp_phase_number(phase: TcpPhase) -> u16 {
    match phase {
        TcpPhase::SynSent => 1,
        TcpPhase::SynReceived => 2,
        TcpPhase::Established => 3,
        TcpPhase::FinWait => 4,
        TcpPhase::CloseWait => 5,
        TcpPhase::LastAck => 6,
        TcpPhase::TimeWait => 7,
        TcpPhase::Close => 8,
    }
}

/// CTA_TIMEOUT_UDP_*.
const fn udp_phase_number(phase: UdpPhase) -> u16 {
    match phase {
        UdpPhase::Unreplied => 1,
        UdpPhase::Replied => 2,
    }
}

/// A limit, as object and as statement.
pub(super) fn write_limit(writer: &mut Writer, limit: &Limit) {
    let unit_s: u64 = match limit.per {
        Per::Second => 1,
        Per::Minute => 60,
        Per::Hour => 3_600,
        Per::Day => 86_400,
        Per::Week => 604_800,
    };
    let (unit, usual_burst) = match limit.unit {
        LimitUnit::Packets => (0, USUAL_BURST_PACKETS),
        LimitUnit::Bytes => (1, 0),
    };
    let burst = match limit.burst {
        Burst::Usual => usual_burst,
        Burst::Of(burst) => burst,
    };
    writer.u64(LIMIT_RATE, limit.rate.get().into());
    writer.u64(LIMIT_UNIT_S, unit_s);
    writer.u32(LIMIT_BURST, burst);
    writer.u32(LIMIT_TYPE, unit);
    writer.u32(LIMIT_FLAGS, u32::from(limit.above));
}

/// A SYN proxy, as object and as statement.
pub(super) fn write_synproxy(writer: &mut Writer, synproxy: &Synproxy) {
    let mut flags = WITH_SEGMENT;
    writer.u16(SYNPROXY_SEGMENT, synproxy.segment_bytes_max);
    if let Some(scale) = synproxy.window_scale {
        writer.u8(SYNPROXY_SCALE, scale);
        flags |= WITH_SCALE;
    }
    if synproxy.has_selective_acks {
        flags |= WITH_SELECTIVE_ACKS;
    }
    if synproxy.has_timestamps {
        flags |= WITH_TIMESTAMPS;
    }
    writer.u32(SYNPROXY_FLAGS, flags);
}
