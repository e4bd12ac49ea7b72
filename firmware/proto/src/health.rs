//! When a real server counts as up: results of checks in, changes of verdict out. It must never flap
//! on a single bad answer, so it counts results in a row; it does no checking itself.

/// Verdict on one real server. It begins down, and the first success brings it up at once, so a
/// freshly started box does not make clients wait for servers that are fine.
#[derive(Debug, Clone)]
pub struct Verdict {
    failures_to_down: u8,
    successes_to_up: u8,
    up: bool,
    /// Results in a row that speak against the verdict.
    against: u8,
    /// No success has been seen yet.
    fresh: bool,
}

/// A change of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It may get clients.
    Up,
    /// It must not.
    Down,
}

impl Verdict {
    /// Limits are in results in a row; 0 counts as 1.
    #[must_use]
    pub fn new(failures_to_down: u8, successes_to_up: u8) -> Self {
        Self {
            failures_to_down: failures_to_down.max(1),
            successes_to_up: successes_to_up.max(1),
            up: false,
            against: 0,
            fresh: true,
        }
    }

    /// Takes the result of one check; says whether the verdict changed.
    pub fn on_result(&mut self, success: bool) -> Option<Change> {
        if success == self.up {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let limit = match (self.up, self.fresh) {
            (true, _) => self.failures_to_down,
            (false, true) => 1,
            (false, false) => self.successes_to_up,
        };
        if self.against < limit {
            return None;
        }
        self.up = success;
        self.against = 0;
        self.fresh = false;
        Some(if success { Change::Up } else { Change::Down })
    }

    /// It may get clients.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Down, Up};

    fn changes<const N: usize>(verdict: &mut Verdict, results: [bool; N]) -> [Option<Change>; N] {
        results.map(|success| verdict.on_result(success))
    }

    #[test]
    fn begins_down_and_the_first_success_brings_it_up() {
        let mut verdict = Verdict::new(3, 5);
        assert!(!verdict.is_up());
        assert_eq!(
            changes(&mut verdict, [false, false, true]),
            [None, None, Some(Up)]
        );
        assert!(verdict.is_up());
    }

    #[test]
    fn only_failures_in_a_row_bring_it_down() {
        let mut verdict = Verdict::new(2, 1);
        assert_eq!(
            changes(&mut verdict, [true, false, true, false, false, false]),
            [Some(Up), None, None, None, Some(Down), None]
        );
    }

    #[test]
    fn only_successes_in_a_row_bring_it_back() {
        let mut verdict = Verdict::new(1, 2);
        assert_eq!(
            changes(&mut verdict, [true, false, true, false, true, true]),
            [Some(Up), Some(Down), None, None, None, Some(Up)]
        );
    }

    #[test]
    fn a_limit_of_zero_counts_as_one() {
        let mut verdict = Verdict::new(0, 0);
        assert_eq!(
            changes(&mut verdict, [true, false, true]),
            [Some(Up), Some(Down), Some(Up)]
        );
    }
}
