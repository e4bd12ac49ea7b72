//! A transfer through a pair of daemons that translate addresses, each in a network namespace of its own. Rules let
//! nothing pass whose connection they do not know, so that what goes on after a takeover proves that it is known.

use crate::daemons::networks::{interface, link, patient, virtual_address};
use crate::daemons::{Daemon, IMAGE, LIMIT, run};
use plan::config::Config;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// What lies behind the pair.
const SERVER: &str = "198.51.100.100:7000";
const BLOCK_BYTES: usize = 4096;
/// Between two blocks: the daemons need the processor, too.
const PACE: Duration = Duration::from_millis(1);

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
pub fn furnish() {
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

/// A machine that has just been switched on, and its daemon with these options.
pub fn power_on(node: &'static str, options: &[&str]) -> Daemon {
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
    Daemon::start_with(node, options)
}

/// All that it is dies at once: cables first, then the processes, then the kernel's tables.
pub fn cut_power(daemon: Daemon) {
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
#[ignore = "started by a transfer"]
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
#[ignore = "started by a transfer"]
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
        thread::sleep(PACE);
        if number.is_multiple_of(100) {
            println!("blocks {number}");
        }
    }
    println!("all {number} came back");
}

/// A client and its server, and what the client says.
pub struct Transfer {
    client: Child,
    server: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Kept, because who writes to nobody fails.
    server_lines: Receiver<String>,
}

impl Transfer {
    pub fn start() -> Self {
        let mut server = helper("server", "transfer::server");
        let server_lines = lines(&mut server);
        wait(&server_lines, "listening");
        let mut client = helper("client", "transfer::client");
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
    pub fn goes_on(&self) {
        while self.lines.try_recv().is_ok() {}
        for _ in 0..5 {
            wait(&self.lines, "blocks");
        }
    }

    pub fn end(mut self) {
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
