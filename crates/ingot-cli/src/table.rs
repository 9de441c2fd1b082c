//! Plain text tables, and the other shapes in which people read what the server says.

/// A table with a heading; columns are as wide as their widest cell, and two spaces apart.
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each heading. Control characters are made visible: names and
    /// reasons were typed by somebody, and must not steer the reader's terminal.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().map(|cell| clean(&cell)).collect();
        debug_assert_eq!(row.len(), self.heading.len());
        self.rows.push(row);
    }

    /// The table, each line without trailing blanks, the last without a line end.
    pub(crate) fn render(&self) -> String {
        let mut widths: Vec<usize> = self.heading.iter().map(|cell| cell.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut out = String::new();
            for (width, cell) in widths.iter().zip(cells) {
                out.push_str(cell);
                let blanks = width - cell.chars().count() + 2;
                out.extend(std::iter::repeat_n(' ', blanks));
            }
            out.trim_end().to_owned()
        };
        let mut lines = vec![line(&mut self.heading.iter().copied())];
        lines.extend(self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
        lines.join("\n")
    }
}

/// The text with every control character replaced by a visible one.
pub(crate) fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// As [`clean`], but keeps the ends of lines.
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// The first 12 digits of a digest or commit, without its prefix; `-` for none.
pub(crate) fn short(text: Option<&str>) -> String {
    match text {
        None => "-".to_owned(),
        Some(text) => {
            let digits = text.rsplit(':').next().unwrap_or(text);
            digits.chars().take(12).collect()
        }
    }
}

/// A count of bytes for reading: exact below 10,000, else in binary units with one decimal.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 10_000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes as u128 * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_where_their_text_does() {
        let mut table = Table::new(&["PACKAGE", "V"]);
        table.row(["raw:a".into(), "1.4.2".into()]);
        table.row(["raw:longer-name".into(), String::new()]);
        assert_eq!(table.render(), "PACKAGE          V\nraw:a            1.4.2\nraw:longer-name");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(&["REASON"]);
        table.row(["\u{1b}[31mred\n".into()]);
        assert_eq!(table.render(), "REASON\n\u{fffd}[31mred\u{fffd}");
        assert_eq!(clean_lines("a\nb\u{7}"), "a\nb\u{fffd}");
    }

    #[test]
    fn digests_are_cut_and_their_prefix_left_out() {
        assert_eq!(short(Some(&format!("sha256:{}", "ab".repeat(32)))), "abababababab");
        assert_eq!(short(Some("abc1234")), "abc1234");
        assert_eq!(short(None), "-");
    }

    #[test]
    fn sizes_keep_to_their_unit() {
        for (bytes, expected) in [
            (0, "0 B"),
            (9_999, "9999 B"),
            (10_000, "9.7 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
