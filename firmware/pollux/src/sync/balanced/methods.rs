//! How packets reach each real server, and for how long a client keeps to it: what /proc/net/ip_vs_conn does not say
//! of its connections.

use super::Error;
use netlink::ipvs::Family;
use netlink::ipvs::sync_message::Entry;
use netlink::ipvs::sync_message::listing::Listed;
use plan::config::{Forwarding, Protocol};
use plan::kernel::Service;
use std::net::IpAddr;
use sys::netlink::Netlink;

/// A server of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    /// How packets reach it.
    pub(super) forwarding: Forwarding,
    /// Seconds; `None`: not persistent.
    pub(super) persistence_s: Option<u32>,
}

type Socket = (IpAddr, u16);

/// All servers of all services, sorted.
#[derive(Debug, Default)]
pub(super) struct Methods(Vec<((u8, Socket, Socket), Method)>);

/// Asks the kernel.
pub(super) fn read(generic: &mut Netlink, family: Family) -> Result<Methods, Error> {
    let decode = |message: &netlink::Message<'_>| family.decode_service(message);
    let mut services = generic.dump(&family.dump_services()?, decode)?;
    for service in &mut services {
        let request = family.dump_destinations(&service.key)?;
        let decode = |message: &netlink::Message<'_>| family.decode_destination(message);
        let servers = generic.dump(&request, decode)?;
        service.destinations = servers.into_iter().map(|(server, _)| server).collect();
    }
    Ok(Methods::of(&services))
}

impl Methods {
    /// Whether a connection's own server is among them.
    pub(super) fn has_server_of(&self, entry: &Entry<'_>) -> bool {
        let key = (entry.protocol, entry.service(), entry.server());
        self.0.binary_search_by_key(&key, |(key, _)| *key).is_ok()
    }

    pub(super) fn of(services: &[Service]) -> Self {
        let mut all = Vec::new();
        for service in services {
            let protocol = match service.key.protocol {
                Protocol::Tcp => 6,
                Protocol::Udp => 17,
            };
            let endpoint = service.key.endpoint;
            for server in &service.destinations {
                let key = (
                    protocol,
                    (endpoint.address, endpoint.port),
                    (server.endpoint.address, server.endpoint.port),
                );
                let method = Method {
                    forwarding: server.forwarding,
                    persistence_s: service.persistence_s,
                };
                all.push((key, method));
            }
        }
        all.sort_by_key(|(key, _)| *key);
        Methods(all)
    }

    /// Of a connection. One to another port of a server (FTP's data, and templates that are for all ports) goes as
    /// the others to that server do, one to a server that was taken out as the others of its service; `None` where
    /// the service is gone.
    pub(super) fn find(&self, listed: &Listed<'_>) -> Option<Method> {
        let key = (listed.protocol(), listed.service(), listed.server());
        let exact = self.0.binary_search_by_key(&key, |(key, _)| *key).ok();
        if let Some((_, method)) = exact.and_then(|at| self.0.get(at)) {
            return Some(*method);
        }
        let (protocol, (service, port), (server, _)) = key;
        let like = |same: &dyn Fn(u16, IpAddr) -> bool| {
            self.0
                .iter()
                .find(|((its, to, from), _)| {
                    *its == protocol && to.0 == service && same(to.1, from.0)
                })
                .map(|(_, method)| *method)
        };
        like(&|_, address| address == server).or_else(|| like(&|its_port, _| its_port == port))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use netlink::ipvs::sync_message::listing::parse;
    use plan::config::Endpoint;
    use plan::kernel::{Destination, ServiceKey, Thresholds};

    fn service(port: u16, servers: [(&str, Forwarding); 2]) -> Service {
        let endpoint = |address: &str, port| Endpoint {
            address: address.parse().unwrap(),
            port,
        };
        Service {
            key: ServiceKey {
                protocol: Protocol::Tcp,
                endpoint: endpoint("192.0.2.10", port),
            },
            scheduler: None,
            schedule_fallback: false,
            persistence_s: (port == 21).then_some(300),
            destinations: servers
                .map(|(address, forwarding)| Destination {
                    endpoint: endpoint(address, port),
                    forwarding,
                    weight: 1,
                    thresholds: Thresholds::default(),
                })
                .into(),
        }
    }

    #[test]
    fn a_connection_goes_the_way_of_its_server() {
        let web = service(
            80,
            [
                ("10.0.0.11", Forwarding::Nat),
                ("10.0.0.12", Forwarding::Direct),
            ],
        );
        let ftp = service(
            21,
            [
                ("10.0.0.21", Forwarding::Tunnel),
                ("10.0.0.22", Forwarding::Tunnel),
            ],
        );
        let methods = Methods::of(&[web, ftp]);
        let find = |service_port: u16, server: &str, server_port: u16| {
            let line = format!(
                "TCP C0000201 C350 C000020A {service_port:04X} {server} {server_port:04X} CLOSE 9"
            );
            let listed = parse(line.as_bytes()).unwrap().unwrap();
            let method = methods.find(&listed);
            method.map(|method| (method.forwarding, method.persistence_s))
        };
        assert_eq!(find(80, "0A00000B", 80), Some((Forwarding::Nat, None)));
        assert_eq!(find(80, "0A00000C", 80), Some((Forwarding::Direct, None)));
        // FTP's data.
        assert_eq!(
            find(20, "0A000016", 20),
            Some((Forwarding::Tunnel, Some(300)))
        );
        let line = |server| format!("TCP C0000201 C350 C000020A 0015 {server} 0015 CLOSE 9");
        for (server, is_there) in [("0A000016", true), ("0A000017", false)] {
            let line = line(server);
            let listed = parse(line.as_bytes()).unwrap().unwrap();
            let entry = listed.entry(Forwarding::Tunnel);
            assert!(entry.is_tunnelled());
            assert_eq!(methods.has_server_of(&entry), is_there);
        }
        // Taken out.
        assert_eq!(
            find(21, "0A000017", 21),
            Some((Forwarding::Tunnel, Some(300)))
        );
        assert_eq!(find(443, "0A000017", 443), None);
    }
}
