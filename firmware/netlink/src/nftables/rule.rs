//! Rules to messages: first the sets that live with the rule, then the rule itself.

use super::batch::Draft;
use super::element::Content;
use super::guard::Guard;
use super::load::kinds;
use super::refusal::{Place, Why};
use super::set::add_unnamed;
use super::statement::{Names, Steps};
use super::{HEADER_BYTES, Kind, find, text, told};
use crate::message::{HEADER_BYTES as MESSAGE_HEADER_BYTES, Message};
use crate::netfilter::attributes;
use neli::consts::nl::NlmF;
use plan::ruleset::{self, Members, Rule, Statement, Table, Test, VerdictMap};

/// NFTA_RULE_*.
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const EXPRESSIONS: u16 = 4;
const USERDATA: u16 = 7;

/// NFTA_EXPR_NAME.
const EXPRESSION_NAME: u16 = 1;

/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER_BYTES: usize = 4;

/// What nft leaves for itself with a rule (libnftnl's udata.h): a comment.
const USERDATA_COMMENT: u8 = 0;

/// nft's own bound, its NUL included.
const COMMENT_BYTES_MAX: usize = 128;

/// A rule, at the end of its chain.
pub(super) fn add(
    draft: &mut Draft<'_>,
    place: Place,
    table: &Table,
    names: &Names<'_>,
    chain: &str,
    rule: &Rule,
) -> Result<(), Why> {
    let mut first_set = None;
    for statement in &rule.statements {
        if let Some((key, content)) = unnamed(statement) {
            let number = add_unnamed(draft, place, table, &key, &content)?;
            first_set = first_set.or(Some(number));
        }
    }
    let flags = NlmF::CREATE | NlmF::APPEND;
    draft.message(Kind::NewRule, flags, table.family, place, |writer| {
        writer.text(TABLE, &table.name);
        writer.text(CHAIN, chain);
        let list = writer.open_nest(EXPRESSIONS);
        let mut steps = Steps {
            writer: &mut *writer,
            guard: Guard::new(table.family),
            family: table.family,
            names,
            next_unnamed: first_set,
        };
        for statement in &rule.statements {
            steps.write(statement)?;
        }
        writer.close_nest(list);
        if let Some(comment) = &rule.comment {
            writer.raw(USERDATA, &commented(comment)?);
        }
        Ok(())
    })
}

fn commented(comment: &str) -> Result<Vec<u8>, Why> {
    let length = u8::try_from(comment.len() + 1).ok();
    let length = length.filter(|length| usize::from(*length) <= COMMENT_BYTES_MAX);
    let length = length.ok_or(Why::TooLong("a comment"))?;
    let mut userdata = Vec::with_capacity(2 + comment.len() + 1);
    userdata.extend_from_slice(&[USERDATA_COMMENT, length]);
    userdata.extend_from_slice(comment.as_bytes());
    userdata.push(0);
    Ok(userdata)
}

/// The set that a statement brings along: kinds of its key, and what it holds.
fn unnamed(statement: &Statement) -> Option<(Vec<ruleset::Kind>, Content<'_>)> {
    match statement {
        Statement::Match(selector, Test::OneOf(spans) | Test::NoneOf(spans)) => {
            Some((vec![selector.kind()], Content::Spans(spans)))
        }
        Statement::Lookup {
            key,
            members: Members::These(elements),
            ..
        } => Some((kinds(key), Content::Elements(elements))),
        Statement::Dispatch {
            key,
            map: VerdictMap::These(entries),
        } => Some((kinds(key), Content::Verdicts(entries))),
        _ => None,
    }
}

/// The expression of a rule, counted from 1, in which this byte of its message lies, and the kernel's word for it.
pub(super) fn step_at(message: &Message<'_>, at: usize) -> Option<(usize, String)> {
    let told = told(message).ok()??;
    let list = find(told.body, EXPRESSIONS).ok()??;
    let offset = at.checked_sub(MESSAGE_HEADER_BYTES + HEADER_BYTES)?;
    let start = list_start(told.body)?;
    if offset < start {
        return None;
    }
    let mut behind = start + ATTRIBUTE_HEADER_BYTES;
    for (number, expression) in list.nested().enumerate() {
        let payload = expression.ok()?.payload;
        behind += ATTRIBUTE_HEADER_BYTES + payload.len().next_multiple_of(4);
        if offset < behind {
            return Some((number + 1, text(payload, EXPRESSION_NAME).ok()?));
        }
    }
    None
}

/// Where the list of expressions starts among the attributes of a rule.
fn list_start(body: &[u8]) -> Option<usize> {
    let mut start = 0;
    for attribute in attributes(body) {
        let attribute = attribute.ok()?;
        if attribute.kind == EXPRESSIONS {
            return Some(start);
        }
        start += ATTRIBUTE_HEADER_BYTES + attribute.payload.len().next_multiple_of(4);
    }
    None
}
