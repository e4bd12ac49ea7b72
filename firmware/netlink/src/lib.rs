//! Codecs between the words of `plan` and netlink messages: rtnetlink (links, addresses, routes) and IPVS over
//! generic netlink, on neli's types; nf_tables and connection tracking, which are too many messages for those;
//! and the frames that announce an address. No sockets: requests become bytes and the kernel's bytes become
//! values; nothing received makes it panic.

pub mod address;
pub mod announce;
pub mod claim;
pub mod conntrack;
pub mod error;
pub mod event;
pub mod ipvs;
pub mod link;
pub mod message;
pub mod nftables;
pub mod route;

mod attribute;
mod netfilter;

pub use error::{DecodeError, EncodeError, KernelError};
pub use message::{Message, Outcome, Request, messages};

#[cfg(test)]
mod capture;
