//! Tests to expressions: the selector is loaded into the first register, and what does not pass ends the rule.

use super::expression::{self, Compare, Found, SetName, compare, lookup, to_network_order};
use super::load::{load, load_field};
use super::refusal::Why;
use super::set::UNNAMED;
use super::value::{Order, Value, bounds, form, network, value_of};
use super::writer::Writer;
use plan::config::Prefix;
use plan::ruleset::{Datum, Kind, Selector, Span, Test};

/// A test of a selector that may be read. `unnamed` is the number of the set that goes with a test of many
/// values.
pub(super) fn write(
    writer: &mut Writer,
    selector: &Selector,
    test: &Test,
    unnamed: Option<u32>,
) -> Result<(), Why> {
    let kind = selector.kind();
    match test {
        Test::Within(Span::Network(prefix)) => {
            return within_network(writer, selector, *prefix, Compare::Equal);
        }
        Test::Outside(Span::Network(prefix)) => {
            return within_network(writer, selector, *prefix, Compare::NotEqual);
        }
        _ => load(writer, selector, 0)?,
    }
    match test {
        Test::Is(datum) | Test::Within(Span::One(datum)) => {
            compare(writer, Compare::Equal, value_of(datum, kind)?.as_slice());
        }
        Test::IsNot(datum) | Test::Outside(Span::One(datum)) => {
            compare(writer, Compare::NotEqual, value_of(datum, kind)?.as_slice());
        }
        Test::Below(datum) => ordered(writer, kind, datum, Compare::Below)?,
        Test::AtMost(datum) => ordered(writer, kind, datum, Compare::AtMost)?,
        Test::Above(datum) => ordered(writer, kind, datum, Compare::Above)?,
        Test::AtLeast(datum) => ordered(writer, kind, datum, Compare::AtLeast)?,
        Test::Within(span) => {
            let (first, last) = ordered_bounds(writer, kind, span)?;
            compare(writer, Compare::AtLeast, first.as_slice());
            compare(writer, Compare::AtMost, last.as_slice());
        }
        Test::Outside(span) => {
            let (first, last) = ordered_bounds(writer, kind, span)?;
            expression::outside(writer, &first, &last);
        }
        Test::OneOf(_) => lookup(writer, unnamed_set(unnamed), Found::GoesOn),
        Test::NoneOf(_) => lookup(writer, unnamed_set(unnamed), Found::Ends),
        Test::Any(bits) => masked(writer, value_of(bits, kind)?, None, Compare::NotEqual),
        Test::No(bits) => masked(writer, value_of(bits, kind)?, None, Compare::Equal),
        Test::Masked { mask, value } => {
            let value = value_of(value, kind)?;
            masked(writer, value_of(mask, kind)?, Some(value), Compare::Equal);
        }
    }
    Ok(())
}

/// The set that was made for this test.
pub(super) const fn unnamed_set(number: Option<u32>) -> SetName<'static> {
    SetName {
        name: UNNAMED,
        number,
    }
}

fn masked(writer: &mut Writer, mask: Value, value: Option<Value>, operation: Compare) {
    expression::mask(writer, &mask);
    let value = value.map_or(Value::zero(mask.length()), |value| value.and(&mask));
    compare(writer, operation, value.as_slice());
}

/// Compares as numbers, which the kernel does byte by byte from the first.
fn ordered(writer: &mut Writer, kind: Kind, datum: &Datum, operation: Compare) -> Result<(), Why> {
    let value = in_network_order(writer, kind, value_of(datum, kind)?);
    compare(writer, operation, value.as_slice());
    Ok(())
}

fn ordered_bounds(writer: &mut Writer, kind: Kind, span: &Span) -> Result<(Value, Value), Why> {
    let (first, last) = bounds(span, kind)?;
    if form(kind).order == Order::Network {
        return Ok((first, last));
    }
    let first = in_network_order(writer, kind, first);
    Ok((first, last.in_network_order()))
}

/// The value in network order, the register being turned to that too where it is not.
fn in_network_order(writer: &mut Writer, kind: Kind, value: Value) -> Value {
    let form = form(kind);
    if form.order == Order::Network {
        return value;
    }
    to_network_order(writer, form.bytes);
    value.in_network_order()
}

/// Whole bytes of a network's prefix are compared as they lie in the packet, which the kernel does fastest.
fn within_network(
    writer: &mut Writer,
    selector: &Selector,
    prefix: Prefix,
    operation: Compare,
) -> Result<(), Why> {
    let (wanted, given) = (selector.kind(), Span::Network(prefix).kind());
    if wanted != given {
        return Err(Why::WrongKind { wanted, given });
    }
    let (first, _) = network(prefix);
    let whole_bytes = prefix.length / 8;
    match selector {
        Selector::Field(field) if whole_bytes > 0 && prefix.length.is_multiple_of(8) => {
            load_field(writer, *field, 0, whole_bytes);
            let start = first.as_slice().get(..usize::from(whole_bytes));
            compare(writer, operation, start.unwrap_or_default());
        }
        _ => {
            load(writer, selector, 0)?;
            let mask = Value::mask(prefix.length, first.length());
            masked(writer, mask, Some(first), operation);
        }
    }
    Ok(())
}
