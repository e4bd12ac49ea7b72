//! What a client does to the pair all the while: a datagram every millisecond, and HTTP requests at a steady
//! rate.

use crate::net::{CLIENT, ECHO_PORT, VIRTUAL_V4};
use crate::pair::ROLE_TIMEOUT;
use crate::probe::http::HttpStream;
use crate::probe::udp::{Outage, UdpProbe};
use crate::servers::PORT_NAT;
use anyhow::{Context, Result};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// From request to request.
const REQUEST_INTERVAL: Duration = Duration::from_millis(25);
/// How long each state is watched before and after a change: what is measured lies in it.
pub const WATCH: Duration = Duration::from_secs(3);
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An outage that a change brings about may show this long before it: its cause is noted afterwards.
const EARLY: Duration = Duration::from_millis(100);

/// The two streams.
pub struct Load {
    /// Datagrams.
    pub probe: UdpProbe,
    /// Requests.
    pub http: Arc<HttpStream>,
}

impl Load {
    /// Starts both, once the first datagram is answered.
    pub fn start() -> Result<Self> {
        let address: IpAddr = VIRTUAL_V4.parse()?;
        let probe = UdpProbe::start(CLIENT, SocketAddr::new(address, ECHO_PORT))?;
        let first = probe.wait_answer(Instant::now(), FIRST_ANSWER_TIMEOUT);
        first.context("waiting for the UDP service behind the virtual address")?;
        let http = HttpStream::start(CLIENT, SocketAddr::new(address, PORT_NAT), REQUEST_INTERVAL)?;
        let http = Arc::new(http);
        Ok(Load { probe, http })
    }

    /// Waits until the client is served again after `fault`, watches on, and gives the outage.
    pub fn outage_after(&self, fault: Instant) -> Result<Outage> {
        self.probe.wait_answer(fault, ROLE_TIMEOUT)?;
        thread::sleep(WATCH);
        let before = fault.checked_sub(EARLY).unwrap_or(fault);
        Ok(self.probe.outage_since(before))
    }
}
