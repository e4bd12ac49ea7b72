//! Rules: statements that are carried out from left to right until one of them does not apply or decides.

use super::{Selector, Statement, Test, Verdict};
use alloc::string::String;
use alloc::vec::Vec;

/// One line of a chain. A test that fails ends it, and the packet goes on to the next rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// In this order. A decision (`Statement::Verdict` and its like) is the last one.
    pub statements: Vec<Statement>,
    /// Shown in listings and in the words of an error: what line of the config it comes from. At most 127 bytes.
    pub comment: Option<String>,
}

impl Rule {
    /// A rule without statements, known by this comment.
    #[must_use]
    pub fn about(comment: impl Into<String>) -> Self {
        Self {
            statements: Vec::new(),
            comment: Some(comment.into()),
        }
    }

    /// Goes on only where `selector` passes `test`.
    #[must_use]
    pub fn when(self, selector: impl Into<Selector>, test: Test) -> Self {
        self.and(Statement::Match(selector.into(), test))
    }

    /// Has one more statement.
    #[must_use]
    pub fn and(mut self, statement: Statement) -> Self {
        self.statements.push(statement);
        self
    }

    /// Ends with a verdict.
    #[must_use]
    pub fn then(self, verdict: Verdict) -> Self {
        self.and(Statement::Verdict(verdict))
    }
}
