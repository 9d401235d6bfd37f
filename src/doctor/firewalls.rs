//! Who else writes rules on this host, and what that does to ours.

use super::Check;
use super::facts::{Firewall, Surroundings, ThirdLine};

pub(super) fn check(host: &Surroundings) -> Vec<Check> {
    if host.firewalls.is_empty() {
        return vec![Check::good("firewalls", "no other firewall is set up here")];
    }
    host.firewalls.iter().map(|firewall| of(*firewall, host)).collect()
}

fn of(firewall: Firewall, host: &Surroundings) -> Check {
    let follows = host.agent.is_some();
    let (does, fix) = match firewall {
        Firewall::Ufw => ("ufw is enabled: `ufw enable` and `ufw reload` write the chains anew that call ours", None),
        Firewall::Firewalld => ("firewalld runs: `firewall-cmd --reload` and its restart may flush every chain", None),
        Firewall::Nftables => (
            "nftables.service begins with `flush ruleset`: its start and reload take away both of our lines at once",
            Some("in /etc/nftables.conf, put `flush table inet filter` for `flush ruleset`"),
        ),
        Firewall::Persistent => (
            "saved rules in /etc/iptables replace whole tables when netfilter-persistent starts or reloads",
            Some("systemctl disable netfilter-persistent, unless it keeps rules that nobody else writes"),
        ),
        Firewall::Ferm => ("ferm is set up: its start and reload replace the tables that it names", None),
        Firewall::Shorewall => ("shorewall is set up: its start and reload replace the tables", None),
        Firewall::Csf => (
            "ConfigServer Firewall is set up: `csf -r` flushes every chain, Docker's too",
            Some("put `systemctl restart docker` and `docker firewall apply` into /etc/csf/csfpost.sh"),
        ),
    };
    // The security table is none of theirs, and the agent puts the first line in order at once.
    let harmless = follows && matches!(firewall, Firewall::Ufw | Firewall::Ferm | Firewall::Shorewall);
    let held = host.agent.as_ref().is_some_and(|agent| agent.third_line == ThirdLine::Held);
    let mended = match (follows, held) {
        (true, true) => "the agent writes ours again, and its third line stands meanwhile",
        (true, false) => "the agent writes ours again",
        (false, _) => "nobody writes ours again until `apply`",
    };
    let text = format!("{does}; {mended}");
    if harmless {
        return Check::good("firewalls", text);
    }
    let check = Check::warning("firewalls", text);
    let without = if host.systemd { "" } else { " --no-systemd" };
    match fix {
        Some(fix) => check.fixed_by(fix),
        None if !follows => check.fixed_by(format!("{} service install{without}", host.program)),
        None => check
            .fixed_by(format!("{} doctor, after each reload, or remove it if Docker is all it guards", host.program)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::super::facts::Account;
    use super::*;

    #[test]
    fn the_agent_mends_what_the_backstop_outlives() {
        let mut host = Surroundings { firewalls: vec![Firewall::Ufw, Firewall::Nftables], ..Surroundings::default() };
        let health = |host: &Surroundings| check(host).into_iter().map(|check| check.health).collect::<Vec<_>>();
        assert_eq!(health(&host), [Health::Warning, Health::Warning]);
        host.agent = Some(Account::default());
        assert_eq!(health(&host), [Health::Good, Health::Warning]);
    }
}
