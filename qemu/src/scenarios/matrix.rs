//! The packet matrix: who asks whom for what, over IPv4 and IPv6, and whether the config of `has_matrix` accepts it,
//! refuses it, drops it, or changes who seems to ask. Servers listen behind closed ports, too: silence is the firewall's.

use super::stage::ensure;
use crate::net::{CLIENT, FAR, VIRTUAL_V4, VIRTUAL_V6};
use crate::ns;
use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const OPEN: u16 = 9300;
const REFUSED: u16 = 9302;
const CLOSED: u16 = 9303;
/// Of the virtual address, given to OPEN of a host.
const TRANSLATED: u16 = 9310;
/// The virtual address that stands for one host.
const ONE_TO_ONE: &str = "192.0.2.11";
const PORTS: [u16; 3] = [OPEN, REFUSED, CLOSED];
const SERVERS: [&str; 3] = ["web2", "web3", FAR];
/// Who does not answer within this does not answer.
const SILENCE: Duration = Duration::from_millis(1500);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// From datagram to datagram.
const ASK_INTERVAL: Duration = Duration::from_millis(300);

/// How one asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Tcp,
    Udp,
    Ping,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// An answer; the server saw this address ask.
    Seen(String),
    /// An answer that does not say whom it saw.
    Echo,
    Refused,
    Silence,
}

/// Who asks, how, whom, and what should come of it.
type Row = (&'static str, How, &'static str, u16, &'static str);

const REFUSAL: &str = "refused";
const SILENT: &str = "silence";
const ECHO: &str = "echo";

const ROWS: [Row; 32] = [
    (CLIENT, How::Tcp, "10.0.0.12", OPEN, "192.0.2.100"),
    (CLIENT, How::Udp, "10.0.0.12", OPEN, "192.0.2.100"),
    (CLIENT, How::Tcp, "10.0.0.12", REFUSED, REFUSAL),
    (CLIENT, How::Udp, "10.0.0.12", REFUSED, REFUSAL),
    (CLIENT, How::Tcp, "10.0.0.12", CLOSED, SILENT),
    (CLIENT, How::Udp, "10.0.0.12", CLOSED, SILENT),
    (CLIENT, How::Ping, "10.0.0.12", 0, ECHO),
    (CLIENT, How::Ping, VIRTUAL_V4, 0, ECHO),
    (CLIENT, How::Tcp, VIRTUAL_V4, OPEN, SILENT),
    (CLIENT, How::Tcp, VIRTUAL_V4, TRANSLATED, "192.0.2.100"),
    (CLIENT, How::Tcp, ONE_TO_ONE, OPEN, "192.0.2.100"),
    (CLIENT, How::Tcp, ONE_TO_ONE, CLOSED, SILENT),
    (FAR, How::Ping, VIRTUAL_V4, 0, SILENT),
    (FAR, How::Tcp, VIRTUAL_V4, TRANSLATED, SILENT),
    (FAR, How::Tcp, ONE_TO_ONE, OPEN, SILENT),
    ("web1", How::Tcp, "192.0.2.101", CLOSED, VIRTUAL_V4),
    ("web1", How::Udp, "192.0.2.101", CLOSED, VIRTUAL_V4),
    ("web1", How::Ping, "192.0.2.101", 0, ECHO),
    ("web3", How::Tcp, "192.0.2.101", CLOSED, ONE_TO_ONE),
    ("web3", How::Udp, "192.0.2.101", CLOSED, ONE_TO_ONE),
    ("web1", How::Tcp, VIRTUAL_V4, TRANSLATED, "10.0.0.1"),
    (CLIENT, How::Tcp, "fd00:a::12", OPEN, "2001:db8:1::100"),
    (CLIENT, How::Udp, "fd00:a::12", OPEN, "2001:db8:1::100"),
    (CLIENT, How::Tcp, "fd00:a::12", REFUSED, REFUSAL),
    (CLIENT, How::Udp, "fd00:a::12", REFUSED, REFUSAL),
    (CLIENT, How::Tcp, "fd00:a::12", CLOSED, SILENT),
    (CLIENT, How::Udp, "fd00:a::12", CLOSED, SILENT),
    (CLIENT, How::Ping, "fd00:a::12", 0, ECHO),
    (FAR, How::Ping, VIRTUAL_V6, 0, SILENT),
    ("web1", How::Tcp, "2001:db8:1::101", CLOSED, VIRTUAL_V6),
    ("web1", How::Udp, "2001:db8:1::101", CLOSED, VIRTUAL_V6),
    ("web1", How::Ping, "2001:db8:1::101", 0, ECHO),
];

/// Connections that were accepted, still open.
pub struct Held(Vec<(Row, TcpStream)>);

impl Held {
    /// One that nothing translates, and its server.
    pub fn accepted(&mut self) -> Result<(&mut TcpStream, &'static str)> {
        let mut rows = self.0.iter_mut();
        let found = rows.find(|(row, _)| row.0 == CLIENT && row.2 == "10.0.0.12");
        let (row, stream) = found.context("no plain connection is open")?;
        Ok((stream, row.2))
    }
}

/// Starts the servers, for as long as the testbed lives.
pub fn serve() -> Result<()> {
    for host in SERVERS {
        for port in PORTS {
            let any = SocketAddr::new("::".parse()?, port);
            let (listener, socket) = ns::within(host, move || {
                let listener = TcpListener::bind(any).context("binding a TCP port")?;
                Ok((
                    listener,
                    UdpSocket::bind(any).context("binding a UDP port")?,
                ))
            })?;
            ns::serve(host, move || answer_callers(&listener))?;
            ns::serve(host, move || answer_datagrams(&socket))?;
        }
    }
    Ok(())
}

/// Tells each caller what his address is, and then says all that he says.
fn answer_callers(listener: &TcpListener) -> Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        thread::Builder::new()
            .name("caller".into())
            .spawn(move || {
                let Ok(peer) = stream.peer_addr() else { return };
                let seen = format!("{}\n", peer.ip().to_canonical());
                let _ = stream.write_all(seen.as_bytes());
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    let said = stream.write_all(bytes.get(..count).unwrap_or_default());
                    if said.is_err() {
                        return;
                    }
                }
            })?;
    }
    Ok(())
}

fn answer_datagrams(socket: &UdpSocket) -> Result<()> {
    loop {
        // An error is an ICMP answer to something earlier.
        if let Ok((_, peer)) = socket.recv_from(&mut [0; 16]) {
            let text = format!("{}\n", peer.ip().to_canonical());
            let _ = socket.send_to(text.as_bytes(), peer);
        }
    }
}

/// Tries all rows at once; each must come out as it should.
pub fn try_all() -> Result<Held> {
    let running = ROWS.map(|row| (row, ns::spawn(row.0, move || ask(row))));
    let mut held = Vec::new();
    let mut wrong = String::new();
    for (row, thread) in running {
        let outcome = thread?.join();
        let Ok(outcome) = outcome else {
            anyhow::bail!("the thread that tried {row:?} panicked");
        };
        let (answer, stream) = outcome.with_context(|| format!("trying {row:?}"))?;
        if answer != wanted(row) {
            wrong += &format!("\n{row:?}: {answer:?}");
        }
        held.extend(stream.map(|stream| (row, stream)));
    }
    ensure(
        wrong.is_empty(),
        "every row should be as the config means",
        &wrong,
    )?;
    Ok(Held(held))
}

fn wanted(row: Row) -> Answer {
    match row.4 {
        REFUSAL => Answer::Refused,
        SILENT => Answer::Silence,
        ECHO => Answer::Echo,
        address => Answer::Seen(address.into()),
    }
}

fn ask(row: Row) -> Result<(Answer, Option<TcpStream>)> {
    let (_, how, address, port, _) = row;
    let patience = match wanted(row) {
        Answer::Silence => SILENCE,
        _ => ANSWER_TIMEOUT,
    };
    let address: IpAddr = address.parse()?;
    let target = SocketAddr::new(address, port);
    match how {
        How::Tcp => call(target, patience),
        How::Udp => Ok((send(target, patience)?, None)),
        How::Ping => Ok((ping(address, patience)?, None)),
    }
}

fn call(target: SocketAddr, patience: Duration) -> Result<(Answer, Option<TcpStream>)> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    match socket.connect_timeout(&target.into(), patience) {
        Err(error) => Ok((unanswered(&error)?, None)),
        Ok(()) => {
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(patience))?;
            // Byte by byte: what follows the line is for others.
            let mut seen = String::new();
            let read = BufReader::with_capacity(1, &stream).read_line(&mut seen);
            read.context("waiting for the server's word")?;
            let seen = seen.trim().to_owned();
            Ok((Answer::Seen(seen), Some(stream)))
        }
    }
}

fn send(target: SocketAddr, patience: Duration) -> Result<Answer> {
    let any = if target.is_ipv6() {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(ASK_INTERVAL))?;
    let deadline = Instant::now() + patience;
    let mut bytes = [0; 64];
    while Instant::now() < deadline {
        // A refusal of the datagram before may be told here.
        if let Err(error) = socket.send(b"who am I?") {
            return unanswered(&error);
        }
        match socket.recv(&mut bytes) {
            Ok(count) => {
                let seen = bytes.get(..count).unwrap_or_default();
                return Ok(Answer::Seen(String::from_utf8_lossy(seen).trim().into()));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(error) => return unanswered(&error),
        }
    }
    Ok(Answer::Silence)
}

fn ping(address: IpAddr, patience: Duration) -> Result<Answer> {
    let deadline = Instant::now() + patience;
    let address = address.to_string();
    while Instant::now() < deadline {
        let family = if address.contains(':') { "-6" } else { "-4" };
        // This thread is where it asks from.
        let ping = std::process::Command::new("busybox")
            .args(["ping", family, "-c", "1", "-W", "1", &address])
            .output();
        if ping.context("starting ping")?.status.success() {
            return Ok(Answer::Echo);
        }
    }
    Ok(Answer::Silence)
}

fn unanswered(error: &std::io::Error) -> Result<Answer> {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Ok(Answer::Silence),
        // A refusal by ICMP says by whom: what it is called depends on the version of IP.
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::PermissionDenied => {
            Ok(Answer::Refused)
        }
        _ => anyhow::bail!("neither an answer nor a refusal nor silence: {error}"),
    }
}
