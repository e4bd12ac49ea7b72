//! A daemon takes another config while connections pass through it: those that the new rules allow go on, those that
//! they forbid end, and a config that is torn, wants a restart or is refused by the kernel leaves all as it was. nft(8)
//! is the judge. All of it happens in namespaces that end with the test.

#![allow(clippy::unwrap_used, clippy::panic)]
// What is shared is `pub`, and not every test needs all of it.
#![allow(unreachable_pub, dead_code)]

mod daemons;

use daemons::networks::{interface, prefix};
use daemons::{Daemon, IMAGE, LIMIT, order, run, samples, worker};
use plan::config::firewall::{
    Action, Helper, HelperProtocol, PortRange, Rule, Side, Traffic, Transport, Zone,
};
use plan::config::{Config, Route};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const SERVER: &str = "198.51.100.100";
/// Allowed by all configs.
const KEPT: u16 = 7000;
/// Allowed by the first one alone.
const DOOMED: u16 = 7001;
/// Names the port that a helper is about.
const PORT: &str = "POLLUX_TEST_PORT";
const BLOCK_BYTES: usize = 4096;
/// Most of them at one hook in a network namespace (MAX_HOOK_COUNT in net/netfilter/core.c).
const HOOKS_MAX: usize = 1024;

fn rule(ports: &[u16]) -> Rule {
    let range = |port: &u16| PortRange {
        first: *port,
        last: *port,
    };
    Rule {
        name: "transfers".into(),
        traffic: Traffic {
            from: vec![Side::Zone(0)],
            to: vec![Side::Zone(1)],
            protocols: vec![Transport::Tcp],
            ports: ports.iter().map(range).collect(),
            ..Traffic::default()
        },
        states: Vec::new(),
        limit: None,
        connections_max: None,
        log: None,
        action: Action::Accept,
    }
}

/// Clients on eth0, servers on eth1, and what may pass from those to these.
fn config(ports: &[u16]) -> Config {
    let mut config = samples::config();
    config.interfaces = vec![
        interface("lan", "eth0", "192.0.2"),
        interface("servers", "eth1", "198.51.100"),
    ];
    let zone = |name: &str, interface| Zone {
        name: name.into(),
        interfaces: vec![interface],
        anti_spoofing: true,
    };
    config.firewall.zones = vec![zone("outside", 0), zone("inside", 1)];
    config.firewall.rules = vec![rule(ports)];
    config
}

fn write(config: &Config, generation: u64) {
    fs::write(IMAGE, plan::image::encode(config, generation).unwrap()).unwrap();
}

fn ip(arguments: &str) -> String {
    run("ip", &arguments.split(' ').collect::<Vec<_>>())
}

/// A machine to be, and on either side of it a client and a server.
fn furnish() {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    run("mkdir", &["/run/netns"]);
    ip("netns add castor");
    for (name, card, address, network, router) in [
        (
            "client",
            "eth0",
            "192.0.2.100",
            "198.51.100.0/24",
            "192.0.2.1",
        ),
        ("server", "eth1", SERVER, "192.0.2.0/24", "198.51.100.1"),
    ] {
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add eth0 netns {name} type veth peer name {card} netns castor"
        ));
        ip(&format!("-n {name} address add {address}/24 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} route add {network} via {router}"));
    }
    let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    run("ip", &["netns", "exec", "castor", "sh", "-c", forward]);
    write(&config(&[KEPT, DOOMED]), 1);
}

/// The table of the box as nft(8) lists it, without what it counted.
fn rules() -> String {
    let listed = ip("netns exec castor nft list table inet pollux");
    let words = listed.split_inclusive([' ', '\n']);
    let text = words.filter(|word| word.trim().parse::<u64>().is_err());
    text.collect()
}

/// This program once more, in another namespace.
fn helper(node: &str, test: &str, port: u16) -> (Child, Receiver<String>) {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", node]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--exact", test]);
    let command = command.env(PORT, port.to_string()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        lines.all(|line| sender.send(line).is_ok())
    });
    (child, lines)
}

fn port() -> u16 {
    std::env::var(PORT).unwrap().parse().unwrap()
}

#[test]
#[ignore = "started by the test below"]
fn server() {
    let listener = TcpListener::bind((SERVER, port())).unwrap();
    println!("listening");
    let (mut stream, _) = listener.accept().unwrap();
    let mut block = [0; BLOCK_BYTES];
    while stream.read_exact(&mut block).is_ok() {
        stream.write_all(&block).unwrap();
    }
}

/// A client that has heard nothing for so long says one byte more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Fills `echoed` with what comes back of `sent`. A connection that was cut while only its server had something to say is
/// still to be reset here: who speaks next is told.
fn hear(stream: &mut TcpStream, sent: &mut VecDeque<u8>, echoed: &mut [u8]) -> std::io::Result<()> {
    let mut filled = 0;
    while filled < echoed.len() {
        match stream.read(echoed.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.write_all(&[0])?;
                sent.push_back(0);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends blocks and gets them back, each another one, until its connection breaks.
#[test]
#[ignore = "started by the test below"]
fn client() {
    let mut stream = TcpStream::connect((SERVER, port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sent = VecDeque::new();
    for number in 0_u64.. {
        let words = (0..BLOCK_BYTES as u64 / 8).map(|at| number << 16 | at);
        let block: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let mut echoed = [0; BLOCK_BYTES];
        sent.extend(&block);
        let exchanged = stream
            .write_all(&block)
            .and_then(|()| hear(&mut stream, &mut sent, &mut echoed));
        if let Err(error) = exchanged {
            println!("broken: {error}");
            return;
        }
        assert!(
            sent.drain(..BLOCK_BYTES).eq(echoed),
            "block {number} came back as another one"
        );
        if number.is_multiple_of(100) {
            println!("blocks {number}");
        }
    }
}

/// A client and its server, and what the client says.
struct Transfer {
    processes: [Child; 2],
    lines: Receiver<String>,
    /// Kept, because who writes to nobody fails.
    server_lines: Receiver<String>,
}

impl Transfer {
    fn start(port: u16) -> Self {
        let (server, server_lines) = helper("server", "server", port);
        wait(&server_lines, "listening");
        let (client, lines) = helper("client", "client", port);
        let transfer = Transfer {
            processes: [server, client],
            lines,
            server_lines,
        };
        transfer.goes_on();
        transfer
    }

    /// What was said so far does not count.
    fn goes_on(&self) {
        while let Ok(line) = self.lines.try_recv() {
            assert!(!line.contains("broken"), "{line}");
        }
        for _ in 0..5 {
            wait(&self.lines, "blocks");
        }
    }

    /// Its client is told; the server hears nothing any more.
    fn breaks(self) {
        wait(&self.lines, "broken");
        self.dismiss();
    }

    fn end(self) {
        self.goes_on();
        self.dismiss();
    }

    fn dismiss(mut self) {
        for process in &mut self.processes {
            // Some have ended.
            let _ = process.kill();
            process.wait().unwrap();
        }
    }
}

fn wait(lines: &Receiver<String>, words: &str) {
    loop {
        let line = lines.recv_timeout(LIMIT);
        let line = line.unwrap_or_else(|_| panic!("never said: {words}"));
        assert!(words == "broken" || !line.contains("broken"), "{line}");
        if line.contains(words) {
            return;
        }
    }
}

/// The operator's word; what it says, on failure.
fn refused() -> String {
    let (done, said) = order("castor", "reload");
    assert!(!done, "{said}");
    said
}

fn status() -> String {
    order("castor", "status").1
}

/// Nothing is as the refused config would have it.
fn nothing_has_changed(before: &str, kept: &Transfer) {
    assert_eq!(rules(), before);
    let status = status();
    assert!(
        status.contains("generation 2,") && status.contains("refused"),
        "{status}"
    );
    kept.goes_on();
}

fn what_is_no_config_changes_nothing(castor: &Daemon, kept: &Transfer) {
    let before = rules();
    let mut torn = plan::image::encode(&config(&[]), 3).unwrap();
    torn.truncate(90);
    fs::write(IMAGE, torn).unwrap();
    castor.signal("HUP");
    castor.wait_for("reload refused: ");
    nothing_has_changed(&before, kept);
    assert!(refused().contains("cut short"));

    let mut other = config(&[]);
    other.cluster.key = [8; 32];
    other.cluster.name.push('x');
    write(&other, 3);
    let said = refused();
    assert!(
        said.contains(": name, key; nothing was changed: restart the standby's"),
        "{said}"
    );
    nothing_has_changed(&before, kept);
}

/// Every place at a hook is taken, so that there is none for a chain that the old rules did not need.
fn what_the_kernel_refuses_changes_nothing(kept: &Transfer) {
    let before = rules();
    let fits = (0..HOOKS_MAX).rev().any(fill_hook);
    assert!(fits, "no table of chains is small enough");
    let mut next = config(&[DOOMED]);
    next.firewall.helpers.push(Helper {
        protocol: HelperProtocol::Ftp,
        from: vec![Side::Zone(0)],
        ports: vec![21],
    });
    write(&next, 3);
    let said = refused();
    assert!(said.contains("the kernel refuses its firewall: "), "{said}");
    nothing_has_changed(&before, kept);
    ip("netns exec castor nft delete table inet filler");
}

/// Whether the hook that helpers need takes so many chains of a stranger's.
fn fill_hook(chains: usize) -> bool {
    let mut filler = String::from("table inet filler {\n");
    for number in 0..chains {
        let hook = "type filter hook prerouting priority 300;";
        let _ = writeln!(filler, "chain c{number} {{\n{hook}\n}}");
    }
    filler.push_str("}\n");
    fs::write("/run/filler", filler).unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "castor", "nft", "-f", "/run/filler"]);
    command.output().unwrap().status.success()
}

#[test]
#[ignore = "started by the test below, in namespaces of its own"]
fn inside_a_daemon_takes_another_config() {
    assert_eq!(std::process::id(), 1, "not in a namespace of its own");
    furnish();
    let castor = Daemon::start("castor");
    castor.wait_for("active, ready");
    let kept = Transfer::start(KEPT);
    let doomed = Transfer::start(DOOMED);
    let workers = ["cluster", "dataplane", "sync", "control"];
    let processes = workers.map(|name| worker("castor", name));

    // As `systemctl reload` does.
    let mut next = config(&[KEPT]);
    next.routes.push(Route {
        to: prefix("203.0.113.0"),
        via: SERVER.parse().unwrap(),
        interface: None,
    });
    write(&next, 2);
    castor.signal("HUP");
    castor.wait_for("config: generation 2 from ");
    assert!(ip("-n castor route").contains("203.0.113.0/24 via"));
    doomed.breaks();
    kept.goes_on();
    let status = status();
    assert!(status.contains("config:     generation 2,"), "{status}");
    let (_, text) = order("castor", "config");
    assert!(text.contains("203.0.113.0/24"), "{text}");

    what_is_no_config_changes_nothing(&castor, &kept);
    what_the_kernel_refuses_changes_nothing(&kept);

    // The operator's word, and back to what was: the last refusal is forgotten.
    write(&config(&[KEPT, DOOMED]), 4);
    let (done, said) = order("castor", "reload");
    assert!(done && said.contains("generation 4 from "), "{said}");
    let (done, said) = order("castor", "reload");
    assert!(done && said.contains("nothing to do"), "{said}");
    assert!(!self::status().contains("refused"));
    assert!(!ip("-n castor route").contains("203.0.113.0"));
    Transfer::start(DOOMED).end();
    kept.end();

    // Nobody was started anew for rules and routes.
    assert_eq!(workers.map(|name| worker("castor", name)), processes);
    assert!(castor.end("TERM").success());
}

#[test]
fn a_daemon_takes_another_config() {
    if Command::new("nft").arg("--version").output().is_err() {
        daemons::skip("nft is not installed");
        return;
    }
    daemons::run_inside("inside_a_daemon_takes_another_config");
}
