//! The box of `examples/firewall.toml` and the networks around it, and the ways in which rulesets get into its kernel.

use crate::cards::cards;
use crate::place::{Place, has_nft};
use crate::skip::skip;
use plan::desired::{Health, desired};
use plan::kernel::State;
use plan::ruleset::Ruleset;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use sys::netlink::{Netlink, Protocol};

/// A box and the networks around it, as `examples/firewall.toml` has them.
pub(crate) struct World {
    pub(crate) outside: Place,
    pub(crate) inside: Place,
    pub(crate) servers: Place,
    pub(crate) twin: Place,
    pub(crate) guard: Place,
    folder: PathBuf,
}

/// Addresses of the hosts.
const BOX: &str = "\
link set lo up
address add 198.51.100.2/24 dev eth0
address add 198.51.100.10/24 dev eth0
address add 198.51.100.11/24 dev eth0
address add 10.0.0.2/24 dev eth1
address add 10.0.0.1/24 dev eth1
address add 10.0.1.2/24 dev eth2
address add 10.0.1.1/24 dev eth2
address add 192.0.2.1/30 dev eth3
address add 2001:db8:0:1::10/64 dev eth0
address add 2001:db8:0:2::1/64 dev eth1
address add 2001:db8:0:3::1/64 dev eth2
route add default via 198.51.100.1
route add default via 2001:db8:0:1::1
";
const OUTSIDE: &str = "\
address add 198.51.100.1/24 dev net0
address add 203.0.113.7/32 dev net0
address add 203.0.113.99/32 dev net0
address add 192.0.2.70/32 dev net0
address add 10.0.0.99/32 dev net0
address add 2001:db8:0:1::1/64 dev net0
address add 2001:db8:77::7/128 dev net0
route add 10.0.0.0/16 via 198.51.100.10
route add 2001:db8:0:2::/63 via 2001:db8:0:1::10
";
const INSIDE: &str = "\
address add 10.0.0.50/24 dev net0
address add 2001:db8:0:2::50/64 dev net0
route add default via 10.0.0.1
route add default via 2001:db8:0:2::1
";
const SERVERS: &str = "\
address add 10.0.1.21/24 dev net0
address add 10.0.1.25/24 dev net0
address add 10.0.1.30/24 dev net0
address add 2001:db8:0:3::25/64 dev net0
route add default via 10.0.1.1
route add default via 2001:db8:0:3::1
";

impl World {
    /// `None`, with a word, where the machine does not let us.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let places = [(); 5].map(|()| Place::new());
        let [
            Some(outside),
            Some(inside),
            Some(servers),
            Some(twin),
            Some(guard),
        ] = places
        else {
            skip("network namespaces want root");
            return None;
        };
        if !has_nft() {
            skip("no nft(8)");
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("firewall-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        for place in [&outside, &inside, &servers, &twin, &guard] {
            // As on a box: an address works at once.
            place.run("sysctl", &["-qw", "net.ipv6.conf.default.accept_dad=0"], "");
        }
        let networks = [&outside, &inside, &servers, &twin];
        for (network, card) in networks.into_iter().zip(["eth0", "eth1", "eth2", "eth3"]) {
            guard.cable(card, network, "net0");
        }
        guard.ip(BOX);
        guard.run(
            "sysctl",
            &[
                "-qw",
                "net.ipv4.ip_forward=1",
                "net.ipv6.conf.all.forwarding=1",
            ],
            "",
        );
        outside.ip(OUTSIDE);
        inside.ip(INSIDE);
        servers.ip(SERVERS);
        twin.ip("address add 192.0.2.2/30 dev net0\n");
        Some(Self {
            outside,
            inside,
            servers,
            twin,
            guard,
            folder,
        })
    }

    /// What a `polluxctl` command says of a config; `OUT` stands for a file of its own.
    fn polluxctl(&self, config: &str, arguments: &[&str]) -> Vec<u8> {
        let file = self.folder.join("pair.toml");
        std::fs::write(&file, config).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_polluxctl"))
            .current_dir(&self.folder)
            .args(arguments)
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        output.stdout
    }

    /// Puts a config in force as its first box does: from its image, by the plan, in one batch of the firmware's own.
    pub(crate) fn load(&self, config: &str) {
        let state = self.desired(config);
        self.load_ruleset(Arc::unwrap_or_clone(state.ruleset.unwrap()));
    }

    /// What the plan wants of the kernel of its first box.
    pub(crate) fn desired(&self, config: &str) -> State {
        self.polluxctl(config, &["build", "--out", "pair.plx"]);
        let image = std::fs::read(self.folder.join("pair.plx")).unwrap();
        let config = plan::image::decode(&image).unwrap().config;
        desired(&config, 0, &cards(&config, 0), &Health::new(&config))
    }

    pub(crate) fn load_ruleset(&self, ruleset: Ruleset) {
        let loaded = self.guard.here(move || {
            let mut netlink = Netlink::open(Protocol::Netfilter).unwrap();
            let loaded = netlink.load(&ruleset, |name| name == plan::firewall::TABLE);
            loaded.map_err(|error| error.to_string())
        });
        assert!(loaded.is_ok(), "{loaded:?}");
    }

    /// The same by nft(8), from what `polluxctl rules` prints.
    pub(crate) fn load_text(&self, config: &str, node: &str) {
        let rules = self.polluxctl(config, &["rules", "--node", node]);
        let rules = String::from_utf8(rules).unwrap();
        let batch = format!("table inet pollux\ndelete table inet pollux\n{rules}");
        self.guard.run("nft", &["-f", "-"], &batch);
    }

    /// What the kernel holds, as nft(8) reads it.
    pub(crate) fn listing(&self) -> String {
        self.guard
            .run("nft", &["--stateless", "list", "ruleset"], "")
    }

    /// Packets counted by the rules of a comment.
    pub(crate) fn counted(&self, comment: &str) -> u64 {
        let listing = self.guard.run("nft", &["list", "ruleset"], "");
        let about = format!("comment \"{comment}\"");
        let lines = listing.lines().filter(|line| line.contains(&about));
        let packets = lines.filter_map(|line| {
            let (_, rest) = line.split_once("counter packets ")?;
            rest.split(' ').next()?.parse::<u64>().ok()
        });
        packets.sum()
    }
}
