//! Every line of the page is what `OpenMetrics` and Prometheus' own format allow, whatever containers and rules are called.

use std::collections::{BTreeMap, BTreeSet};

use docker_firewall::metrics::{Activity, Facts, Histogram, KernelFacts, Notation, metrics, render};
use docker_firewall::policy::{Policy, Rule, RuleSource, Target, Verdict};
use docker_firewall::ruleset::Counts;
use docker_firewall::tally::{RuleGroup, Subject};
use docker_firewall::text::printable;
use proptest::prelude::*;

/// Labels of a sample, unescaped.
type Labels = Vec<(String, String)>;

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// `name{label="value",...} number`.
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (mut value, mut letters) = (String::new(), after.char_indices());
            let end = loop {
                match letters.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match letters.next()?.1 {
                        'n' => '\n',
                        letter @ ('\\' | '"') => letter,
                        _ => return None,
                    }),
                    (_, letter) => value.push(letter),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[end + 1..];
            match rest.chars().next()? {
                ',' => rest = &rest[1..],
                '}' => break,
                _ => return None,
            }
        }
        rest = &rest[1..];
    }
    let number = rest.strip_prefix(' ').filter(|number| !number.contains(' '))?;
    is_name(name).then_some(())?;
    labels.iter().all(|(label, _)| is_name(label)).then_some(())?;
    Some((name.to_owned(), labels, number.parse().ok()?))
}

/// Refuses what the formats do not allow; answers the samples.
fn read(page: &str, notation: Notation) -> Result<Vec<(String, Labels, f64)>, String> {
    let open = notation == Notation::OpenMetrics;
    let body = if open { page.strip_suffix("# EOF\n").ok_or("no end")? } else { page };
    if !body.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let (mut samples, mut seen, mut families) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut family = (String::new(), String::new());
    for line in body.lines() {
        if line.contains(|letter: char| letter.is_control()) {
            return Err(format!("a control character: {line:?}"));
        }
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (keyword, name, value) = (words.next(), words.next().unwrap_or_default(), words.next());
            let value = value.ok_or_else(|| format!("half a comment: {line}"))?;
            match keyword {
                Some("HELP") if families.insert(name.to_owned()) => family = (name.to_owned(), String::new()),
                Some("TYPE") if name == family.0 => value.clone_into(&mut family.1),
                Some("UNIT") if open && name == family.0 && name.ends_with(&format!("_{value}")) => {}
                _ => return Err(format!("out of place: {line}")),
            }
            continue;
        }
        let found = sample(line).ok_or_else(|| format!("no sample: {line}"))?;
        let suffix = found.0.strip_prefix(&family.0).ok_or_else(|| format!("not of {}: {line}", family.0))?;
        let suffixes: &[&str] = match (family.1.as_str(), open) {
            ("gauge", _) | ("counter", false) => &[""],
            ("counter", true) => &["_total"],
            ("info", true) => &["_info"],
            ("histogram", _) => &["_bucket", "_count", "_sum"],
            _ => &[],
        };
        if !suffixes.contains(&suffix) || (family.1 == "counter" && !found.0.ends_with("_total")) {
            return Err(format!("a {} has no {suffix:?}: {line}", family.1));
        }
        if !seen.insert(line.rsplit_once(' ').unwrap().0.to_owned()) {
            return Err(format!("twice: {line}"));
        }
        samples.push(found);
    }
    Ok(samples)
}

fn rule(name: &str, verdict: Verdict) -> Rule {
    Rule {
        verdict,
        targets: vec![Target::Container(name.to_owned())],
        ports: docker_firewall::policy::Ports { container: None, published: None },
        sources: vec![RuleSource::Any],
        interface: None,
        expires: None,
        comment: None,
        pending: false,
        log: false,
        line: None,
    }
}

fn facts(names: &[String], counts: &[u64], seconds: &[f64]) -> Facts {
    let rules: Vec<Rule> = names.iter().map(|name| rule(name, Verdict::Allow)).collect();
    let mut kernel = KernelFacts::default();
    for (rule, name) in rules.iter().zip(names) {
        let ids = vec![rule.id()];
        kernel.containers.insert(ids.clone(), BTreeSet::from([name.clone()]));
        for (outward, packets) in [false, true].into_iter().zip(counts) {
            let subject = Subject::Rules(RuleGroup { ids: ids.clone(), verdict: Verdict::Allow, outward });
            kernel.sums.insert(subject, Counts { packets: *packets, bytes: u64::MAX });
        }
        kernel.sums.insert(Subject::Closed(name.clone()), Counts::default());
    }
    kernel.sets = BTreeMap::from([("ipfriends".to_owned(), 3)]);
    kernel.policy = Policy { rules, ..Policy::default() };
    let mut reactions = Histogram::default();
    for seconds in seconds {
        reactions.note(*seconds);
    }
    let agent = Activity { started: 1.5e9, reactions, connected: true, ..Activity::default() };
    Facts { version: "0.1.0".to_owned(), kernel: Some(kernel), agent: Some(agent) }
}

proptest! {
    #[test]
    fn every_line_is_one(
        names in prop::collection::btree_set("\\PC{1,20}|[\"\\\\{}, =\n\r\u{1b}\u{202e}]{1,6}|[a-z]{1,4}", 0..5),
        counts in prop::collection::vec(any::<u64>(), 2),
        seconds in prop::collection::vec(0.0..100.0_f64, 0..20),
    ) {
        // Two that a terminal shows alike are one series.
        let shown: BTreeSet<String> = names.iter().map(|name| printable(name).into_owned()).collect();
        prop_assume!(shown.len() == names.len());
        let names: Vec<String> = names.into_iter().collect();
        let metrics = metrics(&facts(&names, &counts, &seconds));
        for notation in [Notation::Prometheus, Notation::OpenMetrics] {
            let page = render(&metrics, notation);
            let samples = read(&page, notation).map_err(|fault| TestCaseError::fail(format!("{fault}\n{page}")))?;
            let closed: BTreeSet<String> = samples
                .iter()
                .filter(|(name, ..)| name == "docker_firewall_closed_packets_total")
                .map(|(_, labels, _)| labels[0].1.clone())
                .collect();
            prop_assert_eq!(&closed, &shown);
            let value = |wanted: &str| samples.iter().find(|(name, ..)| name == wanted).map(|(_, _, value)| *value);
            let count = value("docker_firewall_agent_reaction_seconds_count");
            prop_assert_eq!(count, Some(f64::from(u32::try_from(seconds.len()).unwrap())));
        }
    }
}

#[test]
fn who_asks_for_openmetrics_gets_it() {
    for (accept, notation) in [
        ("", Notation::Prometheus),
        ("*/*", Notation::Prometheus),
        ("text/plain;version=0.0.4", Notation::Prometheus),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Notation::OpenMetrics),
        ("text/plain, Application/OpenMetrics-Text", Notation::OpenMetrics),
        ("application/openmetrics-text;q=0, text/plain", Notation::Prometheus),
    ] {
        assert_eq!(Notation::accepted(accept), notation, "{accept}");
    }
}

#[test]
fn nothing_known_is_a_page_too() {
    let facts = Facts { version: "0.1.0".to_owned(), ..Facts::default() };
    insta::assert_snapshot!(render(&metrics(&facts), Notation::OpenMetrics), @r#"
    # HELP docker_firewall_build The version of docker-firewall.
    # TYPE docker_firewall_build info
    docker_firewall_build_info{version="0.1.0"} 1
    # HELP docker_firewall_kernel_read Whether the kernel's counters could be read.
    # TYPE docker_firewall_kernel_read gauge
    docker_firewall_kernel_read 0
    # HELP docker_firewall_agent_running Whether an agent runs.
    # TYPE docker_firewall_agent_running gauge
    docker_firewall_agent_running 0
    # EOF
    "#);
}
