//! The words by which enums of the config are written, in the config file, on the console and (schedulers)
//! in the kernel. One table each, so that reading and writing cannot disagree.

use crate::config::firewall::{
    Action, ConnectionState, Families, HelperProtocol, IcmpKind, Period, Phase,
};
use crate::config::{FailBack, Forwarding, LogLevel, OnFailure, Protocol, Scheduler};

macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order in which help texts list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word it is written as.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value that `name` stands for.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}

names!(FailBack { Off = "off", Auto = "auto" });
names!(Protocol { Tcp = "tcp", Udp = "udp" });
names!(Scheduler { Rr = "rr", Wrr = "wrr", Lc = "lc", Wlc = "wlc", Sh = "sh", Mh = "mh" });
names!(Forwarding { Nat = "nat", Direct = "direct", Tunnel = "tunnel" });
names!(OnFailure { Quiesce = "quiesce", Remove = "remove" });
names!(LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug" });
names!(Action { Accept = "accept", Drop = "drop", Reject = "reject" });
names!(Families { Ipv4 = "ipv4", Ipv6 = "ipv6", Both = "both" });
names!(HelperProtocol { Ftp = "ftp", Sip = "sip", Tftp = "tftp" });
names!(Period { Second = "second", Minute = "minute", Hour = "hour", Day = "day" });
names!(ConnectionState {
    New = "new",
    Established = "established",
    Related = "related",
    Invalid = "invalid",
    Untracked = "untracked",
});
names!(IcmpKind {
    EchoRequest = "echo-request",
    EchoReply = "echo-reply",
    DestinationUnreachable = "destination-unreachable",
    PacketTooBig = "packet-too-big",
    TimeExceeded = "time-exceeded",
    ParameterProblem = "parameter-problem",
    Redirect = "redirect",
    RouterSolicitation = "router-solicitation",
    RouterAdvertisement = "router-advertisement",
    TimestampRequest = "timestamp-request",
});
names!(Phase {
    TcpSynSent = "tcp-syn-sent",
    TcpSynReceived = "tcp-syn-received",
    TcpEstablished = "tcp-established",
    TcpFinWait = "tcp-fin-wait",
    TcpCloseWait = "tcp-close-wait",
    TcpLastAck = "tcp-last-ack",
    TcpTimeWait = "tcp-time-wait",
    TcpClose = "tcp-close",
    TcpMaxRetransmissions = "tcp-max-retransmissions",
    TcpUnacknowledged = "tcp-unacknowledged",
    Udp = "udp",
    UdpStream = "udp-stream",
    Icmp = "icmp",
    Icmpv6 = "icmpv6",
    SctpEstablished = "sctp-established",
    Gre = "gre",
    GreStream = "gre-stream",
    Generic = "generic",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_value() {
        for &scheduler in Scheduler::ALL {
            assert_eq!(Scheduler::from_name(scheduler.name()), Some(scheduler));
        }
        assert_eq!(Scheduler::from_name("WLC"), None);
        assert_eq!(Forwarding::from_name("tunnel"), Some(Forwarding::Tunnel));
    }
}
