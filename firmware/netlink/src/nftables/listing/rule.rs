//! Rules as the kernel tells of them.

use super::{Counter, OF_TABLE, decode_counter};
use crate::error::DecodeError;
use crate::message::Message;
use crate::netfilter::Attribute;
use crate::nftables::{Kind, Told, find, text, told};
use plan::ruleset::{Family, Verdict};
use std::fmt;

/// NFTA_RULE_*.
const CHAIN: u16 = 2;
const HANDLE: u16 = 3;
const EXPRESSIONS: u16 = 4;
const USERDATA: u16 = 7;

/// NFTA_EXPR_*.
const NAME: u16 = 1;
const DATA: u16 = 2;

/// NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_*.
const IMMEDIATE_DATA: u16 = 2;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// NFTA_LOOKUP_DREG, NFT_REG_VERDICT.
const LOOKUP_TO: u16 = 3;
const VERDICT_REGISTER: u32 = 0;

/// NFTA_NAT_TYPE, NFT_NAT_SNAT.
const NAT_TYPE: u16 = 1;
const SOURCE_NAT: u32 = 0;

/// nft's comment among a rule's user data.
const USERDATA_COMMENT: u8 = 0;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRule {
    /// Of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The kernel's number for it.
    pub handle: u64,
    /// As in `plan::ruleset::Rule`.
    pub comment: Option<String>,
    /// What its first counter counted.
    pub counter: Option<Counter>,
    /// How it ends; `None`: it goes on to the next one.
    pub decision: Option<Decision>,
}

/// How a rule ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// So.
    Verdict(Verdict),
    /// As a map says.
    Dispatch,
    /// Refused, the sender being told.
    Reject,
    /// Source becomes the device's own.
    Masquerade,
    /// Source is replaced.
    SourceNat,
    /// Destination is replaced.
    DestinationNat,
    /// Destination becomes this box.
    Redirect,
    /// Answered in the server's place.
    Synproxy,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Verdict(Verdict::Accept) => "accept",
            Decision::Verdict(Verdict::Drop) => "drop",
            Decision::Verdict(Verdict::Return) => "return",
            Decision::Verdict(Verdict::Continue) => "continue",
            Decision::Verdict(Verdict::Jump(chain)) => return write!(f, "jump {chain}"),
            Decision::Verdict(Verdict::Goto(chain)) => return write!(f, "goto {chain}"),
            Decision::Dispatch => "vmap",
            Decision::Reject => "reject",
            Decision::Masquerade => "masquerade",
            Decision::SourceNat => "snat",
            Decision::DestinationNat => "dnat",
            Decision::Redirect => "redirect",
            Decision::Synproxy => "synproxy",
        })
    }
}

/// The rule of an NFT_MSG_NEWRULE; `None` for any other message.
///
/// # Errors
/// A message that linux/netfilter/nf_tables.h does not allow.
pub fn decode_rule(message: &Message<'_>) -> Result<Option<ListedRule>, DecodeError> {
    let Some(Told {
        kind: Kind::NewRule,
        family,
        body,
    }) = told(message)?
    else {
        return Ok(None);
    };
    let mut rule = ListedRule {
        family,
        table: text(body, OF_TABLE)?,
        chain: text(body, CHAIN)?,
        handle: find(body, HANDLE)?
            .ok_or(DecodeError("rule handle"))?
            .u64()?,
        comment: find(body, USERDATA)?.and_then(|userdata| decode_comment(userdata.payload)),
        counter: None,
        decision: None,
    };
    if let Some(expressions) = find(body, EXPRESSIONS)? {
        for expression in expressions.nested() {
            rule.note(expression?.payload)?;
        }
    }
    Ok(Some(rule))
}

impl ListedRule {
    /// Takes note of an expression.
    fn note(&mut self, expression: &[u8]) -> Result<(), DecodeError> {
        let name = find(expression, NAME)?
            .ok_or(DecodeError("expression"))?
            .text()?;
        let data = find(expression, DATA)?;
        let decision = match name {
            "counter" => {
                if let (None, Some(data)) = (self.counter, data) {
                    self.counter = Some(decode_counter(data)?);
                }
                None
            }
            "immediate" => data.map(decode_immediate).transpose()?.flatten(),
            "lookup" => data.map(decode_lookup).transpose()?.flatten(),
            "nat" => data.map(decode_nat).transpose()?,
            "reject" => Some(Decision::Reject),
            "masq" => Some(Decision::Masquerade),
            "redir" => Some(Decision::Redirect),
            "synproxy" => Some(Decision::Synproxy),
            _ => None,
        };
        if decision.is_some() {
            self.decision = decision;
        }
        Ok(())
    }
}

/// The comment among user data: kind, length, value, one behind the other.
fn decode_comment(mut userdata: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, behind) = rest.split_at_checked(usize::from(*length))?;
        if *kind == USERDATA_COMMENT {
            let comment = value.split(|byte| *byte == 0).next()?;
            return core::str::from_utf8(comment).ok().map(str::to_owned);
        }
        userdata = behind;
    }
    None
}

fn decode_immediate(data: Attribute<'_>) -> Result<Option<Decision>, DecodeError> {
    let Some(value) = find(data.payload, IMMEDIATE_DATA)? else {
        return Ok(None);
    };
    let Some(verdict) = find(value.payload, DATA_VERDICT)? else {
        return Ok(None);
    };
    decode_verdict(verdict.payload).map(|verdict| Some(Decision::Verdict(verdict)))
}

fn decode_verdict(body: &[u8]) -> Result<Verdict, DecodeError> {
    let code = find(body, VERDICT_CODE)?.ok_or(DecodeError("verdict"))?;
    Ok(match code.u32()?.cast_signed() {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -1 => Verdict::Continue,
        -3 => Verdict::Jump(text(body, VERDICT_CHAIN)?),
        -4 => Verdict::Goto(text(body, VERDICT_CHAIN)?),
        -5 => Verdict::Return,
        _ => return Err(DecodeError("verdict")),
    })
}

fn decode_lookup(data: Attribute<'_>) -> Result<Option<Decision>, DecodeError> {
    let to = find(data.payload, LOOKUP_TO)?.map(|to| to.u32());
    let is_verdict = to.transpose()? == Some(VERDICT_REGISTER);
    Ok(is_verdict.then_some(Decision::Dispatch))
}

fn decode_nat(data: Attribute<'_>) -> Result<Decision, DecodeError> {
    let kind = find(data.payload, NAT_TYPE)?.ok_or(DecodeError("NAT"))?;
    Ok(match kind.u32()? {
        SOURCE_NAT => Decision::SourceNat,
        _ => Decision::DestinationNat,
    })
}
