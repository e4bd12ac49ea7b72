//! Measured values as a table for people and as JSON for machines. Both show the same: medians, with their spread.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// What was measured of one subject.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    subject: &'static str,
    /// The setting it was measured in.
    profile: &'static str,
    /// What was done to it; `none` where nothing was broken.
    fault: &'static str,
    unit: &'static str,
    runs: usize,
    median: f64,
    min: f64,
    max: f64,
    /// The limit this number is held to, for the reader; it is not judged here.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    /// The same for what should be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    least: Option<f64>,
}

impl Row {
    /// From all values of a subject; `None` without any.
    pub(crate) fn new(
        subject: &'static str,
        profile: &'static str,
        unit: &'static str,
        mut values: Vec<f64>,
    ) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let median = median(&values)?;
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self {
            subject,
            profile,
            fault: "none",
            unit,
            runs: values.len(),
            median,
            min,
            max,
            limit: None,
            least: None,
        })
    }

    /// Names what was done to it.
    pub(crate) fn fault(mut self, fault: &'static str) -> Self {
        self.fault = fault;
        self
    }

    /// Whether it tells of this fault, in this unit.
    pub(crate) fn is(&self, fault: &str, unit: &str) -> bool {
        (self.fault, self.unit) == (fault, unit)
    }

    /// Whether it tells of Pollux.
    pub(crate) fn is_ours(&self) -> bool {
        self.subject == "pollux"
    }

    /// Subject and profile.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.subject, self.profile)
    }

    /// Least, median and greatest.
    pub(crate) fn spread(&self) -> (f64, f64, f64) {
        (self.min, self.median, self.max)
    }

    /// Names the number that it should not exceed.
    pub(crate) fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Names the number that it should reach.
    pub(crate) fn least(mut self, least: f64) -> Self {
        self.least = Some(least);
        self
    }

    /// Whether its median is on the wrong side of the number that it is held to.
    pub(crate) fn is_missed(&self) -> bool {
        self.limit.is_some_and(|limit| self.median > limit)
            || self.least.is_some_and(|least| self.median < least)
    }

    /// What it is held to, for the table.
    fn bound(&self) -> String {
        let limit = self.limit.map(|limit| format!("<= {}", number(limit)));
        let least = self.least.map(|least| format!(">= {}", number(least)));
        limit.or(least).unwrap_or_default()
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (title, median, bound) = (self.title(), number(self.median), self.bound());
        write!(
            f,
            "{title}, {}: {median} {}, wanted {bound}",
            self.fault, self.unit
        )
    }
}

/// As many digits as tell something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size == size.round() || size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle of sorted values, or the mean of the two middle ones.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// All rows of a benchmark.
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Rows that have values, in this order.
    pub(crate) fn new(rows: impl IntoIterator<Item = Option<Row>>) -> Self {
        Self {
            rows: rows.into_iter().flatten().collect(),
        }
    }

    /// All rows.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!(
            "{:<28} {:<16} {:<14} {:>10} {:>10} {:>10} {:>5} {:<16} {:>11}",
            "subject", "profile", "fault", "median", "min", "max", "runs", "unit", "limit"
        );
        for row in &self.rows {
            println!(
                "{:<28} {:<16} {:<14} {:>10} {:>10} {:>10} {:>5} {:<16} {:>11}",
                row.subject,
                row.profile,
                row.fault,
                number(row.median),
                number(row.min),
                number(row.max),
                row.runs,
                row.unit,
                row.bound()
            );
        }
    }

    /// Writes the rows as a JSON list.
    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        let folder = out.parent().context("--out must name a file")?;
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let json = serde_json::to_string_pretty(&self.rows)?;
        std::fs::write(out, json + "\n").with_context(|| format!("writing {}", out.display()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_middles() {
        let row = |values: &[f64]| Row::new("s", "p", "ms", values.to_vec());
        assert!((row(&[3.0, 1.0, 2.0]).unwrap().median - 2.0).abs() < f64::EPSILON);
        assert!((row(&[4.0, 1.0]).unwrap().median - 2.5).abs() < f64::EPSILON);
        assert!(row(&[]).is_none());
    }

    #[test]
    fn what_is_missed_is_told_with_what_was_wanted() {
        let row = |value| Row::new("pollux", "default", "cpu_s", vec![value]).unwrap();
        let missed = row(2.345).limit(2.0);
        assert_eq!(
            missed.to_string(),
            "pollux default, none: 2.35 cpu_s, wanted <= 2"
        );
        assert!(missed.is_missed() && row(2.0).least(2.5).is_missed());
        assert!(!row(2.0).limit(2.0).is_missed() && !row(2.0).least(1.5).is_missed());
    }

    #[test]
    fn numbers_have_as_many_digits_as_tell_something() {
        let shown = [0.123, 7.0, 12.34, 51861.4].map(number);
        assert_eq!(shown, ["0.12", "7", "12.3", "51861"]);
    }

    #[test]
    fn the_json_names_what_readers_expect() {
        let row = Row::new("init", "release", "bytes", vec![7.0]).unwrap();
        let json = serde_json::to_string(&row).unwrap();
        let expected = r#"{"subject":"init","profile":"release","fault":"none","unit":"bytes","runs":1,"median":7.0,"min":7.0,"max":7.0}"#;
        assert_eq!(json, expected);
    }
}
