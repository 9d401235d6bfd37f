//! The bounds that the design sets, each beside what was measured, and where one is missed, why.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::figure::short;

/// What was measured about one bound.
struct Found {
    figures: String,
    /// Whether it holds, by where it was measured; nothing if it was not.
    holds: Vec<(&'static str, bool)>,
    reason: String,
}

/// Everything that is kept.
struct Kept<'a>(&'a Map<String, Value>);

impl<'a> Kept<'a> {
    /// The figures of a part.
    fn part(&self, part: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.0.get(part).and_then(|part| part["figures"].as_array()).into_iter().flatten()
    }

    /// One figure; of the table the beginning of its heading does.
    fn one(&self, part: &str, table: &str, row: &str, column: &str) -> Option<&'a Value> {
        self.part(part).find(|figure| {
            figure["table"].as_str().is_some_and(|text| text.starts_with(table))
                && figure["row"] == row
                && figure["column"] == column
        })
    }

    /// A ratio as text.
    fn ratio(&self, part: &str, table: &str, row: &str, column: &str) -> String {
        let ratio = self.one(part, table, row, column).and_then(|figure| figure["ratio"].as_f64());
        ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.2}"))
    }

    /// A figure as text.
    fn value(&self, part: &str, table: &str, row: &str, column: &str) -> String {
        let Some(figure) = self.one(part, table, row, column) else { return "not measured".to_owned() };
        let unit = figure["unit"].as_str().unwrap_or_default();
        format!("{} {unit}", short(figure["value"].as_f64().unwrap_or(f64::NAN))).trim().to_owned()
    }

    /// A figure and its baseline as text.
    fn both(&self, part: &str, table: &str, row: &str, column: &str) -> String {
        let Some(figure) = self.one(part, table, row, column) else { return "not measured".to_owned() };
        let number = |key: &str| short(figure[key].as_f64().unwrap_or(f64::NAN));
        let unit = figure["unit"].as_str().unwrap_or_default();
        format!("{} against {} {unit}", number("value"), number("baseline"))
    }
}

/// Whether all of these hold; nothing if none was measured.
fn all<'a>(figures: impl IntoIterator<Item = Option<&'a Value>>) -> Option<bool> {
    let verdicts: Vec<bool> = figures.into_iter().flatten().filter_map(|figure| figure["holds"].as_bool()).collect();
    (!verdicts.is_empty()).then(|| verdicts.into_iter().all(|holds| holds))
}

/// The table of Markdown.
pub(crate) fn table(kept: &Map<String, Value>) -> String {
    let kept = Kept(kept);
    let mut text = "| What | Bound | Measured | |\n|---|---|---|---|\n".to_owned();
    let mut reasons = String::new();
    for (what, bound, find) in ROWS {
        let found = find(&kept);
        let verdict = match found.holds.as_slice() {
            [] => String::new(),
            [(_, true)] => "holds".to_owned(),
            [(_, false)] => "**missed**".to_owned(),
            several => {
                let word = |holds: bool| if holds { "holds" } else { "**missed**" };
                several.iter().map(|(place, holds)| format!("{place}: {}", word(*holds))).collect::<Vec<_>>().join("; ")
            }
        };
        let _ = writeln!(text, "| {what} | {bound} | {} | {verdict} |", found.figures);
        if found.holds.iter().any(|(_, holds)| !holds) {
            let _ = writeln!(reasons, "- *{what}*: {}", found.reason);
        }
    }
    if !reasons.is_empty() {
        let _ = write!(text, "\nWhy those are missed:\n\n{reasons}");
    }
    text
}

type Find = fn(&Kept<'_>) -> Found;

const ROWS: [(&str, &str, Find); 9] = [
    ("kernel rules that a new connection is held against, 1 to 10,000 guarded containers", "constant", rules),
    ("latency of a new connection, 10,000 guarded containers, against no firewall", "≤ 1.10", latency),
    ("throughput of an established stream, against no firewall", "≥ 0.97", stream),
    ("`allow`, whole process, against the recipe's commands by hand, 1 and 1,000 containers", "≤ 1.00", allow),
    ("loading a set of 1,000,000 entries, against `ipset restore`", "≤ 1.15, never visibly empty", load),
    ("container's start seen, to rules in force, 1,000 containers, 99th percentile", "≤ 50 ms", reaction),
    ("leaks in the truth table, restarts, crashes, reloads", "0", leaks),
    ("what docker asks of every plugin, against /bin/true", "≤ 2.00", metadata),
    ("agent at rest, 1,000 containers", "≤ 12 MB, no processor time", rest),
];

const FLAVOURS: [&str; 2] = ["nft", "legacy"];
const WAYS: [&str; 3] = ["published port", ONE_PROCESSOR, "bare way"];
/// Where rounds differ less, for no processor has to wake up.
const ONE_PROCESSOR: &str = "published port, one processor";
const OURS: &str = "docker-firewall, 10,000 containers";

fn rules(kept: &Kept<'_>) -> Found {
    let count = |row: &str, column: &str| kept.value("packets", "kernel rules", row, column);
    let figures = FLAVOURS.map(|flavour| {
        let row = format!("docker-firewall, iptables-{flavour}");
        format!("{flavour}: {} at 1, {} at 10,000", count(&row, "1 container"), count(&row, "10,000 containers"))
    });
    let counted = FLAVOURS.map(|flavour| {
        kept.one("packets", "kernel rules", &format!("docker-firewall, iptables-{flavour}"), "10,000 containers")
    });
    let reason = "the number of rules grows with the number of containers: a fault.".to_owned();
    Found { figures: figures.join("; "), holds: all(counted).map(|holds| ("", holds)).into_iter().collect(), reason }
}

/// A row's ratios of some columns, way by way.
fn by_way(kept: &Kept<'_>, row: &str, columns: &[(&str, &str)]) -> String {
    let one = |way: &str| {
        let flavours = FLAVOURS.map(|flavour| {
            let table = format!("{way}, iptables-{flavour}");
            let ratios = columns.iter().map(|(column, short)| {
                format!("{short} {}", kept.ratio("packets", &table, row, column)).trim().to_owned()
            });
            format!("{flavour} {}", ratios.collect::<Vec<_>>().join(", "))
        });
        format!("{way}: {}", flavours.join("; "))
    };
    WAYS.map(one).join(". ")
}

fn packets(kept: &Kept<'_>, columns: &[(&str, &str)]) -> Found {
    let holds = |way: &'static str| {
        let figures = FLAVOURS.iter().flat_map(|flavour| {
            let table = format!("{way}, iptables-{flavour}");
            columns.iter().map(move |(column, _)| kept.one("packets", &table, OURS, column)).collect::<Vec<_>>()
        });
        all(figures).map(|holds| (way, holds))
    };
    let (table, (column, short_name)) = (format!("{ONE_PROCESSOR}, iptables-nft"), columns[0]);
    let walked = |row: &str| kept.value("packets", "kernel rules", &format!("{row}, iptables-nft"), "1 container");
    let ratio = |row: &str| kept.ratio("packets", &table, row, column);
    let reason = format!(
        "every packet of both directions is judged, and by two lines: the first of a connection is held against {} where Docker alone \
         has {}. What each part costs shows where both ends share a processor, for nobody wakes another one there: with iptables-nft ({}) \
         one rule that asks one set makes {}, an empty chain called from `security` {}, our rules without backstop {}, with it {}; {} \
         then. Without the backstop a leak that other tools open stays open; without judging answers a session that was cut goes on. \
         With a processor for each end, as two machines have, waking the other end takes longer than all rules; on the bare way \
         the same rules cost the same time of a way that is shorter than any user's.",
        walked("docker-firewall"),
        walked("Docker alone"),
        if short_name.is_empty() { column } else { short_name },
        ratio("limit: one rule that asks one set"),
        ratio("limit: an empty chain called from security"),
        ratio("limit: docker-firewall without backstop, 1,000 containers"),
        ratio(OURS),
        kept.both("packets", &table, OURS, column),
    );
    Found { figures: by_way(kept, OURS, columns), holds: WAYS.into_iter().filter_map(holds).collect(), reason }
}

fn latency(kept: &Kept<'_>) -> Found {
    packets(kept, &[("new UDP flow, there and back", "UDP"), ("new TCP connection", "TCP")])
}

fn stream(kept: &Kept<'_>) -> Found {
    packets(kept, &[("established TCP stream", "")])
}

const RECIPE: &str = "beside the recipe";
const BESIDE: &str = "docker-firewall beside";
const TOOLS: &str = "limit: the tools that allow runs, with the same input, and nothing else";
const ENGINE: &str = "a real engine";

fn allow(kept: &Kept<'_>) -> Found {
    let row = "allow c0 --from friends";
    let real = "docker firewall allow web --from ipfriends";
    let ratio_of = |row: &str, column: &str| kept.ratio("commands", BESIDE, row, column);
    let figures = format!(
        "docker-firewall alone: {} at 1, {} at 1,000; through docker's client: {}",
        ratio_of(row, "1 container"),
        ratio_of(row, "1,000 containers"),
        kept.ratio("engine", ENGINE, real, RECIPE)
    );
    let verdicts = [
        kept.one("commands", BESIDE, row, "1 container"),
        kept.one("commands", BESIDE, row, "1,000 containers"),
        kept.one("engine", ENGINE, real, RECIPE),
    ];
    let reason = format!(
        "docker's client alone takes {} ({} of the recipe) to start a plugin that does nothing. `allow` reads what is there, which the \
         recipe does not, writes both families and two lines of defence, and reads back. The tools that it runs for that, with the same \
         input and without it, take {} ({} of the recipe) at one container and {} ({}) at 1,000. The rest is asking the engine, \
         working out the rules, and keeping a record for the next boot.",
        kept.value("engine", ENGINE, "docker nothing", RECIPE),
        kept.ratio("engine", ENGINE, "docker nothing", RECIPE),
        kept.value("commands", BESIDE, TOOLS, "1 container"),
        ratio_of(TOOLS, "1 container"),
        kept.value("commands", BESIDE, TOOLS, "1,000 containers"),
        ratio_of(TOOLS, "1,000 containers"),
    );
    Found { figures, holds: all(verdicts).map(|holds| ("", holds)).into_iter().collect(), reason }
}

fn load(kept: &Kept<'_>) -> Found {
    let (new, replaced) = ("set import, a new set", "set import in the place of another");
    let size = "1,000,000 entries";
    let misses = |row: &str| kept.value("sets", "an entry", row, size);
    let figures = format!(
        "{}; missed while it is replaced: {} (the recipe's file: {})",
        kept.ratio("sets", "beside", new, size),
        misses(replaced),
        misses("ipset flush and ipset restore, as the recipe's file does it"),
    );
    let holds = all([kept.one("sets", "beside", new, size), kept.one("sets", "an entry", replaced, size)]);
    let reason = format!(
        "the entries are also parsed, held against the kernel's, read back and written down for the next boot: {}, with {} of memory.",
        kept.both("sets", "beside", new, size),
        kept.value("sets", "the most memory", "set import", size),
    );
    Found { figures, holds: holds.map(|holds| ("", holds)).into_iter().collect(), reason }
}

const AGENT: &str = "an engine";

fn reaction(kept: &Kept<'_>) -> Found {
    let row = |what: &str| format!("container's start to its address in force, {what}");
    let at = |what: &str, size: &str| kept.value("agent", AGENT, &row(what), size);
    let figures = format!(
        "{} (median {}); at 10,000 {}",
        at("99th percentile", "1,000 containers"),
        at("median", "1,000 containers"),
        at("99th percentile", "10,000 containers")
    );
    let holds = all([kept.one("agent", AGENT, &row("99th percentile"), "1,000 containers")]);
    let reason = format!(
        "the engine is asked for its whole list ({} requests a restart), which grows with the containers: {} at 10.",
        kept.value("agent", AGENT, "requests to the engine for one restart", "1,000 containers"),
        at("99th percentile", "10 containers"),
    );
    Found { figures, holds: holds.map(|holds| ("", holds)).into_iter().collect(), reason }
}

fn leaks(_: &Kept<'_>) -> Found {
    let figures = "not a benchmark: `tests/run.sh truth kill hunt` fails on the first".to_owned();
    Found { figures, holds: Vec::new(), reason: String::new() }
}

fn metadata(kept: &Kept<'_>) -> Found {
    let place = ["docker-firewall docker-cli-plugin-metadata", "any number of containers"];
    let figure = kept.one("commands", "what docker asks", place[0], place[1]);
    let figures = format!(
        "{} ({})",
        kept.ratio("commands", "what docker asks", place[0], place[1]),
        kept.value("commands", "what docker asks", place[0], place[1])
    );
    let reason = "the program's file is larger, and more of it is mapped before it answers.".to_owned();
    Found { figures, holds: all([figure]).map(|holds| ("", holds)).into_iter().collect(), reason }
}

fn rest(kept: &Kept<'_>) -> Found {
    let size = "1,000 containers";
    let (memory, own) = ("resident memory at rest, the program's file included", "memory of its own at rest");
    let processor = "processor at rest";
    let at = |row: &str| kept.value("agent", AGENT, row, size);
    let figures = format!("{} ({} of its own), {}", at(memory), at(own), at(processor));
    let holds = all([kept.one("agent", AGENT, memory, size), kept.one("agent", AGENT, processor, size)]);
    let reason = format!(
        "of {} are {} the agent's own, the rest is the program's file, which the kernel can drop; at 10 containers {}. \
         The processor time goes into asking for the sets' headers up to five times a second, for ipset tells nobody when a \
         set changes; the kernel counts a set's members one by one for each, and the agent asks the less often the longer \
         that takes.",
        at(memory),
        at(own),
        kept.value("agent", AGENT, memory, "10 containers"),
    );
    Found { figures, holds: holds.map(|holds| ("", holds)).into_iter().collect(), reason }
}
