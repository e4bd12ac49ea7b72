//! Reads `[[interface]]`, `[[route]]`, `[[virtual-address]]` and `[[link]]`.

use super::reader::{Field, Reader, Table, same};
use super::value::{Fault, ip, mac, number, prefix, string, text, unknown_word, word};
use plan::config::{
    Attachment, Cast, Config, Device, Interface, Link, Prefix, Route, VirtualAddress,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use toml::Spanned;
use toml::de::DeValue;

/// Heartbeat port (IANA: ha-cluster).
const PORT_DEFAULT: u16 = 694;
/// Heartbeat group: of the block that stays inside an organisation (RFC 2365).
const GROUP_DEFAULT: Ipv4Addr = Ipv4Addr::new(239, 192, 6, 94);
const BAUD_DEFAULT: u32 = 115_200;

pub(super) fn read<'a>(reader: &mut Reader<'a>, root: &mut Table<'a>, config: &mut Config) {
    for mut table in reader.sections(
        root,
        "[[interface]]",
        Field {
            key: "interface",
            name: "interfaces",
        },
    ) {
        let interface = interface(reader, &mut table, config);
        reader.finish(&table);
        config.interfaces.push(interface);
    }
    for mut table in reader.sections(
        root,
        "[[route]]",
        Field {
            key: "route",
            name: "routes",
        },
    ) {
        let route = route(reader, &mut table, config);
        reader.finish(&table);
        config.routes.push(route);
    }
    for mut table in reader.sections(
        root,
        "[[virtual-address]]",
        Field {
            key: "virtual-address",
            name: "virtual_addresses",
        },
    ) {
        let example = "address = \"198.51.100.10/24\"";
        let prefix = reader.required(
            &mut table,
            Field {
                key: "address",
                name: "prefix",
            },
            example,
            text(prefix),
        );
        let interface = reader.required(
            &mut table,
            same("interface"),
            "interface = \"wan\"",
            interface_name(config),
        );
        reader.finish(&table);
        config.virtual_addresses.push(VirtualAddress {
            prefix: prefix.unwrap_or(NO_PREFIX),
            interface: interface.unwrap_or(0),
        });
    }
    for mut table in reader.sections(
        root,
        "[[link]]",
        Field {
            key: "link",
            name: "links",
        },
    ) {
        let link = link(reader, &mut table, config);
        reader.finish(&table);
        config.links.push(link);
    }
}

/// Stands in for a prefix that could not be read.
const NO_PREFIX: Prefix = Prefix {
    address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    length: 0,
};

/// The position of an interface by its name.
pub(super) fn interface_name<'c, 'i>(
    config: &'c Config,
) -> impl Fn(&DeValue<'i>) -> Result<u8, Fault> + use<'c, 'i> {
    text(move |name| {
        let names = config
            .interfaces
            .iter()
            .map(|interface| interface.name.as_str());
        let position = names.clone().position(|known| known == name);
        let position = position.and_then(|position| u8::try_from(position).ok());
        position.ok_or_else(|| unknown_word(name, "is no interface", names))
    })
}

fn interface<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Interface {
    let name = reader.required(table, same("name"), "name = \"wan\"", string);
    let mtu_bytes = reader.optional(
        table,
        Field {
            key: "mtu",
            name: "mtu_bytes",
        },
        number(u16::MAX),
    );
    let mut on = vec![None; config.nodes.len()];
    let example = "on.castor = { mac = \"52:54:00:00:01:01\", addresses = [\"198.51.100.2/24\"] }";
    match table.take("on") {
        Some(value) => {
            if let Some(nodes) = reader.table("on", table.path("on"), value) {
                attachments(reader, &nodes, config, &mut on);
            }
        }
        None => reader.missing(table, same("on"), example),
    }
    Interface {
        name: name.unwrap_or_default(),
        mtu_bytes,
        on,
    }
}

fn attachments<'a>(
    reader: &mut Reader<'a>,
    nodes: &Table<'a>,
    config: &Config,
    on: &mut [Option<Attachment>],
) {
    for (name, span, value) in nodes.entries() {
        let position = config.node_index(name);
        let Some((position, slot)) =
            position.and_then(|position| Some((position, on.get_mut(position)?)))
        else {
            let names = config.nodes.iter().map(|node| node.name.as_str());
            let advice = unknown_word(name, "", names).advice.replace('"', "`");
            reader.report(span, format!("`{name}` is no node"), advice);
            continue;
        };
        let path = nodes.path("").trim_end_matches('.').to_owned() + &format!("[{position}]");
        if let Some(mut table) = reader.table("the attachment", path, value) {
            *slot = Some(attachment(reader, &mut table));
            reader.finish(&table);
        }
    }
}

fn attachment<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Attachment {
    let by_mac = reader.optional(
        table,
        Field {
            key: "mac",
            name: "device",
        },
        text(|text| mac(text).map(Device::Mac)),
    );
    let has_mac = table.take("mac").is_some();
    let by_name = reader.optional(table, same("device"), |value| {
        string(value).map(Device::Name)
    });
    let has_name = table.take("device").is_some();
    if has_mac && has_name {
        let message = "the attachment has both `mac` and `device`".to_owned();
        reader.report(table.span(), message, "keep one of them".to_owned());
    } else if !has_mac && !has_name {
        reader.missing(
            table,
            Field {
                key: "mac",
                name: "device",
            },
            "mac = \"52:54:00:00:01:01\" or device = \"eth0\"",
        );
    }
    let elements = reader.elements(table, same("addresses"));
    let addresses = elements
        .into_iter()
        .filter_map(|(path, value)| reader.value(path, value, text(prefix)))
        .collect();
    Attachment {
        device: by_mac
            .or(by_name)
            .unwrap_or(Device::Name("eth0".to_owned())),
        addresses,
    }
}

fn route<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Route {
    let via = reader.required(table, same("via"), "via = \"198.51.100.1\"", text(ip));
    let destination = text(|to| match (to, via) {
        ("default", Some(IpAddr::V6(_))) => Ok(Prefix {
            address: Ipv6Addr::UNSPECIFIED.into(),
            length: 0,
        }),
        ("default", _) => Ok(NO_PREFIX),
        _ => prefix(to).map_err(|fault| Fault {
            advice: format!("{}, or \"default\"", fault.advice),
            ..fault
        }),
    });
    let to = reader.required(table, same("to"), "to = \"default\"", destination);
    let interface = reader.optional(table, same("interface"), interface_name(config));
    Route {
        to: to.unwrap_or(NO_PREFIX),
        via: via.unwrap_or(NO_PREFIX.address),
        interface,
    }
}

#[derive(Clone, Copy)]
enum CastWord {
    Unicast,
    Broadcast,
    Multicast,
}

fn link<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, config: &Config) -> Link {
    let serial = table.take("serial");
    let udp = table.take("udp");
    match (serial, udp) {
        (Some(tty), None) => serial_link(reader, table, tty),
        (None, Some(cast)) => udp_link(reader, table, cast, config),
        _ => {
            for key in ["baud", "interface", "port", "group"] {
                table.take(key);
            }
            let example = "serial = \"ttyS1\", or udp = \"unicast\"";
            if serial.is_some() {
                let message = "[[link]] has both `serial` and `udp`".to_owned();
                reader.report(
                    table.span(),
                    message,
                    "write a [[link]] for each".to_owned(),
                );
                reader.stand_in(table.path("tty"));
            } else {
                reader.missing(
                    table,
                    Field {
                        key: "serial",
                        name: "tty",
                    },
                    example,
                );
            }
            Link::Serial {
                tty: "ttyS1".to_owned(),
                baud: BAUD_DEFAULT,
            }
        }
    }
}

fn serial_link<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    tty: &Spanned<DeValue<'a>>,
) -> Link {
    let tty = reader.value(table.path("tty"), tty, string);
    let baud = reader.optional(table, same("baud"), number(u32::MAX));
    Link::Serial {
        tty: tty.unwrap_or_default(),
        baud: baud.unwrap_or(BAUD_DEFAULT),
    }
}

fn udp_link<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    cast: &Spanned<DeValue<'a>>,
    config: &Config,
) -> Link {
    const ALL: &[CastWord] = &[CastWord::Unicast, CastWord::Broadcast, CastWord::Multicast];
    let name = |cast| match cast {
        CastWord::Unicast => "unicast",
        CastWord::Broadcast => "broadcast",
        CastWord::Multicast => "multicast",
    };
    let cast = match reader.value(table.path("cast"), cast, word(ALL, name)) {
        None | Some(CastWord::Unicast) => Cast::Unicast,
        Some(CastWord::Broadcast) => Cast::Broadcast,
        Some(CastWord::Multicast) => {
            let wrong = || {
                Fault::new(
                    "is no IPv4 multicast group",
                    format!("write one such as \"{GROUP_DEFAULT}\""),
                )
            };
            let group = reader.optional(
                table,
                same("group"),
                text(|text| text.parse().map_err(|_| wrong())),
            );
            Cast::Multicast(group.unwrap_or(GROUP_DEFAULT))
        }
    };
    let interface = reader.required(
        table,
        same("interface"),
        "interface = \"sync\"",
        interface_name(config),
    );
    let port = reader.optional(table, same("port"), number(u16::MAX));
    Link::Udp {
        interface: interface.unwrap_or(0),
        port: port.unwrap_or(PORT_DEFAULT),
        cast,
    }
}
