//! A client's connection to a service, asked for its page again and again: an answer, a reset and silence are told apart.

use super::stage::ensure;
use crate::net::{CLIENT, VIRTUAL_V4};
use crate::ns;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: pollux\r\n\r\n";
/// A connection that nobody knows is reset after 3 s, and its client sends again less and less often.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const BODY_BYTES_MAX: u64 = 64 * 1024;

pub struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    /// Connects to the service at `port` of the virtual address.
    pub fn begin(port: u16) -> Result<Self> {
        let stream = ns::within(CLIENT, move || {
            let to = SocketAddr::new(VIRTUAL_V4.parse()?, port);
            Ok(TcpStream::connect(to)?)
        })?;
        Ok(Talk {
            stream: BufReader::new(stream),
        })
    }

    pub fn ask(&mut self) -> Result<()> {
        let asked = self.stream.get_mut().write_all(REQUEST);
        asked.context("asking on a connection that stands")
    }

    /// The page, to its last byte: the name of the server that gave it.
    pub fn expect_answer(&mut self, what: &str) -> Result<String> {
        self.patience(ANSWER_TIMEOUT)?;
        let (status, page) = answer(&mut self.stream).with_context(|| what.to_owned())?;
        ensure(status.starts_with("HTTP/1.1 200 "), what, &status)?;
        Ok(page.trim_end().to_owned())
    }

    /// Any word: an answer, an end or a reset.
    pub fn expect_word(&mut self, what: &str) -> Result<()> {
        self.patience(ANSWER_TIMEOUT)?;
        ensure(!self.is_silent(), what, "silence")
    }

    /// Not a word for `span`.
    pub fn expect_silence(&mut self, span: Duration, what: &str) -> Result<()> {
        self.patience(span)?;
        ensure(self.is_silent(), what, "a word")
    }

    fn patience(&self, span: Duration) -> Result<()> {
        let set = self.stream.get_ref().set_read_timeout(Some(span));
        set.context("setting how long to wait for an answer")
    }

    fn is_silent(&mut self) -> bool {
        let heard = self.stream.fill_buf();
        heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// Reads one answer whole, so that nothing of it is taken for the next one: its first line and its body.
fn answer(stream: &mut impl BufRead) -> Result<(String, String)> {
    let mut status = String::new();
    stream.read_line(&mut status)?;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        let count = stream.read_line(&mut line)?;
        ensure(count > 0, "an answer should have a body", "an end")?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<u64>()?.min(BODY_BYTES_MAX);
        }
    }
    let mut body = String::new();
    let count = stream.take(length).read_to_string(&mut body)?;
    let found = format!("{count} of {length} bytes");
    ensure(count as u64 == length, "the body should be whole", &found)?;
    Ok((status.trim_end().to_owned(), body))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        let two = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfourHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let mut stream = two.as_bytes();
        let (status, body) = answer(&mut stream).unwrap();
        assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", "four"));
        let (status, body) = answer(&mut stream).unwrap();
        assert_eq!((&*status, &*body), ("HTTP/1.1 404 Not Found", ""));
        assert!(answer(&mut stream).is_err());
        let mut torn = two.split_at(40).0.as_bytes();
        assert!(answer(&mut torn).is_err());
    }
}
