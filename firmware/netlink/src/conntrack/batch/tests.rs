#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::conntrack::record::Recorder;
use crate::conntrack::{DELETE, GET, SEEN_REPLY, SUBSYSTEM, samples};
use crate::message::messages;
use neli::consts::nl::NlmF;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const NOOP: u16 = 1;
const ERROR: u16 = 2;
const CREATION: u16 = SUBSYSTEM;
const QUESTION: u16 = SUBSYSTEM | GET;
const DELETION: u16 = SUBSYSTEM | DELETE;
const REPLACEMENT: [u16; 5] = [QUESTION, QUESTION, DELETION, DELETION, CREATION];

/// A flow with a master and a helper, in a batch of its own.
fn batch_of_one() -> (FlowRef<'static>, Batch) {
    let flow = samples::flow()
        .prop_filter("all that may be refused", |flow| {
            flow.master.is_some() && flow.helper.is_some() && flow.is_translated()
        })
        .new_tree(&mut TestRunner::deterministic())
        .unwrap()
        .current();
    let (mut recorder, mut batch) = (Recorder::new(), Batch::new());
    let record = recorder.flow(&flow);
    batch.put(Kind::Flow, record.key, record.value, 1).unwrap();
    (flow, batch)
}

/// What is sent in the next round, the fence left out: kind and number of each message, and the fence's number.
fn sent(batch: &mut Batch) -> Option<(Vec<(u16, u32)>, u32)> {
    let bytes = batch.next_round()?;
    let mut sent: Vec<_> = messages(bytes)
        .map(|message| {
            message
                .map(|message| (message.kind, message.sequence))
                .unwrap()
        })
        .collect();
    let (kind, fence) = sent.pop().unwrap();
    assert_eq!(kind, NOOP);
    Some((sent, fence))
}

/// The kernel's word on a message: 0 for done, or an errno.
fn say(batch: &mut Batch, sequence: u32, errno: i32) -> bool {
    let message = Message {
        kind: ERROR,
        flags: NlmF::empty(),
        sequence,
        port: 0,
        body: &(-errno).to_ne_bytes(),
    };
    batch.answer(&message).unwrap()
}

/// One round in which each message has that fate; the kinds that were sent.
fn round(batch: &mut Batch, fates: &[i32]) -> Vec<u16> {
    let (sent, fence) = sent(batch).unwrap();
    assert_eq!(sent.len(), fates.len(), "{sent:x?}");
    for ((_, sequence), errno) in sent.iter().zip(fates) {
        if *errno != 0 {
            assert!(!say(batch, *sequence, *errno));
        }
    }
    assert!(say(batch, fence, 0));
    sent.into_iter().map(|(kind, _)| kind).collect()
}

fn failures(batch: &Batch) -> Vec<i32> {
    batch.failures().map(|(_, _, errno)| errno).collect()
}

#[test]
fn what_is_taken_at_once_takes_one_round() {
    let (_, mut batch) = batch_of_one();
    assert_eq!(round(&mut batch, &[0]), [CREATION]);
    assert_eq!(sent(&mut batch), None);
    assert_eq!(failures(&batch), [0; 0]);
}

#[test]
fn the_same_flow_is_changed_and_another_is_replaced() {
    for is_same in [true, false] {
        let (flow, mut batch) = batch_of_one();
        assert_eq!(round(&mut batch, &[EEXIST]), [CREATION]);
        let (asked, fence) = sent(&mut batch).unwrap();
        assert_eq!([asked[0].0, asked[1].0], [QUESTION, CREATION]);
        // As the kernel answers: both directions as they are.
        let mut answer = Vec::new();
        let found = FlowRef {
            status: CONFIRMED_ALONE,
            reply: if is_same { flow.reply } else { flow.original },
            ..flow
        };
        request::create(&mut answer, asked[0].1, &found, 1);
        let message = messages(&answer).next().unwrap().unwrap();
        assert!(!batch.answer(&message).unwrap());
        assert!(say(&mut batch, fence, 0));
        if !is_same {
            let replaced = round(&mut batch, &[0, 0, ENOENT, 0, 0]);
            assert_eq!(replaced, REPLACEMENT);
        }
        assert_eq!(sent(&mut batch), None);
        assert_eq!(failures(&batch), [0; 0]);
    }
}

/// IPS_CONFIRMED without NAT: `request::create` then writes the reply as it is.
const CONFIRMED_ALONE: u32 = 1 << 3;

#[test]
fn a_flow_that_has_seen_more_is_replaced() {
    let (_, mut batch) = batch_of_one();
    round(&mut batch, &[EEXIST]);
    round(&mut batch, &[0, EBUSY]);
    assert_eq!(round(&mut batch, &[0; 5]), REPLACEMENT);
    assert_eq!(failures(&batch), [0; 0]);
}

/// The kernel's answer to a question: a flow with these ends and this status.
fn answer(batch: &mut Batch, sequence: u32, found: &FlowRef<'_>) {
    let mut answer = Vec::new();
    request::create(&mut answer, sequence, found, 1);
    let message = messages(&answer).next().unwrap().unwrap();
    assert!(!batch.answer(&message).unwrap());
}

#[test]
fn where_the_table_counts_what_was_answered_stays() {
    let (flow, _) = batch_of_one();
    let fresh = FlowRef {
        status: CONFIRMED_ALONE,
        ..flow
    };
    let answered = FlowRef {
        status: CONFIRMED_ALONE | SEEN_REPLY,
        ..flow
    };
    let other = |flow: FlowRef<'static>| FlowRef {
        original: flow.reply,
        reply: flow.reply,
        ..flow
    };
    // What was asked for twice, and what comes of it: messages of the next round, or the failure.
    for (by_original, by_reply, next, failed) in [
        (Some(fresh), None, vec![CREATION], None),
        (Some(answered), None, vec![], Some(EBUSY)),
        (None, Some(other(fresh)), REPLACEMENT.to_vec(), None),
        (None, Some(other(answered)), vec![], Some(EEXIST)),
        (None, None, REPLACEMENT.to_vec(), None),
    ] {
        let (mut recorder, mut batch) = (Recorder::new(), Batch::new());
        let record = recorder.flow(&fresh);
        batch.put(Kind::Flow, record.key, record.value, 1).unwrap();
        batch.keep_answered(true);
        round(&mut batch, &[EEXIST]);
        let (asked, fence) = sent(&mut batch).unwrap();
        assert_eq!(
            asked.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
            [QUESTION; 2]
        );
        for (found, (_, sequence)) in [by_original, by_reply].iter().zip(&asked) {
            if let Some(found) = found {
                answer(&mut batch, *sequence, found);
            }
        }
        assert!(say(&mut batch, fence, 0));
        let then = sent(&mut batch).map_or(vec![], |(sent, fence)| {
            assert!(say(&mut batch, fence, 0));
            sent.into_iter().map(|(kind, _)| kind).collect()
        });
        assert_eq!(then, next);
        assert_eq!(failures(&batch), failed.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_master_is_waited_for_and_done_without_and_so_is_a_helper() {
    let (flow, mut batch) = batch_of_one();
    round(&mut batch, &[ENOENT]);
    round(&mut batch, &[ENOENT]);
    round(&mut batch, &[EOPNOTSUPP]);
    let bytes = batch.next_round().unwrap().to_vec();
    let message = messages(&bytes).next().unwrap().unwrap();
    let Some(Event::Flow(_, asked)) = decode(&message).unwrap() else {
        panic!("{message:?}");
    };
    assert_eq!((asked.master, asked.helper), (None, None));
    assert_eq!((asked.original, asked.mark), (flow.original, flow.mark));
}

#[test]
fn what_clashes_again_fails_and_what_is_refused_for_good_fails() {
    const ENOMEM: i32 = 12;
    let (_, mut batch) = batch_of_one();
    round(&mut batch, &[EEXIST]);
    round(&mut batch, &[ENOENT, ENOENT]);
    round(&mut batch, &[0, 0, 0, 0, EEXIST]);
    assert_eq!(sent(&mut batch), None);
    assert_eq!(failures(&batch), [EEXIST]);
    let (_, mut batch) = batch_of_one();
    round(&mut batch, &[ENOMEM]);
    assert_eq!(sent(&mut batch), None);
    assert_eq!(failures(&batch), [ENOMEM]);
}

#[test]
fn answers_of_an_earlier_round_are_none_of_this_one() {
    let (_, mut batch) = batch_of_one();
    let (first, _) = sent(&mut batch).unwrap();
    assert!(!say(&mut batch, first[0].1, EEXIST));
    let (_, fence) = sent(&mut batch).unwrap();
    assert!(!say(&mut batch, first[0].1, EEXIST));
    assert!(say(&mut batch, fence, 0));
    assert_eq!(failures(&batch), [0; 0]);
}

#[test]
fn an_emptied_batch_takes_the_next() {
    let (flow, mut batch) = batch_of_one();
    round(&mut batch, &[0]);
    batch.clear();
    assert!(batch.is_empty() && sent(&mut batch).is_none());
    let mut recorder = Recorder::new();
    let key = recorder.flow_key(&flow);
    batch.remove(Kind::Flow, key).unwrap();
    assert_eq!(round(&mut batch, &[ENOENT]), [DELETION]);
    assert_eq!(failures(&batch), [0; 0]);
    assert!(batch.holds(key));
    batch.clear();
    assert!(!batch.holds(key));
    while !batch.is_full() {
        batch.extend(key, 1).unwrap();
    }
    assert_eq!(batch.items.len(), RECORDS_MAX);
}

proptest! {
    /// Whatever the kernel says, it comes to an end.
    #[test]
    fn every_batch_ends(flow in samples::flow(), fates in proptest::collection::vec(0_i32..120, 40)) {
        let (mut recorder, mut batch) = (Recorder::new(), Batch::new());
        let record = recorder.flow(&flow);
        batch.put(Kind::Flow, record.key, record.value, 1).unwrap();
        let mut fates = fates.iter().map(|fate| [0, ENOENT, EEXIST, EOPNOTSUPP, *fate][*fate as usize % 5]);
        let mut rounds = 0;
        while let Some((sent, fence)) = sent(&mut batch) {
            rounds += 1;
            prop_assert!(rounds <= ROUNDS_MAX);
            for (_, sequence) in sent {
                say(&mut batch, sequence, fates.next().unwrap_or(EEXIST));
            }
            say(&mut batch, fence, 0);
        }
    }
}
