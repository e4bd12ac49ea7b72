//! Everything a config must fulfil beyond its types, so that the code behind it need not check again. All
//! problems are found, not only the first, and each says where it is, what is there and what to write.

mod cluster;
mod firewall;
mod gateway;
mod interface;
mod link;
mod network;
mod service;
mod size;

use crate::config::Config;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// Most interfaces of a config.
pub const INTERFACES_MAX: usize = 32;
/// Most heartbeat links of a config.
pub const LINKS_MAX: usize = 8;
/// Most problems that are told of at once: who has more of them has made the same mistake again and again.
pub const PROBLEMS_MAX: usize = 1000;

/// Something in a config that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: field names and positions from the config's root, `services[3].servers[0].weight`.
    pub path: String,
    /// The offending value as an operator would write it.
    pub value: String,
    /// What is wrong with it: the rest of a sentence that begins with the value.
    pub fault: String,
    /// What to write instead: an imperative.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {}: {}",
            self.path, self.value, self.fault, self.advice
        )
    }
}

/// Checks a config.
///
/// # Errors
/// All problems, in the order of the config; of very many the first `PROBLEMS_MAX`, and where there is too much of
/// something nothing else.
pub fn validate(config: &Config) -> Result<(), Vec<Problem>> {
    let mut problems = Problems(Vec::new());
    size::check(config, &mut problems);
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    cluster::check(config, &mut problems);
    interface::check(config, &mut problems);
    network::check(config, &mut problems);
    link::check(config, &mut problems);
    service::check(config, &mut problems);
    firewall::check(config, &mut problems);
    if problems.0.is_empty() {
        Ok(())
    } else {
        Err(problems.0)
    }
}

/// What works, but not as well as the operator may expect. For a config without problems.
#[must_use]
pub fn concerns(config: &Config) -> Vec<Problem> {
    let mut concerns = Problems(Vec::new());
    link::weigh(config, &mut concerns);
    gateway::weigh(config, &mut concerns);
    firewall::weigh(config, &mut concerns);
    concerns.0
}

/// What has been found so far.
struct Problems(Vec<Problem>);

impl Problems {
    /// Not generic, so that a hundred calls of it stay small on the box.
    fn add(&mut self, path: String, value: &dyn fmt::Display, fault: &str, advice: &str) {
        if self.0.len() >= PROBLEMS_MAX {
            return;
        }
        let problem = Problem {
            path,
            value: value.to_string(),
            fault: fault.into(),
            advice: advice.into(),
        };
        self.0.push(problem);
    }

    /// Names of the cluster, the nodes and the interfaces.
    fn name(&mut self, path: String, name: &str, length_max: usize) {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > length_max || !name.bytes().all(is_plain) {
            let advice = format!("write 1 to {length_max} of the characters a-z, 0-9 and -");
            self.add(path, &Quoted(name), "is no name", &advice);
        }
    }

    /// A list that must not be empty.
    fn some(&mut self, path: &str, section: &str, count: usize, max: usize) {
        if count == 0 {
            let advice = format!("write 1 to {max} of them");
            let fault = "is missing: the config has none";
            self.add(path.into(), &section, fault, &advice);
        }
    }

    /// A number within bounds, both included.
    fn within(&mut self, path: String, value: u64, (min, max): (u64, u64), unit: &str) {
        if value < min || value > max {
            self.add(
                path,
                &value,
                "is out of range",
                &format!("write {min} to {max}{unit}"),
            );
        }
    }

    /// An address that can be set on a host or spoken to.
    fn unicast(&mut self, path: String, address: IpAddr) {
        let fault = match address {
            IpAddr::V4(v4) if v4.is_broadcast() => "is the broadcast address",
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                "is link-local, which each box makes for itself"
            }
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "is an IPv4 address in disguise",
            _ if address.is_unspecified() => "is no host's address",
            _ if address.is_loopback() => "is a loopback address",
            _ if address.is_multicast() => "is a multicast address",
            _ => return,
        };
        self.add(path, &address, fault, "write a host's own address");
    }
}

/// Text in quotation marks, as it stands in the file.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Whether `item` occurs in `items` before `position`.
fn is_repeated<T: PartialEq>(items: impl Iterator<Item = T>, position: usize, item: &T) -> bool {
    items.take(position).any(|earlier| earlier == *item)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
