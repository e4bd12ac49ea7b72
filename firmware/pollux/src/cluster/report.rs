//! What the cluster worker says: proto's reports with the names of this pair in place of numbers, one line
//! each. Proto already keeps noise down (rejections at every doubling); nothing is decided here.

use proto::failover::{Reason, Vacancy};
use proto::report::{DeadTimeCause, Report, Status, Transition};
use std::time::Duration;

/// Names for the numbers in reports.
#[derive(Debug)]
pub struct Names {
    /// The other node.
    pub peer: String,
    /// In the order of `Config::links`.
    pub links: Vec<String>,
}

/// Logs a report. `silence`: since anything fresh came from the peer, `None` while it was never heard.
pub fn log(report: &Report, names: &Names, silence: Option<Duration>) {
    let level = if report.is_warning() {
        log::Level::Warn
    } else {
        log::Level::Info
    };
    log::log!(level, "{}", words(report, names, silence));
}

fn words(report: &Report, names: &Names, silence: Option<Duration>) -> String {
    let peer = &names.peer;
    let link = |position: &u8| {
        let name = names.links.get(usize::from(*position));
        name.map_or("?", String::as_str)
    };
    match report {
        Report::Transition(transition) => transition_words(transition, silence),
        Report::Link { link: at, up: true } => format!("link {} is up", link(at)),
        Report::Link {
            link: at,
            up: false,
        } => format!("link {} is down", link(at)),
        Report::Peer { alive: true } => format!("peer {peer} is alive"),
        Report::Peer { alive: false } => format!("peer {peer} is silent on all links"),
        Report::PeerRestarted => format!("peer {peer} was restarted"),
        Report::Rejected {
            link: at,
            rejection,
            total,
        } => format!("link {}: {rejection} ({total} so far)", link(at)),
        Report::DeadTime {
            from_ms,
            to_ms,
            cause: DeadTimeCause::Jitter { link: at, late_ms },
        } => format!(
            "dead time {from_ms} -> {to_ms} ms: beats come late, by {late_ms} ms at worst on {}",
            link(at)
        ),
        Report::Contested { .. }
        | Report::DeadTime { .. }
        | Report::Drift { .. }
        | Report::Stalled { .. } => report.to_string(),
    }
}

/// `standby -> taking over, term 7: the peer fell silent on all links, 203 ms ago`.
fn transition_words(transition: &Transition, silence: Option<Duration>) -> String {
    let Transition {
        from,
        to,
        term,
        reason,
    } = transition;
    match (reason, silence) {
        (Reason::Vacant(Vacancy::PeerDead), Some(silence)) => {
            let silent_ms = silence.as_millis();
            format!("{from} -> {to}, term {term}: {reason}, {silent_ms} ms ago")
        }
        _ => format!("{from} -> {to}, term {term}: {reason}"),
    }
}

/// Since the last fresh frame on any link; `None` before the first.
pub fn silence(status: &Status) -> Option<Duration> {
    let silences = status.links.iter().filter_map(|link| link.silent_ms);
    silences.min().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::failover::State;
    use proto::wire::Rejection;

    fn said(report: &Report) -> String {
        let names = Names {
            peer: "castor".into(),
            links: vec!["ttyS1 19200".into()],
        };
        words(report, &names, Some(Duration::from_millis(203)))
    }

    #[test]
    fn transitions_say_from_to_term_and_reason() {
        let transition = |reason| {
            Report::Transition(Transition {
                from: State::Standby,
                to: State::Taking,
                term: 7,
                reason,
            })
        };
        assert_eq!(
            said(&transition(Reason::Vacant(Vacancy::PeerDead))),
            "standby -> taking over, term 7: the peer fell silent on all links, 203 ms ago"
        );
        assert_eq!(
            said(&transition(Reason::Offered)),
            "standby -> taking over, term 7: the peer hands over"
        );
    }

    #[test]
    fn links_and_the_peer_have_names() {
        assert_eq!(
            said(&Report::Link { link: 0, up: false }),
            "link ttyS1 19200 is down"
        );
        assert_eq!(said(&Report::Link { link: 9, up: true }), "link ? is up");
        assert_eq!(said(&Report::Peer { alive: true }), "peer castor is alive");
        let rejected = Report::Rejected {
            link: 0,
            rejection: Rejection::Replayed,
            total: 4,
        };
        assert_eq!(
            said(&rejected),
            "link ttyS1 19200: frame not newer than one heard before (4 so far)"
        );
    }
}
