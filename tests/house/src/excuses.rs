//! Where a rule is broken on purpose, and why. A table and not comments in the code, so that it is read as a whole and stays short.

/// A file in which a word of a rule is allowed.
pub(crate) struct Excuse {
    pub(crate) path: &'static str,
    /// The word as the rule names it.
    pub(crate) word: &'static str,
    /// For the reader; never printed.
    #[allow(dead_code)]
    pub(crate) why: &'static str,
}

pub(crate) const EXCUSES: &[Excuse] = &[];

/// True when this file may use this word.
pub(crate) fn excused(path: &str, word: &str) -> bool {
    EXCUSES
        .iter()
        .any(|excuse| excuse.path == path && excuse.word == word)
}
