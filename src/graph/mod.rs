//! Sources, rules, containers and networks as a picture, in three languages of pictures. Pure.
//!
//! Names come from others and may hold anything: each language gets them in its own quotes, from nodes that are only
//! numbered.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::{Exposure, Way};
use crate::policy::{Policy, Rule, RuleSource, Verdict};

mod dot;
mod mermaid;
mod svg;

/// Longest label; the whole name is in the list.
const LABEL: usize = 48;

/// What a node is: the column that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Source,
    Rule,
    Container,
    Network,
}

impl Column {
    const ALL: [Self; 4] = [Self::Source, Self::Rule, Self::Container, Self::Network];

    fn heading(self) -> &'static str {
        match self {
            Self::Source => "Sources",
            Self::Rule => "Rules",
            Self::Container => "Containers",
            Self::Network => "Networks",
        }
    }
}

/// How a node or an edge looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tone {
    Plain,
    Closed,
    Restricted,
    World,
    Deny,
}

impl Tone {
    const ALL: [Self; 5] = [Self::Plain, Self::Closed, Self::Restricted, Self::World, Self::Deny];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Closed => "closed",
            Self::Restricted => "restricted",
            Self::World => "world",
            Self::Deny => "deny",
        }
    }
}

impl From<Exposure> for Tone {
    fn from(exposure: Exposure) -> Self {
        match exposure {
            Exposure::Closed => Self::Closed,
            Exposure::Restricted => Self::Restricted,
            Exposure::World => Self::World,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    column: Column,
    label: String,
    tone: Tone,
}

/// The picture before it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<Node>,
    /// From and to, by index into `nodes`.
    edges: BTreeMap<(usize, usize), Tone>,
}

/// Nodes by what they are called, while the picture is made.
#[derive(Default)]
struct Sketch {
    graph: Graph,
    known: BTreeMap<(Column, String), usize>,
}

impl Sketch {
    fn node(&mut self, column: Column, label: &str, tone: Tone) -> usize {
        let nodes = &mut self.graph.nodes;
        let index = *self.known.entry((column, label.to_owned())).or_insert_with(|| {
            nodes.push(Node { column, label: label.to_owned(), tone });
            nodes.len() - 1
        });
        let own = &mut nodes[index].tone;
        *own = tone.max(*own);
        index
    }

    fn edge(&mut self, from: usize, to: usize, tone: Tone) {
        let own = self.graph.edges.entry((from, to)).or_insert(tone);
        *own = tone.max(*own);
    }
}

/// `1 allow 443/tcp`.
fn rule_label(number: usize, rule: &Rule) -> String {
    let ports = [("", &rule.ports.container), ("published ", &rule.ports.published)];
    let ports: Vec<String> =
        ports.into_iter().filter_map(|(word, ports)| Some(format!("{word}{}", ports.as_ref()?))).collect();
    let ports = if ports.is_empty() { String::new() } else { format!(" {}", ports.join(" or ")) };
    format!("{number} {}{ports}", rule.verdict.name())
}

impl Graph {
    /// The picture of `ways` and of the rules that speak of them.
    pub fn new(policy: &Policy, ways: &[Way]) -> Self {
        let mut sketch = Sketch::default();
        let spoken: BTreeSet<usize> = ways.iter().flat_map(|way| way.rules.iter().copied()).collect();
        let rule = |number: usize| policy.rules.get(number.wrapping_sub(1));
        for (number, rule) in spoken.iter().filter_map(|&number| Some((number, rule(number)?))) {
            let tone = if rule.verdict == Verdict::Deny { Tone::Deny } else { Tone::Restricted };
            let to = sketch.node(Column::Rule, &rule_label(number, rule), tone);
            for source in &rule.sources {
                let via = rule.interface.as_ref().map_or_else(String::new, |name| format!(" via {name}"));
                let from = sketch.node(Column::Source, &format!("{source}{via}"), Tone::Plain);
                sketch.edge(from, to, tone);
            }
        }
        for way in ways {
            let to = sketch.node(Column::Container, &way.to.name, way.exposure.into());
            let mut drawn = false;
            for (number, rule) in way.rules.iter().filter_map(|&number| Some((number, rule(number)?))) {
                let denies = rule.verdict == Verdict::Deny;
                drawn |= !denies && rule.interface.is_none() && rule.sources.contains(&RuleSource::Any);
                let from = sketch.node(Column::Rule, &rule_label(number, rule), Tone::Plain);
                sketch.edge(from, to, if denies { Tone::Deny } else { way.exposure.into() });
            }
            // Where the kernel holds something else, everybody may come in past rules that allow somebody.
            if way.exposure == Exposure::World && !drawn {
                let everyone = sketch.node(Column::Source, "everyone", Tone::World);
                sketch.edge(everyone, to, Tone::World);
            }
            for network in &way.to.networks {
                let network = sketch.node(Column::Network, network, Tone::Plain);
                sketch.edge(to, network, Tone::Plain);
            }
        }
        sketch.graph
    }

    /// The nodes of a column with their numbers.
    fn column(&self, column: Column) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter(move |(_, node)| node.column == column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Resident, Road};
    use crate::policy::Ports;

    /// Everything that a name could try.
    pub(super) const HOSTILE: &str =
        "</script><svg onload=alert(1)>\"];--> \\\" \u{1b}[31m\u{202e}\u{9b}\n\0'&#`|{}[](); end\u{ffff}";

    fn way(name: &str, exposure: Exposure, rules: &[usize]) -> Way {
        Way {
            to: Resident { name: name.to_owned(), networks: vec![format!("{name}-net")], ..Resident::default() },
            published: "0.0.0.0:80".to_owned(),
            port: "80/tcp".to_owned(),
            road: Road::Dnat,
            family: None,
            from: String::new(),
            intended: None,
            because: String::new(),
            exposure,
            rules: rules.to_vec(),
            managed: !rules.is_empty(),
            calls: None,
            tried: Vec::new(),
            traffic: None,
        }
    }

    pub(super) fn drawn() -> Graph {
        let rule = |verdict, source: RuleSource| Rule {
            verdict,
            targets: vec!["web".parse().unwrap()],
            ports: Ports { container: crate::net::parse_ports("443").ok(), published: None },
            sources: vec![source],
            interface: None,
            expires: None,
            comment: None,
            pending: false,
            line: None,
        };
        let source = |text: &str| RuleSource::parse(text).unwrap().0;
        let rules = vec![
            rule(Verdict::Deny, source("192.0.2.1")),
            rule(Verdict::Allow, source("ipfriends")),
            rule(Verdict::Allow, RuleSource::Any),
        ];
        let policy = Policy { rules, ..Policy::default() };
        let long = "x".repeat(4096);
        let ways = [
            way("web", Exposure::Restricted, &[1, 2]),
            way("db", Exposure::World, &[1]),
            way("cache", Exposure::World, &[2]),
            way("shop", Exposure::World, &[3]),
            way(HOSTILE, Exposure::World, &[]),
            way(&long, Exposure::Closed, &[99]),
        ];
        Graph::new(&policy, &ways)
    }

    #[test]
    fn everybody_reaches_what_is_open_whatever_rules_say() {
        let graph = drawn();
        let named = |(from, to): (usize, usize)| (graph.nodes[from].label.as_str(), graph.nodes[to].label.as_str());
        let edges: Vec<_> = graph.edges.iter().map(|(&ends, tone)| (named(ends), tone.name())).collect();
        for edge in [
            (("ipfriends", "2 allow 443/tcp"), "restricted"),
            (("192.0.2.1", "1 deny 443/tcp"), "deny"),
            (("2 allow 443/tcp", "web"), "restricted"),
            (("1 deny 443/tcp", "db"), "deny"),
            (("everyone", "db"), "world"),
            (("everyone", "cache"), "world"),
            (("any", "3 allow 443/tcp"), "restricted"),
            (("3 allow 443/tcp", "shop"), "world"),
            (("web", "web-net"), "plain"),
        ] {
            assert!(edges.contains(&edge), "{edge:?} in {edges:?}");
        }
        for closed in ["web", "shop"] {
            assert!(!edges.iter().any(|((from, to), _)| *from == "everyone" && *to == closed), "{closed}");
        }
    }
}
