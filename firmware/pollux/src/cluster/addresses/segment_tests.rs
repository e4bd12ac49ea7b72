//! Two boxes and a client on one segment, each with a real kernel in a network namespace of its own; passed
//! over with a word where there is none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::tests::{finish, ip, two};
use super::*;
use crate::cluster::addresses::Done;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

const NETWORK: CloneFlags = CloneFlags::CLONE_NEWNET;

/// A namespace that threads go into.
struct Namespace(File);

impl Namespace {
    fn here() -> Self {
        Namespace(File::open("/proc/thread-self/ns/net").unwrap())
    }

    fn new() -> Self {
        unshare(NETWORK).unwrap();
        Namespace::here()
    }

    fn enter(&self) {
        setns(&self.0, NETWORK).unwrap();
    }
}

/// A box, its `eth0` joined to the client's bridge.
fn join(client: &Namespace, name: &str) -> Namespace {
    let namespace = Namespace::new();
    // The dataplane's work: no card answers for an address that it does not have.
    fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1").unwrap();
    client.enter();
    let (pid, fd) = (std::process::id(), namespace.0.as_raw_fd());
    let peer = format!("type veth peer name eth0 netns /proc/{pid}/fd/{fd}");
    ip(&format!("link add {name} {peer}"));
    ip(&format!("link set {name} master lan up"));
    namespace.enter();
    ip("link set eth0 up");
    namespace
}

fn take(addresses: &mut Addresses) {
    addresses.take(1);
    assert_eq!(finish(addresses).0, Done::Taken { term: 1 });
}

/// A box that has the address and no server on it refuses; nobody else says anything.
fn is_answered(address: &str) -> bool {
    let to: SocketAddr = address.parse().unwrap();
    let refused = TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap_err();
    refused.kind() == ErrorKind::ConnectionRefused
}

/// Likewise, by UDP and from an address of one's own.
fn is_refused(from: &str, to: &str) -> bool {
    let socket = UdpSocket::bind(from).unwrap();
    socket.connect(to).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket.send(b"?").unwrap();
    socket.recv(&mut [0]).unwrap_err().kind() == ErrorKind::ConnectionRefused
}

/// What the client knows of an address' hardware address.
fn learnt_of(address: &str) -> String {
    let entry = ip(&format!("neigh show {address} dev lan"));
    let mut words = entry.split(' ').skip_while(|word| *word != "lladdr");
    words.nth(1).unwrap().to_owned()
}

/// What it knows of the virtual ones'.
fn learnt() -> Vec<String> {
    ["198.51.100.10", "2001:db8::10"].map(learnt_of).to_vec()
}

fn check() {
    let client = Namespace::here();
    ip("link add lan type bridge");
    ip("link set lan up");
    ip("address add 198.51.100.50/24 dev lan");
    ip("address add 2001:db8::50/64 dev lan nodad");
    let mut config = two();
    config.virtual_mac = true;
    let castor = join(&client, "castor");
    let mut first = Addresses::open(&config, 0).unwrap();
    let pollux = join(&client, "pollux");
    let mut second = Addresses::open(&config, 1).unwrap();

    castor.enter();
    take(&mut first);
    client.enter();
    assert!(is_answered("198.51.100.10:9") && is_answered("[2001:db8::10]:9"));
    let before = learnt();

    // Castor's power is cut: whatever it was, it is on the segment no more.
    ip("link set castor down");
    pollux.enter();
    take(&mut second);
    client.enter();
    assert_eq!(learnt(), before, "nothing was to be learnt anew");
    assert!(is_answered("198.51.100.10:9") && is_answered("[2001:db8::10]:9"));
    assert_eq!(learnt(), before);

    // Its own address came after the virtual one, so that what it sends takes that one's way out.
    pollux.enter();
    ip("address add 198.51.100.3/24 dev eth0");
    ip("neigh flush all");
    assert!(is_refused("198.51.100.3:0", "198.51.100.50:9"));
    client.enter();
    let own = learnt_of("198.51.100.3");
    assert!(
        !before.contains(&own),
        "{own}: it would go with the virtual one"
    );
}

#[test]
fn a_virtual_mac_moves_and_no_neighbour_learns_anything() {
    let thread = std::thread::spawn(|| match unshare(NETWORK) {
        Ok(()) => check(),
        Err(errno) => crate::skip::skip(&format!("a network namespace wants root ({errno})")),
    });
    thread.join().unwrap();
}
