//! A box's serial console as an operator with a patient eye sees it: every line with its moment, waiting
//! for a line by deadline, typing a command and reading its answer. The socket is ours and QEMU calls it,
//! so the console outlives power cuts.

use crate::terminal::Cleaner;
use crate::timeline::{Timeline, lock};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a console may take to answer a command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an attached terminal may take nothing.
const WATCHER_TIMEOUT: Duration = Duration::from_millis(200);
/// Lines of context in an error.
const TAIL_LINES: usize = 12;

/// A line that the box printed, without colours and control characters.
#[derive(Debug, Clone)]
pub struct Line {
    /// When its end arrived.
    pub at: Instant,
    /// Its text.
    pub text: String,
}

#[derive(Debug, Default)]
struct Screen {
    lines: Vec<Line>,
    /// What was printed after the last line end: a prompt, often.
    partial: String,
    to_box: Option<UnixStream>,
    /// Operators attached by `testbed console`.
    watchers: Vec<UnixStream>,
}

#[derive(Debug, Default)]
struct Shared {
    screen: Mutex<Screen>,
    changed: Condvar,
}

/// Position in what a console printed; waiting starts there.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

/// One console; clones share it.
#[derive(Debug, Clone)]
pub struct Console {
    name: String,
    shared: Arc<Shared>,
}

impl Console {
    /// Listens on `socket` for QEMU, again after each power cut, and logs to `log` with times.
    pub fn listen(name: &str, socket: &Path, log: &Path, timeline: &Timeline) -> Result<Self> {
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("listening on {}", socket.display()))?;
        let log = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let shared = Arc::new(Shared::default());
        let console = Console {
            name: name.into(),
            shared: Arc::clone(&shared),
        };
        let (name, timeline) = (name.to_owned(), timeline.clone());
        thread::Builder::new()
            .name("console".into())
            .spawn(move || {
                let mut reader = Reader {
                    name,
                    shared,
                    log,
                    timeline,
                    cleaner: Cleaner::default(),
                };
                for stream in listener.incoming().flatten() {
                    reader.follow(stream);
                }
            })?;
        Ok(console)
    }

    /// Here and now.
    pub fn mark(&self) -> Mark {
        Mark(lock(&self.shared.screen).lines.len())
    }

    /// The first line after `from` that contains `text`, waiting for it up to `timeout`.
    pub fn wait(&self, from: Mark, text: &str, timeout: Duration) -> Result<Line> {
        self.wait_for(from, &format!("`{text}`"), timeout, |line| {
            line.contains(text)
        })
    }

    /// The first line after `from` that `is_wanted`; `what` names it in the error.
    pub fn wait_for(
        &self,
        from: Mark,
        what: &str,
        timeout: Duration,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Line> {
        let mut seen = from.0;
        self.until(what, timeout, |screen| {
            let found = screen
                .lines
                .get(seen..)?
                .iter()
                .find(|line| is_wanted(&line.text));
            seen = screen.lines.len();
            found.cloned()
        })
    }

    /// Lines printed since `from`.
    pub fn lines_since(&self, from: Mark) -> Vec<Line> {
        lock(&self.shared.screen)
            .lines
            .get(from.0..)
            .unwrap_or_default()
            .to_vec()
    }

    /// Types `text` as it is.
    pub fn send(&self, text: &str) -> Result<()> {
        let screen = lock(&self.shared.screen);
        let Some(mut stream) = screen.to_box.as_ref() else {
            bail!("typing on {}: its power is off", self.name);
        };
        stream
            .write_all(text.as_bytes())
            .with_context(|| format!("typing on {}", self.name))
    }

    /// Types a command at the prompt and gives what it printed; log lines in between are left out.
    pub fn ask(&self, command: &str) -> Result<Vec<String>> {
        self.ask_patiently(command, ANSWER_TIMEOUT)
    }

    /// The same of a command that takes its time.
    pub fn ask_patiently(&self, command: &str, timeout: Duration) -> Result<Vec<String>> {
        let prompt = format!("{}> ", self.name);
        self.until(
            &format!("the prompt `{prompt}`"),
            ANSWER_TIMEOUT,
            |screen| screen.partial.starts_with(&prompt).then_some(()),
        )?;
        let from = self.mark();
        self.send(&format!("{command}\r"))?;
        let echo = format!("{prompt}{command}");
        self.wait_for(
            from,
            &format!("the echo of `{command}`"),
            ANSWER_TIMEOUT,
            |line| line.trim_end() == echo,
        )?;
        let what = format!("the end of the answer to `{command}`");
        let lines = self.until(&what, timeout, |screen| {
            let is_done = screen.partial == prompt;
            is_done.then(|| screen.lines.get(from.0..).unwrap_or_default().to_vec())
        })?;
        let answer = lines.into_iter().map(|line| line.text);
        let answer = answer.skip_while(|line| line.trim_end() != echo).skip(1);
        Ok(answer.filter(|line| !line.starts_with('[')).collect())
    }

    /// Copies all that comes to `stream` too, and what it sends to the box, until it closes.
    pub fn attach(&self, mut stream: UnixStream) -> Result<()> {
        let watcher = stream.try_clone()?;
        // A terminal that takes nothing is let go: the others, and the tests, must not wait for it.
        watcher.set_write_timeout(Some(WATCHER_TIMEOUT))?;
        lock(&self.shared.screen).watchers.push(watcher);
        let mut bytes = [0; 256];
        loop {
            let count = stream.read(&mut bytes)?;
            let Some(typed) = bytes.get(..count).filter(|typed| !typed.is_empty()) else {
                return Ok(());
            };
            if let Some(mut to_box) = lock(&self.shared.screen).to_box.as_ref() {
                to_box.write_all(typed)?;
            }
        }
    }

    fn until<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut look: impl FnMut(&mut Screen) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + timeout;
        let mut screen = lock(&self.shared.screen);
        loop {
            if let Some(found) = look(&mut screen) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "{} did not print {what} within {timeout:?}; it says:\n{}",
                    self.name,
                    tail(&screen)
                );
            }
            let waited = self.shared.changed.wait_timeout(screen, left);
            screen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn tail(screen: &Screen) -> String {
    let skip = screen.lines.len().saturating_sub(TAIL_LINES);
    let lines = screen
        .lines
        .iter()
        .skip(skip)
        .map(|line| line.text.as_str());
    let lines: Vec<_> = lines
        .chain([screen.partial.as_str()])
        .map(|line| format!("    {line}"))
        .collect();
    lines.join("\n")
}

/// The thread that reads what QEMU sends.
struct Reader {
    name: String,
    shared: Arc<Shared>,
    log: File,
    timeline: Timeline,
    cleaner: Cleaner,
}

impl Reader {
    fn follow(&mut self, mut stream: UnixStream) {
        lock(&self.shared.screen).to_box = stream.try_clone().ok();
        let mut bytes = [0; 4096];
        // An error is a cut of power like an end of file.
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            self.take(bytes.get(..count).unwrap_or_default());
        }
        let shared = Arc::clone(&self.shared);
        let mut screen = lock(&shared.screen);
        screen.to_box = None;
        self.end_line(&mut screen);
        drop(screen);
        self.cleaner = Cleaner::default();
        self.shared.changed.notify_all();
    }

    fn take(&mut self, bytes: &[u8]) {
        let shared = Arc::clone(&self.shared);
        let mut screen = lock(&shared.screen);
        screen
            .watchers
            .retain_mut(|watcher| watcher.write_all(bytes).is_ok());
        for byte in bytes {
            if self.cleaner.push(*byte, &mut screen.partial) {
                self.end_line(&mut screen);
            }
        }
        drop(screen);
        self.shared.changed.notify_all();
    }

    fn end_line(&mut self, screen: &mut Screen) {
        let text = std::mem::take(&mut screen.partial);
        if text.is_empty() {
            return;
        }
        let at = Instant::now();
        let at_ms = self.timeline.at_ms(at);
        // The run goes on without its log; what matters is on the screen.
        let _ = writeln!(self.log, "{:>9.3}  {text}", crate::timeline::seconds(at_ms));
        if is_news(&text) {
            self.timeline.note(&self.name, text.clone());
        }
        screen.lines.push(Line { at, text });
    }
}

/// A change of role, which belongs into the timeline.
pub fn is_news(line: &str) -> bool {
    let is_logged = line.starts_with('[');
    let is_transition = line.contains(" -> ") && line.contains(", term ");
    is_logged && (is_transition || line.ends_with(", ready"))
}
