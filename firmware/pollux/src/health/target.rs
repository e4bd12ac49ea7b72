//! One real server under check: what is asked of it, when, and what is thought of it. Knows no other
//! server and sends no verdict itself.

use super::http;
use super::judge::Judge;
use super::probe::{Exchange, Failure, Outcome, Probe};
use super::rhythm::Rhythm;
use core::time::Duration;
use plan::config::{CheckKind, Config, Endpoint, RealServer, Service};
use std::io;
use std::net::{SocketAddr, TcpStream};

/// Longest distance between checks of a server that nothing is known of yet: at boot its first checks may
/// come before its cable carries.
const UNKNOWN_INTERVAL_MAX: Duration = Duration::from_millis(250);

/// What the kernel says where it has no memory and no descriptor for another connection, whatever the
/// server: ENOMEM, ENFILE, EMFILE, ENOBUFS (errno(3)).
const SHORTAGES: [i32; 4] = [12, 23, 24, 105];

/// A server under check. Times are spans on the monotonic clock.
#[derive(Debug)]
pub struct Target {
    /// Index into `Config::services`.
    pub service: u16,
    /// Index into its `servers`.
    pub server: u16,
    /// Its verdict has yet to be sent.
    pub unsent: bool,
    /// The check on its way, and when it has failed.
    pub probe: Option<(Probe, Duration)>,
    /// When the next check is due.
    pub next_at: Duration,
    /// `server 10.0.0.21:80 of tcp 198.51.100.10:80`.
    name: String,
    to: SocketAddr,
    exchange: Option<Exchange>,
    timeout: Duration,
    rhythm: Rhythm,
    judge: Judge,
}

impl Target {
    /// Begins a check; a failure at once is its outcome.
    ///
    /// # Errors
    /// This box lacks what a check takes, which says nothing of the server: the check is due still.
    pub fn begin(&mut self, now: Duration) -> Result<Option<Outcome>, sys::Error> {
        self.begun(now, sys::tcp::begin(self.to))
    }

    fn begun(
        &mut self,
        now: Duration,
        attempt: Result<TcpStream, sys::Error>,
    ) -> Result<Option<Outcome>, sys::Error> {
        let attempt = match attempt {
            Err(error) if SHORTAGES.contains(&error.errno()) => return Err(error),
            attempt => attempt,
        };
        self.next_at = self.rhythm.next_after(now);
        if !self.judge.is_known() {
            self.next_at = self.next_at.min(now.saturating_add(UNKNOWN_INTERVAL_MAX));
        }
        Ok(match attempt {
            Ok(stream) => {
                self.probe = Some((Probe::new(stream), now.saturating_add(self.timeout)));
                None
            }
            Err(error) => Some(Err(io::Error::from_raw_os_error(error.errno()).into())),
        })
    }

    /// Goes on with the check on its way.
    pub fn advance(&mut self) -> Option<Outcome> {
        let (probe, _) = self.probe.as_mut()?;
        probe.advance(self.exchange.as_ref())
    }

    /// The outcome of a check whose time is over.
    pub fn expired(&self, now: Duration) -> Option<Outcome> {
        let (_, deadline) = self.probe.as_ref()?;
        let after = self.timeout;
        (*deadline <= now).then_some(Err(Failure::TimedOut { after }))
    }

    /// Ends the check on its way and judges; a verdict that changed is logged and waits to be sent.
    pub fn conclude(&mut self, outcome: &Outcome) {
        self.probe = None;
        let Some(up) = self.judge.on_result(outcome.is_ok()) else {
            return;
        };
        self.unsent = true;
        match outcome {
            Err(failure) if !up => {
                let failures = self.judge.failures_to_down();
                log::warn!("{} is down: {failure} ({failures} in a row)", self.name);
            }
            _ => log::info!("{} is up", self.name),
        }
    }

    /// What is thought of it; `None`: nothing yet.
    pub fn verdict(&self) -> Option<bool> {
        self.judge.verdict()
    }

    /// The dataplane wants the verdict (again); where there is none, it is time for a check.
    pub fn begin_or_repeat(&mut self, now: Duration) {
        self.unsent = self.judge.is_known();
        if !self.unsent {
            self.next_at = now;
        }
    }
}

/// All servers that are checked, in the order of the config. None is due before `begin_or_repeat`.
pub fn targets(config: &Config) -> Vec<Target> {
    let checked = config.services.iter().zip(0u16..).flat_map(|(service, i)| {
        let servers = service.servers.iter().zip(0u16..);
        servers.map(move |(server, j)| (service, i, server, j))
    });
    let checked: Vec<_> = checked
        .filter(|(service, ..)| service.check.kind != CheckKind::None)
        .collect();
    let count = checked.len();
    let numbered = checked.into_iter().enumerate();
    numbered
        .map(|(position, (service, i, server, j))| {
            let interval = Duration::from_millis(service.check.interval_ms.into());
            let rhythm = Rhythm::spread(interval, position, count);
            target(service, i, server, j, rhythm)
        })
        .collect()
}

fn target(
    service: &Service,
    service_position: u16,
    server: &RealServer,
    server_position: u16,
    rhythm: Rhythm,
) -> Target {
    let check = &service.check;
    let clients = Endpoint {
        address: service.address,
        port: service.port,
    };
    let (port, exchange) = exchange(&check.kind, server.endpoint);
    Target {
        service: service_position,
        server: server_position,
        unsent: false,
        probe: None,
        next_at: Duration::MAX,
        name: format!(
            "server {} of {} {clients}",
            server.endpoint,
            service.protocol.name()
        ),
        to: SocketAddr::new(server.endpoint.address, port),
        exchange,
        timeout: Duration::from_millis(check.timeout_ms.into()),
        rhythm,
        judge: Judge::new(check.failures_to_down, check.successes_to_up),
    }
}

/// Port that is asked, and what is said there.
fn exchange(kind: &CheckKind, server: Endpoint) -> (u16, Option<Exchange>) {
    match kind {
        CheckKind::None => (server.port, None),
        CheckKind::Tcp { port } => (port.unwrap_or(server.port), None),
        CheckKind::Http {
            port,
            path,
            host,
            status,
        } => {
            let port = port.unwrap_or(server.port);
            let request = http::request(path, host.as_deref(), server.address, port);
            let status = *status;
            (port, Some(Exchange { request, status }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::samples::balancer;

    #[test]
    fn nothing_is_checked_before_servers_can_be_reached() {
        let now = Duration::from_secs(9);
        let mut targets = targets(&balancer());
        assert_eq!(targets.len(), 2);
        for target in &mut targets {
            assert_eq!(target.next_at, Duration::MAX);
            target.begin_or_repeat(now);
            assert_eq!((target.next_at, target.unsent), (now, false));
        }
    }

    #[test]
    fn what_is_known_is_told_again_without_another_check() {
        let mut targets = targets(&balancer());
        for target in &mut targets {
            target.conclude(&Ok(()));
            target.unsent = false;
            target.begin_or_repeat(Duration::ZERO);
            assert_eq!((target.verdict(), target.unsent), (Some(true), true));
        }
    }

    #[test]
    fn what_this_box_lacks_is_no_fault_of_the_server() {
        let now = Duration::from_secs(9);
        let mut target = targets(&balancer()).remove(0);
        target.begin_or_repeat(now);
        let answered = |errno| Err(sys::Error::new("making a TCP socket", errno));
        for errno in SHORTAGES {
            assert!(target.begun(now, answered(errno)).is_err());
            assert_eq!((target.next_at, target.verdict()), (now, None));
        }
        let unreachable = target.begun(now, answered(101));
        assert!(matches!(unreachable, Ok(Some(Err(_)))) && target.next_at > now);
    }
}
