//! Many datagrams per system call: ctnetlink puts each event into one of its own.

use netlink::{DecodeError, Message, messages};
use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams per system call.
pub(super) const DATAGRAMS: usize = 64;

/// Events and answers have some hundred bytes; one that were longer is lost, and seen to be.
const DATAGRAM_BYTES: usize = 2048;

/// Room for as many datagrams, kept from call to call.
pub(super) struct Many {
    buffer: Box<[u8]>,
}

/// What one call received.
pub(super) struct Received<'a> {
    buffer: &'a [u8],
    lengths: [usize; DATAGRAMS],
    /// How many.
    pub(super) count: usize,
    /// Whether one was longer than its room.
    pub(super) is_cut: bool,
}

impl Many {
    pub(super) fn new() -> Self {
        Many {
            buffer: vec![0; DATAGRAMS * DATAGRAM_BYTES].into_boxed_slice(),
        }
    }

    /// What waits on a socket that does not block.
    ///
    /// # Errors
    /// EAGAIN where nothing waits; ENOBUFS where something was lost.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<Received<'_>, Errno> {
        let mut chunks = self.buffer.chunks_exact_mut(DATAGRAM_BYTES);
        let mut vectors = [(); DATAGRAMS].map(|()| {
            let chunk = chunks.next().unwrap_or_default();
            libc::iovec {
                iov_base: chunk.as_mut_ptr().cast(),
                iov_len: chunk.len(),
            }
        });
        let mut headers = vectors.each_mut().map(|vector| {
            // SAFETY: all zeroes is a header of no name, no control data and no room.
            let mut header: libc::mmsghdr = unsafe { core::mem::zeroed() };
            header.msg_hdr.msg_iov = &raw mut *vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        });
        let room = libc::c_uint::try_from(DATAGRAMS).unwrap_or(0);
        // SAFETY: each header has one vector, each vector one chunk of the buffer; all outlive the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                room,
                0,
                core::ptr::null_mut(),
            )
        };
        let count = Errno::result(received)?;
        let is_cut = |header: &libc::mmsghdr| header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let count = usize::try_from(count).unwrap_or(0);
        Ok(Received {
            is_cut: headers.iter().take(count).any(is_cut),
            lengths: headers.map(|header| usize::try_from(header.msg_len).unwrap_or(0)),
            buffer: &self.buffer,
            count,
        })
    }
}

impl<'a> Received<'a> {
    /// All messages of all datagrams.
    pub(super) fn messages(&self) -> impl Iterator<Item = Result<Message<'a>, DecodeError>> {
        let chunks = self.buffer.chunks_exact(DATAGRAM_BYTES);
        let datagrams = chunks.zip(self.lengths).take(self.count);
        datagrams.flat_map(|(chunk, length)| messages(chunk.get(..length).unwrap_or(chunk)))
    }
}
