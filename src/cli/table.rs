//! Tables in Docker's look: upper-case headings, no borders, columns at least 10 wide and 3 apart.

use comfy_table::presets;

use super::text::printable;

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table; its headings are printed even so.
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, a cell a heading. Cells are escaped when printed.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| printable(cell.as_ref()).into_owned()).collect();
        debug_assert_eq!(cells.len(), self.headings.len(), "a cell for each heading");
        self.rows.push(cells);
    }

    /// The table as text, each line ended.
    pub fn render(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        table.set_header(&self.headings);
        table.add_rows(&self.rows);
        let widths = table.column_max_content_widths();
        for (column, width) in table.column_iter_mut().zip(widths) {
            // tabwriter's rule: a cell is its text and 3 spaces, and never narrower than 10.
            column.set_padding((0, 10_u16.saturating_sub(width).max(3)));
        }
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_dockers() {
        let mut table = Table::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
        table.row(["0123456789ab", "bridge", "bridge", "local"]);
        table.row(["0123456789ac", "日本", "a-longer-driver", "local"]);
        assert_eq!(
            table.render(),
            "NETWORK ID     NAME      DRIVER            SCOPE\n\
             0123456789ab   bridge    bridge            local\n\
             0123456789ac   日本      a-longer-driver   local\n"
        );
    }

    #[test]
    fn prints_headings_of_nothing_and_escapes() {
        let mut table = Table::new(&["SET", "TYPE"]);
        assert_eq!(table.render(), "SET       TYPE\n");
        table.row(["a\nb", "\u{1b}[1m"]);
        assert_eq!(table.render(), "SET       TYPE\na\\nb      \\x1b[1m\n");
    }
}
