//! One connection of a sync message (`struct ip_vs_sync_v4` and `ip_vs_sync_v6`, then options), in network order.

use super::SyncMessageError;
use super::bytes::{Pen, Scan};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of IP_VS_CONN_F_* of linux/ip_vs.h: the forwarding method, and what a backup takes over.
pub(super) const METHOD_MASK: u32 = 0x0007;
/// Of these bits: packets go to the server in others (IP_VS_CONN_F_TUNNEL).
pub(super) const TUNNEL: u32 = 0x0002;
/// Answers do not come through this box.
pub(super) const NO_OUTPUT: u32 = 0x0080;
/// Not counted as active.
pub(super) const INACTIVE: u32 = 0x0100;
/// Numbers of either direction are adjusted; `Entry::sequences` says how.
pub(super) const SEQUENCES: u32 = 0x0600;
/// The client's port is not known yet.
pub(super) const NO_CLIENT_PORT: u32 = 0x0800;
/// Not a connection but what binds a client to its server.
pub(super) const TEMPLATE: u32 = 0x1000;

/// `struct ip_vs_sync_conn_options`.
pub type Sequences = [u8; 24];

/// IP_VS_PENAME_MAXLEN.
const ENGINE_NAME_BYTES_MAX: usize = 16;

/// IP_VS_PEDATA_MAXLEN.
const ENGINE_DATA_BYTES_MAX: usize = 255;

/// STYPE_F_INET6.
const TYPE_V4: u8 = 0;
const TYPE_V6: u8 = 1;

/// Where `ver_size` stands, and which of its bits are the length; the others are a version, 0.
const LENGTH_AT: usize = 2;
const LENGTH_MASK: u16 = 0x0fff;

/// IPVS_OPT_SEQ_DATA, IPVS_OPT_PE_DATA, IPVS_OPT_PE_NAME, and the bit that lets an unknown one be passed over.
const OPTION_SEQUENCES: u8 = 1;
const OPTION_ENGINE_DATA: u8 = 2;
const OPTION_ENGINE_NAME: u8 = 3;
const OPTION_MAY_PASS: u8 = 0x40;

/// A connection, or a persistence template, as one kernel tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// IPPROTO_*; 0 for templates of firewall marks.
    pub protocol: u8,
    /// IP_VS_CONN_F_*.
    pub flags: u32,
    /// The protocol's own number (IP_VS_TCP_S_*), or a template's (IP_VS_CTPL_S_*).
    pub state: u16,
    /// 0 in templates.
    pub client_port: u16,
    /// Of the virtual service.
    pub service_port: u16,
    /// Of the real server.
    pub server_port: u16,
    /// The firewall mark that chose the service; 0 for none.
    pub mark: u32,
    /// Seconds without a packet after which the connection is forgotten; 0 for the protocol's own.
    pub timeout_s: u32,
    /// Who talks with whom.
    pub addresses: Addresses,
    /// `struct ip_vs_seq` for packets in and out, where an application helper (FTP) changed their length.
    pub sequences: Option<Sequences>,
    /// What a template was made by, where it was not the client's address.
    pub engine: Option<Engine<'a>>,
}

/// Addresses of a connection, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named by its type and its name")]
pub enum Addresses {
    V4 {
        client: Ipv4Addr,
        service: Ipv4Addr,
        server: Ipv4Addr,
    },
    V6 {
        client: Ipv6Addr,
        service: Ipv6Addr,
        server: Ipv6Addr,
    },
}

/// A persistence engine and what it keeps of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine<'a> {
    /// `sip`; at most 16 bytes.
    pub name: &'a [u8],
    /// SIP's Call-ID; at most 255 bytes, never none.
    pub data: &'a [u8],
}

impl Engine<'_> {
    /// Whether the kernel could keep it.
    pub(super) fn is_possible(&self) -> bool {
        (1..=ENGINE_NAME_BYTES_MAX).contains(&self.name.len())
            && (1..=ENGINE_DATA_BYTES_MAX).contains(&self.data.len())
    }
}

impl Entry<'_> {
    /// Whether it still carries data, as far as its state says: a connection of TCP or SCTP that is established, and
    /// any of UDP.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        const UDP: u8 = 17;
        !self.is_template() && (self.flags & INACTIVE == 0 || self.protocol == UDP)
    }

    /// Whether it is a persistence template.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.flags & TEMPLATE != 0
    }

    /// Whether its packets go to the server in others.
    #[must_use]
    pub fn is_tunnelled(&self) -> bool {
        self.flags & METHOD_MASK == TUNNEL
    }

    /// Address and port of the client; port 0 for a template.
    #[must_use]
    pub fn client(&self) -> (IpAddr, u16) {
        let [client, ..] = self.addresses.ends();
        (client, self.client_port)
    }

    /// Address and port of the virtual service.
    #[must_use]
    pub fn service(&self) -> (IpAddr, u16) {
        let [_, service, _] = self.addresses.ends();
        (service, self.service_port)
    }

    /// Address and port of the real server.
    #[must_use]
    pub fn server(&self) -> (IpAddr, u16) {
        let [.., server] = self.addresses.ends();
        (server, self.server_port)
    }
}

/// What an entry's first bytes say of its length; at least that of its fixed fields.
pub(super) fn length(bytes: &[u8]) -> Result<usize, SyncMessageError> {
    let [_, _, high, low] = Scan(bytes).take().ok_or(SyncMessageError::EntryLength)?;
    let field = u16::from_be_bytes([high, low]);
    if field & !LENGTH_MASK != 0 {
        return Err(SyncMessageError::EntryKind);
    }
    Ok(usize::from(field))
}

impl<'a> Entry<'a> {
    /// Reads one that fills `bytes`.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, SyncMessageError> {
        let mut scan = Scan(bytes);
        let [kind, protocol, _, _] = scan.take().ok_or(SyncMessageError::EntryLength)?;
        if !matches!(kind, TYPE_V4 | TYPE_V6) {
            return Err(SyncMessageError::EntryKind);
        }
        let fixed = Entry::decode_fixed(&mut scan, kind, protocol);
        let mut entry = fixed.ok_or(SyncMessageError::EntryLength)?;
        entry.decode_options(&mut scan)?;
        Ok(entry)
    }

    fn decode_fixed(scan: &mut Scan<'a>, kind: u8, protocol: u8) -> Option<Self> {
        Some(Entry {
            protocol,
            flags: scan.u32()?,
            state: scan.u16()?,
            client_port: scan.u16()?,
            service_port: scan.u16()?,
            server_port: scan.u16()?,
            mark: scan.u32()?,
            timeout_s: scan.u32()?,
            addresses: if kind == TYPE_V6 {
                Addresses::V6 {
                    client: scan.take::<16>()?.into(),
                    service: scan.take::<16>()?.into(),
                    server: scan.take::<16>()?.into(),
                }
            } else {
                Addresses::V4 {
                    client: scan.take::<4>()?.into(),
                    service: scan.take::<4>()?.into(),
                    server: scan.take::<4>()?.into(),
                }
            },
            sequences: None,
            engine: None,
        })
    }

    fn decode_options(&mut self, scan: &mut Scan<'a>) -> Result<(), SyncMessageError> {
        let (mut data, mut name) = (None, None);
        while let Some(kind) = scan.byte() {
            let length = scan.byte().ok_or(SyncMessageError::Option)?;
            let option = scan.slice(length.into());
            let option = option.filter(|option| !option.is_empty());
            let option = option.ok_or(SyncMessageError::Option)?;
            let before = match kind & !OPTION_MAY_PASS {
                OPTION_SEQUENCES => {
                    let sequences = option.try_into().map_err(|_| SyncMessageError::Option)?;
                    self.sequences.replace(sequences).is_some()
                }
                OPTION_ENGINE_DATA => data.replace(option).is_some(),
                OPTION_ENGINE_NAME if option.len() <= ENGINE_NAME_BYTES_MAX => {
                    name.replace(option).is_some()
                }
                OPTION_ENGINE_NAME => true,
                _ => kind & OPTION_MAY_PASS == 0,
            };
            if before {
                return Err(SyncMessageError::Option);
            }
        }
        self.engine = match (name, data) {
            (Some(name), Some(data)) => Some(Engine { name, data }),
            (None, Some(_)) => return Err(SyncMessageError::Engine),
            // As in the kernel: a name alone says nothing.
            (_, None) => None,
        };
        Ok(())
    }

    /// Writes it; `None` where it does not fit.
    pub(super) fn encode(&self, pen: &mut Pen<'_>) -> Option<()> {
        let begin = pen.at;
        let kind = match self.addresses {
            Addresses::V4 { .. } => TYPE_V4,
            Addresses::V6 { .. } => TYPE_V6,
        };
        pen.put(&[kind, self.protocol, 0, 0])?;
        pen.put(&self.flags.to_be_bytes())?;
        for field in [
            self.state,
            self.client_port,
            self.service_port,
            self.server_port,
        ] {
            pen.put(&field.to_be_bytes())?;
        }
        pen.put(&self.mark.to_be_bytes())?;
        pen.put(&self.timeout_s.to_be_bytes())?;
        for address in self.addresses.ends() {
            pen.address(address)?;
        }
        self.encode_options(pen)?;
        let length = u16::try_from(pen.at - begin).ok()? & LENGTH_MASK;
        pen.over(begin + LENGTH_AT, &length.to_be_bytes())
    }

    fn encode_options(&self, pen: &mut Pen<'_>) -> Option<()> {
        if let Some(sequences) = &self.sequences {
            pen.put(&[OPTION_SEQUENCES])?;
            pen.counted(sequences)?;
        }
        if let Some(engine) = &self.engine {
            pen.put(&[OPTION_ENGINE_DATA])?;
            pen.counted(engine.data)?;
            pen.put(&[OPTION_ENGINE_NAME])?;
            pen.counted(engine.name)?;
        }
        Some(())
    }
}

impl Addresses {
    /// Client, service and server.
    pub(super) fn ends(&self) -> [IpAddr; 3] {
        match *self {
            Addresses::V4 {
                client,
                service,
                server,
            } => [client, service, server].map(IpAddr::V4),
            Addresses::V6 {
                client,
                service,
                server,
            } => [client, service, server].map(IpAddr::V6),
        }
    }
}
