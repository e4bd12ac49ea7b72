//! The kernel's table of flows and expectations, to be changed and to be asked.

use super::many::Many;
use crate::netlink::{Error, Protocol, borrow, open};
use neli::consts::socket::Msg;
use neli::socket::NlSocket;
use netlink::conntrack::{Batch, Event, FlowRef, Questions, decode};
use netlink::{DecodeError, Message};
use nix::errno::Errno;
use nix::libc;

/// Room for the answers to one system call: at most two per record of a batch of up to 5 kB each as the kernel counts, and
/// three refusals, of up to 1 kB.
const ROOM_BYTES: usize = 2 << 20;

/// NETLINK_CAP_ACK: refusals don't repeat what was asked.
const NETLINK_CAP_ACK: i32 = 10;

/// A socket for changes and questions. The kernel does all that it is sent within the system call.
pub struct Table {
    socket: NlSocket,
    port: u32,
    many: Many,
}

impl Table {
    /// Opens a socket.
    ///
    /// # Errors
    /// EMFILE; EPROTONOSUPPORT in a kernel without netfilter.
    pub fn open() -> Result<Self, Error> {
        const ATTEMPT: &str = "opening connection tracking";
        let socket = open(Protocol::Netfilter, &[])?;
        super::give_room(&borrow(&socket), ROOM_BYTES);
        super::set_option(&borrow(&socket), libc::SOL_NETLINK, NETLINK_CAP_ACK, &1_i32)
            .map_err(crate::Error::during(ATTEMPT))?;
        socket.nonblock().map_err(crate::Error::io(ATTEMPT))?;
        let port = socket.pid().map_err(crate::Error::io(ATTEMPT))?;
        Ok(Table {
            socket,
            port,
            many: Many::new(),
        })
    }

    /// What events of our changes name as who caused them.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Has a batch carried out, clashes included; `Batch::failures` says what the kernel did not take. `clear` it then.
    ///
    /// # Errors
    /// A socket that fails, an answer that is none: how far it came is not known, put all of it again.
    pub fn apply(&mut self, batch: &mut Batch) -> Result<(), Error> {
        const ATTEMPT: &str = "changing connections";
        while let Some(bytes) = batch.next_round() {
            self.send(ATTEMPT, bytes)?;
            self.answers(ATTEMPT, |message| batch.answer(message))?;
        }
        Ok(())
    }

    /// Hands the flows that are asked for to `each`; those that are gone are not among them. `clear` the questions
    /// then.
    ///
    /// # Errors
    /// A socket that fails, an answer that is none.
    pub fn ask(
        &mut self,
        questions: &mut Questions,
        mut each: impl FnMut(&FlowRef<'_>),
    ) -> Result<(), Error> {
        const ATTEMPT: &str = "asking for connections";
        let fence = questions.count() + 1;
        self.send(ATTEMPT, questions.finish())?;
        self.answers(ATTEMPT, |message| {
            if message.sequence == fence {
                return Ok(true);
            }
            if let Some(Event::Flow(_, flow)) = decode(message)? {
                each(&flow);
            }
            Ok(false)
        })
    }

    fn send(&self, attempt: &'static str, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match self.socket.send(bytes, Msg::empty()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(crate::Error::io(attempt)(error).into()),
            }
        }
    }

    /// Hands answers to `each` until it says that one was the last.
    fn answers(
        &mut self,
        attempt: &'static str,
        mut each: impl FnMut(&Message<'_>) -> Result<bool, DecodeError>,
    ) -> Result<(), Error> {
        let failed = |error| Error::Decode(attempt, error);
        loop {
            let received = match self.many.receive(borrow(&self.socket)) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Err(Error::NoAnswer(attempt)),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(crate::Error::during(attempt)(errno).into()),
            };
            for message in received.messages() {
                if each(&message.map_err(failed)?).map_err(failed)? {
                    return Ok(());
                }
            }
        }
    }
}
