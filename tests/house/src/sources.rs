//! Rules on Rust sources, read line by line: what they check stands on lines of its own once rustfmt has been there.

use crate::Finding;
use crate::tree::{File, Tree};

/// What clippy forbids on the box, and no code outside tests may silence.
const KEPT: [&str; 5] = [
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::indexing_slicing",
    "unsafe_code",
];

/// Runs on no box, though it lies beside what does: a wrong index is a mistake of its own, and should end it.
const SIMULATOR: &str = "firmware/sim/";

/// The pure crates: the compiler keeps sockets, clocks and threads out of them.
const PURE: [&str; 2] = ["firmware/proto/src/lib.rs", "firmware/plan/src/lib.rs"];

/// Every module opens with what it is for; that of tests is plain from its name.
pub(crate) fn module_docs(tree: &Tree) -> Vec<Finding> {
    let bare = tree
        .ending(".rs")
        .filter(|file| !file.text.starts_with("//!") && !is_test(tree, file));
    bare.map(|file| {
        finding(
            file,
            1,
            "opens without `//!`; say in two or three sentences what it is for",
        )
    })
    .collect()
}

/// Lints of the box are silenced for test modules only.
pub(crate) fn lints_kept(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree
        .ending(".rs")
        .filter(|file| file.path.starts_with("firmware/") && !is_test(tree, file))
        .filter(|file| !file.path.starts_with(SIMULATOR))
    {
        let mut under_test = false;
        for (line, text) in file.lines() {
            // The attribute of a test module, whichever way round, is followed by its other attribute or the module.
            under_test |= text.contains("cfg(test)");
            let silences = text.contains("allow(") && KEPT.iter().any(|lint| text.contains(lint));
            if silences && !under_test && !next_is_test(file, line) {
                findings.push(finding(
                    file,
                    line,
                    "silences a lint outside tests; return a typed error instead",
                ));
            }
        }
    }
    findings
}

fn next_is_test(file: &File, line: usize) -> bool {
    file.text
        .lines()
        .nth(line)
        .is_some_and(|next| next.contains("cfg(test)"))
}

/// A file that is compiled for tests only: by its name, or because its parent says so.
fn is_test(tree: &Tree, file: &File) -> bool {
    let Some((folder, name)) = file.path.rsplit_once('/') else {
        return false;
    };
    let declared = format!("#[cfg(test)]\nmod {};", name.trim_end_matches(".rs"));
    let mut siblings = tree.files().filter(|other| other.path.starts_with(folder));
    folder.ends_with("/tests")
        || name.ends_with("tests.rs")
        || siblings.any(|sibling| sibling.text.contains(&declared))
}

/// The pure crates say `no_std`.
pub(crate) fn no_std(tree: &Tree) -> Vec<Finding> {
    let says = |path: &&str| {
        tree.text(path)
            .is_some_and(|text| text.lines().any(|line| line == "#![no_std]"))
    };
    let lacking = PURE.iter().filter(|path| !says(path));
    lacking
        .map(|path| Finding {
            path: (*path).into(),
            line: 0,
            what: "must say `#![no_std]`: this crate does no I/O and reads no clock".into(),
        })
        .collect()
}

fn finding(file: &File, line: usize, what: &str) -> Finding {
    Finding {
        path: file.path.clone(),
        line,
        what: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_docs_is_found() {
        assert_eq!(module_docs(&Tree::of("a.rs", "fn main() {}\n")).len(), 1);
        assert_eq!(module_docs(&Tree::of("a.rs", "//! What for.\n")), []);
    }

    #[test]
    fn a_silenced_lint_is_found_outside_tests_only() {
        let silenced = "#[allow(clippy::unwrap_used)]\nfn f() {}\n";
        assert_eq!(lints_kept(&Tree::of("firmware/a.rs", silenced)).len(), 1);
        assert_eq!(lints_kept(&Tree::of("qemu/a.rs", silenced)), []);
        let test = "#[cfg(test)]\n#[allow(clippy::unwrap_used)]\nmod tests {}\n";
        assert_eq!(lints_kept(&Tree::of("firmware/a.rs", test)), []);
        assert_eq!(lints_kept(&Tree::of("firmware/a/tests.rs", silenced)), []);
        let test = "#[allow(clippy::unwrap_used)]\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(lints_kept(&Tree::of("firmware/a.rs", test)), []);
    }

    #[test]
    fn a_pure_crate_with_std_is_found() {
        assert_eq!(
            no_std(&Tree::of(
                "firmware/plan/src/lib.rs",
                "//! Plan.\n#![no_std]\n"
            ))
            .len(),
            1
        );
    }
}
