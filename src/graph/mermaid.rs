//! For Markdown that shows diagrams.

use std::fmt::Write as _;

use super::{Column, Graph, LABEL, Tone};
use crate::text::{printable, shorten};

/// A label in which only letters, digits and a few signs stand for themselves; the rest is written by number.
fn label(text: &str) -> String {
    let mut clean = String::new();
    for c in shorten(&printable(text), LABEL).chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '/' | ':' | ',' | '…') {
            clean.push(c);
        } else {
            let _ = write!(clean, "#{};", u32::from(c));
        }
    }
    clean
}

impl Graph {
    /// A `flowchart`.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for column in Column::ALL {
            let _ = writeln!(text, "  subgraph {0} [\"{0}\"]", column.heading());
            for (index, node) in self.column(column) {
                let _ = writeln!(text, "    n{index}[\"{}\"]:::{}", label(&node.label), node.tone.name());
            }
            text.push_str("  end\n");
        }
        for ((from, to), tone) in &self.edges {
            let arrow = match tone {
                Tone::World => "==>",
                Tone::Deny => "-.-x",
                _ => "-->",
            };
            let _ = writeln!(text, "  n{from} {arrow} n{to}");
        }
        for tone in Tone::ALL {
            let colour = match tone {
                Tone::Plain => "#777",
                Tone::Closed => "#2e7d32",
                Tone::Restricted => "#1565c0",
                Tone::World | Tone::Deny => "#c62828",
            };
            let _ = writeln!(text, "  classDef {} stroke:{colour},stroke-width:2px", tone.name());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;

    #[test]
    fn names_are_nothing_but_labels() {
        let text = drawn().mermaid();
        assert!(text.contains("n3[\"ipfriends\"]:::plain"), "{text}");
        assert!(text.contains("#60;/script#62;"), "{text}");
        for line in text.lines().filter(|line| line.contains('"')) {
            assert_eq!(line.matches('"').count(), 2, "{line}");
            let inner = line.split('"').nth(1).unwrap();
            assert!(!inner.contains(['[', ']', '<', '>', '`', '{', '\\', '\u{1b}', '\u{202e}']), "{line}");
        }
    }
}
