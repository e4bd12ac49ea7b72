//! What a client does to the pair all the while: a datagram every millisecond, HTTP requests at a steady rate, and
//! transfers through NAT and every forwarding method of the balancer that are meant to outlive each change.

use crate::flows::route::{Way, over_both};
use crate::flows::{Flows, Group, Pace};
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

/// Ways of the transfers.
const WAYS: [Way; 5] = [
    Way::Masqueraded,
    Way::Translated,
    Way::BalancedNat,
    Way::BalancedDirect,
    Way::BalancedTunnel,
];
/// Transfers on each way, by IPv4 and by IPv6.
const TRANSFERS: usize = 3;
/// 6 kB/s in each direction: an emulated box has the probe's and the requests' packets to carry, too.
const PACE: Pace = Pace {
    bytes: 1200,
    interval: Duration::from_millis(200),
    datagram_interval: Duration::from_millis(100),
};

/// All of it.
pub struct Load {
    /// Datagrams.
    pub probe: UdpProbe,
    /// Requests.
    pub http: Arc<HttpStream>,
    /// Transfers.
    pub flows: Arc<Flows>,
}

impl Load {
    /// Starts all, once the first datagram is answered.
    pub fn start() -> Result<Self> {
        let address: IpAddr = VIRTUAL_V4.parse()?;
        let probe = UdpProbe::start(CLIENT, SocketAddr::new(address, ECHO_PORT))?;
        let first = probe.wait_answer(Instant::now(), FIRST_ANSWER_TIMEOUT);
        first.context("waiting for the UDP service behind the virtual address")?;
        let http = HttpStream::start(CLIENT, SocketAddr::new(address, PORT_NAT), REQUEST_INTERVAL)?;
        let http = Arc::new(http);
        let flows = Arc::new(Flows::start(&[Group {
            routes: over_both(&WAYS),
            count: TRANSFERS,
            pace: PACE,
        }])?);
        Ok(Load { probe, http, flows })
    }

    /// Waits until the client is served again after `fault`, watches on, and gives the outage.
    pub fn outage_after(&self, fault: Instant) -> Result<Outage> {
        self.probe.wait_answer(fault, ROLE_TIMEOUT)?;
        thread::sleep(WATCH);
        let before = fault.checked_sub(EARLY).unwrap_or(fault);
        Ok(self.probe.outage_since(before))
    }
}
