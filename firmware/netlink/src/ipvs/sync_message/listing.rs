//! Lines of /proc/net/ip_vs_conn (`ip_vs_conn_seq_show` of net/netfilter/ipvs/ip_vs_conn.c). They lack three
//! things that an entry has: the forwarding method, which the services of the same kernel tell (the caller
//! looks it up), the firewall mark, which none of our services has, and adjusted sequence numbers.

use super::entry::{INACTIVE, NO_OUTPUT, TEMPLATE, TUNNEL};
use super::{Addresses, Engine, Entry};
use core::fmt;
use core::str::FromStr;
use plan::config::Forwarding;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPPROTO_TCP, IPPROTO_UDP and IPPROTO_SCTP as `ip_vs_proto_name` calls them; IP, for templates of firewall
/// marks, is not among them, since no service of ours has a mark.
const PROTOCOLS: [(&str, u8); 3] = [("TCP", TCP), ("UDP", 17), ("SCTP", SCTP)];
const TCP: u8 = 6;
const SCTP: u8 = 132;

/// IP_VS_TCP_S_SYN_RECV: the server has answered the client's SYN.
const SYN_RECV: u16 = 3;

/// States in which the kernel itself tells of a connection (`ip_vs_sync_conn_needed`), by name and number, and the one
/// before them.
const TCP_STATES: [(&str, u16); 6] = [
    ("ESTABLISHED", 1),
    ("SYN_RECV", SYN_RECV),
    ("FIN_WAIT", 4),
    ("TIME_WAIT", 5),
    ("CLOSE", 6),
    ("CLOSE_WAIT", 7),
];
const SCTP_STATES: [(&str, u16); 5] = [
    ("ESTABLISHED", 8),
    ("S-SENT", 9),
    ("S-RECEIVED", 10),
    ("S-ACK-SENT", 11),
    ("CLOSED", 13),
];
const TEMPLATE_STATES: [(&str, u16); 2] = [("NONE", 0), ("ASSURED", 1)];

/// IP_VS_CONN_F_MASQ, _TUNNEL and _DROUTE; what does not come back through this box has IP_VS_CONN_F_NOOUTPUT.
const NAT: u32 = 0;
const TUNNELLED: u32 = TUNNEL | NO_OUTPUT;
const DIRECT: u32 = 3 | NO_OUTPUT;

/// A line is not one of /proc/net/ip_vs_conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingError(&'static str);

impl fmt::Display for ListingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading a line of /proc/net/ip_vs_conn: bad {}", self.0)
    }
}

impl std::error::Error for ListingError {}

/// A line: an entry that lacks its forwarding method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    entry: Entry<'a>,
}

/// Reads a line, without its end; `None` for the heading, for protocols that IPVS has no states for, and for
/// connections that are not established yet: their first packet comes again.
///
/// # Errors
/// Anything else.
pub fn parse(line: &[u8]) -> Result<Option<Listed<'_>>, ListingError> {
    let mut rest = line;
    let name = word(&mut rest).ok_or(ListingError("protocol"))?;
    let Some((_, protocol)) = PROTOCOLS.iter().find(|(known, _)| *known == name) else {
        return Ok(None);
    };
    let client = word(&mut rest).and_then(address);
    let client_port = word(&mut rest).and_then(port);
    let service = word(&mut rest).and_then(address);
    let service_port = word(&mut rest).and_then(port);
    let server = word(&mut rest).and_then(address);
    let server_port = word(&mut rest).and_then(port);
    let state = word(&mut rest).ok_or(ListingError("state"))?;
    let remaining_s = word(&mut rest).and_then(|word| u32::from_str(word).ok());
    let client_port = client_port.ok_or(ListingError("port"))?;
    let Some((state, flags)) = state_and_flags(*protocol, client_port, state) else {
        return Ok(None);
    };
    let entry = Entry {
        protocol: *protocol,
        flags,
        state,
        client_port,
        service_port: service_port.ok_or(ListingError("port"))?,
        server_port: server_port.ok_or(ListingError("port"))?,
        mark: 0,
        // 0 would be the protocol's own.
        timeout_s: remaining_s.ok_or(ListingError("time"))?.max(1),
        addresses: addresses(client, service, server).ok_or(ListingError("address"))?,
        sequences: None,
        engine: engine(rest),
    };
    Ok(Some(Listed { entry }))
}

impl<'a> Listed<'a> {
    /// IPPROTO_*.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.entry.protocol
    }

    /// Address and port of the client; port 0 for a template.
    #[must_use]
    pub fn client(&self) -> (IpAddr, u16) {
        self.entry.client()
    }

    /// The kernel's word for its state; a connection of UDP has none.
    #[must_use]
    pub fn state_name(&self) -> Option<&'static str> {
        let states: &[_] = match self.entry.protocol {
            _ if self.is_template() => &TEMPLATE_STATES,
            TCP => &TCP_STATES,
            SCTP => &SCTP_STATES,
            _ => &[],
        };
        let known = states.iter().find(|(_, state)| *state == self.entry.state);
        known.map(|(name, _)| *name)
    }

    /// Seconds that it is remembered without another packet.
    #[must_use]
    pub fn timeout_s(&self) -> u32 {
        self.entry.timeout_s
    }

    /// Address and port of the virtual service.
    #[must_use]
    pub fn service(&self) -> (IpAddr, u16) {
        self.entry.service()
    }

    /// Address and port of the real server.
    #[must_use]
    pub fn server(&self) -> (IpAddr, u16) {
        self.entry.server()
    }

    /// Whether it is a persistence template.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.entry.is_template()
    }

    /// Whether it is a connection of TCP whose client has still to answer the server's SYN. The kernel does not tell of
    /// these by itself.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        self.entry.protocol == TCP && self.entry.state == SYN_RECV && !self.is_template()
    }

    /// The entry, its packets forwarded in that way; its timeout is what remains of it.
    #[must_use]
    pub fn entry(self, forwarding: Forwarding) -> Entry<'a> {
        let method = match forwarding {
            Forwarding::Nat => NAT,
            Forwarding::Tunnel => TUNNELLED,
            Forwarding::Direct => DIRECT,
        };
        Entry {
            flags: self.entry.flags | method,
            ..self.entry
        }
    }
}

/// The next word of a line, of printable ASCII as all of these are.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let begin = rest.iter().position(|byte| *byte != b' ')?;
    let text = rest.get(begin..)?;
    let end = text.iter().position(|byte| *byte == b' ');
    let (word, after) = text.split_at_checked(end.unwrap_or(text.len()))?;
    *rest = after;
    core::str::from_utf8(word).ok()
}

/// Eight digits, or an IPv6 address that leaves nothing out.
fn address(word: &str) -> Option<IpAddr> {
    if word.contains(':') {
        return Ipv6Addr::from_str(word).ok().map(IpAddr::V6);
    }
    let bits = hexadecimal(word, 8)?;
    Some(Ipv4Addr::from_bits(bits).into())
}

fn port(word: &str) -> Option<u16> {
    hexadecimal(word, 4).and_then(|port| u16::try_from(port).ok())
}

fn hexadecimal(word: &str, digits: usize) -> Option<u32> {
    let is_plain = word.len() == digits && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain
        .then(|| u32::from_str_radix(word, 16).ok())
        .flatten()
}

/// A template has no client port, and states of its own; only a connection of TCP that waits for FTP data has
/// none, either, and that one is in a state that is not told of.
fn state_and_flags(protocol: u8, client_port: u16, name: &str) -> Option<(u16, u32)> {
    let find = |states: &[(&str, u16)]| {
        let found = states.iter().find(|(known, _)| *known == name);
        found.map(|(_, state)| *state)
    };
    if client_port == 0 {
        return find(&TEMPLATE_STATES).map(|state| (state, TEMPLATE | INACTIVE));
    }
    let state = match protocol {
        TCP => find(&TCP_STATES)?,
        SCTP => find(&SCTP_STATES)?,
        // UDP has but one.
        _ => 0,
    };
    let is_active = name == "ESTABLISHED";
    Some((state, if is_active { 0 } else { INACTIVE }))
}

fn addresses(
    client: Option<IpAddr>,
    service: Option<IpAddr>,
    server: Option<IpAddr>,
) -> Option<Addresses> {
    match (client?, service?, server?) {
        (IpAddr::V4(client), IpAddr::V4(service), IpAddr::V4(server)) => Some(Addresses::V4 {
            client,
            service,
            server,
        }),
        (IpAddr::V6(client), IpAddr::V6(service), IpAddr::V6(server)) => Some(Addresses::V6 {
            client,
            service,
            server,
        }),
        // A tunnel to a server of the other family: sync daemons do not run where there is one.
        _ => None,
    }
}

/// ` sip 1234@192.0.2.1`: name and data.
fn engine(rest: &[u8]) -> Option<Engine<'_>> {
    let rest = rest.strip_prefix(b" ")?;
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let engine = Engine {
        name: rest.get(..space)?,
        data: rest.get(space + 1..)?,
    };
    engine.is_possible().then_some(engine)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_heading_and_what_is_not_established_are_passed_over() {
        for line in [
            "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData",
            "TCP C0000201 C350 C000020A 0050 0A00000B 1F90 SYN_SENT         59",
            "TCP C0000201 0000 C000020A 0014 0A00000B 0014 LISTEN          119",
            "IP  C0000201 0000 00000001 0000 0A00000B 0000 NONE             59",
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(None), "{line}");
        }
    }

    /// As linux 6.12 writes them.
    #[test]
    fn lines_of_a_kernel_are_read() {
        let read = |line: &'static str| parse(line.as_bytes()).unwrap().unwrap();
        let v6 = "TCP 2001:0db8:0000:0000:0000:0000:0000:0001 ED44 \
                  2001:0db8:0000:0000:0000:0000:0000:0010 0050 \
                  fd00:0000:0000:0000:0000:0000:0000:0011 0050 ESTABLISHED     898";
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let v6 = read(v6);
        assert_eq!(v6.service(), (address("2001:db8::10"), 80));
        assert_eq!(v6.server(), (address("fd00::11"), 80));
        assert_eq!(v6.client(), (address("2001:db8::1"), 60_740));
        assert_eq!(
            (v6.state_name(), v6.timeout_s()),
            (Some("ESTABLISHED"), 898)
        );
        let v6_is_half_open = v6.is_half_open();
        let direct = v6.entry(Forwarding::Direct);
        assert_eq!(
            (direct.flags, direct.state, direct.timeout_s),
            (0x83, 1, 898)
        );
        let half_open = "TCP C0000201 C350 C000020A 0050 0A00000B 1F90 SYN_RECV         59";
        assert!(read(half_open).is_half_open() && !v6_is_half_open);
        let line = "TCP C0000201 0000 C000020A 0051 0A00000C 0051 ASSURED         298";
        let template = read(line).entry(Forwarding::Nat);
        assert!(template.is_template() && template.state == 1);
        let line = "UDP C0000201 0FA0 C000020A 0007 0A00000B 0007 UDP             298";
        let tunnel = read(line).entry(Forwarding::Tunnel);
        assert_eq!((tunnel.protocol, tunnel.flags), (17, 0x182));
        let line =
            "UDP C0000201 0000 C000020A 13C4 0A00000B 13C4 NONE            358 sip 1@192.0.2.1";
        let engine = read(line).entry(Forwarding::Nat).engine.unwrap();
        assert_eq!(
            (engine.name, engine.data),
            (&b"sip"[..], &b"1@192.0.2.1"[..])
        );
    }

    #[test]
    fn what_is_not_a_line_is_an_error() {
        for (line, what) in [
            ("", "protocol"),
            ("TCP C0000201", "state"),
            (
                "TCP C000020 C350 C000020A 0050 0A00000B 1F90 CLOSE 9",
                "address",
            ),
            (
                "TCP C0000201 C350 C000020A 0050 0A00000B 1F90 CLOSE -9",
                "time",
            ),
            (
                "TCP C0000201 C350 C000020A 00050 0A00000B 1F90 CLOSE 9",
                "port",
            ),
            (
                "TCP +0000201 C350 C000020A 0050 0A00000B 1F90 CLOSE 9",
                "address",
            ),
            (
                "TCP 1::1 C350 C000020A 0050 0A00000B 1F90 CLOSE 9",
                "address",
            ),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(ListingError(what)), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_connection_of_tcp_is_read(client: u32, service: u32, server: u32, ports: [u16; 3], left_s: u32) {
            prop_assume!(ports[0] != 0);
            let [client_port, service_port, server_port] = ports;
            let line = format!(
                "TCP {client:08X} {client_port:04X} {service:08X} {service_port:04X} \
                 {server:08X} {server_port:04X} ESTABLISHED {left_s:7}"
            );
            let entry = parse(line.as_bytes()).unwrap().unwrap().entry(Forwarding::Nat);
            let addresses = Addresses::V4 {
                client: Ipv4Addr::from_bits(client),
                service: Ipv4Addr::from_bits(service),
                server: Ipv4Addr::from_bits(server),
            };
            let ports = (entry.client_port, entry.service_port, entry.server_port);
            prop_assert_eq!((entry.addresses, entry.timeout_s), (addresses, left_s.max(1)));
            prop_assert_eq!(ports, (client_port, service_port, server_port));
            prop_assert_eq!((entry.flags, entry.state), (0, 1));
        }
    }
}
