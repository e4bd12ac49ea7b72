//! Connections go on through a box that never saw their beginning.

use super::world::{Who, in_world, run, talk};
use super::*;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn connections_go_on_through_the_twin() {
    in_world(|world| {
        let open = world.connect_every_way();
        open.iter().for_each(talk);
        world.enter(Who::Box);
        let flows = records(Kind::Flow);
        world.enter(Who::Twin);
        assert_eq!(put(Kind::Flow, &flows), []);
        world.take_over();
        open.iter().for_each(talk);
    });
}

/// A reset passes as well, as the first packet or later: the twin has to believe it without having seen a number.
#[test]
fn connections_are_reset_through_the_twin() {
    in_world(|world| {
        let open = [1, 2, 3, 4, 5, 6, 7, 8].map(|port| {
            let address = format!("10.2.0.10:{}", 8000 + port);
            world.connect(&address, &address)
        });
        world.enter(Who::Box);
        let flows = records(Kind::Flow);
        world.enter(Who::Twin);
        assert_eq!(put(Kind::Flow, &flows), []);
        world.take_over();
        for (number, (client, mut server)) in open.into_iter().enumerate() {
            if number % 2 == 0 {
                let both = (client, server);
                talk(&both);
                server = both.1;
                reset(both.0);
            } else {
                reset(client);
            }
            let end = server.read(&mut [0; 8]).map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "connection {number}");
        }
    });
}

/// Closes with RST.
fn reset(stream: TcpStream) {
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &at_once).unwrap();
    drop(stream);
}

/// What the first test shows would be nothing if connections went on anyhow.
#[test]
fn without_its_flows_a_twin_passes_nothing() {
    in_world(|world| {
        let (_client, mut server) = world.connect("10.2.0.10:83", "10.2.0.10:83");
        world.take_over();
        server.write_all(b"lost").unwrap();
        world.enter(Who::Twin);
        let deadline = Instant::now() + Duration::from_secs(20);
        let rules = ["list", "chain", "inet", "firewall", "forward"];
        while run("nft", &rules, "").contains("counter packets 0 ") {
            assert!(Instant::now() < deadline, "nothing was dropped");
        }
        assert_eq!(records(Kind::Flow).len(), 0);
    });
}
