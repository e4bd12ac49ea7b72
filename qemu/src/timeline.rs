//! What happened when: one list for the whole run, printed as it grows and kept for the report. Times are
//! milliseconds since the testbed started, from the monotonic clock.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One line of the timeline.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Milliseconds since the start.
    pub at_ms: u64,
    /// Who: `castor`, `client`, `testbed`.
    pub source: String,
    /// What.
    pub text: String,
}

#[derive(Debug)]
struct Inner {
    events: Vec<Event>,
    file: File,
    is_live: bool,
}

/// The list; clones share it.
#[derive(Debug, Clone)]
pub struct Timeline {
    start: Instant,
    inner: Arc<Mutex<Inner>>,
}

impl Timeline {
    /// Writes every event to `path` at once, and to the terminal if `is_live`.
    pub fn new(path: &Path, is_live: bool) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let inner = Inner {
            events: Vec::new(),
            file,
            is_live,
        };
        Ok(Timeline {
            start: Instant::now(),
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// Adds a line that happens now; gives its moment.
    pub fn note(&self, source: &str, text: impl Into<String>) -> Instant {
        let now = Instant::now();
        let at_ms = millis(now.duration_since(self.start));
        let event = Event {
            at_ms,
            source: source.into(),
            text: text.into(),
        };
        let line = format!(
            "{:>9.3}  {:<8} {}",
            seconds(at_ms),
            event.source,
            event.text
        );
        let mut inner = lock(&self.inner);
        // A full disk must not stop the run; the report fails on it later.
        let _ = writeln!(inner.file, "{line}");
        if inner.is_live {
            println!("{line}");
        }
        inner.events.push(event);
        now
    }

    /// Everything so far.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.inner).events.clone()
    }

    /// Milliseconds from the start to `moment`.
    pub fn at_ms(&self, moment: Instant) -> u64 {
        millis(moment.duration_since(self.start))
    }
}

/// Whole milliseconds of a span.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds as seconds, for printing.
pub fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

/// A lock whose holder panicked still guards usable data here: every change is one push or one store.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
