//! Tables in Docker's look: upper-case headings, no borders, columns at least 10 wide and 3 apart.

use std::collections::BTreeSet;

use comfy_table::presets;

use super::text::{printable, shorten};

/// Narrowest column that a cut leaves.
const NARROWEST: usize = 12;

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    marked: BTreeSet<usize>,
    flexible: Vec<usize>,
}

impl Table {
    /// An empty table; its headings are printed even so.
    pub fn new<T: AsRef<str>>(headings: &[T]) -> Self {
        let headings = headings.iter().map(|heading| printable(heading.as_ref()).into_owned()).collect();
        Self { headings, rows: Vec::new(), marked: BTreeSet::new(), flexible: Vec::new() }
    }

    /// Adds a row, a cell a heading. Cells are escaped when printed.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| printable(cell.as_ref()).into_owned()).collect();
        debug_assert!(cells.len() >= self.headings.len(), "a cell for each heading");
        self.rows.push(cells);
    }

    /// Lets the last row stand out where there is colour.
    pub fn mark(&mut self) {
        self.marked.extend(self.rows.len().checked_sub(1));
    }

    /// The same with columns, by index, that are cut where the whole is too wide.
    #[must_use]
    pub fn flexible(mut self, columns: &[usize]) -> Self {
        self.flexible = columns.to_vec();
        self
    }

    /// The widest cell of each column, its heading included.
    pub fn widest(&self) -> Vec<String> {
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widest = |(column, heading)| cells(column).chain([heading]).max_by_key(|cell| display_width(cell)).cloned();
        self.headings.iter().enumerate().filter_map(widest).collect()
    }

    /// The table as text, each line ended; at most `width` columns wide, if its flexible ones can be cut so far.
    pub fn render(&self, width: Option<usize>, colour: bool) -> String {
        let mut text = draw(&self.headings, &self.rows);
        let too_wide = |text: &str| {
            let widest = text.lines().map(display_width).max().unwrap_or_default();
            width.map_or(0, |width| widest.saturating_sub(width))
        };
        let (mut rows, mut over) = (self.rows.clone(), too_wide(&text));
        for &column in &self.flexible {
            if over == 0 {
                break;
            }
            let widest = rows.iter().map(|row| display_width(&row[column])).max().unwrap_or_default();
            let left = widest.saturating_sub(over).max(NARROWEST);
            for row in &mut rows {
                row[column] = shorten(&row[column], left).into_owned();
            }
            text = draw(&self.headings, &rows);
            over = too_wide(&text);
        }
        if colour { self.coloured(&text) } else { text }
    }

    /// Marked rows in red. The first line is the headings'.
    fn coloured(&self, text: &str) -> String {
        let mut lines = String::with_capacity(text.len() + 10 * self.marked.len());
        for (index, line) in text.lines().enumerate() {
            let marked = index.checked_sub(1).is_some_and(|row| self.marked.contains(&row));
            let (on, off) = if marked { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
            lines.extend([on, line, off, "\n"]);
        }
        lines
    }
}

fn draw(headings: &[String], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_header(headings);
    table.add_rows(rows);
    let widths = table.column_max_content_widths();
    for (column, width) in table.column_iter_mut().zip(widths) {
        // tabwriter's rule: a cell is its text and 3 spaces, and never narrower than 10.
        column.set_padding((0, 10_u16.saturating_sub(width).max(3)));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// Columns that a line takes: the letters of East Asia take two.
fn display_width(line: &str) -> usize {
    let is_wide = |c: char| matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    line.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
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
            table.render(None, false),
            "NETWORK ID     NAME      DRIVER            SCOPE\n\
             0123456789ab   bridge    bridge            local\n\
             0123456789ac   日本      a-longer-driver   local\n"
        );
    }

    #[test]
    fn its_widest_cells_keep_later_rows_in_place() {
        let mut table = Table::new(&["TIME", "SOURCE"]);
        table.row(["now", "2001:db8:aaaa:bbbb::1"]);
        table.row(["then and there", "192.0.2.1"]);
        assert_eq!(table.widest(), ["then and there", "2001:db8:aaaa:bbbb::1"]);
        assert_eq!(Table::new(&["TIME"]).widest(), ["TIME"]);
    }

    #[test]
    fn prints_headings_of_nothing_and_escapes() {
        let mut table = Table::new(&["SET", "TYPE"]);
        assert_eq!(table.render(None, false), "SET       TYPE\n");
        table.row(["a\nb", "\u{1b}[1m"]);
        assert_eq!(table.render(None, false), "SET       TYPE\na\\nb      \\x1b[1m\n");
    }

    #[test]
    fn cuts_what_may_be_cut_where_it_is_narrow() {
        let mut table = Table::new(&["CONTAINER", "FROM", "RULES"]);
        table.row(["a-container-with-a-long-name", "everybody who is anybody", "1"]);
        table.mark();
        table.row(["b", "x", "2"]);
        let table = table.flexible(&[1, 0]);
        assert_eq!(
            table.render(Some(60), true),
            "CONTAINER                      FROM                    RULES\n\
             \u{1b}[31ma-container-with-a-long-name   everybody who is any…   1\u{1b}[0m\n\
             b                              x                       2\n"
        );
        assert!(table.render(Some(50), false).lines().all(|line| line.len() <= 54));
        assert!(table.render(Some(10), false).contains("a-container…"));
        assert!(table.render(None, false).contains("a-container-with-a-long-name   everybody who is anybody"));
    }
}
