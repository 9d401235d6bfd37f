//! Completion in the shells themselves, through Docker's scripts of both kinds and our own, against a real engine.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use desk::{Desk, Result};
use lab::{Engine, Flavour};

/// Sits in a label: whoever makes an image chooses it, and a shell must never run it.
const HOSTILE: &str = "evil=$(touch /tmp/ran)";

#[test]
#[ignore = "needs root and the engines of tests/engines.sh"]
fn bash_zsh_and_fish() -> Result {
    let desk = Desk::up(Engine::V28_5, Flavour::Nft, "shells")?;
    prepare(&desk)?;
    older_bash_script(&desk)?;
    cobra_in_bash(&desk)?;
    own_script_in_bash(&desk)?;
    zsh(&desk)?;
    fish(&desk)?;
    an_engine_that_is_gone(&desk)
}

fn prepare(desk: &Desk) -> Result {
    let compose = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=api"];
    let labels = [&["-p", "8080:80", "--label", "tier=front", "--label", HOSTILE][..], &compose].concat();
    desk.lab.run("web", &labels, &[])?;
    desk.lab.run("db", &["-p", "5432:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10")?;
    desk.done("allow web --from ipfriends")?;
    desk.write("/tmp/init.bash", include_str!("shells/init.bash"))?;
    desk.shell("mkdir -p /tmp/zsh")?;
    desk.write("/tmp/zsh/.zshrc", include_str!("shells/init.zsh"))?;
    desk.write("/tmp/type.sh", include_str!("shells/type.sh"))
}

/// The line that a shell made of `line`, and its screen.
fn typed(desk: &Desk, shell: &str, script: &str, keys: &str, line: &str) -> Result<(String, String)> {
    let out = desk.lab.exec(&["bash", "/tmp/type.sh", shell, script, keys, line])?.require(line)?;
    let (first, screen) = out.split_once('\n').unwrap_or((&out, ""));
    assert_eq!(desk.shell("ls /tmp | grep -c '^ran$' || true")?.trim(), "0", "{shell}, {script}: a label was run");
    Ok((first.to_owned(), screen.to_owned()))
}

fn becomes(desk: &Desk, shell: &str, script: &str, keys: &str, cases: &[(&str, &str)]) -> Result {
    for (line, wanted) in cases {
        let (found, screen) = typed(desk, shell, script, keys, line)?;
        assert_eq!(found.trim_end(), *wanted, "{shell}, {script}: {line:?}\n{screen}");
    }
    Ok(())
}

fn older_bash_script(desk: &Desk) -> Result {
    becomes(
        desk,
        "bash",
        "older",
        "tab",
        &[
            ("docker firewall al", "docker firewall allow"),
            ("docker firewall allow w", "docker firewall allow web"),
            ("docker firewall allow sh", "docker firewall allow shop/api"),
            ("docker firewall allow web --from ipf", "docker firewall allow web --from ipfriends"),
            ("docker firewall allow label:tier=f", "docker firewall allow label:tier=front"),
            ("docker -D firewall ls --fo", "docker -D firewall ls --format"),
        ],
    )?;
    becomes(
        desk,
        "bash",
        "older",
        "all",
        &[(
            "docker firewall allow ",
            "docker firewall allow db label:evil label:tier label:tier=front network:bridge network:host shop/api web",
        )],
    )
}

fn cobra_in_bash(desk: &Desk) -> Result {
    becomes(
        desk,
        "bash",
        "cobra",
        "tab",
        &[
            ("docker firewall al", "docker firewall allow"),
            ("docker firewall allow label:tier", "docker firewall allow label:tier"),
            ("docker firewall allow label:tier=f", "docker firewall allow label:tier=f"),
            ("docker firewall allow web --port ", "docker firewall allow web --port 80/tcp"),
            ("docker firewall set del ipfriends ", "docker firewall set del ipfriends 203.0.113.10"),
            ("docker firewall ls --format=j", "docker firewall ls --format=json"),
        ],
    )?;
    becomes(
        desk,
        "bash",
        "cobra",
        "all",
        &[
            ("docker firewall allow ", "docker firewall allow db label: network: shop/api web"),
            ("docker firewall default ", "docker firewall default closed open"),
        ],
    )
}

fn own_script_in_bash(desk: &Desk) -> Result {
    becomes(
        desk,
        "bash",
        "own",
        "tab",
        &[
            ("docker-firewall al", "docker-firewall allow"),
            ("docker-firewall allow label:tier=f", "docker-firewall allow label:tier=front"),
            ("docker-firewall ls --format=j", "docker-firewall ls --format=json"),
            ("docker-firewall allow w", "docker-firewall allow web"),
        ],
    )
}

fn zsh(desk: &Desk) -> Result {
    for (script, program) in [("cobra", "docker firewall"), ("own", "docker-firewall")] {
        for (line, wanted) in [("al", "allow"), ("allow sh", "allow shop/api"), ("ls --format=j", "ls --format=json")] {
            becomes(desk, "zsh", script, "tab", &[(&format!("{program} {line}"), &format!("{program} {wanted}"))])?;
        }
        let (_, screen) = typed(desk, "zsh", script, "twice", &format!("{program} allow "))?;
        for text in ["8080->80/tcp", "Compose service", "containers with a label", "db"] {
            assert!(screen.contains(text), "{script}: {text} is not listed:\n{screen}");
        }
        let (_, screen) = typed(desk, "zsh", script, "twice", &format!("{program} rm "))?;
        assert!(screen.contains("allow web --from ipfriends") || screen.contains("rm 1"), "{script}:\n{screen}");
    }
    Ok(())
}

fn fish(desk: &Desk) -> Result {
    for (source, program) in
        [("docker completion", "docker firewall"), ("docker-firewall completion", "docker-firewall")]
    {
        let ask =
            |line: &str| desk.shell(&format!("fish -c '{source} fish | source; complete -C \"{program} {line}\"'"));
        assert_eq!(ask("al")?.trim(), "allow\tAllow sources to reach containers");
        let offered = ask("allow ")?;
        for line in ["db\t5432->80/tcp", "shop/api\tCompose service", "web\t8080->80/tcp"] {
            assert!(offered.lines().any(|found| found == line), "{source}: {line:?} is not in:\n{offered}");
        }
        assert_eq!(ask("rm ")?.trim(), "1\tallow web --from ipfriends");
        assert!(ask("ls --format=j")?.starts_with("--format=json"));
        assert_eq!(desk.shell("ls /tmp | grep -c '^ran$' || true")?.trim(), "0", "a label was run");
    }
    Ok(())
}

/// Nothing is said, nothing is waited for, and files are read all the same.
fn an_engine_that_is_gone(desk: &Desk) -> Result {
    desk.lab.kill_engine()?;
    becomes(
        desk,
        "bash",
        "cobra",
        "tab",
        &[
            ("docker firewall set inspect ipf", "docker firewall set inspect ipfriends"),
            ("docker firewall allow w", "docker firewall allow w"),
        ],
    )
}
