//! TCP connections that are begun without waiting for them; the standard library has no such call.
//! Source address and port are the kernel's choice.

use crate::Error;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

/// Begins a connection and returns at once, the socket non-blocking. It becomes writable when the attempt
/// is over; `TcpStream::take_error` then tells how it went.
///
/// # Errors
/// What the kernel knows at once: ENETUNREACH, ECONNREFUSED, EMFILE.
pub fn begin(to: SocketAddr) -> Result<TcpStream, Error> {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)
        .map_err(Error::during("making a TCP socket"))?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(TcpStream::from(socket)),
        Err(errno) => Err(Error::during("connecting")(errno)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::poll;
    use std::io;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    fn outcome(to: SocketAddr) -> Option<io::ErrorKind> {
        let stream = match begin(to) {
            Ok(stream) => stream,
            Err(error) => return Some(io::Error::from_raw_os_error(error.errno()).kind()),
        };
        poll::until(&mut [poll::writable(stream.as_fd())], None).unwrap();
        stream.take_error().unwrap().map(|error| error.kind())
    }

    #[test]
    fn a_listener_is_reached_and_a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        assert_eq!(outcome(to), None);
        drop(listener);
        assert_eq!(outcome(to), Some(io::ErrorKind::ConnectionRefused));
    }
}
