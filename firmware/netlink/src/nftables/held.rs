//! What the kernel holds of ours, as far as a batch must know it to replace it: names, and where chains hook.

use super::chain::{chain_type, devices, hook_number};
use super::{Kind, Told, dump, find, text, told};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use plan::ruleset::{Base, Family};

/// NFTA_TABLE_NAME; NFTA_CHAIN_*, NFTA_HOOK_*; NFTA_SET_*; NFTA_OBJ_*; NFTA_FLOWTABLE_*.
const TABLE_NAME: u16 = 1;
const OF_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const HOOK_DEVICE: u16 = 3;
const HOOK_DEVICES: u16 = 4;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const OBJECT_NAME: u16 = 2;
const OBJECT_TYPE: u16 = 3;
const FLOWTABLE_NAME: u16 = 2;

/// NFT_SET_ANONYMOUS: it goes with its rule.
const ANONYMOUS: u32 = 1;

/// The tables of ours that a kernel holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    pub(super) tables: Vec<HeldTable>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldTable {
    pub(super) family: Family,
    pub(super) name: String,
    pub(super) chains: Vec<HeldChain>,
    pub(super) sets: Vec<String>,
    /// NFT_OBJECT_* and name.
    pub(super) objects: Vec<(u32, String)>,
    pub(super) flowtables: Vec<String>,
}

/// A chain of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldChain {
    pub(super) name: String,
    hook: Option<HeldHook>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct HeldHook {
    number: u32,
    priority: i32,
    kind: String,
    /// In alphabetical order.
    devices: Vec<String>,
}

/// Something that the kernel holds, of ours or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    family: Family,
    table: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Table,
    Chain(HeldChain),
    Set(String),
    Object(u32, String),
    Flowtable(String),
}

impl Held {
    /// What must be asked of the kernel, in this order; answers are for `Kept::decode`.
    ///
    /// # Errors
    /// None in practice.
    pub fn requests() -> Result<[Request; 5], EncodeError> {
        Ok([
            dump("listing tables", Kind::GetTable)?,
            dump("listing chains", Kind::GetChain)?,
            dump("listing sets", Kind::GetSet)?,
            dump("listing objects", Kind::GetObject)?,
            dump("listing flowtables", Kind::GetFlowtable)?,
        ])
    }

    /// No table is ours.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Takes note of what belongs to a table that `is_ours` by its name.
    pub fn note(&mut self, kept: Kept, is_ours: impl Fn(&str) -> bool) {
        if !is_ours(&kept.table) {
            return;
        }
        let (family, name) = (kept.family, kept.table);
        if kept.what == What::Table {
            self.tables.push(HeldTable {
                family,
                name,
                chains: Vec::new(),
                sets: Vec::new(),
                objects: Vec::new(),
                flowtables: Vec::new(),
            });
            return;
        }
        let mut tables = self.tables.iter_mut();
        let Some(table) = tables.find(|table| table.family == family && table.name == name) else {
            return;
        };
        match kept.what {
            What::Table => {}
            What::Chain(chain) => table.chains.push(chain),
            What::Set(name) => table.sets.push(name),
            What::Object(kind, name) => table.objects.push((kind, name)),
            What::Flowtable(name) => table.flowtables.push(name),
        }
    }

    /// The table of this family and name.
    pub(super) fn table(&self, family: Family, name: &str) -> Option<&HeldTable> {
        let mut tables = self.tables.iter();
        tables.find(|table| table.family == family && table.name == name)
    }
}

impl HeldChain {
    /// Packets enter it where they should enter the other, so that it may stay.
    pub(super) fn is_hooked_as(&self, family: Family, base: Option<&Base>) -> bool {
        let wanted = base.map(|base| {
            let devices = devices(&base.hook).iter();
            let mut devices: Vec<String> = devices.map(|one| one.as_str().to_owned()).collect();
            devices.sort_unstable();
            HeldHook {
                number: hook_number(family, &base.hook),
                priority: base.priority,
                kind: chain_type(&base.hook).to_owned(),
                devices,
            }
        });
        self.hook == wanted
    }
}

impl Kept {
    /// What a message of a dump tells of; `None` for what is not to be replaced by itself.
    ///
    /// # Errors
    /// A message that linux/netfilter/nf_tables.h does not allow.
    pub fn decode(message: &Message<'_>) -> Result<Option<Self>, DecodeError> {
        let Some(Told { kind, family, body }) = told(message)? else {
            return Ok(None);
        };
        let table_kind = if kind == Kind::NewTable {
            TABLE_NAME
        } else {
            OF_TABLE
        };
        let table = text(body, table_kind)?;
        let what = match kind {
            Kind::NewTable => What::Table,
            Kind::NewChain => What::Chain(decode_chain(body)?),
            Kind::NewSet => match decode_set(body)? {
                Some(name) => What::Set(name),
                None => return Ok(None),
            },
            Kind::NewObject => {
                let number = find(body, OBJECT_TYPE)?.ok_or(DecodeError("object type"))?;
                What::Object(number.u32()?, text(body, OBJECT_NAME)?)
            }
            Kind::NewFlowtable => What::Flowtable(text(body, FLOWTABLE_NAME)?),
            _ => return Ok(None),
        };
        Ok(Some(Kept {
            family,
            table,
            what,
        }))
    }
}

fn decode_set(body: &[u8]) -> Result<Option<String>, DecodeError> {
    let flags = find(body, SET_FLAGS)?.map_or(Ok(0), |flags| flags.u32())?;
    if flags & ANONYMOUS != 0 {
        return Ok(None);
    }
    text(body, SET_NAME).map(Some)
}

fn decode_chain(body: &[u8]) -> Result<HeldChain, DecodeError> {
    let name = text(body, CHAIN_NAME)?;
    let Some(hook) = find(body, CHAIN_HOOK)? else {
        return Ok(HeldChain { name, hook: None });
    };
    let mut held = HeldHook {
        kind: text(body, CHAIN_TYPE)?,
        ..HeldHook::default()
    };
    for attribute in hook.nested() {
        let attribute = attribute?;
        match attribute.kind {
            HOOK_NUMBER => held.number = attribute.u32()?,
            HOOK_PRIORITY => held.priority = attribute.u32()?.cast_signed(),
            // One device is told by both.
            HOOK_DEVICE => held.devices = vec![attribute.text()?.to_owned()],
            HOOK_DEVICES => {
                let devices = attribute.nested();
                let names = devices.map(|device| Ok(device?.text()?.to_owned()));
                held.devices = names.collect::<Result<_, DecodeError>>()?;
            }
            _ => {}
        }
    }
    held.devices.sort_unstable();
    Ok(HeldChain {
        name,
        hook: Some(held),
    })
}
