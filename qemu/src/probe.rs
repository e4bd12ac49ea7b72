//! What the client sees: the two probes that measure outages.

pub mod http;
pub mod udp;
