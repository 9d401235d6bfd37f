//! docs/benchmarks.md is what `benches/run.sh` makes of the figures in docs/benchmarks.json, and nobody's hand.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../benches/numbers/figure.rs"]
#[allow(dead_code, reason = "the benchmarks make figures, the page only reads them")]
mod figure;
#[path = "../benches/numbers/page.rs"]
mod page;
#[path = "../benches/numbers/summary.rs"]
mod summary;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

fn docs(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

fn kept() -> Map<String, Value> {
    serde_json::from_str(&docs("benchmarks.json")).unwrap()
}

#[test]
fn the_page_is_made_of_the_figures() {
    assert!(
        docs("benchmarks.md") == page::page(&kept()),
        "docs/benchmarks.md is not what docs/benchmarks.json says: run benches/run.sh page"
    );
}

#[test]
fn every_row_of_a_table_has_as_many_cells() {
    let page = page::page(&kept());
    let mut columns = 0;
    for line in page.lines() {
        if !line.starts_with('|') {
            columns = 0;
            continue;
        }
        assert!(line.ends_with('|'), "{line}");
        let cells = line.matches('|').count();
        assert!(columns == 0 || columns == cells, "{line}");
        columns = cells;
    }
}

#[test]
fn the_summary_finds_what_the_parts_measure() {
    let kept = kept();
    let parts: BTreeSet<&str> = kept.keys().map(String::as_str).collect();
    let known = BTreeSet::from(["agent", "commands", "core", "engine", "packets", "sets"]);
    assert!(parts.is_subset(&known), "{parts:?}");
    // A page of some parts says what was not measured; one of all has nothing to say it of.
    let summary = summary::table(&kept);
    assert_eq!(summary.contains("not measured"), parts != known, "{summary}");
}

#[test]
fn a_part_is_shown_table_by_table() {
    let figures = [
        figure::Figure::paired(
            ["t", "ours", "1 container"],
            "ms",
            &[2.0, 3.0, 4.0],
            &[2.0, 2.0, 2.0],
            figure::Bound::AtMost(1.0),
        ),
        figure::Figure::alone(["t", "ours", "2 containers"], "ms", 0.0, figure::Bound::Within(0.0)),
    ];
    let part = serde_json::json!({ "environment": {}, "figures": figures.iter().map(figure::Figure::json).collect::<Vec<_>>() });
    let text = page::part("core", "", &part);
    let table = "### t\n\n| | 1 container | 2 containers |\n|---|---|---|\n| ours | **1.50** (1.50 to 2.00); 3 : 2 ms | 0 ms |\n";
    assert!(text.ends_with(table), "{text}");
}
