//! Networks around a box, each a network namespace of this test's own: nothing on the host is touched.

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::sockopt::{ReuseAddr, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long silence is watched until it counts as such: on a busy machine an answer may take a while.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);

/// A network, or the box: a namespace that lives as long as this.
pub(crate) struct Place {
    holder: Child,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It went through; the other end saw this address.
    Seen(IpAddr),
    /// It was told off: reset, ICMP error, or not even let out.
    Refused,
    /// Nothing came back.
    Silence,
}

impl Place {
    /// `None` where namespaces are not to be had.
    pub(crate) fn new() -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo here; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut ready = [0; 5];
        holder.stdout.as_mut()?.read_exact(&mut ready).ok()?;
        Some(Self { holder })
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Runs a program here, and answers with what it prints.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        let net = format!("--net={}", self.namespace());
        let mut child = Command::new("nsenter")
            .args([&net, program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Commands of `ip`, one a line.
    pub(crate) fn ip(&self, lines: &str) {
        self.run("ip", &["-batch", "-"], lines);
    }

    /// A cable to another place: `name` here, `other_name` there, both up.
    pub(crate) fn cable(&self, name: &str, other: &Place, other_name: &str) {
        let there = other.holder.id();
        self.ip(&format!(
            "link add {name} type veth peer name {other_name} netns {there}\nlink set {name} up\n"
        ));
        other.ip(&format!("link set lo up\nlink set {other_name} up\n"));
    }

    /// Does something here, on a thread of its own.
    pub(crate) fn here<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = File::open(self.namespace()).unwrap();
        let thread = std::thread::spawn(move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
            task()
        });
        thread.join().unwrap()
    }

    /// Serves TCP here: tells each client which address it is seen by, and then says back what it says.
    pub(crate) fn serve(&self, address: &str) {
        let listener = {
            let address: SocketAddr = address.parse().unwrap();
            self.here(move || TcpListener::bind(address).unwrap())
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || say_back(stream));
            }
        });
    }

    /// Serves UDP here in the same way.
    pub(crate) fn serve_datagrams(&self, address: &str) {
        let address: SocketAddr = address.parse().unwrap();
        let socket = self.here(move || UdpSocket::bind(address).unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(peer.ip().to_string().as_bytes(), peer);
            }
        });
    }

    /// Opens a connection from one address here to another, that of a server.
    pub(crate) fn open(&self, from: &str, to: &str) -> Result<TcpStream, Outcome> {
        let from: IpAddr = from.parse().unwrap();
        let to: SocketAddr = to.parse().unwrap();
        self.here(move || open(from, to))
    }

    /// What becomes of a connection.
    pub(crate) fn tcp(&self, from: &str, to: &str) -> Outcome {
        match self.open(from, to) {
            Ok(mut stream) => greeting(&mut stream),
            Err(outcome) => outcome,
        }
    }

    /// What becomes of a datagram.
    pub(crate) fn udp(&self, from: &str, to: &str) -> Outcome {
        let from: IpAddr = from.parse().unwrap();
        let to: SocketAddr = to.parse().unwrap();
        self.here(move || {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.set_read_timeout(Some(SILENCE)).unwrap();
            if socket.connect(to).is_err() || socket.send(b"who am I?").is_err() {
                return Outcome::Refused;
            }
            let mut buffer = [0; 64];
            match socket.recv(&mut buffer) {
                Ok(length) => seen(buffer.get(..length).unwrap()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Outcome::Silence,
                Err(_) => Outcome::Refused,
            }
        })
    }

    /// Whether a single ping is answered.
    pub(crate) fn ping(&self, from: &str, to: &str) -> bool {
        let net = format!("--net={}", self.namespace());
        let status = Command::new("nsenter")
            .args([&net, "ping", "-q", "-c1", "-W1", "-I", from, to])
            .stdout(Stdio::null())
            .status();
        status.unwrap().success()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn say_back(mut stream: TcpStream) {
    let peer = stream.peer_addr().unwrap().ip();
    let _ = stream.write_all(format!("{peer}\n").as_bytes());
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let _ = stream.write_all(buffer.get(..length).unwrap());
    }
}

fn open(from: IpAddr, to: SocketAddr) -> Result<TcpStream, Outcome> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Stream, SockFlag::empty(), None).unwrap();
    let wait = TimeVal::new(SILENCE.as_secs().try_into().unwrap(), 0);
    setsockopt(&socket, ReuseAddr, &true).unwrap();
    setsockopt(&socket, SendTimeout, &wait).unwrap();
    let fd = socket.as_raw_fd();
    bind(fd, &SockaddrStorage::from(SocketAddr::new(from, 0))).unwrap();
    match connect(fd, &SockaddrStorage::from(to)) {
        Ok(()) => {
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(SILENCE)).unwrap();
            Ok(stream)
        }
        Err(nix::Error::EINPROGRESS | nix::Error::EAGAIN | nix::Error::ETIMEDOUT) => {
            Err(Outcome::Silence)
        }
        Err(_) => Err(Outcome::Refused),
    }
}

/// What a server says first.
pub(crate) fn greeting(stream: &mut TcpStream) -> Outcome {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\n") {
        match stream.read(&mut byte) {
            Ok(1) => text.extend(byte),
            Ok(_) => return Outcome::Refused,
            Err(_) => return Outcome::Silence,
        }
    }
    seen(text.trim_ascii())
}

fn seen(text: &[u8]) -> Outcome {
    Outcome::Seen(String::from_utf8_lossy(text).parse().unwrap())
}

/// Whether a connection still carries words there and back.
pub(crate) fn is_alive(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    stream.write_all(b"you?").is_ok() && stream.read_exact(&mut answer).is_ok()
}

/// Whether this machine has what the judge needs.
pub(crate) fn has_nft() -> bool {
    ["/usr/sbin/nft", "/sbin/nft"]
        .iter()
        .any(|path| Path::new(path).exists())
}
