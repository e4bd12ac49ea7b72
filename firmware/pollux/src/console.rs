//! The console worker: the operator's side of one tty. Unprivileged: it speaks to the control socket and to
//! PID 1 only. It never holds either up: a tty that does not drain costs log lines, counted and said.

mod commands;
mod editor;
mod keys;
mod protocol;
#[cfg(test)]
mod samples;
pub mod shell;
mod table;
mod view;
mod view_pair;
mod view_services;
mod view_sync;
mod view_tables;
pub mod visit;
mod watch;

use crate::clock::wait;
use crate::ipc::control::{Request, Response};
use crate::ipc::{Channel, FromWorker, ToWorker};
use crate::place;
use crate::worker::WorkerError;
use shell::Shell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use sys::poll::{both, readable, writable};
use sys::tty::{Raw, size, speed_baud, unsent_bytes};
use watch::pace::Pace;

/// Bytes that wait for a slow tty; while there are more, log lines are counted instead of printed, and
/// what is typed and the next page of an answer wait.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// From one attempt to reach control to the next.
const CONNECT_INTERVAL: Duration = Duration::from_millis(100);

struct Console {
    tty: Raw<File>,
    lifeline: Channel<FromWorker, ToWorker>,
    /// Where control listens.
    control_path: PathBuf,
    control: Option<Channel<Request, Response>>,
    shell: Shell,
    output: Vec<u8>,
    lost_log_lines: u64,
    last_sequence: u64,
    /// What `watch` may write.
    pace: Pace,
}

/// Runs until PID 1 says stop or the tty is hung up. PID 1 has put the tty at standard input and
/// output, and has taken all privileges from us.
pub fn run(mut lifeline: Channel<FromWorker, ToWorker>) -> Result<(), WorkerError> {
    let tty = std::io::stdin().as_fd().try_clone_to_owned();
    let tty = tty.map_err(|error| WorkerError::failed("taking the tty", error))?;
    let raw = Raw::enter(File::from(tty))
        .map_err(|error| WorkerError::failed("taking the tty", error))?;
    let attached = lifeline.send(&FromWorker::Attached);
    attached.map_err(|error| WorkerError::failed("attaching", error))?;
    let control_path = place::control(Path::new(place::RUN_DIR));
    let mut console = Console::new(raw, lifeline, control_path, Shell::new());
    while console.turn()? {}
    Ok(())
}

impl Console {
    fn new(
        tty: Raw<File>,
        lifeline: Channel<FromWorker, ToWorker>,
        control_path: PathBuf,
        shell: Shell,
    ) -> Self {
        let pace = Pace::new(Instant::now(), speed_baud(tty.tty()));
        Console {
            tty,
            lifeline,
            control_path,
            control: None,
            shell,
            output: Vec::new(),
            lost_log_lines: 0,
            last_sequence: 0,
            pace,
        }
    }

    fn turn(&mut self) -> Result<bool, WorkerError> {
        if self.control.is_none() {
            self.connect();
        }
        self.wait()?;
        self.shell.tick(Instant::now(), size(self.tty.tty()));
        if !self.read_lifeline() || !self.read_tty()? {
            return Ok(false);
        }
        self.read_control();
        self.write()?;
        self.send_request();
        Ok(!self.shell.has_ended())
    }

    fn connect(&mut self) {
        let Ok(socket) = sys::socket::dial(&self.control_path) else {
            return;
        };
        let Ok(channel) = Channel::new(socket) else {
            return;
        };
        self.control = Some(channel);
        self.shell.connected();
        self.send_request();
    }

    /// The tty does not keep up with what is to be printed.
    fn is_behind(&self) -> bool {
        self.output.len() > OUTPUT_BYTES_MAX
    }

    /// When to come back although nothing was heard.
    fn timeout(&mut self) -> Option<Duration> {
        if self.control.is_none() {
            return Some(CONNECT_INTERVAL);
        }
        let next_paint = self.pace.interval();
        let watch = self.shell.watch()?;
        if watch.is_behind() {
            return Some(next_paint);
        }
        let next_round = watch.next_round().saturating_duration_since(Instant::now());
        (!watch.is_asking()).then_some(next_round)
    }

    fn wait(&mut self) -> Result<(), WorkerError> {
        let timeout = self.timeout();
        let tty = self.tty.tty().as_fd();
        let tty = if self.output.is_empty() {
            readable(tty)
        } else if self.is_behind() {
            writable(tty)
        } else {
            both(tty)
        };
        let mut fds = vec![tty, readable(self.lifeline.as_fd())];
        fds.extend(self.control.iter().map(|control| readable(control.as_fd())));
        wait(&mut fds, timeout).map_err(|error| WorkerError::failed("waiting", error))
    }

    fn read_lifeline(&mut self) -> bool {
        while let Ok(Some(message)) = self.lifeline.receive() {
            match message {
                ToWorker::Stop => return false,
                ToWorker::LogLine(line) => {
                    let expected = self.last_sequence.saturating_add(1);
                    if self.last_sequence > 0 {
                        self.lost_log_lines += line.sequence.saturating_sub(expected);
                    }
                    self.last_sequence = line.sequence;
                    if self.is_behind() {
                        self.lost_log_lines += 1;
                        continue;
                    }
                    if self.lost_log_lines > 0 {
                        self.shell
                            .log_lines_lost(core::mem::take(&mut self.lost_log_lines));
                    }
                    self.shell.log_line(&line);
                }
                ToWorker::Resign
                | ToWorker::Answer(..)
                | ToWorker::Try { .. }
                | ToWorker::Config(_) => {}
            }
        }
        true
    }

    /// False once the tty is hung up: a new session begins with a new process.
    fn read_tty(&mut self) -> Result<bool, WorkerError> {
        if self.is_behind() {
            return Ok(true);
        }
        let mut buffer = [0; 256];
        match self.tty.tty().read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.shell.typed(buffer.get(..length).unwrap_or(&[]));
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(true)
            }
            Err(error) => Err(WorkerError::failed("reading the tty", error)),
        }
    }

    fn read_control(&mut self) {
        while let Some(control) = &mut self.control {
            match control.receive() {
                Ok(Some(response)) => self.shell.answered(response),
                Ok(None) => break,
                Err(_) => self.lose_control(),
            }
        }
    }

    fn send_request(&mut self) {
        if self.is_behind() {
            return;
        }
        let Some(control) = &mut self.control else {
            return;
        };
        let Some(request) = self.shell.take_request() else {
            return;
        };
        if control.send(&request).is_err() {
            self.lose_control();
        }
    }

    fn lose_control(&mut self) {
        self.control = None;
        self.shell.disconnected();
    }

    /// Lets `watch` write as much as the line carries; nothing while older bytes wait.
    fn paint(&mut self) {
        let Some(watch) = self.shell.watch().filter(|_| self.output.is_empty()) else {
            return;
        };
        let unsent = unsent_bytes(self.tty.tty());
        let allowance = self.pace.allowance(Instant::now(), unsent);
        let text = watch.paint(allowance);
        self.pace.spend(text.len());
        self.output.extend(text.bytes());
    }

    fn write(&mut self) -> Result<(), WorkerError> {
        self.output.extend(self.shell.take_output().bytes());
        self.paint();
        while !self.output.is_empty() {
            match self.tty.tty().write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(WorkerError::failed("writing to the tty", error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A console whose tty nobody reads, and the other end of its control socket.
    fn console() -> (Console, Channel<Response, Request>) {
        let (control, server) = sys::socket::pair().unwrap();
        let (lifeline, _) = sys::socket::pair().unwrap();
        let tty = File::options().read(true).write(true).open("/dev/ptmx");
        let tty = Raw::enter(tty.unwrap()).unwrap();
        let lifeline = Channel::new(lifeline).unwrap();
        let mut console = Console::new(tty, lifeline, PathBuf::new(), Shell::new());
        console.control = Some(Channel::new(control).unwrap());
        (console, Channel::new(server).unwrap())
    }

    #[test]
    fn a_tty_that_does_not_keep_up_is_not_read_and_nothing_is_asked_for_it() {
        let (mut console, mut server) = console();
        console.shell.connected();
        console.output = vec![b'x'; OUTPUT_BYTES_MAX + 1];
        // Nothing is typed at the other end, so reading would wait for ever.
        assert!(console.read_tty().unwrap());
        console.send_request();
        assert_eq!(server.receive(), Ok(None));
        console.output.clear();
        console.send_request();
        assert_eq!(server.receive(), Ok(Some(Request::Hello)));
    }
}
