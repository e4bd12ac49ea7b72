//! What the health worker has told so far. Verdicts outlive it: while it restarts, the last ones stand.

use super::listing::{self, Held};
use crate::ipc::checks_tag;
use plan::Health;
use plan::config::{CheckKind, Config};

/// Verdicts by service and server.
#[derive(Debug)]
pub struct Verdicts {
    health: Health,
    /// Who has been told of; a server without check needs no telling.
    known: Vec<Vec<bool>>,
    checks: u64,
}

impl Verdicts {
    /// Nothing was told yet: servers with a check are down.
    pub fn new(config: &Config) -> Self {
        let services = config.services.iter();
        let known = services
            .map(|service| vec![service.check.kind == CheckKind::None; service.servers.len()]);
        Verdicts {
            health: Health::new(config),
            known: known.collect(),
            checks: checks_tag(&config.services),
        }
    }

    /// Names the services that these are about, as verdicts do.
    pub fn checks(&self) -> u64 {
        self.checks
    }

    /// The same under another config: what is known of a server of a service stands until health speaks again.
    pub fn under(&self, config: &Config, next: &Config) -> Self {
        let mut verdicts = Verdicts::new(next);
        for (at, service) in next.services.iter().enumerate() {
            let mut before = config.services.iter().zip(0..);
            let key = listing::key(service);
            let Some((old, old_at)) = before.find(|(old, _)| listing::key(old) == key) else {
                continue;
            };
            let checked = service.servers.iter().enumerate();
            for (server, next) in checked.filter(|_| service.check.kind != CheckKind::None) {
                let mut servers = old.servers.iter();
                let position = servers.position(|server| server.endpoint == next.endpoint);
                if let Some(up) = position.and_then(|server| self.of(old_at, server)) {
                    verdicts.note(at, server, up);
                }
            }
        }
        verdicts
    }

    /// Takes a verdict. Returns whether plans are affected; a position that does not exist affects nothing.
    pub fn note(&mut self, service: usize, server: usize, up: bool) -> bool {
        let servers = self.known.get_mut(service);
        if let Some(known) = servers.and_then(|servers| servers.get_mut(server)) {
            *known = true;
        }
        self.health.set(service, server, up)
    }

    /// Takes over what a dead predecessor knew, from the weights that it left in the kernel: without this
    /// every server would be down until health has spoken.
    pub fn adopt(&mut self, config: &Config, held: &[Held]) {
        for (at, service) in config.services.iter().enumerate() {
            let key = listing::key(service);
            let Some(held) = held.iter().find(|held| held.service.key == key) else {
                continue;
            };
            // A server whose own weight is 0 looks the same up and down.
            let telling = service.servers.iter().enumerate();
            for (server, configured) in telling.filter(|(_, server)| server.weight > 0) {
                let up = held.service.destinations.iter().any(|destination| {
                    destination.endpoint == configured.endpoint && destination.weight > 0
                });
                if service.check.kind != CheckKind::None {
                    self.note(at, server, up);
                }
            }
        }
    }

    /// Whether clients can be served as well as health allows: each service has a server that is up, or
    /// it is known that it has none.
    pub fn first_round_done(&self) -> bool {
        self.known.iter().enumerate().all(|(service, servers)| {
            let mut positions = servers.iter().enumerate();
            servers.iter().all(|known| *known)
                || positions.any(|(server, _)| self.health.is_up(service, server))
        })
    }

    /// For plans.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What the console shows; `None`: not told yet.
    pub fn of(&self, service: usize, server: usize) -> Option<bool> {
        let known = *self.known.get(service)?.get(server)?;
        known.then(|| self.health.is_up(service, server))
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::dataplane::samples;

    fn verdicts() -> Verdicts {
        Verdicts::new(&samples::balancer())
    }

    #[test]
    fn one_good_server_for_each_service_is_enough_to_begin() {
        let mut verdicts = verdicts();
        assert!(!verdicts.first_round_done());
        assert!(verdicts.note(0, 1, true));
        assert!(verdicts.first_round_done());
    }

    #[test]
    fn a_service_with_no_good_server_waits_until_all_are_known() {
        let mut verdicts = verdicts();
        assert!(!verdicts.note(0, 0, false));
        assert!(!verdicts.first_round_done());
        verdicts.note(0, 1, false);
        assert!(verdicts.first_round_done());
        assert_eq!(verdicts.of(0, 1), Some(false));
    }

    #[test]
    fn a_dead_predecessors_weights_are_taken_for_verdicts() {
        let config = samples::balancer();
        let mut before = verdicts();
        before.note(0, 1, true);
        let kernel = plan::desired(&config, 0, &[], before.health());
        let held = kernel.services.into_iter().map(|service| Held {
            service,
            counters: Vec::new(),
        });
        let mut after = verdicts();
        after.adopt(&config, &held.collect::<Vec<_>>());
        assert_eq!((after.of(0, 0), after.of(0, 1)), (Some(false), Some(true)));
        assert!(after.first_round_done());
    }

    #[test]
    fn verdicts_follow_their_servers_into_another_config() {
        let config = samples::balancer();
        let mut before = verdicts();
        before.note(0, 0, false);
        before.note(0, 1, true);
        let mut next = config.clone();
        next.services.insert(0, next.services[0].clone());
        next.services[0].port += 1;
        next.services[1].servers.reverse();
        let after = before.under(&config, &next);
        assert_eq!((after.of(0, 0), after.of(0, 1)), (None, None));
        assert_eq!((after.of(1, 0), after.of(1, 1)), (Some(true), Some(false)));
        assert_ne!(after.checks(), before.checks());
        let same = before.under(&config, &config);
        assert_eq!(
            (same.of(0, 1), same.checks()),
            (Some(true), before.checks())
        );
    }

    #[test]
    fn positions_that_do_not_exist_change_nothing() {
        let mut verdicts = verdicts();
        assert!(!verdicts.note(7, 0, true));
        assert!(!verdicts.note(0, 7, true));
        assert_eq!(verdicts.of(7, 0), None);
    }
}
