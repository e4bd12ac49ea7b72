//! Rulesets of nf_tables, put in force as a whole or not at all. Who else changes tables meanwhile makes us begin
//! anew with what then is there, never overwrites, and is never overwritten by, half a change.

use super::{Error, Netlink};
use neli::consts::socket::Msg;
use netlink::nftables::{self, Batch, Held, Kept, Refusal};
use netlink::{KernelError, Message, Outcome, messages};
use nix::libc;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use plan::ruleset::Ruleset;
use std::io;

/// How often a lost race is run again.
const LOAD_ATTEMPTS: usize = 16;

/// What the kernel adds to a datagram that it counts against a socket's buffer (32 bytes in netlink_sendmsg),
/// and more.
const SEND_MARGIN_BYTES: usize = 4096;

const ATTEMPT: &str = "loading the ruleset";

impl Netlink {
    /// Makes `ruleset` all that the kernel holds in tables that are ours by name, in one step; on a socket of
    /// `Protocol::Netfilter`. Returns the generation that this made: a notification of another one
    /// (`netlink::nftables::decode_generation`) tells of a change by someone else.
    ///
    /// # Errors
    /// `RulesetRefused`, `Unsayable`, or a socket that fails: what was in force still is. `Unsteady` when
    /// others keep changing tables.
    pub fn load(
        &mut self,
        ruleset: &Ruleset,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<u32, Error> {
        for _ in 0..LOAD_ATTEMPTS {
            let generation = self.generation()?;
            let held = self.held(&is_ours)?;
            let first_sequence = self.sequence.wrapping_add(1);
            let batch = nftables::replace(ruleset, &held, generation, first_sequence)
                .map_err(Error::Unsayable)?;
            self.sequence = self.sequence.wrapping_add(batch.messages());
            match self.carry_out(&batch) {
                Err(error) if is_lost_race(&error) => {}
                Err(error) => return Err(error),
                Ok(()) if batch.is_empty() => return Ok(generation),
                Ok(()) => return Ok(next_generation(generation)),
            }
        }
        Err(Error::Unsteady(ATTEMPT))
    }

    /// The generation of what is in force, by anyone (`load`).
    ///
    /// # Errors
    /// A kernel without nf_tables, or a socket that fails.
    pub fn generation(&mut self) -> Result<u32, Error> {
        self.get(&nftables::generation()?, nftables::decode_generation)
    }

    /// Whether the kernel holds tables that are ours by name.
    ///
    /// # Errors
    /// A kernel without nf_tables, or a socket that fails.
    pub fn holds_ruleset(&mut self, is_ours: impl Fn(&str) -> bool) -> Result<bool, Error> {
        Ok(!self.held(&is_ours)?.is_empty())
    }

    /// What the kernel holds of ours. Fits together only if the generation is still what it was before.
    fn held(&mut self, is_ours: &impl Fn(&str) -> bool) -> Result<Held, Error> {
        let mut held = Held::default();
        for request in Held::requests()? {
            for kept in self.dump(&request, Kept::decode)? {
                held.note(kept, is_ours);
            }
        }
        Ok(held)
    }

    fn carry_out(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.make_room_for(batch.as_bytes().len())?;
        // The kernel has done all of it, and answered, when this returns.
        match self.socket.send(batch.as_bytes(), Msg::empty()) {
            Ok(_) => self.judge(batch),
            Err(error) => Err(crate::Error::io(ATTEMPT)(error).into()),
        }
    }

    /// The send buffer must hold the whole batch.
    fn make_room_for(&self, length: usize) -> Result<(), Error> {
        let failed = |errno| crate::Error::during("making room for the ruleset")(errno);
        let socket = super::borrow(&self.socket);
        let wanted = length + SEND_MARGIN_BYTES;
        if getsockopt(&socket, sockopt::SndBuf).map_err(failed)? < wanted {
            setsockopt(&socket, sockopt::SndBufForce, &wanted).map_err(failed)?;
        }
        Ok(())
    }

    /// Reads the answers that wait. The first refusal counts: others mostly follow from it.
    fn judge(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        let mut verdict = Verdict::default();
        loop {
            match self.socket.recv(self.buffer.as_mut_slice(), Msg::DONTWAIT) {
                Ok((length, _)) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    verdict.read(datagram, batch)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // More refusals than the socket's buffer holds: the first ones are there.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return verdict.result();
                }
                Err(error) => return Err(crate::Error::io(ATTEMPT)(error).into()),
            }
        }
    }
}

/// What the answers to a batch say so far.
#[derive(Default)]
struct Verdict {
    is_done: bool,
    refusal: Option<Refusal>,
}

impl Verdict {
    fn read(&mut self, datagram: &[u8], batch: &Batch<'_>) -> Result<(), Error> {
        let decode = |error| Error::Decode(ATTEMPT, error);
        for message in messages(datagram) {
            let message = message.map_err(decode)?;
            if !batch.has(message.sequence) {
                continue;
            }
            match message.outcome().map_err(decode)? {
                Outcome::Refused(error) => self.refuse(batch, &message, error),
                Outcome::End => self.is_done |= batch.is_last(message.sequence),
                Outcome::Data | Outcome::Nothing => {}
            }
        }
        Ok(())
    }

    fn refuse(&mut self, batch: &Batch<'_>, message: &Message<'_>, error: KernelError) {
        if self.refusal.is_none() {
            self.refusal = Some(batch.refusal(message.sequence, error, message.refused_at()));
        }
    }

    fn result(self) -> Result<(), Error> {
        match self.refusal {
            Some(refusal) => Err(Error::RulesetRefused(refusal)),
            None if self.is_done => Ok(()),
            None => Err(Error::NoAnswer(ATTEMPT)),
        }
    }
}

/// Someone else was faster (ERESTART: the generation is another one; EAGAIN: it became that), or the kernel had
/// no room to say so.
fn is_lost_race(error: &Error) -> bool {
    let passing = [libc::ERESTART, libc::EAGAIN, libc::EINTR, libc::ENOBUFS];
    error.errno().is_some_and(|errno| passing.contains(&errno))
}

/// What the kernel makes of a generation (nf_tables_commit).
const fn next_generation(generation: u32) -> u32 {
    match generation.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

#[cfg(test)]
mod tests;
