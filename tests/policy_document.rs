//! The policy file: what it says, what is refused, and that edits leave everything else alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]
use docker_firewall::net::{PortSet, Protocol, parse_ports};
use docker_firewall::policy::{
    DOCUMENT_MAX, DefaultAccess, Document, DocumentError, Hook, Policy, Ports, Rule, RuleSource, Target, Verdict,
};
use proptest::prelude::*;

const FULL: &str = r#"# House rules. Ask Ada.
version = 1
default = "closed" # since 2026
hook = "forward"

# the office
[[rule]]
verdict = "allow"
target = ["web", "shop/api", "service:shop_web", "label:tier=front", "network:front", "*"]
from = "ipfriends, 192.0.2.0/24"   # both
port = ["443/tcp,80", 53, "53/udp"]

[[rule]]
verdict = "deny"
target = "web"
from = ["any", "ipset:crowdsec", "10.0.0.1-10.0.0.9", "2001:db8::/32"]
published = 8443
interface = "eth0"
expires = 2030-01-31T18:00:00+01:00
comment = "bad \"guys\""
pending = true
# a last word
"#;

fn problems(text: &str) -> Vec<String> {
    match Document::parse(text) {
        Ok(document) => panic!("{text:?} was accepted: {:?}", document.policy()),
        Err(DocumentError { problems }) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn unplaced(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    for rule in &mut policy.rules {
        rule.line = None;
    }
    policy
}

fn simple(target: &str) -> Rule {
    Rule {
        verdict: Verdict::Allow,
        targets: vec![target.parse().unwrap()],
        ports: Ports { container: Some(parse_ports("80").unwrap()), published: None },
        sources: vec![RuleSource::parse("ipfriends").unwrap().0],
        interface: None,
        expires: None,
        comment: None,
        pending: false,
        log: false,
        line: None,
    }
}

#[test]
fn reads_every_key() {
    let document = Document::parse(FULL).unwrap();
    let policy = document.policy();
    assert_eq!((policy.default, policy.hook), (DefaultAccess::Closed, Hook::Forward));
    let [first, second] = policy.rules.as_slice() else { panic!("{policy:?}") };
    assert_eq!(
        first.to_string(),
        "allow web shop/api service:shop_web label:tier=front network:front '*' --from ipfriends,192.0.2.0/24 \
         --port 53/tcp,80/tcp,443/tcp,53/udp"
    );
    assert_eq!(
        second.to_string(),
        "deny web --from any,ipset:crowdsec,10.0.0.1-10.0.0.9,2001:db8::/32 --published 8443/tcp --interface eth0 \
         --until 2030-01-31T17:00:00Z"
    );
    assert_eq!((first.line, second.line), (Some(7), Some(13)));
    assert_eq!(second.comment.as_deref(), Some("bad \"guys\""));
    assert!(second.pending && !first.pending);
    assert_eq!(document.text(), FULL);
    assert!(document.notes().is_empty());
}

#[test]
fn the_new_file_is_an_empty_policy() {
    let document = Document::empty();
    assert_eq!(document.policy(), &Policy::default());
    assert!(document.text().starts_with("# Who may reach"));
    assert_eq!(Document::parse(&document.text()).unwrap().policy(), &Policy::default());
    // The example in its header is a rule that would be read.
    let example: String = document
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .fold("version = 1\n".to_owned(), |text, line| format!("{text}{line}\n"));
    assert_eq!(Document::parse(&example).unwrap().policy().rules.len(), 1);
}

#[test]
fn names_the_line_and_what_was_meant() {
    let text =
        "version = 1\ndefault = \"open\"\n\n\n# x\n[[rule]]\nverdict = \"alow\"\ntarget = \"web\"\nfrom = \"any\"\n";
    assert_eq!(problems(text), ["line 7: unknown verdict `alow`, did you mean `allow`"]);
    let error = Document::parse(text).unwrap_err();
    assert_eq!((error.problems[0].line, error.problems[0].column), (7, 11));
    assert_eq!(error.to_string(), "line 7: unknown verdict `alow`, did you mean `allow`");
}

#[test]
fn lists_every_problem() {
    let text = r#"version = 1
default = "opne"
hook = 7
colour = "red"
[[rule]]
verdict = "allow"
targets = "web"
from = []
port = "80abc"
[[rule]]
verdict = true
target = ["ok", "", 5]
from = "10.0.0.0/33,fe80::1%eth0"
published = 0
interface = "a/b"
expires = 2030-01-31T18:00:00
comment = "a\nb"
pending = "yes"
"#;
    insta::assert_snapshot!(problems(text).join("\n"), @r###"
    line 2: unknown default `opne`, did you mean `open`
    line 3: `hook` must be a word in quotes, not a number
    line 4: unknown key `colour`: the policy file has `version`, `default`, `unseen`, `hook`, `log` and `rule`
    line 5: the rule has no `target`
    line 7: unknown key `targets`, did you mean `target`
    line 8: `from` is an empty list
    line 9: "80abc" is not a port number
    line 11: `verdict` must be a word in quotes, not true or false
    line 12: a target is empty: name a container, PROJECT/SERVICE, service:NAME, label:KEY[=VALUE], network:NAME or '*'
    line 12: `target` must be a string or a list of strings, not a number
    line 13: "10.0.0.0/33" has a bad prefix length: it goes from 0 to 32
    line 13: "fe80::1%eth0" has an IPv6 zone: zones mean nothing in a rule, name the interface with --interface instead
    line 14: port 0 is out of range: ports go from 1 to 65535
    line 15: "a/b" is no interface name: no spaces, quotes, "/", ":" or "\", no leading "-" and no trailing "+"
    line 16: `2030-01-31T18:00:00` is no moment: write date, time and zone, like 2030-01-31T18:00:00Z or 2030-01-31T19:00:00+01:00
    line 17: a comment has the control character '\n': it must be one line of plain text
    line 18: `pending` must be true or false, not a string
    "###);
}

#[test]
fn refuses_bad_files() {
    let rule = "[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = \"any\"\n";
    for (text, expected) in [
        (String::new(), "line 1: the file has no `version = 1`"),
        ("\u{feff}".to_owned(), "line 1: the file has no `version = 1`"),
        ("version = 2\n".to_owned(), "line 1: version 2 was written by a newer docker-firewall"),
        ("version = 0\n".to_owned(), "line 1: `version` must be 1"),
        ("version = \"1\"\n".to_owned(), "line 1: `version` must be 1"),
        ("version = 1\nversion = 1\n".to_owned(), "line 2: duplicate key"),
        (format!("version = 1\n{rule}from = \"any\"\n"), "line 6: duplicate key"),
        (format!("version = 1\n{}", rule.trim_end_matches("\"\n")), "line 5: "),
        ("version = 1\n[[rul".to_owned(), "line 2: "),
        ("version = 1\n[rule]\nverdict = \"allow\"\n".to_owned(), "line 2: rules are written as [[rule]]"),
        ("version = 1\nrule = []\n".to_owned(), "line 2: rules are written as [[rule]]"),
        ("version = 1\n[rules]\n".to_owned(), "line 2: unknown key `rules`, did you mean `rule`"),
        ("version = 1\n[[rule]]\n".to_owned(), "line 2: the rule has no `verdict`"),
        (format!("version = 1\n{rule}log = true\n"), "line 6: an allow rule denies nothing to log"),
        (format!("version = 1\n{rule}[rule.port]\na = 1\n"), "line 6: `port` must be"),
        ("version = 1\u{0}\n".to_owned(), "line 1: "),
        (format!("a = {}", "[".repeat(100_000)), "line 1: "),
        ("x".repeat(10_000_000), "the policy file has 10000000 bytes"),
    ] {
        let found = problems(&text);
        assert!(found[0].starts_with(expected), "{text:.60?}: {found:?}");
    }
    assert!(Document::parse(&"#".repeat(DOCUMENT_MAX + 1)).is_err());
}

#[test]
fn says_when_host_bits_were_cleared() {
    let text = "version = 1\n[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = \"10.1.2.3/8\"\n";
    let document = Document::parse(text).unwrap();
    assert_eq!(document.notes()[0].to_string(), "line 5: 10.1.2.3/8 has host bits set: read as 10.0.0.0/8");
    assert_eq!(document.policy().rules[0].sources[0].to_string(), "10.0.0.0/8");
}

#[test]
fn windows_files_stay_windows_files() {
    let text = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
    let mut document = Document::parse(&text).unwrap();
    assert_eq!(unplaced(document.policy()), unplaced(Document::parse(FULL).unwrap().policy()));
    assert_eq!(document.policy().rules[1].line, Some(13));
    assert_eq!(document.text(), text);
    document.insert(1, &simple("db")).unwrap();
    document.set_default(DefaultAccess::Open).unwrap();
    let edited = document.text();
    assert!(edited.starts_with('\u{feff}'));
    assert_eq!(edited.matches('\n').count(), edited.matches("\r\n").count());
    document.remove(1).unwrap();
    document.set_default(DefaultAccess::Closed).unwrap();
    assert_eq!(document.text(), text);
}

#[test]
fn inserts_where_it_was_told() {
    let mut document = Document::parse(FULL).unwrap();
    document.insert(0, &simple("a")).unwrap();
    document.insert(9, &simple("z")).unwrap();
    document.insert(2, &simple("m")).unwrap();
    insta::assert_snapshot!(document.text(), @r###"
    # House rules. Ask Ada.
    version = 1
    default = "closed" # since 2026
    hook = "forward"

    [[rule]]
    verdict = "allow"
    target = "a"
    from = "ipfriends"
    port = "80/tcp"

    # the office
    [[rule]]
    verdict = "allow"
    target = ["web", "shop/api", "service:shop_web", "label:tier=front", "network:front", "*"]
    from = "ipfriends, 192.0.2.0/24"   # both
    port = ["443/tcp,80", 53, "53/udp"]

    [[rule]]
    verdict = "allow"
    target = "m"
    from = "ipfriends"
    port = "80/tcp"

    [[rule]]
    verdict = "deny"
    target = "web"
    from = ["any", "ipset:crowdsec", "10.0.0.1-10.0.0.9", "2001:db8::/32"]
    published = 8443
    interface = "eth0"
    expires = 2030-01-31T18:00:00+01:00
    comment = "bad \"guys\""
    pending = true
    # a last word

    [[rule]]
    verdict = "allow"
    target = "z"
    from = "ipfriends"
    port = "80/tcp"
    "###);
    let names: Vec<String> = document.policy().rules.iter().map(|rule| rule.targets[0].to_string()).collect();
    assert_eq!(names, ["a", "web", "m", "web", "z"]);
    for index in [4, 2, 0] {
        document.remove(index).unwrap();
    }
    assert_eq!(document.text(), FULL);
}

#[test]
fn removes_a_rule_with_its_own_comments_only() {
    let mut document = Document::parse(FULL).unwrap();
    let removed = document.remove(0).unwrap();
    assert_eq!(removed.targets.len(), 6);
    document.remove(0).unwrap();
    assert_eq!(
        document.text(),
        "# House rules. Ask Ada.\nversion = 1\ndefault = \"closed\" # since 2026\nhook = \"forward\"\n\n# a last word\n"
    );
    let error = document.remove(0).unwrap_err();
    assert_eq!(error.to_string(), "there is no rule 1: the policy has 0");
}

#[test]
fn a_comment_of_the_file_stays() {
    let rule = "[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = \"any\"\n";
    for (head, tail) in [
        ("# top\nversion = 1\n# all of it\n", ""),
        ("version = 1\n\n# chapter\n\n", ""),
        ("version = 1\n", "# below\n"),
        ("version = 1\n", "\n# parted\n\n# twice\n"),
    ] {
        let mut document = Document::parse(&format!("{head}{rule}{tail}")).unwrap();
        document.remove(0).unwrap();
        for line in head.lines().chain(tail.lines()) {
            assert!(document.text().contains(line), "{line:?} vanished from {head:?} {tail:?}");
        }
    }
    // What looks like a comment inside a string is none.
    let text = format!("version = 1\n{}# y\"\"\"\n{rule}", rule.replace("\"any\"\n", "\"any\"\ncomment = \"\"\"\\\n"));
    let mut document = Document::parse(&text).unwrap();
    document.remove(1).unwrap();
    assert_eq!(document.policy().rules[0].comment.as_deref(), Some("# y"));
}

#[test]
fn sets_default_and_hook() {
    let mut document = Document::parse("version = 1 # one").unwrap();
    document.set_hook(Hook::Forward).unwrap();
    document.set_default(DefaultAccess::Closed).unwrap();
    assert_eq!(document.text(), "version = 1 # one\ndefault = \"closed\"\nhook = \"forward\"\n");
    let mut document = Document::parse(FULL).unwrap();
    document.set_default(DefaultAccess::Open).unwrap();
    document.set_hook(Hook::DockerUser).unwrap();
    assert_eq!(document.text(), FULL.replace("\"closed\"", "\"open\"").replace("\"forward\"", "\"docker-user\""));
}

#[test]
fn refuses_rules_that_no_file_can_hold() {
    let mut document = Document::parse(FULL).unwrap();
    let base = simple("web");
    for rule in [
        Rule { comment: Some("x".repeat(256)), ..base.clone() },
        Rule { comment: Some("a\nb".to_owned()), ..base.clone() },
        Rule { interface: Some("-x".to_owned()), ..base.clone() },
        Rule { targets: Vec::new(), ..base.clone() },
        Rule { sources: Vec::new(), ..base.clone() },
        Rule { targets: vec![Target::Container("a/b".to_owned())], ..base.clone() },
        Rule { targets: vec![Target::Container("label:x".to_owned())], ..base },
    ] {
        assert!(document.insert(0, &rule).is_err(), "{rule:?} was accepted");
        assert_eq!(document.text(), FULL);
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    let target = prop_oneof![
        "[a-z][a-z0-9_.-]{0,8}".prop_map(Target::Container),
        ("[a-z]{1,5}", "[a-z]{1,5}").prop_map(|(project, service)| Target::Service(project, service)),
        ("[a-z.]{1,8}", proptest::option::of("[^\\p{C}]{0,12}")).prop_map(|(key, value)| Target::Label(key, value)),
        "[a-z][a-z0-9_-]{0,8}".prop_map(Target::SwarmService),
        "[a-z ]{1,5}x".prop_map(Target::Network),
        Just(Target::All),
    ];
    let source = prop_oneof![
        Just("any".to_owned()),
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        (any::<std::net::Ipv6Addr>(), 0u8..=128).prop_map(|(ip, length)| format!("{ip}/{length}")),
        Just("10.0.0.1-10.0.0.9".to_owned()),
        "[a-z]{1,5}x".prop_filter("reserved", |name| name != "any"),
        "ipset:[a-z0-9]{1,9}",
    ]
    .prop_filter_map("no source", |text| RuleSource::parse(&text).ok().map(|(source, _)| source));
    let range = (1u16.., 1u16..).prop_map(|(a, b)| docker_firewall::net::PortRange {
        protocol: Protocol::ALL[usize::from(a % 3)],
        first: a.min(b),
        last: a.max(b),
    });
    let ports = proptest::collection::vec(range, 0..3).prop_map(PortSet::new).boxed();
    (
        any::<bool>(),
        proptest::collection::vec(target, 1..4),
        proptest::collection::vec(source, 1..4),
        (ports.clone(), ports),
        proptest::option::of("[a-z][a-z0-9.]{0,14}"),
        proptest::option::of(0i64..4_000_000_000),
        proptest::option::of("[^\\p{C}]{0,40}"),
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(allow, targets, sources, (container, published), interface, expires, comment, [pending, log])| Rule {
                verdict: if allow { Verdict::Allow } else { Verdict::Deny },
                targets,
                ports: Ports { container, published },
                sources,
                interface,
                expires: expires.map(|second| jiff::Timestamp::from_second(second).unwrap()),
                comment,
                pending,
                log: log && !allow,
                line: None,
            },
        )
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(usize, Box<Rule>),
    Remove(usize),
    Default(bool),
    Hook(usize),
    Log(bool),
    RuleLog(usize, bool),
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (0usize..6, rules()).prop_map(|(index, rule)| Edit::Insert(index, Box::new(rule))),
        2 => (0usize..6).prop_map(Edit::Remove),
        1 => any::<bool>().prop_map(Edit::Default),
        1 => (0usize..3).prop_map(Edit::Hook),
        1 => any::<bool>().prop_map(Edit::Log),
        2 => (0usize..6, any::<bool>()).prop_map(|(index, log)| Edit::RuleLog(index, log)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn edits_do_what_they_say_and_keep_foreign_comments(
        edits in proptest::collection::vec(edits(), 1..12),
        windows in any::<bool>(),
        gaps in proptest::collection::vec(prop_oneof![Just(""), Just("\n"), Just("\n# alone\n\n"), Just("\n\n\n")], 3),
    ) {
        let rule = |name: &str, gap: &str| {
            format!("{gap}[[rule]] # of {name}\nverdict = 'deny'\ntarget  = [\n  \"{name}\", # why\n]\nfrom=\"any\"\n")
        };
        let mut text = format!(
            "# head\nversion = 1\n{}{}{}# tail\n",
            rule("one", gaps[0]), rule("two", gaps[1]), rule("three", gaps[2]),
        );
        if windows {
            text = text.replace('\n', "\r\n");
        }
        let mut document = Document::parse(&text).unwrap();
        let mut model = unplaced(document.policy());
        let alone = text.matches("# alone").count();
        for edit in edits {
            let before = document.text();
            match edit {
                Edit::Insert(index, rule) => {
                    document.insert(index, &rule).unwrap();
                    let index = index.min(model.rules.len());
                    model.rules.insert(index, *rule);
                    // And back: at most empty lines at the very end are lost.
                    let mut undone = document.clone();
                    undone.remove(index).unwrap();
                    let undone = undone.text();
                    prop_assert_eq!(undone.trim_end(), before.trim_end());
                }
                Edit::Remove(index) if index < model.rules.len() => {
                    document.remove(index).unwrap();
                    model.rules.remove(index);
                }
                Edit::Remove(index) => prop_assert!(document.remove(index).is_err()),
                Edit::Default(closed) => {
                    model.default = if closed { DefaultAccess::Closed } else { DefaultAccess::Open };
                    document.set_default(model.default).unwrap();
                }
                Edit::Hook(index) => {
                    model.hook = Hook::ALL[index];
                    document.set_hook(model.hook).unwrap();
                }
                Edit::Log(log) => {
                    model.log = log;
                    document.set_log(log).unwrap();
                }
                Edit::RuleLog(index, log) => {
                    let denies = model.rules.get(index).is_some_and(|rule| rule.verdict == Verdict::Deny);
                    // An allow rule has nothing to log, and a rule that is not there neither.
                    prop_assert_eq!(document.set_rule_log(index, log).is_ok(), denies || (index < model.rules.len() && !log));
                    model.rules.iter_mut().skip(index).take(1).for_each(|rule| rule.log = log && denies);
                }
            }
            let text = document.text();
            prop_assert_eq!(&unplaced(document.policy()), &model);
            prop_assert_eq!(&unplaced(Document::parse(&text).unwrap().policy()), &model);
            prop_assert!(text.starts_with("# head"));
            prop_assert!(text.contains("# tail"));
            prop_assert_eq!(text.matches("# alone").count(), alone);
            // The rules that are still there stand as they were written.
            for rule in &document.policy().rules {
                if let [Target::Container(name)] = rule.targets.as_slice()
                    && ["one", "two", "three"].contains(&name.as_str()) && rule.verdict == Verdict::Deny
                    && !rule.pending && rule.comment.is_none() && rule.interface.is_none()
                {
                    let header = format!("[[rule]] # of {name}");
                    prop_assert!(text.contains(&header));
                }
            }
            if windows {
                prop_assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
            }
        }
    }

    #[test]
    fn never_panics_on_text(text in "\\PC{0,200}") {
        let _ = Document::parse(&text);
    }

    #[test]
    fn never_panics_on_broken_files(cut in 0usize..FULL.len(), noise in "[\\[\\]\"'=#,a\n\\\\{}0-9é]{0,6}", end in 0usize..FULL.len()) {
        let text = format!("{}{noise}{}", &FULL[..cut], &FULL[end..]);
        if let Ok(mut document) = Document::parse(&text) {
            let before = unplaced(document.policy());
            document.insert(0, &simple("new")).unwrap();
            document.remove(0).unwrap();
            prop_assert_eq!(unplaced(document.policy()), before);
        }
    }

    #[test]
    fn ids_ignore_order_and_repetition(rule in rules()) {
        let mut retold = rule.clone();
        retold.targets.reverse();
        retold.sources.extend(rule.sources.clone());
        prop_assert_eq!(rule.id(), retold.id());
        prop_assert_eq!(rule.id().len(), 8);
    }
}
