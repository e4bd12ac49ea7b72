//! Netlink framing (linux/netlink.h): requests to bytes, datagrams to messages. Lengths are checked here
//! once, because neli's own `Nlmsghdr` parser trusts them; bodies go on to neli's types as slices.

use crate::attribute::text;
use crate::error::{DecodeError, EncodeError, KernelError};
use neli::FromBytesWithInput;
use neli::ToBytes;
use neli::consts::nl::{NlmF, Nlmsg, NlmsgerrAttr};
use neli::types::{Buffer, GenlBuffer};
use std::io::Cursor;

/// Bytes of `struct nlmsghdr`: length, type, flags, sequence number, port id.
pub const HEADER_BYTES: usize = 16;

/// Something asked of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it is for, as a participle (`adding an address`), for the error that it may end in.
    pub attempt: &'static str,
    kind: u16,
    flags: NlmF,
    body: Vec<u8>,
}

impl Request {
    /// NLM_F_REQUEST is understood; a request that is no dump asks for an acknowledgement.
    pub(crate) fn new(
        attempt: &'static str,
        kind: impl Into<u16>,
        flags: NlmF,
        body: &impl ToBytes,
    ) -> Result<Self, EncodeError> {
        let mut bytes = Cursor::new(Vec::new());
        body.to_bytes(&mut bytes).map_err(|_| EncodeError("body"))?;
        let ack = if flags.contains(NlmF::DUMP) {
            NlmF::empty()
        } else {
            NlmF::ACK
        };
        let flags = NlmF::REQUEST | flags | ack;
        Ok(Request {
            attempt,
            kind: kind.into(),
            flags,
            body: bytes.into_inner(),
        })
    }

    /// The whole message.
    #[must_use]
    pub fn to_bytes(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.body.len());
        self.append_to(&mut bytes, sequence);
        bytes
    }

    /// Puts the whole message behind `bytes`, padded so that another may follow: the kernel takes several
    /// in one datagram. The port id stays 0: the kernel knows whose socket it is.
    pub fn append_to(&self, bytes: &mut Vec<u8>, sequence: u32) {
        // Bodies are built of attributes of at most 64 KiB each, far from the 4 GiB of the field.
        let length = HEADER_BYTES + self.body.len();
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        bytes.extend_from_slice(&self.kind.to_ne_bytes());
        bytes.extend_from_slice(&u16::from(self.flags).to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
}

/// One message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: NlmF,
    /// Of the request that it answers; 0 in notifications.
    pub sequence: u32,
    /// Port of the socket that it answers, or whose request caused it; 0 where the kernel itself did.
    pub port: u32,
    /// What follows the header, without the padding to the next one.
    pub body: &'a [u8],
}

/// What a message means to whoever waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An object; ask its codec.
    Data,
    /// The request was carried out, or the dump is complete.
    End,
    /// The request was refused, or the dump broke off.
    Refused(KernelError),
    /// It answers nobody (NLMSG_NOOP).
    Nothing,
}

impl Message<'_> {
    /// What it means.
    ///
    /// # Errors
    /// An NLMSG_ERROR without its code.
    pub fn outcome(&self) -> Result<Outcome, DecodeError> {
        match Nlmsg::from(self.kind) {
            Nlmsg::Noop => Ok(Outcome::Nothing),
            // A DONE without a code is an old kernel's plain end.
            Nlmsg::Done if self.body.is_empty() => Ok(Outcome::End),
            Nlmsg::Error | Nlmsg::Done => self
                .refusal()
                .map(|error| error.map_or(Outcome::End, Outcome::Refused)),
            _ => Ok(Outcome::Data),
        }
    }

    /// The table changed while the kernel dumped it (NLM_F_DUMP_INTR): what came does not fit together,
    /// ask again.
    #[must_use]
    pub fn is_inconsistent(&self) -> bool {
        self.flags.contains(NlmF::DUMP_INTR)
    }

    /// The code that opens an NLMSG_ERROR or NLMSG_DONE; `None` for 0.
    fn refusal(&self) -> Result<Option<KernelError>, DecodeError> {
        let (code, _) = self
            .body
            .split_first_chunk::<4>()
            .ok_or(DecodeError("error message"))?;
        let code = i32::from_ne_bytes(*code);
        let errno = code.checked_abs().unwrap_or(i32::MAX);
        Ok((code < 0).then(|| KernelError {
            errno,
            text: self.extended_text(),
        }))
    }

    /// NLMSGERR_ATTR_MSG.
    fn extended_text(&self) -> Option<String> {
        text(&self.extended(NlmsgerrAttr::Msg)?)
    }

    /// NLMSGERR_ATTR_OFFS: where in the request, counted in bytes from its header, lies what was refused.
    #[must_use]
    pub fn refused_at(&self) -> Option<usize> {
        let offset = self.extended(NlmsgerrAttr::Offset)?;
        let offset = <[u8; 4]>::try_from(offset.as_slice()).ok()?;
        usize::try_from(u32::from_ne_bytes(offset)).ok()
    }

    /// An attribute behind the code, the request's header and (unless capped) its body.
    fn extended(&self, kind: NlmsgerrAttr) -> Option<Vec<u8>> {
        let after_code = self.body.get(4..)?;
        let skip = match Nlmsg::from(self.kind) {
            Nlmsg::Error if !self.flags.contains(NlmF::ACK_TLVS) => return None,
            Nlmsg::Error if self.flags.contains(NlmF::CAPPED) => HEADER_BYTES,
            Nlmsg::Error => {
                let (length, _) = after_code.split_first_chunk::<4>()?;
                aligned(usize::try_from(u32::from_ne_bytes(*length)).ok()?)?
            }
            _ => 0,
        };
        let attributes = after_code.get(skip..)?;
        let attributes = GenlBuffer::<NlmsgerrAttr, Buffer>::from_bytes_with_input(
            &mut Cursor::new(attributes),
            attributes.len(),
        );
        let attributes = attributes.ok()?;
        let handle = attributes.get_attr_handle();
        Some(handle.get_attribute(kind)?.nla_payload().as_ref().to_vec())
    }
}

/// The messages of one datagram. A message that lies about its length ends it with an error.
#[must_use]
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// Made by `messages`.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = split(self.rest);
        self.rest = message.map_or(&[], |(_, rest)| rest);
        Some(
            message
                .map(|(message, _)| message)
                .ok_or(DecodeError("message length")),
        )
    }
}

fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let (words, _) = header.as_chunks::<4>();
    let &[length, [k0, k1, f0, f1], sequence, port] = words else {
        return None;
    };
    let length = usize::try_from(u32::from_ne_bytes(length)).ok()?;
    let message = Message {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: NlmF::from(u16::from_ne_bytes([f0, f1])),
        sequence: u32::from_ne_bytes(sequence),
        port: u32::from_ne_bytes(port),
        body: bytes.get(HEADER_BYTES..length)?,
    };
    // The last one need not be padded.
    Some((message, bytes.get(aligned(length)?..).unwrap_or_default()))
}

/// NLMSG_ALIGN.
fn aligned(length: usize) -> Option<usize> {
    length.checked_next_multiple_of(4)
}

#[cfg(test)]
mod tests;
