//! Reads `[[rule]]`, and what it has in common with `[[nat]]`: the connections that are spoken of.

use super::super::reader::{Field, Reader, Table, same};
use super::super::value::{Fault, number, string, text, truth, word};
use super::value::{icmp, peer, ports, rate, side, transport};
use plan::config::Config;
use plan::config::firewall::{
    Action, ConnectionState, ConnectionsMax, Limit, Period, Rule, Side, Traffic,
};
use toml::Spanned;
use toml::de::DeValue;

const STATES: Field = Field {
    key: "state",
    name: "states",
};
const CONNECTIONS: Field = Field {
    key: "connections",
    name: "connections_max",
};
const PER_SOURCE: Field = Field {
    key: "per-source",
    name: "per_source",
};
/// As nft(8) has it.
const BURST_DEFAULT: u32 = 5;

pub(super) fn read<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Rule {
    let name = reader
        .optional(table, same("name"), string)
        .unwrap_or_default();
    let traffic = traffic(reader, table, config);
    let states = word(ConnectionState::ALL, ConnectionState::name);
    let states = reader.several(table, STATES, states);
    let limit = table.take("limit");
    let limit = limit.and_then(|value| limit_of(reader, table.path("limit"), value));
    let connections = table.take(CONNECTIONS.key);
    let path = table.path(CONNECTIONS.name);
    let connections_max = connections.and_then(|value| connections_of(reader, path, value));
    let log = log(reader, table, &name);
    let action = word(Action::ALL, Action::name);
    let action = reader.required(table, same("action"), "action = \"accept\"", action);
    Rule {
        name,
        traffic,
        states,
        limit,
        connections_max,
        log,
        action: action.unwrap_or(Action::Drop),
    }
}

/// One or several sides, which must be there; `example` says how.
pub(super) fn sides<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    key: &'static str,
    example: &str,
    config: &Config,
) -> Vec<Side> {
    if table.take(key).is_none() {
        reader.missing(table, same(key), example);
    }
    reader.several(table, same(key), side(config))
}

fn traffic<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Traffic {
    const SOURCE_PORTS: Field = Field {
        key: "source-ports",
        name: "source_ports",
    };
    Traffic {
        from: sides(reader, table, "from", "from = \"outside\"", config),
        to: sides(reader, table, "to", "to = \"inside\"", config),
        source_ports: reader.several(table, SOURCE_PORTS, ports),
        icmp: reader.several(table, same("icmp"), icmp),
        ..peers(reader, table, config)
    }
}

/// Addresses, protocols and ports; no sides.
pub(super) fn peers<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    config: &Config,
) -> Traffic {
    const PROTOCOLS: Field = Field {
        key: "protocol",
        name: "protocols",
    };
    Traffic {
        source: reader.several(table, same("source"), peer(config)),
        destination: reader.several(table, same("destination"), peer(config)),
        protocols: reader.several(table, PROTOCOLS, transport),
        ports: reader.several(table, same("ports"), ports),
        ..Traffic::default()
    }
}

/// `"10/second"`, or a table with burst and scope.
fn limit_of<'a>(
    reader: &mut Reader<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
) -> Option<Limit> {
    let of = |(count, per): (u32, Period), burst: Option<u32>, per_source| Limit {
        count,
        per,
        burst: burst.unwrap_or(BURST_DEFAULT),
        per_source,
    };
    if let DeValue::String(_) = value.get_ref() {
        let rate = reader.value(path, value, text(rate))?;
        return Some(of(rate, None, false));
    }
    let mut table = reader.table("limit", path, value)?;
    let field = Field {
        key: "rate",
        name: "count",
    };
    let rate = reader.required(&mut table, field, "rate = \"10/second\"", text(rate));
    let burst = reader.optional(&mut table, same("burst"), number(u32::MAX));
    let per_source = reader.optional(&mut table, PER_SOURCE, truth);
    reader.finish(&table);
    Some(of(rate?, burst, per_source.unwrap_or(false)))
}

/// `100`, or a table with scope.
fn connections_of<'a>(
    reader: &mut Reader<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
) -> Option<ConnectionsMax> {
    if let DeValue::Integer(_) = value.get_ref() {
        let count = reader.value(path, value, number(u32::MAX))?;
        return Some(ConnectionsMax {
            count,
            per_source: false,
        });
    }
    let mut table = reader.table("connections", path, value)?;
    let field = Field {
        key: "max",
        name: "count",
    };
    let count = reader.required(&mut table, field, "max = 100", number(u32::MAX));
    let per_source = reader.optional(&mut table, PER_SOURCE, truth);
    reader.finish(&table);
    Some(ConnectionsMax {
        count: count?,
        per_source: per_source.unwrap_or(false),
    })
}

/// `true`, or what opens the line.
fn log<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, name: &str) -> Option<String> {
    let usual = if name.is_empty() { "rule" } else { name };
    let log = reader.optional(table, same("log"), |value| match value {
        DeValue::Boolean(true) => Ok(Some(usual.to_owned())),
        DeValue::Boolean(false) => Ok(None),
        DeValue::String(text) => Ok(Some(text.to_string())),
        _ => Err(Fault::new(
            "opens no line of log",
            "write true, or the words that open the line",
        )),
    });
    log.flatten()
}
