//! Rules on documents: what they point at is there. A link is read from the folder of its document; a source file
//! named in backticks may leave out the first folders of its path (`proto/src/failover.rs`), and may name several
//! in braces (`proto/src/{failover,view}.rs`). Tests are named as arguments of `tests/run`, or behind the word scenario.

use crate::Finding;
use crate::tree::Tree;

/// Every link to a file or folder of the checkout leads somewhere.
pub(crate) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, line, text) in lines(tree) {
        for target in between(text, "](", ")") {
            let (target, _heading) = target.split_once('#').unwrap_or((target, ""));
            if !target.contains("://") && !target.is_empty() && !tree.has(&resolved(path, target)) {
                findings.push(finding(path, line, target, "a link to nothing; mend it"));
            }
        }
    }
    findings
}

/// Every Rust source that a document names is there.
pub(crate) fn sources(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, line, text) in lines(tree) {
        for name in between(text, "`", "`").flat_map(expanded) {
            let is_source =
                name.contains('/') && name.ends_with(".rs") && !name.contains([' ', '*']);
            let ending = format!("/{name}");
            let there = |known: &str| known == name || known.ends_with(&ending);
            if is_source && !tree.files().any(|file| there(&file.path)) {
                findings.push(finding(
                    path,
                    line,
                    &name,
                    "no such source; name what is there",
                ));
            }
        }
    }
    findings
}

/// Every part and every scenario that a document names is one of `tests/run`.
pub(crate) fn named_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, line, text) in lines(tree) {
        let commands = between(text, "`", "`").filter_map(|code| code.strip_prefix("tests/run "));
        let arguments = commands.flat_map(str::split_whitespace);
        let arguments = arguments.filter(|word| !word.starts_with('-'));
        for name in arguments.chain(scenarios_in(text)) {
            if !is_test(tree, name) {
                let what = "neither a part nor a scenario; name what `tests/run --list` lists";
                findings.push(finding(path, line, name, what));
            }
        }
    }
    findings
}

/// ``scenario `a` ``, ``scenarios `a`, `b` ``.
fn scenarios_in(text: &str) -> impl Iterator<Item = &str> {
    text.split("scenario").skip(1).flat_map(|behind| {
        let mut rest = behind.strip_prefix('s').unwrap_or(behind);
        core::iter::from_fn(move || {
            let opened = rest.strip_prefix(',').unwrap_or(rest);
            let (name, behind) = opened.strip_prefix(" `")?.split_once('`')?;
            rest = behind;
            Some(name)
        })
    })
}

fn is_test(tree: &Tree, name: &str) -> bool {
    let scenarios = tree.text("qemu/src/scenarios.rs").unwrap_or_default();
    let parts = tree.text("tests/lib/parts.sh").unwrap_or_default();
    let (scenario, part) = (format!("\"{name}\","), format!("[{name}]="));
    let mut lines = scenarios.lines().map(str::trim);
    lines.any(|line| line == scenario) || parts.lines().any(|line| line.trim().starts_with(&part))
}

/// The lines of all documents: path, number, text.
fn lines(tree: &Tree) -> impl Iterator<Item = (&str, usize, &str)> {
    tree.ending(".md").flat_map(|file| {
        file.lines()
            .map(|(line, text)| (file.path.as_str(), line, text))
    })
}

/// What stands between such marks.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (_, after) = rest.split_once(open)?;
        let (inside, behind) = after.split_once(close)?;
        rest = behind;
        Some(inside)
    })
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn expanded(name: &str) -> Vec<String> {
    let group = name.split_once('{');
    let group = group.and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match group {
        Some((head, (names, tail))) => {
            let each = names.split(',');
            each.map(|one| format!("{head}{}{tail}", one.trim()))
                .collect()
        }
        None => vec![name.into()],
    }
}

/// The path from the root of a target named in `document`.
fn resolved(document: &str, target: &str) -> String {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn finding(path: &str, line: usize, target: &str, what: &str) -> Finding {
    Finding {
        path: path.into(),
        line,
        what: format!("{target}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_are_read_from_their_document() {
        let text = "[a](https://x.org/none)\n[b](../board) and [c](README.md#top)\n[d](none.md)\n![e](../x.png) [f](#g)\n";
        let tree = Tree::of_all(&[("qemu/README.md", text), ("board/lib.sh", "")]);
        assert_eq!(lines_of(&links(&tree)), [3, 4]);
    }

    #[test]
    fn sources_may_be_named_by_their_end_and_in_braces() {
        let text =
            "`proto/src/a.rs`, `a.rs`, `x/none.rs`\n`src/{a,b}.rs`\n`src/{a, c}.rs` `tests/*.rs`\n";
        let tree = Tree::of_all(&[
            ("ARCHITECTURE.md", text),
            ("firmware/proto/src/a.rs", ""),
            ("firmware/proto/src/b.rs", ""),
        ]);
        assert_eq!(lines_of(&sources(&tree)), [1, 3]);
    }

    #[test]
    fn tests_are_named_as_they_are() {
        let text = "`tests/run sim power-cut`, `tests/run --list`\n`tests/run power cut`\n\
                    scenarios `power-cut`, `gone`; `other`; scenario `gone`\n";
        let tree = Tree::of_all(&[
            ("README.md", text),
            (
                "qemu/src/scenarios.rs",
                "    scenario(\n        \"power-cut\",\n",
            ),
            ("tests/lib/parts.sh", "  [sim]=\"lives\"\n"),
        ]);
        assert_eq!(lines_of(&named_tests(&tree)), [2, 2, 3, 3]);
    }
}
