//! Translated addresses: what each kind of `[[nat]]` makes of a connection, in both families.

use crate::place::Outcome;
use crate::world::World;
use crate::{example, seen};

#[test]
fn addresses_are_translated_in_both_directions() {
    let Some(world) = World::new("nat") else {
        return;
    };
    world.load(&example());
    let World {
        outside, servers, ..
    } = &world;
    for port in ["9080", "9083", "9089"] {
        servers.serve(&format!("10.0.1.30:{port}"));
    }
    servers.serve("10.0.1.25:25");
    servers.serve("10.0.1.25:80");
    outside.serve("198.51.100.1:53");

    // A range that is shifted, port by port.
    for (port, expected) in [
        ("8080", seen("203.0.113.99")),
        ("8083", seen("203.0.113.99")),
        ("8089", seen("203.0.113.99")),
        ("8085", Outcome::Refused),
        ("8090", Outcome::Silence),
    ] {
        let to = format!("198.51.100.10:{port}");
        assert_eq!(outside.tcp("203.0.113.99", &to), expected, "{port}");
    }
    // Beside the server: answers come back by way of the box.
    assert_eq!(
        servers.tcp("10.0.1.21", "198.51.100.10:8083"),
        seen("10.0.1.1")
    );
    // Not without the translation.
    assert_eq!(
        outside.tcp("203.0.113.99", "10.0.1.30:9083"),
        Outcome::Silence
    );
    // 1:1, both ways, and beside the server.
    assert_eq!(
        outside.tcp("203.0.113.99", "198.51.100.11:25"),
        seen("203.0.113.99")
    );
    assert_eq!(
        outside.tcp("203.0.113.99", "198.51.100.11:80"),
        Outcome::Silence
    );
    assert_eq!(
        servers.tcp("10.0.1.25", "198.51.100.1:53"),
        seen("198.51.100.11")
    );
    assert_eq!(
        servers.tcp("10.0.1.21", "198.51.100.1:53"),
        seen("10.0.1.21")
    );
}

/// The example, with more in it.
fn with(more: &str) -> String {
    format!("{}\n{more}", example())
}

#[test]
fn masquerading_both_families_uses_the_virtual_address_of_each() {
    let Some(world) = World::new("both") else {
        return;
    };
    let masquerade = "kind = \"masquerade\"\nfrom = \"inside\"\nto = \"outside\"\n";
    let both = example().replace(masquerade, &format!("{masquerade}family = \"both\"\n"));
    assert_ne!(both, example());
    world.load(&both);
    let World {
        outside, inside, ..
    } = &world;
    outside.serve("198.51.100.1:80");
    outside.serve("[2001:db8:0:1::1]:80");
    assert_eq!(
        inside.tcp("10.0.0.50", "198.51.100.1:80"),
        seen("198.51.100.10")
    );
    assert_eq!(
        inside.tcp("2001:db8:0:2::50", "[2001:db8:0:1::1]:80"),
        seen("2001:db8:0:1::10")
    );
}

#[test]
fn sources_are_translated_to_what_is_said_and_only_where_it_is() {
    let Some(world) = World::new("source") else {
        return;
    };
    world.load(&with(
        r#"
[[nat]]
kind = "source"
from = "servers"
to = "outside"
source = "10.0.1.21"
protocol = "tcp"
translate-to = "198.51.100.10"

[[nat]]
kind = "source"
from = "servers"
to = "outside"
source = "2001:db8:0:3::/64"
translate-to = "2001:db8:0:1::10"
"#,
    ));
    let World {
        outside, servers, ..
    } = &world;
    outside.serve("198.51.100.1:53");
    outside.serve_datagrams("198.51.100.1:53");
    outside.serve("[2001:db8:0:1::1]:53");
    let to = "198.51.100.1:53";
    assert_eq!(servers.tcp("10.0.1.21", to), seen("198.51.100.10"));
    // Of another protocol, or another source: as it is.
    assert_eq!(servers.udp("10.0.1.21", to), seen("10.0.1.21"));
    assert_eq!(servers.tcp("10.0.1.30", to), seen("10.0.1.30"));
    assert_eq!(
        servers.tcp("2001:db8:0:3::25", "[2001:db8:0:1::1]:53"),
        seen("2001:db8:0:1::10")
    );
}

#[test]
fn destinations_and_pairs_are_translated_in_ipv6_too() {
    let Some(world) = World::new("nat6") else {
        return;
    };
    let address = "[[virtual-address]]\naddress = \"2001:db8:0:1::11/64\"\ninterface = \"wan\"\n";
    world.load(&with(&format!(
        r#"
{address}
[[nat]]
kind = "destination"
from = "outside"
destination = "2001:db8:0:1::10"
protocol = "tcp"
ports = 8080
translate-to = "2001:db8:0:3::25"
translate-to-ports = 9080

[[nat]]
kind = "one-to-one"
from = "servers"
to = "outside"
outside = "2001:db8:0:1::11"
inside = "2001:db8:0:3::25"
"#
    )));
    let World {
        outside,
        servers,
        guard,
        ..
    } = &world;
    guard.ip("address add 2001:db8:0:1::11/64 dev eth0\n");
    servers.serve("[2001:db8:0:3::25]:9080");
    servers.serve("[2001:db8:0:3::25]:25");
    outside.serve("[2001:db8:0:1::1]:53");
    let from = "2001:db8:77::7";
    assert_eq!(outside.tcp(from, "[2001:db8:0:1::10]:8080"), seen(from));
    assert_eq!(
        outside.tcp(from, "[2001:db8:0:1::10]:8081"),
        Outcome::Silence
    );
    assert_eq!(outside.tcp(from, "[2001:db8:0:1::11]:25"), seen(from));
    assert_eq!(
        servers.tcp("2001:db8:0:3::25", "[2001:db8:0:1::1]:53"),
        seen("2001:db8:0:1::11")
    );
}
