//! A connection as a key and a value: the key is what the kernel finds it by, the value all else but its timeout.
//! The same connection in the same state always gives the same bytes, whichever kernel told of it.

use super::bytes::{Pen, Scan};
use super::entry::{
    INACTIVE, METHOD_MASK, NO_CLIENT_PORT, NO_OUTPUT, SEQUENCES, Sequences, TEMPLATE,
};
use super::{Addresses, Engine, Entry};
use core::fmt;

/// The longest key: kind, protocol, ports, two IPv6 addresses, hash of a persistence engine's data.
pub const KEY_BYTES_MAX: usize = 1 + 1 + 4 + 32 + 8;

/// The longest value: what is there, flags, state, port, IPv6 address, mark, sequence numbers, engine.
pub const VALUE_BYTES_MAX: usize = 1 + 2 + 2 + 2 + 16 + 4 + size_of::<Sequences>() + 1 + 16 + 255;

/// Bits of a key's first byte.
const KEY_V6: u8 = 1;
const KEY_TEMPLATE: u8 = 2;
const KEY_ENGINE: u8 = 4;

/// Bits of a value's first byte.
const VALUE_MARK: u8 = 1;
const VALUE_SEQUENCES: u8 = 2;
const VALUE_ENGINE: u8 = 4;

/// IP_VS_CONN_F_BACKUP_MASK: the others are each kernel's own.
const FLAGS_MASK: u32 = METHOD_MASK | NO_OUTPUT | INACTIVE | SEQUENCES | NO_CLIENT_PORT | TEMPLATE;

/// A record is not one of `Record::of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordError;

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reading the record of an IPVS connection: not as this version writes it")
    }
}

impl std::error::Error for RecordError {}

/// Key and value, in place.
#[derive(Debug, Clone)]
pub struct Record {
    bytes: [u8; KEY_BYTES_MAX + VALUE_BYTES_MAX],
    key_bytes: usize,
    end: usize,
}

impl Record {
    /// Of an entry; `None` where a persistence engine's name or data is longer than the kernel lets it be.
    #[must_use]
    pub fn of(entry: &Entry<'_>) -> Option<Self> {
        let mut record = Record {
            bytes: [0; KEY_BYTES_MAX + VALUE_BYTES_MAX],
            key_bytes: 0,
            end: 0,
        };
        let mut pen = Pen::new(&mut record.bytes, 0);
        put_key(entry, &mut pen)?;
        let key_bytes = pen.at;
        put_value(entry, &mut pen)?;
        record.end = pen.at;
        record.key_bytes = key_bytes;
        Some(record)
    }

    /// What names the connection.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.bytes.get(..self.key_bytes).unwrap_or_default()
    }

    /// What else there is to it.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.bytes.get(self.key_bytes..self.end).unwrap_or_default()
    }
}

impl<'a> Entry<'a> {
    /// The entry of a record, with a timeout of `lifetime_s` seconds.
    ///
    /// # Errors
    /// Bytes that `Record::of` does not write.
    pub fn from_record(key: &[u8], value: &'a [u8], lifetime_s: u32) -> Result<Self, RecordError> {
        let (mut key, mut value) = (Scan(key), Scan(value));
        let entry = take_entry(&mut key, &mut value, lifetime_s).ok_or(RecordError)?;
        let is_whole = key.0.is_empty() && value.0.is_empty();
        is_whole.then_some(entry).ok_or(RecordError)
    }
}

fn put_key(entry: &Entry<'_>, pen: &mut Pen<'_>) -> Option<()> {
    let is_v6 = matches!(entry.addresses, Addresses::V6 { .. });
    let kind = bit(is_v6, KEY_V6)
        | bit(entry.is_template(), KEY_TEMPLATE)
        | bit(entry.engine.is_some(), KEY_ENGINE);
    pen.put(&[kind, entry.protocol])?;
    pen.put(&entry.client_port.to_be_bytes())?;
    pen.put(&entry.service_port.to_be_bytes())?;
    let [client, service, _] = entry.addresses.ends();
    pen.address(client)?;
    pen.address(service)?;
    match &entry.engine {
        Some(engine) => pen.put(&hash(engine).to_be_bytes()),
        None => Some(()),
    }
}

fn put_value(entry: &Entry<'_>, pen: &mut Pen<'_>) -> Option<()> {
    let has = bit(entry.mark != 0, VALUE_MARK)
        | bit(entry.sequences.is_some(), VALUE_SEQUENCES)
        | bit(entry.engine.is_some(), VALUE_ENGINE);
    pen.put(&[has])?;
    pen.put(&u16::try_from(entry.flags & FLAGS_MASK).ok()?.to_be_bytes())?;
    pen.put(&entry.state.to_be_bytes())?;
    pen.put(&entry.server_port.to_be_bytes())?;
    let [.., server] = entry.addresses.ends();
    pen.address(server)?;
    if entry.mark != 0 {
        pen.put(&entry.mark.to_be_bytes())?;
    }
    if let Some(sequences) = &entry.sequences {
        pen.put(sequences)?;
    }
    match &entry.engine {
        None => Some(()),
        Some(engine) if engine.is_possible() => {
            pen.counted(engine.name)?;
            pen.put(engine.data)
        }
        Some(_) => None,
    }
}

fn take_entry<'a>(key: &mut Scan<'_>, value: &mut Scan<'a>, lifetime_s: u32) -> Option<Entry<'a>> {
    let [kind, protocol] = key.take()?;
    let (client_port, service_port) = (key.u16()?, key.u16()?);
    let has = value.byte()?;
    let flags = u32::from(value.u16()?);
    let (state, server_port) = (value.u16()?, value.u16()?);
    let addresses = if kind & KEY_V6 != 0 {
        Addresses::V6 {
            client: key.take::<16>()?.into(),
            service: key.take::<16>()?.into(),
            server: value.take::<16>()?.into(),
        }
    } else {
        Addresses::V4 {
            client: key.take::<4>()?.into(),
            service: key.take::<4>()?.into(),
            server: value.take::<4>()?.into(),
        }
    };
    let mut entry = Entry {
        protocol,
        flags,
        state,
        client_port,
        service_port,
        server_port,
        mark: 0,
        timeout_s: lifetime_s,
        addresses,
        sequences: None,
        engine: None,
    };
    if has & VALUE_MARK != 0 {
        entry.mark = Some(value.u32()?).filter(|mark| *mark != 0)?;
    }
    if has & VALUE_SEQUENCES != 0 {
        entry.sequences = Some(value.take()?);
    }
    if has & VALUE_ENGINE != 0 {
        let engine = take_engine(value)?;
        key.take().filter(|is| *is == hash(&engine).to_be_bytes())?;
        entry.engine = Some(engine);
    }
    let agree = kind & !KEY_V6
        == bit(entry.is_template(), KEY_TEMPLATE) | bit(entry.engine.is_some(), KEY_ENGINE);
    let known =
        has & !(VALUE_MARK | VALUE_SEQUENCES | VALUE_ENGINE) == 0 && flags & !FLAGS_MASK == 0;
    (agree && known).then_some(entry)
}

fn take_engine<'a>(value: &mut Scan<'a>) -> Option<Engine<'a>> {
    let length = value.byte()?;
    let name = value.slice(length.into())?;
    let data = core::mem::take(&mut value.0);
    let engine = Engine { name, data };
    engine.is_possible().then_some(engine)
}

const fn bit(is: bool, bit: u8) -> u8 {
    if is { bit } else { 0 }
}

/// FNV-1a over name, a zero and data: one client has as many templates as its engine keeps data.
fn hash(engine: &Engine<'_>) -> u64 {
    let bytes = engine.name.iter().chain(&[0]).chain(engine.data);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
