//! Aligned text tables of at most 80 columns: columns are as wide as their widest cell, and the last one
//! is wrapped at blanks into what is left.

/// Columns of the terminal.
pub const COLUMNS: usize = 80;

/// Blanks between two columns.
const GAP: usize = 2;

/// The last column is never narrower than this, even if the line grows past the terminal.
const LAST_COLUMNS_MIN: usize = 16;

/// Rows of cells under a header.
pub struct Table {
    indent: usize,
    has_heads: bool,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table under these column heads, shifted right by `indent`.
    pub fn new(indent: usize, heads: &[&str]) -> Self {
        let heads = heads.iter().map(|head| (*head).into()).collect();
        Table {
            indent,
            has_heads: true,
            rows: vec![heads],
        }
    }

    /// A table without column heads.
    pub fn bare(indent: usize) -> Self {
        Table {
            indent,
            has_heads: false,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The table as lines, each ended by `\n`; nothing where there are only heads.
    pub fn render(&self) -> String {
        if self.has_heads && self.rows.len() == 1 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        let mut out = String::new();
        for row in &self.rows {
            self.render_row(row, &widths, &mut out);
        }
        out
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    fn render_row(&self, row: &[String], widths: &[usize], out: &mut String) {
        let Some((last, before)) = row.split_last() else {
            return;
        };
        let mut line = " ".repeat(self.indent);
        for (cell, width) in before.iter().zip(widths) {
            line.push_str(cell);
            let fill = (width + GAP).saturating_sub(cell.chars().count());
            line.extend(core::iter::repeat_n(' ', fill));
        }
        let start = line.chars().count();
        let room = COLUMNS.saturating_sub(start).max(LAST_COLUMNS_MIN);
        for part in wrap(last, room) {
            line.push_str(part);
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(start);
        }
    }
}

/// Parts of at most `columns` characters, broken at blanks where there are any; at least one part.
pub fn wrap(text: &str, columns: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((end, _)) = rest.char_indices().nth(columns) {
        let head = rest.get(..end).unwrap_or(rest);
        let end = head.rfind(' ').filter(|blank| *blank > 0).unwrap_or(end);
        let (part, more) = rest.split_at(end);
        parts.push(part);
        rest = more.trim_start();
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(1, &["worker", "pid", "state"]);
        table.row(["cluster".into(), "7".into(), "up 3 s".into()]);
        table.row(["control".into(), "12".into(), String::new()]);
        assert_eq!(
            table.render(),
            " worker   pid  state\n cluster  7    up 3 s\n control  12\n"
        );
    }

    #[test]
    fn the_last_column_wraps_into_80() {
        let mut table = Table::bare(0);
        table.row(["reason".into(), "word ".repeat(40)]);
        let text = table.render();
        assert!(text.lines().count() > 2);
        assert!(
            text.lines().all(|line| line.chars().count() <= COLUMNS),
            "{text}"
        );
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("        word"))
        );
    }

    #[test]
    fn heads_alone_are_not_shown() {
        assert_eq!(Table::new(1, &["worker"]).render(), "");
    }

    #[test]
    fn a_word_without_blanks_is_cut() {
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("äöüß", 4), ["äöüß"]);
    }
}
