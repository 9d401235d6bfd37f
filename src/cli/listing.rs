//! Lists on their way to stdout, in whichever of the shapes was asked for.

use serde_json::Value;

use super::context::Context;
use super::failure::Failure;
use super::format::{Format, ListStyle};
use super::table::Table;
use super::text::{printable, shorten};

/// Longest cell of a table unless `--no-trunc`.
const CELL: usize = 50;

/// One thing of a list.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What `-q` says of it.
    pub(super) name: String,
    /// What JSON and templates say of it: an object.
    pub(super) fields: Value,
    /// What the table says of it, a cell a column.
    pub(super) cells: Vec<String>,
    /// Whether it shall stand out.
    pub(super) alarming: bool,
}

/// A list.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// Headings of the table; the fields are called so, too, in another spelling.
    pub(super) headings: &'static [&'static str],
    /// Columns that may be cut where the terminal is narrow, by index.
    pub(super) flexible: &'static [usize],
    /// What is listed.
    pub(super) entries: Vec<Entry>,
}

/// What of a table that grows stands on the screen already.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// The widest cell of each column, once the headings are there.
    widest: Option<Vec<String>>,
}

impl Listing {
    /// Prints it: an explicit format wins over `-q`, except that a quiet table is names, as in Docker.
    pub(super) fn print(&self, ctx: &mut Context, style: &ListStyle) -> Result<(), Failure> {
        self.print_on(ctx, style, &mut Shown::default())
    }

    /// The same below what was printed before: a table has its headings once, and its columns stay where they are.
    pub(super) fn print_on(&self, ctx: &mut Context, style: &ListStyle, shown: &mut Shown) -> Result<(), Failure> {
        match &style.format {
            None | Some(Format::Table | Format::Html) if style.quiet => self.print_names(ctx),
            None | Some(Format::Table | Format::Html) => {
                let mut table = Table::new(self.headings);
                shown.widest.iter().for_each(|widest| table.row(widest));
                for entry in &self.entries {
                    let cut = |cell: &String| {
                        if style.no_trunc { cell.clone() } else { shorten(&printable(cell), CELL).into_owned() }
                    };
                    table.row(entry.cells.iter().map(cut));
                    if entry.alarming {
                        table.mark();
                    }
                }
                let flexible = if style.no_trunc { &[] } else { self.flexible };
                shown.go_on(ctx, &table.flexible(flexible));
            }
            Some(Format::Json) => {
                for entry in &self.entries {
                    ctx.output.json_line(&entry.fields)?;
                }
            }
            Some(Format::Lines(template)) => {
                for entry in &self.entries {
                    ctx.output.line(&Format::said(template, &entry.fields)?);
                }
            }
            Some(Format::Columns(template)) => {
                let headings: Vec<String> =
                    template.columns().into_iter().map(|field| heading(&field.unwrap_or_default())).collect();
                let mut table = Table::new(&headings);
                shown.widest.iter().for_each(|widest| table.row(widest));
                for entry in &self.entries {
                    let said = Format::said(template, &entry.fields)?;
                    let mut cells: Vec<&str> = said.split('\t').collect();
                    cells.resize(headings.len().max(cells.len()), "");
                    table.row(cells);
                }
                shown.go_on(ctx, &table);
            }
        }
        Ok(())
    }

    fn print_names(&self, ctx: &mut Context) {
        let mut names: Vec<&String> = self.entries.iter().map(|entry| &entry.name).collect();
        names.dedup();
        for name in names {
            ctx.output.line(&printable(name));
        }
    }
}

impl Shown {
    fn go_on(&mut self, ctx: &mut Context, table: &Table) {
        // The headings, and the row that keeps the columns in their places.
        let known = if self.widest.is_some() { 2 } else { 0 };
        ctx.output.table_from(table, known);
        self.widest = Some(table.widest());
    }
}

/// Prints what is no table for people, in one of the formats of lists.
pub(super) fn print_objects(ctx: &mut Context, format: Format, objects: Vec<Value>) -> Result<(), Failure> {
    let entry = |fields| Entry { name: String::new(), fields, cells: Vec::new(), alarming: false };
    let style = ListStyle { format: Some(format), ..ListStyle::default() };
    Listing { headings: &[], flexible: &[], entries: objects.into_iter().map(entry).collect() }.print(ctx, &style)
}

/// `EXPOSED` of `Exposed`, `IPV4` of `IPv4`, `CONTAINER ID` of `ContainerID`.
fn heading(field: &str) -> String {
    let mut heading = String::new();
    let mut before = 'A';
    for c in field.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            heading.push(' ');
        }
        heading.extend(c.to_uppercase());
        before = c;
    }
    heading.replace("IPV 4", "IPV4").replace("IPV 6", "IPV6")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_words() {
        let headings = ["Exposed", "IPv4", "ContainerID", "InForce", ""].map(heading);
        assert_eq!(headings, ["EXPOSED", "IPV4", "CONTAINER ID", "IN FORCE", ""]);
    }
}
