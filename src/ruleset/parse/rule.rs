//! One rule, as far as it is of a kind that we write.

use crate::net::{Family, PortRange, Protocol};
use crate::ruleset::log::{LOG_BYTES, LOG_GROUP};
use crate::ruleset::render::limit;
use crate::ruleset::rule::{Action, Match, Rule, SetDirection};

/// Parses what follows `-A CHAIN `; `None` when it is not entirely of the kinds that we write.
pub fn parse_rule(text: &str) -> Option<Rule> {
    Reader { words: words(text)?.into_iter(), matches: Vec::new(), protocol: None, protocol_used: false, icmp6: false }
        .read()
}

/// Splits as the tools do: at blanks, with double quotes and backslashes inside them.
pub(in crate::ruleset) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut letters = text.chars();
    let mut word: Option<String> = None;
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '"' => {
                let inside = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => inside.push(letters.next()?),
                        other => inside.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

struct Reader {
    words: std::vec::IntoIter<String>,
    matches: Vec<Match>,
    protocol: Option<Protocol>,
    /// Whether another condition already implies the `-p`.
    protocol_used: bool,
    /// `-p ipv6-icmp`, of which only types are asked.
    icmp6: bool,
}

impl Reader {
    fn read(mut self) -> Option<Rule> {
        let mut word = self.words.next()?;
        let mut protocol_at = 0;
        loop {
            match word.as_str() {
                "-i" => {
                    let name = self.words.next()?;
                    self.matches.push(Match::InInterface(name));
                }
                "-o" => {
                    let name = self.words.next()?;
                    self.matches.push(Match::OutInterface(name));
                }
                "-p" => match self.words.next()?.as_str() {
                    "ipv6-icmp" | "icmpv6" | "58" => self.icmp6 = true,
                    name => {
                        self.protocol = Some(protocol(name)?);
                        protocol_at = self.matches.len();
                    }
                },
                "-m" => {
                    word = self.module()?;
                    continue;
                }
                "-j" | "-g" => break,
                _ => return None,
            }
            word = self.words.next()?;
        }
        let target = self.words.next()?;
        let reset = target == "REJECT";
        if reset && (self.words.next()? != "--reject-with" || self.words.next()? != "tcp-reset") {
            return None;
        }
        let logs = if target == "NFLOG" { Some(self.log()?) } else { None };
        // Elsewhere a limit decides something, and is not one of ours.
        if logs.is_none() && self.matches.iter().any(|each| matches!(each, Match::Seldom(_))) {
            return None;
        }
        let mark = match target.as_str() {
            "MARK" if word == "-j" => Some(self.bit()?),
            _ => None,
        };
        let typed = self.matches.iter().any(|each| matches!(each, Match::Icmp6(_)));
        if self.words.next().is_some() || self.icmp6 != typed {
            return None;
        }
        if let (Some(protocol), false) = (self.protocol, self.protocol_used) {
            self.matches.insert(protocol_at, Match::Protocol(protocol));
        }
        if let Some(prefix) = logs {
            return (word == "-j").then_some(Rule { matches: self.matches, action: Action::Log(prefix) });
        }
        let action = match (word.as_str(), target.as_str()) {
            _ if mark.is_some() => Action::Mark(mark.unwrap_or_default()),
            ("-g", _) => Action::Goto(target),
            (_, "RETURN") => Action::Return,
            (_, "DROP") => Action::Drop,
            _ if reset => Action::Reset,
            (_, "ACCEPT") => Action::Accept,
            _ => Action::Jump(target),
        };
        Some(Rule { matches: self.matches, action })
    }

    /// Reads the options of `NFLOG`; answers the prefix.
    fn log(&mut self) -> Option<String> {
        let mut after = |name: &str| if self.words.next()? == name { self.words.next() } else { None };
        let prefix = after("--nflog-prefix")?;
        let ours = after("--nflog-group")? == LOG_GROUP.to_string() && after("--nflog-size")? == LOG_BYTES.to_string();
        ours.then_some(prefix)
    }

    /// Reads `--set-xmark BIT/BIT`; several bits, or clearing some, is not of our kinds.
    fn bit(&mut self) -> Option<u32> {
        if self.words.next()? != "--set-xmark" {
            return None;
        }
        let text = self.words.next()?;
        let (value, mask) = text.split_once('/')?;
        let bit = u32::from_str_radix(value.strip_prefix("0x")?, 16).ok()?;
        (value == mask && bit.is_power_of_two()).then_some(bit)
    }

    /// Reads one `-m MODULE` with its options; answers the word after them.
    fn module(&mut self) -> Option<String> {
        let module = self.words.next()?;
        match module.as_str() {
            "set" => self.set(),
            "conntrack" => self.conntrack(),
            "hashlimit" => self.limit(),
            "icmp6" if self.words.next()? == "--icmpv6-type" => {
                self.matches.push(Match::Icmp6(self.words.next()?.parse().ok()?));
                self.words.next()
            }
            "comment" => {
                if self.words.next()? != "--comment" {
                    return None;
                }
                let text = self.words.next()?;
                self.matches.push(Match::Comment(text));
                self.words.next()
            }
            name => {
                let protocol = protocol(name)?;
                if self.protocol != Some(protocol) {
                    return None;
                }
                self.header(protocol)
            }
        }
    }

    fn set(&mut self) -> Option<String> {
        let mut word = self.words.next()?;
        let negated = word == "!";
        if negated {
            word = self.words.next()?;
        }
        if word != "--match-set" {
            return None;
        }
        let name = self.words.next()?;
        let directions = self
            .words
            .next()?
            .split(',')
            .map(|side| match side {
                "src" => Some(SetDirection::Src),
                "dst" => Some(SetDirection::Dst),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?;
        self.matches.push(Match::Set { name, negated, directions });
        self.words.next()
    }

    /// Reads the options of our limit, and of no other.
    fn limit(&mut self) -> Option<String> {
        let rest = self.words.as_slice();
        // The longer one first: it begins like the other.
        let family = [Family::V6, Family::V4].into_iter().find(|family| {
            let wanted = limit(*family);
            rest.iter().map(String::as_str).zip(wanted.split(' ')).filter(|(have, want)| have == want).count()
                == wanted.split(' ').count()
        })?;
        self.words.nth(limit(family).split(' ').count() - 1)?;
        self.matches.push(Match::Seldom(family));
        self.words.next()
    }

    fn conntrack(&mut self) -> Option<String> {
        let mut option = self.words.next()?;
        let negated = option == "!";
        if negated {
            option = self.words.next()?;
        }
        let value = self.words.next()?;
        let after = self.words.next()?;
        let found = match (option.as_str(), value.as_str()) {
            ("--ctstate", "DNAT") if negated => Match::NotDnat,
            _ if negated => return None,
            ("--ctstate", "INVALID,NEW,UNTRACKED") => Match::Unknown,
            ("--ctstate", "RELATED") => Match::Related,
            ("--ctstate", "NEW") => Match::New,
            ("--ctdir", "ORIGINAL") => Match::Original,
            ("--ctdir", "REPLY") => Match::Reply,
            ("--ctstate", "DNAT") if after == "--ctorigdstport" => {
                let ports = range(self.protocol?, &self.words.next()?)?;
                self.protocol_used = true;
                self.matches.push(Match::Published(ports));
                return self.words.next();
            }
            ("--ctstate", "DNAT") => Match::Dnat,
            _ => return None,
        };
        self.matches.push(found);
        // Another option of the same module would land in read(), which knows none and gives up.
        Some(after)
    }

    fn header(&mut self, protocol: Protocol) -> Option<String> {
        let before = self.matches.len();
        let after = loop {
            let word = self.words.next()?;
            match word.as_str() {
                "--sport" => self.matches.push(Match::SourcePorts(range(protocol, &self.words.next()?)?)),
                "--dport" => self.matches.push(Match::DestinationPorts(range(protocol, &self.words.next()?)?)),
                "!" => {
                    let flags = [self.words.next()?, self.words.next()?, self.words.next()?];
                    if protocol != Protocol::Tcp || flags != ["--tcp-flags", "FIN,SYN,RST,ACK", "SYN"] {
                        return None;
                    }
                    self.matches.push(Match::TcpNotSyn);
                }
                _ => break word,
            }
        };
        self.protocol_used = true;
        // A module without a condition is somebody else's way to write.
        (self.matches.len() > before).then_some(after)
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    match text {
        "tcp" | "6" => Some(Protocol::Tcp),
        "udp" | "17" => Some(Protocol::Udp),
        "sctp" | "132" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// `80` or `80:90`; port 0 is none that we write.
fn range(protocol: Protocol, text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last).then_some(PortRange { protocol, first, last })
}
