//! The console's look at all connections: those that the kernel tracks, then those that it balances, read piece by piece, a
//! few each turn, since a million of them take seconds. What is kept meanwhile is bounded: sums, the openers seen first,
//! some connections to show.

use crate::ipc::control::tables::{ConnectionLine, ConnectionQuery, ConnectionReport, Talker};
use netlink::conntrack::{Event, FlowRef, Kind, Ports, Tuple};
use netlink::ipvs::sync_message::listing::{self, Listed};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use sys::conntrack::{Dump, Progress};
use sys::netlink::Error;

/// Pieces read in one turn of the worker: some milliseconds.
const PIECES_PER_TURN: usize = 16;
/// The kernel begins anew for each page of some 60 lines: as many take some milliseconds in a large table.
const LINES_PER_TURN: usize = 128;
/// Of more the later ones are left out, and the report says so: the time that they take grows with their square.
const LINES_MAX: usize = 1 << 16;

/// Balanced connections, which the kernel does not track; absent without IPVS.
const BALANCED: &str = "/proc/net/ip_vs_conn";

/// Openers that are weighed; of more, the later ones are left out and the report says so.
const OPENERS_MAX: usize = 1 << 15;

/// Openers and connections in a report: what a screen shows.
const TALKERS_MAX: usize = 10;
const CONNECTIONS_MAX: usize = 40;

/// A look that goes on.
pub struct Census {
    /// Whom the answer is for.
    pub request: u32,
    source: Source,
    tally: Tally,
}

/// What is being read.
enum Source {
    Tracked(Dump),
    Balanced {
        lines: BufReader<File>,
        /// That were read, to a turn's.
        count: usize,
    },
}

impl Census {
    /// Begins.
    pub fn begin(request: u32, query: ConnectionQuery) -> Result<Self, Error> {
        Ok(Census {
            request,
            source: Source::Tracked(Dump::begin(Kind::Flow)?),
            tally: Tally::new(query),
        })
    }

    /// Goes on for a turn; the report once all has been seen.
    pub fn advance(&mut self) -> Result<Option<ConnectionReport>, Error> {
        let tally = &mut self.tally;
        match &mut self.source {
            Source::Tracked(dump) => {
                for _ in 0..PIECES_PER_TURN {
                    let progress = dump.step(|event| {
                        if let Event::Flow(_, flow) = event {
                            tally.take(&Seen::tracked(flow));
                        }
                    })?;
                    if progress == Progress::Done {
                        let Ok(file) = File::open(BALANCED) else {
                            return Ok(Some(tally.report()));
                        };
                        let lines = BufReader::new(file);
                        self.source = Source::Balanced { lines, count: 0 };
                        break;
                    }
                }
                Ok(None)
            }
            Source::Balanced { lines, count } => {
                *count += LINES_PER_TURN;
                let is_too_long = *count > LINES_MAX;
                tally.report.is_partial |= is_too_long;
                let is_done = is_too_long || take_lines(lines, tally);
                Ok(is_done.then(|| tally.report()))
            }
        }
    }
}

/// Reads some lines; whether they were the last ones.
fn take_lines(lines: &mut impl BufRead, tally: &mut Tally) -> bool {
    let mut line = Vec::new();
    for _ in 0..LINES_PER_TURN {
        line.clear();
        let read = lines.read_until(b'\n', &mut line);
        tally.report.is_partial |= read.is_err();
        if read.unwrap_or_default() == 0 {
            return true;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        match listing::parse(text) {
            // Persistence is no connection.
            Ok(Some(listed)) if listed.is_template() => {}
            Ok(Some(listed)) => tally.take(&Seen::balanced(&listed)),
            // The heading, and those that are not established.
            Ok(None) => {}
            Err(_) => tally.report.is_partial = true,
        }
    }
    false
}

/// A connection of either kind.
struct Seen<'a> {
    protocol: u8,
    from: End,
    to: End,
    /// Who really answers, and to whom.
    answer: [End; 2],
    is_translated: bool,
    state: Option<&'a str>,
    timeout_s: u32,
    /// Both ways; `None` where nobody counts them.
    bytes: Option<u64>,
}

type End = (IpAddr, Option<u16>);

impl<'a> Seen<'a> {
    fn tracked(flow: &'a FlowRef<'_>) -> Self {
        let counters = flow.counters.unwrap_or_default();
        let bytes = counters.iter().map(|one| one.bytes);
        Seen {
            protocol: flow.original.protocol,
            from: source(&flow.original),
            to: destination(&flow.original),
            answer: [source(&flow.reply), destination(&flow.reply)],
            is_translated: flow.is_translated(),
            state: flow.state.and_then(|state| state.name()),
            timeout_s: flow.lifetime_s(),
            bytes: Some(bytes.fold(0, u64::saturating_add)),
        }
    }

    /// The balancer counts the bytes of servers, not of connections.
    fn balanced(listed: &Listed<'_>) -> Self {
        let end = |(address, port)| (address, Some(port));
        Seen {
            protocol: listed.protocol(),
            from: end(listed.client()),
            to: end(listed.service()),
            answer: [end(listed.server()), end(listed.client())],
            is_translated: true,
            state: listed.state_name(),
            timeout_s: listed.timeout_s(),
            bytes: None,
        }
    }

    fn is_wanted(&self, query: &ConnectionQuery) -> bool {
        let [server, client] = self.answer;
        let ends = [self.from, self.to, server, client];
        query.protocol.is_none_or(|number| number == self.protocol)
            && query
                .address
                .is_none_or(|address| ends.iter().any(|end| end.0 == address))
            && query
                .port
                .is_none_or(|port| ends.iter().any(|end| end.1 == Some(port)))
    }

    fn line(&self) -> ConnectionLine {
        ConnectionLine {
            protocol: self.protocol,
            from: self.from,
            to: self.to,
            translated: self.is_translated.then_some(self.answer),
            state: self.state.map(String::from),
            timeout_s: self.timeout_s,
            bytes: self.bytes,
        }
    }
}

/// What has been seen so far.
struct Tally {
    query: ConnectionQuery,
    report: ConnectionReport,
    /// Connections by IP protocol number.
    protocols: HashMap<u8, u64>,
    openers: HashMap<IpAddr, Talker>,
}

impl Tally {
    fn new(query: ConnectionQuery) -> Self {
        Tally {
            query,
            report: ConnectionReport::default(),
            protocols: HashMap::new(),
            openers: HashMap::new(),
        }
    }

    fn take(&mut self, seen: &Seen<'_>) {
        self.report.total += 1;
        if !seen.is_wanted(&self.query) {
            return;
        }
        self.report.matching += 1;
        let bytes = seen.bytes.unwrap_or_default();
        self.report.bytes = self.report.bytes.saturating_add(bytes);
        *self.protocols.entry(seen.protocol).or_default() += 1;
        self.weigh(seen.from.0, bytes);
        if !self.query.is_all() && self.report.connections.len() < CONNECTIONS_MAX {
            self.report.connections.push(seen.line());
        }
    }

    fn weigh(&mut self, address: IpAddr, bytes: u64) {
        let has_room = self.openers.len() < OPENERS_MAX;
        if !has_room && !self.openers.contains_key(&address) {
            self.report.is_partial = true;
            return;
        }
        let talker = self.openers.entry(address).or_insert(Talker {
            address,
            connections: 0,
            bytes: 0,
        });
        talker.connections += 1;
        talker.bytes = talker.bytes.saturating_add(bytes);
    }

    fn report(&mut self) -> ConnectionReport {
        let mut report = core::mem::take(&mut self.report);
        report.protocols = self.protocols.drain().collect();
        report
            .protocols
            .sort_by_key(|&(number, count)| (core::cmp::Reverse(count), number));
        report.talkers = self.openers.drain().map(|(_, talker)| talker).collect();
        // Of what is balanced bytes are not counted.
        let weight = |talker: &Talker| (talker.connections, talker.bytes, talker.address);
        report
            .talkers
            .sort_by_key(|talker| core::cmp::Reverse(weight(talker)));
        report.talkers.truncate(TALKERS_MAX);
        report
    }
}

fn source(tuple: &Tuple) -> End {
    let port = match tuple.ports {
        Ports::Ports { source, .. } => Some(source),
        Ports::Icmp { .. } | Ports::None => None,
    };
    (tuple.source(), port)
}

fn destination(tuple: &Tuple) -> End {
    let port = match tuple.ports {
        Ports::Ports { destination, .. } => Some(destination),
        Ports::Icmp { .. } | Ports::None => None,
    };
    (tuple.destination(), port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn balanced_connections_count_and_their_templates_do_not() {
        let mut lines =
            &b"Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n\
            TCP C0000201 C350 C000020A 0050 0A00000B 1F90 ESTABLISHED     898\n\
            TCP C0000201 0000 C000020A 0050 0A00000B 1F90 ASSURED         298\n\
            TCP C0000203 C350 C000020A 0050 0A00000B 1F90 SYN_SENT         59\n\
            UDP C0000202 0FA0 C000020A 0007 0A00000C 0007 UDP             298\n"[..];
        let query = ConnectionQuery {
            address: Some("10.0.0.11".parse().unwrap()),
            ..ConnectionQuery::default()
        };
        let mut tally = Tally::new(query);
        assert!(take_lines(&mut lines, &mut tally));
        let report = tally.report();
        assert_eq!((report.total, report.matching), (2, 1));
        assert!(!report.is_partial);
        let end = |address: &str, port| (address.parse().unwrap(), Some(port));
        let line = ConnectionLine {
            protocol: 6,
            from: end("192.0.2.1", 50_000),
            to: end("192.0.2.10", 80),
            translated: Some([end("10.0.0.11", 8080), end("192.0.2.1", 50_000)]),
            state: Some("ESTABLISHED".into()),
            timeout_s: 898,
            bytes: None,
        };
        assert_eq!(report.connections, [line]);

        let mut torn = &b"TCP C0000201 C350\n"[..];
        let mut tally = Tally::new(ConnectionQuery::default());
        assert!(take_lines(&mut torn, &mut tally) && tally.report().is_partial);
    }
}
