//! A twin's table is the same as the box's.

use super::world::{Who, World, conntrack, in_world, listing, talk};
use super::*;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

/// What the flows of this test are, one each.
const FLOWS: usize = 12;

/// A datagram and its answer, through the box.
fn ask_and_answer(world: &World, at: &str, from: &str) -> (UdpSocket, UdpSocket) {
    world.enter(Who::Server);
    let server = UdpSocket::bind(at).unwrap();
    world.enter(Who::Client);
    let client = UdpSocket::bind(from).unwrap();
    client.send_to(b"?", at).unwrap();
    let (_, back): (_, SocketAddr) = server.recv_from(&mut [0; 8]).unwrap();
    server.send_to(b"!", back).unwrap();
    client.recv_from(&mut [0; 8]).unwrap();
    (client, server)
}

#[test]
fn every_kind_of_flow_is_the_same_on_the_twin() {
    in_world(|world| {
        let open = world.connect_every_way();
        open.iter().for_each(talk);
        let _udp = ask_and_answer(world, "10.2.0.10:53", "10.1.0.10:5000");
        world.enter(Who::Client);
        for target in ["10.2.0.10", "2001:db8:2::10"] {
            let ping = Command::new("ping").args(["-c1", "-W5", target]).output();
            assert!(ping.unwrap().status.success(), "ping {target}");
        }
        world.enter(Who::Box);
        conntrack(
            "-I -p sctp --state ESTABLISHED --orig-vtag 17 --reply-vtag 18 -s 10.1.0.10 -d 10.2.0.10 --sport 1 --dport 2 -t 100 -u SEEN_REPLY,ASSURED",
        );
        conntrack("-I -p gre -s 10.1.0.10 -d 10.2.0.10 --srckey 1 --dstkey 2 -t 100 -m 9");
        let (here, text) = (records(Kind::Flow), listing());
        assert_eq!(text.len(), FLOWS, "{text:#?}");
        world.enter(Who::Twin);
        assert_eq!(put(Kind::Flow, &here), []);
        assert_eq!(listing(), text);
        assert_eq!(values(&records(Kind::Flow)), values(&here));
        // Once more, with all of them there.
        assert_eq!(put(Kind::Flow, &here), []);
        assert_eq!(listing(), text);
    });
}

#[test]
fn flows_of_zones_are_the_same_on_the_twin() {
    in_world(|world| {
        world.enter(Who::Box);
        let flow = "-I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 100";
        for zone in ["-w 5", "--orig-zone 6", "--reply-zone 7"] {
            conntrack(&format!("{flow} {zone}"));
        }
        let (here, text) = (records(Kind::Flow), listing());
        assert_eq!(text.len(), 3, "{text:#?}");
        world.enter(Who::Twin);
        assert_eq!(put(Kind::Flow, &here), []);
        assert_eq!(listing(), text);
        let (mut table, mut batch) = (Table::open().unwrap(), Batch::new());
        for key in here.keys() {
            batch.remove(Kind::Flow, key).unwrap();
        }
        table.apply(&mut batch).unwrap();
        assert_eq!(batch.failures().count(), 0);
        assert_eq!(listing(), [""; 0]);
    });
}
