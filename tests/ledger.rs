//! The files and the clock: damaged records are made anew, and what has ended by the wall clock leaves the kernel.
#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use docker_firewall::host::files::write_atomic;
use docker_firewall::host::paths::Paths;
use docker_firewall::plan::{DiffLine, Sign, diff};
use docker_firewall::policy::{Document, SetFile};
use docker_firewall::reconcile::{Config, Ledger, user_sets};
use docker_firewall::ruleset::{Desired, Dump};
use jiff::{SignedDuration, Timestamp};

const POLICY: &str = "version = 1\n\n[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = [\"ipfriends\"]\n";
const HOUR: i64 = 3600;

fn now() -> Timestamp {
    "2030-01-31T18:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn set(name: &str, lines: &str) -> SetFile {
    let text = format!("create {name} hash:net family inet timeout 0 comment\n{lines}");
    SetFile::parse(&name.parse().unwrap(), &text).unwrap()
}

fn config(sets: impl IntoIterator<Item = SetFile>) -> Config {
    let sets = sets.into_iter().map(|set| (set.name().to_string(), set)).collect();
    Config { document: Document::parse(POLICY).unwrap(), sets }
}

/// Puts a configuration in force, as far as files go.
fn put(paths: &Paths, config: &Config) {
    let (mut ledger, _) = read(paths);
    let draft = ledger.stage(config, now()).unwrap();
    ledger.announce(config, &draft).unwrap();
    assert!(ledger.place(draft, config.clone(), now()).unwrap().is_empty());
}

/// Stages and announces, and is killed there.
fn announce(ledger: &mut Ledger, config: &Config) {
    let draft = ledger.stage(config, now()).unwrap();
    ledger.announce(config, &draft).unwrap();
}

fn read(paths: &Paths) -> (Ledger, Vec<String>) {
    Ledger::read(paths.clone(), Config::load(paths).unwrap(), true)
}

fn friends() -> SetFile {
    set("ipfriends", "add ipfriends 203.0.113.10\n")
}

fn torn(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_record_is_reported_once_and_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    let whole = config([friends()]);
    put(&paths, &whole);
    let last = paths.last_good_paths();
    for file in [last.policy_file(), last.set_file(&"ipfriends".parse().unwrap())] {
        let good = fs::read(&file).unwrap();
        for bytes in [vec![0; good.len()], good[..good.len() - 3].to_vec(), b"\xff\xfe".to_vec()] {
            torn(&file, &bytes);
            let (_, remarks) = read(&paths);
            let remarks = remarks.join("\n");
            assert!(remarks.contains(&file.display().to_string()), "{remarks}");
            put(&paths, &whole);
            assert_eq!(fs::read(&file).unwrap(), good);
            assert_eq!(read(&paths).1, Vec::<String>::new());
        }
    }
    // Of a set that is no more, too.
    let stale = last.set_file(&"gone".parse().unwrap());
    torn(&stale, b"\0\0\0");
    put(&paths, &whole);
    assert!(!stale.exists());
    // What a killed change left, torn.
    let pending = paths.pending_paths().set_file(&"ipfriends".parse().unwrap());
    write_atomic(&pending, "\0\0").unwrap();
    assert!(read(&paths).1.join("\n").contains(&pending.display().to_string()));
    put(&paths, &whole);
    assert!(!pending.exists());
}

#[test]
fn a_missing_policy_whose_record_is_damaged_too_is_no_empty_policy() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    put(&paths, &config([friends()]));
    fs::remove_file(paths.policy_file()).unwrap();
    assert!(read(&paths).0.policy_gone());
    torn(&paths.last_good_paths().policy_file(), b"\0\0\0\0");
    assert!(read(&paths).0.policy_gone());
}

/// No length at which a policy can be cut makes it a wider one, but for cuts between two lines.
#[test]
fn a_torn_policy_is_refused_unless_it_is_cut_between_lines() {
    let rule = "\n[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = [\"203.0.113.10\", \"ipfriends\"]\n";
    let text =
        format!("version = 1\ndefault = \"closed\"\n{rule}port = [\"443/tcp\", \"80\"]\ncomment = \"x\"\n{rule}");
    for length in 0..text.len() {
        let cut = &text[..length];
        let between = cut.ends_with('\n') || text[length..].starts_with('\n');
        assert!(between || cut.is_empty() || Document::parse(cut).is_err(), "{cut}");
    }
    assert!(Document::parse("").is_err(), "an empty file says nothing");
    assert!(Document::parse(&"\0".repeat(text.len())).is_err());
}

/// Differences between a kernel that was written at `now()` with what `last` said and what the files say at `when`.
fn drift(last: &SetFile, file: &SetFile, when: Timestamp, kernel: impl FnOnce(&mut Dump)) -> Vec<String> {
    let mut state = Dump::default();
    state.sets.extend(last.kernel_sets(now()));
    kernel(&mut state);
    let sets = |file: &SetFile| BTreeMap::from([(file.name().to_string(), file.clone())]);
    let desired = Desired { sets: user_sets(&sets(file), &[&sets(last)], when), ..Desired::default() };
    let line = |line: DiffLine| format!("{} {}", if line.sign == Sign::Add { '+' } else { '-' }, line.text);
    diff(&state, &desired).into_iter().map(line).collect()
}

fn dated() -> SetFile {
    set(
        "ipfriends",
        "# expires 2030-01-31T19:00:00Z\nadd ipfriends 203.0.113.10 timeout 3600\nadd ipfriends 203.0.113.11\n",
    )
}

#[test]
fn what_has_ended_by_the_wall_clock_leaves_the_kernel() {
    let file = dated();
    assert_eq!(drift(&file, &file, later(0), |_| ()), [""; 0]);
    // The kernel's timer and ours agree but for the seconds of a pass.
    assert_eq!(drift(&file, &file, later(5), |_| ()), [""; 0]);
    // Forward, not over the end: the timer follows. Backward as well.
    assert_eq!(drift(&file, &file, later(HOUR / 2), |_| ()), ["+ add ipfriends 203.0.113.10 timeout 1800"]);
    assert_eq!(drift(&file, &file, later(-HOUR), |_| ()), ["+ add ipfriends 203.0.113.10 timeout 7200"]);
    // Over the end.
    assert_eq!(drift(&file, &file, later(2 * HOUR), |_| ()), ["- add ipfriends 203.0.113.10"]);
}

#[test]
fn what_was_added_by_hand_keeps_the_clock_of_the_kernel() {
    let relative = set("ipfriends", "add ipfriends 203.0.113.12 timeout 3600\n");
    assert_eq!(drift(&relative, &relative, later(HOUR / 2), |_| ()), [""; 0]);
    // An entry that ended and left the record, and that somebody put back by hand.
    let file = dated();
    let last = file.living(later(2 * HOUR)).into_owned();
    let member = file.kernel_sets(now())[0].1.members.iter().next().map(|(e, m)| (e, m.clone())).unwrap();
    let by_hand = |state: &mut Dump| {
        state.sets.get_mut("ipfriends").unwrap().members.insert(member.0, member.1);
    };
    assert_eq!(drift(&last, &file, later(2 * HOUR), by_hand), [""; 0]);
}

#[test]
fn the_record_forgets_what_has_ended() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    let whole = config([dated()]);
    put(&paths, &whole);
    let (mut ledger, _) = read(&paths);
    let end = later(2 * HOUR);
    let draft = ledger.stage(&whole, end).unwrap();
    ledger.place(draft, whole.clone(), end).unwrap();
    let text = |paths: &Paths| fs::read_to_string(paths.set_file(&"ipfriends".parse().unwrap())).unwrap();
    assert!(text(&paths).contains("203.0.113.10"), "the file is its owner's");
    assert!(!text(&paths.last_good_paths()).contains("203.0.113.10"));
    assert!(text(&paths.last_good_paths()).contains("203.0.113.11"));
}

/// Two changes of one set are killed, or the first is and the second fails: whose members are whose is still known.
#[test]
fn a_second_change_knows_what_the_first_one_left() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    put(&paths, &config([friends()]));
    let with = |address: &str| set("ipfriends", &format!("add ipfriends 203.0.113.10\nadd ipfriends {address}\n"));
    let holds = |ledger: &Ledger, address: &str| {
        let block = format!("{address}/32").parse().unwrap();
        ledger.earlier().iter().any(|sets| sets.get("ipfriends").is_some_and(|set| set.contains(block)))
    };
    announce(&mut read(&paths).0, &config([with("203.0.113.21")]));
    let mut second = read(&paths).0;
    announce(&mut second, &config([with("203.0.113.22")]));
    assert!(holds(&second, "203.0.113.21") && holds(&second, "203.0.113.22"));
    // Killed as well.
    let mut third = read(&paths).0;
    assert!(holds(&third, "203.0.113.21") && holds(&third, "203.0.113.22"));
    // One that fails and is undone takes away no more than it brought.
    assert!(third.withdraw().is_empty());
    assert!(holds(&read(&paths).0, "203.0.113.21"));
    put(&paths, &config([friends()]));
    let mut clean = read(&paths).0;
    assert!(!holds(&clean, "203.0.113.21"));
    announce(&mut clean, &config([with("203.0.113.23")]));
    assert!(clean.withdraw().is_empty());
    assert!(!holds(&read(&paths).0, "203.0.113.23"), "what was undone is nobody's but who adds it by hand");
}

/// Half an address is another address: cut at any length within a line, a set is not taken for whole.
#[test]
fn a_torn_set_is_refused_unless_it_is_cut_between_lines() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    put(&paths, &config([set("ipfriends", "add ipfriends 203.0.113.10\nadd ipfriends 198.51.100.0/24\n")]));
    for file in [paths.set_file(&"ipfriends".parse().unwrap()), paths.policy_file()] {
        let good = fs::read(&file).unwrap();
        for length in 0..good.len() - 1 {
            torn(&file, &good[..length]);
            let read = Config::load(&paths);
            let between = good[..length].ends_with(b"\n");
            assert!(between || read.is_err_and(|error| error.to_string().contains(&file.display().to_string())));
        }
        torn(&file, &vec![0; good.len()]);
        assert!(Config::load(&paths).is_err());
        // Without the last line break alone it is whole.
        torn(&file, &good[..good.len() - 1]);
        assert!(Config::load(&paths).is_ok());
        torn(&file, &good);
    }
    // Who writes another file without one means it.
    torn(
        &paths.set_file(&"ipfriends".parse().unwrap()),
        b"create ipfriends hash:net family inet\nadd ipfriends 192.0.2.1",
    );
    assert!(Config::load(&paths).is_ok());
}
