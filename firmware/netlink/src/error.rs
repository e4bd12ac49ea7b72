//! What can go wrong between us and the kernel: a request that can't be written, an answer that can't be
//! read, and the kernel's own refusal, with its words (NETLINK_EXT_ACK) where it gave any.

use core::fmt;

/// A request could not be put into bytes: it is longer than its length fields can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeError(pub(crate) &'static str);

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writing a netlink request: {} does not fit", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// A message is not what linux/netlink.h and the family's header say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError(pub(crate) &'static str);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading a netlink message: bad {}", self.0)
    }
}

impl std::error::Error for DecodeError {}

/// The kernel refused a request (NLMSG_ERROR).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// As in errno(3), positive.
    pub errno: i32,
    /// What the kernel says about it (NLMSGERR_ATTR_MSG).
    pub text: Option<String>,
}

/// The errors that netlink families give (asm-generic/errno.h), by name, and what each means there.
const NAMES: [(i32, &str, &str); 23] = [
    (1, "EPERM", "needs CAP_NET_ADMIN"),
    (2, "ENOENT", "not in this kernel, or no such entry"),
    (3, "ESRCH", "no such entry"),
    (4, "EINTR", "changed while it was read"),
    (6, "ENXIO", "no such device"),
    (11, "EAGAIN", "try again"),
    (12, "ENOMEM", "out of memory"),
    (13, "EACCES", "not allowed on this device"),
    (16, "EBUSY", "in use"),
    (17, "EEXIST", "exists already"),
    (19, "ENODEV", "no such device"),
    (22, "EINVAL", "not a value the kernel takes"),
    (34, "ERANGE", "value out of range"),
    (90, "EMSGSIZE", "message too long"),
    (93, "EPROTONOSUPPORT", "protocol not in this kernel"),
    (95, "EOPNOTSUPP", "not supported by this kernel"),
    (97, "EAFNOSUPPORT", "address family not in this kernel"),
    (98, "EADDRINUSE", "address in use"),
    (99, "EADDRNOTAVAIL", "no such address"),
    (100, "ENETDOWN", "device is down"),
    (101, "ENETUNREACH", "next hop not on any connected network"),
    (105, "ENOBUFS", "out of buffers"),
    (113, "EHOSTUNREACH", "next hop not reachable"),
];

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = NAMES.iter().find(|(errno, ..)| *errno == self.errno);
        match (known, &self.text) {
            (Some((_, name, _)), Some(text)) => write!(f, "{name}: {text}"),
            (Some((_, name, meaning)), None) => write!(f, "{name}: {meaning}"),
            (None, Some(text)) => write!(f, "errno {}: {text}", self.errno),
            (None, None) => write!(f, "errno {}", self.errno),
        }
    }
}

impl std::error::Error for KernelError {}
