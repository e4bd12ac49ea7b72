//! What is wrong with a config file, and how it is shown: file, line and column, the line itself, the
//! offending value underlined, and what to write instead.

use std::fmt::Write as _;
use std::ops::Range;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    /// Bytes of the file it is about.
    pub span: Range<usize>,
    /// The offending value and what is wrong with it.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Problems that are shown: who has more of them has made the same mistake again and again.
const SHOWN_MAX: usize = 100;

/// Shows `diagnostics` in the order of the file, as rustc would; of very many the first.
pub(crate) fn render(file: &str, text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut sorted: Vec<_> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.span.start);
    let mut out = String::new();
    for diagnostic in sorted.into_iter().take(SHOWN_MAX) {
        render_one(&mut out, file, text, diagnostic);
    }
    if diagnostics.len() > SHOWN_MAX {
        let _ = writeln!(out, "the first {SHOWN_MAX} are shown, mend them first");
    }
    let count = diagnostics.len();
    let plural = if count == 1 { "" } else { "s" };
    let _ = writeln!(out, "{file}: {count} problem{plural}, nothing was built");
    out
}

fn render_one(out: &mut String, file: &str, text: &str, diagnostic: &Diagnostic) {
    let Diagnostic {
        span,
        message,
        help,
    } = diagnostic;
    let place = Place::of(text, span);
    let (line, column, number) = (place.line, place.column, place.number.to_string());
    let margin = " ".repeat(number.len());
    let indent: String = line
        .chars()
        .take(column - 1)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let marks = "^".repeat(place.marks);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "error: {message}");
    let _ = writeln!(out, "{margin}--> {file}:{number}:{column}");
    let _ = writeln!(out, "{margin} |");
    let _ = writeln!(out, "{}", format!("{number} | {line}").trim_end());
    let _ = writeln!(out, "{margin} | {indent}{marks}");
    let _ = writeln!(out, "{margin} = help: {help}\n");
}

/// Where a span begins, as people count: lines and characters from 1.
struct Place<'a> {
    line: &'a str,
    number: usize,
    column: usize,
    marks: usize,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, span: &Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let (before, after) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |position| position + 1);
        let line_end = after
            .find('\n')
            .map_or(text.len(), |position| start + position);
        let end = floor_boundary(text, span.end.clamp(start, line_end));
        let count = |range| text.get(range).map_or(0, |part: &str| part.chars().count());
        Self {
            line: text
                .get(line_start..line_end)
                .unwrap_or("")
                .trim_end_matches('\r'),
            number: before.matches('\n').count() + 1,
            column: count(line_start..start) + 1,
            marks: count(start..end).max(1),
        }
    }
}

fn floor_boundary(text: &str, position: usize) -> usize {
    (0..=position.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

/// The one of `known` that `word` was most likely meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate));
    let tolerated = word.chars().count().div_ceil(3).max(1);
    ranked
        .min()
        .filter(|&(distance, _)| distance <= tolerated)
        .map(|(_, candidate)| candidate)
}

/// Edits from one word to the other (Damerau-Levenshtein, optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let cell = |back: usize, column: usize| {
                rows.get(rows.len() - back)
                    .and_then(|row| row.get(column))
                    .copied()
            };
            let substituted = cell(1, j).unwrap_or(usize::MAX) + usize::from(x != y);
            let removed = cell(1, j + 1).unwrap_or(usize::MAX) + 1;
            let added = row.last().copied().unwrap_or(usize::MAX) + 1;
            let mut best = substituted.min(removed).min(added);
            let is_swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if is_swapped && let Some(swapped) = cell(2, j - 1) {
                best = best.min(swapped + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("weight", "weight"), 0);
        assert_eq!(distance("wieght", "weight"), 1);
        assert_eq!(distance("", "tcp"), 3);
        assert_eq!(distance("fallback", "fail-back"), 2);
    }

    #[test]
    fn nearest_guesses_only_what_is_near() {
        let known = ["name", "number", "priority"];
        assert_eq!(nearest("prioritiy", known), Some("priority"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn of_very_many_the_first_are_shown() {
        let line = |number: usize| Diagnostic {
            span: 2 * number..2 * number,
            message: "wrong".into(),
            help: "right".into(),
        };
        let diagnostics: Vec<_> = (0..1000).map(line).collect();
        let told = render("f", &"x\n".repeat(1000), &diagnostics);
        assert_eq!(told.matches("error: ").count(), SHOWN_MAX);
        assert!(told.contains("--> f:100:1") && told.contains("f: 1000 problems"));
    }

    #[test]
    fn places_are_counted_in_characters() {
        let text = "a = 1\nü = \"é\" # x\n";
        let place = Place::of(text, &(11..15));
        assert_eq!((place.number, place.column, place.marks), (2, 5, 3));
        let place = Place::of(text, &(500..600));
        assert_eq!((place.number, place.column), (3, 1));
    }
}
