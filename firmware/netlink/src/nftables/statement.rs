//! Statements to expressions.

use super::condition;
use super::expression::{
    self, Found, SetName, expression, expression_body, immediate, lookup, set_ct, set_meta,
};
use super::guard::Guard;
use super::load::{load, load_key};
use super::object::{object_number, write_limit, write_synproxy};
use super::refusal::Why;
use super::set::UNNAMED_MAP;
use super::value::value_of;
use super::writer::Writer;
use plan::ruleset::{
    Assignment, ConnectionLimit, DynamicOperation, Entries, Family, Kind, Log, LogLevel, LogTo,
    Map, Members, Meter, Operand, RejectWith, Selector, Statement, UnreachableCode, VerdictMap,
};
use std::collections::BTreeMap;

/// NFTA_LOG_*, NFTA_REJECT_*, NFTA_CONNLIMIT_*, NFTA_FLOW_*.
const LOG_GROUP: u16 = 1;
const LOG_PREFIX: u16 = 2;
const LOG_PACKET_BYTES: u16 = 3;
const LOG_QUEUE: u16 = 4;
const LOG_LEVEL: u16 = 5;
const REJECT_TYPE: u16 = 1;
const REJECT_CODE: u16 = 2;
const CONNECTIONS: u16 = 1;
const CONNECTIONS_FLAGS: u16 = 2;
const FLOWTABLE_NAME: u16 = 1;

/// NFTA_DYNSET_*, NFT_DYNSET_F_EXPR.
const DYNAMIC_SET: u16 = 1;
const DYNAMIC_OPERATION: u16 = 3;
const DYNAMIC_KEY: u16 = 4;
const DYNAMIC_TIMEOUT_MS: u16 = 6;
const DYNAMIC_EXPRESSION: u16 = 7;
const DYNAMIC_FLAGS: u16 = 9;
const DYNAMIC_EXPRESSIONS: u16 = 10;
const WITH_EXPRESSIONS: u32 = 2;

/// NFT_META_MARK, NFT_CT_MARK, NFT_CT_ZONE.
const META_MARK: u32 = 3;
const CT_MARK: u32 = 3;
const CT_ZONE: u32 = 17;

/// NFT_REJECT_*.
const ICMP: u32 = 0;
const TCP_RESET: u32 = 1;
const ICMP_OF_EITHER: u32 = 2;

/// NFTA_RT_*, NFT_RT_TCPMSS.
const ROUTE_TO: u16 = 1;
const ROUTE_KEY: u16 = 2;
const ROUTE_SEGMENT_BYTES: u32 = 3;

/// NFTA_EXTHDR_*, NFT_EXTHDR_OP_TCPOPT; the option's kind, and where its value lies in it (RFC 9293).
const OPTION_TYPE: u16 = 2;
const OPTION_OFFSET: u16 = 3;
const OPTION_BYTES: u16 = 4;
const OPTION_OF: u16 = 6;
const OPTION_FROM: u16 = 7;
const OF_TCP: u32 = 1;
const SEGMENT_SIZE_OPTION: u8 = 2;
const SEGMENT_SIZE_OFFSET: u32 = 2;
const SEGMENT_SIZE_BYTES: u8 = 2;

/// The sets and maps of a table, by name.
pub(super) struct Names<'a> {
    pub(super) sets: BTreeMap<&'a str, &'a [Kind]>,
    pub(super) maps: BTreeMap<&'a str, &'a Map>,
}

impl<'a> Names<'a> {
    /// The map of this name, if such a key can be looked up in it.
    pub(super) fn map(&self, name: &str, key: &[Selector]) -> Result<&'a Map, Why> {
        let map = self.maps.get(name).ok_or(Why::NoSuchMap)?;
        fits(&map.shape.key, key).map(|()| *map)
    }
}

/// A key of these kinds takes these selectors.
fn fits(wanted: &[Kind], key: &[Selector]) -> Result<(), Why> {
    if wanted.len() != key.len() {
        let (wanted, given) = (wanted.len(), key.len());
        return Err(Why::WrongParts { wanted, given });
    }
    let mut pairs = wanted.iter().copied().zip(key.iter().map(Selector::kind));
    match pairs.find(|(wanted, given)| wanted != given) {
        Some((wanted, given)) => Err(Why::WrongKind { wanted, given }),
        None => Ok(()),
    }
}

/// A rule while its statements are written.
pub(super) struct Steps<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) guard: Guard,
    pub(super) family: Family,
    pub(super) names: &'a Names<'a>,
    /// Number of the next set that came with the rule.
    pub(super) next_unnamed: Option<u32>,
}

impl Steps<'_> {
    pub(super) fn write(&mut self, statement: &Statement) -> Result<(), Why> {
        match statement {
            Statement::Match(selector, made) => self.test(selector, made)?,
            Statement::Lookup {
                key,
                members,
                inverted,
            } => self.lookup(key, members, *inverted)?,
            Statement::Dispatch { key, map } => self.dispatch(key, map)?,
            Statement::ObjectOf { kind, key, map } => {
                match self.names.map(map, key)?.entries {
                    Entries::Objects { kind: found, .. } if found == *kind => {}
                    _ => return Err(Why::OtherObjects),
                }
                load_key(self.writer, &mut self.guard, key)?;
                expression::object_of_map(self.writer, map);
            }
            Statement::Assign(assignment, operand) => self.assign(*assignment, operand)?,
            Statement::Update {
                operation,
                set,
                key,
                timeout_s,
                meters,
            } => {
                self.fits_set(set, key)?;
                load_key(self.writer, &mut self.guard, key)?;
                update(self.writer, *operation, set, *timeout_s, meters);
            }
            Statement::ClampSegmentSize => {
                self.guard.tcp(self.writer)?;
                clamp_segment_size(self.writer);
            }
            Statement::Reject(with) => self.reject(*with)?,
            Statement::SourceNat(target, flags) => self.translate(target, *flags, true)?,
            Statement::DestinationNat(target, flags) => self.translate(target, *flags, false)?,
            Statement::Masquerade { ports, flags } => self.masquerade(*ports, *flags)?,
            Statement::Redirect { ports, flags } => self.redirect(*ports, *flags)?,
            simple => write_simple(self.writer, simple),
        }
        Ok(())
    }

    fn test(&mut self, selector: &Selector, made: &plan::ruleset::Test) -> Result<(), Why> {
        use plan::ruleset::Test::{NoneOf, OneOf};
        self.guard.write(self.writer, selector)?;
        let unnamed = match made {
            OneOf(_) | NoneOf(_) => self.take_unnamed(),
            _ => None,
        };
        condition::write(self.writer, selector, made, unnamed)?;
        self.guard.note(selector, made);
        Ok(())
    }

    fn take_unnamed(&mut self) -> Option<u32> {
        let number = self.next_unnamed?;
        self.next_unnamed = Some(number.wrapping_add(1));
        Some(number)
    }

    fn fits_set(&self, set: &str, key: &[Selector]) -> Result<(), Why> {
        fits(self.names.sets.get(set).ok_or(Why::NoSuchSet)?, key)
    }

    fn lookup(&mut self, key: &[Selector], members: &Members, inverted: bool) -> Result<(), Why> {
        load_key(self.writer, &mut self.guard, key)?;
        let set = match members {
            Members::Named(name) => {
                self.fits_set(name, key)?;
                named(name)
            }
            Members::These(_) => condition::unnamed_set(self.take_unnamed()),
        };
        let found = if inverted { Found::Ends } else { Found::GoesOn };
        lookup(self.writer, set, found);
        Ok(())
    }

    fn dispatch(&mut self, key: &[Selector], map: &VerdictMap) -> Result<(), Why> {
        load_key(self.writer, &mut self.guard, key)?;
        let set = match map {
            VerdictMap::Named(name) => match self.names.map(name, key)?.entries {
                Entries::Verdicts(_) => named(name),
                _ => return Err(Why::NotVerdicts),
            },
            VerdictMap::These(_) => SetName {
                name: UNNAMED_MAP,
                number: self.take_unnamed(),
            },
        };
        lookup(self.writer, set, Found::IsVerdict);
        Ok(())
    }

    fn assign(&mut self, assignment: Assignment, operand: &Operand) -> Result<(), Why> {
        let wanted = match assignment {
            Assignment::Mark | Assignment::ConnectionMark => Kind::Mark,
            Assignment::Zone => Kind::Zone,
        };
        match operand {
            Operand::Is(datum) => immediate(self.writer, 0, &value_of(datum, wanted)?),
            Operand::Of(selector) => {
                let given = selector.kind();
                // Buckets become marks.
                if given != wanted && (given, wanted) != (Kind::Number32, Kind::Mark) {
                    return Err(Why::WrongKind { wanted, given });
                }
                self.guard.write(self.writer, selector)?;
                load(self.writer, selector, 0)?;
            }
            Operand::Mapped { key, map } => {
                let kinds = self.find_in(key, map)?;
                if kinds != [wanted] {
                    return Err(Why::OtherValues);
                }
            }
        }
        match assignment {
            Assignment::Mark => set_meta(self.writer, META_MARK),
            Assignment::ConnectionMark => set_ct(self.writer, CT_MARK),
            Assignment::Zone => set_ct(self.writer, CT_ZONE),
        }
        Ok(())
    }

    /// Replaces the key by what it leads to; the kinds of that.
    fn find_in(&mut self, key: &[Selector], map: &str) -> Result<Vec<Kind>, Why> {
        let Entries::Data { kinds, .. } = &self.names.map(map, key)?.entries else {
            return Err(Why::OtherValues);
        };
        load_key(self.writer, &mut self.guard, key)?;
        lookup(self.writer, named(map), Found::IsValue);
        Ok(kinds.clone())
    }

    fn reject(&mut self, with: RejectWith) -> Result<(), Why> {
        let (kind, code) = match with {
            RejectWith::TcpReset => {
                self.guard.tcp(self.writer)?;
                (TCP_RESET, 0)
            }
            RejectWith::Unreachable(code) => unreachable_code(self.family, code),
        };
        expression(self.writer, "reject", |writer| {
            writer.u32(REJECT_TYPE, kind);
            writer.u8(REJECT_CODE, code);
        });
        Ok(())
    }
}

/// A set or map by its name.
pub(super) const fn named(name: &str) -> SetName<'_> {
    SetName { name, number: None }
}

/// Statements that read nothing from registers.
fn write_simple(writer: &mut Writer, statement: &Statement) {
    match statement {
        Statement::Counter => expression(writer, "counter", |_| ()),
        Statement::Object(kind, name) => expression::object(writer, object_number(*kind), name),
        Statement::Limit(limit) => expression(writer, "limit", |writer| write_limit(writer, limit)),
        Statement::ConnectionLimit(limit) => expression(writer, "connlimit", |writer| {
            write_connection_limit(writer, *limit);
        }),
        Statement::Log(log) => expression(writer, "log", |writer| write_log(writer, log)),
        Statement::Notrack => expression(writer, "notrack", |_| ()),
        Statement::Offload(flowtable) => expression(writer, "flow_offload", |writer| {
            writer.text(FLOWTABLE_NAME, flowtable);
        }),
        Statement::Verdict(verdict) => expression::verdict(writer, verdict),
        Statement::Synproxy(synproxy) => expression(writer, "synproxy", |writer| {
            write_synproxy(writer, synproxy);
        }),
        // `Steps::write` has taken care of all others.
        _ => {}
    }
}

fn write_connection_limit(writer: &mut Writer, limit: ConnectionLimit) {
    writer.u32(CONNECTIONS, limit.connections);
    writer.u32(CONNECTIONS_FLAGS, u32::from(limit.above));
}

fn write_log(writer: &mut Writer, log: &Log) {
    if let Some(prefix) = &log.prefix {
        writer.text(LOG_PREFIX, prefix);
    }
    match log.to {
        LogTo::Kernel(level) => writer.u32(LOG_LEVEL, level_number(level)),
        LogTo::Group {
            group,
            packet_bytes,
            queue_packets,
        } => {
            writer.u16(LOG_GROUP, group);
            if let Some(bytes) = packet_bytes {
                writer.u32(LOG_PACKET_BYTES, bytes);
            }
            if let Some(packets) = queue_packets {
                writer.u16(LOG_QUEUE, packets);
            }
        }
    }
}

/// NFT_LOGLEVEL_*.
const fn level_number(level: LogLevel) -> u32 {
    match level {
        LogLevel::Emergency => 0,
        LogLevel::Alert => 1,
        LogLevel::Critical => 2,
        LogLevel::Error => 3,
        LogLevel::Warning => 4,
        LogLevel::Notice => 5,
        LogLevel::Info => 6,
        LogLevel::Debug => 7,
    }
}

fn update(
    writer: &mut Writer,
    operation: DynamicOperation,
    set: &str,
    timeout_s: Option<u32>,
    meters: &[Meter],
) {
    let operation = match operation {
        DynamicOperation::Add => 0,
        DynamicOperation::Update => 1,
        DynamicOperation::Delete => 2,
    };
    expression(writer, "dynset", |writer| {
        writer.text(DYNAMIC_SET, set);
        writer.u32(DYNAMIC_KEY, expression::register(0));
        writer.u32(DYNAMIC_OPERATION, operation);
        if let Some(timeout_s) = timeout_s {
            writer.u64(DYNAMIC_TIMEOUT_MS, u64::from(timeout_s) * 1_000);
        }
        match meters {
            [] => {}
            [meter] => writer.nest(DYNAMIC_EXPRESSION, |writer| write_meter(writer, *meter)),
            meters => {
                writer.u32(DYNAMIC_FLAGS, WITH_EXPRESSIONS);
                writer.nest(DYNAMIC_EXPRESSIONS, |writer| {
                    for meter in meters {
                        writer.nest(expression::LIST_ELEMENT, |w| write_meter(w, *meter));
                    }
                });
            }
        }
    });
}

fn write_meter(writer: &mut Writer, meter: Meter) {
    match meter {
        Meter::Counter => expression_body(writer, "counter", |_| ()),
        Meter::Limit(limit) => {
            expression_body(writer, "limit", |writer| write_limit(writer, &limit));
        }
        Meter::ConnectionLimit(limit) => expression_body(writer, "connlimit", |writer| {
            write_connection_limit(writer, limit);
        }),
    }
}

/// ICMP's and ICMPv6's codes (RFC 792, RFC 1812, RFC 4443), and the kernel's own where a table has both.
const fn unreachable_code(family: Family, code: UnreachableCode) -> (u32, u8) {
    match (family, code) {
        (Family::Ip, UnreachableCode::NoRoute) => (ICMP, 0),
        (Family::Ip, UnreachableCode::Port) => (ICMP, 3),
        (Family::Ip, UnreachableCode::Host) => (ICMP, 1),
        (Family::Ip, UnreachableCode::AdminProhibited) => (ICMP, 13),
        (Family::Ip6, UnreachableCode::NoRoute) => (ICMP, 0),
        (Family::Ip6, UnreachableCode::Port) => (ICMP, 4),
        (Family::Ip6, UnreachableCode::Host) => (ICMP, 3),
        (Family::Ip6, UnreachableCode::AdminProhibited) => (ICMP, 1),
        (_, UnreachableCode::NoRoute) => (ICMP_OF_EITHER, 0),
        (_, UnreachableCode::Port) => (ICMP_OF_EITHER, 1),
        (_, UnreachableCode::Host) => (ICMP_OF_EITHER, 2),
        (_, UnreachableCode::AdminProhibited) => (ICMP_OF_EITHER, 3),
    }
}

fn clamp_segment_size(writer: &mut Writer) {
    expression(writer, "rt", |writer| {
        writer.u32(ROUTE_TO, expression::register(0));
        writer.u32(ROUTE_KEY, ROUTE_SEGMENT_BYTES);
    });
    expression::to_network_order(writer, SEGMENT_SIZE_BYTES);
    expression(writer, "exthdr", |writer| {
        writer.u32(OPTION_FROM, expression::register(0));
        writer.u8(OPTION_TYPE, SEGMENT_SIZE_OPTION);
        writer.u32(OPTION_OFFSET, SEGMENT_SIZE_OFFSET);
        writer.u32(OPTION_BYTES, SEGMENT_SIZE_BYTES.into());
        writer.u32(OPTION_OF, OF_TCP);
    });
}
