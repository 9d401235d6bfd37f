//! `iptables-save` as a whole.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Options;
use super::{WholeChain, WholeRule, WholeRuleset};
use crate::ruleset::parse::{ParseError, words};

/// Reads everything that `iptables-save` or `ip6tables-save` printed. What a rule says may be beyond understanding; what
/// is no such output at all, or only a part of one, is an error, since half a picture shows a door where there is none.
pub fn parse_whole(text: &str) -> Result<WholeRuleset, ParseError> {
    let mut ruleset = WholeRuleset::default();
    let mut open: Option<(String, BTreeMap<String, WholeChain>)> = None;
    let mut last = (0, "");
    for at in text.lines().enumerate() {
        last = at;
        let line = at.1.trim_end();
        match (&mut open, line.as_bytes().first()) {
            (_, None) => {}
            (_, Some(b'#')) => ruleset.unreadable.extend(incompatible(line)),
            (None, Some(b'*')) => open = Some((line[1..].to_owned(), BTreeMap::new())),
            (Some(_), Some(b'*')) => return Err(ParseError::at(at, 0, "a table begins before COMMIT of the last")),
            (None, Some(_)) => return Err(ParseError::at(at, 0, "expected \"*TABLE\" or a comment")),
            (Some(_), Some(_)) if line == "COMMIT" => {
                if let Some((name, mut chains)) = open.take() {
                    settle(&mut chains);
                    ruleset.tables.insert(name, chains);
                }
            }
            (Some((_, chains)), Some(b':')) => declare(chains, at)?,
            (Some((_, chains)), Some(_)) => append(chains, at)?,
        }
    }
    if open.is_some() {
        return Err(ParseError::at(last, last.1.len(), "ended before COMMIT"));
    }
    Ok(ruleset)
}

/// iptables-nft's word for a table that it cannot say, or not all of: it tells people to use the tool `nft`.
fn incompatible(line: &str) -> Option<String> {
    line.contains("incompatible").then(|| line.trim_start_matches(['#', ' ']).to_owned())
}

/// `:NAME POLICY [packets:bytes]`.
fn declare(chains: &mut BTreeMap<String, WholeChain>, at: (usize, &str)) -> Result<(), ParseError> {
    let mut parts = at.1[1..].split_ascii_whitespace();
    let (Some(name), Some(policy)) = (parts.next(), parts.next()) else {
        return Err(ParseError::at(at, 1, "a chain without a name or a policy"));
    };
    let policy = (policy != "-").then(|| policy.to_owned());
    chains.insert(name.to_owned(), WholeChain::new(policy, Vec::new()));
    Ok(())
}

/// `[packets:bytes] -A CHAIN RULE`; the counters are optional and so is the rule.
fn append(chains: &mut BTreeMap<String, WholeChain>, at: (usize, &str)) -> Result<(), ParseError> {
    let line = at.1.trim_end();
    let rule = if line.starts_with('[') { line.split_once("] ").map_or("", |(_, rest)| rest) } else { line };
    let Some(body) = rule.strip_prefix("-A ") else {
        return Err(ParseError::at(at, 0, "expected a chain, a rule or COMMIT"));
    };
    let (name, text) = body.split_once(' ').unwrap_or((body, ""));
    let Some(chain) = chains.get_mut(name) else {
        return Err(ParseError::at(at, 0, format!("chain {name:?} was not declared")));
    };
    chain.rules.push(WholeRule::parse(text));
    Ok(())
}

/// Tells the names of chains from those of extensions, once all chains are known.
pub(super) fn settle(chains: &mut BTreeMap<String, WholeChain>) {
    let names: BTreeSet<String> = chains.keys().cloned().collect();
    for rule in chains.values_mut().flat_map(|chain| &mut chain.rules) {
        let bare = rule.text.rsplit_once(' ').filter(|(before, _)| before.ends_with("-j")).map(|(_, name)| name);
        rule.target.settle(bare, |name| names.contains(name));
    }
}

impl WholeRule {
    /// Reads what follows `-A CHAIN `. Total: what is not understood says so.
    pub fn parse(text: &str) -> Self {
        let read = words(text).and_then(|words| Options::read(&words));
        let (conditions, target) = read.unwrap_or_else(Options::beyond);
        Self { text: text.to_owned(), conditions, target }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ask, NewPort, States, Target};
    use super::*;

    fn asks(text: &str) -> Vec<(bool, Ask)> {
        WholeRule::parse(text).conditions.into_iter().map(|each| (each.negated, each.ask)).collect()
    }

    #[test]
    fn reads_what_people_write() {
        let net = |text: &str| text.parse().unwrap();
        let tcp = (false, Ask::Protocol(Some(6)));
        for (text, expected) in [
            ("! -s 10.0.0.0/8 -j DROP", vec![(true, Ask::Source(net("10.0.0.0/8")))]),
            (
                "-p tcp -m multiport --dports 80,443,8000:8010 -j ACCEPT",
                vec![tcp.clone(), (false, Ask::DestinationPorts(vec![(80, 80), (443, 443), (8000, 8010)]))],
            ),
            (
                "-p tcp -m tcp ! --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP",
                vec![
                    tcp.clone(),
                    (true, Ask::DestinationPorts(vec![(22, 22)])),
                    (false, Ask::TcpFlags { mask: 0x17, set: 0x02 }),
                ],
            ),
            (
                "-m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment \"two words\" -j ACCEPT",
                vec![(false, Ask::State(States::RELATED.and(States::ESTABLISHED))), (false, Ask::Always)],
            ),
            ("-m addrtype --dst-type LOCAL -j X", vec![(false, Ask::DestinationType(vec!["LOCAL".to_owned()]))]),
            ("-m limit --limit 3/min --limit-burst 10 -j LOG", vec![(false, Ask::Unknown), (false, Ask::Unknown)]),
            ("-m mark ! --mark 0x1/0xff -j DROP", vec![(true, Ask::Mark { value: 1, mask: 0xff })]),
            ("-p icmp -m icmp --icmp-type 8 -j ACCEPT", vec![(false, Ask::Protocol(None)), (false, Ask::Never)]),
            ("-m frobnicate --colour blue -j DROP", vec![(false, Ask::Unknown)]),
        ] {
            assert_eq!(asks(text), expected, "{text}");
        }
    }

    #[test]
    fn reads_targets() {
        for (text, expected) in [
            (
                "-j DNAT --to-destination [fd00::2]:80",
                Target::Translate { address: Some("fd00::2".parse().unwrap()), port: NewPort::One(80) },
            ),
            (
                "-j DNAT --to-destination 10.0.0.1:80-90",
                Target::Translate { address: Some("10.0.0.1".parse().unwrap()), port: NewPort::Several },
            ),
            ("-j DNAT --to-destination 10.0.0.1-10.0.0.9", Target::Unknown),
            ("-j REDIRECT --to-ports 3128", Target::Redirect { port: NewPort::One(3128) }),
            ("-j MARK --set-xmark 0x1/0xffffffff", Target::Mark { value: 1, mask: u32::MAX }),
            ("-j CT --notrack", Target::Untrack),
            ("-j REJECT --reject-with icmp-port-unreachable", Target::Drop),
            ("-g there", Target::Goto("there".to_owned())),
            ("-j NFQUEUE --queue-num 1", Target::Unknown),
            ("", Target::Continue),
            ("-j \"", Target::Unknown),
        ] {
            assert_eq!(WholeRule::parse(text).target, expected, "{text}");
        }
    }

    #[test]
    fn half_an_output_is_an_error_and_a_locked_table_is_told() {
        assert!(parse_whole("*filter\n:INPUT ACCEPT [0:0]\n").is_err());
        assert!(parse_whole("*filter\n-A NOWHERE -j DROP\nCOMMIT\n").is_err());
        let locked = parse_whole("# Table `filter' is incompatible, use 'nft' tool.\n").unwrap();
        assert_eq!(locked.unreadable.len(), 1);
        let logged =
            parse_whole("*filter\n:INPUT ACCEPT [0:0]\n:LOG2 - [0:0]\n-A INPUT -j LOG2\n-A INPUT -j BOGUS\nCOMMIT\n");
        let rules = &logged.unwrap().chain("filter", "INPUT").unwrap().rules.clone();
        assert_eq!(rules[0].target, Target::Jump("LOG2".to_owned()));
        assert_eq!(rules[1].target, Target::Unknown);
    }
}
