#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// The ignored test called `role` as a worker.
fn worker<'a>(arguments: &'a [&'a str]) -> Spawn<'a> {
    Spawn {
        arguments,
        descriptors: &[],
        terminal: None,
        input: None,
        user: None,
        no_new_privileges: false,
    }
}

/// Starts the ignored test called `role` as a worker and waits for its end: what it said, how it ended.
pub(crate) fn run(role: &str) -> (String, End) {
    run_as(role, |_| {})
}

fn run_as(role: &str, change: impl FnOnce(&mut Spawn<'static>)) -> (String, End) {
    let role: &'static str = Box::leak(role.to_owned().into_boxed_str());
    let arguments = [
        "worker",
        role,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ];
    let mut how = worker(Box::leak(Box::new(arguments)));
    change(&mut how);
    let worker = spawn(&how).unwrap();
    let mut output = worker.output;
    fcntl(&output, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    // Not `reap`: it would take the children of other tests.
    let end = match waitpid(Pid::from_raw(worker.pid), None).unwrap() {
        WaitStatus::Exited(_, code) => End::Code(code),
        WaitStatus::Signaled(_, signal, _) => End::Signal(signal as i32),
        other => panic!("{other:?}"),
    };
    (text, end)
}

#[test]
#[ignore = "a worker, started by the tests below"]
fn worker_describes_itself() {
    let mut numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .parse()
                .unwrap()
        })
        .collect();
    numbers.sort_unstable();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = |key: &str| {
        status
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    println!("descriptors {numbers:?}");
    println!("{} {} {}", line("NoNewPrivs"), line("SigBlk"), line("Uid"));
    println!("group leader {}", nix::unistd::getpgrp() == Pid::this());
    println!("environment {:?}", std::env::vars_os().collect::<Vec<_>>());
    if let Ok(wire) = inherited(7) {
        UnixStream::from(wire).write_all(b"hello").unwrap();
    }
}

#[test]
#[ignore = "a worker, started by the test below"]
fn worker_waits_for_its_end() {
    // Not for ever, should nobody bring it about.
    nix::unistd::alarm::set(60);
    nix::unistd::pause();
}

#[test]
fn a_worker_that_was_just_started_can_be_killed() {
    let role = "process::tests::worker_waits_for_its_end";
    for _ in 0..20 {
        let worker = spawn(&worker(&["worker", role, "--exact", "--ignored"])).unwrap();
        kill_group(worker.pid, Signal::SIGKILL).unwrap();
        let end = waitpid(Pid::from_raw(worker.pid), None).unwrap();
        assert!(
            matches!(end, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
            "{end:?}"
        );
    }
}

#[test]
fn a_worker_holds_what_it_was_given_and_nothing_else() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // Somebody forgot O_CLOEXEC.
    let forgotten = nix::unistd::dup(&ours).unwrap();
    let theirs: &'static UnixStream = Box::leak(Box::new(theirs));
    let (output, end) = run_as("process::tests::worker_describes_itself", |how| {
        how.descriptors = Box::leak(Box::new([(7, theirs.as_fd())]));
        how.no_new_privileges = true;
    });
    drop(forgotten);
    assert_eq!(end, End::Code(0), "{output}");
    // 3 is the directory that it reads.
    assert!(output.contains("descriptors [0, 1, 2, 3, 7]"), "{output}");
    assert!(
        output.contains("NoNewPrivs:\t1 SigBlk:\t0000000000000000"),
        "{output}"
    );
    assert!(
        output.contains("group leader true\nenvironment []"),
        "{output}"
    );
    let mut said = [0; 5];
    ours.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hello");
}

#[test]
fn a_worker_may_be_nobody() {
    if !Uid::current().is_root() {
        crate::testing::skip("becoming another user wants root");
        return;
    }
    let (output, end) = run_as("process::tests::worker_describes_itself", |how| {
        how.user = Some((65534, 65534));
    });
    // Where the tests lie in a place that only root may read, exec says so.
    let is_nobody = output.contains("Uid:\t65534\t65534\t65534\t65534");
    let is_refused = (output.as_str(), end) == ("starting: Permission denied\n", End::Code(127));
    assert!(is_nobody || is_refused, "{output} {end}");
}

#[test]
#[ignore = "a worker, started by the test below"]
fn worker_has_children_of_its_own() {
    let arguments = ["worker", "no such test", "--exact"];
    let children = [0, 1].map(|_| spawn(&worker(&arguments)).unwrap());
    kill_group(children[1].pid, Signal::SIGKILL).unwrap_or_default();
    let mut ends = Vec::new();
    while ends.len() < 2 {
        // Blocks until there is one, without taking it.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(nix::sys::wait::Id::All, flags).unwrap();
        ends.extend(std::iter::from_fn(reap));
    }
    ends.sort_unstable_by_key(|(pid, _)| *pid != children[0].pid);
    assert_eq!(ends[0], (children[0].pid, End::Code(0)));
    // It may have led no group yet when the signal came.
    assert!([End::Signal(9), End::Code(0)].contains(&ends[1].1));
    assert_eq!(reap(), None);
}

#[test]
fn ends_are_reaped_with_their_reason() {
    let (output, end) = run("process::tests::worker_has_children_of_its_own");
    assert_eq!(end, End::Code(0), "{output}");
}

#[test]
fn descriptors_out_of_bounds_are_refused() {
    let null = File::open("/dev/null").unwrap();
    for number in [0, 2, FD_MAX, -1] {
        let descriptors = [(number, null.as_fd())];
        let mut how = worker(&["worker"]);
        how.descriptors = &descriptors;
        assert_eq!(spawn(&how).unwrap_err().errno(), libc::EINVAL);
    }
}

#[test]
fn ends_have_words() {
    assert_eq!(End::Signal(11).to_string(), "killed by SIGSEGV");
    assert_eq!(End::Signal(40).to_string(), "killed by signal 40");
    assert_eq!(End::Code(3).to_string(), "exit code 3");
    assert_eq!(End::Code(0).to_string(), "ended in good order");
}
