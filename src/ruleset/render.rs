//! Rules and sets as text, exactly as `iptables-save` and `ipset save` print them back.
//!
//! The nft and the legacy tools print our kinds of rule alike, byte for byte; `tests/netns.rs` asks both. So what is
//! rendered here is at once what the restore tools read and what a later save shows.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::log::{LOG_BLOCK_V6, LOG_BURST, LOG_BYTES, LOG_GROUP, LOG_RATE, LOG_SOURCES};
use super::rule::{Action, Match, Rule, SetDirection, names};
use super::set::{Member, SetEntry, SetKind, SetShape};
use crate::net::{Family, PortRange, Protocol};

/// Renders what follows `-A CHAIN `.
///
/// The tools print interfaces and protocol first and one `-m tcp` for all TCP conditions, whatever the order in which
/// they were given; so does this. Other conditions keep their order.
pub fn render_rule(rule: &Rule) -> String {
    let mut out = String::with_capacity(64);
    for each in &rule.matches {
        if let Match::InInterface(name) = each {
            word(&mut out, &["-i", name]);
        }
    }
    for each in &rule.matches {
        if let Match::OutInterface(name) = each {
            word(&mut out, &["-o", name]);
        }
    }
    if let Some(protocol) = rule.matches.iter().find_map(protocol_of) {
        word(&mut out, &["-p", protocol.name()]);
    } else if rule.matches.iter().any(|each| matches!(each, Match::Icmp6(_))) {
        word(&mut out, &["-p", "ipv6-icmp"]);
    }
    let mut header_done = false;
    for each in &rule.matches {
        if header_of(each).is_none() {
            render_match(&mut out, each);
        } else if !header_done {
            header_done = true;
            render_header(&mut out, rule);
        }
    }
    match &rule.action {
        Action::Return => word(&mut out, &["-j", "RETURN"]),
        Action::Drop => word(&mut out, &["-j", "DROP"]),
        Action::Reset => word(&mut out, &["-j", "REJECT", "--reject-with", "tcp-reset"]),
        Action::Accept => word(&mut out, &["-j", "ACCEPT"]),
        Action::Log(prefix) => {
            word(&mut out, &["-j", "NFLOG", "--nflog-prefix", &quoted(prefix)]);
            word(&mut out, &["--nflog-group", &LOG_GROUP.to_string(), "--nflog-size", &LOG_BYTES.to_string()]);
        }
        Action::Mark(bit) => word(&mut out, &["-j", "MARK", "--set-xmark", &format!("{bit:#x}/{bit:#x}")]),
        Action::Jump(chain) => word(&mut out, &["-j", chain]),
        Action::Goto(chain) => word(&mut out, &["-g", chain]),
    }
    out
}

fn word(out: &mut String, words: &[&str]) {
    for each in words {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(each);
    }
}

/// The protocol that a condition asks for with `-p`.
fn protocol_of(each: &Match) -> Option<Protocol> {
    match each {
        Match::Protocol(protocol) => Some(*protocol),
        Match::Published(ports) => Some(ports.protocol),
        other => header_of(other),
    }
}

/// The protocol whose own `-m` module a condition belongs to.
fn header_of(each: &Match) -> Option<Protocol> {
    match each {
        Match::DestinationPorts(ports) | Match::SourcePorts(ports) => Some(ports.protocol),
        Match::TcpNotSyn => Some(Protocol::Tcp),
        _ => None,
    }
}

/// All conditions on the transport header under one `-m`, in the tools' order: iptables-nft would merge several into
/// one while iptables-legacy would not.
fn render_header(out: &mut String, rule: &Rule) {
    let Some(protocol) = rule.matches.iter().find_map(header_of) else { return };
    word(out, &["-m", protocol.name()]);
    for each in &rule.matches {
        if let Match::SourcePorts(ports) = each {
            word(out, &["--sport", &range(*ports)]);
        }
    }
    for each in &rule.matches {
        if let Match::DestinationPorts(ports) = each {
            word(out, &["--dport", &range(*ports)]);
        }
    }
    if rule.matches.contains(&Match::TcpNotSyn) {
        word(out, &["!", "--tcp-flags", "FIN,SYN,RST,ACK", "SYN"]);
    }
}

fn render_match(out: &mut String, each: &Match) {
    match each {
        Match::Related => word(out, &["-m", "conntrack", "--ctstate", "RELATED"]),
        Match::New => word(out, &["-m", "conntrack", "--ctstate", "NEW"]),
        Match::Dnat => word(out, &["-m", "conntrack", "--ctstate", "DNAT"]),
        Match::NotDnat => word(out, &["-m", "conntrack", "!", "--ctstate", "DNAT"]),
        Match::Unknown => word(out, &["-m", "conntrack", "--ctstate", "INVALID,NEW,UNTRACKED"]),
        Match::Seldom(family) => word(out, &["-m", "hashlimit", &limit(*family)]),
        Match::Original => word(out, &["-m", "conntrack", "--ctdir", "ORIGINAL"]),
        Match::Reply => word(out, &["-m", "conntrack", "--ctdir", "REPLY"]),
        Match::Published(ports) => {
            word(out, &["-m", "conntrack", "--ctstate", "DNAT", "--ctorigdstport", &range(*ports)]);
        }
        Match::Icmp6(kind) => word(out, &["-m", "icmp6", "--icmpv6-type", &kind.to_string()]),
        Match::Set { name, negated, directions } => {
            word(out, &["-m", "set"]);
            if *negated {
                word(out, &["!"]);
            }
            let directions: Vec<&str> = directions.iter().map(|&side| direction(side)).collect();
            word(out, &["--match-set", name, &directions.join(",")]);
        }
        Match::Comment(text) => word(out, &["-m", "comment", "--comment", &quoted(text)]),
        // Interfaces and protocol are printed before every module, header conditions in one.
        Match::InInterface(_)
        | Match::OutInterface(_)
        | Match::Protocol(_)
        | Match::DestinationPorts(_)
        | Match::SourcePorts(_)
        | Match::TcpNotSyn => {}
    }
}

/// The options of `-m hashlimit`, without those that have the value which the tools leave unsaid.
pub(super) fn limit(family: Family) -> String {
    let mut text = format!(
        "--hashlimit-upto {LOG_RATE}/min --hashlimit-burst {LOG_BURST} --hashlimit-mode srcip --hashlimit-name {} \
         --hashlimit-htable-max {LOG_SOURCES}",
        names::MARK
    );
    if family == Family::V6 {
        let _ = write!(text, " --hashlimit-srcmask {LOG_BLOCK_V6}");
    }
    text
}

fn direction(side: SetDirection) -> &'static str {
    match side {
        SetDirection::Src => "src",
        SetDirection::Dst => "dst",
    }
}

/// `80` or `80:90`.
fn range(ports: PortRange) -> String {
    if ports.first == ports.last { ports.first.to_string() } else { format!("{}:{}", ports.first, ports.last) }
}

/// A word of a rule as the tools quote it: bare only when made of letters, digits, `-` and `_`.
fn quoted(text: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !text.is_empty() && text.bytes().all(bare) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\' | '\'') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
    out
}

/// Renders the whole `create` line, without those trailing options that the kernel chooses (`bucketsize`, `initval`).
pub fn render_set_create(name: &str, shape: &SetShape) -> String {
    if let SetKind::Other(rest) = &shape.kind {
        return format!("create {name} {rest}");
    }
    let family = match shape.family {
        Family::V4 => "inet",
        Family::V6 => "inet6",
    };
    let mut out = format!(
        "create {name} {} family {family} hashsize {} maxelem {}",
        shape.kind.name(),
        shape.hashsize,
        shape.maxelem
    );
    if let Some(seconds) = shape.timeout {
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, " timeout {seconds}");
    }
    if shape.counters {
        out.push_str(" counters");
    }
    if shape.comment {
        out.push_str(" comment");
    }
    out
}

/// Renders what follows `add NAME `.
pub fn render_set_entry(entry: &SetEntry, member: &Member) -> String {
    let mut out = String::with_capacity(32);
    push_set_entry(&mut out, entry, member);
    out
}

/// The same behind other text.
pub fn push_set_entry(out: &mut String, entry: &SetEntry, member: &Member) {
    push_entry(out, entry);
    if let Some(seconds) = member.timeout {
        let _ = write!(out, " timeout {seconds}");
    }
    if member.nomatch {
        out.push_str(" nomatch");
    }
    if let Some(comment) = &member.comment {
        let _ = write!(out, " comment \"{comment}\"");
    }
}

/// Renders an entry alone, as `del NAME ` and `test NAME ` take it.
pub fn render_set_key(entry: &SetEntry) -> String {
    let mut out = String::with_capacity(24);
    push_entry(&mut out, entry);
    out
}

fn push_entry(out: &mut String, entry: &SetEntry) {
    match entry {
        SetEntry::Net(net) => push_net(out, net),
        SetEntry::IpPort(address, protocol, port) => {
            push_address(out, *address);
            let _ = write!(out, ",{}:{port}", protocol.name());
        }
        SetEntry::IpPortNet(address, protocol, port, net) => {
            push_address(out, *address);
            let _ = write!(out, ",{}:{port},", protocol.name());
            push_net(out, net);
        }
        SetEntry::NetIface(net, interface) => {
            push_net(out, net);
            out.push(',');
            out.push_str(interface);
        }
        SetEntry::NetPort(net, protocol, port) => {
            push_net(out, net);
            let _ = write!(out, ",{}:{port}", protocol.name());
        }
        SetEntry::Other(text) => out.push_str(text),
    }
}

/// A block; a single address goes without its prefix length, as `ipset save` prints it.
fn push_net(out: &mut String, net: &IpNet) {
    push_address(out, net.addr());
    if net.prefix_len() != net.max_prefix_len() {
        let _ = write!(out, "/{}", net.prefix_len());
    }
}

fn push_address(out: &mut String, address: IpAddr) {
    let _ = match address {
        IpAddr::V4(v4) => write!(out, "{v4}"),
        IpAddr::V6(v6) => match compatible(v6) {
            Some(v4) => write!(out, "::{v4}"),
            None => write!(out, "{v6}"),
        },
    };
}

/// The C library prints `::1:2` as `::0.1.0.2`, which Rust does not.
fn compatible(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = u32::try_from(v6.to_bits()).ok()?;
    (bits > 0xffff).then(|| Ipv4Addr::from_bits(bits))
}
