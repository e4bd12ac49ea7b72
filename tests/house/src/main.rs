//! The house rules that neither compiler nor clippy checks: run it in the root of the checkout (`tests/run house`).
//! Each rule is one function from the tree to its findings; it reads files and `cargo metadata`, and changes nothing.

mod dependencies;
mod documents;
mod manifests;
mod sources;
mod text;
mod tree;

use anyhow::Result;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use tree::Tree;

/// One breach of a rule: where, what, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1; 0 when the whole file is meant.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

type Rule = (&'static str, fn(&Tree) -> Vec<Finding>);

const RULES: [Rule; 11] = [
    ("files are short", text::short),
    ("no path of one machine", text::no_machine_path),
    ("nothing left for later", text::nothing_left_over),
    ("waits wait for events", text::waits_for_events),
    ("modules say what they are for", sources::module_docs),
    ("lints are silenced in tests only", sources::lints_kept),
    ("proto and plan are no_std", sources::no_std),
    ("every crate keeps the lints", manifests::lints_inherited),
    ("links in documents exist", documents::links),
    ("sources named in documents exist", documents::sources),
    ("tests named in documents exist", documents::named_tests),
];

fn main() -> Result<ExitCode> {
    let tree = Tree::read(Path::new("."))?;
    let mut broken = 0;
    for (name, rule) in RULES {
        broken += report(name, &rule(&tree));
    }
    let packages = dependencies::packages()?;
    for (name, rule) in dependencies::RULES {
        broken += report(name, &rule(&packages));
    }
    let count = RULES.len() + dependencies::RULES.len();
    println!("house: {count} rules, {broken} broken");
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints a rule's findings and gives 1 when there are any.
fn report(name: &str, findings: &[Finding]) -> usize {
    println!(
        "{} {name}",
        if findings.is_empty() {
            "  kept  "
        } else {
            "  BROKEN"
        }
    );
    for finding in findings {
        println!("    {finding}");
    }
    usize::from(!findings.is_empty())
}
