//! Other firewalls that are set up on this host, found by their files and processes: what each writes, and when.

use std::fs;
use std::path::Path;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Enabled in `/etc/ufw/ufw.conf`.
    Ufw,
    /// A process of that name runs.
    Firewalld,
    /// systemd starts `nftables.service`, and its file begins with `flush ruleset`, as Debian's does.
    Nftables,
    /// Rules that iptables-persistent saved.
    Persistent,
}

impl Firewall {
    fn is_set_up(self, root: &Path) -> bool {
        match self {
            Self::Ufw => ufw(root),
            Self::Firewalld => firewalld(root),
            Self::Nftables => nftables(root),
            Self::Persistent => persistent(root),
        }
    }
}

/// Those found under `root`, which is `/` but for tests.
pub fn found(root: &Path) -> Vec<Firewall> {
    let all = [Firewall::Ufw, Firewall::Firewalld, Firewall::Nftables, Firewall::Persistent];
    all.into_iter().filter(|firewall| firewall.is_set_up(root)).collect()
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

fn nftables(root: &Path) -> bool {
    let Ok(targets) = fs::read_dir(root.join("etc/systemd/system")) else { return false };
    // A link to the unit, which may lie anywhere.
    let enabled = targets.flatten().any(|entry| entry.path().join("nftables.service").symlink_metadata().is_ok());
    enabled
        && has_line(&root.join("etc/nftables.conf"), |line| line.trim_end_matches(';').trim_end() == "flush ruleset")
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
        let all = [Firewall::Ufw, Firewall::Firewalld, Firewall::Nftables, Firewall::Persistent];
        assert_eq!(found(&root), all);
        put("etc/nftables.conf", "# flush ruleset\ntable inet filter { }\n");
        assert!(!found(&root).contains(&Firewall::Nftables));
        fs::remove_dir_all(&root).unwrap();
    }
}
