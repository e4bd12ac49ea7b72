//! Helpers: the connections that a protocol announces inside another one pass, through a translation, and no others do.

use crate::place::{Outcome, Place, SILENCE, greeting};
use crate::world::World;
use crate::{example, seen};
use std::io::{Read, Write};
use std::net::UdpSocket;

/// Active file transfer: the server calls back where the client told it, which is behind a translation.
#[test]
fn a_helper_foresees_the_connections_that_file_transfer_announces() {
    let Some(world) = World::new("helper") else {
        return;
    };
    world.load(&example());
    let World {
        outside, inside, ..
    } = &world;
    outside.serve("198.51.100.1:21");
    inside.serve("10.0.0.50:20258");
    let call_back = |port: u16| {
        let mut control = inside
            .open("10.0.0.50", &format!("198.51.100.1:{port}"))
            .unwrap();
        greeting(&mut control);
        // The server says back what it reads. The helper wants whole lines, one after the other.
        for line in ["USER castor\r\n", "PORT 10,0,0,50,79,34\r\n"] {
            control.write_all(line.as_bytes()).unwrap();
            assert!(control.read(&mut [0; 64]).unwrap() > 0);
        }
        let outcome = outside.tcp("198.51.100.1", "198.51.100.10:20258");
        (outcome, control)
    };
    let (outcome, _control) = call_back(21);
    assert_eq!(outcome, seen("198.51.100.1"));
    // Foreseen once, and only for connections that a helper reads.
    assert_eq!(
        outside.tcp("198.51.100.1", "198.51.100.10:20258"),
        Outcome::Silence
    );
    outside.serve("198.51.100.1:2121");
    assert_eq!(call_back(2121).0, Outcome::Silence);
}

/// A socket of a place, which waits no longer than silence is watched.
fn socket(place: &Place, address: &'static str) -> UdpSocket {
    let socket = place.here(move || UdpSocket::bind(address).unwrap());
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket
}

fn with_helper(protocol: &str) -> String {
    format!(
        "{}\n[[helper]]\nprotocol = \"{protocol}\"\nfrom = \"inside\"\n",
        example()
    )
}

/// The server of TFTP answers from a port of its own (RFC 1350, section 4).
#[test]
fn a_helper_foresees_the_answers_of_trivial_file_transfer() {
    let is_answered = |name: &str, config: &str| {
        let world = World::new(name)?;
        world.load(config);
        let server = socket(&world.outside, "198.51.100.1:69");
        let transfer = socket(&world.outside, "198.51.100.1:4069");
        let client = socket(&world.inside, "10.0.0.50:2069");
        let mut buffer = [0; 64];
        client
            .send_to(b"\0\x01file\0octet\0", "198.51.100.1:69")
            .unwrap();
        let (_, masqueraded) = server.recv_from(&mut buffer).unwrap();
        transfer.send_to(b"\0\x03\0\x01data", masqueraded).unwrap();
        Some(client.recv_from(&mut buffer).is_ok())
    };
    let Some(without) = is_answered("no-tftp", &example()) else {
        return;
    };
    assert!(!without);
    assert_eq!(is_answered("tftp", &with_helper("tftp")), Some(true));
}

/// A caller names the port where it listens for the voice (RFC 4566): behind a translation it is reached there by the
/// address that the helper writes instead.
#[test]
fn a_helper_foresees_the_voice_of_a_call() {
    let call = |name: &str, config: &str| {
        let world = World::new(name)?;
        world.load(config);
        let callee = socket(&world.outside, "198.51.100.1:5060");
        let voice = socket(&world.outside, "198.51.100.1:4000");
        let caller = socket(&world.inside, "10.0.0.50:5060");
        let listener = socket(&world.inside, "10.0.0.50:4000");
        caller
            .send_to(invitation().as_bytes(), "198.51.100.1:5060")
            .unwrap();
        let mut buffer = [0; 2048];
        let (length, _) = callee.recv_from(&mut buffer).unwrap();
        let read = String::from_utf8_lossy(buffer.get(..length).unwrap()).into_owned();
        voice.send_to(b"hello", "198.51.100.10:4000").unwrap();
        Some((read, listener.recv_from(&mut [0; 16]).is_ok()))
    };
    let Some((read, is_heard)) = call("no-sip", &example()) else {
        return;
    };
    assert!(read.contains("c=IN IP4 10.0.0.50\r\n") && !is_heard);
    let (read, is_heard) = call("sip", &with_helper("sip")).unwrap();
    assert!(read.contains("c=IN IP4 198.51.100.10\r\n"), "{read}");
    assert!(read.contains("m=audio 4000 ") && is_heard, "{read}");
}

fn invitation() -> String {
    let session = "v=0\r\no=castor 1 1 IN IP4 10.0.0.50\r\ns=-\r\nc=IN IP4 10.0.0.50\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0\r\n";
    format!(
        "INVITE sip:pollux@198.51.100.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.50:5060;branch=z9hG4bK1\r\n\
         From: <sip:castor@10.0.0.50>;tag=1\r\n\
         To: <sip:pollux@198.51.100.1>\r\n\
         Call-ID: 1@10.0.0.50\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:castor@10.0.0.50:5060>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{session}",
        session.len()
    )
}
