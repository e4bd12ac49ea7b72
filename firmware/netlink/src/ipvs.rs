//! IPVS over generic netlink (linux/ip_vs.h, net/netfilter/ipvs/ip_vs_ctl.c): virtual services and their
//! destinations, IPv4 and IPv6, TCP and UDP. Firewall-mark services are not ours and are passed over.

mod attributes;
pub mod daemon;
mod destination;
mod family;
mod service;
pub mod sync_message;

use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use attributes::{Command, CommandAttribute};
pub use family::{decode_family, resolve};
use neli::FromBytesWithInput;
use neli::consts::nl::NlmF;
use neli::genl::{Genlmsghdr, GenlmsghdrBuilder, Nlattr};
use neli::types::{Buffer, GenlBuffer};
use plan::config::Endpoint;
use plan::kernel::{Destination, DestinationCounters, Service, ServiceKey};
use std::io::Cursor;

/// IPVS_GENL_VERSION.
const VERSION: u8 = 1;

/// The number that this kernel gave the IPVS family; every request carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family(pub(crate) u16);

type Attribute = Nlattr<CommandAttribute, Buffer>;

impl Family {
    /// IPVS_CMD_NEW_SERVICE. Its destinations are added one by one.
    ///
    /// # Errors
    /// A service without a scheduler that we know.
    pub fn add_service(self, service: &Service) -> Result<Request, EncodeError> {
        self.change(
            "adding a virtual service",
            Command::NewService,
            [service::full(service)?],
        )
    }

    /// IPVS_CMD_SET_SERVICE: scheduler, flags, persistence; its destinations stay.
    ///
    /// # Errors
    /// A service without a scheduler that we know.
    pub fn edit_service(self, service: &Service) -> Result<Request, EncodeError> {
        self.change(
            "changing a virtual service",
            Command::SetService,
            [service::full(service)?],
        )
    }

    /// IPVS_CMD_DEL_SERVICE, with its destinations; the kernel says ESRCH for one that is not there.
    ///
    /// # Errors
    /// None in practice.
    pub fn delete_service(self, key: &ServiceKey) -> Result<Request, EncodeError> {
        let attributes = [service::key(key)?];
        self.change(
            "deleting a virtual service",
            Command::DelService,
            attributes,
        )
    }

    /// IPVS_CMD_NEW_DEST.
    ///
    /// # Errors
    /// None in practice.
    pub fn add_destination(
        self,
        of: &ServiceKey,
        destination: &Destination,
    ) -> Result<Request, EncodeError> {
        let attributes = [service::key(of)?, destination::full(destination)?];
        self.change("adding a real server", Command::NewDest, attributes)
    }

    /// IPVS_CMD_SET_DEST: weight and forwarding method; its connections stay.
    ///
    /// # Errors
    /// None in practice.
    pub fn edit_destination(
        self,
        of: &ServiceKey,
        destination: &Destination,
    ) -> Result<Request, EncodeError> {
        let attributes = [service::key(of)?, destination::full(destination)?];
        self.change("changing a real server", Command::SetDest, attributes)
    }

    /// IPVS_CMD_DEL_DEST; the kernel says ENOENT for one that is not there.
    ///
    /// # Errors
    /// None in practice.
    pub fn delete_destination(
        self,
        of: &ServiceKey,
        endpoint: &Endpoint,
    ) -> Result<Request, EncodeError> {
        let attributes = [service::key(of)?, destination::key(endpoint)?];
        self.change("deleting a real server", Command::DelDest, attributes)
    }

    /// Asks for all services; answers are for `decode_service`.
    ///
    /// # Errors
    /// None in practice.
    pub fn dump_services(self) -> Result<Request, EncodeError> {
        self.request(
            "listing virtual services",
            Command::GetService,
            NlmF::DUMP,
            [],
        )
    }

    /// Asks for the destinations of a service; answers are for `decode_destination`. Of a service that is
    /// not there the kernel lists none.
    ///
    /// # Errors
    /// None in practice.
    pub fn dump_destinations(self, of: &ServiceKey) -> Result<Request, EncodeError> {
        let attributes = [service::key(of)?];
        self.request(
            "listing real servers",
            Command::GetDest,
            NlmF::DUMP,
            attributes,
        )
    }

    /// IPVS_CMD_FLUSH: deletes all services.
    ///
    /// # Errors
    /// None in practice.
    pub fn flush(self) -> Result<Request, EncodeError> {
        self.change("deleting all virtual services", Command::Flush, [])
    }

    /// The service of a message, its destinations left empty; `None` for any other message, for
    /// firewall-mark services and for protocols other than TCP and UDP.
    ///
    /// # Errors
    /// A message that linux/ip_vs.h does not allow.
    pub fn decode_service(self, message: &Message<'_>) -> Result<Option<Service>, DecodeError> {
        match self.body(message, Command::NewService)? {
            Some(body) => service::decode(&body),
            None => Ok(None),
        }
    }

    /// The destination of a message; `None` for any other message.
    ///
    /// # Errors
    /// A message that linux/ip_vs.h does not allow.
    pub fn decode_destination(
        self,
        message: &Message<'_>,
    ) -> Result<Option<(Destination, DestinationCounters)>, DecodeError> {
        match self.body(message, Command::NewDest)? {
            Some(body) => destination::decode(&body).map(Some),
            None => Ok(None),
        }
    }

    /// A request that is no dump.
    fn change<const N: usize>(
        self,
        attempt: &'static str,
        command: Command,
        attributes: [Attribute; N],
    ) -> Result<Request, EncodeError> {
        self.request(attempt, command, NlmF::empty(), attributes)
    }

    fn request<const N: usize>(
        self,
        attempt: &'static str,
        command: Command,
        flags: NlmF,
        attributes: [Attribute; N],
    ) -> Result<Request, EncodeError> {
        let body = GenlmsghdrBuilder::default()
            .cmd(command)
            .version(VERSION)
            .attrs(GenlBuffer::from_iter(attributes))
            .build()
            .map_err(|_| EncodeError("IPVS command"))?;
        Request::new(attempt, self.0, flags, &body)
    }

    /// The attributes of a message of this family with that command.
    fn body(
        self,
        message: &Message<'_>,
        command: Command,
    ) -> Result<Option<GenlBuffer<CommandAttribute, Buffer>>, DecodeError> {
        if message.kind != self.0 {
            return Ok(None);
        }
        let mut bytes = Cursor::new(message.body);
        let body = Genlmsghdr::<Command, CommandAttribute>::from_bytes_with_input(
            &mut bytes,
            message.body.len(),
        );
        let body = body.map_err(|_| DecodeError("IPVS message"))?;
        Ok((*body.cmd() == command).then(|| body.attrs().clone()))
    }
}

#[cfg(test)]
mod tests;
