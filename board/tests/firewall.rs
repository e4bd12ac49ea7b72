//! The firewall of the example, as its hosts meet it: the plan's ruleset, in nft's words, in a real kernel between
//! networks of this test's own. Each row is an attempt from one place to another and what should become of it.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../src/cards.rs"]
mod cards;
#[path = "firewall/helpers.rs"]
mod helpers;
#[path = "firewall/place.rs"]
mod place;
#[path = "../../tests/skip.rs"]
mod skip;
#[path = "firewall/translation.rs"]
mod translation;
#[path = "firewall/world.rs"]
mod world;

use place::{Outcome, SILENCE, greeting, is_alive};
use std::net::IpAddr;
use std::path::Path;
use world::World;

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/firewall.toml");
    std::fs::read_to_string(path).unwrap()
}

fn seen(address: &str) -> Outcome {
    Outcome::Seen(address.parse::<IpAddr>().unwrap())
}

#[test]
fn connections_pass_or_not_as_zones_and_rules_say() {
    let Some(world) = World::new("zones") else {
        return;
    };
    world.load(&example());
    let World {
        outside,
        inside,
        servers,
        ..
    } = &world;
    for address in ["198.51.100.1:80", "[2001:db8:0:1::1]:80", "198.51.100.1:53"] {
        outside.serve(address);
    }
    outside.serve_datagrams("198.51.100.1:9000");
    inside.serve("10.0.0.50:80");
    inside.serve("[2001:db8:0:2::50]:80");
    for address in [
        "10.0.1.21:22",
        "10.0.1.21:80",
        "10.0.1.25:25",
        "[2001:db8:0:3::25]:22",
    ] {
        servers.serve(address);
    }
    servers.serve_datagrams("10.0.1.21:9000");

    // A policy that accepts, by way of masquerade for IPv4.
    assert_eq!(
        inside.tcp("10.0.0.50", "198.51.100.1:80"),
        seen("198.51.100.10")
    );
    assert_eq!(
        inside.udp("10.0.0.50", "198.51.100.1:9000"),
        seen("198.51.100.10")
    );
    assert_eq!(
        inside.tcp("2001:db8:0:2::50", "[2001:db8:0:1::1]:80"),
        seen("2001:db8:0:2::50")
    );
    // Nothing said: nothing passes.
    assert_eq!(
        outside.tcp("198.51.100.1", "10.0.0.50:80"),
        Outcome::Silence
    );
    assert_eq!(
        outside.tcp("2001:db8:77::7", "[2001:db8:0:2::50]:80"),
        Outcome::Silence
    );
    assert_eq!(servers.tcp("10.0.1.21", "10.0.0.50:80"), Outcome::Silence);
    // A policy that rejects.
    assert_eq!(inside.tcp("10.0.0.50", "10.0.1.21:80"), Outcome::Refused);
    assert_eq!(inside.udp("10.0.0.50", "10.0.1.21:9000"), Outcome::Refused);
    // Rules: by set, by port, by set that is dropped before.
    assert_eq!(
        outside.tcp("203.0.113.7", "10.0.1.21:22"),
        seen("203.0.113.7")
    );
    assert_eq!(outside.tcp("203.0.113.7", "10.0.1.21:80"), Outcome::Silence);
    assert_eq!(
        outside.tcp("203.0.113.99", "10.0.1.21:22"),
        Outcome::Silence
    );
    let to_v6 = "[2001:db8:0:3::25]:22";
    assert_eq!(outside.tcp("2001:db8:77::7", to_v6), seen("2001:db8:77::7"));
    assert_eq!(outside.tcp("2001:db8:0:1::1", to_v6), Outcome::Silence);
    assert_eq!(
        outside.tcp("203.0.113.99", "10.0.1.25:25"),
        seen("203.0.113.99")
    );
    assert_eq!(outside.tcp("192.0.2.70", "10.0.1.25:25"), Outcome::Silence);
    assert_eq!(world.counted("rule 3: ssh from admins"), 2);
    assert!(world.counted("rule 1: unwanted") > 0);
    // ICMP, and forged sources.
    assert!(inside.ping("10.0.0.50", "10.0.0.1") && inside.ping("10.0.0.50", "10.0.1.21"));
    assert!(outside.ping("2001:db8:0:1::1", "2001:db8:0:2::50"));
    assert!(!outside.ping("10.0.0.99", "10.0.1.21"));
    assert!(world.counted("forged sources from outside") > 0);
}

#[test]
fn the_box_is_closed_but_for_what_the_pair_needs() {
    let Some(world) = World::new("box") else {
        return;
    };
    world.load(&example());
    let World {
        outside,
        inside,
        servers,
        twin,
        guard,
        ..
    } = &world;
    guard.serve("10.0.0.1:22");
    guard.serve("127.0.0.1:22");
    for port in [694, 695, 696] {
        guard.serve_datagrams(&format!("192.0.2.1:{port}"));
        twin.serve_datagrams(&format!("192.0.2.2:{port}"));
    }
    servers.serve("10.0.1.21:443");
    servers.serve("10.0.1.21:80");
    outside.serve("198.51.100.1:80");

    assert_eq!(inside.tcp("10.0.0.50", "10.0.0.1:22"), Outcome::Silence);
    assert_eq!(guard.tcp("127.0.0.1", "127.0.0.1:22"), seen("127.0.0.1"));
    // Health checks, and no more.
    assert_eq!(guard.tcp("10.0.1.2", "10.0.1.21:443"), seen("10.0.1.2"));
    assert_eq!(guard.tcp("10.0.1.2", "10.0.1.21:80"), Outcome::Silence);
    assert_eq!(
        guard.tcp("198.51.100.2", "198.51.100.1:80"),
        Outcome::Silence
    );
    // Heartbeats and state sync between the boxes' own addresses.
    let heard = |port: u16| twin.udp("192.0.2.2", &format!("192.0.2.1:{port}"));
    assert_eq!(heard(696), Outcome::Silence);
    guard.udp("192.0.2.1", "192.0.2.2:696");
    for (port, about) in [(694, "heartbeat on sync"), (695, "state sync on sync")] {
        let before = world.counted(about);
        heard(port);
        guard.udp("192.0.2.1", &format!("192.0.2.2:{port}"));
        // One in, one out.
        assert_eq!(world.counted(about) - before, 2, "{about}");
    }
    // Requests to a service come in (there is no balancer here to take them), others to its address do not.
    outside.tcp("198.51.100.1", "198.51.100.10:443");
    assert!(world.counted("services") > 0);
    let services = world.counted("services");
    assert_eq!(
        outside.tcp("198.51.100.1", "198.51.100.10:444"),
        Outcome::Silence
    );
    assert_eq!(world.counted("services"), services);
}

#[test]
fn limits_let_so_many_through_and_no_more() {
    let Some(world) = World::new("limits") else {
        return;
    };
    let rate = "limit = { rate = \"20/second\", burst = 40, per-source = true }";
    let config = example().replace(
        rate,
        "limit = { rate = \"1/hour\", burst = 3, per-source = true }",
    );
    world.load(&config);
    let World {
        outside,
        inside,
        servers,
        ..
    } = &world;
    servers.serve("10.0.1.25:25");
    let mail = || outside.open("203.0.113.99", "10.0.1.25:25");
    let mut open: Vec<_> = (0..20).map(|_| mail().unwrap()).collect();
    assert_eq!(mail().err(), Some(Outcome::Refused));
    // Another source has its own.
    assert_eq!(
        outside.tcp("203.0.113.7", "10.0.1.25:25"),
        seen("203.0.113.7")
    );
    assert!(
        open.iter_mut()
            .all(|stream| matches!(greeting(stream), Outcome::Seen(_)))
    );

    let pings = (0..5).map(|_| inside.ping("10.0.0.50", "10.0.0.1"));
    assert_eq!(pings.collect::<Vec<_>>(), [true, true, true, false, false]);
    assert!(outside.ping("203.0.113.7", "198.51.100.10"));
}

#[test]
fn a_reload_cuts_what_it_forbids_and_nothing_else() {
    let Some(world) = World::new("reload") else {
        return;
    };
    world.load(&example());
    let World {
        outside,
        inside,
        servers,
        ..
    } = &world;
    outside.serve("198.51.100.1:80");
    outside.serve("198.51.100.1:53");
    servers.serve("10.0.1.21:22");
    servers.serve("10.0.1.30:9083");
    let mut forbidden = inside.open("10.0.0.50", "198.51.100.1:80").unwrap();
    let mut allowed = [
        inside.open("10.0.0.50", "198.51.100.1:53").unwrap(),
        outside.open("203.0.113.7", "10.0.1.21:22").unwrap(),
        outside.open("203.0.113.99", "198.51.100.10:8083").unwrap(),
    ];
    for stream in allowed.iter_mut().chain([&mut forbidden]) {
        assert!(matches!(greeting(stream), Outcome::Seen(_)) && is_alive(stream));
    }
    // Answers alone, no question any more: these, too, have to end.
    let policy = "[[policy]]\nfrom = \"inside\"\nto = \"outside\"\naction = \"accept\"\n";
    let stricter = example();
    assert!(stricter.contains(policy));
    world.load(&stricter.replace(policy, ""));
    assert!(!is_alive(&mut forbidden));
    assert!(allowed.iter_mut().all(is_alive));
    assert_eq!(inside.tcp("10.0.0.50", "198.51.100.1:80"), Outcome::Silence);
    assert_eq!(
        inside.tcp("10.0.0.50", "198.51.100.1:53"),
        seen("198.51.100.10")
    );
    // The same rules again, and others that say the same of these connections.
    world.load(&stricter.replace(policy, ""));
    assert!(allowed.iter_mut().all(is_alive));
    world.load(&example().replace("drop\"\n\n[[rule]]", "reject\"\n\n[[rule]]"));
    assert!(allowed.iter_mut().all(is_alive));
    // The connections were cut for good, not for as long as those rules were in force.
    assert!(!is_alive(&mut forbidden));
}

#[test]
fn answers_alone_do_not_outlive_the_rule_either() {
    let Some(world) = World::new("answers") else {
        return;
    };
    world.load(&example());
    let World {
        outside, inside, ..
    } = &world;
    let server = outside.here(|| std::net::UdpSocket::bind("198.51.100.1:9000").unwrap());
    let client = inside.here(|| std::net::UdpSocket::bind("10.0.0.50:9000").unwrap());
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(SILENCE)).unwrap();
    }
    let mut buffer = [0; 16];
    client.send_to(b"begin", "198.51.100.1:9000").unwrap();
    let (_, masqueraded) = server.recv_from(&mut buffer).unwrap();
    let mut passes = || {
        server.send_to(b"more", masqueraded).unwrap();
        client.recv_from(&mut buffer).is_ok()
    };
    assert!(passes() && passes());
    // Other rules that allow it still, then rules that do not: the client says nothing in all this time.
    let policy = "[[policy]]\nfrom = \"inside\"\nto = \"outside\"\naction = \"accept\"\n";
    world.load(&example().replace("log-refused = true", "log-refused = false"));
    assert!(passes() && passes());
    world.load(&example().replace(policy, ""));
    assert!(!passes() && !passes());
}

/// The firmware's way to the kernel and nft's leave the same there. `BLESS=1` writes the golden listing anew.
#[test]
fn the_kernel_holds_what_nft_makes_of_the_same_rules() {
    let Some(world) = World::new("listing") else {
        return;
    };
    world.load(&example());
    let listing = world.listing();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/firewall/castor.nft");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, &listing).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    same_lines(&listing, &expected);
    world.load_text(&example(), "castor");
    same_lines(&numbers_in_words(&world.listing()), &expected);
}

/// The same for a config that has every word there is, each away from its default.
#[test]
fn every_kind_of_rule_is_said_to_the_kernel_as_nft_says_it() {
    let Some(world) = World::new("everything") else {
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/round-trip/everything.toml");
    // Node a, which comes first, gets the cards of both.
    let everything = std::fs::read_to_string(path).unwrap();
    let both = everything.replace("on.b = { device = \"eth7\"", "on.a = { device = \"eth7\"");
    world.load_text(&both, "a");
    let by_nft = numbers_in_words(&world.listing());
    world.load(&both);
    same_lines(&world.listing(), &by_nft);
    assert!(by_nft.contains("limit rate 1000000/day") && by_nft.contains("persistent"));
}

/// Every timeout has its setting, and the kernel takes it. How many connections it remembers is the whole machine's.
#[test]
fn the_kernel_takes_every_timeout() {
    let Some(world) = World::new("timeouts") else {
        return;
    };
    world.load(&example());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/round-trip/everything.toml");
    let state = world.desired(&std::fs::read_to_string(path).unwrap());
    let timeouts = |(path, _): &&(String, String)| {
        path.starts_with("net/netfilter/") && path.contains("timeout") || path.contains("_retrans")
    };
    let mut seconds = Vec::new();
    for (path, value) in state.sysctls.iter().filter(timeouts) {
        let setting = path.replace('/', ".");
        let told = format!("{setting}={value}");
        world.guard.run("sysctl", &["-qw", &told], "");
        assert_eq!(
            world.guard.run("sysctl", &["-n", &setting], "").trim(),
            value
        );
        seconds.push(value.parse::<u32>().unwrap());
    }
    // All that the config says, each another number.
    seconds.sort_unstable();
    let expected: Vec<u32> = (1..=17).chain([2_592_000]).collect();
    assert_eq!(seconds, expected);
}

/// nft(8) does not know what kind the ports of a connection are in a set that it has made itself, and writes
/// `0x19 [invalid type]` for 25.
fn numbers_in_words(listing: &str) -> String {
    let parts: Vec<&str> = listing.split(" [invalid type]").collect();
    let (last, parts) = parts.split_last().unwrap();
    let mut text = String::new();
    for part in parts {
        let (before, number) = part.rsplit_once("0x").unwrap();
        let number = u16::from_str_radix(number, 16).unwrap();
        text += &format!("{before}{number}");
    }
    text + last
}

/// Elements of sets and maps come in any order.
fn same_lines(found: &str, expected: &str) {
    let sorted = |line: &str| {
        let mut words: Vec<String> = line.split([' ', ',', '\t']).map(str::to_owned).collect();
        words.sort();
        words
    };
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert!(
            sorted(found) == sorted(expected),
            "found    {found}\nexpected {expected}"
        );
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

/// Before any config: nothing at all, in any direction.
#[test]
fn a_box_without_a_config_is_closed() {
    let Some(world) = World::new("closed") else {
        return;
    };
    let World {
        outside,
        inside,
        guard,
        ..
    } = &world;
    outside.serve("198.51.100.1:80");
    guard.serve("10.0.0.1:22");
    guard.serve("127.0.0.1:22");
    let through = || inside.tcp("10.0.0.50", "198.51.100.1:80");
    outside.ip("route add 10.0.0.0/24 via 198.51.100.10\n");
    assert_eq!(through(), seen("10.0.0.50"));
    world.load_ruleset(plan::firewall::closed());
    assert_eq!(through(), Outcome::Silence);
    assert_eq!(inside.tcp("10.0.0.50", "10.0.0.1:22"), Outcome::Silence);
    assert_eq!(guard.tcp("127.0.0.1", "127.0.0.1:22"), seen("127.0.0.1"));
    // Without zones a config filters nothing.
    let pair =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ipv6.toml"));
    world.load(&pair.unwrap());
    assert_eq!(through(), seen("10.0.0.50"));
}
