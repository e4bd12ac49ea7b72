//! QEMU's machine protocol (docs/interop/qmp-spec): commands with their answers, and events. The socket is
//! ours and QEMU calls it at each power-on; its end of file is the machine's.

use crate::timeline::lock;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Session {
    /// Counts power-ons, so that an event of an earlier life is not taken for a new one.
    life: u64,
    stream: Option<UnixStream>,
    answers: Vec<Value>,
    /// With their moments, as time since 1970.
    events: Vec<(String, Duration)>,
}

/// The machine's control socket; clones share it.
#[derive(Debug, Clone)]
pub struct Qmp {
    name: String,
    shared: Arc<(Mutex<Session>, Condvar)>,
}

impl Qmp {
    /// Listens on `socket`.
    pub fn listen(name: &str, socket: &Path) -> Result<Self> {
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("listening on {}", socket.display()))?;
        let qmp = Qmp {
            name: name.into(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&qmp.shared);
        thread::Builder::new()
            .name(format!("qmp {name}"))
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    follow(&shared, stream);
                }
            })?;
        Ok(qmp)
    }

    /// Lives so far; taken before a power-on and given to `wait_life`.
    pub fn lives(&self) -> u64 {
        lock(&self.shared.0).life
    }

    /// Waits until QEMU has called after the first `lives`, and makes it take commands.
    pub fn wait_life(&self, lives: u64, timeout: Duration) -> Result<()> {
        self.until("call its QMP socket", timeout, |session| {
            (session.life > lives && session.stream.is_some()).then_some(())
        })?;
        self.execute("qmp_capabilities", &json!({})).map(drop)
    }

    /// Waits until the machine is gone by its own doing.
    pub fn wait_end(&self, timeout: Duration) -> Result<()> {
        self.until("end", timeout, |session| {
            session.stream.is_none().then_some(())
        })
    }

    /// Waits for an event of this life, such as `RESET`; gives its moment by QEMU's word, as time since 1970.
    pub fn wait_event(&self, event: &str, timeout: Duration) -> Result<Duration> {
        self.until(&format!("send {event}"), timeout, |session| {
            let mut events = session.events.iter();
            let position = events.position(|(name, _)| name == event)?;
            let found = session.events.drain(..=position).next_back();
            found.map(|(_, at)| at)
        })
    }

    /// Forgets events so far.
    pub fn forget_events(&self) {
        lock(&self.shared.0).events.clear();
    }

    /// Runs a command.
    pub fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string() + "\n";
        let mut session = lock(&self.shared.0);
        session.answers.clear();
        let Some(mut stream) = session.stream.as_ref() else {
            bail!("{command} on {}: its power is off", self.name);
        };
        stream.write_all(line.as_bytes())?;
        drop(session);
        let what = format!("answer {command}");
        let answer = self.until(&what, ANSWER_TIMEOUT, |session| session.answers.pop())?;
        match answer.get("error") {
            Some(error) => bail!("{command} on {}: {error}", self.name),
            None => Ok(answer),
        }
    }

    fn until<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut look: impl FnMut(&mut Session) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + timeout;
        let mut session = lock(&self.shared.0);
        loop {
            if let Some(found) = look(&mut session) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "the QEMU of {} did not {what} within {timeout:?}; see its qemu.log",
                    self.name
                );
            }
            let waited = self.shared.1.wait_timeout(session, left);
            session = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn follow(shared: &(Mutex<Session>, Condvar), stream: UnixStream) {
    let Ok(reader) = stream.try_clone() else {
        return;
    };
    {
        let mut session = lock(&shared.0);
        session.life += 1;
        session.stream = Some(stream);
        session.events.clear();
    }
    shared.1.notify_all();
    for line in BufReader::new(reader).lines() {
        let Ok(message) = line.as_deref().map(serde_json::from_str::<Value>) else {
            break;
        };
        let Ok(message) = message else { continue };
        let mut session = lock(&shared.0);
        if let Some(event) = message.get("event").and_then(Value::as_str) {
            session.events.push((event.into(), moment(&message)));
        } else if message.get("QMP").is_none() {
            session.answers.push(message);
        }
        drop(session);
        shared.1.notify_all();
    }
    lock(&shared.0).stream = None;
    shared.1.notify_all();
}

/// `"timestamp": {"seconds": 1, "microseconds": 2}`.
fn moment(event: &Value) -> Duration {
    let part = |name: &str| {
        let value = event.get("timestamp").and_then(|stamp| stamp.get(name));
        value.and_then(Value::as_u64).unwrap_or_default()
    };
    Duration::from_secs(part("seconds")) + Duration::from_micros(part("microseconds"))
}
