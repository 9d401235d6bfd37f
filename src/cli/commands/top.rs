//! `top`: what rules allow and drop, second by second.

use std::cmp::Reverse;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::args::TopArgs;
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::figures::Figures;
use crate::cli::format::{Format, ListStyle};
use crate::cli::listing::{Entry, Listing};
use crate::cli::offline;
use crate::cli::session::{Need, Session};
use crate::cli::survey::refuse_unknown;
use crate::cli::text::natural_order;
use crate::host::privileges::require_net_admin;
use crate::policy::Target;
use crate::resolve::selects;
use crate::ruleset::Counts;
use crate::tally::{Fate, Row, rows};

/// How long is counted for one picture.
const SPAN: Duration = Duration::from_secs(1);
/// A terminal's beginning of a new picture: home, and everything below away.
const ANEW: &str = "\x1b[H\x1b[J";
/// More containers than these are counted in a table, not named.
const NAMED: usize = 3;

/// Runs it until somebody stops it.
pub fn run(ctx: &mut Context, args: TopArgs) -> Result<Exit, Failure> {
    require_net_admin().map_err(|error| complaint::privilege(&error))?;
    let meant = Meant::of(ctx, &args.targets)?;
    let mut figures = Figures::new(offline::paths(ctx));
    let mut begun = Instant::now();
    let mut before = figures.read().map_err(|error| complaint::kernel(&error))?.sums;
    let redraws = ctx.output.terminal().stdout && !args.no_stream && is_table(&args.style);
    let mut first = true;
    loop {
        sleep(SPAN.saturating_sub(begun.elapsed()));
        let spans = begun.elapsed().as_secs_f64();
        begun = Instant::now();
        let now = figures.read().map_err(|error| complaint::kernel(&error))?;
        let mut rows = rows(&now.policy, &now.sums, &before, &now.containers);
        before = now.sums;
        rows.retain(|row| meant.is_one(row));
        rows.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| natural_order(&names(a), &names(b))));
        let mut entries: Vec<Entry> = rows.iter().map(|row| entry(row, spans, args.style.no_trunc)).collect();
        if redraws {
            ctx.output.print(ANEW);
            entries.truncate(height());
        } else if !first && is_table(&args.style) {
            ctx.output.line("");
        }
        let headings = &["CONTAINER", "RULE", "VERDICT", "PACKETS/S", "BYTES/S", "PACKETS", "BYTES"];
        Listing { headings, flexible: &[0], entries }.print(ctx, &args.style)?;
        ctx.output.flush();
        first = false;
        if args.no_stream || ctx.output.is_closed() {
            return Ok(Exit::Success);
        }
    }
}

fn is_table(style: &ListStyle) -> bool {
    matches!(style.format, None | Some(Format::Table | Format::Columns(_)))
}

/// Rows that fit below the headings of this terminal.
fn height() -> usize {
    let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    if rows == 0 { usize::MAX } else { rows.saturating_sub(2).max(1) }
}

/// Whose rows are shown.
enum Meant {
    Everybody,
    Only { containers: Vec<String>, targets: Vec<Target> },
}

impl Meant {
    /// The engine says whom targets mean; without any it is not asked.
    fn of(ctx: &mut Context, targets: &[Target]) -> Result<Self, Failure> {
        if targets.is_empty() {
            return Ok(Self::Everybody);
        }
        let session = Session::look(ctx, Need::Engine)?;
        let inventory = session.containers()?;
        let spoken_of: Vec<Target> = session.policy().rules.iter().flat_map(|rule| rule.targets.clone()).collect();
        refuse_unknown(targets, inventory, &session.services(inventory), &spoken_of)?;
        let is_meant = |container: &&_| targets.iter().any(|target| selects(target, container, inventory));
        let containers = inventory.containers.iter().filter(is_meant).map(|container| container.name.clone()).collect();
        Ok(Self::Only { containers, targets: targets.to_vec() })
    }

    fn is_one(&self, row: &Row) -> bool {
        let Self::Only { containers, targets } = self else { return true };
        row.containers.iter().any(|name| {
            // The port of a service is the service with its port.
            let service = name.split(' ').next().unwrap_or_default();
            containers.contains(name) || targets.iter().any(|target| target.to_string() == service)
        })
    }
}

/// What is dropped comes first, and of that what is dropped most now.
fn order(row: &Row) -> (bool, Reverse<u64>, Reverse<u64>, Vec<usize>) {
    (row.fate == Fate::Allow, Reverse(row.recent.packets), Reverse(row.counts.packets), row.rules.clone())
}

fn names(row: &Row) -> String {
    row.containers.join(",")
}

fn entry(row: &Row, seconds: f64, whole: bool) -> Entry {
    let numbers = row.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let [packets, bytes] = rates(row.recent, seconds);
    let container = match row.containers.as_slice() {
        [name] if name.is_empty() => "(not seen yet)".to_owned(),
        many if many.len() > NAMED && !whole => format!("{} containers", many.len()),
        few => few.join(","),
    };
    Entry {
        name: names(row),
        fields: json!({
            "Container": names(row), "Rule": numbers, "ID": row.ids.join(","), "Verdict": row.fate.name(),
            "PacketsPerSecond": format!("{packets:.1}"), "BytesPerSecond": format!("{bytes:.1}"),
            "Packets": row.counts.packets.to_string(), "Bytes": row.counts.bytes.to_string(),
        }),
        cells: vec![
            container,
            numbers,
            row.fate.name().to_owned(),
            if packets < 9.95 { format!("{packets:.1}") } else { format!("{packets:.0}") },
            size(bytes),
            row.counts.packets.to_string(),
            size(as_f64(row.counts.bytes)),
        ],
        alarming: row.fate != Fate::Allow && row.recent.packets > 0,
    }
}

fn rates(recent: Counts, seconds: f64) -> [f64; 2] {
    [recent.packets, recent.bytes].map(|counted| as_f64(counted) / seconds.max(0.001))
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// As Docker writes sizes: `1.23kB`.
fn size(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 999.5 && unit + 1 < units.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = if unit == 0 || value >= 99.95 { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [0.0, 999.0, 1234.0, 12_345.0, 999_600.0, 1.5e18].map(size);
        assert_eq!(sizes, ["0B", "999B", "1.23kB", "12.3kB", "1.00MB", "1500PB"]);
    }
}
