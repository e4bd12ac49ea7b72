//! The picture of the comparison: for each fault a panel, for each subject a bar from its best run to its worst and a dot at
//! the median, on a logarithmic scale, because fast and slow are three powers of ten apart. Plain SVG, readable on light and
//! dark pages.

use crate::report::Row;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 160.0;
const TOP: f64 = 34.0;
const ROW_HEIGHT: f64 = 22.0;
const PANEL_GAP: f64 = 56.0;
/// The scale, in milliseconds.
const SCALE_MS: (f64, f64) = (1.0, 10_000.0);
const OURS: &str = "#1f5f9f";
const OTHERS: &str = "#6a6a6a";

/// The panels: fault and heading.
const PANELS: [(&str, &str); 3] = [
    ("power-cut", "Power cut: longest time without an answer"),
    (
        "handover",
        "Planned handover: longest time without an answer",
    ),
    (
        "load",
        "Nothing but load: longest time without an answer, and changes of owner",
    ),
];

/// The SVG text; faults of which nothing was measured have no panel.
pub(crate) fn to_svg(rows: &[Row]) -> String {
    let panels = PANELS.map(|(fault, heading)| (heading, bars(rows, fault)));
    let shown = || panels.iter().filter(|(_, bars)| !bars.is_empty());
    let heights = shown().map(|(_, bars)| panel_height(bars.len()));
    let height = heights.sum::<f64>() + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for (heading, bars) in shown() {
        panel(&mut svg, top, heading, bars);
        top += panel_height(bars.len());
    }
    svg.push_str("</svg>\n");
    svg
}

/// The rows of a fault, each with what is to be said beside its median.
fn bars<'a>(rows: &'a [Row], fault: &str) -> Vec<(&'a Row, String)> {
    let changes = |row: &Row| {
        let of_row = |other: &&Row| other.is(fault, "changes") && other.title() == row.title();
        let (_, median, _) = rows.iter().find(of_row)?.spread();
        Some(format!(", {median:.0} changes"))
    };
    rows.iter()
        .filter(|row| row.is(fault, "ms"))
        .map(|row| (row, changes(row).unwrap_or_default()))
        .collect()
}

fn panel_height(rows: usize) -> f64 {
    // A handful of rows: exact.
    f64::from(u16::try_from(rows).unwrap_or(u16::MAX)) * ROW_HEIGHT + PANEL_GAP
}

fn x(ms: f64) -> f64 {
    let (from, to) = SCALE_MS;
    let share = (ms.clamp(from, to) / from).log10() / (to / from).log10();
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn panel(svg: &mut String, top: f64, heading: &str, bars: &[(&Row, String)]) {
    let base = top + panel_height(bars.len()) - PANEL_GAP + TOP;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"15\" fill=\"#222222\">{heading}</text>",
        top + 20.0
    );
    for (ms, label) in [
        (1.0, "1 ms"),
        (10.0, "10 ms"),
        (100.0, "100 ms"),
        (1000.0, "1 s"),
        (10_000.0, "10 s"),
    ] {
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {:.1}V{base:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">{label}</text>",
            top + TOP,
            base + 15.0,
            x = x(ms)
        );
    }
    let mut y = top + TOP + ROW_HEIGHT / 2.0;
    for (row, note) in bars {
        bar(svg, y, row, note);
        y += ROW_HEIGHT;
    }
}

fn bar(svg: &mut String, y: f64, row: &Row, note: &str) {
    let colour = if row.is_ours() { OURS } else { OTHERS };
    let (min, median, max) = row.spread();
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{text_y:.1}\" text-anchor=\"end\" fill=\"{colour}\">{}</text>\n\
         <path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"{colour}\" stroke-width=\"5\" stroke-opacity=\"0.4\"/>\n\
         <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"/>\n\
         <text x=\"{:.1}\" y=\"{text_y:.1}\" fill=\"{colour}\">{median:.0} ms{note}</text>",
        LEFT - 10.0,
        row.title(),
        x(min),
        x(max),
        x(median),
        x(max) + 10.0,
        text_y = y + 4.0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_panel_shows_its_rows_and_the_scale_is_logarithmic() {
        let row = |name, fault, unit| {
            Row::new(name, "1 s", unit, vec![90.0, 100.0, 200.0]).map(|row| row.fault(fault))
        };
        let rows: Vec<_> = [
            row("pollux", "power-cut", "ms"),
            row("ucarp", "load", "ms"),
            row("ucarp", "load", "changes"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let svg = to_svg(&rows);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains(">100 ms</text>") && svg.contains(">100 ms, 100 changes</text>"));
        assert!(svg.contains("Power cut") && !svg.contains("Planned handover"));
        assert_eq!(svg.matches(OURS).count(), 4);
        assert!((x(100.0) - f64::midpoint(x(1.0), x(10_000.0))).abs() < 0.001);
    }
}
