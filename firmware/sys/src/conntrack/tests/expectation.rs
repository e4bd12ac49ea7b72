//! Helpers: what FTP's expects of its control connection is there on the twin, and the data connection comes through.

use super::world::{Who, conntrack, in_world, listing, talk};
use super::*;
use nix::libc;
use std::io::{Read, Write};

/// What conntrack(8) lists, without what runs.
fn expected() -> Vec<String> {
    let lines = conntrack("-L expect");
    let mut lines: Vec<String> = lines
        .lines()
        .map(|line| {
            let words = line.split_whitespace();
            words.skip(1).collect::<Vec<_>>().join(" ")
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn an_ftp_transfer_begins_on_the_box_and_goes_through_the_twin() {
    in_world(|world| {
        let mut control = world.connect("10.2.0.10:21", "10.2.0.10:21");
        // The helper looks for answers at the beginning of a line.
        for answer in [
            "220 Welcome\r\n",
            "227 Entering Passive Mode (10,2,0,10,200,1).\r\n",
        ] {
            control.1.write_all(answer.as_bytes()).unwrap();
            control.0.read_exact(&mut vec![0; answer.len()]).unwrap();
        }
        world.enter(Who::Box);
        let (flows, expectations) = (records(Kind::Flow), records(Kind::Expectation));
        let (text, waits) = (listing(), expected());
        assert_eq!((text.len(), waits.len()), (1, 1), "{text:?} {waits:?}");
        world.enter(Who::Twin);
        // The master is not there: said, and to be put again.
        assert_eq!(put(Kind::Expectation, &expectations), [libc::ENOENT]);
        assert_eq!(put(Kind::Flow, &flows), []);
        for _ in 0..2 {
            assert_eq!(put(Kind::Expectation, &expectations), []);
        }
        assert_eq!(listing(), text);
        assert_eq!(expected(), waits);
        assert_eq!(values(&records(Kind::Expectation)), values(&expectations));
        world.take_over();
        let data = world.connect("10.2.0.10:51201", "10.2.0.10:51201");
        talk(&data);
        world.enter(Who::Twin);
        let flows = records(Kind::Flow);
        let text = listing();
        assert!(
            values(&flows).values().any(|value| value.len() > 25),
            "no master: {text:?}"
        );
        // A child whose master is in the same batch, behind it; then one whose master is nowhere.
        conntrack("-F");
        let backwards: Vec<_> = flows.iter().rev().collect();
        let (mut table, mut batch) = (Table::open().unwrap(), Batch::new());
        for (key, (value, lifetime_s)) in backwards {
            batch.put(Kind::Flow, key, value, *lifetime_s).unwrap();
        }
        table.apply(&mut batch).unwrap();
        assert_eq!(batch.failures().count(), 0);
        assert_eq!(listing(), text);
        conntrack("-F");
        for (key, record) in &flows {
            conntrack("-F");
            let alone = Records::from([(key.clone(), record.clone())]);
            assert_eq!(put(Kind::Flow, &alone), []);
            assert_eq!(records(Kind::Flow).len(), 1);
        }
    });
}
