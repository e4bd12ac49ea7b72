//! The console's look at all connections: read from the kernel piece by piece, a few each turn, since a million of
//! them take seconds. What is kept meanwhile is bounded: sums, the openers seen first, some connections to show.

use crate::ipc::control::tables::{ConnectionLine, ConnectionQuery, ConnectionReport, Talker};
use netlink::conntrack::{Event, FlowRef, Kind, Ports, Tuple};
use std::collections::HashMap;
use std::net::IpAddr;
use sys::conntrack::{Dump, Progress};
use sys::netlink::Error;

/// Pieces read in one turn of the worker: some milliseconds.
const PIECES_PER_TURN: usize = 16;

/// Openers that are weighed; of more, the later ones are left out and the report says so.
const OPENERS_MAX: usize = 1 << 15;

/// Openers and connections in a report: what a screen shows.
const TALKERS_MAX: usize = 10;
const CONNECTIONS_MAX: usize = 40;

/// A look that goes on.
pub struct Census {
    /// Whom the answer is for.
    pub request: u32,
    dump: Dump,
    tally: Tally,
}

impl Census {
    /// Begins.
    pub fn begin(request: u32, query: ConnectionQuery) -> Result<Self, Error> {
        Ok(Census {
            request,
            dump: Dump::begin(Kind::Flow)?,
            tally: Tally::new(query),
        })
    }

    /// Goes on for a turn; the report once all has been seen.
    pub fn advance(&mut self) -> Result<Option<ConnectionReport>, Error> {
        for _ in 0..PIECES_PER_TURN {
            let tally = &mut self.tally;
            let progress = self.dump.step(|event| {
                if let Event::Flow(_, flow) = event {
                    tally.take(flow);
                }
            })?;
            if progress == Progress::Done {
                return Ok(Some(tally.report()));
            }
        }
        Ok(None)
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

    fn take(&mut self, flow: &FlowRef<'_>) {
        self.report.total += 1;
        if !is_wanted(&self.query, flow) {
            return;
        }
        let counters = flow.counters.unwrap_or_default();
        let bytes = counters
            .iter()
            .fold(0_u64, |sum, one| sum.saturating_add(one.bytes));
        self.report.matching += 1;
        self.report.bytes = self.report.bytes.saturating_add(bytes);
        *self.protocols.entry(flow.original.protocol).or_default() += 1;
        self.weigh(flow.original.source(), bytes);
        if !self.query.is_all() && self.report.connections.len() < CONNECTIONS_MAX {
            self.report.connections.push(line(flow, bytes));
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
        let weight = |talker: &Talker| (talker.bytes, talker.connections, talker.address);
        report
            .talkers
            .sort_by_key(|talker| core::cmp::Reverse(weight(talker)));
        report.talkers.truncate(TALKERS_MAX);
        report
    }
}

fn is_wanted(query: &ConnectionQuery, flow: &FlowRef<'_>) -> bool {
    let ends = [flow.original, flow.reply].map(|tuple| [source(&tuple), destination(&tuple)]);
    let any = |wanted: &dyn Fn(&End) -> bool| ends.iter().flatten().any(wanted);
    query
        .protocol
        .is_none_or(|number| number == flow.original.protocol)
        && query
            .address
            .is_none_or(|address| any(&|end| end.0 == address))
        && query
            .port
            .is_none_or(|port| any(&|end| end.1 == Some(port)))
}

type End = (IpAddr, Option<u16>);

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

fn line(flow: &FlowRef<'_>, bytes: u64) -> ConnectionLine {
    let answer = [source(&flow.reply), destination(&flow.reply)];
    ConnectionLine {
        protocol: flow.original.protocol,
        from: source(&flow.original),
        to: destination(&flow.original),
        translated: flow.is_translated().then_some(answer),
        state: flow.state.and_then(|state| state.name()).map(String::from),
        timeout_s: flow.lifetime_s(),
        bytes,
    }
}
