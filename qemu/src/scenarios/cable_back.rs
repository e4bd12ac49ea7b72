//! A cable that is pulled under a stream of answers and is soon back: what waited for it meanwhile waits for a
//! neighbour that is there again, and would go out in the name of addresses that are the twin's by then.

use super::stage::{Stage, ensure};
use crate::capture::{Capture, Frame};
use crate::flows::route::{PORT_NAT, Way, over_both};
use crate::net::{CLIENT, VIRTUAL_V4, VIRTUAL_V6, mac};
use crate::ns;
use crate::pair::{ROLE_TIMEOUT, is_active};
use anyhow::{Context, Result};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

const SERVERS: [&str; 3] = ["web1", "web2", "web3"];
/// From answer to answer.
const INTERVAL: Duration = Duration::from_millis(1);
/// Between the second and the third time that the kernel asks for the neighbour, of three, a second apart.
const OUT: Duration = Duration::from_millis(1500);
/// Until the kernel has given the neighbour up for sure, or has sent what waited for it.
const LISTENED: Duration = Duration::from_secs(3);
const ETHERTYPES: [([u8; 2], &str); 2] = [([0x08, 0x00], "IPv4"), ([0x86, 0xdd], "IPv6")];

pub fn run(stage: &mut Stage) -> Result<()> {
    let pair = stage.flow_pair()?;
    let active = pair.active()?;
    let (loser, heir) = (pair.machine(active)?, pair.machine(1 - active)?);
    let capture = {
        let (mac, path) = (mac(active, "wan"), stage.logs.join("wan.pcap"));
        let sources = format!("src host {VIRTUAL_V4} or src host {VIRTUAL_V6}");
        Capture::start("wan", &format!("ether src {mac} and ({sources})"), &path)?
    };
    let _streams = Streams::start()?;
    let mark = heir.console.mark();
    let pulled = Instant::now();
    loser.set_cable("wan", false)?;
    heir.console
        .wait_for(mark, "`active, ready`", ROLE_TIMEOUT, is_active)?;
    std::thread::sleep(OUT.saturating_sub(pulled.elapsed()));
    let back = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    loser.set_cable("wan", true)?;
    std::thread::sleep(LISTENED);
    let frames = capture.finish()?;
    pair.wait_calm()?;
    pair.expect_active(1 - active)?;
    for (ethertype, name) in ETHERTYPES {
        let of_kind = |frame: &&Frame| frame.bytes.get(12..14) == Some(&ethertype);
        let (before, after): (Vec<_>, Vec<_>) = frames
            .iter()
            .filter(of_kind)
            .partition(|frame| frame.at < back);
        let what = format!("{name} answers should stream before the cable is pulled");
        ensure(!before.is_empty(), &what, "none")?;
        let first = after.first().map(|frame| frame.at - back);
        let found = format!("{} answers, the first {first:?} after", after.len());
        let what = format!("no {name} answer should come of the loser's once its cable is back");
        ensure(after.is_empty(), &what, &found)?;
    }
    Ok(())
}

/// Servers that answer one question for ever, over IPv4 and IPv6; they stop when dropped.
struct Streams {
    is_stopped: Arc<AtomicBool>,
    /// The client's ends: closed, it would tell the servers so.
    _client: Vec<UdpSocket>,
}

impl Streams {
    /// Returns once the client is answered over both.
    fn start() -> Result<Self> {
        let is_stopped = Arc::<AtomicBool>::default();
        for host in SERVERS {
            let is_stopped = Arc::clone(&is_stopped);
            let socket = ns::within(host, || Ok(UdpSocket::bind(("::", PORT_NAT))?))?;
            socket.set_nonblocking(true)?;
            std::thread::spawn(move || stream(&socket, &is_stopped));
        }
        let routes = over_both(&[Way::BalancedNat]).into_iter();
        let client = routes.map(|route| ask(route.target(0)?));
        Ok(Streams {
            _client: client.collect::<Result<_>>()?,
            is_stopped,
        })
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

/// Answers whoever asks, again and again.
fn stream(socket: &UdpSocket, is_stopped: &AtomicBool) {
    let mut asked = Vec::new();
    while !is_stopped.load(Ordering::Relaxed) {
        if let Ok((_, from)) = socket.recv_from(&mut [0; 16]) {
            asked.push(from);
        }
        for from in &asked {
            // What finds no room is not missed.
            let _ = socket.send_to(b"answer", from);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Asks from the client, and waits for the first answer.
fn ask(target: SocketAddr) -> Result<UdpSocket> {
    ns::within(CLIENT, move || {
        let any = if target.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(ROLE_TIMEOUT))?;
        socket.connect(target)?;
        socket.send(b"question")?;
        let answered = socket.recv(&mut [0; 16]);
        answered.with_context(|| format!("asking {target}"))?;
        Ok(socket)
    })
}
