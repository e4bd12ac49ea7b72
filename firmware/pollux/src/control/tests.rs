//! Control with clients on real sockets, served at times of the test's choosing.

use super::session::WRONG_PASSWORD_DELAY;
use super::*;
use crate::samples::config;
use core::time::Duration;
use plan::password;

type Caller = Channel<Request, Response>;

/// Wires to workers that are not there, and so many clients.
fn control(name: &str, clients: usize) -> (Control, Vec<Caller>) {
    fn wire<Tx: serde::Serialize, Rx: serde::de::DeserializeOwned>() -> Channel<Tx, Rx> {
        Channel::new(sys::socket::pair().unwrap().0).unwrap()
    }
    let path = std::env::temp_dir().join(format!("pollux-{name}-{}", std::process::id()));
    let listener = Listener::bind(&path, GUEST_CONTROL_MODE).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut config = config();
    config.console.password = Some(password::derive("gemini", [1; 16], 3));
    let hello = Hello {
        version: "1".into(),
        cluster: "edge".into(),
        node: "castor".into(),
        wants_password: true,
    };
    let mut control = Control {
        config_path: path,
        facts: Facts {
            config,
            hello,
            generation: 7,
            digest: 9,
        },
        listener,
        lifeline: wire(),
        cluster: wire(),
        dataplane: wire(),
        sync: wire(),
        clients: Vec::new(),
        guesses: Guesses::default(),
        last_request: 0,
    };
    let callers = (0..clients).map(|_| {
        let (near, far) = sys::socket::pair().unwrap();
        control.clients.push(Client {
            channel: Channel::new(near).unwrap(),
            session: Session::default(),
            held: None,
            gone: false,
        });
        Channel::new(far).unwrap()
    });
    let callers = callers.collect();
    (control, callers)
}

fn guess(caller: &mut Caller, password: &str) {
    let request = Request::Authenticate(password.into());
    caller.send(&request).unwrap();
}

fn serve_all(control: &mut Control, now: Instant) {
    for index in control.guesses.turns(control.clients.len()) {
        control.serve(now, index);
    }
}

#[test]
fn a_wrong_guess_slows_all_and_locks_nobody_out() {
    let (mut control, mut callers) = control("guesses", 3);
    let [thief, second_thief, operator] = callers.as_mut_slice() else {
        return assert_eq!(callers.len(), 3);
    };
    // The thieves have more guesses in their sockets than they get to make.
    for _ in 0..20 {
        guess(thief, "zeus");
        guess(second_thief, "leda");
    }
    let start = Instant::now();
    serve_all(&mut control, start);
    guess(operator, "gemini");
    let (mut wrong, mut delays) = (0, 0);
    let let_in = loop {
        serve_all(&mut control, start + WRONG_PASSWORD_DELAY * delays);
        wrong += [&mut *thief, &mut *second_thief]
            .into_iter()
            .map(|thief| usize::from(thief.receive() == Ok(Some(Response::Authenticated(false)))))
            .sum::<usize>();
        match operator.receive() {
            Ok(None) if delays < 10 => delays += 1,
            answer => break answer,
        }
    };
    assert_eq!(let_in, Ok(Some(Response::Authenticated(true))));
    assert!(delays <= 3, "let in after {delays} delays");
    assert!(wrong <= 3, "{wrong} guesses in {delays} delays");
}

#[test]
fn only_guesses_wait_for_a_wrong_one() {
    let (mut control, mut callers) = control("others", 2);
    let [thief, other] = callers.as_mut_slice() else {
        return assert_eq!(callers.len(), 2);
    };
    let start = Instant::now();
    guess(thief, "zeus");
    other.send(&Request::Hello).unwrap();
    serve_all(&mut control, start);
    assert!(matches!(other.receive(), Ok(Some(Response::Hello(_)))));
    guess(other, "gemini");
    serve_all(&mut control, start + Duration::from_millis(1));
    assert_eq!(other.receive(), Ok(None));
    assert!(control.clients.iter().all(Client::is_busy));
    serve_all(&mut control, start + WRONG_PASSWORD_DELAY);
    assert_eq!(other.receive(), Ok(Some(Response::Authenticated(true))));
}
