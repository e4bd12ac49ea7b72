//! The operator's session on one tty, without I/O: keys, answers and log lines in; text and requests
//! out. One request is under way at a time; what is typed meanwhile waits. Log lines that arrive while
//! a line is being edited are printed above it.

mod answer;
mod watching;

use super::commands::{self, Command, ParseError};
use super::editor::{Editor, Outcome};
use super::keys::{Decoder, Key};
use super::view;
use super::watch::Watch;
use crate::ipc::control::{Hello, LogLine, Request, Response, ServiceStatus};
use std::time::Instant;
use sys::tty::Size;

/// Bytes of type-ahead kept while an answer is awaited; more is dropped, as by a tty.
const TYPE_AHEAD_BYTES_MAX: usize = 256;

/// What the session is doing.
#[derive(Debug)]
enum State {
    /// No control socket yet.
    Connecting,
    /// `Hello` is under way.
    Greeting,
    /// The password is being typed.
    Password,
    /// The password is under way.
    LoggingIn,
    /// A command is being typed.
    Prompt,
    /// A command is under way.
    Running(Running),
    /// The whole screen is a live view.
    Watching(Box<Watch>),
}

/// A command whose answer comes in pages, or in one.
#[derive(Debug)]
enum Running {
    One,
    Services(Vec<ServiceStatus>),
    /// Printed as it comes: ten thousand rules take a slow line minutes, in which ctrl-c is to be heard.
    Firewall {
        had_lines: u32,
    },
    /// Counts back from the end of the log.
    LogEnd {
        lines: u64,
    },
    Log,
    Config {
        had_bytes: u32,
    },
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Caller {
    /// The box's own tty: a session ends where the next begins.
    Tty,
    /// An operator who came to a running daemon and goes again.
    Visitor,
    /// A script, for one command, without prompts.
    Script(String),
}

/// A session. Whoever drives it writes `take_output` to the tty and sends `take_request` to control.
pub struct Shell {
    state: State,
    caller: Caller,
    /// It has nothing more to do.
    ended: bool,
    /// A command was refused, or is none.
    failed: bool,
    hello: Option<Hello>,
    decoder: Decoder,
    editor: Editor,
    password: Editor,
    type_ahead: Vec<u8>,
    output: String,
    request: Option<Request>,
    /// Answers still to come for commands that were cancelled.
    stale_answers: u32,
    now: Instant,
    /// Of the terminal, where it is known.
    size: Option<Size>,
    /// That something typed was left out was said, for the line being typed.
    said_foreign: bool,
}

impl Shell {
    /// A session on a box's own tty, that waits for the control socket.
    pub fn new() -> Self {
        Self::of(Caller::Tty)
    }

    /// A session that `logout` ends.
    pub fn of_visitor() -> Self {
        Self::of(Caller::Visitor)
    }

    /// One command, and nothing printed but what it prints.
    pub fn of_script(line: &str) -> Self {
        Self::of(Caller::Script(line.into()))
    }

    fn of(caller: Caller) -> Self {
        Shell {
            state: State::Connecting,
            caller,
            ended: false,
            failed: false,
            hello: None,
            decoder: Decoder::default(),
            editor: Editor::new(false),
            password: Editor::new(true),
            type_ahead: Vec::new(),
            output: String::new(),
            request: None,
            stale_answers: 0,
            now: Instant::now(),
            size: None,
            said_foreign: false,
        }
    }

    /// Text to print since the last call; lines end in `\n`.
    pub fn take_output(&mut self) -> String {
        core::mem::take(&mut self.output)
    }

    /// The request to send, once.
    pub fn take_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a command was refused, or was none.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// The control socket is there.
    pub fn connected(&mut self) {
        self.state = State::Greeting;
        self.request = Some(Request::Hello);
    }

    /// The control socket is gone: a login is gone with it.
    pub fn disconnected(&mut self) {
        self.leave_watch();
        let shown = matches!(self.state, State::Prompt | State::Password);
        let waiting = matches!(self.state, State::Running(_) | State::LoggingIn);
        if shown || waiting {
            let above = if shown { "\n" } else { "" };
            self.print(above);
            self.print("the control worker is gone; the prompt comes back with it\n");
        }
        self.state = State::Connecting;
        self.request = None;
        self.stale_answers = 0;
        // A visitor may come again; waiting for one that has ended would be for ever.
        self.ended = self.caller == Caller::Visitor;
    }

    /// Bytes from the tty.
    pub fn typed(&mut self, bytes: &[u8]) {
        let room = TYPE_AHEAD_BYTES_MAX.saturating_sub(self.type_ahead.len());
        self.type_ahead.extend(bytes.iter().take(room));
        self.drain_type_ahead();
    }

    /// A line for the operator.
    pub fn log_line(&mut self, line: &LogLine) {
        if let State::Watching(watch) = &mut self.state {
            watch.log_line(line);
            return;
        }
        let prompt = self.prompt();
        if prompt.is_some() {
            self.print("\r\x1b[K");
        }
        self.print(&format!("{line}\n"));
        self.draw();
    }

    /// Log lines were lost because this tty is too slow.
    pub fn log_lines_lost(&mut self, count: u64) {
        if matches!(self.state, State::Watching(_)) {
            // It asks for what it has not been told.
            return;
        }
        if self.prompt().is_some() {
            self.print("\r\x1b[K");
        }
        self.print(&format!("({count} log lines not shown: see `log`)\n"));
        self.draw();
    }

    /// The answer to the request under way.
    pub fn answered(&mut self, response: Response) {
        if self.stale_answers > 0 {
            self.stale_answers -= 1;
            return;
        }
        let state = core::mem::replace(&mut self.state, State::Prompt);
        match (state, response) {
            (State::Greeting, Response::Hello(hello)) => self.greet(hello),
            (State::LoggingIn, Response::Authenticated(true)) => {}
            (State::LoggingIn, Response::Authenticated(false)) => {
                self.print("wrong password\n");
                self.state = State::Password;
            }
            (State::Running(running), response) => self.answer(running, response),
            (State::Watching(watch), response) => self.watch_answered(watch, response),
            // Nothing was asked.
            (state, _) => {
                self.state = state;
                return;
            }
        }
        self.draw();
        self.drain_type_ahead();
        self.end_script();
    }

    /// A script is done once it would be prompted for more.
    fn end_script(&mut self) {
        if matches!(self.caller, Caller::Script(_)) && matches!(self.state, State::Prompt) {
            self.ended = true;
        }
    }

    /// A script gets on with its command, which it can't where a password is wanted.
    fn begin_script(&mut self, line: &str, hello: &Hello) {
        if hello.wants_password {
            self.fail("a password is wanted here: use `pollux console` without -c\n");
        } else {
            self.execute(line);
        }
    }

    fn fail(&mut self, why: &str) {
        self.failed = true;
        self.print(why);
    }

    fn greet(&mut self, hello: Hello) {
        if let Caller::Script(line) = self.caller.clone() {
            self.begin_script(&line, &hello);
            self.hello = Some(hello);
            return;
        }
        self.print(&view::banner(&hello));
        if hello.wants_password {
            self.state = State::Password;
        } else {
            self.print("`help` lists the commands\n");
        }
        self.hello = Some(hello);
    }

    fn drain_type_ahead(&mut self) {
        let bytes = core::mem::take(&mut self.type_ahead);
        let mut rest = bytes.iter();
        while self.takes_keys() || self.is_cancellable(rest.as_slice()) {
            let Some(byte) = rest.next() else { break };
            if let Some(key) = self.decoder.push(*byte) {
                self.pressed(key);
            }
        }
        self.type_ahead = rest.as_slice().to_vec();
    }

    fn takes_keys(&self) -> bool {
        self.prompt().is_some() || matches!(self.state, State::Watching(_))
    }

    /// ctrl-c gets out of a command whose answer does not come.
    fn is_cancellable(&mut self, rest: &[u8]) -> bool {
        let cancel = matches!(self.state, State::Running(_)) && rest.first() == Some(&0x03);
        if cancel {
            self.state = State::Prompt;
            if self.request.take().is_none() {
                self.stale_answers += 1;
            }
        }
        cancel
    }

    fn pressed(&mut self, key: Key) {
        if matches!(self.state, State::Watching(_)) {
            return self.pressed_in_watch(key);
        }
        let in_password = matches!(self.state, State::Password);
        let editor = if in_password {
            &mut self.password
        } else {
            &mut self.editor
        };
        match editor.handle(key) {
            Outcome::Nothing => {}
            Outcome::Echo(char) => self.output.push(char),
            Outcome::Redraw => self.draw(),
            Outcome::Clear => {
                self.print("\x1b[H\x1b[2J");
                self.draw();
            }
            Outcome::Complete => self.complete(),
            Outcome::Foreign => self.say_foreign(),
            Outcome::Cancelled { logout } => {
                self.said_foreign = false;
                self.print("\n");
                if logout {
                    self.log_out();
                }
                self.draw();
            }
            Outcome::Line(password) if in_password => {
                self.said_foreign = false;
                self.print("\n");
                self.state = State::LoggingIn;
                self.request = Some(Request::Authenticate(password));
            }
            Outcome::Line(line) => {
                self.said_foreign = false;
                self.print("\n");
                self.execute(&line);
                self.draw();
            }
        }
    }

    /// Once for each line: on a bad line it is noise, and must not fill the screen.
    fn say_foreign(&mut self) {
        if core::mem::replace(&mut self.said_foreign, true) {
            return;
        }
        self.print("\r\x1b[Konly plain ASCII can be typed here; the rest is left out\n");
        self.draw();
    }

    fn complete(&mut self) {
        let completion = commands::complete(self.editor.before_cursor());
        if !completion.choices.is_empty() && completion.insert.is_empty() {
            self.print(&format!("\n{}\n", completion.choices.join("  ")));
        }
        self.editor.insert(&completion.insert);
        self.draw();
    }

    fn execute(&mut self, line: &str) {
        match commands::parse(line) {
            None => {}
            Some(Err(ParseError::Usage(usage))) => self.fail(&format!("usage: {usage}\n")),
            Some(Err(ParseError::Unknown(alike))) if alike.is_empty() => {
                self.fail("no such command; `help` lists them\n");
            }
            Some(Err(ParseError::Unknown(alike))) => {
                self.fail(&format!("write one of: {}\n", alike.join(" ")));
            }
            Some(Ok(command)) => self.start(command),
        }
    }

    fn start(&mut self, command: Command) {
        match command {
            Command::Status => self.run(Running::One, Request::Status),
            Command::Services => {
                self.run(Running::Services(Vec::new()), Request::Services { from: 0 });
            }
            Command::Firewall => {
                let running = Running::Firewall { had_lines: 0 };
                self.run(running, Request::Firewall { from: 0 });
            }
            Command::Connections(query) => self.run(Running::One, Request::Connections(query)),
            // Nothing is that far on: the answer tells only where the end is.
            Command::Log { lines } => {
                self.run(Running::LogEnd { lines }, Request::Log { from: u64::MAX });
            }
            Command::Config => {
                self.run(
                    Running::Config { had_bytes: 0 },
                    Request::Config { from: 0 },
                );
            }
            Command::Standby { force } => self.run(Running::One, Request::Standby { force }),
            Command::Takeover { force } => self.run(Running::One, Request::Takeover { force }),
            Command::Restart { worker } => self.run(Running::One, Request::Restart(worker)),
            Command::Reload => self.run(Running::One, Request::Reload),
            Command::Reboot => self.run(Running::One, Request::Reboot),
            Command::PowerOff => self.run(Running::One, Request::PowerOff),
            Command::Watch => self.begin_watch(),
            Command::Help => self.print(&view::help()),
            Command::Logout => self.log_out(),
        }
    }

    fn run(&mut self, running: Running, request: Request) {
        self.state = State::Running(running);
        self.request = Some(request);
    }

    fn log_out(&mut self) {
        if self.caller != Caller::Tty {
            self.ended = true;
            return;
        }
        self.editor = Editor::new(false);
        self.state = State::Greeting;
        // Control takes a new `Hello` as the end of a login.
        self.request = Some(Request::Hello);
    }

    /// The prompt, where one is shown.
    fn prompt(&self) -> Option<String> {
        if matches!(self.caller, Caller::Script(_)) {
            return None;
        }
        match self.state {
            State::Password => Some("password: ".into()),
            State::Prompt => {
                let node = self.hello.as_ref().map_or("", |hello| hello.node.as_str());
                Some(format!("{node}> "))
            }
            _ => None,
        }
    }

    fn draw(&mut self) {
        let Some(prompt) = self.prompt() else { return };
        let editor = match self.state {
            State::Password => &self.password,
            _ => &self.editor,
        };
        let text = editor.draw(&prompt);
        self.print(&text);
    }

    fn print(&mut self, text: &str) {
        self.output.push_str(text);
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests;
