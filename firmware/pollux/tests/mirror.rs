//! A transfer through a pair of daemons that translate addresses, each in a network namespace of its own, goes on when
//! the active one dies, hands over and dies again: both kernels hold its connection. Rules let nothing pass whose
//! connection they do not know, so that what goes on proves it.

#![allow(clippy::unwrap_used, clippy::panic)]
// What is shared is `pub`, and not every test needs all of it.
#![allow(unreachable_pub, dead_code)]

mod daemons;

use daemons::networks::{interface, link, patient, virtual_address};
use daemons::{Daemon, IMAGE, LIMIT, order, run, send, worker};
use plan::config::Config;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// What lies behind the pair.
const SERVER: &str = "198.51.100.100:7000";
const BLOCK_BYTES: usize = 4096;

/// Rules as of a strict firewall: new connections from clients only, known ones both ways, translated to the virtual
/// address; what belongs to none is dropped.
const RULES: &str = "
    table ip test {
        chain forward {
            type filter hook forward priority 0; policy drop;
            ct state established,related accept
            iifname eth0 ct state new tcp flags & (syn | ack) == syn accept
        }
        chain out {
            type nat hook postrouting priority 100;
            iifname eth0 oifname eth1 snat to 198.51.100.10
        }
    }";

/// Clients on eth0, servers on eth1, and a wire of their own for the boxes.
fn config() -> Config {
    let mut config = patient();
    config.interfaces = vec![
        interface("lan", "eth0", "192.0.2"),
        interface("servers", "eth1", "198.51.100"),
        interface("sync", "eth2", "203.0.113"),
    ];
    config.virtual_addresses = vec![
        virtual_address("192.0.2.10", 0),
        virtual_address("198.51.100.10", 1),
    ];
    config.links = vec![link(0), link(2)];
    config
}

fn ip(arguments: &str) {
    run("ip", &arguments.split(' ').collect::<Vec<_>>());
}

fn set(node: &str, path: &str, value: &str) {
    let script = format!("echo {value} > /proc/sys/{path}");
    run("ip", &["netns", "exec", node, "sh", "-c", &script]);
}

/// Two machines, a client, a server, and the segments between them.
fn furnish() {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    run("mkdir", &["/run/netns"]);
    for name in ["wires", "client", "server"] {
        ip(&format!("netns add {name}"));
    }
    for bridge in ["br0", "br1"] {
        ip(&format!("-n wires link add {bridge} type bridge"));
        ip(&format!("-n wires link set {bridge} up"));
    }
    for (name, address, network, router) in [
        ("client", "192.0.2.100/24", "198.51.100.0/24", "192.0.2.10"),
        (
            "server",
            "198.51.100.100/24",
            "192.0.2.0/24",
            "198.51.100.10",
        ),
    ] {
        plug_in(name, "eth0", if name == "client" { "br0" } else { "br1" });
        ip(&format!("-n {name} address add {address} dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} route add {network} via {router}"));
    }
    ip("-n wires link add br2 type bridge");
    ip("-n wires link set br2 up");
    fs::write(IMAGE, plan::image::encode(&config(), 1).unwrap()).unwrap();
}

/// A card, and its cable to a bridge.
fn plug_in(node: &str, card: &str, bridge: &str) {
    let port = format!("{node}-{card}");
    let wire = format!("link add {card} netns {node} type veth peer name {port} netns wires");
    ip(&wire);
    ip(&format!("-n wires link set {port} master {bridge} up"));
}

/// A machine that has just been switched on, and its daemon.
fn power_on(node: &'static str) -> Daemon {
    ip(&format!("netns add {node}"));
    for (card, bridge) in [("eth0", "br0"), ("eth1", "br1"), ("eth2", "br2")] {
        plug_in(node, card, bridge);
    }
    set(node, "net/ipv4/ip_forward", "1");
    let mut nft = Command::new("ip");
    let loaded = nft.args(["netns", "exec", node, "nft", RULES]).output();
    let loaded = loaded.unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    // What is met in its middle is nobody's.
    set(node, "net/netfilter/nf_conntrack_tcp_loose", "0");
    Daemon::start(node)
}

/// All that it is dies at once: cables first, then the processes, then the kernel's tables.
fn cut_power(daemon: Daemon) {
    let node = daemon.node;
    for card in ["eth0", "eth1", "eth2"] {
        ip(&format!("-n wires link delete {node}-{card}"));
    }
    daemon.kill();
    ip(&format!("netns delete {node}"));
}

/// This program once more, in another namespace.
fn helper(node: &str, test: &str) -> Child {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", node]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--exact", test]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
#[ignore = "started by the test below"]
fn server() {
    let listener = TcpListener::bind(SERVER).unwrap();
    println!("listening");
    let (mut stream, _) = listener.accept().unwrap();
    let mut block = [0; BLOCK_BYTES];
    while stream.read_exact(&mut block).is_ok() {
        stream.write_all(&block).unwrap();
    }
}

/// Sends blocks and gets them back, each another one, until its input ends.
#[test]
#[ignore = "started by the test below"]
fn client() {
    let mut stream = TcpStream::connect(SERVER).unwrap();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        sender.send(())
    });
    let mut number = 0_u64;
    while ended.try_recv().is_err() {
        let block: Vec<u8> = (0..BLOCK_BYTES as u64 / 8)
            .flat_map(|at| (number << 16 | at).to_le_bytes())
            .collect();
        stream.write_all(&block).unwrap();
        let mut echoed = [0; BLOCK_BYTES];
        stream.read_exact(&mut echoed).unwrap();
        assert!(block == echoed, "block {number} came back as another one");
        number += 1;
        if number.is_multiple_of(100) {
            println!("blocks {number}");
        }
    }
    println!("all {number} came back");
}

/// A client and its server, and what the client says.
struct Transfer {
    client: Child,
    server: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Kept, because who writes to nobody fails.
    server_lines: Receiver<String>,
}

impl Transfer {
    fn start() -> Self {
        let mut server = helper("server", "server");
        let server_lines = lines(&mut server);
        wait(&server_lines, "listening");
        let mut client = helper("client", "client");
        let input = client.stdin.take().unwrap();
        let lines = lines(&mut client);
        Transfer {
            client,
            server,
            input,
            lines,
            server_lines,
        }
    }

    /// What was said so far does not count.
    fn goes_on(&self) {
        while self.lines.try_recv().is_ok() {}
        for _ in 0..5 {
            wait(&self.lines, "blocks");
        }
    }

    fn end(mut self) {
        drop(self.input);
        wait(&self.lines, "came back");
        assert!(self.client.wait().unwrap().success());
        assert!(self.server.wait().unwrap().success());
        drop(self.server_lines);
    }
}

fn lines(child: &mut Child) -> Receiver<String> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        lines.all(|line| sender.send(line).is_ok())
    });
    lines
}

fn wait(lines: &Receiver<String>, words: &str) {
    loop {
        let line = lines.recv_timeout(LIMIT);
        let line = line.unwrap_or_else(|_| panic!("never said: {words}"));
        if line.contains(words) {
            return;
        }
    }
}

#[test]
#[ignore = "started by the test below, in namespaces of its own"]
fn inside_a_transfer_survives() {
    assert_eq!(std::process::id(), 1, "not in a namespace of its own");
    furnish();
    let castor = power_on("castor");
    let pollux = power_on("pollux");
    castor.wait_for("active, ready");
    pollux.wait_for("in sync");
    let transfer = Transfer::start();
    transfer.goes_on();

    // The planned way, and back.
    take_over(&pollux);
    transfer.goes_on();
    take_over(&castor);
    transfer.goes_on();

    // A worker that dies finds its way back, and the kernel holds what it held.
    send("KILL", &worker("pollux", "sync"));
    pollux.wait_for("killed by SIGKILL");
    pollux.wait_for("in sync");

    cut_power(castor);
    pollux.wait_for("active, ready");
    transfer.goes_on();

    // A box that comes back empty is told everything, and may die the next time.
    let castor = power_on("castor");
    castor.wait_for("in sync");
    let (_, status) = order("castor", "status");
    assert!(status.contains("connections: in sync"), "{status}");
    cut_power(pollux);
    castor.wait_for("active, ready");
    transfer.goes_on();
    transfer.end();
}

/// By the operator's word, which waits for sync.
fn take_over(daemon: &Daemon) {
    assert!(order(daemon.node, "takeover").0);
    daemon.wait_for("active, ready");
}

#[test]
fn a_transfer_survives_the_death_of_the_active_daemon() {
    if Command::new("nft").arg("--version").output().is_err() {
        daemons::skip("nft is not installed");
        return;
    }
    daemons::run_inside("inside_a_transfer_survives");
}
