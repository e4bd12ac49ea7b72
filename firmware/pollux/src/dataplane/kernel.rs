//! The kernel as the dataplane knows it: observed as one `State`, changed step by step. It translates and
//! asks; it decides nothing.

use super::firewall::Firewall;
use super::listing::Held;
use crate::worker::Lifeline;
use netlink::ipvs::{self, Family};
use netlink::{EncodeError, Request};
use plan::kernel::{Device, Route, State, Step};
use plan::ruleset::Ruleset;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use sys::netlink::{Error, Netlink, Notifications, Protocol, Received};

const SYSCTLS: &str = "/proc/sys";

/// Sockets to the kernel.
pub struct Kernel {
    route: Netlink,
    generic: Netlink,
    firewall: Firewall,
    /// `None` while the kernel has no IPVS.
    ipvs: Option<Family>,
}

impl Kernel {
    /// Opens the sockets and looks for IPVS. On somebody else's machine (`is_guest`) tables of others may change.
    /// `lifeline` hears that this worker lives while it is busy for long.
    pub fn open(is_guest: bool, lifeline: Lifeline) -> Result<Self, Error> {
        let mut kernel = Kernel {
            route: Netlink::open(Protocol::Route)?,
            generic: Netlink::open(Protocol::Generic)?,
            firewall: Firewall::open(is_guest, lifeline)?,
            ipvs: None,
        };
        kernel.has_ipvs();
        Ok(kernel)
    }

    /// Whether there is IPVS; looked for again while there is none.
    pub fn has_ipvs(&mut self) -> bool {
        if self.ipvs.is_none() {
            let request = ipvs::resolve().map_err(Error::from);
            let found = request.and_then(|request| self.generic.get(&request, ipvs::decode_family));
            self.ipvs = found.ok();
        }
        self.ipvs.is_some()
    }

    /// All network devices.
    pub fn devices(&mut self) -> Result<Vec<Device>, Error> {
        self.route
            .dump(&netlink::link::dump()?, netlink::link::decode)
    }

    /// What the kernel holds of all that plans are made about; of the settings, those in `sysctls`.
    pub fn observe(
        &mut self,
        devices: &[Device],
        sysctls: &[(String, String)],
    ) -> Result<State, Error> {
        let mut routes = self.routes(netlink::route::dump_v4())?;
        routes.extend(self.routes(netlink::route::dump_v6())?);
        let held = self.services()?;
        let sysctls = sysctls.iter().filter_map(|(path, _)| {
            let value = fs::read_to_string(Path::new(SYSCTLS).join(path)).ok()?;
            Some((path.clone(), value.trim_end().into()))
        });
        Ok(State {
            devices: devices.to_vec(),
            addresses: self
                .route
                .dump(&netlink::address::dump()?, netlink::address::decode)?,
            virtual_addresses: Vec::new(),
            bearers: Vec::new(),
            routes,
            services: held.into_iter().map(|held| held.service).collect(),
            sysctls: sysctls.collect(),
            ruleset: self.firewall.in_force().cloned(),
        })
    }

    /// Lets PID 1 know that this worker lives, before and after what takes long.
    pub fn say_alive(&mut self) {
        self.firewall.say_alive();
    }

    /// A routing table that was never used does not exist, which is no error here.
    fn routes(&mut self, request: Result<Request, EncodeError>) -> Result<Vec<Route>, Error> {
        match self.route.dump(&request?, netlink::route::decode) {
            Err(error) if error.is_not_there() => Ok(Vec::new()),
            routes => routes,
        }
    }

    /// The services with their servers and counters; none where there is no IPVS.
    pub fn services(&mut self) -> Result<Vec<Held>, Error> {
        let Some(family) = self.ipvs else {
            return Ok(Vec::new());
        };
        let decode = |message: &netlink::Message<'_>| family.decode_service(message);
        let services = self.generic.dump(&family.dump_services()?, decode)?;
        let mut all = Vec::with_capacity(services.len());
        for mut service in services {
            let request = family.dump_destinations(&service.key)?;
            let decode = |message: &netlink::Message<'_>| family.decode_destination(message);
            let mut servers = self.generic.dump(&request, decode)?;
            servers.sort_by_key(|(destination, _)| destination.endpoint);
            let (destinations, counters) = servers.into_iter().unzip();
            service.destinations = destinations;
            all.push(Held { service, counters });
        }
        Ok(all)
    }

    /// Whether there is such a setting; a kernel without IPv6 lacks some.
    pub fn has_setting(path: &str) -> bool {
        Path::new(SYSCTLS).join(path).exists()
    }

    /// Readable when rulesets have changed.
    pub fn ruleset_changes(&self) -> Option<BorrowedFd<'_>> {
        self.firewall.changes()
    }

    /// Takes all that was told of rulesets. Returns whether one changed.
    pub fn drain_ruleset_changes(&mut self) -> bool {
        self.firewall.drain()
    }

    /// Whether some ruleset of ours stands, if only the one that lets nothing pass.
    pub fn is_guarded(&mut self) -> bool {
        self.firewall.stands()
    }

    /// Whether it is this ruleset that is in force.
    pub fn has_in_force(&mut self, ruleset: &Arc<Ruleset>) -> bool {
        self.firewall.in_force() == Some(ruleset)
    }

    /// Carries out one step.
    pub fn apply(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::LoadRuleset(ruleset) => self.firewall.load(ruleset),
            Step::SetSysctl { path, value } => write_sysctl(path, value),
            Step::SetLink { index, mtu_bytes } => self
                .route
                .execute(&netlink::link::set_up(*index, *mtu_bytes)?),
            Step::AddAddress(address) => self.route.execute(&netlink::address::add(address)?),
            Step::DeleteAddress(address) => {
                match self.route.execute(&netlink::address::delete(address)?) {
                    // The cluster worker may have been faster, or the kernel: with a first address it
                    // deletes the others of its subnet.
                    Err(error) if error.is_not_there() => Ok(()),
                    outcome => outcome,
                }
            }
            Step::AddRoute(route) => self.route.execute(&netlink::route::add(route)?),
            Step::DeleteRoute(route) => self.route.execute(&netlink::route::delete(route)?),
            Step::AddService(_)
            | Step::EditService(_)
            | Step::DeleteService(_)
            | Step::AddDestination(..)
            | Step::EditDestination(..)
            | Step::DeleteDestination(..) => self.apply_to_ipvs(step),
        }
    }

    fn apply_to_ipvs(&mut self, step: &Step) -> Result<(), Error> {
        let Some(family) = self.ipvs else {
            return Ok(());
        };
        let request = match step {
            Step::AddService(service) => family.add_service(service),
            Step::EditService(service) => family.edit_service(service),
            Step::DeleteService(key) => family.delete_service(key),
            Step::AddDestination(key, server) => family.add_destination(key, server),
            Step::EditDestination(key, server) => family.edit_destination(key, server),
            Step::DeleteDestination(key, server) => family.delete_destination(key, server),
            Step::LoadRuleset(_)
            | Step::SetSysctl { .. }
            | Step::SetLink { .. }
            | Step::AddAddress(_)
            | Step::DeleteAddress(_)
            | Step::AddRoute(_)
            | Step::DeleteRoute(_) => return Ok(()),
        };
        self.generic.execute(&request?)
    }
}

fn write_sysctl(path: &str, value: &str) -> Result<(), Error> {
    let path = Path::new(SYSCTLS).join(path);
    fs::write(&path, value).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(0);
        sys::Error::new("writing", errno).on(path.display()).into()
    })
}

/// Tells that something in the kernel changed; of rulesets, `Kernel` tells itself.
pub struct Events {
    notifications: Notifications,
}

impl Events {
    /// Listens from now on.
    pub fn open() -> Result<Self, Error> {
        let notifications = Notifications::open(Protocol::Route, &netlink::event::GROUPS)?;
        Ok(Events { notifications })
    }

    /// Takes all that waits. Returns whether anything changed; what exactly, a look at the kernel tells.
    pub fn drain(&mut self) -> bool {
        let mut changed = false;
        let received = self
            .notifications
            .receive(netlink::event::decode, |_| changed = true);
        // Where events were lost something has changed for sure.
        changed || received != Ok(Received::All)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}
