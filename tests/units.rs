//! The units that are installed: as closed as systemd's own measure says, and in the order that the boot depends on.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn unit(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("install/systemd/docker-firewall-{name}.service"))
}

/// All values of a key, in order.
fn values(name: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(unit(name)).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn exposure_stays_low() {
    // 252 and newer measure a file; 10 is a service without any walls.
    for (name, most) in [("boot", 35), ("agent", 30)] {
        let threshold = format!("--threshold={most}");
        let words = ["security", "--offline=true", "--no-pager", &threshold];
        let Ok(ran) = Command::new("systemd-analyze").args(words).arg(unit(name)).output() else {
            eprintln!("skipped: there is no systemd-analyze here");
            return;
        };
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        if !said.contains("Overall exposure level") {
            eprintln!("skipped: this systemd-analyze measures no files: {}", String::from_utf8_lossy(&ran.stderr));
            return;
        }
        assert!(ran.status.success(), "{name}: {}", said.lines().last().unwrap_or_default());
    }
}

#[test]
fn the_boot_is_closed_before_there_is_an_engine_or_a_network() {
    let (before, after) = (values("boot", "Before"), values("boot", "After"));
    for unit in ["docker.service", "network-pre.target"] {
        assert!(before.contains(&unit.to_owned()), "{unit}");
    }
    // Whatever flushes after it would open what it closed.
    for unit in ["nftables", "netfilter-persistent", "ufw", "firewalld"] {
        assert!(after.contains(&format!("{unit}.service")), "{unit}");
    }
    assert!(values("boot", "DefaultDependencies") == ["no"]);
    // The engine starts all the same if it fails.
    assert!(
        values("boot", "RequiredBy").is_empty() && values("boot", "WantedBy").contains(&"docker.service".to_owned())
    );
    assert!(values("agent", "After").contains(&"docker.service".to_owned()));
    // Locks and records of commands lie in these; they must outlive the services.
    for name in ["boot", "agent"] {
        assert_eq!(values(name, "RuntimeDirectoryPreserve"), ["yes"], "{name}");
    }
}
