//! Unix sockets of type SOCK_SEQPACKET: ordered, bounded, one message per read, and an end that tells
//! when the other is gone. Wires between the processes of a box are pairs of them; the control socket
//! listens and knows who calls.

use crate::Error;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, connect, getsockopt,
    listen, socket, socketpair, sockopt,
};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);

/// Callers the kernel holds while none is accepted; a console comes and goes one at a time.
const BACKLOG: i32 = 16;

/// Two joined, non-blocking sockets. Either may be handed to another process.
///
/// # Errors
/// EMFILE, ENOBUFS.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Error> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, FLAGS)
        .map_err(Error::during("making a socket pair"))
}

/// Joins a listener.
///
/// # Errors
/// ENOENT or ECONNREFUSED where nobody listens, EACCES, EAGAIN where too many wait.
pub fn dial(path: &Path) -> Result<OwnedFd, Error> {
    let at = |errno| Error::during("connecting to")(errno).on(path.display());
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, FLAGS, None).map_err(at)?;
    let address = UnixAddr::new(path).map_err(at)?;
    connect(socket.as_raw_fd(), &address).map_err(at)?;
    Ok(socket)
}

/// Who is at the other end (SO_PEERCRED), as it was when the socket was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// Waits for callers at a path.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Listens at `path`, replacing what a dead process left there; `mode` says who may call.
    ///
    /// # Errors
    /// ENOENT for a missing directory, EACCES.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, Error> {
        let at = |errno| Error::during("listening at")(errno).on(path.display());
        let _ = fs::remove_file(path);
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, FLAGS, None).map_err(at)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path).map_err(at)?).map_err(at)?;
        // Before listen(): nobody gets in under the wrong mode.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(Error::io("setting the mode of"))
            .map_err(|error| error.on(path.display()))?;
        let backlog = Backlog::new(BACKLOG).map_err(at)?;
        listen(&socket, backlog).map_err(at)?;
        Ok(Listener(socket))
    }

    /// The next caller, as a non-blocking socket; `None` where none waits.
    ///
    /// # Errors
    /// EMFILE, ENOBUFS: accept again once something was closed.
    pub fn accept(&self) -> Result<Option<(OwnedFd, Peer)>, Error> {
        let fd = match accept4(self.0.as_raw_fd(), FLAGS) {
            Ok(fd) => fd,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => return Ok(None),
            Err(errno) => return Err(Error::during("accepting a caller")(errno)),
        };
        // SAFETY: accept4 has just made this descriptor and nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let peer = peer(&socket)?;
        Ok(Some((socket, peer)))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn peer(socket: &OwnedFd) -> Result<Peer, Error> {
    let who =
        getsockopt(socket, sockopt::PeerCredentials).map_err(Error::during("asking who calls"))?;
    Ok(Peer {
        pid: who.pid(),
        uid: who.uid(),
        gid: who.gid(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn messages_keep_their_borders_and_the_end_is_seen() {
        let (a, b) = pair().unwrap();
        let (a, b) = (UnixDatagram::from(a), UnixDatagram::from(b));
        let mut buffer = [0; 16];
        assert_eq!(
            b.recv(&mut buffer).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        a.send(b"one").unwrap();
        a.send(b"three").unwrap();
        assert_eq!(b.recv(&mut buffer).unwrap(), 3);
        assert_eq!(b.recv(&mut buffer).unwrap(), 5);
        drop(a);
        assert_eq!(b.recv(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn listener_knows_its_caller_and_replaces_a_stale_path() {
        let path = std::env::temp_dir().join(format!("pollux-listener-{}", std::process::id()));
        drop(Listener::bind(&path, 0o600).unwrap());
        let listener = Listener::bind(&path, 0o600).unwrap();
        assert!(listener.accept().unwrap().is_none());
        let client = UnixDatagram::from(dial(&path).unwrap());
        let (server, peer) = listener.accept().unwrap().unwrap();
        assert_eq!(peer.pid.unsigned_abs(), std::process::id());
        client.send(b"hello").unwrap();
        assert_eq!(UnixDatagram::from(server).recv(&mut [0; 16]).unwrap(), 5);
        fs::remove_file(&path).unwrap();
        assert!(dial(&path).unwrap_err().to_string().contains("ENOENT"));
    }
}
