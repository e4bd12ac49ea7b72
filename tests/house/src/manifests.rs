//! Rules on `Cargo.toml`: every crate takes the lints of the workspace. firmware/sys alone has its own table, for the unsafe
//! code it may hold; that table must name the same lints, and may name more.

use crate::Finding;
use crate::tree::Tree;

const OWN_LINTS: &str = "firmware/sys/Cargo.toml";

/// Every crate says `[lints] workspace = true`; sys repeats the workspace's lints, unsafe code apart.
pub(crate) fn lints_inherited(tree: &Tree) -> Vec<Finding> {
    let shared = lints(tree.text("Cargo.toml").unwrap_or_default());
    let mut findings = Vec::new();
    for file in tree.ending("/Cargo.toml") {
        let kept = match file.path.as_str() {
            OWN_LINTS => holds_all(&lints(&file.text), &shared),
            _ => file.text.contains("[lints]\nworkspace = true\n"),
        };
        if !kept {
            let what =
                "does not keep the workspace's lints; write `[lints]` and `workspace = true`"
                    .into();
            findings.push(Finding {
                path: file.path.clone(),
                line: 0,
                what,
            });
        }
    }
    findings
}

fn holds_all(own: &[&str], shared: &[&str]) -> bool {
    shared.iter().all(|lint| own.contains(lint))
}

/// The lines of the lint tables, but for the one on unsafe code.
fn lints(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[lints.") || line.starts_with("[workspace.lints.");
        } else if inside && !line.is_empty() && !line.starts_with("unsafe_code") {
            found.push(line);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_found() {
        assert_eq!(
            lints_inherited(&Tree::of("a/Cargo.toml", "[package]\n")).len(),
            1
        );
        assert_eq!(
            lints_inherited(&Tree::of("a/Cargo.toml", "[lints]\nworkspace = true\n")),
            []
        );
    }

    #[test]
    fn lints_are_read_from_their_tables_only() {
        let manifest = "[lints.rust]\nunsafe_code = \"warn\"\nmissing_docs = \"warn\"\n\n[dependencies]\nlog = \"1\"\n";
        assert_eq!(lints(manifest), ["missing_docs = \"warn\""]);
    }
}
