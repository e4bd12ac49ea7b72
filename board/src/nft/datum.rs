//! Constants and their kinds.

use plan::ruleset::{
    AddressType, ConnectionStates, ConnectionStatus, Datum, Direction, Kind, PacketType, TcpFlags,
};

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 => "ipv4_addr",
        Kind::Ipv6 => "ipv6_addr",
        Kind::Mac => "ether_addr",
        Kind::EtherType => "ether_type",
        Kind::Protocol => "inet_proto",
        Kind::Port => "inet_service",
        Kind::IcmpType => "icmp_type",
        Kind::Icmpv6Type => "icmpv6_type",
        Kind::Mark => "mark",
        Kind::Interface => "ifname",
        Kind::InterfaceIndex => "iface_index",
        Kind::NfProtocol => "nf_proto",
        Kind::States => "ct_state",
        Kind::Status => "ct_status",
        Kind::Direction => "ct_dir",
        Kind::TcpFlags => "tcp_flag",
        Kind::AddressType => "fib_addrtype",
        Kind::PacketType => "pkt_type",
        Kind::ArpOperation => "arp_op",
        Kind::Bool => "boolean",
        Kind::Number8 | Kind::Number16 | Kind::Number32 | Kind::Zone => "integer",
    }
}

pub(super) fn datum(datum: &Datum) -> String {
    match datum {
        Datum::Ipv4(address) => address.to_string(),
        Datum::Ipv6(address) => address.to_string(),
        Datum::Mac(mac) => mac.map(|byte| format!("{byte:02x}")).join(":"),
        Datum::EtherType(number) => format!("0x{number:04x}"),
        Datum::Protocol(number) | Datum::NfProtocol(number) => number.to_string(),
        Datum::IcmpType(number) | Datum::Icmpv6Type(number) | Datum::Number8(number) => {
            number.to_string()
        }
        Datum::Port(number) | Datum::ArpOperation(number) => number.to_string(),
        Datum::Number16(number) | Datum::Zone(number) => number.to_string(),
        Datum::Mark(mark) => format!("0x{mark:08x}"),
        Datum::Interface(name) => format!("\"{}\"", name.as_str()),
        Datum::InterfaceIndex(number) | Datum::Number32(number) => number.to_string(),
        Datum::States(states) => self::states(*states),
        Datum::Status(status) => self::status(*status),
        Datum::Direction(Direction::Original) => "original".to_owned(),
        Datum::Direction(Direction::Reply) => "reply".to_owned(),
        Datum::TcpFlags(flags) => self::flags(*flags),
        Datum::AddressType(kind) => address_type(*kind).to_owned(),
        Datum::PacketType(kind) => packet_type(*kind).to_owned(),
        Datum::Bool(truth) => if *truth { "exists" } else { "missing" }.to_owned(),
    }
}

fn states(states: ConnectionStates) -> String {
    let names = [
        (ConnectionStates::INVALID, "invalid"),
        (ConnectionStates::ESTABLISHED, "established"),
        (ConnectionStates::RELATED, "related"),
        (ConnectionStates::NEW, "new"),
        (ConnectionStates::UNTRACKED, "untracked"),
    ];
    bits(
        states.bits(),
        names.map(|(state, name)| (state.bits(), name)),
    )
}

fn status(status: ConnectionStatus) -> String {
    let names = [
        (ConnectionStatus::EXPECTED, "expected"),
        (ConnectionStatus::SEEN_REPLY, "seen-reply"),
        (ConnectionStatus::ASSURED, "assured"),
        (ConnectionStatus::CONFIRMED, "confirmed"),
        (ConnectionStatus::SOURCE_NAT, "snat"),
        (ConnectionStatus::DESTINATION_NAT, "dnat"),
    ];
    bits(
        status.bits(),
        names.map(|(state, name)| (state.bits(), name)),
    )
}

fn flags(flags: TcpFlags) -> String {
    let names = [
        (TcpFlags::FIN, "fin"),
        (TcpFlags::SYN, "syn"),
        (TcpFlags::RST, "rst"),
        (TcpFlags::PSH, "psh"),
        (TcpFlags::ACK, "ack"),
        (TcpFlags::URG, "urg"),
    ];
    let all = u32::from(flags.bits());
    bits(all, names.map(|(flag, name)| (flag.bits().into(), name)))
}

/// The names of the bits that are set.
fn bits<const COUNT: usize>(bits: u32, names: [(u32, &str); COUNT]) -> String {
    let set = names.iter().filter(|(bit, _)| bits & bit != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

fn address_type(kind: AddressType) -> &'static str {
    match kind {
        AddressType::Unicast => "unicast",
        AddressType::Local => "local",
        AddressType::Broadcast => "broadcast",
        AddressType::Multicast => "multicast",
        AddressType::Anycast => "anycast",
        AddressType::Blackhole => "blackhole",
        AddressType::Unreachable => "unreachable",
        AddressType::Prohibit => "prohibit",
    }
}

fn packet_type(kind: PacketType) -> &'static str {
    match kind {
        PacketType::Host => "host",
        PacketType::Broadcast => "broadcast",
        PacketType::Multicast => "multicast",
        PacketType::Other => "other",
    }
}
