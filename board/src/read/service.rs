//! Reads `[[service]]`.

use super::reader::{Field, Reader, Table, same};
use super::value::{Fault, endpoint, number, string, text, unknown_word, word};
use plan::config::{
    Check, CheckKind, Config, Endpoint, Forwarding, OnFailure, Protocol, RealServer, Scheduler,
    Service,
};
use std::net::{IpAddr, Ipv4Addr};
use toml::Spanned;
use toml::de::DeValue;

/// Stands in for an endpoint that could not be read.
const NO_ENDPOINT: Endpoint = Endpoint {
    address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    port: 0,
};
const CHECK_DEFAULT: Check = Check {
    kind: CheckKind::Tcp { port: None },
    interval_ms: 1000,
    timeout_ms: 1000,
    failures_to_down: 3,
    successes_to_up: 2,
};

pub(super) fn read<'a>(reader: &mut Reader<'a>, root: &mut Table<'a>, config: &mut Config) {
    for mut table in reader.sections(
        root,
        "[[service]]",
        Field {
            key: "service",
            name: "services",
        },
    ) {
        let service = service(reader, &mut table);
        reader.finish(&table);
        config.services.push(service);
    }
}

const PERSISTENCE: Field = Field {
    key: "persistence-s",
    name: "persistence_s",
};
const ON_FAILURE: Field = Field {
    key: "on-failure",
    name: "on_failure",
};

fn service<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Service {
    let with_port = text(|text| endpoint(text, None));
    let example = "address = \"198.51.100.10:80\"";
    let address = reader.required(table, same("address"), example, with_port);
    let port = address.map(|address| address.port);
    let fallback = reader.optional(table, same("fallback"), text(|text| endpoint(text, port)));
    let servers = servers(reader, table, port);
    let Endpoint { address, port } = address.unwrap_or(NO_ENDPOINT);
    Service {
        address,
        port,
        fallback,
        servers,
        ..behaviour(reader, table)
    }
}

/// All but the addresses, which stay empty.
fn behaviour<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Service {
    let protocol = word(Protocol::ALL, Protocol::name);
    let protocol = reader.optional(table, same("protocol"), protocol);
    let protocol = protocol.unwrap_or(Protocol::Tcp);
    let scheduler = word(Scheduler::ALL, Scheduler::name);
    let scheduler = reader.optional(table, same("scheduler"), scheduler);
    let forwarding = word(Forwarding::ALL, Forwarding::name);
    let forwarding = reader.optional(table, same("forwarding"), forwarding);
    let on_failure = word(OnFailure::ALL, OnFailure::name);
    let on_failure = reader.optional(table, ON_FAILURE, on_failure);
    let check_default = match protocol {
        Protocol::Tcp => CHECK_DEFAULT,
        Protocol::Udp => Check::NONE,
    };
    let check = table
        .take("check")
        .and_then(|value| check(reader, table.path("check"), value));
    Service {
        address: NO_ENDPOINT.address,
        port: NO_ENDPOINT.port,
        protocol,
        scheduler: scheduler.unwrap_or(Scheduler::Wlc),
        forwarding: forwarding.unwrap_or(Forwarding::Nat),
        persistence_s: reader.optional(table, PERSISTENCE, number(u32::MAX)),
        on_failure: on_failure.unwrap_or(OnFailure::Quiesce),
        check: check.unwrap_or(check_default),
        fallback: None,
        servers: Vec::new(),
    }
}

fn servers<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    port: Option<u16>,
) -> Vec<RealServer> {
    let elements = reader.elements(table, same("servers"));
    elements
        .into_iter()
        .map(|(path, value)| server(reader, path, value, port))
        .collect()
}

/// A server as `{ address, weight, connections-max }`, or as its address alone.
fn server<'a>(
    reader: &mut Reader<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
    port: Option<u16>,
) -> RealServer {
    let address = text(move |text| endpoint(text, port));
    if let DeValue::String(_) = value.get_ref() {
        let endpoint = reader.value(path + ".endpoint", value, address);
        return RealServer {
            endpoint: endpoint.unwrap_or(NO_ENDPOINT),
            weight: 1,
            connections_max: None,
        };
    }
    let (mut endpoint, mut weight, mut connections_max) = (None, None, None);
    if let Some(mut table) = reader.table("the server", path, value) {
        let field = Field {
            key: "address",
            name: "endpoint",
        };
        endpoint = reader.required(&mut table, field, "address = \"10.0.0.21:80\"", address);
        weight = reader.optional(&mut table, same("weight"), number(u16::MAX));
        let field = Field {
            key: "connections-max",
            name: "connections_max",
        };
        connections_max = reader.optional(&mut table, field, number(u32::MAX));
        reader.finish(&table);
    }
    RealServer {
        endpoint: endpoint.unwrap_or(NO_ENDPOINT),
        weight: weight.unwrap_or(1),
        connections_max,
    }
}

fn check<'a>(
    reader: &mut Reader<'a>,
    path: String,
    value: &'a Spanned<DeValue<'a>>,
) -> Option<Check> {
    if let DeValue::Table(_) = value.get_ref() {
        let mut table = reader.table("check", path, value)?;
        let check = check_table(reader, &mut table);
        reader.finish(&table);
        return Some(check);
    }
    let named = text(|name| match name {
        "none" => Ok(Check::NONE),
        "tcp" => Ok(CHECK_DEFAULT),
        _ => Err(unknown_word(
            name,
            "is no check",
            ["none", "tcp", "{ http = \"/\" }"].into_iter(),
        )),
    });
    reader.value(path, value, named)
}

fn check_table<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Check {
    let kind = check_kind(reader, table);
    let mut timed = |key, name, default: u32| {
        reader
            .optional(table, Field { key, name }, number(u32::MAX))
            .unwrap_or(default)
    };
    let interval_ms = timed("interval-ms", "interval_ms", CHECK_DEFAULT.interval_ms);
    let timeout_ms = CHECK_DEFAULT.timeout_ms.min(interval_ms);
    let timeout_ms = timed("timeout-ms", "timeout_ms", timeout_ms);
    let mut counted = |key, name, default: u8| {
        reader
            .optional(table, Field { key, name }, number(u8::MAX))
            .unwrap_or(default)
    };
    let failures = CHECK_DEFAULT.failures_to_down;
    let failures_to_down = counted("failures", "failures_to_down", failures);
    let successes = CHECK_DEFAULT.successes_to_up;
    let successes_to_up = counted("successes", "successes_to_up", successes);
    Check {
        kind,
        interval_ms,
        timeout_ms,
        failures_to_down,
        successes_to_up,
    }
}

/// What is asked of a server: `http` or `tcp`, and what goes with it.
fn check_kind<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> CheckKind {
    let http = Field {
        key: "http",
        name: "path",
    };
    let path = reader.optional(table, http, string);
    reader.optional(table, same("tcp"), |value| match value {
        DeValue::Boolean(true) => Ok(()),
        _ => Err(Fault::new(
            "is no choice",
            "write tcp = true, or check = \"none\"",
        )),
    });
    let port = reader.optional(table, same("port"), number(u16::MAX));
    let (has_http, has_tcp) = (table.take("http").is_some(), table.take("tcp").is_some());
    let kind = if has_http {
        let host = reader.optional(table, same("host"), string);
        let status = reader.optional(table, same("status"), number(u16::MAX));
        CheckKind::Http {
            port,
            path: path.unwrap_or_else(|| "/".to_owned()),
            host,
            status: status.unwrap_or(200),
        }
    } else {
        CheckKind::Tcp { port }
    };
    if has_http == has_tcp {
        let message = if has_http {
            "check has both `http` and `tcp`"
        } else {
            "check has neither `http` nor `tcp`"
        };
        reader.report(
            table.span(),
            message.to_owned(),
            "write http = \"/health\" or tcp = true".to_owned(),
        );
    }
    kind
}
