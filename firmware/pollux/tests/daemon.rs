//! A pair of daemons, each in a network namespace of its own, from start to end: one is killed, comes back, and the other
//! is told to end. All of it happens in namespaces that end with the test; no machine's network is touched.

#![allow(clippy::unwrap_used, clippy::panic)]
// What is shared with the unit tests is `pub` for them.
#![allow(unreachable_pub)]

#[path = "../src/samples.rs"]
mod samples;

use plan::config::{Cast, Config, Link, Prefix, Timing, VirtualAddress};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const POLLUX: &str = env!("CARGO_BIN_EXE_pollux");
const IMAGE: &str = "/run/pair.plx";
const VIRTUAL: &str = "192.0.2.10/24";
/// On castor's eth0 before us, and not in the config.
const FOREIGN: &str = "192.0.2.77/24";
/// A busy machine may stand still for seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// With a dead time that a busy machine does not exceed.
fn config() -> Config {
    let mut config = samples::config();
    config.cluster.timing = Timing::Explicit {
        beat_ms: 100,
        dead_ms: 1000,
    };
    config.virtual_addresses.push(VirtualAddress {
        prefix: Prefix {
            address: "192.0.2.10".parse().unwrap(),
            length: 24,
        },
        interface: 0,
    });
    config.links = vec![Link::Udp {
        interface: 0,
        port: 694,
        cast: Cast::Unicast,
    }];
    config
}

/// A daemon and what it says.
struct Daemon {
    node: &'static str,
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    fn start(node: &'static str) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", node, POLLUX, "run", "--config", IMAGE]);
        command.args(["--node", node, "--run-dir", &run_dir(node)]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                println!("{node}: {line}");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Daemon { node, child, lines }
    }

    /// Waits until it says this.
    fn wait_for(&self, words: &str) {
        loop {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("{} never says: {words}", self.node));
            if line.contains(words) {
                return;
            }
        }
    }

    /// A signal, and its end.
    fn end(mut self, signal: &str) -> ExitStatus {
        send(signal, &self.child.id().to_string());
        self.child.wait().unwrap()
    }

    /// SIGKILL, which it can't tell anybody of.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn run_dir(node: &str) -> String {
    format!("/run/pollux-{node}")
}

/// By the shell's own `kill`: not every machine has the program.
fn send(signal: &str, process: &str) {
    run("sh", &["-c", &format!("kill -s {signal} {process}")]);
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

fn holds(node: &str, address: &str) -> bool {
    run("ip", &["-n", node, "-o", "address"]).contains(&format!(" {address} "))
}

/// Its process.
fn cluster_worker(node: &str) -> String {
    let (_, status) = order(node, "status");
    let mut lines = status.lines().map(str::split_whitespace);
    let row = lines.find(|line| line.clone().next() == Some("cluster"));
    row.and_then(|mut row| row.nth(1)).unwrap().into()
}

fn pollux(arguments: &[&str]) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(POLLUX).args(arguments).output().unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (status.success(), said.concat())
}

fn order(node: &str, command: &str) -> (bool, String) {
    pollux(&["console", "--run-dir", &run_dir(node), "-c", command])
}

/// A card in each, and the wire between them.
fn plug_in() {
    let wire = "link add eth0 netns castor type veth peer name eth0 netns pollux";
    run("ip", &wire.split(' ').collect::<Vec<_>>());
    let foreign = ["-n", "castor", "address", "add", FOREIGN, "dev", "eth0"];
    run("ip", &foreign);
}

/// Two machines and the wire between them.
fn furnish() {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    run("mkdir", &["/run/netns"]);
    for node in ["castor", "pollux"] {
        run("ip", &["netns", "add", node]);
    }
    plug_in();
    fs::write(IMAGE, plan::image::encode(&config(), 1).unwrap()).unwrap();
}

#[test]
#[ignore = "started by the test below, in namespaces of its own"]
fn inside_a_pair_of_daemons_lives() {
    assert_eq!(std::process::id(), 1, "not in a namespace of its own");
    furnish();
    let castor = Daemon::start("castor");
    let pollux_box = Daemon::start("pollux");
    castor.wait_for("active, ready");
    pollux_box.wait_for("standby, ready");
    assert!(holds("castor", VIRTUAL) && !holds("pollux", VIRTUAL));
    what_is_not_ours_stays();
    who_must_be_refused_is_refused();
    cards_are_pulled(&castor, &pollux_box);

    // All that castor was dies; its kernel still holds the address, as a crash would leave it.
    castor.kill();
    pollux_box.wait_for("active, ready");
    assert!(holds("castor", VIRTUAL) && holds("pollux", VIRTUAL));

    // What is left over goes as soon as castor has heard that it is not its own any more.
    let castor = Daemon::start("castor");
    castor.wait_for("standby, ready");
    assert!(!holds("castor", VIRTUAL) && holds("pollux", VIRTUAL));

    // Whoever started it closes the terminal.
    assert!(pollux_box.end("HUP").success());
    castor.wait_for("active, ready");
    assert!(holds("castor", VIRTUAL) && !holds("pollux", VIRTUAL));
    assert!(!fs::exists(format!("{}/config.plx", run_dir("pollux"))).unwrap());
    // Its last word is no worker's: the one that should let go has just crashed.
    send("KILL", &cluster_worker("castor"));
    castor.wait_for("killed by SIGKILL");
    assert!(castor.end("TERM").success());
    assert!(!holds("castor", VIRTUAL) && holds("castor", "192.0.2.1/24"));
    assert!(holds("castor", FOREIGN));
}

fn what_is_not_ours_stays() {
    assert!(holds("castor", FOREIGN) && holds("castor", "192.0.2.1/24"));
    let sysctl = |path: &str| {
        let path = format!("/proc/sys/net/ipv4/{path}");
        run("ip", &["netns", "exec", "castor", "cat", &path])
    };
    assert_eq!(sysctl("ip_forward"), "0\n");
    assert_eq!(sysctl("conf/all/arp_ignore"), "0\n");
    assert_eq!(sysctl("conf/eth0/arp_ignore"), "1\n");
}

/// Both lose their cards and become active; the new ones get the virtual address first. They find to one
/// another all the same.
fn cards_are_pulled(castor: &Daemon, pollux_box: &Daemon) {
    run("ip", &["-n", "castor", "link", "delete", "eth0"]);
    pollux_box.wait_for("active, ready");
    plug_in();
    castor.wait_for("standby, ready");
    assert!(!holds("castor", VIRTUAL) && holds("pollux", VIRTUAL));
    assert!(order("castor", "takeover").0);
    castor.wait_for("active, ready");
    pollux_box.wait_for("standby, ready");
}

fn who_must_be_refused_is_refused() {
    let control = format!("{}/control", run_dir("castor"));
    assert_eq!(fs::metadata(control).unwrap().mode() & 0o777, 0o600);
    let (good, status) = order("castor", "status");
    assert!(
        good && status.starts_with("castor: active, ready"),
        "{status}"
    );
    let (good, said) = order("castor", "reboot");
    assert!(!good && said.contains("systemctl stop pollux"), "{said}");
    let again = ["--config", IMAGE, "--node", "castor", "--run-dir"];
    let taken = run_dir("castor");
    let (good, said) = pollux(&[&["run"], &again[..], &[&taken]].concat());
    assert!(!good && said.contains("another pollux runs in"), "{said}");
}

#[test]
fn a_pair_of_daemons_lives() {
    let mut unshare = Command::new("unshare");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args([
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]);
    let possible = Command::new(unshare.get_program())
        .args(unshare.get_args())
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        eprintln!("skipped: no namespaces for this user; run it as root");
        return;
    }
    unshare.arg(std::env::current_exe().unwrap());
    let exact = ["--ignored", "--nocapture", "--exact"];
    let output = unshare
        .args(exact)
        .arg("inside_a_pair_of_daemons_lives")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let said = said.concat();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
