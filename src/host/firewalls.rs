//! Other firewalls that are set up on this host, found by their files and processes: what each writes, and when.

use std::fs;
use std::path::Path;

use crate::doctor::Firewall;

/// Whether one is set up under a root.
type IsSetUp = fn(&Path) -> bool;

/// Those found under `root`, which is `/` but for tests.
pub fn found(root: &Path) -> Vec<Firewall> {
    let kinds: [(Firewall, IsSetUp); 7] = [
        (Firewall::Ufw, ufw),
        (Firewall::Firewalld, firewalld),
        (Firewall::Nftables, nftables),
        (Firewall::Persistent, persistent),
        (Firewall::Ferm, ferm),
        (Firewall::Shorewall, shorewall),
        (Firewall::Csf, csf),
    ];
    kinds.into_iter().filter(|(_, is_set_up)| is_set_up(root)).map(|(firewall, _)| firewall).collect()
}

/// Whether a line of the file, without the blanks around it, is as asked.
fn has_line(path: &Path, is_it: impl Fn(&str) -> bool) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| is_it(line.trim())))
}

fn ufw(root: &Path) -> bool {
    has_line(&root.join("etc/ufw/ufw.conf"), |line| line.eq_ignore_ascii_case("enabled=yes"))
}

fn firewalld(root: &Path) -> bool {
    let Ok(processes) = fs::read_dir(root.join("proc")) else { return false };
    let mut numbers = processes.flatten().filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    numbers.any(|entry| has_line(&entry.path().join("comm"), |name| name == "firewalld"))
}

/// Whether systemd starts a unit at boot: a link to it, which may lie anywhere.
fn is_enabled(root: &Path, unit: &str) -> bool {
    let Ok(targets) = fs::read_dir(root.join("etc/systemd/system")) else { return false };
    targets.flatten().any(|entry| entry.path().join(unit).symlink_metadata().is_ok())
}

fn nftables(root: &Path) -> bool {
    is_enabled(root, "nftables.service")
        && has_line(&root.join("etc/nftables.conf"), |line| line.trim_end_matches(';').trim_end() == "flush ruleset")
}

/// Debian starts it by a word in `/etc/default/ferm`.
fn ferm(root: &Path) -> bool {
    let is_on = |line: &str| line.split_once('=').is_some_and(|(key, value)| key == "ENABLED" && word(value) == "yes");
    root.join("etc/ferm/ferm.conf").is_file()
        && (is_enabled(root, "ferm.service") || has_line(&root.join("etc/default/ferm"), is_on))
}

fn shorewall(root: &Path) -> bool {
    let is_on =
        |line: &str| line.split_once('=').is_some_and(|(key, value)| key == "STARTUP_ENABLED" && word(value) == "yes");
    ["shorewall/shorewall.conf", "shorewall6/shorewall6.conf"]
        .iter()
        .any(|file| has_line(&root.join("etc").join(file), is_on))
}

fn csf(root: &Path) -> bool {
    root.join("etc/csf/csf.conf").is_file() && !root.join("etc/csf/csf.disable").exists()
}

/// The value of a shell's assignment, in small letters and without quotes.
fn word(value: &str) -> String {
    value.trim_matches(['"', '\'']).to_ascii_lowercase()
}

fn persistent(root: &Path) -> bool {
    ["rules.v4", "rules.v6"].iter().any(|name| root.join("etc/iptables").join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_what_it_leaves() {
        let root = std::env::temp_dir().join(format!("firewalls-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(found(&root), []);
        put("etc/ufw/ufw.conf", "# ENABLED=yes\nENABLED=no\n");
        put("etc/nftables.conf", "#!/usr/sbin/nft -f\n\nflush ruleset\n");
        put("proc/12/comm", "firewall-cmd\n");
        put("proc/self/comm", "firewalld\n");
        assert_eq!(found(&root), []);
        put("etc/ufw/ufw.conf", "ENABLED=yes\n");
        put("etc/systemd/system/sysinit.target.wants/nftables.service", "");
        put("proc/13/comm", "firewalld\n");
        put("etc/iptables/rules.v6", "");
        put("etc/ferm/ferm.conf", "table filter { }\n");
        put("etc/default/ferm", "ENABLED=\"yes\"\n");
        put("etc/shorewall/shorewall.conf", "STARTUP_ENABLED=Yes\n");
        put("etc/csf/csf.conf", "TESTING = \"0\"\n");
        let all = [
            Firewall::Ufw,
            Firewall::Firewalld,
            Firewall::Nftables,
            Firewall::Persistent,
            Firewall::Ferm,
            Firewall::Shorewall,
            Firewall::Csf,
        ];
        assert_eq!(found(&root), all);
        put("etc/nftables.conf", "# flush ruleset\ntable inet filter { }\n");
        put("etc/default/ferm", "ENABLED=\"no\"\n");
        put("etc/shorewall/shorewall.conf", "STARTUP_ENABLED=No\n");
        put("etc/csf/csf.disable", "");
        assert_eq!(found(&root), [Firewall::Ufw, Firewall::Firewalld, Firewall::Persistent]);
        fs::remove_dir_all(&root).unwrap();
    }
}
