//! Reads `[[nat]]`.

use super::super::reader::{Field, Reader, Table, same};
use super::super::value::{Fault, ip, string, text, truth, word};
use super::rule::{peers, sides};
use super::value::{addresses, ports};
use plan::config::Config;
use plan::config::firewall::{Families, PortRange, Traffic, Translation, TranslationKind};
use std::net::{IpAddr, Ipv4Addr};

/// Stands in for an address that could not be read.
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const TO: Field = Field {
    key: "translate-to",
    name: "kind",
};
const TO_PORTS: Field = Field {
    key: "translate-to-ports",
    name: "kind.ports",
};

#[derive(Clone, Copy)]
enum Kind {
    Masquerade,
    Source,
    Destination,
    OneToOne,
}

impl Kind {
    const ALL: &'static [Self] = &[
        Self::Masquerade,
        Self::Source,
        Self::Destination,
        Self::OneToOne,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Masquerade => "masquerade",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::OneToOne => "one-to-one",
        }
    }
}

pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    config: &Config,
) -> Translation {
    const KIND: Field = Field {
        key: "kind",
        name: "kind",
    };
    let name = reader
        .optional(table, same("name"), string)
        .unwrap_or_default();
    let kind = word(Kind::ALL, Kind::name);
    let kind = reader.required(table, KIND, "kind = \"masquerade\"", kind);
    let from = sides(reader, table, "from", "from = \"inside\"", config);
    let Some(kind) = kind else {
        for key in [
            "to",
            "family",
            "translate-to",
            "translate-to-ports",
            "hairpin",
            "outside",
            "inside",
        ] {
            table.take(key);
        }
        let traffic = peers(reader, table, config);
        reader.stand_in(table.path("to"));
        let kind = TranslationKind::Masquerade {
            families: Families::Ipv4,
        };
        return Translation {
            name,
            traffic,
            kind,
        };
    };
    let to = match kind {
        Kind::Destination => Vec::new(),
        _ => sides(reader, table, "to", "to = \"outside\"", config),
    };
    let rest = match kind {
        Kind::OneToOne => Traffic::default(),
        _ => peers(reader, table, config),
    };
    let kind = match kind {
        Kind::Masquerade => masquerade(reader, table),
        Kind::Source => source(reader, table),
        Kind::Destination => destination(reader, table),
        Kind::OneToOne => one_to_one(reader, table),
    };
    let traffic = Traffic { from, to, ..rest };
    Translation {
        name,
        traffic,
        kind,
    }
}

fn masquerade<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> TranslationKind {
    let families = word(Families::ALL, Families::name);
    let families = reader.optional(table, same("family"), families);
    TranslationKind::Masquerade {
        families: families.unwrap_or(Families::Ipv4),
    }
}

fn source<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> TranslationKind {
    let example = "translate-to = \"198.51.100.10\"";
    let range = text(|text| addresses(text).map(plan::config::firewall::Addresses::bounds));
    let range = reader.required(table, TO, example, range);
    let (first, last) = range.unwrap_or((NO_ADDRESS, NO_ADDRESS));
    TranslationKind::Source {
        first,
        last,
        ports: to_ports(reader, table),
    }
}

fn destination<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> TranslationKind {
    let example = "translate-to = \"10.0.0.30\"";
    let address = reader.required(table, TO, example, address());
    TranslationKind::Destination {
        address: address.unwrap_or(NO_ADDRESS),
        ports: to_ports(reader, table),
        hairpin: hairpin(reader, table),
    }
}

fn one_to_one<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> TranslationKind {
    const OUTSIDE: Field = Field {
        key: "outside",
        name: "kind.outside",
    };
    const INSIDE: Field = Field {
        key: "inside",
        name: "kind.inside",
    };
    let outside = reader.required(table, OUTSIDE, "outside = \"198.51.100.11\"", address());
    let inside = reader.required(table, INSIDE, "inside = \"10.0.0.11\"", address());
    TranslationKind::OneToOne {
        outside: outside.unwrap_or(NO_ADDRESS),
        inside: inside.unwrap_or(NO_ADDRESS),
        hairpin: hairpin(reader, table),
    }
}

fn to_ports<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Option<PortRange> {
    reader.optional(table, TO_PORTS, ports)
}

fn hairpin<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> bool {
    reader
        .optional(table, same("hairpin"), truth)
        .unwrap_or(false)
}

fn address<'i>() -> impl Fn(&toml::de::DeValue<'i>) -> Result<IpAddr, Fault> {
    text(ip)
}
