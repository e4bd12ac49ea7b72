//! The firewall of a daemon: in force before anything else is set up, back when somebody takes it away, and no less
//! than it was when the daemon ends. nft(8) is the judge. All of it happens in namespaces that end with the test.

#![allow(clippy::unwrap_used, clippy::panic)]
// What is shared is `pub`, and not every test needs all of it.
#![allow(unreachable_pub, dead_code)]

mod daemons;

use daemons::{Daemon, IMAGE, run, samples};
use plan::config::firewall::Zone;
use std::fs;

/// In castor's namespace.
fn nft(arguments: &str) -> String {
    let all = format!("netns exec castor nft {arguments}");
    run("ip", &all.split(' ').collect::<Vec<_>>())
}

fn furnish() {
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    run("mkdir", &["/run/netns"]);
    run("ip", &["netns", "add", "castor"]);
    let card = "-n castor link add eth0 type veth peer name other";
    run("ip", &card.split(' ').collect::<Vec<_>>());
    let mut config = samples::config();
    config.firewall.zones = vec![Zone {
        name: "outside".into(),
        interfaces: vec![0],
        anti_spoofing: true,
    }];
    fs::write(IMAGE, plan::image::encode(&config, 1).unwrap()).unwrap();
}

fn the_console_lists_what_the_kernel_holds() {
    let (ok, rules) = daemons::order("castor", "firewall");
    assert!(
        ok && rules.contains("input: input filter, else drop"),
        "{rules}"
    );
    let listed = rules
        .lines()
        .filter(|line| line.starts_with("  ") && !line.contains("packets"));
    let held = nft("-a list table inet pollux");
    let held = held
        .lines()
        .filter(|line| line.contains("# handle") && !line.ends_with('{'));
    let is_rule = |line: &&str| !line.contains("{ # handle");
    assert_eq!(wrapped(listed), held.filter(is_rule).count(), "{rules}");

    let conntrack = "netns exec castor conntrack -I -p tcp -s 192.0.2.7 -d 192.0.2.8 --sport 5 --dport 80 --state ESTABLISHED -t 99";
    run("ip", &conntrack.split(' ').collect::<Vec<_>>());
    let (ok, all) = daemons::order("castor", "connections");
    assert!(ok && all.contains("192.0.2.7  1            0"), "{all}");
    let (_, one) = daemons::order("castor", "connections tcp 192.0.2.8 port 80");
    assert!(
        one.contains("192.0.2.7:5 192.0.2.8:80") && one.contains("ESTABLISHED"),
        "{one}"
    );
    let (_, none) = daemons::order("castor", "connections udp");
    assert!(none.starts_with("0 of "), "{none}");
}

/// Lines that are not the rest of the one above.
fn wrapped<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    lines.filter(|line| !line.starts_with("      ")).count()
}

#[test]
#[ignore = "started by the test below, in namespaces of its own"]
fn inside_a_daemon_keeps_its_firewall() {
    assert_eq!(std::process::id(), 1, "not in a namespace of its own");
    furnish();
    nft("add table inet stranger");
    let castor = Daemon::start("castor");
    castor.wait_for("set up: put the firewall in force");
    castor.wait_for("set up: add address");
    let list = || nft("list table inet pollux");
    let planned = list();
    for chain in ["input", "forward", "output"] {
        let closed = format!("hook {chain} priority filter; policy drop;");
        assert!(planned.contains(&closed), "{planned}");
    }
    castor.wait_for("active, ready");

    the_console_lists_what_the_kernel_holds();

    nft("delete table inet pollux");
    castor.wait_for("repaired: put the firewall in force");
    let without_counts = |text: &str| -> Vec<String> {
        let words = text.split_whitespace();
        words
            .filter(|word| word.parse::<u64>().is_err())
            .map(String::from)
            .collect()
    };
    assert_eq!(without_counts(&list()), without_counts(&planned));

    // Whoever is protected by it stays protected.
    assert!(castor.end("TERM").success());
    assert_eq!(without_counts(&list()), without_counts(&planned));
    assert!(nft("list tables").contains("inet stranger"));
}

#[test]
fn a_daemon_keeps_its_firewall() {
    daemons::run_inside("inside_a_daemon_keeps_its_firewall");
}
