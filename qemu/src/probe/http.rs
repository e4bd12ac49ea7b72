//! HTTP requests as a plain client makes them: a new TCP connection for each, one GET, read to the end.
//! Each request is kept with its beginning, its end and the server that answered.

use crate::ns;
use crate::timeline::lock;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A request that takes longer has failed.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Requests under way at once, so that slow ones do not thin out the stream.
const WORKERS: u32 = 48;

/// A finished request.
#[derive(Debug, Clone)]
pub struct Request {
    /// When its connection was begun.
    pub began: Instant,
    /// When it ended, well or not.
    pub ended: Instant,
    /// The server's name, or why it failed.
    pub outcome: Result<String, String>,
}

/// What a stream of requests came to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests that ended.
    pub total: usize,
    /// Those that failed.
    pub failed: usize,
    /// Answers by server.
    pub by_server: BTreeMap<String, usize>,
}

/// A stream of requests at a fixed rate; stops when dropped.
#[derive(Debug)]
pub struct HttpStream {
    is_stopped: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Request>>>,
    workers: Mutex<Vec<JoinHandle<Result<()>>>>,
}

impl HttpStream {
    /// Requests `http://TARGET/` from the namespace `name`, one every `interval`.
    pub fn start(name: &str, target: SocketAddr, interval: Duration) -> Result<Self> {
        let stream = HttpStream {
            is_stopped: Arc::default(),
            requests: Arc::default(),
            workers: Mutex::default(),
        };
        let start = Instant::now();
        for number in 0..WORKERS {
            let is_stopped = Arc::clone(&stream.is_stopped);
            let requests = Arc::clone(&stream.requests);
            let worker = ns::spawn(name, move || {
                let mut due = start + interval * number;
                while !is_stopped.load(Ordering::Relaxed) {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let request = timed(target);
                    lock(&requests).push(request);
                    due = (due + interval * WORKERS).max(Instant::now());
                }
                Ok(())
            })?;
            lock(&stream.workers).push(worker);
        }
        Ok(stream)
    }

    /// Ends the stream, waiting for the requests under way; gives all, by their beginning.
    pub fn finish(&self) -> Vec<Request> {
        self.is_stopped.store(true, Ordering::Relaxed);
        for worker in lock(&self.workers).drain(..) {
            // A worker only ends by being told to.
            let _ = worker.join();
        }
        self.so_far()
    }

    /// Requests that ended so far, by their beginning.
    pub fn so_far(&self) -> Vec<Request> {
        let mut requests = lock(&self.requests).clone();
        requests.sort_by_key(|request| request.began);
        requests
    }
}

impl Drop for HttpStream {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// Adds requests up.
pub fn tally<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Tally {
    let mut tally = Tally::default();
    for request in requests {
        tally.total += 1;
        match &request.outcome {
            Ok(server) => *tally.by_server.entry(server.clone()).or_default() += 1,
            Err(_) => tally.failed += 1,
        }
    }
    tally
}

/// One request from the namespace `name`; gives the server's name.
pub fn get(name: &str, target: SocketAddr) -> Result<String> {
    ns::within(name, move || request(target))
}

fn timed(target: SocketAddr) -> Request {
    let began = Instant::now();
    let outcome = request(target).map_err(|error| format!("{error:#}"));
    Request {
        began,
        ended: Instant::now(),
        outcome,
    }
}

fn request(target: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, TIMEOUT).context("connecting")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let ask = format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).context("asking")?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("reading the answer")?;
    server_of(&answer)
}

/// The server's name out of its answer.
fn server_of(answer: &str) -> Result<String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer was cut short")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        bail!("answered {status}");
    }
    Ok(body.trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_200_names_a_server() {
        assert_eq!(
            server_of("HTTP/1.1 200 OK\r\nX: y\r\n\r\nweb1\n").unwrap(),
            "web1"
        );
        assert!(server_of("HTTP/1.1 503 Nope\r\n\r\nweb1\n").is_err());
        assert!(server_of("HTTP/1.1 200 OK\r\n").is_err());
    }
}
