//! Reads the firewall: `[[zone]]`, `[[set]]`, `[[policy]]`, `[[rule]]`, `[[nat]]`, `[[helper]]`, `[firewall]` and
//! `[connections]`. Zones and sets come first, whatever their place in the file: the others name them.

mod nat;
mod rule;
mod value;

use super::network::interface_name;
use super::reader::{Field, Reader, Table, same};
use super::value::{number, string, truth, word};
use plan::config::Config;
use plan::config::firewall::{
    Action, AddressSet, Helper, HelperProtocol, Phase, Policy, Side, Zone,
};
use toml::Spanned;
use toml::de::DeValue;
use value::{addresses, side};

const ZONES: Field = Field {
    key: "zone",
    name: "firewall.zones",
};
const SETS: Field = Field {
    key: "set",
    name: "firewall.sets",
};
const POLICIES: Field = Field {
    key: "policy",
    name: "firewall.policies",
};
const RULES: Field = Field {
    key: "rule",
    name: "firewall.rules",
};
const TRANSLATIONS: Field = Field {
    key: "nat",
    name: "firewall.translations",
};
const HELPERS: Field = Field {
    key: "helper",
    name: "firewall.helpers",
};
const ANTI_SPOOFING: Field = Field {
    key: "anti-spoofing",
    name: "anti_spoofing",
};
const TIMEOUTS: Field = Field {
    key: "timeouts-s",
    name: "timeouts_s",
};

pub(super) fn read<'a>(reader: &mut Reader<'a>, root: &mut Table<'a>, config: &mut Config) {
    for mut table in reader.sections(root, "[[zone]]", ZONES) {
        let zone = zone(reader, &mut table, config);
        reader.finish(&table);
        config.firewall.zones.push(zone);
    }
    for mut table in reader.sections(root, "[[set]]", SETS) {
        let set = set(reader, &mut table);
        reader.finish(&table);
        config.firewall.sets.push(set);
    }
    for mut table in reader.sections(root, "[[policy]]", POLICIES) {
        let policy = policy(reader, &mut table, config);
        reader.finish(&table);
        config.firewall.policies.push(policy);
    }
    for mut table in reader.sections(root, "[[rule]]", RULES) {
        let rule = rule::read(reader, &mut table, config);
        reader.finish(&table);
        config.firewall.rules.push(rule);
    }
    for mut table in reader.sections(root, "[[nat]]", TRANSLATIONS) {
        let translation = nat::read(reader, &mut table, config);
        reader.finish(&table);
        config.firewall.translations.push(translation);
    }
    for mut table in reader.sections(root, "[[helper]]", HELPERS) {
        let helper = helper(reader, &mut table, config);
        reader.finish(&table);
        config.firewall.helpers.push(helper);
    }
    if let Some(value) = root.take("firewall") {
        settings(reader, value, config);
    }
    if let Some(value) = root.take("connections") {
        connections(reader, value, config);
    }
}

fn zone<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Zone {
    let name = reader.required(table, same("name"), "name = \"outside\"", string);
    let interfaces = reader.several(table, same("interfaces"), interface_name(config));
    if table.take("interfaces").is_none() {
        reader.missing(table, same("interfaces"), "interfaces = [\"wan\"]");
    }
    let anti_spoofing = reader.optional(table, ANTI_SPOOFING, truth);
    Zone {
        name: name.unwrap_or_default(),
        interfaces,
        anti_spoofing: anti_spoofing.unwrap_or(true),
    }
}

fn set<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> AddressSet {
    let name = reader.required(table, same("name"), "name = \"admins\"", string);
    let addresses = reader.several(table, same("addresses"), super::value::text(addresses));
    if table.take("addresses").is_none() {
        let example = "addresses = [\"192.0.2.7\", \"198.51.100.0/24\"]";
        reader.missing(table, same("addresses"), example);
    }
    AddressSet {
        name: name.unwrap_or_default(),
        addresses,
    }
}

fn policy<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Policy {
    let from = reader.required(table, same("from"), "from = \"inside\"", side(config));
    let to = reader.required(table, same("to"), "to = \"outside\"", side(config));
    let action = word(Action::ALL, Action::name);
    let action = reader.required(table, same("action"), "action = \"accept\"", action);
    let log = reader.optional(table, same("log"), truth);
    Policy {
        from: from.unwrap_or(Side::Any),
        to: to.unwrap_or(Side::Any),
        action: action.unwrap_or(Action::Drop),
        log: log.unwrap_or(false),
    }
}

fn helper<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Helper {
    let protocol = word(HelperProtocol::ALL, HelperProtocol::name);
    let protocol = reader.required(table, same("protocol"), "protocol = \"ftp\"", protocol);
    let protocol = protocol.unwrap_or(HelperProtocol::Ftp);
    let from = rule::sides(reader, table, "from", "from = \"inside\"", config);
    let ports = reader.several(table, same("ports"), number(u16::MAX));
    Helper {
        protocol,
        from,
        ports: if table.take("ports").is_none() {
            vec![protocol.usual_port()]
        } else {
            ports
        },
    }
}

fn settings<'a>(reader: &mut Reader<'a>, value: &'a Spanned<DeValue<'a>>, config: &mut Config) {
    const DROP_INVALID: Field = Field {
        key: "drop-invalid",
        name: "drop_invalid",
    };
    const LOG_REFUSED: Field = Field {
        key: "log-refused",
        name: "log_refused",
    };
    let Some(mut table) = reader.table("[firewall]", "firewall".to_owned(), value) else {
        return;
    };
    let drop_invalid = reader.optional(&mut table, DROP_INVALID, truth);
    config.firewall.drop_invalid = drop_invalid.unwrap_or(true);
    let log_refused = reader.optional(&mut table, LOG_REFUSED, truth);
    config.firewall.log_refused = log_refused.unwrap_or(false);
    reader.finish(&table);
}

fn connections<'a>(reader: &mut Reader<'a>, value: &'a Spanned<DeValue<'a>>, config: &mut Config) {
    let path = "firewall.connections".to_owned();
    let Some(mut table) = reader.table("[connections]", path, value) else {
        return;
    };
    config.firewall.connections.max = reader.optional(&mut table, same("max"), number(u32::MAX));
    if let Some(value) = table.take(TIMEOUTS.key) {
        let path = table.path(TIMEOUTS.name);
        if let Some(mut timeouts) = reader.table("timeouts-s", path, value) {
            for &phase in Phase::ALL {
                let field = same(phase.name());
                if let Some(seconds) = reader.optional(&mut timeouts, field, number(u32::MAX)) {
                    config
                        .firewall
                        .connections
                        .timeouts_s
                        .push((phase, seconds));
                }
            }
            reader.finish(&timeouts);
        }
    }
    reader.finish(&table);
}
