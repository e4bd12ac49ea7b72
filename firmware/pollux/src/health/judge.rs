//! From results of checks to a verdict that is worth telling: proto's up-and-down machine, and whether
//! anything is known at all. Until the first success, or as many failures as it takes to be down, there is
//! no verdict, so that a health worker that was restarted does not contradict what its predecessor knew.

use proto::health::Verdict;

/// What is thought of one server.
#[derive(Debug)]
pub struct Judge {
    verdict: Verdict,
    failures_to_down: u8,
    knowledge: Knowledge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// No verdict yet; failures so far.
    Open { failures: u8 },
    /// `true`: up.
    Known(bool),
}

impl Judge {
    /// Nothing is known yet.
    pub fn new(failures_to_down: u8, successes_to_up: u8) -> Self {
        Judge {
            verdict: Verdict::new(failures_to_down, successes_to_up),
            failures_to_down,
            knowledge: Knowledge::Open { failures: 0 },
        }
    }

    /// Takes the result of a check. Returns the verdict if it is a new one.
    pub fn on_result(&mut self, success: bool) -> Option<bool> {
        self.verdict.on_result(success);
        let up = self.verdict.is_up();
        let next = match self.knowledge {
            Knowledge::Open { failures } if !up => {
                let failures = failures.saturating_add(1);
                if failures < self.failures_to_down {
                    Knowledge::Open { failures }
                } else {
                    Knowledge::Known(false)
                }
            }
            Knowledge::Open { .. } | Knowledge::Known(_) => Knowledge::Known(up),
        };
        let before = core::mem::replace(&mut self.knowledge, next);
        match next {
            Knowledge::Known(up) if next != before => Some(up),
            Knowledge::Known(_) | Knowledge::Open { .. } => None,
        }
    }

    /// The verdict; `None`: not known yet.
    pub fn verdict(&self) -> Option<bool> {
        match self.knowledge {
            Knowledge::Open { .. } => None,
            Knowledge::Known(up) => Some(up),
        }
    }

    /// Whether there is a verdict.
    pub fn is_known(&self) -> bool {
        self.verdict().is_some()
    }

    /// Failures in a row until the server is down.
    pub fn failures_to_down(&self) -> u8 {
        self.failures_to_down
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failures_to_down: u8, successes_to_up: u8, results: &[bool]) -> Vec<Option<bool>> {
        let mut judge = Judge::new(failures_to_down, successes_to_up);
        results
            .iter()
            .map(|&success| judge.on_result(success))
            .collect()
    }

    #[test]
    fn the_first_success_is_told_at_once() {
        assert_eq!(told(3, 2, &[true, true]), [Some(true), None]);
        assert_eq!(told(3, 2, &[false, true]), [None, Some(true)]);
    }

    #[test]
    fn a_server_that_never_answered_is_told_down_once() {
        let told = told(3, 2, &[false, false, false, false]);
        assert_eq!(told, [None, None, Some(false), None]);
    }

    #[test]
    fn later_changes_take_as_many_results_as_configured() {
        let results = [true, false, false, true, false, false, false, true, true];
        let expected = [
            Some(true),
            None,
            None,
            None,
            None,
            None,
            Some(false),
            None,
            Some(true),
        ];
        assert_eq!(told(3, 2, &results), expected);
    }
}
