#![allow(clippy::unwrap_used)]

use super::*;
use crate::process::{End, tests::run};
use crate::{clock, poll, random, tcp};
use nix::libc;
use std::os::fd::AsFd;

#[test]
#[ignore = "a worker, started by the test below"]
fn worker_does_what_health_does() {
    confine(HEALTH).unwrap();
    // Refused or not, the call itself is allowed.
    if let Ok(stream) = tcp::begin("127.0.0.1:1".parse().unwrap()) {
        let deadline_us = clock::monotonic_us() + 100_000;
        poll::until(&mut [poll::writable(stream.as_fd())], Some(deadline_us)).unwrap();
        let _ = (
            stream.take_error(),
            stream.set_nodelay(true),
            stream.peer_addr(),
        );
    }
    random::fill(&mut [0; 16]).unwrap();
    assert_eq!(
        vec![1_u8; 4 << 20]
            .iter()
            .map(|byte| usize::from(*byte))
            .sum::<usize>(),
        4 << 20
    );
    eprintln!("all done");
    std::process::exit(0);
}

#[test]
fn health_can_work_in_its_sandbox() {
    let (output, end) = run("sandbox::tests::worker_does_what_health_does");
    assert_eq!(end, End::Code(0), "{output}");
    assert!(output.contains("all done"), "{output}");
}

#[test]
#[ignore = "a worker, started by the test below"]
fn worker_opens_a_file() {
    confine(HEALTH).unwrap();
    let _ = std::fs::File::open("/etc/passwd");
    std::process::exit(0);
}

#[test]
fn a_forbidden_call_ends_the_process() {
    let (output, end) = run("sandbox::tests::worker_opens_a_file");
    assert_eq!(end, End::Signal(libc::SIGSYS), "{output}");
}

#[test]
#[ignore = "a worker, started by the test below"]
fn worker_gives_up_all_but_net_admin() {
    keep(&[Capability::NetAdmin]).unwrap();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    for line in status
        .lines()
        .filter(|line| line.starts_with("Cap") || line.starts_with("NoNew"))
    {
        println!("{line}");
    }
    println!(
        "again {:?}",
        keep(&[Capability::NetRaw]).map_err(|error| error.to_string())
    );
}

#[test]
fn only_what_is_kept_is_left() {
    if !nix::unistd::Uid::current().is_root() {
        crate::testing::skip("only root has capabilities to give up");
        return;
    }
    let (output, end) = run("sandbox::tests::worker_gives_up_all_but_net_admin");
    assert_eq!(end, End::Code(0), "{output}");
    for kind in ["Prm", "Eff", "Bnd"] {
        assert!(
            output.contains(&format!("Cap{kind}:\t0000000000001000")),
            "{output}"
        );
    }
    assert!(output.contains("NoNewPrivs:\t1"), "{output}");
    assert!(
        output.contains("again Err(\"giving up capabilities: EPERM"),
        "{output}"
    );
}

#[test]
#[ignore = "a worker, started by the test below"]
fn worker_keeps_nothing() {
    keep(&[]).unwrap();
    println!(
        "{:?}",
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
    );
}

#[test]
fn nothing_left_is_nothing_allowed() {
    let (output, _) = run("sandbox::tests::worker_keeps_nothing");
    assert!(output.contains("Err(EPERM)"), "{output}");
}
