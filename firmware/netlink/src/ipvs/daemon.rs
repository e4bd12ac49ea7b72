//! IPVS_CMD_ATTR_DAEMON: the kernel's own threads that tell (master) and hear (backup) of connections by
//! multicast on one interface. Each kernel has at most one of either role.

use super::attributes::{Command, CommandAttribute, DaemonAttribute};
use super::{Attribute, Family};
use crate::attribute::{Payloads, generic_attribute, nest};
use crate::error::{DecodeError, EncodeError};
use crate::message::{Message, Request};
use neli::consts::nl::NlmF;
use neli::genl::Nlattr;
use neli::types::{Buffer, GenlBuffer};
use std::net::Ipv4Addr;

/// What a daemon does; the numbers are IP_VS_STATE_MASTER and IP_VS_STATE_BACKUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaemonRole {
    /// Sends what happens to this kernel's connections.
    Master = 1,
    /// Makes connections of what it receives.
    Backup = 2,
}

/// A synchronisation daemon. What is `None` the kernel chooses itself when it starts one, and always tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Master or backup.
    pub role: DaemonRole,
    /// The interface of its multicast.
    pub interface: String,
    /// A backup hears only masters of its own number; 0 hears all.
    pub sync_id: u8,
    /// Bytes of a message (payload of UDP): a master begins another one where the next entry would not fit.
    pub message_bytes_max: Option<u16>,
    /// Multicast group; `None` for 224.0.0.81, and for one of IPv6, which nobody uses here.
    pub group: Option<Ipv4Addr>,
    /// UDP port; `None` for 8848.
    pub port: Option<u16>,
    /// `None` for 1.
    pub ttl: Option<u8>,
}

type Encoded = Result<Nlattr<DaemonAttribute, Buffer>, EncodeError>;

impl Family {
    /// IPVS_CMD_NEW_DAEMON. The kernel says EEXIST where one of that role runs, ENODEV for a missing interface.
    ///
    /// # Errors
    /// None in practice.
    pub fn start_daemon(self, daemon: &Daemon) -> Result<Request, EncodeError> {
        let group = daemon.group.map(|group| group.octets());
        let chosen = [
            daemon
                .message_bytes_max
                .map(|bytes| generic_attribute(DaemonAttribute::MessageBytesMax, bytes)),
            daemon
                .port
                .map(|port| generic_attribute(DaemonAttribute::Port, port)),
            daemon
                .ttl
                .map(|ttl| generic_attribute(DaemonAttribute::Ttl, ttl)),
            group.map(|group| generic_attribute(DaemonAttribute::Group, group)),
        ];
        let named = named(daemon.role, &daemon.interface, daemon.sync_id);
        let attributes = named.into_iter().chain(chosen.into_iter().flatten());
        let attributes = [nest(CommandAttribute::Daemon, attributes)?];
        self.change(
            "starting an IPVS sync daemon",
            Command::NewDaemon,
            attributes,
        )
    }

    /// IPVS_CMD_DEL_DAEMON; the kernel says ESRCH where none of that role runs.
    ///
    /// # Errors
    /// None in practice.
    pub fn stop_daemon(self, role: DaemonRole) -> Result<Request, EncodeError> {
        let attributes = [nest(CommandAttribute::Daemon, named(role, "", 0))?];
        self.change(
            "stopping an IPVS sync daemon",
            Command::DelDaemon,
            attributes,
        )
    }

    /// Asks for the daemons that run; answers are for `decode_daemon`.
    ///
    /// # Errors
    /// None in practice.
    pub fn dump_daemons(self) -> Result<Request, EncodeError> {
        let none: [Attribute; 0] = [];
        self.request(
            "listing IPVS sync daemons",
            Command::GetDaemon,
            NlmF::DUMP,
            none,
        )
    }

    /// The daemon of a message; `None` for any other message.
    ///
    /// # Errors
    /// A message that linux/ip_vs.h does not allow.
    pub fn decode_daemon(self, message: &Message<'_>) -> Result<Option<Daemon>, DecodeError> {
        match self.body(message, Command::NewDaemon)? {
            Some(body) => decode(&body).map(Some),
            None => Ok(None),
        }
    }
}

fn named(role: DaemonRole, interface: &str, sync_id: u8) -> [Encoded; 3] {
    [
        generic_attribute(DaemonAttribute::State, role as u32),
        generic_attribute(DaemonAttribute::Interface, interface),
        generic_attribute(DaemonAttribute::SyncId, u32::from(sync_id)),
    ]
}

fn decode(body: &GenlBuffer<CommandAttribute, Buffer>) -> Result<Daemon, DecodeError> {
    let bad = DecodeError("IPVS sync daemon");
    let outer = body.get_attr_handle();
    let daemon = outer.get_nested_attributes::<DaemonAttribute>(CommandAttribute::Daemon);
    let daemon = daemon.map_err(|_| bad)?;
    let role = match daemon.u32(DaemonAttribute::State).ok_or(bad)? {
        1 => DaemonRole::Master,
        2 => DaemonRole::Backup,
        _ => return Err(bad),
    };
    let octets = |kind| {
        daemon
            .bytes(kind)
            .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
    };
    let sync_id = daemon.u32(DaemonAttribute::SyncId).ok_or(bad)?;
    Ok(Daemon {
        role,
        interface: daemon.text(DaemonAttribute::Interface).ok_or(bad)?,
        sync_id: u8::try_from(sync_id).map_err(|_| bad)?,
        message_bytes_max: daemon.u16(DaemonAttribute::MessageBytesMax),
        group: octets(DaemonAttribute::Group).map(Ipv4Addr::from),
        port: daemon.u16(DaemonAttribute::Port),
        ttl: daemon
            .bytes(DaemonAttribute::Ttl)
            .and_then(|bytes| bytes.first().copied()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::capture::{assert_sends, decoded, noise};
    use crate::message::messages;
    use proptest::prelude::*;

    /// The number that the kernel of the captures gave.
    const FAMILY: Family = Family(24);

    fn daemon(role: DaemonRole) -> Daemon {
        Daemon {
            role,
            interface: "ipvs0".into(),
            sync_id: 7,
            message_bytes_max: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    fn elsewhere() -> Daemon {
        Daemon {
            message_bytes_max: Some(1400),
            group: Some(Ipv4Addr::new(224, 0, 0, 99)),
            port: Some(9000),
            ttl: Some(3),
            ..daemon(DaemonRole::Master)
        }
    }

    #[test]
    fn daemons_are_started_and_stopped_as_ipvsadm_does() {
        let small = Daemon {
            message_bytes_max: Some(152),
            ..daemon(DaemonRole::Master)
        };
        let capture = include_str!("../../captures/ipvs-start-master.hex");
        assert_sends(FAMILY.start_daemon(&small), capture);
        let capture = include_str!("../../captures/ipvs-start-master-elsewhere.hex");
        assert_sends(FAMILY.start_daemon(&elsewhere()), capture);
        let capture = include_str!("../../captures/ipvs-start-backup.hex");
        assert_sends(FAMILY.start_daemon(&daemon(DaemonRole::Backup)), capture);
        let capture = include_str!("../../captures/ipvs-stop-master.hex");
        assert_sends(FAMILY.stop_daemon(DaemonRole::Master), capture);
        let capture = include_str!("../../captures/ipvs-stop-backup.hex");
        assert_sends(FAMILY.stop_daemon(DaemonRole::Backup), capture);
    }

    #[test]
    fn daemons_are_listed_with_what_the_kernel_chose() {
        let capture = include_str!("../../captures/ipvs-list-daemons.hex");
        let found = decoded(capture, |message| FAMILY.decode_daemon(message));
        let backup = Daemon {
            message_bytes_max: Some(1472),
            group: Some(Ipv4Addr::new(224, 0, 0, 81)),
            port: Some(8848),
            ttl: Some(1),
            ..daemon(DaemonRole::Backup)
        };
        assert_eq!(found, [elsewhere(), backup]);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in noise()) {
            // A netlink header with family 24, then the command NEW_DAEMON.
            let length = u32::try_from(20 + body.len()).unwrap().to_ne_bytes();
            let head = [&length[..], &24_u32.to_ne_bytes(), &[0; 8], &[9, 1, 0, 0]].concat();
            let message = [head, body].concat();
            for message in messages(&message) {
                let _ = FAMILY.decode_daemon(&message.unwrap());
            }
        }
    }
}
