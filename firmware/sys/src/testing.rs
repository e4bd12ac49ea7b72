//! For tests that change a network: one of their own, so that nothing on the host is touched.

#[path = "../../../tests/skip.rs"]
mod skip;

pub(crate) use skip::skip;

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

/// Runs `test` on a thread in a network namespace of its own, after these `ip` commands; passes the test
/// over with a word where that is not allowed.
pub(crate) fn in_own_network(setup: &[&str], test: impl FnOnce() + Send + 'static) {
    let setup: Vec<String> = setup.iter().map(|line| (*line).to_owned()).collect();
    let thread = std::thread::spawn(move || {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            skip(&format!("a network namespace wants root ({errno})"));
            return;
        }
        for line in setup {
            ip(&line);
        }
        test();
    });
    thread.join().unwrap();
}

/// Two network namespaces joined by a cable, `lan0` in each.
pub(crate) struct Boxes([File; 2]);

impl Boxes {
    /// Goes to box 0 or 1: what is opened from now on, and each `ip`, is of that box.
    pub(crate) fn enter(&self, number: usize) {
        setns(&self.0[number], CloneFlags::CLONE_NEWNET).unwrap();
    }
}

/// Runs `test` on a thread of its own between two boxes, as `in_own_network` does for one.
pub(crate) fn between_two_boxes(test: impl FnOnce(&Boxes) + Send + 'static) {
    in_own_network(&[], || {
        let here = || File::open("/proc/thread-self/ns/net").unwrap();
        let first = here();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let boxes = Boxes([first, here()]);
        let (pid, fd) = (std::process::id(), boxes.0[0].as_raw_fd());
        ip(&format!(
            "link add lan0 type veth peer name lan0 netns /proc/{pid}/fd/{fd}"
        ));
        ip("link set lan0 up");
        boxes.enter(0);
        ip("link set lan0 up");
        test(&boxes);
    });
}

/// `ip` with these words, in the namespace of this thread.
pub(crate) fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}: {status}");
}

/// What `ip` prints.
pub(crate) fn ip_prints(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What `nft` prints, with these words, in the namespace of this thread.
pub(crate) fn nft_prints(words: &str) -> String {
    let output = Command::new("nft").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "nft {words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Has `nft` load this text in the namespace of this thread.
pub(crate) fn nft_loads(text: &str) {
    let mut nft = Command::new("nft");
    let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = nft.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let status = nft.wait().unwrap();
    assert!(status.success(), "nft: {status}\n{text}");
}
