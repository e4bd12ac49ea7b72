//! Configs that differ from one of the samples in one place are refused, or their text is read as the same config: what
//! chance would have to find. Changed are numbers, truths, words for words of the same config, and the order of lists.
#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

use plan::config::Config;
use plan::validate;
use serde_json::Value;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Numbers that stand at the edge of something.
const NUMBERS: [u64; 9] = [0, 1, 2, 7, 32, 128, 255, 65_535, u32::MAX as u64];

#[test]
fn a_config_changed_in_one_place_is_refused_or_returns_from_its_text() {
    let target = fuzz::target("text").unwrap();
    let seeds = (target.seeds)();
    let payloads: Vec<_> = seeds
        .iter()
        .filter_map(|seed| seed.strip_prefix(&[1]))
        .collect();
    assert!(!payloads.is_empty(), "no seed is an image");
    for payload in payloads {
        let config: Config = postcard::from_bytes(payload).unwrap();
        let config = serde_json::to_value(config).unwrap();
        let mut words = BTreeSet::new();
        words_of(&config, &mut words);
        let (mut accepted, mut refused) = (0_u32, 0_u32);
        each_change(&config, &words, &mut |changed| {
            // What has no place in the types is none of a config's changes.
            let Ok(config) = serde_json::from_value::<Config>(changed) else {
                return;
            };
            match validate(&config) {
                Ok(()) => accepted += 1,
                Err(_) => refused += 1,
            }
            let payload = postcard::to_allocvec(&config).unwrap();
            let input = [&[1], payload.as_slice()].concat();
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                let line: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
                panic!("a line for corpus/text-broke.hex:\n{line}");
            }
        });
        assert!(
            accepted > 100 && refused > 100,
            "{accepted} accepted, {refused} refused"
        );
    }
}

/// All strings: names, addresses, words of the types.
fn words_of(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(word) => {
            words.insert(word.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| words_of(value, words)),
        Value::Object(entries) => entries.values().for_each(|value| words_of(value, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Calls `judge` with the value changed in each place in each way.
fn each_change(value: &Value, words: &BTreeSet<String>, judge: &mut dyn FnMut(Value)) {
    judge(Value::Null);
    match value {
        Value::Null => words
            .iter()
            .map(|word| word.as_str().into())
            .chain(NUMBERS.map(Value::from))
            .for_each(judge),
        Value::Bool(truth) => judge((!truth).into()),
        Value::Number(_) => NUMBERS.map(Value::from).into_iter().for_each(judge),
        Value::String(_) => words.iter().for_each(|word| judge(word.as_str().into())),
        Value::Array(values) => each_order(values, words, judge),
        Value::Object(entries) => {
            for (key, inner) in entries {
                each_change(inner, words, &mut |changed| {
                    let mut entries = entries.clone();
                    entries.insert(key.clone(), changed);
                    judge(entries.into());
                });
            }
        }
    }
}

/// Elements changed, gone, twice, and in another place.
fn each_order(values: &[Value], words: &BTreeSet<String>, judge: &mut dyn FnMut(Value)) {
    judge(Vec::<Value>::new().into());
    for (position, inner) in values.iter().enumerate() {
        let mut rest = values.to_vec();
        let taken = rest.remove(position);
        judge(rest.clone().into());
        for place in 0..=rest.len() {
            let mut moved = rest.clone();
            moved.insert(place, taken.clone());
            judge(moved.into());
        }
        judge([values, &[taken]].concat().into());
        each_change(inner, words, &mut |changed| {
            let mut values = values.to_vec();
            if let Some(slot) = values.get_mut(position) {
                *slot = changed;
            }
            judge(values.into());
        });
    }
}
