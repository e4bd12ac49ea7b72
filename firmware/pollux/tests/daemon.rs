//! A pair of daemons, each in a network namespace of its own, from start to end: one is killed, comes back, and the other
//! is told to end. All of it happens in namespaces that end with the test; no machine's network is touched.

#![allow(clippy::unwrap_used, clippy::panic)]
// What is shared is `pub`, and not every test needs all of it.
#![allow(unreachable_pub, dead_code)]

mod daemons;

use daemons::networks::pair;
use daemons::{Daemon, IMAGE, order, pollux, run, run_dir, send, worker};
use std::fs;
use std::os::unix::fs::MetadataExt;

const VIRTUAL: &str = "192.0.2.10/24";
/// On castor's eth0 before us, and not in the config.
const FOREIGN: &str = "192.0.2.77/24";

fn holds(node: &str, address: &str) -> bool {
    run("ip", &["-n", node, "-o", "address"]).contains(&format!(" {address} "))
}

/// A card in each, and the wire between them.
fn plug_in() {
    let wire = "link add eth0 netns castor type veth peer name eth0 netns pollux";
    run("ip", &wire.split(' ').collect::<Vec<_>>());
    let foreign = ["-n", "castor", "address", "add", FOREIGN, "dev", "eth0"];
    run("ip", &foreign);
}

/// What a daemon with services leaves behind when it is killed.
fn leave_a_cable() {
    let cable = "-n castor link add ipvs0 type veth peer name ipvs1";
    run("ip", &cable.split(' ').collect::<Vec<_>>());
    let source = "-n castor address add 192.0.0.8/32 dev ipvs0";
    run("ip", &source.split(' ').collect::<Vec<_>>());
}

/// Two machines and the wire between them.
fn furnish() {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    run("mkdir", &["/run/netns"]);
    for node in ["castor", "pollux"] {
        run("ip", &["netns", "add", node]);
    }
    plug_in();
    leave_a_cable();
    fs::write(IMAGE, plan::image::encode(&pair(), 1).unwrap()).unwrap();
}

#[test]
#[ignore = "started by the test below, in namespaces of its own"]
fn inside_a_pair_of_daemons_lives() {
    assert_eq!(std::process::id(), 1, "not in a namespace of its own");
    furnish();
    let castor = Daemon::start("castor");
    let pollux_box = Daemon::start("pollux");
    castor.wait_for("the balancer's sync daemons and their cable are gone");
    castor.wait_for("active, ready");
    assert!(!run("ip", &["-n", "castor", "link"]).contains("ipvs"));
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

    // Whoever started it presses ctrl-C.
    assert!(pollux_box.end("INT").success());
    castor.wait_for("active, ready");
    assert!(holds("castor", VIRTUAL) && !holds("pollux", VIRTUAL));
    assert!(!fs::exists(format!("{}/config.plx", run_dir("pollux"))).unwrap());
    // Its last word is no worker's: the one that should let go has just crashed.
    send("KILL", &worker("castor", "cluster"));
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
    daemons::run_inside("inside_a_pair_of_daemons_lives");
}
