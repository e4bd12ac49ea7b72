//! Measured values as a table for people and as JSON for machines. Both show the same: medians, with their spread.

use anyhow::{Context, Result};
use serde::Serialize;
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
            "{:<28} {:<16} {:<10} {:>10} {:>10} {:>10} {:>5} {:<16} {:>9}",
            "subject", "profile", "fault", "median", "min", "max", "runs", "unit", "limit"
        );
        for row in &self.rows {
            let limit = row
                .limit
                .map_or_else(String::new, |limit| format!("{limit:.0}"));
            println!(
                "{:<28} {:<16} {:<10} {:>10.0} {:>10.0} {:>10.0} {:>5} {:<16} {limit:>9}",
                row.subject,
                row.profile,
                row.fault,
                row.median,
                row.min,
                row.max,
                row.runs,
                row.unit
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
    fn the_json_names_what_readers_expect() {
        let row = Row::new("init", "release", "bytes", vec![7.0]).unwrap();
        let json = serde_json::to_string(&row).unwrap();
        let expected = r#"{"subject":"init","profile":"release","fault":"none","unit":"bytes","runs":1,"median":7.0,"min":7.0,"max":7.0}"#;
        assert_eq!(json, expected);
    }
}
