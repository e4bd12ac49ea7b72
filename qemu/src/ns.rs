//! The testbed's own world: a network, mount and PID namespace in which it is PID 1, so that nothing on
//! the host changes and everything it started dies with it, however it ends. Must never run an `ip`,
//! `mount` or `nft` command before `enter` has returned.

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

/// Set for the process inside, so that it knows not to unshare again.
pub const INSIDE: &str = "POLLUX_TESTBED_INSIDE";
const NETNS_DIR: &str = "/run/netns";

/// Returns inside the namespaces only. Outside, this process runs itself again in there, waits, and ends as
/// the one inside did.
pub fn enter() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() && std::process::id() == 1 {
        return furnish();
    }
    let program = std::env::current_exe().context("finding this program's own path")?;
    // Whatever kills this process kills the one inside, and that all the others.
    let mut inside = Command::new("setpriv");
    inside.args(["--pdeathsig", "KILL", "setsid", "unshare"]);
    inside.args(["--net", "--mount", "--pid", "--fork", "--mount-proc"]);
    inside.arg("--kill-child");
    if !nix::unistd::Uid::effective().is_root() {
        inside.args(["--user", "--map-root-user"]);
    }
    inside
        .arg("--")
        .arg(program)
        .args(std::env::args_os().skip(1));
    let child = inside.env(INSIDE, "1").stdin(Stdio::null()).spawn();
    let mut child = child.context("starting unshare (package util-linux)")?;
    end_on_signals()?;
    let status = child.wait().context("waiting for the testbed inside")?;
    std::process::exit(status.code().unwrap_or(1))
}

/// Ends this process, and with it all that it started, when the terminal says so.
fn end_on_signals() -> Result<()> {
    let wanted = [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ];
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                eprintln!("testbed: interrupted; everything it started is gone");
                std::process::exit(128 + signal);
            }
        })?;
    Ok(())
}

/// The boxes keep time by the millisecond, and what else runs on this machine should not stop them. The
/// kernel shares time among sessions first (sched_autogroup), so it is our own session, which setsid
/// made, that is told.
fn hurry() {
    // Not root, or no such knob: then a busy machine shows in the figures.
    let _ = std::fs::write("/proc/self/autogroup", "-10");
}

/// What a fresh network namespace lacks.
fn furnish() -> Result<()> {
    hurry();
    run("mount", ["-t", "tmpfs", "testbed", "/run"])?;
    std::fs::create_dir_all(NETNS_DIR).context("making /run/netns in our mount namespace")?;
    ip("link set lo up\n")
}

/// Makes a network namespace called `name` with its loopback up.
pub fn create(name: &str) -> Result<()> {
    run("ip", ["netns", "add", name])?;
    run("ip", ["-n", name, "link", "set", "lo", "up"])
}

fn path_of(name: &str) -> PathBuf {
    Path::new(NETNS_DIR).join(name)
}

/// A command that will run in the namespace `name`, out of reach of the terminal's ctrl-C.
pub fn command(name: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    let mut net = std::ffi::OsString::from("--net=");
    net.push(path_of(name));
    command.arg(net).arg("--").arg(program).process_group(0);
    command.stdin(Stdio::null());
    command
}

/// Runs `work` on a thread of its own whose sockets belong to the namespace `name`.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let path = path_of(name);
    let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let builder = thread::Builder::new().name(format!("in {name}"));
    let thread = builder.spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).context("entering a network namespace")?;
        work()
    })?;
    Ok(thread)
}

/// Runs a server in the namespace `name` for as long as the testbed lives; its end is said.
pub fn serve(name: &str, work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let who = name.to_owned();
    spawn(name, move || {
        let outcome = work();
        if let Err(error) = &outcome {
            eprintln!("testbed: a server in {who} ended: {error:#}");
        }
        outcome
    })?;
    Ok(())
}

/// Runs `work` in the namespace `name` and waits for it.
pub fn within<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match spawn(name, work)?.join() {
        Ok(result) => result,
        Err(_) => bail!("a thread in namespace {name} panicked"),
    }
}

/// Runs `ip -batch` on `lines` in the testbed's own namespace.
pub fn ip(lines: &str) -> Result<()> {
    feed(Command::new("ip").args(["-batch", "-"]), lines)
}

/// Runs `ip -batch` on `lines` in the namespace `name`.
pub fn ip_in(name: &str, lines: &str) -> Result<()> {
    feed(Command::new("ip").args(["-n", name, "-batch", "-"]), lines)
}

/// Gives `input` to a command on its standard input and wants it to succeed.
pub fn feed(command: &mut Command, input: &str) -> Result<()> {
    ask(command, input).map(drop)
}

/// The same; gives what it printed.
pub fn ask(command: &mut Command, input: &str) -> Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} with\n{input}\nfailed: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command and wants it to succeed.
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args);
    feed(&mut command, "")
}

/// A child process that is killed when this goes out of scope.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Takes a process into care.
    pub fn new(child: Child) -> Self {
        Guard(child)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Result<()> {
        self.0.wait().context("waiting for a child process")?;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}
