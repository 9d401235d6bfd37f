//! What people type, made into values; the errors complete `invalid argument "x" for "--flag" flag: ...`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::duration::parse_duration;
use super::format::LogFormat;
use crate::metrics::Notation;
use crate::net::{PortRange, Protocol, parse_ports};
use crate::policy::{
    DefaultAccess, EntryError, FieldError, Hook, RuleSource, SourceEntry, SourceError, Target, check_comment,
    check_interface,
};

/// A rule as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleName {
    /// Its place, counted from 1.
    Number(usize),
    /// Its ID or the beginning of it, lower-case hexadecimal digits.
    Id(String),
}

/// Whom somebody wants to reach, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As it was typed.
    pub text: String,
    /// Containers; `None`: whoever has this port of the host.
    pub target: Option<Target>,
    /// The container's port, or without a target the host's.
    pub port: Option<(Protocol, u16)>,
}

/// A file or the standard stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `-`.
    Stdin,
    /// A path.
    File(PathBuf),
}

/// A source of a rule as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceArg {
    /// The words.
    pub text: String,
    /// What they mean.
    pub source: RuleSource,
    /// The block that was meant when host bits were set; to be said to the user.
    pub normalised: Option<IpNet>,
}

/// An entry of a set as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryArg {
    /// The words.
    pub text: String,
    /// The entries they stand for; a range takes several.
    pub entries: Vec<SourceEntry>,
    /// The block that was meant when host bits were set; to be said to the user.
    pub normalised: Option<IpNet>,
}

/// What a new set holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetType {
    /// `hash:net`: addresses and blocks.
    #[default]
    Net,
    /// `hash:ip`: single addresses.
    Ip,
}

/// What `graph` draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Picture {
    /// Graphviz's language.
    Dot,
    /// For Markdown that shows diagrams.
    Mermaid,
    /// For browsers.
    #[default]
    Svg,
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// This moment.
    At(Timestamp),
}

/// A shell that there is a completion script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// Go's `strconv.ParseBool`.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// `table`, `json` or a template; nothing means the default. The template itself is understood later, for its faults are
/// none of a flag, as in Docker.
pub(super) fn parse_format(text: &str) -> Result<String, String> {
    formats(text, &["table", "json"])
}

/// The same with `html`.
pub(super) fn parse_page_format(text: &str) -> Result<String, String> {
    formats(text, &["table", "json", "html"])
}

/// `json` without indentation, or a template; nothing means with.
pub(super) fn parse_inspect_format(text: &str) -> Result<String, String> {
    formats(text, &["json"])
}

/// Docker prints a word that it does not know once for each line of the list; that helps nobody.
fn formats(text: &str, words: &[&str]) -> Result<String, String> {
    if text.is_empty() || text.contains("{{") || words.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("formats are {} and templates such as '{{{{json .}}}}'", words.join(", ")))
}

/// `dot`, `mermaid`, `svg`.
pub(super) fn parse_picture(text: &str) -> Result<Picture, String> {
    match text {
        "dot" => Ok(Picture::Dot),
        "mermaid" => Ok(Picture::Mermaid),
        "svg" => Ok(Picture::Svg),
        _ => Err("pictures are dot, mermaid and svg".to_owned()),
    }
}

/// `prometheus`, `openmetrics`.
pub(super) fn parse_notation(text: &str) -> Result<Notation, String> {
    match text {
        "prometheus" => Ok(Notation::Prometheus),
        "openmetrics" => Ok(Notation::OpenMetrics),
        _ => Err("notations are prometheus and openmetrics".to_owned()),
    }
}

/// A file to be written.
pub(super) fn parse_output(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a file name is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// `key=value`; keys are trimmed and in lower case.
pub(super) fn parse_filter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
        None => Err("bad format of filter (expected name=value)".to_owned()),
    }
}

/// Sources joined by commas.
pub(super) fn parse_sources(text: &str) -> Result<Vec<SourceArg>, SourceError> {
    text.split(',')
        .map(|item| {
            let item = item.trim();
            let (source, normalised) = RuleSource::parse(item)?;
            Ok(SourceArg { text: item.to_owned(), source, normalised })
        })
        .collect()
}

/// An address, block or range for a set.
pub(super) fn parse_entry(text: &str) -> Result<EntryArg, EntryError> {
    let (entries, normalised) = SourceEntry::parse(text)?;
    Ok(EntryArg { text: text.to_owned(), entries, normalised })
}

/// One address; an IPv4 address in IPv6 clothes is the IPv4 one.
pub(super) fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| format!("{text:?} is not an IP address"))
}

/// A name of a network interface.
pub(super) fn parse_interface(text: &str) -> Result<String, FieldError> {
    check_interface(text).map(|()| text.to_owned())
}

/// Free words on one line.
pub(super) fn parse_comment(text: &str) -> Result<String, FieldError> {
    check_comment(text).map(|()| text.to_owned())
}

/// `2030-01-31T18:00:00Z`, cut to whole seconds.
pub(super) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let moment = text.parse::<Timestamp>().map_err(|_| "must be a moment such as 2030-01-31T18:00:00Z".to_owned())?;
    Timestamp::from_second(moment.as_second()).map_err(|error| error.to_string())
}

/// `42m`, or `2030-01-31T18:00:00Z`.
pub(super) fn parse_since(text: &str) -> Result<Since, String> {
    let at = || text.parse::<Timestamp>().map(Since::At);
    parse_duration(text)
        .map(Since::Ago)
        .or_else(|_| at())
        .map_err(|_| format!("{text:?} is neither a time such as 42m or 2h nor a moment such as 2030-01-31T18:00:00Z"))
}

/// A number of lines, or `all`.
pub(super) fn parse_tail(text: &str) -> Result<Option<usize>, String> {
    if text == "all" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("{text:?} is neither a number nor all"))
}

/// A place in the list of rules, counted from 1.
pub(super) fn parse_place(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number > 0 && !text.starts_with('+') => Ok(number),
        _ => Err("rules are counted from 1".to_owned()),
    }
}

/// A number or an ID; IDs of digits only are told from numbers by their length.
pub(super) fn parse_rule_name(text: &str) -> Result<RuleName, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && text.len() < 8 {
        return parse_place(text).map(RuleName::Number);
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{text:?} is neither the number nor the ID of a rule; --target takes targets"));
    }
    Ok(RuleName::Id(text.to_ascii_lowercase()))
}

/// `open`, `closed`.
pub(super) fn parse_default(text: &str) -> Result<DefaultAccess, String> {
    match text {
        "open" => Ok(DefaultAccess::Open),
        "closed" => Ok(DefaultAccess::Closed),
        _ => Err(format!("{text:?} is neither open nor closed")),
    }
}

/// `docker-user`, `docker`, `forward`.
pub(super) fn parse_hook(text: &str) -> Result<Hook, String> {
    match text {
        "docker-user" => Ok(Hook::DockerUser),
        "docker" => Ok(Hook::Docker),
        "forward" => Ok(Hook::Forward),
        _ => Err("the hooks are docker-user, docker and forward".to_owned()),
    }
}

/// `text`, `json`.
pub(super) fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("the formats of a log are text and json".to_owned()),
    }
}

/// `hash:net`, `hash:ip`.
pub(super) fn parse_set_type(text: &str) -> Result<SetType, String> {
    match text {
        "hash:net" => Ok(SetType::Net),
        "hash:ip" => Ok(SetType::Ip),
        _ => Err("sets are hash:net or hash:ip".to_owned()),
    }
}

/// `TARGET`, `TARGET:PORT[/PROTOCOL]` or `:PORT[/PROTOCOL]`.
pub(super) fn parse_destination(text: &str) -> Result<Destination, String> {
    let target = |text: &str| text.parse::<Target>().map_err(|error| error.to_string());
    let numbered = text.rsplit_once(':').filter(|(head, tail)| {
        tail.starts_with(|first: char| first.is_ascii_digit()) && !matches!(*head, "label" | "network" | "service")
    });
    let Some((head, tail)) = numbered else {
        return Ok(Destination { text: text.to_owned(), target: Some(target(text)?), port: None });
    };
    let ports = parse_ports(tail).map_err(|error| error.to_string())?;
    let [PortRange { protocol, first, last }] = ports.ranges() else { return Err("name one port".to_owned()) };
    if first != last {
        return Err("name one port".to_owned());
    }
    let target = if head.is_empty() { None } else { Some(target(head)?) };
    Ok(Destination { text: text.to_owned(), target, port: Some((*protocol, *first)) })
}

/// `bash`, `zsh`, `fish`.
pub(super) fn parse_shell(text: &str) -> Result<Shell, String> {
    match text {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        _ => Err("there are scripts for bash, zsh and fish".to_owned()),
    }
}

/// A path, or `-`.
pub(super) fn parse_input(text: &str) -> Result<Input, String> {
    match text {
        "" => Err("a file name is empty".to_owned()),
        "-" => Ok(Input::Stdin),
        path => Ok(Input::File(PathBuf::from(path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_of_rules() {
        assert_eq!(parse_rule_name("3").unwrap(), RuleName::Number(3));
        assert_eq!(parse_rule_name("12345678").unwrap(), RuleName::Id("12345678".to_owned()));
        assert_eq!(parse_rule_name("AB12").unwrap(), RuleName::Id("ab12".to_owned()));
        for text in ["", "0", "+3", "web", "-1"] {
            assert!(parse_rule_name(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_log_begins_some_time_ago_or_at_a_moment() {
        assert_eq!(parse_since("42m").unwrap(), Since::Ago(Duration::from_secs(42 * 60)));
        assert_eq!(parse_since("1970-01-01T01:00:00+01:00").unwrap(), Since::At(Timestamp::UNIX_EPOCH));
        assert_eq!((parse_tail("all"), parse_tail("0")), (Ok(None), Ok(Some(0))));
        assert!(["", "5", "yesterday", "-1h"].iter().all(|text| parse_since(text).is_err()));
        assert!(["", "-1", "many"].iter().all(|text| parse_tail(text).is_err()));
    }

    #[test]
    fn a_destination_may_name_a_port() {
        let read = |text: &str| parse_destination(text).map(|to| (to.target.map(|target| target.to_string()), to.port));
        assert_eq!(read("web").unwrap(), (Some("web".to_owned()), None));
        assert_eq!(read("shop/api:53/udp").unwrap(), (Some("shop/api".to_owned()), Some((Protocol::Udp, 53))));
        assert_eq!(read("label:a=b:443").unwrap(), (Some("label:a=b".to_owned()), Some((Protocol::Tcp, 443))));
        assert_eq!(read("label:8080").unwrap(), (Some("label:8080".to_owned()), None));
        assert_eq!(read(":8443").unwrap(), (None, Some((Protocol::Tcp, 8443))));
        for text in ["", ":", "web:0", "web:80-90", "web:80,81", "web:80/icmp", "web:99999"] {
            assert!(read(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn sources_say_what_was_meant() {
        let sources = parse_sources("ipfriends, 10.1.2.3/8,any").unwrap();
        assert_eq!(sources[1].normalised.unwrap().to_string(), "10.0.0.0/8");
        assert!(parse_sources("a,,b").is_err());
    }
}
