//! The options of one rule, word by word.

use std::net::IpAddr;

use ipnet::IpNet;

use super::condition::{Ask, Condition, States};
use super::target::{Target, masked};
use crate::ruleset::rule::SetDirection;

/// A rule being read. Each option is a condition of its own: a module's options must all hold.
pub(super) struct Options<'a> {
    words: &'a [String],
    module: &'a str,
    conditions: Vec<Condition>,
    /// How many conditions there were when the module began.
    before: usize,
}

impl<'a> Options<'a> {
    /// Reads all; `None` when the words are no rule.
    pub(super) fn read(words: &'a [String]) -> Option<(Vec<Condition>, Target)> {
        let mut options = Self { words, module: "", conditions: Vec::new(), before: 0 };
        let mut target = Target::Continue;
        while let Some(word) = options.next() {
            let negated = word == "!";
            let word = if negated { options.next()? } else { word };
            match word {
                "-j" | "-g" => {
                    let name = options.next()?;
                    target = Target::parse(name, std::mem::take(&mut options.words));
                    target = match target {
                        Target::Jump(chain) if word == "-g" => Target::Goto(chain),
                        other => other,
                    };
                }
                "-m" => {
                    options.close_module();
                    options.module = options.next()?;
                    options.before = options.conditions.len();
                    if options.module == "rpfilter" {
                        let condition = options.reverse_path();
                        options.conditions.push(condition);
                    }
                }
                option => {
                    let ask = options.ask(option)?;
                    options.conditions.push(Condition::new(negated, ask));
                }
            }
        }
        options.close_module();
        Some((options.conditions, target))
    }

    /// What stands for a rule whose very words make no sense.
    pub(super) fn beyond() -> (Vec<Condition>, Target) {
        (vec![Condition::new(false, Ask::Unknown)], Target::Unknown)
    }

    /// A module without options asks something all the same, unless it is a protocol's, which asks for ports.
    fn close_module(&mut self) {
        let silent = self.conditions.len() == self.before;
        if silent && !matches!(self.module, "" | "tcp" | "udp" | "sctp" | "comment") {
            self.conditions.push(Condition::new(false, Ask::Unknown));
        }
    }

    /// `-m rpfilter` is one question, whatever its options.
    fn reverse_path(&mut self) -> Condition {
        let (mut loose, mut inverted) = (false, false);
        while let Some((option, rest)) = self.words.split_first() {
            match option.as_str() {
                "--loose" => loose = true,
                "--invert" => inverted = true,
                "--validmark" | "--accept-local" => {}
                _ => break,
            }
            self.words = rest;
        }
        Condition::new(inverted, Ask::ReversePath { loose })
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// The words that follow and belong to the option: up to the next option.
    fn values(&mut self) -> &'a [String] {
        let is_option = |word: &String| {
            word == "!" || word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| !c.is_ascii_digit()))
        };
        let end = self.words.iter().position(is_option).unwrap_or(self.words.len());
        let (own, rest) = self.words.split_at(end);
        self.words = rest;
        own
    }

    fn ask(&mut self, option: &str) -> Option<Ask> {
        if !option.starts_with('-') {
            return None;
        }
        // A comment may look like anything, options too.
        if option == "--comment" {
            self.next()?;
            return Some(Ask::Always);
        }
        let module = self.module;
        let values = self.values();
        let one = || match values {
            [one] => Some(one.as_str()),
            _ => None,
        };
        let asked = match option {
            "-s" => one().and_then(net).map(Ask::Source),
            "-d" => one().and_then(net).map(Ask::Destination),
            "-i" => one().map(|name| Ask::In(name.to_owned())),
            "-o" => one().map(|name| Ask::Out(name.to_owned())),
            "-p" => one().map(protocol),
            // Second and later fragments never come here alone: defragmentation is the connection tracker's.
            "-f" if values.is_empty() => Some(Ask::Never),
            _ => self::option(module, option, values),
        };
        Some(asked.unwrap_or(Ask::Unknown))
    }
}

/// An option of a module.
fn option(module: &str, option: &str, values: &[String]) -> Option<Ask> {
    let one = values.first().map(String::as_str);
    let only = || one.filter(|_| values.len() == 1);
    Some(match (module, option) {
        ("tcp" | "udp" | "sctp", "--sport") | ("multiport", "--sports") => Ask::SourcePorts(ports(only()?)?),
        ("tcp" | "udp" | "sctp", "--dport") | ("multiport", "--dports") => Ask::DestinationPorts(ports(only()?)?),
        ("multiport", "--ports") => Ask::EitherPorts(ports(only()?)?),
        ("tcp", "--tcp-flags") => match values {
            [mask, set] => Ask::TcpFlags { mask: flags(mask)?, set: flags(set)? },
            _ => return None,
        },
        ("conntrack", "--ctstate") | ("state", "--state") => Ask::State(States::parse(only()?)?),
        ("conntrack", "--ctdir") => Ask::Direction { reply: only()? == "REPLY" },
        ("conntrack", "--ctorigsrc") => Ask::OriginalSource(net(only()?)?),
        ("conntrack", "--ctorigdst") => Ask::OriginalDestination(net(only()?)?),
        ("conntrack", "--ctorigdstport") => {
            let ranges = ports(only()?)?;
            let [(first, last)] = ranges[..] else { return None };
            Ask::OriginalDestinationPort(first, last)
        }
        ("conntrack", "--ctproto") => match protocol(only()?) {
            Ask::Protocol(number) => Ask::ConnectionProtocol(number),
            _ => return None,
        },
        ("addrtype", "--src-type") => Ask::SourceType(only()?.split(',').map(str::to_owned).collect()),
        ("addrtype", "--dst-type") => Ask::DestinationType(only()?.split(',').map(str::to_owned).collect()),
        ("set", "--match-set") => match values {
            [name, sides] => Ask::Set { name: name.clone(), directions: directions(sides)? },
            _ => return None,
        },
        // Written with a `!`, and about counters.
        ("set", "--update-counters" | "--update-subcounters") => return Some(Ask::Never),
        ("mark", "--mark") => masked(only()?).map(|(value, mask)| Ask::Mark { value, mask })?,
        ("connmark", "--mark") => masked(only()?).map(|(value, mask)| Ask::ConnMark { value, mask })?,
        ("iprange", "--src-range") => range(only()?).map(|(first, last)| Ask::SourceRange(first, last))?,
        ("iprange", "--dst-range") => range(only()?).map(|(first, last)| Ask::DestinationRange(first, last))?,
        ("physdev", "--physdev-is-bridged") => Ask::Bridged,
        ("pkttype", "--pkt-type") if only()? == "unicast" => Ask::Always,
        ("pkttype", "--pkt-type") if matches!(only()?, "broadcast" | "multicast") => Ask::Never,
        ("icmp" | "icmp6", _) => Ask::Never,
        ("nfacct", _) => Ask::Always,
        _ => return None,
    })
}

fn net(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(|net| net.trunc())
}

/// By name or number; iptables knows many names, and those without ports are all one here.
fn protocol(text: &str) -> Ask {
    match text {
        "tcp" | "6" => Ask::Protocol(Some(6)),
        "udp" | "17" => Ask::Protocol(Some(17)),
        "sctp" | "132" => Ask::Protocol(Some(132)),
        "all" | "0" => Ask::Always,
        _ => Ask::Protocol(None),
    }
}

/// `80`, `80:90`, `:1023`, `1024:`, and lists of them.
fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
    text.split(',')
        .map(|item| {
            let (first, last) = item.split_once(':').unwrap_or((item, item));
            let first = if first.is_empty() { 0 } else { first.parse().ok()? };
            let last = if last.is_empty() { u16::MAX } else { last.parse().ok()? };
            Some((first, last))
        })
        .collect()
}

/// The bits of a TCP header (RFC 793, and 3168 for the last two).
fn flags(text: &str) -> Option<u8> {
    text.split(',').try_fold(0, |all, word| {
        Some(
            all | match word {
                "FIN" => 0x01,
                "SYN" => 0x02,
                "RST" => 0x04,
                "PSH" => 0x08,
                "ACK" => 0x10,
                "URG" => 0x20,
                "ALL" => 0x3f,
                "NONE" => 0,
                _ => return None,
            },
        )
    })
}

fn directions(text: &str) -> Option<Vec<SetDirection>> {
    text.split(',')
        .map(|side| match side {
            "src" => Some(SetDirection::Src),
            "dst" => Some(SetDirection::Dst),
            _ => None,
        })
        .collect()
}

fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}
