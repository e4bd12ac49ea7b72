//! What the kernel tells of flows and expectations, as it happens.

use super::many::Many;
use super::table::Table;
use crate::netlink::{Error, Protocol, borrow, open};
use neli::socket::NlSocket;
use netlink::DecodeError;
use netlink::conntrack::{Event, GROUP_FLOW_NEW, GROUPS_EXPECTATION, GROUPS_FLOW, decode, filter};
use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsFd, BorrowedFd};

const ATTEMPT: &str = "listening to connection tracking";

/// A socket for events. NETLINK_NO_ENOBUFS stays off: what is lost is told.
pub struct Events {
    socket: NlSocket,
    many: Many,
    hears_new: bool,
}

/// How hearing events ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// None waits any more.
    All,
    /// As many as the caller wanted; more may wait.
    More,
    /// The socket was full and some are lost: sweep the table.
    Overrun,
}

impl Events {
    /// Listens from now on, with room for `room_bytes` (about 1 kB per event that waits). What is done
    /// through `deaf_to` is not heard.
    ///
    /// # Errors
    /// EMFILE; EPROTONOSUPPORT in a kernel without netfilter.
    pub fn open(room_bytes: usize, deaf_to: Option<&Table>) -> Result<Self, Error> {
        let groups: Vec<u32> = GROUPS_FLOW.into_iter().chain(GROUPS_EXPECTATION).collect();
        // The filter comes before the groups, so that nothing slips through.
        let socket = open(Protocol::Netfilter, &[])?;
        if let Some(table) = deaf_to {
            attach(&borrow(&socket), table.port()).map_err(crate::Error::during(ATTEMPT))?;
        }
        super::give_room(&borrow(&socket), room_bytes);
        let join = |group| join(&socket, libc::NETLINK_ADD_MEMBERSHIP, group);
        groups.into_iter().try_for_each(join)?;
        socket.nonblock().map_err(crate::Error::io(ATTEMPT))?;
        Ok(Events {
            socket,
            many: Many::new(),
            hears_new: true,
        })
    }

    /// Whether this socket hears of flows that begin. While none in the namespace does, the kernel builds no such events,
    /// which is half of its work when flows are put there. One that begins meanwhile is heard of with its next change.
    ///
    /// # Errors
    /// EPERM: the privilege is gone. It is as it was.
    pub fn hear_new(&mut self, hears: bool) -> Result<(), Error> {
        if hears == self.hears_new {
            return Ok(());
        }
        let option = if hears {
            libc::NETLINK_ADD_MEMBERSHIP
        } else {
            libc::NETLINK_DROP_MEMBERSHIP
        };
        join(&self.socket, option, GROUP_FLOW_NEW)?;
        self.hears_new = hears;
        Ok(())
    }

    /// Hands each event that waits to `each`, until none waits or about `count_max` were handed over. One that can't
    /// be read is handed over as its error.
    ///
    /// # Errors
    /// A socket that fails; what was handed over stands.
    pub fn receive(
        &mut self,
        count_max: usize,
        mut each: impl FnMut(Result<Event<'_>, DecodeError>),
    ) -> Result<Heard, Error> {
        let mut count = 0;
        while count < count_max {
            let received = match self.many.receive(borrow(&self.socket)) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(Heard::All),
                Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => return Ok(Heard::Overrun),
                Err(errno) => return Err(crate::Error::during("hearing events")(errno).into()),
            };
            for message in received.messages() {
                match message.and_then(|message| decode(&message)) {
                    Ok(Some(event)) => each(Ok(event)),
                    Ok(None) => {}
                    Err(error) => each(Err(error)),
                }
            }
            if received.is_cut {
                return Ok(Heard::Overrun);
            }
            count += received.count;
        }
        Ok(Heard::More)
    }
}

/// Readable when an event waits.
impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.socket)
    }
}

/// Joins a group, or leaves it.
fn join(socket: &NlSocket, option: i32, group: u32) -> Result<(), Error> {
    super::set_option(&borrow(socket), libc::SOL_NETLINK, option, &group)
        .map_err(crate::Error::during(ATTEMPT))?;
    Ok(())
}

fn attach(socket: &BorrowedFd<'_>, port: u32) -> Result<(), Errno> {
    let program = filter::without_port(port).map(|instruction| libc::sock_filter {
        code: instruction.code,
        jt: instruction.jump_true,
        jf: instruction.jump_false,
        k: instruction.operand,
    });
    let list = libc::sock_fprog {
        len: libc::c_ushort::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
        filter: program.as_ptr().cast_mut(),
    };
    // The kernel copies the program, and changes nothing in it.
    super::set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &list)
}
