//! Daemons in network namespaces, and tests that run inside namespaces of their own.

pub mod networks;
#[path = "../../src/samples.rs"]
pub mod samples;
#[path = "../../../../tests/skip.rs"]
mod skip;

pub(crate) use skip::skip;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

pub const POLLUX: &str = env!("CARGO_BIN_EXE_pollux");
pub const IMAGE: &str = "/run/pair.plx";
/// A busy machine may stand still for seconds.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A daemon and what it says.
pub struct Daemon {
    pub node: &'static str,
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    pub fn start(node: &'static str) -> Self {
        Self::start_with(node, &[])
    }

    /// With more options.
    pub fn start_with(node: &'static str, options: &[&str]) -> Self {
        let mut command = Command::new("ip");
        // A shell's background jobs ignore SIGINT, those of nohup SIGHUP, and so would their children.
        command.args(["netns", "exec", node, "env", "--default-signal=INT,HUP"]);
        command.args([POLLUX, "run", "--config", IMAGE]);
        command.args(["--node", node, "--run-dir", &run_dir(node)]);
        command.args(options);
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
    pub fn wait_for(&self, words: &str) {
        loop {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("{} never says: {words}", self.node));
            if line.contains(words) {
                return;
            }
        }
    }

    pub fn signal(&self, signal: &str) {
        send(signal, &self.child.id().to_string());
    }

    /// A signal, and its end.
    pub fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    /// SIGKILL, which it can't tell anybody of.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub fn run_dir(node: &str) -> String {
    format!("/run/pollux-{node}")
}

/// By the shell's own `kill`: not every machine has the program.
pub fn send(signal: &str, process: &str) {
    run("sh", &["-c", &format!("kill -s {signal} {process}")]);
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

pub fn pollux(arguments: &[&str]) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(POLLUX).args(arguments).output().unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (status.success(), said.concat())
}

pub fn order(node: &str, command: &str) -> (bool, String) {
    pollux(&["console", "--run-dir", &run_dir(node), "-c", command])
}

/// The process of a worker.
pub fn worker(node: &str, name: &str) -> String {
    let (_, status) = order(node, "status");
    let mut rows = status.lines().map(str::split_whitespace);
    let process = rows.find_map(|mut row| {
        let is_named = row.next() == Some(name);
        let process = row.next().filter(|word| word.parse::<u32>().is_ok());
        process.filter(|_| is_named)
    });
    process.unwrap().into()
}

/// Runs the ignored test `inside` of this program as process 1 of namespaces of its own.
pub fn run_inside(inside: &str) {
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
        skip("no namespaces for this user; run it as root");
        return;
    }
    unshare.arg(std::env::current_exe().unwrap());
    let exact = ["--ignored", "--nocapture", "--exact"];
    let output = unshare.args(exact).arg(inside).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let said = said.concat();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
