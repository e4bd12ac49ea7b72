//! Every config that differs from one of the samples in one place is refused, or its text is read as the same config:
//! what chance would have to find.
#![allow(clippy::unwrap_used, missing_docs)]

use plan::config::Config;
use serde_json::Value;
use std::collections::BTreeSet;

/// Numbers that stand at the edge of something.
const NUMBERS: [u64; 9] = [0, 1, 2, 7, 32, 128, 255, 65_535, u32::MAX as u64];

#[test]
fn a_config_changed_in_one_place_is_refused_or_returns_from_its_text() {
    let target = fuzz::target("text").unwrap();
    let payloads = (target.seeds)();
    let payloads = payloads.iter().filter_map(|seed| match seed.split_first() {
        Some((1, payload)) => Some(payload),
        _ => None,
    });
    for payload in payloads {
        let config: Config = postcard::from_bytes(payload).unwrap();
        let config = serde_json::to_value(config).unwrap();
        let mut words = BTreeSet::new();
        words_of(&config, &mut words);
        let mut tried = 0_u32;
        each_change(&config, &words, &mut |changed| {
            // What has no place in the types is none of a config's changes.
            if let Ok(config) = serde_json::from_value::<Config>(changed) {
                let payload = postcard::to_allocvec(&config).unwrap();
                (target.run)(&[&[1], payload.as_slice()].concat());
                tried += 1;
            }
        });
        assert!(tried > 1000, "{tried} changes");
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
