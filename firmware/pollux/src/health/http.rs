//! As much HTTP/1.1 as a check needs (RFC 9112): the request it sends, and the status line of what comes
//! back. It reads what strangers send, so it looks at no more than a bounded status line and never at
//! headers or body.

use core::fmt::Write;
use std::net::IpAddr;

/// Longest status line that is read, in bytes; servers send fewer than 40.
pub const STATUS_LINE_BYTES_MAX: usize = 256;

/// What is known of a response so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The status line is not complete.
    Incomplete,
    /// The status code.
    Status(u16),
    /// It is no HTTP/1.x response.
    NotHttp,
}

/// Collects a status line from the pieces in which it arrives.
#[derive(Debug, Default)]
pub struct StatusLine {
    line: Vec<u8>,
}

impl StatusLine {
    /// Takes the next piece of the response. Bytes after the line's end are not kept.
    pub fn feed(&mut self, bytes: &[u8]) -> Progress {
        for &byte in bytes {
            if byte == b'\n' {
                return parse(&self.line).map_or(Progress::NotHttp, Progress::Status);
            }
            if self.line.len() == STATUS_LINE_BYTES_MAX {
                return Progress::NotHttp;
            }
            self.line.push(byte);
        }
        Progress::Incomplete
    }
}

/// `HTTP/1.1 200 OK`, with or without a reason phrase and a carriage return at its end.
fn parse(line: &[u8]) -> Option<u16> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b" ")?;
    let (code, rest) = rest.split_first_chunk::<3>()?;
    let separated = rest.first().is_none_or(|&byte| byte == b' ');
    let digits = minor.is_ascii_digit() && code.iter().all(u8::is_ascii_digit);
    if !(separated && digits) {
        return None;
    }
    let status = code
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    (100..600).contains(&status).then_some(status)
}

/// The request of a check. `host` is the Host header's value; without one it is the server's address, as
/// RFC 9110, 7.2 wants it: IPv6 in brackets, the port only where it is not 80.
pub fn request(path: &str, host: Option<&str>, address: IpAddr, port: u16) -> Vec<u8> {
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: ");
    // Writing to a String can't fail.
    let _ = match (host, address) {
        (Some(host), _) => write!(text, "{host}"),
        (None, IpAddr::V4(v4)) => write!(text, "{v4}"),
        (None, IpAddr::V6(v6)) => write!(text, "[{v6}]"),
    };
    if host.is_none() && port != 80 {
        let _ = write!(text, ":{port}");
    }
    text.push_str("\r\nUser-Agent: pollux\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    text.into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Bytes that differ by seed (xorshift64).
    struct Noise(u64);

    impl Noise {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn bytes(&mut self) -> Vec<u8> {
            let length = self.next() % 64;
            (0..length).map(|_| self.next().to_be_bytes()[0]).collect()
        }
    }

    fn whole(bytes: &[u8]) -> Progress {
        StatusLine::default().feed(bytes)
    }

    #[test]
    fn status_lines_as_servers_send_them() {
        let cases: &[(&[u8], Progress)] = &[
            (b"HTTP/1.1 200 OK\r\nServer: x\r\n", Progress::Status(200)),
            (
                b"HTTP/1.0 503 Service Unavailable\r\n",
                Progress::Status(503),
            ),
            (b"HTTP/1.1 204\r\n", Progress::Status(204)),
            (b"HTTP/1.1 301 \n", Progress::Status(301)),
            (b"HTTP/1.1 200 OK", Progress::Incomplete),
            (b"", Progress::Incomplete),
            (b"HTTP/2 200\r\n", Progress::NotHttp),
            (b"HTTP/1.1 2000 OK\r\n", Progress::NotHttp),
            (b"HTTP/1.1 099 OK\r\n", Progress::NotHttp),
            (b"HTTP/1.1  200 OK\r\n", Progress::NotHttp),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Progress::NotHttp),
            (b"\n", Progress::NotHttp),
        ];
        for (bytes, expected) in cases {
            assert_eq!(whole(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn pieces_make_the_same_as_the_whole() {
        let response = b"HTTP/1.1 404 Not Found\r\n\r\nbody";
        for cut in 0..response.len() {
            let mut line = StatusLine::default();
            let first = line.feed(&response[..cut]);
            if first == Progress::Incomplete {
                assert_eq!(line.feed(&response[cut..]), Progress::Status(404), "{cut}");
            } else {
                assert_eq!(first, Progress::Status(404), "{cut}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_given_up_at_the_bound() {
        let mut line = StatusLine::default();
        assert_eq!(
            line.feed(&[b'H'; STATUS_LINE_BYTES_MAX]),
            Progress::Incomplete
        );
        assert_eq!(line.feed(b"H"), Progress::NotHttp);
        assert_eq!(line.line.len(), STATUS_LINE_BYTES_MAX);
    }

    #[test]
    fn noise_never_panics_and_never_grows_the_line() {
        for seed in 1..2000 {
            let mut noise = Noise(seed);
            let mut line = StatusLine::default();
            line.feed(&b"HTTP/1.1 200 OK"[..usize::try_from(seed % 16).unwrap()]);
            for _ in 0..8 {
                line.feed(&noise.bytes());
                assert!(line.line.len() <= STATUS_LINE_BYTES_MAX, "seed {seed}");
            }
        }
    }

    #[test]
    fn requests_name_the_host_as_the_rfc_wants() {
        let text = |host, address: &str, port| {
            let bytes = request("/alive?x=1", host, address.parse().unwrap(), port);
            String::from_utf8(bytes).unwrap()
        };
        assert!(
            text(Some("www"), "10.0.0.1", 8080)
                .starts_with("GET /alive?x=1 HTTP/1.1\r\nHost: www\r\n")
        );
        assert!(text(None, "10.0.0.1", 80).contains("\r\nHost: 10.0.0.1\r\n"));
        assert!(text(None, "2001:db8::1", 81).contains("\r\nHost: [2001:db8::1]:81\r\n"));
        assert!(text(None, "10.0.0.1", 80).ends_with("\r\nConnection: close\r\n\r\n"));
    }
}
