use super::*;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

const LOADS: usize = 100;

/// What may go out and what may not, while the ruleset is loaded again and again: a datagram that is dropped on
/// its way out is an error for its sender.
#[test]
fn a_reload_is_never_open_and_never_shut() {
    in_own_network(&["link set lo up"], || {
        let allowed = sink();
        let forbidden = sink();
        let udp = |number| rule().when(udp_port(), Test::Is(Datum::Port(number)));
        let out = Chain::base("out", Hook::Output, priority::FILTER, Policy::Drop);
        let mut rules: Vec<Rule> = (1..500)
            .map(|number| udp(number).then(Verdict::Accept))
            .collect();
        rules.push(
            udp(address_of(&allowed).port())
                .and(Statement::Counter)
                .then(Verdict::Accept),
        );
        let table = Table {
            chains: vec![Chain { rules, ..out }],
            ..inet()
        };
        let ruleset = Ruleset {
            tables: vec![table],
        };
        load(&ruleset);

        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let is_over = AtomicBool::new(false);
        let (passed, refused) = std::thread::scope(|scope| {
            let counted = scope.spawn(|| {
                let (mut passed, mut refused) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    sender.send_to(b"in", address_of(&allowed)).unwrap();
                    passed += 1;
                    let denied = sender.send_to(b"no", address_of(&forbidden)).unwrap_err();
                    assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
                    refused += 1;
                }
                (passed, refused)
            });
            for _ in 0..LOADS {
                load(&ruleset);
            }
            is_over.store(true, Ordering::Relaxed);
            counted.join().unwrap()
        });
        assert!(
            passed > 0 && refused == passed,
            "{passed} passed, {refused} refused"
        );
    });
}

fn sink() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

fn address_of(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}
