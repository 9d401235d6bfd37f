//! A namespace for one test, and the tools in it.

use std::env;
use std::process::Command;

use docker_firewall::host::flavour::{self, Flavour, Kind};
use docker_firewall::host::kernel::HostKernel;
use docker_firewall::host::tools::Tools;

const INSIDE: &str = "DOCKER_FIREWALL_TEST_NETNS";

fn root() -> bool {
    run("id", &["-u"]).trim() == "0"
}

/// Runs `body` in a fresh network namespace: this test binary again, for the one test of that name.
pub(crate) fn inside(test: &str, body: fn()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let flags = if root() { "-n" } else { "-rn" };
    let output = Command::new("unshare")
        .args([flags, "--"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, if root() { "root" } else { "user" })
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

/// Both kinds; for who is not root only nft works.
pub(crate) fn kinds() -> Vec<Kind> {
    if env::var_os(INSIDE).is_some_and(|who| who == "root") { vec![Kind::Nft, Kind::Legacy] } else { vec![Kind::Nft] }
}

/// The kernel through the tools of that kind.
pub(crate) fn kernel(kind: Kind) -> HostKernel {
    let tools = Tools::from_env();
    let default = flavour::default_kind(&tools, "") == Some(kind);
    HostKernel::with_flavour(tools, Flavour { kind, reason: "the test says so".to_owned(), default })
}

/// Runs a tool that must succeed; answers what it printed.
pub(crate) fn run(tool: &str, arguments: &[&str]) -> String {
    run_with(tool, arguments, "")
}

/// The same, with input.
pub(crate) fn run_with(tool: &str, arguments: &[&str], stdin: &str) -> String {
    let ran = Tools::from_env().run(tool, arguments, stdin).unwrap_or_else(|| panic!("{tool} is missing")).unwrap();
    assert!(ran.success, "{tool} {arguments:?}: {}", ran.stderr);
    ran.stdout
}
