//! The heartbeat links as descriptors: opened, read, written, and opened again when their hardware comes
//! back. What frames mean is proto's business; a link that fails is said once and never stops the worker.

use super::settings;
use super::status::LinkFacts;
use crate::clock::now;
use core::time::Duration;
use embedded_io::{ErrorType, Write};
use plan::config::{Cast, Config, Link};
use plan::kernel::Device;
use plan::paths::{UdpPath, udp_path};
use proto::serial::{Decoder, Sender};
use proto::wire::FRAME_BYTES_MAX;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use sys::serial::Serial;
use sys::udp::{Destination, UdpLink};

/// Datagrams read from one link in one turn, so that a flood on one can't starve the timers.
const DATAGRAMS_PER_TURN: usize = 64;

/// Reads of a serial line in one turn, of `CHUNK_BYTES` each; a turn of a second at 115200 baud.
const CHUNKS_PER_TURN: usize = 48;
const CHUNK_BYTES: usize = 256;

/// From one attempt to open a link to the next. Devices that appear are tried at once; what is left are
/// ttys, which nobody announces to us.
const OPEN_INTERVAL: Duration = Duration::from_secs(1);

/// The same for a socket that was bound before its network was set up.
const BIND_INTERVAL: Duration = Duration::from_millis(100);

/// One heartbeat link.
pub struct HeartbeatLink {
    name: String,
    way: Way,
    line: Line,
    decoder: Decoder,
    sender: Sender,
    /// The sender holds bytes that the line has not taken.
    has_rest: bool,
    unsent: u64,
    /// Something went out since it was opened.
    has_sent: bool,
    retry_at: Duration,
    complained: bool,
}

/// How it is opened.
enum Way {
    Serial {
        path: PathBuf,
        baud: u32,
    },
    Udp {
        interface: usize,
        path: UdpPath,
        to: Destination,
    },
    /// `validate` refuses these: there is no address for it.
    None,
}

enum Line {
    Closed,
    Serial(Serial),
    /// With the index of its device: one that was pulled and plugged in again has another.
    Udp(UdpLink, u32),
}

/// All links of node `node`, none open yet, in the order of the config.
pub fn links(config: &Config, node: usize) -> Vec<HeartbeatLink> {
    let links = config.links.iter().enumerate();
    let link = |(position, link): (usize, &Link)| HeartbeatLink {
        name: settings::link_name(config, link),
        way: way(config, node, position, link),
        line: Line::Closed,
        decoder: Decoder::default(),
        sender: Sender::default(),
        has_rest: false,
        unsent: 0,
        has_sent: false,
        retry_at: Duration::ZERO,
        complained: false,
    };
    links.map(link).collect()
}

fn way(config: &Config, node: usize, position: usize, link: &Link) -> Way {
    match link {
        Link::Serial { tty, baud } => Way::Serial {
            path: PathBuf::from("/dev").join(tty),
            baud: *baud,
        },
        Link::Udp {
            interface, cast, ..
        } => {
            let path = udp_path(config, node, position);
            let udp = path.and_then(|path| Some((path, destination(*cast, &path)?)));
            udp.map_or(Way::None, |(path, to)| Way::Udp {
                interface: usize::from(*interface),
                path,
                to,
            })
        }
    }
}

fn destination(cast: Cast, path: &UdpPath) -> Option<Destination> {
    match (cast, path.to) {
        (Cast::Unicast, to) => Some(Destination::Unicast(to)),
        (Cast::Broadcast, IpAddr::V4(to)) => Some(Destination::Broadcast(to)),
        (Cast::Multicast(group), _) => Some(Destination::Multicast(group)),
        (Cast::Broadcast, IpAddr::V6(_)) => None,
    }
}

impl HeartbeatLink {
    /// When it is to be opened; `None`: it is open.
    pub fn open_at(&self) -> Option<Duration> {
        matches!(self.line, Line::Closed).then_some(self.retry_at)
    }

    /// Opens it if it is closed and it is time.
    pub fn open_if_due(&mut self, now: Duration, config: &Config, node: usize, devices: &[Device]) {
        if self.open_at().is_none_or(|at| at > now) {
            return;
        }
        match self.open(config, node, devices) {
            Ok(line) => {
                self.line = line;
                self.has_sent = false;
                if self.complained {
                    log::info!("link {}: open", self.name);
                }
                self.complained = false;
            }
            Err(why) => {
                self.retry_at = now.saturating_add(OPEN_INTERVAL);
                if !self.complained {
                    log::warn!(
                        "link {}: {why}; it is tried again until it opens",
                        self.name
                    );
                }
                self.complained = true;
            }
        }
    }

    fn open(&self, config: &Config, node: usize, devices: &[Device]) -> Result<Line, String> {
        match &self.way {
            Way::Serial { path, baud } => Serial::open(path, *baud)
                .map(Line::Serial)
                .map_err(|error| error.to_string()),
            Way::Udp {
                interface,
                path,
                to,
            } => {
                let device = plan::device_of(config, node, *interface, devices);
                let device = device.ok_or("its device is not there")?;
                let link = UdpLink::open(&device.name, path.local, *to, path.port)
                    .map_err(|error| error.to_string())?;
                Ok(Line::Udp(link, device.index))
            }
            Way::None => Err("the config gives this box no address for it".into()),
        }
    }

    /// The devices changed: a link whose device is gone or is another one now is closed, one that waits
    /// for its device is tried at once.
    pub fn follow(&mut self, config: &Config, node: usize, devices: &[Device]) {
        let Way::Udp { interface, .. } = &self.way else {
            return;
        };
        let device = plan::device_of(config, node, *interface, devices);
        match (&self.line, device) {
            (Line::Udp(_, index), Some(device)) if *index == device.index => {}
            (Line::Udp(..), _) => self.close("its device is gone"),
            (_, Some(_)) => self.retry_at = Duration::ZERO,
            (_, None) => {}
        }
    }

    /// Closes it and says why. Not opened again at once: what opens and fails in a circle must not take
    /// the processor from everybody else.
    fn close(&mut self, why: &str) {
        self.line = Line::Closed;
        self.retry_at = now().saturating_add(OPEN_INTERVAL);
        self.complained = true;
        log::warn!(
            "link {}: {why}; it is tried again until it opens",
            self.name
        );
    }

    /// What to wait on; `None` while it is closed.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.line {
            Line::Closed => None,
            Line::Serial(port) => Some(port.as_fd()),
            Line::Udp(link, _) => Some(link.as_fd()),
        }
    }

    /// How often to read it in one turn.
    pub fn reads_per_turn(&self) -> usize {
        match self.line {
            Line::Closed => 0,
            Line::Serial(_) => CHUNKS_PER_TURN,
            Line::Udp(..) => DATAGRAMS_PER_TURN,
        }
    }

    /// Whether it is a serial line.
    pub fn is_serial(&self) -> bool {
        matches!(self.way, Way::Serial { .. })
    }

    /// Reads once and hands each frame to `on_frame`; says whether there may be more.
    pub fn receive(&mut self, mut on_frame: impl FnMut(&[u8])) -> bool {
        match &mut self.line {
            Line::Closed => false,
            Line::Serial(port) => {
                let mut chunk = [0; CHUNK_BYTES];
                match port.receive(&mut chunk) {
                    Ok(length) => {
                        let bytes = chunk.get(..length).unwrap_or_default();
                        self.decoder.push(bytes, &mut on_frame);
                        length > 0
                    }
                    Err(error) => {
                        self.close(&error.to_string());
                        false
                    }
                }
            }
            Line::Udp(link, _) => {
                // One byte more than any frame, so that what is too long shows.
                let mut datagram = [0; FRAME_BYTES_MAX + 1];
                // An error (the network is down) is not worth a line: the link falls silent, and that is said.
                let Ok(Some((length, _))) = link.receive(&mut datagram) else {
                    return false;
                };
                on_frame(datagram.get(..length).unwrap_or_default());
                true
            }
        }
    }

    /// Sends a frame, or counts that it was not.
    pub fn send(&mut self, frame: &[u8]) {
        match &mut self.line {
            Line::Closed => self.unsent = self.unsent.saturating_add(1),
            Line::Serial(_) => {
                self.sender.queue(frame);
                self.flush();
            }
            Line::Udp(link, _) => match link.send(frame) {
                Ok(()) => self.has_sent = true,
                Err(_) => {
                    self.unsent = self.unsent.saturating_add(1);
                    self.bind_anew();
                }
            },
        }
    }

    /// A socket that is bound to a broadcast address before the network is there takes it for an address of a host, and
    /// can't send from it ever after (`__inet_bind` in net/ipv4/af_inet.c).
    fn bind_anew(&mut self) {
        let to = match &self.way {
            Way::Udp { to, .. } => Some(to),
            Way::Serial { .. } | Way::None => None,
        };
        if !self.has_sent && matches!(to, Some(Destination::Broadcast(_))) {
            self.line = Line::Closed;
            self.retry_at = now().saturating_add(BIND_INTERVAL);
        }
    }

    /// Whether a serial line has yet to take the rest of a frame.
    pub fn wants_to_write(&self) -> bool {
        self.has_rest && self.fd().is_some()
    }

    /// Gives a serial line what it has not taken yet.
    pub fn flush(&mut self) {
        let Line::Serial(port) = &mut self.line else {
            return;
        };
        match self.sender.write_to(&mut Port(port)) {
            Ok(has_rest) => self.has_rest = has_rest,
            Err(_) => {
                self.has_rest = false;
                self.unsent = self.unsent.saturating_add(1);
            }
        }
    }

    /// A tty that hung up never wakes for anything else again.
    pub fn hung_up(&mut self) {
        if matches!(self.line, Line::Serial(_)) {
            self.close("its tty hung up");
        }
    }

    /// For the console.
    pub fn facts(&self) -> LinkFacts {
        LinkFacts {
            name: self.name.clone(),
            noise: self.decoder.noise().total(),
            unsent: self.unsent.saturating_add(self.sender.replaced()),
        }
    }
}

/// A serial line as proto's sender wants it: a full one takes nothing and that is no error.
struct Port<'a>(&'a mut Serial);

impl ErrorType for Port<'_> {
    type Error = sys::Error;
}

impl Write for Port<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, sys::Error> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> Result<(), sys::Error> {
        Ok(())
    }
}
