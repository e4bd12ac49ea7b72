//! One check on its way: a TCP connection and, where the check wants it, one HTTP request and the status
//! line of its answer. It never blocks and never waits: the worker's poll loop says when to go on.

use super::http::{Progress, StatusLine};
use core::fmt;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes read at once; the status line is in the first of them.
const READ_BYTES: usize = 512;

/// Why a server failed its check.
#[derive(Debug)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut {
        /// The check's timeout.
        after: Duration,
    },
    /// The connection ended before a status line did.
    Closed,
    /// The answer is no HTTP/1.x response.
    NotHttp,
    /// Another status than expected.
    Status {
        /// In the answer.
        found: u16,
        /// In the config.
        expected: u16,
    },
    /// The kernel's own words: unreachable, reset and the like.
    Kernel(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused => f.write_str("connect refused"),
            Failure::TimedOut { after } => write!(f, "timed out after {} ms", after.as_millis()),
            Failure::Closed => f.write_str("closed before it answered"),
            Failure::NotHttp => f.write_str("answer is not HTTP/1.1"),
            Failure::Status { found, expected } => {
                write!(f, "status {found}, expected {expected}")
            }
            Failure::Kernel(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                sys::Error::new("checking", errno).fmt(f)
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure::Refused,
            _ => Failure::Kernel(error),
        }
    }
}

/// What an HTTP check sends, and what it wants back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The request, as it goes out.
    pub request: Vec<u8>,
    /// Status code expected.
    pub status: u16,
}

/// A check on its way.
#[derive(Debug)]
pub struct Probe {
    stream: TcpStream,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    Sending { sent_bytes: usize },
    Receiving(StatusLine),
}

/// What became of a check.
pub type Outcome = Result<(), Failure>;

impl Probe {
    /// Follows a connection that is being made, `stream` non-blocking.
    pub fn new(stream: TcpStream) -> Self {
        Probe {
            stream,
            stage: Stage::Connecting,
        }
    }

    /// Whether it waits to write (or to be connected); else it waits to read.
    pub fn waits_to_write(&self) -> bool {
        !matches!(self.stage, Stage::Receiving(_))
    }

    /// Goes on after the socket became ready; `exchange` is `None` for a TCP check. `None`: not done.
    pub fn advance(&mut self, exchange: Option<&Exchange>) -> Option<Outcome> {
        match self.try_advance(exchange) {
            Ok(()) => Some(Ok(())),
            Err(Failure::Kernel(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(failure) => Some(Err(failure)),
        }
    }

    fn try_advance(&mut self, exchange: Option<&Exchange>) -> Outcome {
        if matches!(self.stage, Stage::Connecting) {
            self.connected()?;
            self.stage = Stage::Sending { sent_bytes: 0 };
        }
        let Some(exchange) = exchange else {
            return Ok(());
        };
        if let Stage::Sending { sent_bytes } = &mut self.stage {
            send(&mut self.stream, &exchange.request, sent_bytes)?;
            self.stage = Stage::Receiving(StatusLine::default());
        }
        match &mut self.stage {
            Stage::Receiving(line) => receive(&mut self.stream, line, exchange.status),
            Stage::Connecting | Stage::Sending { .. } => Ok(()),
        }
    }

    /// The outcome of the connect: SO_ERROR, then whether there is a peer at all (a wake-up may be spurious).
    fn connected(&self) -> Outcome {
        if let Some(error) = self.stream.take_error()? {
            return Err(error.into());
        }
        match self.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::Error::from(io::ErrorKind::WouldBlock).into())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}

impl AsFd for Probe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn send(stream: &mut TcpStream, request: &[u8], sent_bytes: &mut usize) -> Outcome {
    while let Some(rest) = request.get(*sent_bytes..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest)? {
            0 => return Err(Failure::Closed),
            written => *sent_bytes = sent_bytes.saturating_add(written),
        }
    }
    Ok(())
}

/// Ends soon: the status line is bounded.
fn receive(stream: &mut TcpStream, line: &mut StatusLine, expected: u16) -> Outcome {
    let mut buffer = [0; READ_BYTES];
    loop {
        let length = stream.read(&mut buffer)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        match line.feed(bytes) {
            Progress::Incomplete if length == 0 => return Err(Failure::Closed),
            Progress::Incomplete => {}
            Progress::Status(found) if found == expected => return Ok(()),
            Progress::Status(found) => return Err(Failure::Status { found, expected }),
            Progress::NotHttp => return Err(Failure::NotHttp),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn exchange() -> Exchange {
        Exchange {
            request: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            status: 200,
        }
    }

    /// A probe whose connection is made, and the server's end of it.
    fn pair() -> (Probe, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (Probe::new(stream), server)
    }

    /// Lets the server send `answer` and close, and follows the probe to its end.
    fn answered(answer: &[u8]) -> String {
        let (mut probe, mut server) = pair();
        assert!(probe.advance(Some(&exchange())).is_none());
        assert!(!probe.waits_to_write());
        let mut request = [0; 18];
        server.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"GET / HTTP/1.1\r\n\r\n");
        server.write_all(answer).unwrap();
        drop(server);
        // Blocking, so that the test needs no poll: each read waits for what the server has sent.
        probe.stream.set_nonblocking(false).unwrap();
        match probe.advance(Some(&exchange())).unwrap() {
            Ok(()) => "ok".into(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn outcomes_say_what_the_server_did() {
        assert_eq!(answered(b"HTTP/1.1 200 OK\r\n\r\nhello"), "ok");
        assert_eq!(
            answered(b"HTTP/1.1 503 Busy\r\n"),
            "status 503, expected 200"
        );
        assert_eq!(answered(b"hello\n"), "answer is not HTTP/1.1");
        assert_eq!(answered(b"HTTP/1.1 200"), "closed before it answered");
        assert_eq!(answered(&[b'x'; 4096]), "answer is not HTTP/1.1");
    }

    #[test]
    fn a_tcp_check_is_done_once_connected() {
        let (mut probe, _server) = pair();
        assert!(matches!(probe.advance(None), Some(Ok(()))));
    }

    #[test]
    fn failures_read_like_sentences() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Failure::from(refused).to_string(), "connect refused");
        let unreachable = io::Error::from_raw_os_error(101);
        assert_eq!(
            Failure::from(unreachable).to_string(),
            "checking: ENETUNREACH: Network is unreachable"
        );
        let after = Duration::from_millis(1000);
        assert_eq!(
            Failure::TimedOut { after }.to_string(),
            "timed out after 1000 ms"
        );
    }
}
