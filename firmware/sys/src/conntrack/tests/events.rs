//! What is heard of the kernel, and what is not.

use super::world::{Who, conntrack, in_world, talk};
use super::*;
use netlink::conntrack::{Questions, SEEN_REPLY};

/// Room for all that a test does.
const ROOM_BYTES: usize = 1 << 20;

#[test]
fn a_connection_is_told_from_its_beginning_to_its_end() {
    in_world(|world| {
        world.enter(Who::Box);
        let mut events = Events::open(ROOM_BYTES, None).unwrap();
        let connection = world.connect("10.2.0.10:80", "10.2.0.10:80");
        talk(&connection);
        world.enter(Who::Box);
        conntrack("-D -p tcp");
        let (words, ended) = heard(&mut events);
        assert_eq!(ended, Heard::All);
        assert_eq!(
            words,
            [
                "New 6 SYN_SENT",
                "Updated 6 SYN_RECV",
                "Updated 6 ESTABLISHED",
                "Destroyed 6 ESTABLISHED"
            ]
        );
    });
}

#[test]
fn our_own_changes_are_not_heard_and_those_of_others_are() {
    in_world(|world| {
        world.enter(Who::Box);
        conntrack("-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 100");
        let flows = records(Kind::Flow);
        world.enter(Who::Twin);
        let (mut table, mut batch) = (Table::open().unwrap(), Batch::new());
        let mut events = Events::open(ROOM_BYTES, Some(&table)).unwrap();
        for (key, (value, lifetime_s)) in &flows {
            batch.put(Kind::Flow, key, value, *lifetime_s).unwrap();
            table.apply(&mut batch).unwrap();
            batch.clear();
            batch.remove(Kind::Flow, key).unwrap();
            table.apply(&mut batch).unwrap();
        }
        assert_eq!(records(Kind::Flow), Records::new());
        conntrack("-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 100");
        let (words, ended) = heard(&mut events);
        assert_eq!((words, ended), (vec!["New 17 -".to_owned()], Heard::All));
    });
}

#[test]
fn a_flow_that_begins_unheard_is_heard_of_when_it_changes() {
    in_world(|world| {
        world.enter(Who::Box);
        let mut events = Events::open(ROOM_BYTES, None).unwrap();
        events.hear_new(false).unwrap();
        conntrack("-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 100");
        assert_eq!(heard(&mut events), (Vec::new(), Heard::All));
        events.hear_new(true).unwrap();
        conntrack("-U -p udp -s 192.0.2.1 -u SEEN_REPLY");
        conntrack("-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 3 --dport 2 -t 100");
        let words = ["Updated 17 -", "New 17 -"].map(str::to_owned).to_vec();
        assert_eq!(heard(&mut events), (words, Heard::All));
    });
}

#[test]
fn what_an_event_leaves_out_is_asked_for() {
    in_world(|world| {
        world.enter(Who::Box);
        conntrack(
            "-I -p tcp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 100 --state ESTABLISHED",
        );
        let (mut table, mut questions) = (Table::open().unwrap(), Questions::new());
        let mut dump = Dump::begin(Kind::Flow).unwrap();
        dump.step(|event| {
            if let Event::Flow(_, flow) = event {
                questions.ask(flow);
            }
        })
        .unwrap();
        conntrack("-U -p tcp -s 192.0.2.1 --state FIN_WAIT -u SEEN_REPLY");
        let mut answers = Vec::new();
        table
            .ask(&mut questions, |flow| {
                let name = flow.state.and_then(|state| state.name());
                answers.push((name, flow.is(SEEN_REPLY), flow.is_whole()));
            })
            .unwrap();
        assert_eq!(answers, [(Some("FIN_WAIT"), true, true)]);
        conntrack("-F");
        table
            .ask(&mut questions, |flow| panic!("{flow:?}"))
            .unwrap();
    });
}

#[test]
fn an_overrun_is_told() {
    in_world(|world| {
        world.enter(Who::Box);
        let mut events = Events::open(1, None).unwrap();
        let (mut table, mut batch) = (Table::open().unwrap(), Batch::new());
        conntrack("-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 100");
        let (key, (value, _)) = records(Kind::Flow).pop_first().unwrap();
        for port in 0..u8::try_from(netlink::conntrack::RECORDS_MAX).unwrap() {
            let mut key = key.clone();
            *key.last_mut().unwrap() = port;
            batch.put(Kind::Flow, &key, &value, 100).unwrap();
        }
        table.apply(&mut batch).unwrap();
        let (_, ended) = heard(&mut events);
        assert_eq!(ended, Heard::Overrun);
        assert_eq!(heard(&mut events).1, Heard::All);
    });
}

#[test]
fn a_long_table_is_read_in_pieces() {
    in_world(|world| {
        world.enter(Who::Box);
        conntrack("-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 100");
        let (key, value) = records(Kind::Flow).pop_first().unwrap();
        let keys = (0..2000_u16).map(|port| {
            let mut key = key.clone();
            let length = key.len();
            key[length - 2..].copy_from_slice(&port.to_be_bytes());
            (key, value.clone())
        });
        let all: Records = keys.collect();
        assert_eq!(put(Kind::Flow, &all), []);
        let mut dump = Dump::begin(Kind::Flow).unwrap();
        let (mut pieces, mut count) = (0, 0);
        let mut progress = Progress::More;
        while progress == Progress::More {
            let before = count;
            progress = dump.step(|_| count += 1).unwrap();
            assert!(count - before < 400, "{} at once", count - before);
            pieces += 1;
        }
        assert_eq!(count, 2000);
        assert!(pieces > 5, "{pieces} pieces");
        conntrack("-F");
    });
}
