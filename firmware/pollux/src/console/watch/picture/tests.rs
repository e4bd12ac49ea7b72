//! What the whole screen looks like, on a vt100.

use super::super::screen::Painter;
use super::super::vt100::Vt100;
use super::*;
use crate::console::samples::{service, status};
use crate::ipc::control::{AddressStatus, Level, LogLine};
use plan::config::Prefix;
use std::net::Ipv4Addr;

const SIZE: Size = Size {
    columns: 80,
    rows: 24,
};

fn facts() -> Facts {
    let mut status = status();
    if let Ok(cluster) = &mut status.cluster {
        cluster.virtual_addresses = (10..12)
            .map(|host| AddressStatus {
                prefix: Prefix {
                    address: Ipv4Addr::new(192, 0, 2, host).into(),
                    length: 24,
                },
                device: Some("eth0".into()),
                held: true,
                refusal: None,
                rival: None,
            })
            .collect();
    }
    let mut facts = Facts {
        node: "castor".into(),
        status: Some(Ok(Box::new(status))),
        services: vec![service()],
        ..Facts::default()
    };
    facts.events.take(LogLine {
        sequence: 1,
        at_ms: 12_345,
        level: Level::Info,
        text: "cluster: peer pollux is alive".into(),
    });
    facts
}

fn shown(facts: &Facts, size: Size) -> String {
    let (screen, _) = draw(facts, size);
    let mut terminal = Vt100::new(size);
    terminal.feed(&Painter::new(size).paint(&screen, usize::MAX));
    assert!(terminal.shows(&screen));
    terminal.text()
}

#[test]
fn the_whole_picture() {
    let expected = " castor: active, ready; term 2, since 9.1 s                           q leaves
peer        pollux is standby, ready; term 2, in sync
config      generation 7, digest 0000000000000009, on both boxes
dead time   200 ms, as configured
flows       in sync; by sync 10.0.0.2; lag 2 ms, 1200 sent/s, 0 received/s
link         state    silent   jitter   loss  dead time  rejected
ttyS1 115200 up        31 ms   1.2 ms   0.0%     200 ms         0
held here   192.0.2.10 192.0.2.11
service           health       active  conn/s  pkt/s B/s in B/s out
tcp 10.0.0.100:80 0/1 up            3       -      -      -       -
  10.0.0.11:80    DOWN              3       -      -      -       -
 events, by seconds since the start                                     now 61
[   12.345] info  cluster: peer pollux is alive
";
    assert_eq!(shown(&facts(), SIZE).trim_end(), expected.trim_end());
}

#[test]
fn many_services_leave_room_for_events_and_scroll() {
    let mut facts = facts();
    facts.services = (1..=40)
        .map(|port| {
            let mut service = service();
            service.endpoint.port = port;
            service
        })
        .collect();
    let text = shown(&facts, SIZE);
    assert!(text.contains("more rows below: cursor keys"), "{text}");
    assert!(text.contains("peer pollux is alive"), "{text}");
    assert!(!text.contains(":40 "), "{text}");
    let (_, scrollable) = draw(&facts, SIZE);
    facts.scrolled = scrollable;
    let text = shown(&facts, SIZE);
    assert!(
        text.contains("10.0.0.100:40") && text.contains("more rows above: cursor"),
        "{text}"
    );
}

#[test]
fn what_is_not_known_is_said() {
    let mut facts = Facts::default();
    assert!(shown(&facts, SIZE).contains("asking ..."));
    facts.status = Some(Err("PID 1 does not answer".into()));
    facts.services_failed = Some("the dataplane worker does not answer".into());
    let text = shown(&facts, SIZE);
    assert!(text.contains("PID 1 does not answer"), "{text}");
    assert!(text.contains("services: the dataplane"), "{text}");
}

#[test]
fn any_size_will_do() {
    for (columns, rows) in [(40, 12), (132, 50), (200, 100), (1, 1)] {
        shown(&facts(), Size { columns, rows });
    }
}
