//! A transfer through a pair of daemons goes on when the active one dies, hands over and dies again: both kernels hold
//! its connection.

#![allow(clippy::unwrap_used, clippy::panic)]
// What is shared is `pub`, and not every test needs all of it.
#![allow(unreachable_pub, dead_code)]

mod daemons;
#[path = "daemons/transfer.rs"]
mod transfer;

use daemons::{Daemon, order, send, worker};
use std::process::Command;
use transfer::{Transfer, cut_power, furnish, power_on};

#[test]
#[ignore = "started by the test below, in namespaces of its own"]
fn inside_a_transfer_survives() {
    assert_eq!(std::process::id(), 1, "not in a namespace of its own");
    furnish();
    let castor = power_on("castor", &[]);
    let pollux = power_on("pollux", &[]);
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
    let castor = power_on("castor", &[]);
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
