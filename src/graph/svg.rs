//! For browsers: columns of boxes, with curves between them.

use std::fmt::Write as _;

use super::{Column, Graph, LABEL, Tone};
use crate::text::{markup, printable, shorten};

/// Of a box, in pixels.
const WIDTH: usize = 230;
const HEIGHT: usize = 30;
/// Between columns, where the curves are.
const GAP: usize = 110;
/// From one box to the next below it.
const STEP: usize = 42;
const MARGIN: usize = 20;
/// Above the boxes, for the columns' names.
const TOP: usize = 56;
/// Letters that a box has room for.
const LETTERS: usize = 30;

const STYLE: &str = "
  .picture { color-scheme: light dark; font: 13px system-ui, sans-serif; background: #fff; }
  rect { fill: #fff; stroke: #777; stroke-width: 1.5; } text { fill: #1b1b1b; } path { fill: none; stroke: #777; }
  .closed { stroke: #2e7d32; } .restricted { stroke: #1565c0; } .world { stroke: #c62828; stroke-width: 2.5; }
  .deny { stroke: #c62828; stroke-dasharray: 5 4; } .heading { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .picture { background: #161a1d; } rect { fill: #20262a; } text { fill: #eceff1; }
    .closed { stroke: #81c784; } .restricted { stroke: #64b5f6; } .world, .deny { stroke: #ff8a80; }
  }
";

impl Graph {
    /// A picture that asks for nothing from elsewhere.
    pub fn svg(&self) -> String {
        let mut places = vec![(0, 0); self.nodes.len()];
        let mut tallest = 1;
        for (at, column) in Column::ALL.into_iter().enumerate() {
            let mut rows = 0;
            for (index, _) in self.column(column) {
                places[index] = (MARGIN + at * (WIDTH + GAP), TOP + rows * STEP);
                rows += 1;
            }
            tallest = tallest.max(rows);
        }
        let width = 2 * MARGIN + 4 * WIDTH + 3 * GAP;
        let height = TOP + tallest * STEP + MARGIN;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"Who can reach which container\">\n<style>{STYLE}</style>\n"
        );
        for (at, column) in Column::ALL.into_iter().enumerate() {
            let x = MARGIN + at * (WIDTH + GAP);
            let _ = writeln!(text, "<text class=\"heading\" x=\"{x}\" y=\"34\">{}</text>", column.heading());
        }
        for ((from, to), tone) in &self.edges {
            self.curve(&mut text, (*from, places[*from]), (*to, places[*to]), *tone);
        }
        for (node, (x, y)) in self.nodes.iter().zip(places) {
            let whole = markup(&shorten(&node.label, LABEL * 6));
            let label = markup(&shorten(&printable(&node.label), LETTERS));
            let _ = writeln!(
                text,
                "<g><title>{whole}{}</title><rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" \
                 height=\"{HEIGHT}\" rx=\"6\"/><svg x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{HEIGHT}\">\
                 <text x=\"10\" y=\"20\">{label}</text></svg></g>",
                match node.tone {
                    Tone::World => " (open to the world)",
                    Tone::Closed => " (closed)",
                    _ => "",
                },
                node.tone.name(),
                WIDTH - 10,
            );
        }
        text.push_str("</svg>\n");
        text
    }

    fn curve(
        &self,
        text: &mut String,
        (from, start): (usize, (usize, usize)),
        (to, end): (usize, (usize, usize)),
        tone: Tone,
    ) {
        let (x1, y1) = (start.0 + WIDTH, start.1 + HEIGHT / 2);
        let (x2, y2) = (end.0, end.1 + HEIGHT / 2);
        let bend = (x2.saturating_sub(x1)) / 2;
        let _ = writeln!(
            text,
            "<path class=\"{}\" d=\"M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}\"><title>{} → {}</title></path>",
            tone.name(),
            x1 + bend,
            x2 - bend,
            markup(&shorten(&self.nodes[from].label, LABEL)),
            markup(&shorten(&self.nodes[to].label, LABEL)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;

    #[test]
    fn names_are_no_markup() {
        let text = drawn().svg();
        assert!(text.contains(">ipfriends</text>"), "{text}");
        assert!(!text.contains("<script") && !text.contains("</script") && !text.contains("<svg onload"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\0', '\u{ffff}']), "{text}");
        // Every tag that opens is ours.
        for tag in text.split('<').skip(1) {
            let name = tag.trim_start_matches('/').split([' ', '>', '/']).next().unwrap();
            assert!(["svg", "style", "text", "g", "title", "rect", "path"].contains(&name), "<{tag}");
        }
        assert!(text.len() < 40_000);
    }
}
