//! Rules on plain text: how long a file is, and words that must not be in it.

use crate::Finding;
use crate::tree::{File, Tree};

const LINES_MAX: usize = 500;

/// This file names the words that others must not hold.
const THIS_FOLDER: &str = "tests/house/";

/// Code of at most 500 lines a file: what is longer tells more than one thing.
pub(crate) fn short(tree: &Tree) -> Vec<Finding> {
    let code = tree.files().filter(|file| is_code(file));
    let long = code.filter(|file| file.text.lines().count() > LINES_MAX);
    long.map(|file| Finding {
        path: file.path.clone(),
        line: 0,
        what: format!(
            "{} lines; split it by what it tells, {LINES_MAX} at most",
            file.text.lines().count()
        ),
    })
    .collect()
}

/// No path that exists only on the machine of whoever wrote it.
pub(crate) fn no_machine_path(tree: &Tree) -> Vec<Finding> {
    find(
        tree,
        |_| true,
        &["/root/", "/home/", "/Users/", "/work/"],
        "is a path of one machine; derive it",
    )
}

/// No notes of things to come and no traces of debugging.
pub(crate) fn nothing_left_over(tree: &Tree) -> Vec<Finding> {
    find(
        tree,
        is_code,
        &["TODO", "FIXME", "XXX", "dbg!(", "todo!(", "unimplemented!("],
        "is left over; do it or drop it",
    )
}

/// Nothing sleeps and hopes: code waits for the event itself, with a limit. A span that has a name (how long a test watches
/// that nothing happens) or is computed (the rhythm of a probe) is no guess, so only literal ones are found.
pub(crate) fn waits_for_events(tree: &Tree) -> Vec<Finding> {
    let what = "waits blindly; wait for the event, or name what the span is for";
    let literal = [
        "sleep(Duration::",
        "sleep(time::",
        "sleep(std::time::",
        "sleep(core::time::",
    ];
    let mut findings = find(tree, |file| file.path.ends_with(".rs"), &literal, what);
    findings.extend(find(tree, File::is_script, &["sleep "], what));
    findings
}

fn is_code(file: &File) -> bool {
    file.path.ends_with(".rs") || file.is_script()
}

/// Findings for each line outside the house checks that holds one of the words.
fn find(tree: &Tree, wanted: impl Fn(&File) -> bool, words: &[&str], what: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree
        .files()
        .filter(|file| wanted(file) && !file.path.starts_with(THIS_FOLDER))
    {
        for (line, text) in file.lines() {
            let found = words.iter().find(|word| text.contains(*word));
            if let Some(word) = found {
                findings.push(Finding {
                    path: file.path.clone(),
                    line,
                    what: format!("{word:?} {what}"),
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found_and_a_short_one_is_not() {
        assert_eq!(short(&Tree::of("a.rs", &"\n".repeat(501))).len(), 1);
        assert_eq!(short(&Tree::of("a.rs", &"\n".repeat(500))), []);
        assert_eq!(short(&Tree::of("Cargo.lock", &"\n".repeat(501))), []);
    }

    #[test]
    fn words_are_found_with_their_line() {
        let findings = no_machine_path(&Tree::of("README.md", "one\nsee /root/pollux\n"));
        assert_eq!(
            findings
                .iter()
                .map(|finding| finding.line)
                .collect::<Vec<_>>(),
            [2]
        );
    }

    #[test]
    fn blind_waits_are_found_in_rust_and_scripts() {
        assert_eq!(
            waits_for_events(&Tree::of("a.rs", "thread::sleep(Duration::from_secs(1));")).len(),
            1
        );
        assert_eq!(
            waits_for_events(&Tree::of("run", "#!/bin/sh\nsleep 1\n")).len(),
            1
        );
        assert_eq!(
            waits_for_events(&Tree::of("a.rs", "thread::sleep(WATCH);")),
            []
        );
        assert_eq!(waits_for_events(&Tree::of("README.md", "sleep 1\n")), []);
    }
}
