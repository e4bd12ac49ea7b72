//! A client and a server, two boxes between them, two switches: each a network namespace. The first box holds the
//! addresses.

use crate::testing::{in_own_network, ip, skip};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Whose namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Client,
    Server,
    Box,
    Twin,
}

/// The addresses of the box in charge.
const ADDRESSES: [&str; 4] = [
    "10.1.0.1/24 dev lan0",
    "2001:db8:1::1/64 dev lan0 nodad",
    "10.2.0.1/24 dev wan0",
    "2001:db8:2::1/64 dev wan0 nodad",
];

/// Nothing passes that conntrack does not know, but for new flows from the client.
const RULES: &str = "
table inet firewall {
  ct helper ftp { type \"ftp\" protocol tcp; }
  chain in {
    type filter hook prerouting priority -10
    ct label set 3
    tcp dport 21 ct helper set \"ftp\"
  }
  chain forward {
    type filter hook forward priority 0; policy drop
    ct state established,related accept
    iifname lan0 ct state new ct mark set 7 accept
    counter
  }
}
table inet nat {
  chain in {
    type nat hook prerouting priority -100
    tcp dport 8080 dnat ip to 10.2.0.10:81
    tcp dport 8081 dnat ip6 to [2001:db8:2::10]:82
  }
  chain out {
    type nat hook postrouting priority 100
    tcp dport 85 snat ip to 10.2.0.1:4000
    oifname wan0 tcp dport != { 83, 84 } masquerade
  }
}
";

pub(super) struct World([File; 4]);

impl World {
    /// Goes there: what is opened and run from now on is in that namespace.
    pub(super) fn enter(&self, who: Who) {
        setns(&self.0[who as usize], CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// A connection from the client, and its other end.
    pub(super) fn connect(&self, listen: &str, to: &str) -> (TcpStream, TcpStream) {
        self.enter(Who::Server);
        let listener = TcpListener::bind(listen).unwrap();
        self.enter(Who::Client);
        let client = TcpStream::connect(to).unwrap();
        let (server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        }
        (client, server)
    }

    /// One connection for each way through the box: masqueraded, DNAT and masqueraded, plain, source port chosen; IPv6 as
    /// well.
    pub(super) fn connect_every_way(&self) -> [(TcpStream, TcpStream); 7] {
        [
            self.connect("10.2.0.10:80", "10.2.0.10:80"),
            self.connect("10.2.0.10:81", "10.1.0.1:8080"),
            self.connect("10.2.0.10:83", "10.2.0.10:83"),
            self.connect("10.2.0.10:85", "10.2.0.10:85"),
            self.connect("[2001:db8:2::10]:80", "[2001:db8:2::10]:80"),
            self.connect("[2001:db8:2::10]:82", "[2001:db8:1::1]:8081"),
            self.connect("[2001:db8:2::10]:84", "[2001:db8:2::10]:84"),
        ]
    }

    /// The twin takes the addresses, and the box has none of them.
    pub(super) fn take_over(&self) {
        self.enter(Who::Box);
        ip("link set lan0 down");
        ip("link set wan0 down");
        self.enter(Who::Twin);
        for address in ADDRESSES {
            ip(&format!("address add {address}"));
        }
        for who in [Who::Client, Who::Server] {
            self.enter(who);
            ip("neigh flush all");
            ip("-6 neigh flush all");
        }
    }
}

/// Something goes each way, whole.
pub(super) fn talk((client, server): &(TcpStream, TcpStream)) {
    for (mut from, mut to) in [(client, server), (server, client)] {
        let said = [0x5a; 100_000];
        let heard = std::thread::scope(|scope| {
            scope.spawn(|| from.write_all(&said).unwrap());
            let mut heard = vec![0; said.len()];
            to.read_exact(&mut heard).unwrap();
            heard
        });
        assert!(heard == said);
    }
}

/// Runs `test` in such a world; passes it over with a word where that is not allowed, or where a tool is missing.
pub(super) fn in_world(test: impl FnOnce(&World) + Send + 'static) {
    if let Some(tool) = ["nft", "conntrack"]
        .into_iter()
        .find(|tool| !is_there(tool))
    {
        skip(&format!("{tool} is not installed"));
        return;
    }
    in_own_network(&[], || {
        let here = || File::open("/proc/thread-self/ns/net").unwrap();
        let switches = here();
        ip("link add lan type bridge");
        ip("link add wan type bridge");
        let world = World([(); 4].map(|()| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            here()
        }));
        let ends = [
            (Who::Client, "lan0"),
            (Who::Server, "wan0"),
            (Who::Box, "lan0"),
            (Who::Box, "wan0"),
            (Who::Twin, "lan0"),
            (Who::Twin, "wan0"),
        ];
        for (who, device) in ends {
            plug(&switches, &world, who, device);
        }
        setns(&switches, CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lan up");
        ip("link set wan up");
        set_up_host(&world, Who::Client, 1, "lan0");
        set_up_host(&world, Who::Server, 2, "wan0");
        for who in [Who::Box, Who::Twin] {
            set_up_router(&world, who);
        }
        world.enter(Who::Box);
        for address in ADDRESSES {
            ip(&format!("address add {address}"));
        }
        test(&world);
    });
}

fn is_there(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// A cable from a namespace's device to its switch.
fn plug(switches: &File, world: &World, who: Who, device: &str) {
    use std::os::fd::AsRawFd;
    setns(switches, CloneFlags::CLONE_NEWNET).unwrap();
    let port = format!("{who:?}-{device}");
    let (pid, fd) = (std::process::id(), world.0[who as usize].as_raw_fd());
    ip(&format!(
        "link add {port} type veth peer name {device} netns /proc/{pid}/fd/{fd}"
    ));
    let switch = device.trim_end_matches('0');
    ip(&format!("link set {port} master {switch} up"));
}

fn set_up_host(world: &World, who: Who, net: u8, device: &str) {
    world.enter(who);
    ip("link set lo up");
    ip(&format!("address add 10.{net}.0.10/24 dev {device}"));
    ip(&format!(
        "address add 2001:db8:{net}::10/64 dev {device} nodad"
    ));
    ip(&format!("link set {device} up"));
    ip(&format!("route add default via 10.{net}.0.1"));
    ip(&format!("-6 route add default via 2001:db8:{net}::1"));
}

fn set_up_router(world: &World, who: Who) {
    world.enter(who);
    for (path, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv6/conf/all/forwarding", "1"),
        ("netfilter/nf_conntrack_events", "1"),
    ] {
        fs::write(format!("/proc/sys/net/{path}"), value).unwrap();
    }
    for device in ["lo", "lan0", "wan0"] {
        ip(&format!("link set {device} up"));
    }
    run("nft", &["-f", "-"], RULES);
}

/// What a program prints, given `input`.
pub(super) fn run(program: &str, words: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {words:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// `conntrack` with these words.
pub(super) fn conntrack(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    run("conntrack", &words, "")
}

/// What conntrack(8) lists in this namespace, sorted, without what runs: timeouts and users.
pub(super) fn listing() -> Vec<String> {
    let both =
        ["ipv4", "ipv6"].map(|family| conntrack(&format!("-L -o extended,labels -f {family}")));
    let mut lines: Vec<String> = both
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| {
            let words = line.split_whitespace().enumerate();
            let kept = words.filter(|(place, word)| *place != 4 && !word.starts_with("use="));
            kept.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
        })
        .collect();
    lines.sort();
    lines
}
