//! One pass: observe the kernel, plan, carry out what differs, and say what was done and why. It decides
//! when the next one is due; what belongs in the kernel is plan's decision alone.

use super::cards::Cards;
use super::draft::Draft;
use super::failing::{Failed, Failing};
use super::guest;
use super::kernel::Kernel;
use super::words;
use crate::clock;
use core::time::Duration;
use plan::Health;
use plan::config::{Config, Device as Identity};
use plan::kernel::{Device, State, Step};
use std::sync::Arc;

/// Events come in swarms (a device brings addresses and routes); one pass serves them all.
const EVENT_PAUSE: Duration = Duration::from_millis(20);

/// Loopback has index 1 in every network namespace (LOOPBACK_IFINDEX).
const LOOPBACK: u32 = 1;

/// What a kernel without IPVS has no settings for.
const IPVS_SYSCTLS: &str = "net/ipv4/vs/";

/// Why a pass is wanted, the ones that explain more first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The worker has started.
    Start,
    /// The config is another one.
    Reload,
    /// A verdict changed.
    Health,
    /// The kernel says that something changed.
    Event,
    /// Something failed the last time.
    Retry,
    /// It is time to look for drift.
    Check,
}

/// Makes passes.
pub struct Planner {
    node: usize,
    /// On somebody else's machine.
    is_guest: bool,
    wanted: Option<(Cause, Duration)>,
    draft: Draft,
    failing: Failing,
    /// Which of `Config::interfaces` have no device; `None` before the first pass.
    missing: Option<Vec<usize>>,
    said_no_ipvs: bool,
    /// The config has services, or had some before a reload.
    has_balanced: bool,
    orphaned: bool,
    cards: Cards,
}

impl Planner {
    /// The first pass is due at once.
    pub fn new(node: usize, is_guest: bool, now: Duration) -> Self {
        Planner {
            node,
            is_guest,
            wanted: Some((Cause::Start, now)),
            draft: Draft::default(),
            failing: Failing::new(),
            missing: None,
            said_no_ipvs: false,
            has_balanced: false,
            orphaned: false,
            cards: Cards::default(),
        }
    }

    /// Takes whether nobody looks after the virtual addresses: they belong in no plan then. Returns whether
    /// that is so and is new.
    pub fn note_orphaned(&mut self, orphaned: bool) -> bool {
        let before = core::mem::replace(&mut self.orphaned, orphaned);
        orphaned && !before
    }

    /// Asks for a pass; requests that wait are served by one.
    pub fn request(&mut self, cause: Cause, now: Duration) {
        let at = match cause {
            Cause::Event => now.saturating_add(EVENT_PAUSE),
            Cause::Start | Cause::Reload | Cause::Health | Cause::Retry | Cause::Check => now,
        };
        self.want(cause, at);
    }

    fn want(&mut self, cause: Cause, at: Duration) {
        self.wanted = Some(match self.wanted {
            Some((other, earlier)) => (other.min(cause), earlier.min(at)),
            None => (cause, at),
        });
    }

    /// When the next pass is due; `None`: nothing asks for one.
    pub fn due_at(&self) -> Option<Duration> {
        self.wanted.map(|(_, at)| at)
    }

    /// A pass is due now.
    pub fn is_due(&self, now: Duration) -> bool {
        self.due_at().is_some_and(|at| at <= now)
    }

    /// All devices are there and nothing failed in the last pass.
    pub fn is_complete(&self) -> bool {
        !self.failing.any() && self.missing.as_ref().is_some_and(Vec::is_empty)
    }

    /// Makes one.
    pub fn pass(
        &mut self,
        kernel: &mut Kernel,
        config: &Arc<Config>,
        health: &Health,
        now: Duration,
    ) {
        let cause = self.wanted.take().map_or(Cause::Check, |(cause, _)| cause);
        let (failed, next_cause) = match self.steps(kernel, config, health) {
            Ok(plan) => {
                if !self.is_guest {
                    self.cards.tend(config, self.node, &plan.devices);
                }
                (self.carry_out(kernel, &plan, cause, now), Cause::Retry)
            }
            Err(error) => {
                let step = "read what the kernel holds".into();
                let reason = error.to_string();
                (vec![Failed { step, reason }], cause)
            }
        };
        let news = self.failing.update(failed);
        for Failed { step, reason } in &news.begun {
            log::warn!("failed and will be tried again: {step}: {reason}");
        }
        for step in &news.over {
            log::info!("fails no longer: {step}");
        }
        if let Some(after) = news.retry_after {
            self.want(next_cause, now.saturating_add(after));
        }
    }

    /// Puts the ruleset of this config in force if it is another one; nothing else. Where the kernel refuses it the
    /// one before stays.
    pub fn put_ruleset(
        &mut self,
        kernel: &mut Kernel,
        config: &Arc<Config>,
        health: &Health,
    ) -> Result<(), sys::netlink::Error> {
        let devices = kernel.devices()?;
        let desired = self.desired(kernel, config, &devices, health);
        let Some(ruleset) = desired.ruleset.filter(|next| !kernel.has_in_force(next)) else {
            return Ok(());
        };
        let step = Step::LoadRuleset(ruleset);
        kernel.apply(&step)?;
        self.say(&words::of(&step, &devices), Cause::Reload, false);
        Ok(())
    }

    fn steps(
        &mut self,
        kernel: &mut Kernel,
        config: &Arc<Config>,
        health: &Health,
    ) -> Result<Plan, sys::netlink::Error> {
        let devices = kernel.devices()?;
        let appeared = self.note_missing(config, &devices);
        let mut desired = self.desired(kernel, config, &devices, health);
        self.do_without_ipvs(kernel.has_ipvs(), &mut desired);
        let mut observed = kernel.observe(&devices, &desired.sysctls)?;
        if self.is_guest {
            self.has_balanced |= !config.services.is_empty();
            guest::overlook(config, &desired, &mut observed, self.has_balanced);
        }
        let mut steps = plan::diff(&desired, &observed);
        let is_down = |device: &Device| device.index == LOOPBACK && !device.up;
        if !self.is_guest && devices.iter().any(is_down) {
            let (index, mtu_bytes) = (LOOPBACK, None);
            steps.push(Step::SetLink { index, mtu_bytes });
        }
        Ok(Plan {
            steps,
            devices,
            appeared,
        })
    }

    fn desired(
        &mut self,
        kernel: &mut Kernel,
        config: &Arc<Config>,
        devices: &[Device],
        health: &Health,
    ) -> State {
        let is_new = self.draft.is_out_of_date(config, self.node, devices);
        if is_new {
            // The config was read, which took its time.
            kernel.say_alive();
        }
        let mut desired = self.planned(config, devices, health);
        if is_new {
            kernel.say_alive();
        }
        // Others filter here; but where rules of ours stand from before, they are to let everything pass.
        if self.is_guest && config.firewall.zones.is_empty() && !kernel.is_guarded() {
            desired.ruleset = None;
        }
        desired
    }

    fn planned(&mut self, config: &Arc<Config>, devices: &[Device], health: &Health) -> State {
        let mut desired = plan::desired_but_ruleset(config, self.node, devices, health);
        desired.ruleset = Some(self.draft.ruleset(config, self.node, devices));
        if self.orphaned {
            desired.virtual_addresses.clear();
        }
        if self.is_guest {
            desired.sysctls = guest::settings(config, &desired);
            desired
                .sysctls
                .retain(|(path, _)| Kernel::has_setting(path));
        }
        desired
    }

    /// Carries out the steps and returns those that failed. Where no firewall can be put in force, not even one that
    /// lets nothing pass, nothing else is set up either.
    fn carry_out(
        &self,
        kernel: &mut Kernel,
        plan: &Plan,
        cause: Cause,
        started: Duration,
    ) -> Vec<Failed> {
        let mut failed = Vec::new();
        let mut done: usize = 0;
        for step in &plan.steps {
            let words = words::of(step, &plan.devices);
            match kernel.apply(step) {
                Ok(()) => {
                    done += 1;
                    self.say(&words, cause, plan.appeared);
                }
                Err(error) => failed.push(Failed {
                    step: words,
                    reason: error.to_string(),
                }),
            }
            if matches!(step, Step::LoadRuleset(_)) && !kernel.is_guarded() {
                break;
            }
        }
        if cause == Cause::Start {
            let took_ms = clock::now().saturating_sub(started).as_millis();
            log::info!("kernel set up: {done} steps in {took_ms} ms");
        }
        failed
    }

    /// Says which interfaces lack their device, once each. Returns whether one appeared.
    fn note_missing(&mut self, config: &Config, devices: &[Device]) -> bool {
        let has_device =
            |interface: usize| plan::device_of(config, self.node, interface, devices).is_some();
        let attached = attached(config, self.node);
        let missing: Vec<_> = attached
            .clone()
            .map(|(interface, _)| interface)
            .filter(|&interface| !has_device(interface))
            .collect();
        let before = self.missing.replace(missing.clone()).unwrap_or_default();
        let mut appeared = false;
        for (interface, identity) in attached {
            let name = config.interfaces.get(interface);
            let name = name.map_or("?", |interface| interface.name.as_str());
            match (before.contains(&interface), missing.contains(&interface)) {
                (false, true) => log::warn!(
                    "interface {name}: no device {identity}; it is set up when it appears"
                ),
                (true, false) => {
                    appeared = true;
                    log::info!("interface {name}: device {identity} is here");
                }
                (true, true) | (false, false) => {}
            }
        }
        appeared
    }

    /// What was expected is news; what was not is drift. Whoever owns the machine hears what is set up.
    fn say(&self, words: &str, cause: Cause, appeared: bool) {
        match cause {
            Cause::Start if self.is_guest => log::info!("set up: {words}"),
            Cause::Start => log::debug!("set up: {words}"),
            Cause::Reload => log::info!("new config: {words}"),
            Cause::Health => log::info!("health: {words}"),
            Cause::Event | Cause::Check if appeared => log::info!("set up: {words}"),
            Cause::Event | Cause::Check => log::warn!("repaired: {words}"),
            Cause::Retry => log::info!("tried again: {words}"),
        }
    }

    fn do_without_ipvs(&mut self, has_ipvs: bool, desired: &mut State) {
        if has_ipvs {
            self.said_no_ipvs = false;
            return;
        }
        let services = core::mem::take(&mut desired.services);
        desired
            .sysctls
            .retain(|(path, _)| !path.starts_with(IPVS_SYSCTLS));
        if !self.said_no_ipvs && !services.is_empty() {
            let count = services.len();
            log::error!(
                "this kernel has no IPVS: {count} services are not balanced; load its module ip_vs, or boot a kernel with CONFIG_IP_VS"
            );
            self.said_no_ipvs = true;
        }
    }
}

struct Plan {
    steps: Vec<Step>,
    devices: Vec<Device>,
    /// A device that was missing is there.
    appeared: bool,
}

fn attached(config: &Config, node: usize) -> impl Iterator<Item = (usize, &Identity)> + Clone {
    let interfaces = config.interfaces.iter().enumerate();
    interfaces.filter_map(move |(position, interface)| {
        let attachment = interface.on.get(node)?.as_ref()?;
        Some((position, &attachment.device))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::dataplane::samples::balancer;
    use crate::ipc::{Channel, FromWorker, ToWorker};

    #[test]
    fn pid_1_hears_of_life_before_and_after_a_ruleset_is_made_and_at_no_other_pass() {
        let (near, far) = sys::socket::pair().unwrap();
        let mut far = Channel::<ToWorker, FromWorker>::new(far).unwrap();
        let mut kernel = Kernel::open(false, Channel::new(near).unwrap()).unwrap();
        let config = Arc::new(balancer());
        let health = Health::new(&config);
        let mut planner = Planner::new(0, false, Duration::ZERO);
        for signs in [2, 0] {
            planner.desired(&mut kernel, &config, &[], &health);
            for _ in 0..signs {
                assert_eq!(far.receive(), Ok(Some(FromWorker::Alive)));
            }
            assert_eq!(far.receive(), Ok(None));
        }
    }

    #[test]
    fn orphaned_virtual_addresses_are_removed_and_others_left_alone() {
        let config = Arc::new(balancer());
        let health = Health::new(&config);
        let eth0 = Device {
            index: 2,
            name: "eth0".into(),
            mac: [0x52, 0x54, 0, 0, 1, 1],
            permanent_mac: None,
            up: true,
            carrier: true,
            mtu_bytes: 1500,
        };
        let mut planner = Planner::new(0, false, Duration::ZERO);
        let healthy = planner.planned(&config, std::slice::from_ref(&eth0), &health);
        let mut kernel = healthy.clone();
        kernel.addresses.extend(&healthy.virtual_addresses);
        assert_eq!(plan::diff(&healthy, &kernel), []);
        assert!(planner.note_orphaned(true) && !planner.note_orphaned(true));
        let orphaned = planner.planned(&config, &[eth0], &health);
        let removed = healthy.virtual_addresses.into_iter();
        let removed: Vec<_> = removed.map(Step::DeleteAddress).collect();
        assert_eq!(
            (removed.len(), plan::diff(&orphaned, &kernel)),
            (1, removed)
        );
    }
}
