//! Every page of help and every kind of complaint, word by word.

mod cli_support;

use cli_support::plugin;
use insta::assert_snapshot;

#[test]
fn pages() {
    for command in [
        "",
        "allow",
        "apply",
        "default",
        "deny",
        "graph",
        "log",
        "ls",
        "metrics",
        "explain",
        "plan",
        "reset",
        "restore",
        "rm",
        "rules",
        "set",
        "set add",
        "set create",
        "set del",
        "set export",
        "set import",
        "set inspect",
        "set ls",
        "set rm",
        "set test",
        "service",
        "service install",
        "service status",
        "service uninstall",
        "status",
        "top",
        "version",
    ] {
        let ended = plugin(&format!("firewall {command} --help"));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{command}");
        assert!(ended.out.lines().all(|line| line.chars().count() <= 110 && line.trim_end() == line), "{}", ended.out);
        assert_snapshot!(format!("help {command}").trim().replace(' ', "_"), ended.out);
    }
}

#[test]
fn complaints() {
    let lines = [
        "allow",
        "allow web",
        "deny web db",
        "allow web --from 10.0.0.0/33",
        "allow web --from any --port 70000",
        "allow a/b/c --from any",
        "bogus",
        "set bogus",
        "help bogus",
        "ls --bogus",
        "default open closed",
        "default shut",
        "plan now",
        "set test ipfriends",
        "set create",
        "set add ipfriends",
        "rm",
        "rm web",
        "set add ipfriends web",
        "set create any",
        "set test ipfriends 10.0.0.0/8",
        "allow web --from any --for 90",
        "apply --hook input",
    ];
    let pages = lines.map(|line| {
        let ended = plugin(&format!("firewall {line}"));
        assert_eq!(ended.out, "", "{line}");
        format!("$ docker firewall {line}\n{}[exit code {}]\n", ended.err, ended.code)
    });
    assert_snapshot!(pages.join("\n"));
}
