//! Connections of the balancer. The kernel has no call to list or insert them but its sync daemons: both run at all
//! times on one end of a cable within this box, and we sit at the other. What the master sends becomes records for
//! the twin; the twin's become messages to the backup. A standby sees no packets of clients, so its master is silent.

mod backlog;
mod cable;
mod count;
mod listing;
mod methods;

pub use count::Count;
pub use listing::{LINES_PER_TURN, Listing, Which};

use crate::clock::now;
use backlog::Backlog;
use core::fmt;
use core::time::Duration;
use methods::Methods;
use netlink::ipvs::sync_message::frame::{self, Batch};
use netlink::ipvs::sync_message::record::Record;
use netlink::ipvs::sync_message::{Entry, decode, nudge};
use netlink::ipvs::{self, Family};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use sys::netlink::{Netlink, Protocol};
use sys::packet::{PacketListener, PacketSocket};

/// How often an active box calls `nudge`: a new connection is at the twin at most so much, and the 20 ms of
/// IPVS_SYNC_SEND_DELAY, after its first data.
pub const NUDGE_INTERVAL: Duration = Duration::from_millis(25);

/// A connection that is used is told of anew after so many seconds, since its timer began anew.
const REFRESH_S: u32 = 30;

/// Of all daemons here; other masters are not heard.
const SYNC_ID: u8 = 1;

/// What the kernel said of its servers is believed for so long: to ask for each connection of a bulk would take too long.
const SERVERS_AGE_MAX: Duration = Duration::from_millis(100);

/// Frames taken in one call: some milliseconds' worth.
const FRAMES_MAX: usize = 512;

/// Room for what the master sends while we are busy: 10,000 frames or so. What is dropped is told of again when it
/// changes, or after `REFRESH_S`.
const LISTEN_BYTES: usize = 16 << 20;

/// IP_VS_CTPL_S_ASSURED. The master tells of a template with the first packet of its first connection, and not when
/// that one is established.
const TEMPLATE_ASSURED: u16 = 1;

/// How the master tells of connections (Documentation/networking/ipvs-sysctl.rst and `ip_vs_sync_conn_needed`), below
/// net/ipv4/vs.
const SETTINGS: [(&str, &str); 6] = [
    ("sync_version", "1"),
    // Packets are not counted: a connection is told of with the packet that establishes it, with each change of its
    // state, and again after `sync_refresh_period`. The kernel's own "3 50" passes over what has fewer packets.
    ("sync_threshold", "0 0"),
    ("sync_refresh_period", "30"),
    // Our channel sends again what was lost.
    ("sync_retries", "0"),
    // Connections, not only the templates that bind a client to its server.
    ("sync_persist_mode", "0"),
    // Bytes; room for what we replay.
    ("sync_sock_size", "4194304"),
];

/// What `sync_sock_size` may be at most, in bytes; the kernel lowers the one to the other without a word.
const SOCKET_LIMIT: (&str, &str) = ("/proc/sys/net/core/rmem_max", "4194304");

/// Balanced connections can't be mirrored.
#[derive(Debug)]
pub enum Error {
    /// The kernel refused something.
    Netlink(sys::netlink::Error),
    /// A system call failed.
    System(sys::Error),
    /// Sync daemons run already, on that interface, and not for us.
    Taken(String),
    /// A device that was just made is not there.
    Cable,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Netlink(error) => error.fmt(f),
            Error::System(error) => error.fmt(f),
            Error::Taken(interface) => write!(
                f,
                "starting IPVS sync daemons: others run on {interface}; stop them (ipvsadm --stop-daemon)"
            ),
            Error::Cable => write!(
                f,
                "making {} and {}: no such devices",
                cable::INNER,
                cable::OUTER
            ),
        }
    }
}

impl From<sys::netlink::Error> for Error {
    fn from(error: sys::netlink::Error) -> Self {
        Error::Netlink(error)
    }
}

impl From<sys::Error> for Error {
    fn from(error: sys::Error) -> Self {
        Error::System(error)
    }
}

impl From<netlink::EncodeError> for Error {
    fn from(error: netlink::EncodeError) -> Self {
        Error::Netlink(error.into())
    }
}

/// What was not told on, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Messages of this kernel's master, or entries in them, that could not be read.
    pub unread: u64,
    /// Records of the twin's that could not be read.
    pub foreign: u64,
    /// Tunnelled connections whose server this kernel does not know.
    pub homeless: u64,
    /// Frames that the cable did not take.
    pub unsent: u64,
}

/// Both ends of this kernel's sync daemons.
pub struct Balanced {
    generic: Netlink,
    family: Family,
    cable: cable::Cable,
    listener: PacketListener,
    sender: PacketSocket,
    batch: Batch,
    backlog: Backlog,
    servers: Servers,
    lost: Lost,
}

/// What the kernel said of its servers, and when.
#[derive(Default)]
struct Servers {
    methods: Methods,
    read_at: Option<Duration>,
}

impl Balanced {
    /// Lays the cable and starts the daemons, where they are not there already from a worker before this one.
    /// `None` in a kernel without IPVS.
    ///
    /// # Errors
    /// The kernel's refusal; daemons that are not ours.
    pub fn open() -> Result<Option<Self>, Error> {
        let mut generic = Netlink::open(Protocol::Generic)?;
        let Some(family) = family(&mut generic)? else {
            return Ok(None);
        };
        set();
        let cable = cable::lay()?;
        cable::start_daemons(&mut generic, family)?;
        let listener = PacketListener::open_on(
            cable.outer,
            frame::ETHERTYPE,
            &frame::filter(),
            LISTEN_BYTES,
        )?;
        Ok(Some(Balanced {
            generic,
            family,
            cable,
            listener,
            sender: PacketSocket::open()?,
            batch: Batch::new(),
            backlog: Backlog::default(),
            servers: Servers::default(),
            lost: Lost::default(),
        }))
    }

    /// Ends the daemons and takes the cable away, whichever worker left them there; says whether there were any.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn clear_away() -> Result<bool, Error> {
        let mut generic = Netlink::open(Protocol::Generic)?;
        let family = family(&mut generic)?;
        cable::take_away(family.map(|family| (&mut generic, family)))
    }

    /// Hands key, value and timeout in seconds of each connection that the master told of to `note`; those that wait
    /// beyond `FRAMES_MAX` frames stay for the next call.
    ///
    /// # Errors
    /// ENETDOWN and the like; go on.
    pub fn receive(&mut self, mut note: impl FnMut(&[u8], &[u8], u32)) -> Result<(), Error> {
        let mut buffer = [0; frame::FRAME_BYTES_MAX];
        for _ in 0..FRAMES_MAX {
            let Some((_, length)) = self.listener.receive(&mut buffer)? else {
                break;
            };
            let frame = buffer.get(..length).unwrap_or_default();
            let entries = frame::message(frame).map(decode);
            let Some(Ok(entries)) = entries else {
                self.lost.unread += 1;
                continue;
            };
            for entry in entries {
                match entry {
                    Ok(entry) if nudge::is_told_of(&entry) => {}
                    Ok(entry) => tell(&entry, &mut note),
                    Err(_) => self.lost.unread += 1,
                }
            }
        }
        Ok(())
    }

    /// Begins to list connections of this kernel, templates included.
    ///
    /// # Errors
    /// The kernel's refusal to tell of its services.
    pub fn list(&mut self, which: Which) -> Result<Listing, Error> {
        listing::begin(&mut self.generic, self.family, which)
    }

    /// Puts a connection of the twin's into this kernel, on the next `flush` at the latest. What it can't use is
    /// counted.
    pub fn put(&mut self, key: &[u8], value: &[u8], lifetime_s: u32) {
        let Ok(mut entry) = Entry::from_record(key, value, lifetime_s) else {
            self.lost.foreign += 1;
            return;
        };
        entry.timeout_s = kept_s(&entry, lifetime_s);
        if entry.is_template() {
            entry.state = TEMPLATE_ASSURED;
        } else if entry.is_tunnelled() && !self.knows_server_of(&entry) {
            self.lost.homeless += 1;
            return;
        }
        self.push(&entry);
    }

    /// A tunnelled connection without its server goes nowhere in Linux 6.12, and its client hears nothing; one that is not
    /// there is reset. (`ip_vs_tunnel_xmit` looks at the server without asking whether there is one.) The active box tells
    /// of the connection again while it is used.
    fn knows_server_of(&mut self, entry: &Entry<'_>) -> bool {
        let now = now();
        let read_at = self.servers.read_at;
        if read_at.is_none_or(|at| now.saturating_sub(at) > SERVERS_AGE_MAX) {
            // A kernel that does not tell has none.
            let methods = methods::read(&mut self.generic, self.family).unwrap_or_default();
            self.servers = Servers {
                methods,
                read_at: Some(now),
            };
        }
        self.servers.methods.has_server_of(entry)
    }

    /// Sends what was put.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        self.backlog.wait_for_room();
        let frame = self.batch.frame(SYNC_ID);
        if self.sender.send(self.cable.outer, frame).is_err() {
            self.lost.unsent += 1;
        }
        self.batch.clear();
    }

    /// Makes the master tell what it still holds back. For the active box, every `NUDGE_INTERVAL`: on the other one
    /// the master has nothing to tell.
    pub fn nudge(&mut self) {
        self.flush();
        for segment in nudge::segments(self.cable.inner_mac) {
            if self.sender.send(self.cable.outer, &segment).is_err() {
                self.lost.unsent += 1;
            }
        }
        self.push(&nudge::entry());
        self.flush();
    }

    /// What was not told on, since the start.
    pub fn lost(&self) -> Lost {
        self.lost
    }

    fn push(&mut self, entry: &Entry<'_>) {
        if !self.batch.push(entry) {
            self.flush();
            // One fits in an empty batch.
            let _ = self.batch.push(entry);
        }
    }
}

/// Readable when the master said something.
impl AsFd for Balanced {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// `None` in a kernel without IPVS.
fn family(generic: &mut Netlink) -> Result<Option<Family>, Error> {
    match generic.get(&ipvs::resolve()?, ipvs::decode_family) {
        Err(error) if error.is_not_there() => Ok(None),
        family => Ok(Some(family?)),
    }
}

fn tell(entry: &Entry<'_>, note: &mut impl FnMut(&[u8], &[u8], u32)) {
    if let Some(record) = Record::of(entry) {
        note(record.key(), record.value(), entry.timeout_s);
    }
}

/// A connection in use must not run out here while it lasts there: its timer begins anew with each packet, of which
/// we hear once in `REFRESH_S` (or half its timeout, or 10 s: `ip_vs_sync_conn_needed`). A template keeps its timeout
/// for its life, so that it would grow with each change of roles.
fn kept_s(entry: &Entry<'_>, lifetime_s: u32) -> u32 {
    if !entry.is_lasting() {
        return lifetime_s;
    }
    let told_of_after_s = REFRESH_S.min((lifetime_s / 2).max(10));
    lifetime_s.saturating_add(told_of_after_s)
}

/// Writes the settings. Where one can't be written the kernel's own value has to do.
fn set() {
    let vs = Path::new("/proc/sys/net/ipv4/vs");
    let settings = SETTINGS.map(|(name, value)| (vs.join(name), value));
    let limit = (SOCKET_LIMIT.0.into(), SOCKET_LIMIT.1);
    for (path, value) in [limit].into_iter().chain(settings) {
        if let Err(error) = fs::write(&path, value) {
            log::debug!("writing {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_lasts_until_it_is_told_of_again() {
        let template = Entry {
            flags: 0x1100,
            ..nudge::entry()
        };
        let closing = Entry {
            flags: 0x0100,
            ..nudge::entry()
        };
        let datagrams = Entry {
            protocol: 17,
            ..closing
        };
        let kept = |entry: &Entry<'_>| kept_s(entry, 900);
        assert_eq!(
            [template, closing, datagrams, nudge::entry()].map(|entry| kept(&entry)),
            [900, 900, 930, 930]
        );
        assert_eq!([4, 30, 60].map(|s| kept_s(&datagrams, s)), [14, 45, 90]);
    }

    #[test]
    fn the_kernel_is_told_the_same_period() {
        let period = SETTINGS
            .iter()
            .find(|(name, _)| *name == "sync_refresh_period");
        assert_eq!(period.unwrap().1, REFRESH_S.to_string());
    }
}
