//! Graphviz's language.

use std::fmt::Write as _;

use super::{Column, Graph, LABEL, Tone};
use crate::text::{printable, shorten};

/// Colours that are told apart on white and on black, in print too: the words are in the labels.
fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "#777777",
        Tone::Closed => "#2e7d32",
        Tone::Restricted => "#1565c0",
        Tone::World | Tone::Deny => "#c62828",
    }
}

/// A quoted string: the letters that mean something in one are escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text).replace('\\', "\\\\").replace('"', "\\\""))
}

impl Graph {
    /// For `dot -Tpng` and its relatives.
    pub fn dot(&self) -> String {
        let mut text =
            "digraph firewall {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n"
                .to_owned();
        for column in Column::ALL {
            let _ = writeln!(text, "  subgraph {} {{\n    rank=same;", quoted(column.heading()));
            for (index, node) in self.column(column) {
                let label = quoted(&shorten(&node.label, LABEL));
                let _ = writeln!(text, "    n{index} [label={label}, color=\"{}\"];", colour(node.tone));
            }
            text.push_str("  }\n");
        }
        for ((from, to), tone) in &self.edges {
            let style = if *tone == Tone::Deny { ", style=dashed" } else { "" };
            let _ = writeln!(text, "  n{from} -> n{to} [color=\"{}\"{style}];", colour(*tone));
        }
        text.push_str("}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;

    #[test]
    fn names_stay_in_their_quotes() {
        let text = drawn().dot();
        assert!(text.contains("n3 [label=\"ipfriends\", color=\"#777777\"];"), "{text}");
        for line in text.lines() {
            // Without the escaped ones, quotes come in pairs, and a node's line has two strings.
            let bare = line.replace("\\\\", "").replace("\\\"", "");
            let quotes = bare.matches('"').count();
            assert!(matches!(quotes, 0 | 2 | 4), "{line}");
            assert!(line.chars().count() < 200 && !line.contains('\u{1b}') && !line.contains('\u{202e}'), "{line}");
        }
        assert_eq!(text.matches('\n').count(), text.lines().count());
    }
}
