//! Completion in both dialects.

mod cli_support;

use cli_support::{BINARY, alone, clean, plugin};

#[test]
fn cobra_dialect() {
    for (line, answer) in [
        (
            "firewall set i",
            "import\tMake a set hold what a file says and nothing else\ninspect\tDisplay detailed information on one or more sets\n:4\n",
        ),
        ("firewall ls --no", "--no-trunc\tDon't truncate output\n:4\n"),
        ("firewall ls --format ''", "json\ntable\n:4\n"),
        ("firewall ls --format=j", "json\n:4\n"),
        ("firewall default ''", "closed\nopen\n:4\n"),
        ("firewall default open ''", ":4\n"),
        ("firewall allow web ''", ":4\n"),
        ("firewall allow --comment set ''", ":4\n"),
        ("firewall apply -f ''", ":0\n"),
        ("firewall set import x ''", ":0\n"),
        ("firewall version -- --", ":4\n"),
        ("firewall bogus ''", ":4\n"),
    ] {
        let ended = plugin(&format!("__complete {line}"));
        assert_eq!((ended.code, ended.out.as_str()), (0, answer), "{line}");
    }
    assert!(plugin("__complete firewall ''").out.lines().any(|line| line.starts_with("set\t")));
}

#[test]
fn the_older_bash_script() {
    for (line, answer) in
        [("al", "allow\n:4\n"), ("rem firewall allow --pen", "--pending\n:4\n"), ("firewall ls --fo", "--format\n:4\n")]
    {
        let ended = alone(&format!("__completeNoDesc {line}"));
        assert_eq!((ended.code, ended.out.as_str()), (0, answer), "{line}");
    }
    assert!(!alone("__completeNoDesc ''").out.contains('\t'));
}

#[test]
fn descriptions_can_be_turned_off() {
    let output = clean(BINARY)
        .args(["__complete", "firewall", "al"])
        .env("DOCKER_COMPLETION_DESCRIPTIONS", "false")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"allow\n:4\n");
}
