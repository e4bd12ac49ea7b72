//! What is told of a subject: each value of all runs, ours beside what is to be held, some of it as shares of what the
//! rival took.

use super::Values;
use super::subjects::Subject;
use super::trial::{Burst, Paced};
use crate::report::Row;

/// What is to be held. Of conntrackd's CPU together, at most this; of its rate, at least that.
const SHARE_OF_CPU: f64 = 0.4;
const SHARE_OF_RATE: f64 = 2.0;
const RSS_MB: f64 = 40.0;
const LAG_MS: f64 = 50.0;
const REJOIN_S: f64 = 3.0;

/// How a value of a burst is read.
type Get = fn(&Burst) -> Option<f64>;

const CPU_S: Get = |burst| Some(burst.sender.cpu_s + burst.twin.cpu_s);
const SENDER_CPU_S: Get = |burst| Some(burst.sender.cpu_s);
const TWIN_CPU_S: Get = |burst| Some(burst.twin.cpu_s);
const FLOWS_PER_S: Get = |burst| Some(burst.flows_per_s);
const REJOIN: Get = |burst| Some(burst.rejoin_s);
/// Who leaves flows out is done sooner.
const WHOLE_REJOIN: Get = |burst| (burst.rejoin_lost == 0.0).then_some(burst.rejoin_s);

/// Rows of a subject; only ours has a `rival`. Emulated times are held to no real ones.
pub(super) fn of(
    subject: &Subject,
    values: &Values,
    rival: Option<&Values>,
    is_emulated: bool,
) -> Vec<Option<Row>> {
    let is_ours = subject.name == "pollux";
    let row = |fault, unit, values| {
        Row::new(subject.name, subject.profile, unit, values).map(|row| row.fault(fault))
    };
    let burst = |fault, unit, get: Get| row(fault, unit, all(values, get));
    let paced = |fault, unit, get: fn(&Paced) -> Option<f64>| {
        row(fault, unit, values.paced.iter().filter_map(get).collect())
    };
    let share = |fault, unit, get: Get| {
        row(
            fault,
            unit,
            rival
                .map(|rival| shares(values, rival, get))
                .unwrap_or_default(),
        )
    };
    let theirs = |get: Get| rival.and_then(|rival| median(all(rival, get)));
    let limit = |row: Option<Row>, limit: Option<f64>| match limit.filter(|_| is_ours) {
        Some(limit) => row.map(|row| row.limit(limit)),
        None => row,
    };
    let least = |row: Option<Row>, least: Option<f64>| match least {
        Some(least) => row.map(|row| row.least(least)),
        None => row,
    };
    let cpu_max = theirs(CPU_S).map(|theirs| theirs * SHARE_OF_CPU);
    let rate_min = theirs(FLOWS_PER_S).map(|theirs| theirs * SHARE_OF_RATE);
    let rejoin_max = (!is_emulated).then_some(REJOIN_S);
    vec![
        limit(burst("burst", "cpu_s", CPU_S), cpu_max),
        burst("burst sender", "cpu_s", SENDER_CPU_S),
        burst("burst receiver", "cpu_s", TWIN_CPU_S),
        limit(
            burst("burst sender", "rss_mb", |burst| Some(burst.sender.rss_mb)),
            Some(RSS_MB),
        ),
        least(burst("burst", "flows_per_s", FLOWS_PER_S), rate_min),
        limit(
            burst("burst", "flows_lost", |burst| Some(burst.flows_lost)),
            Some(0.0),
        ),
        burst("takeover", "commit_ms", |burst| burst.commit_ms),
        limit(burst("restart", "rejoin_s", REJOIN), rejoin_max),
        limit(
            burst("restart", "flows_lost", |burst| Some(burst.rejoin_lost)),
            Some(0.0),
        ),
        limit(share("burst", "cpu_share", CPU_S), Some(SHARE_OF_CPU)),
        share("burst sender", "cpu_share", SENDER_CPU_S),
        share("burst receiver", "cpu_share", TWIN_CPU_S),
        least(
            share("burst", "rate_share", FLOWS_PER_S),
            Some(SHARE_OF_RATE),
        ),
        share("restart", "rejoin_share", WHOLE_REJOIN),
        paced("paced median", "lag_ms", |paced| at(&paced.lags_ms, 0.5)),
        limit(
            paced("paced p99", "lag_ms", |paced| at(&paced.lags_ms, 0.99)),
            Some(LAG_MS),
        ),
        limit(
            paced("paced", "flows_lost", |paced| Some(paced.flows_lost)),
            Some(0.0),
        ),
        paced("paced", "cpu_s_per_s", |paced| Some(paced.cpu_share)),
    ]
}

fn all(values: &Values, get: Get) -> Vec<f64> {
    values.bursts.iter().flatten().filter_map(get).collect()
}

/// Of each run that both have come through, ours as a share of the rival's.
fn shares(values: &Values, rival: &Values, get: Get) -> Vec<f64> {
    let runs = values.bursts.iter().zip(&rival.bursts);
    let both = runs.filter_map(|(ours, theirs)| Some((ours.as_ref()?, theirs.as_ref()?)));
    both.filter_map(|(ours, theirs)| Some(get(ours)? / get(theirs)?))
        .collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    at(&values, 0.5)
}

/// The value that this share of sorted ones lies below.
fn at(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among some hundred thousand"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::{FLOWS_PER_S, Values, at, shares};
    use crate::sync::trial::Burst;
    use crate::sync::usage::Usage;

    fn run(flows_per_s: f64) -> Option<Burst> {
        Some(Burst {
            sender: Usage::default(),
            twin: Usage::default(),
            flows_per_s,
            flows_lost: 0.0,
            commit_ms: None,
            rejoin_s: 1.0,
            rejoin_lost: 0.0,
        })
    }

    #[test]
    fn a_share_is_that_of_a_run_that_both_came_through() {
        let of = |bursts| Values {
            bursts,
            paced: Vec::new(),
        };
        let ours = of(vec![run(6.0), None, run(8.0), run(9.0)]);
        let theirs = of(vec![run(2.0), run(5.0), None, run(6.0)]);
        assert_eq!(shares(&ours, &theirs, FLOWS_PER_S), [3.0, 1.5]);
    }

    #[test]
    fn a_share_lies_below_what_is_found() {
        let sorted: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(
            (at(&sorted, 0.5), at(&sorted, 0.99)),
            (Some(100.0), Some(198.0))
        );
        assert_eq!((at(&[7.0], 0.99), at(&[], 0.5)), (Some(7.0), None));
    }
}
