//! Who keeps the rules true: the agent, the services, and what the next boot knows.

use super::Check;
use super::facts::{Account, Copied, Surroundings, ThirdLine, Unit};

/// The agent's service.
const AGENT: &str = "docker-firewall-agent";

/// Whether somebody keeps the rules true.
pub(super) fn check(host: &Surroundings) -> Check {
    if !host.sees_files && host.agent.is_none() {
        return Check::unknown("agent", "without root nobody is shown whether one runs").fixed_by(as_root(host));
    }
    let again = if host.systemd {
        format!("systemctl restart {AGENT}")
    } else {
        format!("end it, then start {} agent", host.copy.1)
    };
    match &host.agent {
        Some(Account { failure: Some(failure), .. }) => {
            let log = if host.systemd { format!("journalctl -u {AGENT} -n 20") } else { "read its log".to_owned() };
            Check::not_safe("agent", format!("it runs, and its last pass failed: {failure}")).fixed_by(log)
        }
        Some(Account { since: Some(since), .. }) if *since > behind(host) => Check::not_safe(
            "agent",
            format!(
                "it hangs: its last pass was {since} s ago, and one is due every {} s; what started since is closed or has \
                 no rules",
                host.agent_tick
            ),
        )
        .fixed_by(again),
        Some(Account { version, .. }) if !version.is_empty() && version != env!("CARGO_PKG_VERSION") => {
            let own = env!("CARGO_PKG_VERSION");
            Check::warning("agent", format!("it is version {version}, and this command is {own}"))
                .fixed_by(format!("{}, then {again}", install(host)))
        }
        Some(Account { connected: false, version, .. }) if !version.is_empty() => {
            Check::warning("agent", "it runs, and the engine did not answer it last").fixed_by("systemctl status docker")
        }
        Some(_) => Check::good("agent", "it runs, and its last pass left nothing undone"),
        None if host.agent_installed => {
            let start = if host.systemd {
                format!("systemctl start {AGENT}")
            } else {
                format!("{} agent, from whatever starts services here", host.copy.1)
            };
            Check::not_safe("agent", "it is installed and does not run: containers that start are closed and stay so")
                .fixed_by(start)
        }
        None if host.has_rules == Some(false) => Check::good("agent", "none runs, and there is no rule to keep"),
        None => Check::warning(
            "agent",
            "none runs: containers that start or restart have no rules until `apply`, and after a reboot none has any",
        )
        .fixed_by(install(host)),
    }
}

/// Whether anything stands while both of our lines are gone. Without an agent nothing can, which is the agent's check.
pub(super) fn third_line(host: &Surroundings) -> Option<Check> {
    let why = match &host.agent.as_ref()?.third_line {
        ThirdLine::NotNeeded => return Some(Check::good("third-line", "down, for no rule is in force")),
        ThirdLine::Held => {
            let text = "the agent holds one: whoever takes away the other two lets nobody in until they are back";
            return Some(Check::good("third-line", text));
        }
        ThirdLine::Missing(why) => why,
    };
    let text = format!("there is none: {why}. Whoever takes away both of ours lets strangers in until they are back");
    Some(Check::warning("third-line", text).fixed_by(format!(
        "apt-get install nftables (Debian, Ubuntu) or dnf install nftables (Fedora), then systemctl reload {AGENT}; the \
         kernel has to be 5.12 or later"
    )))
}

fn as_root(host: &Surroundings) -> String {
    format!("sudo {} doctor", host.program)
}

/// How many seconds without a pass are too many: one is missing, and the machine may be slow.
fn behind(host: &Surroundings) -> i64 {
    host.agent_tick.saturating_mul(2)
}

fn install(host: &Surroundings) -> String {
    let without = if host.systemd { "" } else { " --no-systemd" };
    format!("{} service install{without}", host.program)
}

/// Whether what `service install` made is as it would make it now. Nothing where nothing is installed.
pub(super) fn services(host: &Surroundings) -> Vec<Check> {
    let (copy, path) = &host.copy;
    if *copy == Copied::Nowhere && host.units.iter().all(|unit| unit.file == Copied::Nowhere) {
        return Vec::new();
    }
    let mut checks = Vec::new();
    match copy {
        Copied::Nowhere => checks.push(
            Check::not_safe("services", format!("{path} is gone, which the services run")).fixed_by(install(host)),
        ),
        Copied::Outdated => checks.push(
            Check::warning("services", format!("{path}, which the services run, is another version than this command"))
                .fixed_by(install(host)),
        ),
        Copied::Current => {}
    }
    if host.systemd {
        checks.extend(host.units.iter().filter_map(|unit| of_unit(host, unit)));
    }
    if checks.is_empty() {
        checks.push(Check::good("services", "what boot and agent run is of this version"));
    }
    checks
}

fn of_unit(host: &Surroundings, unit: &Unit) -> Option<Check> {
    let Unit { name, file, enabled, active } = unit;
    match file {
        Copied::Nowhere => {
            return Some(Check::warning("services", format!("{name} is not installed")).fixed_by(install(host)));
        }
        Copied::Outdated => {
            let text = format!("{name} is not as this version would install it");
            return Some(Check::warning("services", text).fixed_by(install(host)));
        }
        Copied::Current => {}
    }
    if enabled == "disabled" || enabled == "masked" {
        let text = format!("{name} is {enabled}: the next boot leaves open what is guarded now");
        let how = if enabled == "masked" { "unmask" } else { "enable" };
        return Some(Check::not_safe("services", text).fixed_by(format!("systemctl {how} {name}")));
    }
    (active == "failed").then(|| {
        Check::not_safe("services", format!("{name} failed")).fixed_by(format!("journalctl -b -u {name} -n 20"))
    })
}

/// Whether the next boot knows what to close.
pub(super) fn boot_record(host: &Surroundings) -> Check {
    if !host.sees_files {
        return Check::unknown("boot-record", "without root nobody is shown what the next boot knows")
            .fixed_by(as_root(host));
    }
    let apply = format!("{} apply", host.program);
    match (host.boot.faults.first(), host.boot.usable) {
        (None, true) => Check::good("boot-record", "the next boot knows what to close before the engine starts"),
        (None, false) if host.has_rules == Some(false) => Check::good("boot-record", "none yet, and there is no rule"),
        (None, false) => {
            Check::warning("boot-record", "there is none: the next boot closes nothing before the engine starts")
                .fixed_by(apply)
        }
        (Some(fault), true) => {
            Check::warning("boot-record", format!("{fault}; the one before it stands in")).fixed_by(apply)
        }
        (Some(fault), false) => {
            Check::not_safe("boot-record", format!("{fault}: the next boot closes nothing before the engine starts"))
                .fixed_by(apply)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    fn host(agent: Option<Account>) -> Surroundings {
        Surroundings {
            program: "docker firewall".into(),
            agent,
            agent_tick: 300,
            sees_files: true,
            systemd: true,
            copy: (Copied::Current, "/usr/local/libexec/docker-firewall".into()),
            ..Surroundings::default()
        }
    }

    fn running() -> Account {
        Account {
            version: env!("CARGO_PKG_VERSION").into(),
            connected: true,
            failure: None,
            since: Some(10),
            third_line: ThirdLine::Held,
        }
    }

    #[test]
    fn an_agent_that_hangs_fails_or_is_another_is_news() {
        let health = |agent| check(&host(Some(agent))).health;
        assert_eq!(health(running()), Health::Good);
        // It has begun a moment ago.
        assert_eq!(health(Account::default()), Health::Good);
        assert_eq!(health(Account { since: Some(601), ..running() }), Health::Unsafe);
        assert_eq!(health(Account { failure: Some("no".into()), ..running() }), Health::Unsafe);
        assert_eq!(health(Account { version: "0.0.9".into(), ..running() }), Health::Warning);
        assert_eq!(health(Account { connected: false, ..running() }), Health::Warning);
        let gone = Surroundings { agent_installed: true, ..host(None) };
        assert_eq!(check(&gone).fix.as_deref(), Some("systemctl start docker-firewall-agent"));
    }

    #[test]
    fn units_that_are_old_disabled_or_failed_are_news() {
        let unit = |file, enabled: &str, active: &str| Unit {
            name: "docker-firewall-boot.service",
            file,
            enabled: enabled.into(),
            active: active.into(),
        };
        for (unit, health) in [
            (unit(Copied::Current, "enabled", "inactive"), Health::Good),
            (unit(Copied::Outdated, "enabled", "active"), Health::Warning),
            (unit(Copied::Current, "disabled", "active"), Health::Unsafe),
            (unit(Copied::Current, "enabled", "failed"), Health::Unsafe),
        ] {
            let host = Surroundings { units: vec![unit.clone()], ..host(None) };
            assert_eq!(services(&host)[0].health, health, "{unit:?}");
        }
    }

    #[test]
    fn a_boot_without_a_record_is_not_safe() {
        let mut host = host(None);
        assert_eq!(boot_record(&host).health, Health::Warning);
        host.boot.faults.push("boot cannot be used".into());
        assert_eq!(boot_record(&host).health, Health::Unsafe);
        host.boot.usable = true;
        assert_eq!(boot_record(&host).health, Health::Warning);
        host.boot.faults.clear();
        assert_eq!(boot_record(&host).health, Health::Good);
    }
}
