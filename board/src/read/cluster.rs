//! Reads `[cluster]`, `[[node]]` and `[console]`.

use super::reader::{Field, Reader, Table, same};
use super::value::{Fault, hex, number, string, text, truth, unknown_word, word};
use plan::config::{Cluster, Config, FailBack, LogLevel, Node, PasswordHash, Timing};
use plan::password::{ITERATIONS, derive};
use std::ops::Range;
use toml::de::DeValue;

const FAIL_BACK: Field = Field {
    key: "fail-back",
    name: "fail_back",
};
const VIRTUAL_MAC: Field = Field {
    key: "virtual-mac",
    name: "virtual_mac",
};
const LOG_LEVEL: Field = Field {
    key: "log-level",
    name: "log_level",
};
const PASSWORD_HASH: Field = Field {
    key: "password-hash",
    name: "password",
};

pub(super) fn read<'a>(reader: &mut Reader<'a>, root: &mut Table<'a>, config: &mut Config) {
    match root.take("cluster") {
        Some(value) => {
            if let Some(mut table) = reader.table("[cluster]", "cluster".to_owned(), value) {
                config.cluster = cluster(reader, &mut table);
                let virtual_mac = reader.optional(&mut table, VIRTUAL_MAC, truth);
                config.virtual_mac = virtual_mac.unwrap_or(false);
                reader.finish(&table);
            }
        }
        None => reader.missing(
            root,
            same("cluster"),
            "a section [cluster] with name and key",
        ),
    }
    nodes(reader, root, config);
}

fn cluster<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Cluster {
    let name = reader.required(table, same("name"), "name = \"dioscuri\"", string);
    let key = reader.required(
        table,
        same("key"),
        "the line that `polluxctl keygen` prints",
        text(key),
    );
    let timing = timing(reader, table);
    let fail_back = reader.optional(table, FAIL_BACK, word(FailBack::ALL, FailBack::name));
    Cluster {
        name: name.unwrap_or_default(),
        key: key.unwrap_or_default(),
        timing: timing.unwrap_or(Timing::Default),
        fail_back: fail_back.unwrap_or(FailBack::Off),
    }
}

fn key(text: &str) -> Result<[u8; 32], Fault> {
    hex(text).ok_or_else(|| {
        Fault::new(
            "is no key",
            "write the line that `polluxctl keygen` prints: 64 hexadecimal digits",
        )
    })
}

fn timing<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Option<Timing> {
    let value = table.take("timing")?;
    let path = table.path("timing");
    if let DeValue::Table(_) = value.get_ref() {
        let mut timing = reader.table("timing", path, value)?;
        let beat = Field {
            key: "beat-ms",
            name: "beat_ms",
        };
        let dead = Field {
            key: "dead-ms",
            name: "dead_ms",
        };
        let beat_ms = reader.required(&mut timing, beat, "beat-ms = 50", number(u16::MAX));
        let dead_ms = reader.required(&mut timing, dead, "dead-ms = 200", number(u16::MAX));
        reader.finish(&timing);
        return Some(Timing::Explicit {
            beat_ms: beat_ms?,
            dead_ms: dead_ms?,
        });
    }
    let named = text(|name| match name {
        "default" => Ok(Timing::Default),
        "fast" => Ok(Timing::Fast),
        _ => Err(unknown_word(
            name,
            "is no timing",
            ["default", "fast", "{ beat-ms = 50, dead-ms = 200 }"].into_iter(),
        )),
    });
    reader.value(path, value, named)
}

/// Reads the nodes in the order of their numbers, which is the config's order.
fn nodes<'a>(reader: &mut Reader<'a>, root: &mut Table<'a>, config: &mut Config) {
    let mut sections = reader.sections(root, "[[node]]", same("node"));
    sections.sort_by_key(|section| section.peek_integer("number").unwrap_or(u64::MAX));
    for (position, mut table) in sections.into_iter().enumerate() {
        table.set_path(format!("nodes[{position}]"));
        reader.place(format!("nodes[{position}]"), table.span());
        reader.place("nodes".to_owned(), table.span());
        let default_number = u8::try_from(position + 1).unwrap_or(u8::MAX);
        let name = reader.required(&mut table, same("name"), "name = \"castor\"", string);
        let number_ = reader.optional(&mut table, same("number"), number(u8::MAX));
        let priority = reader.optional(&mut table, same("priority"), number(u8::MAX));
        reader.finish(&table);
        config.nodes.push(Node {
            name: name.unwrap_or_default(),
            number: number_.unwrap_or(default_number),
            priority: priority.unwrap_or(100),
        });
    }
}

/// Reads `[console]`; answers with the place of a password in clear text and what may stand there instead.
pub(super) fn read_console<'a>(
    reader: &mut Reader<'a>,
    root: &mut Table<'a>,
    config: &mut Config,
) -> Option<(Range<usize>, String)> {
    let mut table = reader.table("[console]", "console".to_owned(), root.take("console")?)?;
    let clear = reader.optional(&mut table, same("password"), string);
    let hash = reader.optional(&mut table, PASSWORD_HASH, text(password_hash));
    let log_level = reader.optional(&mut table, LOG_LEVEL, word(LogLevel::ALL, LogLevel::name));
    reader.finish(&table);
    config.console.log_level = log_level.unwrap_or(LogLevel::Info);
    config.console.password = hash;
    let clear = clear?;
    let (_, key, value) = table.entries().find(|(key, _, _)| *key == "password")?;
    if config.console.password.is_some() {
        let message = "[console] has both `password` and `password-hash`".to_owned();
        reader.report(key.clone(), message, "keep one of them".to_owned());
    } else if let Some(fault) = unusable(&clear) {
        reader.refuse("console.password".to_owned(), value.span(), &fault);
    }
    let derived = derive(&clear, salt(&config.cluster), ITERATIONS);
    let line = format!(
        "password-hash = \"{}\"",
        plan::text::password_hash(&derived)
    );
    config.console.password = Some(derived);
    Some((key.start..value.span().end, line))
}

/// Why nobody could type it: the console takes what a serial terminal sends for a key, and no more.
fn unusable(password: &str) -> Option<Fault> {
    let is_typed = |character: char| character == ' ' || character.is_ascii_graphic();
    if password.is_empty() {
        let advice = "write one, or leave out the line: then the console asks for none";
        return Some(Fault::new("is no password", advice));
    }
    let advice = "write letters, digits, signs and spaces of ASCII only";
    (!password.chars().all(is_typed))
        .then(|| Fault::new("can't be typed on a serial console", advice))
}

/// The salt follows from the cluster's secret key, so that the same file always gives the same image: the
/// two boxes' media may be made in two runs and must agree.
fn salt(cluster: &Cluster) -> [u8; 16] {
    let secret: String = cluster
        .key
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let stretched = derive(&secret, *b"pollux: console ", 1).hash;
    stretched.first_chunk().copied().unwrap_or_default()
}

fn password_hash(text: &str) -> Result<PasswordHash, Fault> {
    let parts: Vec<&str> = text.split('$').collect();
    let parsed = match parts.as_slice() {
        ["pbkdf2-sha256", iterations, salt, hash] => {
            let bytes = iterations.parse().ok().zip(hex(salt)).zip(hex(hash));
            bytes.map(|((iterations, salt), hash)| PasswordHash {
                salt,
                iterations,
                hash,
            })
        }
        _ => None,
    };
    let advice = "write password = \"…\" in clear text; `polluxctl show` prints its hash";
    parsed.ok_or_else(|| Fault::new("is no password hash", advice))
}
