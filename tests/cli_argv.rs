//! What Docker's client hands over, row by row, and the forms people type without it.

mod cli_support;

use cli_support::{alone, plugin};

const VERSION: &str = concat!("docker-firewall v", env!("CARGO_PKG_VERSION"), "\n");

#[test]
fn every_way_to_a_command() {
    for line in [
        "firewall version",
        "--context foo firewall version",
        "-H tcp://1.2.3.4:2375 firewall version",
        "-H tcp://1.2.3.4:2375 -H unix:///x firewall version",
        "--config /etc/x -D -l debug --tls firewall -- version",
        "--debug firewall version",
        "-- firewall version",
        "--tlsverify=false --tlscacert a --tlscert b --tlskey c firewall version",
        "-Dc foo firewall version",
    ] {
        let ended = plugin(line);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, VERSION, ""), "{line}");
    }
    for line in ["version", "--context foo version", "-D -- version", "firewall version", "-Hunix:///x version"] {
        let ended = alone(line);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, VERSION, ""), "{line}");
    }
}

#[test]
fn every_way_to_help() {
    let page = plugin("firewall allow --help");
    assert!(page.out.starts_with("Usage:  docker firewall allow [OPTIONS] TARGET [TARGET...]\n"), "{}", page.out);
    for line in [
        "help firewall allow",
        "--help firewall allow",
        "--context foo --help firewall allow",
        "firewall --help allow",
        "firewall help allow",
        "firewall allow web --from nonsense/99 --help",
    ] {
        assert_eq!(plugin(line), page, "{line}");
    }
    let short = plugin("firewall allow -h");
    assert_eq!(short.out, format!("Flag shorthand -h has been deprecated, use --help\n{}", page.out));
    assert_eq!(short.code, 0);
}

#[test]
fn without_a_command_help_goes_to_stderr() {
    for line in ["firewall", "firewall set", "--debug firewall"] {
        let ended = plugin(line);
        assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{line}");
        assert!(ended.err.ends_with("COMMAND --help' for more information on a command.\n"), "{line}");
    }
    for line in ["firewall --help", "--help firewall", "help firewall"] {
        let ended = plugin(line);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{line}");
        assert_eq!(ended.out, plugin("firewall").err, "{line}");
    }
}

#[test]
fn alone_it_says_its_own_name() {
    let ended = alone("allow --help");
    assert!(ended.out.starts_with("Usage:  docker-firewall allow [OPTIONS]"), "{}", ended.out);
    assert!(!ended.out.contains("docker firewall"), "{}", ended.out);
    assert!(alone("bogus").err.starts_with("docker-firewall: unknown command: docker-firewall bogus\n"));
    assert_eq!(alone("help set ls"), alone("set ls --help"));
}

#[test]
fn flags_are_read_as_pflag_reads_them() {
    // What parses shows its help page; what does not is a flag error.
    for line in [
        "ls web -q --no-trunc --help",
        "ls -qf name=x --help",
        "ls -fname=x --filter name=y --help",
        "ls --quiet=false -q=true --help",
        "ls --format table --format json --help",
        "allow web --comment --dry-run --from any --help",
        "allow --from -1 --help",
        "set add x --for 1h --help",
    ] {
        let ended = plugin(&format!("firewall {line}"));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{line}");
    }
    for (line, message) in [
        ("ls --bogus", "unknown flag: --bogus"),
        ("ls --bogus=1", "unknown flag: --bogus"),
        ("ls --quie", "unknown flag: --quie"),
        ("ls -Zq", "unknown shorthand flag: 'Z' in -Zq"),
        ("ls -qZ", "unknown shorthand flag: 'Z' in -qZ"),
        ("ls --filter", "flag needs an argument: --filter"),
        ("ls -qf", "flag needs an argument: 'f' in -qf"),
        ("ls ---x", "bad flag syntax: ---x"),
        ("ls --=x", "bad flag syntax: --=x"),
        ("ls --context x", "unknown flag: --context"),
        ("ls --debug", "unknown flag: --debug"),
        ("ls -q=maybe", "invalid argument \"maybe\" for \"-q, --quiet\" flag: \"maybe\" is neither true nor false"),
        ("ls -f foo", "invalid argument \"foo\" for \"-f, --filter\" flag: bad format of filter (expected name=value)"),
        (
            "ls --format yaml",
            "invalid argument \"yaml\" for \"--format\" flag: formats are table, json, html and templates such as \
             '{{json .}}'",
        ),
        (
            "set inspect x --format table",
            "invalid argument \"table\" for \"--format\" flag: formats are json and templates such as '{{json .}}'",
        ),
        ("--bogus ls", "unknown flag: --bogus"),
        ("set --bogus", "unknown flag: --bogus"),
        ("allow web --from any --before 0", "invalid argument \"0\" for \"--before\" flag: rules are counted from 1"),
        (
            "set add x 1.2.3.4 --for 30d",
            "invalid argument \"30d\" for \"--for\" flag: \"30d\" is too long: at most 24d20h fit here; leave --for \
             away for something that stays",
        ),
    ] {
        let ended = plugin(&format!("firewall {line}"));
        assert_eq!((ended.code, ended.out.as_str()), (125, ""), "{line}");
        let (first, rest) = ended.err.split_once('\n').unwrap();
        assert_eq!(first, message, "{line}");
        assert!(rest.starts_with("\nUsage:  docker firewall"), "{line}");
        assert!(rest.ends_with("--help' for more information\n"), "{line}");
    }
}

#[test]
fn names_may_look_like_flags() {
    let ended = plugin("firewall set rm -- --force");
    assert_eq!(ended.code, 1);
    assert!(ended.err.starts_with("set name \"--force\""), "{}", ended.err);
}

#[test]
fn metadata_comes_first_and_alone() {
    let ended = alone("docker-cli-plugin-metadata");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    // What Docker's packages check after a build.
    let awk = r#"{ gsub(/[",:]/, "") } $1 == "Version" { print $2 }"#;
    let script = format!("'{}' docker-cli-plugin-metadata | awk '{awk}'", cli_support::BINARY);
    let version = cli_support::clean("/bin/sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(version.stdout).unwrap(), concat!("v", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ended.out).unwrap()["SchemaVersion"], "0.1.0");
}

#[cfg(unix)]
#[test]
fn bytes_that_are_no_text_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let output = cli_support::clean(cli_support::BINARY).arg(OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
