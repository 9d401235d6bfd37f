//! Set files: what is read, what is refused, that edits keep comments and order, and that ipset itself agrees.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use docker_firewall::net::Family;
use docker_firewall::policy::{EntryError, SetFile, SetName, SourceEntry};
use docker_firewall::ruleset::{SetEntry, SetKind};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const RECIPE: &str = "create -exist ipfriends hash:ip family inet hashsize 1024 maxelem 65536\nflush\n\
    # the office\nadd ipfriends 192.0.2.7\nadd ipfriends 198.51.100.0/30\n\nadd ipfriends 203.0.113.9\n";

fn name() -> SetName {
    "ipfriends".parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T18:00:00Z".parse().unwrap()
}

fn entry(text: &str) -> SourceEntry {
    let (entries, _) = SourceEntry::parse(text).unwrap();
    let [entry] = entries.as_slice() else { panic!("{text} is not one block") };
    entry.clone()
}

fn import(text: &str) -> (SetFile, Vec<String>) {
    SetFile::import(&name(), text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn import_fails(text: &str) -> String {
    match SetFile::import(&name(), text) {
        Ok((file, _)) => panic!("{text:?} was accepted as\n{}", file.text()),
        Err(error) => error.to_string(),
    }
}

/// What `ipset save` prints after `ipset restore` has read `text` in a network namespace of its own.
fn through_ipset(text: &str) -> String {
    let flags = if rustix::process::geteuid().is_root() { "-n" } else { "-rn" };
    let mut child = Command::new("unshare")
        .args([flags, "sh", "-c", "ipset restore && ipset save"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Set and address of every member that `ipset save` printed.
fn kernel_members(saved: &str) -> BTreeSet<(String, IpNet)> {
    let adds = saved.lines().filter_map(|line| line.strip_prefix("add "));
    adds.map(|rest| {
        let mut words = rest.split(' ');
        let (set, element) = (words.next().unwrap(), words.next().unwrap());
        let block = element.parse().unwrap_or_else(|_| IpNet::from(element.parse::<std::net::IpAddr>().unwrap()));
        (set.to_owned(), block)
    })
    .collect()
}

/// The same of what we want the kernel to hold.
fn wanted_members(file: &SetFile) -> BTreeSet<(String, IpNet)> {
    let sets = file.kernel_sets(now());
    let members = sets.into_iter().flat_map(|(set, content)| {
        content.members.keys().collect::<Vec<_>>().into_iter().map(move |entry| match entry {
            SetEntry::Net(block) => (set.clone(), block),
            other => panic!("{other:?}"),
        })
    });
    members.collect()
}

fn agrees_with_ipset(file: &SetFile) {
    assert_eq!(kernel_members(&through_ipset(&file.text())), wanted_members(file), "{}", file.text());
}

#[test]
fn a_new_set_has_both_families() {
    let mut file = SetFile::new(&name());
    assert!(file.add(entry("192.0.2.0/24").with_comment("office").unwrap()).unwrap());
    assert!(file.add(entry("2001:db8::/32")).unwrap());
    assert!(!file.add(entry("2001:db8::1/32")).unwrap());
    assert!(!file.add(entry("192.0.2.0/24")).unwrap(), "the comment was lost");
    assert_eq!(
        file.text(),
        "create ipfriends hash:net family inet hashsize 1024 maxelem 65536 timeout 0 comment\n\
         create ipfriends-v6 hash:net family inet6 hashsize 1024 maxelem 65536 timeout 0 comment\n\
         add ipfriends 192.0.2.0/24 comment \"office\"\nadd ipfriends-v6 2001:db8::/32\n"
    );
    assert_eq!((file.count(Family::V4), file.count(Family::V6)), (1, 1));
    let again = SetFile::parse(&name(), &file.text()).unwrap();
    assert_eq!(again.text(), file.text());
    agrees_with_ipset(&file);
}

#[test]
fn edits_keep_comments_and_order() {
    let text = "# mine\ncreate ipfriends hash:net family inet hashsize 1024 maxelem 65536 timeout 0 comment\n\
        create ipfriends-v6 hash:net family inet6 hashsize 1024 maxelem 65536 timeout 0 comment\n\n# office\n\
        add ipfriends 192.0.2.9\nadd ipfriends 192.0.2.1\n   # home\nadd ipfriends-v6 2001:db8::1 comment \"x y\"\n# end\n";
    let mut file = SetFile::parse(&name(), text).unwrap();
    assert_eq!(file.text(), text);
    assert!(file.del(net("192.0.2.9/32")));
    assert!(!file.del(net("192.0.2.9/32")));
    assert_eq!(file.text(), text.replace("add ipfriends 192.0.2.9\n", ""));
    assert!(file.add(entry("192.0.2.9")).unwrap());
    assert_eq!(file.text(), text.replace("add ipfriends 192.0.2.9\n", "") + "add ipfriends 192.0.2.9\n");
    agrees_with_ipset(&file);
}

#[test]
fn everything_is_two_halves() {
    let mut file = SetFile::new(&name());
    for text in ["0.0.0.0/0", "::/0"] {
        for entry in SourceEntry::parse(text).unwrap().0 {
            assert!(file.add(entry).unwrap());
        }
        assert!(file.contains(net(text)));
    }
    assert!(!file.add(SourceEntry::new(net("0.0.0.0/0"))).unwrap());
    agrees_with_ipset(&file);
    assert!(file.test("8.8.8.8".parse().unwrap(), now()).is_some());
    assert!(file.test("2001:db8::1".parse().unwrap(), now()).is_some());
    assert!(file.del(net("::/0")) && !file.contains(net("::/0")) && !file.contains(net("8000::/1")));
    assert_eq!(file.count(Family::V6), 0);
}

#[test]
fn reads_the_recipe() {
    let (file, notes) = import(RECIPE);
    assert_eq!(
        file.text(),
        "create ipfriends hash:ip family inet hashsize 1024 maxelem 65536\n\
         create ipfriends-v6 hash:net family inet6 hashsize 1024 maxelem 65536 timeout 0 comment\n\
         # the office\nadd -exist ipfriends 192.0.2.7\nadd -exist ipfriends 198.51.100.0/30\n\n\
         add -exist ipfriends 203.0.113.9\n"
    );
    assert_eq!(
        notes,
        ["a bare `flush` empties every ipset of the host when ipset reads it; here it was read as `flush ipfriends`"]
    );
    // ipset reads the recipe itself to the same members; ours has a second, empty half.
    let recipe = through_ipset(RECIPE);
    assert_eq!(kernel_members(&recipe), wanted_members(&file));
    assert_eq!(kernel_members(&recipe).len(), 6);
    agrees_with_ipset(&file);
    assert_eq!(SetFile::parse(&name(), RECIPE).unwrap().text(), file.text());
}

#[test]
fn a_bare_flush_does_empty_other_sets_in_ipset() {
    let saved = through_ipset(&format!("create crowdsec hash:ip\nadd crowdsec 192.0.2.66\n{RECIPE}"));
    assert!(saved.contains("create crowdsec") && !saved.contains("192.0.2.66"), "{saved}");
}

#[test]
fn reads_what_ipset_saves() {
    let saved = through_ipset(
        "create friends hash:net family inet timeout 300 comment counters\nadd friends 10.0.0.0/8 timeout 0\n\
         add friends 10.9.0.0/16 nomatch comment \"not the lab\"\nadd friends 192.0.2.1 timeout 77\n",
    );
    let (file, notes) = import(&saved);
    assert!(notes.iter().any(|note| note == "the file calls the set friends; it was read as ipfriends"), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("default timeout of 300 s")), "{notes:?}");
    assert!(file.test("10.1.2.3".parse().unwrap(), now()).is_some());
    assert!(file.test("10.9.2.3".parse().unwrap(), now()).is_none());
    assert!(file.get(net("10.9.0.0/16")).unwrap().nomatch());
    assert_eq!(file.get(net("10.0.0.0/8")).unwrap().timeout(), None);
    assert!(file.get(net("192.0.2.1/32")).unwrap().timeout().unwrap() <= 77);
    assert_eq!(file.shape(Family::V4).timeout, Some(0));
    agrees_with_ipset(&file);
}

#[test]
fn reads_plain_lists() {
    let (file, notes) = import(
        "; DROP list\n192.0.2.1\n10.1.0.5/16 ; SBL \"1\"\n2001:db8::/32 # six\n\n10.0.0.1-10.0.0.4\n192.0.2.1\n0.0.0.0/0\n",
    );
    let entries: Vec<String> = file.entries().map(|entry| entry.block().to_string()).collect();
    assert_eq!(
        entries,
        [
            "192.0.2.1/32",
            "10.1.0.0/16",
            "2001:db8::/32",
            "10.0.0.1/32",
            "10.0.0.2/31",
            "10.0.0.4/32",
            "0.0.0.0/1",
            "128.0.0.0/1"
        ]
    );
    assert_eq!(file.get(net("10.1.0.0/16")).unwrap().comment(), Some("SBL '1'"));
    assert_eq!(
        notes,
        ["10.1.0.5/16 has host bits set: read as 10.1.0.0/16", "1 entry was there already: the last one counts"]
    );
    assert!(file.text().starts_with("# ; DROP list\ncreate ipfriends hash:net"));
    agrees_with_ipset(&file);
    assert_eq!(import("").0.text(), SetFile::new(&name()).text());
}

#[test]
fn grows_and_widens_where_the_kernel_would_refuse() {
    let adds = (0..40).fold(String::new(), |text, host| format!("{text}add ipfriends 10.0.0.{host}\n"));
    let (file, notes) = import(&format!("create ipfriends hash:ip maxelem 16\n{adds}"));
    assert_eq!(file.shape(Family::V4).maxelem, 64);
    assert_eq!(notes, ["maxelem of ipfriends grows from 16 to 64, for its entries would not fit"]);
    agrees_with_ipset(&file);

    let (file, notes) = import("create ipfriends hash:ip\nadd ipfriends 10.0.0.0/8\nadd ipfriends 192.0.2.1\n");
    assert_eq!(file.shape(Family::V4).kind, SetKind::Net);
    assert_eq!(
        notes,
        ["ipfriends becomes hash:net: hash:ip keeps single addresses, and 10.0.0.0/8 is too many of them"]
    );
    agrees_with_ipset(&file);

    let (mut file, notes) = import("create ipfriends hash:ip\nadd ipfriends 10.0.0.0/16\nadd ipfriends 10.0.0.5\n");
    assert!(notes.len() == 1 && notes[0].contains("grows from 65536 to 131072"), "{notes:?}");
    assert_eq!(wanted_members(&file).len(), 65536);
    agrees_with_ipset(&file);
    assert_eq!(file.add(entry("10.0.0.0/8")), Err(EntryError::TooWide(net("10.0.0.0/8"))));
    assert_eq!(file.add(entry("10.0.0.9").with_nomatch()), Err(EntryError::NoMatch));
    // The half that the file did not create is ours, so it takes blocks.
    assert_eq!(file.add(entry("2001:db8::/48")), Ok(true));
    assert!(file.del(net("10.0.0.0/16")));
    assert!(!file.text().contains("-exist"));

    let six = "create ipfriends-v6 hash:ip family inet6\n";
    let mut file = SetFile::parse(&name(), six).unwrap();
    assert_eq!(file.add(entry("2001:db8::/48")), Err(EntryError::NotAnAddress(net("2001:db8::/48"))));
    let error = SetFile::parse(&name(), &format!("{six}add ipfriends-v6 2001:db8::/48\n")).unwrap_err();
    assert_eq!((error.line, error.column), (2, 18));
    let (file, _) = import(&format!("{six}add ipfriends-v6 2001:db8::1\nadd ipfriends-v6 2001:db8::/48\n"));
    agrees_with_ipset(&file);
}

#[test]
fn takes_comments_and_timeouts_into_the_shape() {
    let (mut file, _) = import("create ipfriends hash:ip\n-A ipfriends 10.0.0.1\nadd ipfriends 2001:db8::1\nCOMMIT\n");
    assert!(!file.shape(Family::V4).comment && file.shape(Family::V4).timeout.is_none());
    file.add(entry("10.0.0.2").with_comment("x").unwrap()).unwrap();
    file.add(entry("10.0.0.3").with_expiry(now() + SignedDuration::from_secs(60), 60)).unwrap();
    assert!(file.shape(Family::V4).comment && file.shape(Family::V4).timeout == Some(0));
    agrees_with_ipset(&file);
    assert!(matches!(entry("10.0.0.2").with_comment("a\"b"), Err(EntryError::BadComment('"'))));
    assert!(matches!(entry("10.0.0.2").with_comment("a\nb"), Err(EntryError::BadComment('\n'))));
    assert!(matches!(entry("10.0.0.2").with_comment(&"ü".repeat(128)), Err(EntryError::LongComment(256))));
    file.add(entry("10.0.0.4").with_comment(&"x".repeat(255)).unwrap()).unwrap();
    file.add(entry("10.0.0.5").with_comment(r"back\slash 'q' #;$(x) ünï").unwrap()).unwrap();
    agrees_with_ipset(&file);
    assert_eq!(SetFile::parse(&name(), &file.text()).unwrap().text(), file.text());
}

#[test]
fn entries_end_when_they_were_told_to() {
    let mut file = SetFile::new(&name());
    let month = 40 * 86400;
    file.add(entry("10.0.0.1").with_expiry(now() + SignedDuration::from_secs(600), 600)).unwrap();
    file.add(entry("10.0.0.2").with_expiry(now() + SignedDuration::from_secs(month), 40 * 86400)).unwrap();
    let text = file.text();
    assert!(text.ends_with(
        "# expires 2026-11-22T18:10:00Z\nadd ipfriends 10.0.0.1 timeout 600\n\
         # expires 2027-01-01T18:00:00Z\nadd ipfriends 10.0.0.2\n"
    ));
    // A comment that somebody put between does not part them.
    let text = text.replace("\nadd ipfriends 10.0.0.2", "\n# Ada\nadd ipfriends 10.0.0.2");
    let mut file = SetFile::parse(&name(), &text).unwrap();
    assert!(file.text().ends_with("# Ada\n# expires 2027-01-01T18:00:00Z\nadd ipfriends 10.0.0.2\n"));
    agrees_with_ipset(&file);

    let seconds = |file: &SetFile, at: Timestamp| -> Vec<Option<u32>> {
        file.kernel_sets(at)[0].1.members.values().map(|member| member.timeout).collect()
    };
    assert_eq!(seconds(&file, now()), [Some(600), None]);
    assert_eq!(seconds(&file, now() + SignedDuration::from_millis(599_500)), [Some(1), None]);
    assert_eq!(seconds(&file, now() + SignedDuration::from_secs(600)), [None]);
    assert_eq!(seconds(&file, now() + SignedDuration::from_secs(30 * 86400)), [Some(10 * 86400)]);
    let later = now() + SignedDuration::from_secs(601);
    assert!(file.test("10.0.0.1".parse().unwrap(), now()).is_some());
    assert!(file.test("10.0.0.1".parse().unwrap(), later).is_none());
    assert_eq!(file.prune(later), [net("10.0.0.1/32")]);
    assert_eq!(file.prune(later), []);
    // Given anew without an end, it stays.
    assert!(file.add(entry("10.0.0.2")).unwrap());
    assert!(!file.text().contains("expires"));

    let (mut file, notes) = import("add ipfriends 10.0.0.1 timeout 60\nadd ipfriends 10.0.0.2\n");
    assert_eq!(notes, ["timeouts count from this import on"]);
    assert_eq!(file.pin_timeouts(now()), 1);
    assert_eq!(file.pin_timeouts(now()), 0);
    assert!(file.text().contains("# expires 2026-11-22T18:01:00Z\nadd ipfriends 10.0.0.1 timeout 60\n"));
}

#[test]
fn refuses_with_line_and_column() {
    for (text, expected) in [
        ("create ipfriends hash:ip\nadd ipfriends 10.0.0\n", "line 2, column 15: \"10.0.0\" is not an IP address"),
        ("add ipfriends\n", "line 1, column 1: `add` needs"),
        (
            "adf ipfriends 10.0.0.1\n",
            "line 1, column 1: `adf` is neither a command of ipset nor an address, did you mean `add`",
        ),
        ("# x\n  destroy ipfriends\n", "line 2, column 3: `destroy` has no place"),
        ("swap a b\n", "line 1, column 1: `swap` has no place"),
        ("add ipfriends 10.0.0.1\nadd crowdsec 10.0.0.2\n", "line 2, column 5: `crowdsec` is a second set"),
        ("create ipfriends list:set\n", "line 1, column 18: `list:set` is no type for sources"),
        ("create ipfriends hash:ip netmask 24\n", "line 1, column 26: `netmask` is not supported"),
        ("create ipfriends hash:ip maxelem x\n", "line 1, column 34: `x` is no number"),
        ("create ipfriends hash:ip maxelem\n", "line 1, column 26: `maxelem` needs a value"),
        ("create ipfriends hash:ip maxelm 5\n", "line 1, column 26: unknown option `maxelm`, did you mean `maxelem`"),
        ("create ipfriends hash:ip\ncreate ipfriends hash:ip\n", "line 2, column 1: the IPv4 set is created twice"),
        ("add ipfriends 10.0.0.1\ncreate ipfriends hash:ip\n", "line 2, column 1: the IPv4 set is created below"),
        ("add ipfriends 10.0.0.1 timeout 9999999\n", "line 1, column 32: a timeout goes from 0 to 2147483"),
        ("add ipfriends 10.0.0.1 comment \"x\n", "line 1, column 32: the quote is never closed"),
        ("add ipfriends 10.0.0.1 nomach\n", "line 1, column 24: unknown option `nomach`, did you mean `nomatch`"),
        (
            "# expires 2026-13-01T00:00:00Z\nadd ipfriends 10.0.0.1\n",
            "line 1, column 1: `2026-13-01T00:00:00Z` is no moment",
        ),
        ("10.0.0.1\n10.0.0.1 10.0.0.2\n", "line 2, column 10: one address a line"),
        ("example.com\n", "line 1, column 1: `example.com` is neither"),
        ("10.0.0.0/33\n", "line 1, column 1: \"10.0.0.0/33\" has a bad prefix length"),
        ("<html>\n", "line 1, column 1: `<html>` is neither"),
    ] {
        let error = import_fails(text);
        assert!(error.starts_with(expected), "{text:?}\n{error}\n{expected}");
    }
    for (text, expected) in [
        ("", "line 1, column 1: the file does not create the set"),
        ("# only\n", "line 1, column 1: the file does not create the set"),
        ("create friends hash:ip\n", "line 1, column 8: `friends` is another set"),
        ("create ipfriends hash:ip\n10.0.0.1\n", "line 2, column 1: `10.0.0.1` is neither a command"),
    ] {
        let error = SetFile::parse(&name(), text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn the_smallest_block_decides() {
    let (file, _) = import("add ipfriends 10.0.0.0/8\nadd ipfriends 10.1.0.0/16 nomatch\nadd ipfriends 10.1.2.3\n");
    let test = |ip: &str| file.test(ip.parse().unwrap(), now()).map(|entry| entry.block().to_string());
    assert_eq!(test("10.2.0.0").as_deref(), Some("10.0.0.0/8"));
    assert_eq!(test("10.1.2.4"), None);
    assert_eq!(test("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
    assert_eq!(test("11.0.0.0"), None);
    assert_eq!(test("2001:db8::1"), None);
}

fn blocks() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<u32>(), 0u8..=32).prop_map(|(bits, length)| IpNet::new(
            std::net::Ipv4Addr::from_bits(bits & 0x0f0f_0303).into(),
            length
        )
        .unwrap()),
        (any::<u128>(), 0u8..=128).prop_map(|(bits, length)| IpNet::new(
            // Never mapped IPv4, which would be read as IPv4.
            std::net::Ipv6Addr::from_bits(bits | 1 << 125).into(),
            length
        )
        .unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn edits_agree_with_a_plain_list(edits in proptest::collection::vec((any::<bool>(), blocks()), 0..40)) {
        let text = "# one\n\ncreate ipfriends hash:net\n# two\nadd ipfriends 192.0.2.1\n# three\n";
        let mut file = SetFile::parse(&name(), text).unwrap();
        let mut model = vec![net("192.0.2.1/32")];
        for (add, block) in edits {
            let halves = docker_firewall::net::kernel_blocks(block.trunc());
            let known = halves.iter().filter(|half| model.contains(half)).count();
            if add {
                prop_assert_eq!(file.add(SourceEntry::new(block)).unwrap(), known < halves.len());
                model.extend(halves.iter().filter(|half| !model.contains(half)).copied().collect::<Vec<_>>());
            } else {
                prop_assert_eq!(file.del(block), known > 0);
                model.retain(|known| !halves.contains(known));
            }
        }
        let found: Vec<IpNet> = file.entries().map(SourceEntry::block).collect();
        prop_assert_eq!(&found, &model);
        let again = SetFile::parse(&name(), &file.text()).unwrap();
        prop_assert_eq!(again.text(), file.text());
        prop_assert_eq!(wanted_members(&again), wanted_members(&file));
        prop_assert_eq!(file.count(Family::V4) + file.count(Family::V6), model.len());
        for comment in ["# one\n", "# two\n", "# three\n"] {
            prop_assert!(file.text().contains(comment));
        }
        for block in model.iter().take(5) {
            let smallest = model.iter().filter(|known| known.contains(&block.addr())).max_by_key(|known| known.prefix_len());
            prop_assert_eq!(file.test(block.addr(), now()).map(SourceEntry::block), smallest.copied());
        }
    }

    #[test]
    fn import_export_import_is_stable(
        lines in proptest::collection::vec(prop_oneof![
            blocks().prop_map(|block| format!("add ipfriends {block}")),
            blocks().prop_map(|block| format!("add -exist ipfriends-v6 {block} timeout 60 comment \"a b\"")),
            blocks().prop_map(|block| format!("# expires 2030-01-01T00:00:00Z\nadd ipfriends {block} nomatch")),
            blocks().prop_map(|block| format!("{block} # listed")),
            Just("10.0.0.1-10.0.3.7".to_owned()),
            Just("# a comment".to_owned()),
            Just("# expires 2030-01-01T00:00:00Z".to_owned()),
            Just(String::new()),
            Just("flush ipfriends".to_owned()),
            Just("COMMIT".to_owned()),
        ], 0..20),
        head in prop_oneof![
            Just(""),
            Just("create -exist ipfriends hash:net maxelem 4\n"),
            Just("create ipfriends hash:ip\ncreate ipfriends-v6 hash:ip family inet6 timeout 5\n"),
        ],
    ) {
        let (first, _) = import(&format!("{head}{}\n", lines.join("\n")));
        let exported = first.text();
        let (second, _) = import(&exported);
        prop_assert_eq!(second.text(), exported.clone());
        let stored = SetFile::parse(&name(), &exported).unwrap();
        prop_assert_eq!(stored.text(), exported);
        prop_assert_eq!(second.kernel_sets(now()), first.kernel_sets(now()));
        prop_assert_eq!(stored.kernel_sets(now()), first.kernel_sets(now()));
    }

    #[test]
    fn never_panics(text in "\\PC{0,80}", words in proptest::collection::vec(prop_oneof![
        Just("add"), Just("create"), Just("flush"), Just("ipfriends"), Just("hash:ip"), Just("10.0.0.0/8"), Just("\""),
        Just("timeout"), Just("comment"), Just("#"), Just("expires 2030-01-01T00:00:00Z"), Just("\n"), Just("::/0"),
        Just("family"), Just("inet6"), Just("é"), Just("-exist"), Just("99999999999"), Just("10.0.0.0-10.255.0.0"),
    ], 0..40)) {
        for text in [text, words.join(" ")] {
            let _ = SetFile::parse(&name(), &text);
            if let Ok((file, _)) = SetFile::import(&name(), &text) {
                let _ = file.kernel_sets(now());
                SetFile::parse(&name(), &file.text()).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn ipset_holds_what_we_want_it_to(blocks in proptest::collection::vec(blocks(), 0..30), single in any::<bool>()) {
        let head = if single { "create ipfriends hash:ip\n" } else { "" };
        let list: Vec<String> = blocks.iter().map(ToString::to_string).collect();
        let (file, _) = import(&format!("{head}{}\n", list.join("\n")));
        agrees_with_ipset(&file);
    }
}

/// `cargo test --release --test set_file -- --ignored --nocapture million`
#[test]
#[ignore = "a measurement, for release builds"]
fn a_million_entries() {
    use std::fmt::Write as _;
    let mut text = String::from("create ipfriends hash:net family inet hashsize 1024 maxelem 1048576\n");
    for bits in 0..1_000_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(bits.wrapping_mul(2_654_435_761));
        writeln!(text, "add ipfriends {address}").unwrap();
    }
    let begun = std::time::Instant::now();
    let mut file = SetFile::parse(&name(), &text).unwrap();
    let parsed = begun.elapsed();
    for bits in 0..10_000_u32 {
        file.del(IpNet::new(std::net::Ipv4Addr::from_bits(bits.wrapping_mul(2_654_435_761)).into(), 32).unwrap());
    }
    let edited = begun.elapsed();
    let sets = file.kernel_sets(now());
    let listed = begun.elapsed();
    assert_eq!(sets[0].1.members.len(), 990_000);
    let length = file.text().len();
    let written = begun.elapsed();
    eprintln!("parsed {parsed:?}, edited {edited:?}, kernel sets {listed:?}, written {written:?}: {length} bytes");
}
