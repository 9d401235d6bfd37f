//! What belongs to others in the kernel, and whether it is as it was.

use std::net::IpAddr;

use crate::{Lab, LabError, Protocol, Saves};

/// What an administrator leads a port of the host to: Docker knows nothing of it, and newer ones keep it closed.
pub(crate) const FORWARDED: (&str, Protocol, u16) = ("web", Protocol::Tcp, 90);
/// That port.
pub(crate) const FORWARDED_PORT: u16 = 9090;

/// Rules and sets of an administrator and of other tools, made before the baseline is taken.
const FOREIGN: &str = r"
ipset create crowdsec hash:ip
ipset add crowdsec 203.0.113.66
ipset create banned6 hash:net family inet6 timeout 3000 comment
for tool in iptables ip6tables; do
  $tool -N their-chain
  $tool -A their-chain -p tcp --dport 25 -m comment --comment 'two words' -j REJECT
  $tool -I FORWARD -i br-ext -p tcp --dport 25 -j their-chain
  $tool -I INPUT -p tcp --dport 25 -j their-chain
  $tool -A OUTPUT -p tcp --dport 25 -j their-chain
  $tool -t mangle -A PREROUTING -p tcp --dport 25 -j ACCEPT
done
if iptables -S DOCKER-USER > /dev/null 2>&1; then iptables -I DOCKER-USER -s 192.0.2.0/24 -j DROP; fi
iptables -A INPUT -m set --match-set crowdsec src -p tcp --dport 25 -j DROP
ip6tables -A INPUT -m set --match-set banned6 src -j DROP
";

/// Makes them; `web` is where the forwarded port leads, if there is one.
pub(crate) fn plant(lab: &Lab, web: Option<IpAddr>) -> Result<(), LabError> {
    let (_, protocol, inner) = FORWARDED;
    let forward = web.map_or_else(String::new, |web| {
        format!(
            "iptables -t nat -A PREROUTING -d 203.0.113.1/32 -p {protocol} --dport {FORWARDED_PORT} \
             -j DNAT --to-destination {web}:{inner}"
        )
    });
    lab.exec(&["sh", "-euc", &format!("{FOREIGN}{forward}")])?.require("foreign rules").map(drop)
}

/// What the kernel holds without counters and times: all of it.
pub(crate) fn whole(lab: &Lab) -> Result<Saves, LabError> {
    let Saves { v4, v6, ipset } = lab.save()?;
    Ok(Saves { v4: tables(&v4, |_| true), v6: tables(&v6, |_| true), ipset: sets(&ipset, &[]) })
}

/// The lines that are not ours; `own` are the users' sets.
pub(crate) fn foreign(lab: &Lab, own: &[&str]) -> Result<Saves, LabError> {
    let Saves { v4, v6, ipset } = lab.save()?;
    Ok(Saves { v4: tables(&v4, is_foreign), v6: tables(&v6, is_foreign), ipset: sets(&ipset, own) })
}

/// Our chains and jumps have our name in them; the literal rules in Docker's own chain have it as their comment.
fn is_foreign(line: &str) -> bool {
    !line.contains("DOCKER-FIREWALL") && !line.contains("--comment docker-firewall")
}

fn tables(save: &str, keep: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut table: Vec<String> = Vec::new();
    for line in save.lines().filter(|line| !line.starts_with('#') && keep(line)) {
        // Packets that passed are no change.
        table.push(if line.starts_with(':') { line.split(" [").next().unwrap_or(line) } else { line }.to_owned());
        if line == "COMMIT" {
            // A table that is all empty does what a table does that is not there; no tool can remove one.
            let empty = |line: &String| {
                line.starts_with('*') || line == "COMMIT" || line.ends_with(" ACCEPT") && line.starts_with(':')
            };
            if !table.iter().all(empty) {
                text += &table.join("\n");
                text.push('\n');
            }
            table.clear();
        }
    }
    text
}

fn sets(save: &str, own: &[&str]) -> String {
    let is_own = |name: &str| {
        name.starts_with("df4-") || name.starts_with("df6-") || own.contains(&name.strip_suffix("-v6").unwrap_or(name))
    };
    let mut text = String::new();
    for line in save.lines() {
        if !line.split(' ').nth(1).is_some_and(is_own) {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// The first lines in which two texts differ, for a report.
pub(crate) fn difference(before: &str, after: &str) -> String {
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    let lines: Vec<String> = gone.chain(new).take(8).collect();
    if lines.is_empty() { "the same lines in another order".to_owned() } else { lines.join("\n      ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVE: &str = "# Generated\n*security\n:INPUT ACCEPT [5:300]\n-A INPUT -j DOCKER-FIREWALL-HOST\nCOMMIT\n\
                        *filter\n:INPUT ACCEPT [9:9]\n:DOCKER-FIREWALL - [0:0]\n-A INPUT -p tcp -j DROP\nCOMMIT\n";

    #[test]
    fn what_is_ours_and_what_only_counts_is_left_out() {
        let foreign = tables(SAVE, is_foreign);
        assert_eq!(foreign, "*filter\n:INPUT ACCEPT\n-A INPUT -p tcp -j DROP\nCOMMIT\n");
        assert!(tables(SAVE, |_| true).contains("DOCKER-FIREWALL-HOST"));
    }

    #[test]
    fn sets_are_told_apart_by_name() {
        let save =
            "create df4-ruled hash:ip\ncreate ipfriends-v6 hash:net\ncreate crowdsec hash:ip\nadd crowdsec 1.2.3.4\n";
        assert_eq!(sets(save, &["ipfriends"]), "create crowdsec hash:ip\nadd crowdsec 1.2.3.4\n");
    }
}
