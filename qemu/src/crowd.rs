//! A crowd: so many flows that a box's table of connections is full of them. Each begins with one datagram to a port of
//! the virtual address that the firewall translates to a host behind the pair. Some are watched: their far ends speak
//! first after a takeover, and only a box that knows the connection can carry that to where it began. No more begin at
//! once than the pair takes, so none is lost; what a box drops all the same begins again and is counted.

use crate::flows::route::{DNAT_HOST, PORT_DNAT, PORT_PLAIN};
use crate::net::{CLIENT, HOSTS, VIRTUAL_V4};
use crate::ns;
use anyhow::{Context, Result, bail};
use nix::libc::IPPROTO_RAW;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// Flows whose first datagram may be on its way at once: fewer than any queue between here and there holds.
const WINDOW: u32 = 256;
/// When nothing has come for so long, what was on its way is lost.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// After so many times of that one after the other the pair carries nothing at all.
const LOST_MAX: u32 = 10;
/// Ports of one address of the client's, from the first one on.
const PORTS: u32 = 60_000;
const FIRST_PORT: u16 = 2_000;
/// The client's first address of the crowd's; the others follow.
const FIRST_ADDRESS: u32 = 128;
/// From one word of the far ends to the next, and to how many flows at once: an emulated box takes a few thousand
/// packets in a second.
const WORD_INTERVAL: Duration = Duration::from_millis(20);
const WORDS_AT_ONCE: usize = 50;
/// A flow's number, and nothing else.
const PAYLOAD_BYTES: usize = 4;
const UDP: u8 = 17;
/// Length of UDP's header and the payload, and no checksum.
const UDP_BYTES: [u8; 4] = [0, 12, 0, 0];
const HOPS: u8 = 64;
/// Room for what has come and was not looked at yet.
const ROOM_BYTES: usize = 4 << 20;

/// Running flows; their connections stand as long as the boxes let them.
#[derive(Debug)]
pub struct Crowd {
    /// Sends as any of the client's addresses.
    opener: Socket,
    /// The far end of all of them.
    server: UdpSocket,
    watched: Vec<Watched>,
    has_come: Vec<bool>,
    begun: u32,
    come: u32,
    /// Flows that had to begin again.
    pub lost: u32,
}

/// A flow that has an end of its own at the client.
#[derive(Debug)]
struct Watched {
    number: u32,
    /// Connected to the virtual address: nothing else can reach it.
    socket: UdpSocket,
}

/// What the watched flows did when their far ends spoke.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// When the first one was heard.
    pub first: Instant,
    /// When the last one was heard and its answer had come.
    pub last: Instant,
}

impl Crowd {
    /// Room for `size` flows, of which `watched` are watched, evenly spread.
    pub fn gather(size: u32, watched: u32) -> Result<Self> {
        allow_files(watched)?;
        let last = size.saturating_sub(1) / PORTS;
        let addresses: String = (0..=last)
            .map(|number| {
                format!(
                    "addr replace 192.0.2.{}/24 dev wan\n",
                    FIRST_ADDRESS + number
                )
            })
            .collect();
        ns::ip_in(CLIENT, &addresses).context("giving the client addresses for a crowd")?;
        let host = HOSTS.iter().find(|host| host.number == DNAT_HOST);
        let host = host.context("the host that datagrams are translated to")?;
        let every = (size / watched.max(1)).max(1);
        let numbers: Vec<u32> = (0..watched).map(|place| place * every).collect();
        let (opener, watched) = ns::within(CLIENT, move || Ok((opener()?, watch(&numbers)?)))?;
        let mut crowd = Crowd {
            opener,
            server: ns::within(host.name, server)?,
            watched,
            has_come: vec![false; usize::try_from(size)?],
            begun: 0,
            come: 0,
            lost: 0,
        };
        // Hosts ask for each other's addresses before the rush.
        crowd.grow(1)?;
        Ok(crowd)
    }

    /// Begins flows until there are `count`, as fast as they come to the far end.
    pub fn grow(&mut self, count: u32) -> Result<()> {
        self.server.set_read_timeout(Some(LOST_AFTER))?;
        let mut silent = 0;
        while self.come < count {
            while self.begun < count && self.begun - self.come < WINDOW {
                self.open(self.begun)?;
                self.begun += 1;
            }
            match self.take()? {
                Some(_) => silent = 0,
                None if silent < LOST_MAX => {
                    silent += 1;
                    self.open_lost()?;
                }
                None => bail!("of {count} flows only {} begin", self.come),
            }
        }
        Ok(())
    }

    /// Has the far ends of the watched flows speak, again and again, until each was heard at the client and its answer
    /// came back.
    pub fn speak(&mut self, timeout: Duration) -> Result<Words> {
        self.server
            .set_read_timeout(Some(Duration::from_millis(1)))?;
        let began = Instant::now();
        let (mut heard, mut first) = (vec![false; self.watched.len()], None);
        let mut said = began.checked_sub(WORD_INTERVAL).unwrap_or(began);
        let mut turn = 0;
        while heard.contains(&false) {
            if began.elapsed() > timeout {
                let silent = heard.iter().filter(|is_heard| !**is_heard).count();
                let all = heard.len();
                bail!("{silent} of {all} watched flows do not go on within {timeout:?}");
            }
            if said.elapsed() >= WORD_INTERVAL {
                said = Instant::now();
                self.say(&heard, &mut turn);
            }
            if self.answer()? && first.is_none() {
                first = Some(Instant::now());
            }
            while let Some(number) = self.take()? {
                let place = self.watched.iter().position(|one| one.number == number);
                if let Some(is_heard) = place.and_then(|place| heard.get_mut(place)) {
                    *is_heard = true;
                }
            }
        }
        let last = Instant::now();
        let first = first.unwrap_or(last);
        Ok(Words { first, last })
    }

    /// Flow `number` says its name.
    fn open(&self, number: u32) -> Result<()> {
        let to = SocketAddrV4::new(VIRTUAL_V4.parse()?, PORT_DNAT);
        self.opener
            .send_to(&packet(origin(number), to, number), &to.into())
            .with_context(|| format!("beginning flow {number}"))?;
        Ok(())
    }

    fn open_lost(&mut self) -> Result<()> {
        let numbers = (0..self.begun).zip(&self.has_come);
        let lost: Vec<u32> = numbers
            .filter_map(|(number, has_come)| (!has_come).then_some(number))
            .collect();
        for number in &lost {
            self.open(*number)?;
        }
        self.lost += u32::try_from(lost.len())?;
        Ok(())
    }

    /// The next flow that is heard at the far end, if one is in time.
    fn take(&mut self) -> Result<Option<u32>> {
        let mut bytes = [0; PAYLOAD_BYTES];
        let (number, from) = match self.server.recv_from(&mut bytes) {
            Ok((PAYLOAD_BYTES, from)) => (u32::from_be_bytes(bytes), from),
            Ok(_) => bail!("a datagram at the far end is none of the crowd's"),
            Err(error) if is_late(&error) => return Ok(None),
            Err(error) => return Err(error).context("hearing flows"),
        };
        if from != origin(number).into() {
            bail!(
                "flow {number} should come from {} and comes from {from}",
                origin(number)
            );
        }
        let place = usize::try_from(number)?;
        let has_come = self.has_come.get_mut(place).context("no such flow")?;
        if !std::mem::replace(has_come, true) {
            self.come += 1;
        }
        Ok(Some(number))
    }

    /// The far ends of some of those that are not heard yet speak, one after the other.
    fn say(&self, heard: &[bool], turn: &mut usize) {
        let silent: Vec<u32> = (self.watched.iter().zip(heard))
            .filter_map(|(one, is_heard)| (!is_heard).then_some(one.number))
            .collect();
        for number in silent.iter().cycle().skip(*turn).take(WORDS_AT_ONCE) {
            // Nobody may be there to carry it just now: it is said again.
            let _ = self.server.send_to(&number.to_be_bytes(), origin(*number));
        }
        *turn = (*turn + WORDS_AT_ONCE) % silent.len().max(1);
    }

    /// What came to the client is sent back as it came; says whether something did.
    fn answer(&self) -> Result<bool> {
        let mut has_come = false;
        for Watched { number, socket } in &self.watched {
            let mut bytes = [0; PAYLOAD_BYTES];
            while socket.recv(&mut bytes).is_ok() {
                if u32::from_be_bytes(bytes) != *number {
                    bail!("flow {number} is told what is another's");
                }
                has_come = true;
                // What is lost here is missed at the far end.
                let _ = socket.send(&bytes);
            }
        }
        Ok(has_come)
    }
}

/// Where flow `number` comes from.
fn origin(number: u32) -> SocketAddrV4 {
    let address = u32::from(Ipv4Addr::new(192, 0, 2, 0)) + FIRST_ADDRESS + number / PORTS;
    let port = u16::try_from(number % PORTS).unwrap_or(0) + FIRST_PORT;
    SocketAddrV4::new(address.into(), port)
}

/// A socket for whole packets, which hears nothing.
fn opener() -> Result<Socket> {
    let protocol = Some(Protocol::from(IPPROTO_RAW));
    Ok(Socket::new(Domain::IPV4, Type::RAW, protocol)?)
}

/// RFC 791 and RFC 768. The kernel fills in length, identification and checksum of the header; UDP goes without one.
fn packet(from: SocketAddrV4, to: SocketAddrV4, number: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, HOPS, UDP, 0, 0];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(UDP_BYTES);
    packet.extend(number.to_be_bytes());
    packet
}

fn watch(numbers: &[u32]) -> Result<Vec<Watched>> {
    let to = SocketAddrV4::new(VIRTUAL_V4.parse()?, PORT_DNAT);
    let each = numbers.iter().map(|&number| {
        let socket = UdpSocket::bind(origin(number))?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        Ok(Watched { number, socket })
    });
    each.collect()
}

fn server() -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_recv_buffer_size(ROOM_BYTES)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT_PLAIN).into())?;
    Ok(socket.into())
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Each watched flow has a socket; many systems allow a process 1024 files unless it asks.
fn allow_files(watched: u32) -> Result<()> {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = now.max(u64::from(watched) + 1024).min(most);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, most).context("allowing more open files")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_flow_of_a_million_comes_from_elsewhere() {
        let all: HashSet<_> = (0..1_000_000).map(origin).collect();
        assert_eq!(all.len(), 1_000_000);
        let hosts = all.iter().map(|from| from.ip().octets()[3]);
        assert!(hosts.into_iter().all(|host| (128..=144).contains(&host)));
    }

    #[test]
    fn a_packet_says_where_from_where_to_and_which() {
        let packet = packet(origin(60_001), "192.0.2.10:9001".parse().unwrap(), 60_001);
        assert_eq!(packet.len(), 20 + 8 + PAYLOAD_BYTES);
        assert_eq!(packet.get(12..20).unwrap(), [192, 0, 2, 129, 192, 0, 2, 10]);
        assert_eq!(packet.get(20..24).unwrap(), [0x07, 0xd1, 0x23, 0x29]);
        assert_eq!(packet.get(28..).unwrap(), 60_001_u32.to_be_bytes());
    }
}
