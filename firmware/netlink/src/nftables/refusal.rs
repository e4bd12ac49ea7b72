//! Why a ruleset is not in force, in words that name the place in it: what can't be written, and what the
//! kernel refused.

use crate::error::KernelError;
use plan::ruleset::{Family, Kind, Rule, Ruleset, Table};
use std::fmt;

/// The part of a ruleset that a message is about, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Opening the batch: the generation, or the commit as a whole.
    Batch,
    /// Something that was there before.
    Old,
    Table(usize),
    Chain(usize, usize),
    Rule(usize, usize, usize),
    Set(usize, usize),
    Map(usize, usize),
    Object(usize, usize),
    Flowtable(usize, usize),
}

impl Place {
    /// In words; positions that do not exist are not named.
    pub(super) fn words(self, ruleset: &Ruleset) -> String {
        self.named(ruleset)
            .unwrap_or_else(|| "the ruleset as a whole".to_owned())
    }

    fn named(self, ruleset: &Ruleset) -> Option<String> {
        let table = |position: usize| ruleset.tables.get(position);
        let named = |kind, name: &str, table: &Table| {
            let family = family_word(table.family);
            format!("{kind} {name} of table {family} {}", table.name)
        };
        Some(match self {
            Place::Batch => return None,
            Place::Old => "what was there before".to_owned(),
            Place::Table(t) => {
                let table = table(t)?;
                format!("table {} {}", family_word(table.family), table.name)
            }
            Place::Chain(t, c) => named("chain", &table(t)?.chains.get(c)?.name, table(t)?),
            Place::Rule(t, c, r) => {
                let chain = table(t)?.chains.get(c)?;
                let rule = rule_words(r, chain.rules.get(r)?);
                format!("{rule} of {}", named("chain", &chain.name, table(t)?))
            }
            Place::Set(t, s) => named("set", &table(t)?.sets.get(s)?.name, table(t)?),
            Place::Map(t, m) => named("map", &table(t)?.maps.get(m)?.name, table(t)?),
            Place::Object(t, o) => named("object", &table(t)?.objects.get(o)?.name, table(t)?),
            Place::Flowtable(t, f) => {
                named("flowtable", &table(t)?.flowtables.get(f)?.name, table(t)?)
            }
        })
    }
}

fn rule_words(position: usize, rule: &Rule) -> String {
    match &rule.comment {
        Some(comment) => format!("rule {} ({comment})", position + 1),
        None => format!("rule {}", position + 1),
    }
}

/// nft's word for a family.
pub(super) const fn family_word(family: Family) -> &'static str {
    match family {
        Family::Inet => "inet",
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
        Family::Arp => "arp",
        Family::Netdev => "netdev",
    }
}

/// What is wrong with a part of a ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    WrongKind { wanted: Kind, given: Kind },
    WrongParts { wanted: usize, given: usize },
    KeyTooLong,
    BackwardRange,
    Overlap,
    IntervalOf(Kind),
    IntervalInExactSet,
    Empty,
    NoSuchSet,
    NoSuchMap,
    NotForNat,
    NotVerdicts,
    OtherObjects,
    OtherValues,
    MixedFamilies,
    OtherFamily,
    TooLong(&'static str),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::WrongKind { wanted, given } => {
                write!(
                    f,
                    "a value of kind {given:?} stands where one of kind {wanted:?} belongs"
                )
            }
            Why::WrongParts { wanted, given } => {
                write!(
                    f,
                    "a key of {given} parts stands where one of {wanted} belongs"
                )
            }
            Why::KeyTooLong => f.write_str("the parts of a key take more than 64 bytes together"),
            Why::BackwardRange => f.write_str("a range ends before it begins"),
            Why::Overlap => f.write_str("two keys of a map overlap"),
            Why::IntervalOf(kind) => write!(f, "sets can't hold ranges of kind {kind:?}"),
            Why::IntervalInExactSet => {
                f.write_str("a range stands in a set that was not declared to hold any")
            }
            Why::Empty => f.write_str("a list is empty that needs at least one entry"),
            Why::NoSuchSet => f.write_str("it looks into a set that the table does not have"),
            Why::NotVerdicts => f.write_str("the map does not lead to verdicts"),
            Why::OtherObjects => f.write_str("the map does not lead to objects of this kind"),
            Why::OtherValues => f.write_str("the map does not lead to values of this kind"),
            Why::NoSuchMap => f.write_str("it looks into a map that the table does not have"),
            Why::NotForNat => {
                f.write_str("the map does not lead to an address, or address and port")
            }
            Why::MixedFamilies => f.write_str("it mixes IPv4 and IPv6"),
            Why::OtherFamily => {
                f.write_str("it reads a header that packets of this table do not have")
            }
            Why::TooLong(what) => write!(f, "{what} is too long"),
        }
    }
}

/// A ruleset can't be put into messages. A program made it, so this is an error of that program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsayable {
    place: String,
    why: Why,
}

impl Unsayable {
    pub(super) fn new(place: Place, ruleset: &Ruleset, why: Why) -> Self {
        Self {
            place: place.words(ruleset),
            why,
        }
    }
}

impl fmt::Display for Unsayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writing {}: {}", self.place, self.why)
    }
}

impl std::error::Error for Unsayable {}

/// The kernel refused a ruleset, and still holds what it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is about: `rule 3 (line 12: …) of chain forward of table inet pollux`.
    pub place: String,
    /// Which step of a rule, from 1, and the kernel's word for it (`lookup`), where the kernel tells.
    pub step: Option<(usize, String)>,
    /// What the kernel says.
    pub error: KernelError,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some((number, word)) = &self.step {
            write!(f, ", at its step {number}, {word}")?;
        }
        write!(f, ": {}", self.error)
    }
}

impl std::error::Error for Refusal {}
