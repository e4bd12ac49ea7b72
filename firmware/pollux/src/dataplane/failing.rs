//! Steps that fail: each is said once when it begins to fail and once when it is over, and all are tried
//! again at growing distances. A failing step is never fatal.

use core::time::Duration;

const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// In words; names the step from one pass to the next.
    pub step: String,
    /// The kernel's reason.
    pub reason: String,
}

/// What fails at present.
#[derive(Debug)]
pub struct Failing {
    steps: Vec<String>,
    retry_after: Duration,
}

/// What a pass changed about that.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// These fail now and did not before.
    pub begun: Vec<Failed>,
    /// These failed and do no longer.
    pub over: Vec<String>,
    /// When all are to be tried again; `None`: nothing fails.
    pub retry_after: Option<Duration>,
}

impl Failing {
    /// Nothing fails.
    pub fn new() -> Self {
        Failing {
            steps: Vec::new(),
            retry_after: FIRST_RETRY,
        }
    }

    /// Takes what failed in a pass over everything.
    pub fn update(&mut self, failed: Vec<Failed>) -> News {
        let now: Vec<_> = failed.iter().map(|failed| failed.step.clone()).collect();
        let before = core::mem::replace(&mut self.steps, now);
        let is_new = |failed: &Failed| !before.contains(&failed.step);
        let begun: Vec<_> = failed.into_iter().filter(is_new).collect();
        let over = before
            .into_iter()
            .filter(|step| !self.steps.contains(step))
            .collect();
        if self.steps.is_empty() || !begun.is_empty() {
            self.retry_after = FIRST_RETRY;
        }
        let retry_after = self.retry_after;
        self.retry_after = retry_after.saturating_mul(2).min(LONGEST_RETRY);
        News {
            begun,
            over,
            retry_after: self.any().then_some(retry_after),
        }
    }

    /// Something fails.
    pub fn any(&self) -> bool {
        !self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(step: &str) -> Failed {
        Failed {
            step: step.into(),
            reason: "EINVAL".into(),
        }
    }

    #[test]
    fn each_failure_is_said_once_at_each_end() {
        let mut failing = Failing::new();
        let news = failing.update(vec![failed("a"), failed("b")]);
        assert_eq!(news.begun, [failed("a"), failed("b")]);
        let news = failing.update(vec![failed("b")]);
        assert_eq!((news.begun, news.over), (vec![], vec!["a".into()]));
        let news = failing.update(vec![]);
        assert_eq!(news.over, ["b"]);
        assert_eq!(news.retry_after, None);
        assert!(!failing.any());
    }

    #[test]
    fn retries_come_at_growing_distances_up_to_a_limit() {
        let mut failing = Failing::new();
        let mut retries_ms = Vec::new();
        for _ in 0..9 {
            let retry = failing.update(vec![failed("a")]).retry_after;
            retries_ms.extend(retry.map(|retry| retry.as_millis()));
        }
        assert_eq!(
            retries_ms,
            [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        );
        let retry = failing.update(vec![failed("a"), failed("b")]).retry_after;
        assert_eq!(retry, Some(FIRST_RETRY));
    }
}
