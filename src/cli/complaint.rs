//! What went wrong below, as the command's failure: the thing, the cause, and the next command to type.

use std::io::ErrorKind;

use super::failure::Failure;
use super::text::printable;
use crate::docker::EngineError;
use crate::host::files::FileError;
use crate::host::kernel::KernelError;
use crate::host::lock::LockError;
use crate::host::privileges::PrivilegeError;
use crate::lint::Finding;
use crate::policy::{Target, nearest};
use crate::reconcile::{ApplyError, ConfigError, SandboxError};
use crate::resolve::NAMED_PORTS_MAX;

pub(super) fn privilege(error: &PrivilegeError) -> Failure {
    Failure::environment(error.to_string())
}

pub(super) fn config(error: &ConfigError) -> Failure {
    let failure = Failure::user(error.to_string());
    match error {
        ConfigError::Policy { .. } | ConfigError::Set { .. } => {
            failure.hinted("Nothing was changed; what was in force before still is. Mend the file and try again")
        }
        ConfigError::Torn { path, copy, .. } => failure
            .hinted("Nothing was changed; what was in force before still is")
            .hinted(format!("To have it back: cp {} {}", copy.display(), path.display()))
            .hinted("If it is meant to be like this, end its last line with a line break"),
        ConfigError::File(FileError::Unreadable { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            failure.hinted("Policy and sets are for root to read: run the command again with sudo")
        }
        ConfigError::File(_) => failure.hinted("Nothing was changed; what was in force before still is"),
    }
}

/// The lock was not to be had.
pub(super) fn lock(error: &LockError) -> Failure {
    let failure = Failure::environment(error.to_string());
    match error {
        LockError::Busy { holder: Some(pid), .. } => failure.hinted(format!(
            "What it does: ps -fp {pid}. If it hangs, end it (kill {pid}) and repeat the command; the lock goes with it"
        )),
        LockError::Busy { holder: None, .. } => failure.hinted("Repeat the command when the other one has ended"),
        LockError::Io { .. } => failure.hinted("Nothing was changed; what was in force before still is"),
    }
}

/// A file could not be written; nothing else has happened yet.
pub(super) fn file(error: &FileError) -> Failure {
    Failure::environment(error.to_string())
}

/// A file could not be put in its place after the kernel was changed.
pub(super) fn half_written(error: &FileError, program: &str) -> Failure {
    Failure::environment(format!("the kernel has been changed, but not every file: {error}"))
        .hinted(format!("Make room or repair it, then repeat the command; `{program} plan` shows what differs"))
}

/// The kernel could not be read.
pub(super) fn kernel(error: &KernelError) -> Failure {
    let failure = Failure::environment(error.to_string());
    match error {
        KernelError::ToolMissing { debian, fedora, .. } => failure.hinted(format!(
            "Nothing was changed. Install it: apt-get install {debian}    (Fedora: dnf install {fedora})"
        )),
        _ => failure.hinted("Nothing was changed; what was in force before still is"),
    }
}

/// A container's own network namespace cannot be guarded.
pub(super) fn sandbox(error: &SandboxError) -> Failure {
    Failure::environment(error.to_string()).hinted("Nothing was changed; what was in force before still is")
}

/// The engine gave no answer.
pub(super) fn engine(error: &EngineError) -> Failure {
    let failure = Failure::environment(error.to_string());
    match error {
        EngineError::CannotConnect(_) => failure.hinted(
            "Nothing was changed; what was in force before still is. `systemctl status docker` says what the engine does",
        ),
        EngineError::Permission(_) => failure.hinted("Run the command again with sudo"),
        _ => failure.hinted("Nothing was changed; what was in force before still is"),
    }
}

pub(super) fn apply(error: &ApplyError) -> Failure {
    match error {
        error if error.is_cancelled() => Failure::cancelled(error.to_string()),
        error => Failure::environment(error.to_string()),
    }
}

fn did_you_mean(word: &str, candidates: &[String]) -> String {
    nearest(word, candidates.iter().map(String::as_str))
        .map_or_else(String::new, |near| format!("; did you mean {}?", printable(near)))
}

/// The sentence for one finding; `number` is the rule's, when it has one already.
pub(super) fn finding(finding: &Finding, sets: &[String]) -> String {
    match finding {
        Finding::NoTarget { target: Target::SwarmService(name), candidates, .. } => {
            let near = did_you_mean(&format!("service:{name}"), candidates);
            format!("no swarm service is called {}{near}", printable(name))
        }
        Finding::NoTarget { target, candidates, .. } => {
            let text = target.to_string();
            format!("no container is meant by {}{}", printable(&text), did_you_mean(&text, candidates))
        }
        Finding::NoSet { set, .. } => format!("there is no set {set}{}", did_you_mean(set, sets)),
        Finding::NoIpset { ipset, .. } => format!("the kernel has no ipset {}", printable(ipset)),
        Finding::SharesNetwork { container, owner, known: true, .. } => {
            format!("{container} uses the network of {owner}: its ports are {owner}'s, and {owner}'s rules decide")
        }
        Finding::SharesNetwork { container, owner, .. } => {
            format!("{container} uses the network of a container that is gone ({owner}): rules cannot guard it")
        }
        Finding::HostNetwork { container, named: true, .. } => format!(
            "{container} is on the host's own network, where Docker does not know which ports are its: the rule has to \
             name them"
        ),
        Finding::HostNetwork { container, .. } => format!(
            "{container} is on the host's own network and is passed over: rules reach it only by its name, a label, its \
             service or its network, and with --port"
        ),
        Finding::TooManyPorts { container, count, .. } => format!(
            "{container} is on the host's own network, where each port is guarded by itself: {count} ports are too many, \
             {NAMED_PORTS_MAX} are the most a rule can name there"
        ),
        Finding::SharedPorts { ports, containers } => format!(
            "{} are on the host's own network, and their rules judge {ports} differently: it is closed, for nobody can \
             say whose it is",
            containers.join(" and ")
        ),
        Finding::NotForwarded { container, network, driver, only: true, .. } => format!(
            "{container} is on the {driver} network {network} alone, whose packets cross no chain that rules can be \
             put into: rules cannot guard it"
        ),
        Finding::NotForwarded { container, network, driver, .. } => format!(
            "{container} has an address on the {driver} network {network}, whose packets cross no chain that rules \
             can be put into: that address is not guarded"
        ),
        Finding::ServicesUnknown { target: Target::SwarmService(name), reason, named: Some(ports), .. } => format!(
            "{reason}: that service {name} publishes {ports} cannot be checked, and what else it publishes stays as it is"
        ),
        Finding::ServicesUnknown { target: Target::SwarmService(name), reason, .. } => format!(
            "{reason}, so the published ports of service {name} are not known here: those that no rule names with \
             --published stay as they are"
        ),
        Finding::ServicesUnknown { target, reason, .. } => format!(
            "{reason}, so the published ports of services are not known here, and {target} leaves them as they are: name \
             them with service:NAME and --published"
        ),
        Finding::TaskName { container, service, .. } => format!(
            "{container} is one task of service {service}: the next one will have another name, and what the service \
             publishes in ingress mode is not this task's; service:{service} means both"
        ),
        Finding::NotPublished { ports, published, .. } if published.is_empty() => {
            format!("no target publishes the host port {ports}: it publishes none")
        }
        Finding::NotPublished { ports, published, .. } => {
            format!("no target publishes the host port {ports}: published are {}", published.join(", "))
        }
        Finding::SharedAddress { address, containers } => format!(
            "{} claim the address {address}: it is closed, for nobody can say whose rules hold",
            containers.join(" and ")
        ),
        Finding::NeverMatches { because, .. } => {
            format!("it can never match: rule {} always decides first", because + 1)
        }
    }
}

/// Whether a finding about a rule that is being written makes it senseless, or unsafe to believe in.
pub(super) fn is_fatal(finding: &Finding, pending: bool) -> bool {
    match finding {
        Finding::NoTarget { .. } | Finding::NotPublished { .. } => !pending,
        Finding::NoSet { .. } | Finding::NoIpset { .. } | Finding::NotForwarded { only: true, .. } => true,
        Finding::SharesNetwork { named, .. }
        | Finding::HostNetwork { named, .. }
        | Finding::TooManyPorts { named, .. } => *named,
        // The ports would stay open that its author believes are guarded.
        Finding::ServicesUnknown { target, named, .. } => {
            !pending && named.is_none() && matches!(target, Target::SwarmService(_))
        }
        Finding::NotForwarded { .. }
        | Finding::TaskName { .. }
        | Finding::SharedAddress { .. }
        | Finding::SharedPorts { .. }
        | Finding::NeverMatches { .. } => false,
    }
}

/// What to type after a fatal finding.
pub(super) fn hint(finding: &Finding, program: &str) -> Option<String> {
    match finding {
        Finding::NoTarget { target: Target::SwarmService(_), .. } => Some(
            "`docker service ls` lists services, on a manager; for one that is yet to come, add --pending".to_owned(),
        ),
        Finding::ServicesUnknown { target: Target::SwarmService(name), .. } => Some(format!(
            "Nothing was changed. Ask a manager: docker service inspect --format '{{{{json .Endpoint.Ports}}}}' {name}\n\
             Then name its PublishedPorts here: {program} allow service:{name} --from SOURCE --published PORT[,PORT]"
        )),
        Finding::NoTarget { .. } => Some(format!(
            "`docker ps -a` lists containers; for one that is yet to come, add --pending\n`{program} ls` shows what can be guarded"
        )),
        Finding::NotPublished { .. } => Some("For a port that is yet to be published, add --pending".to_owned()),
        Finding::NoSet { set, .. } => Some(format!("Make it first: {program} set create {set}")),
        Finding::NoIpset { .. } => Some("`ipset list -n` lists the kernel's sets".to_owned()),
        Finding::SharesNetwork { container, known: false, .. } => {
            Some(format!("Make {container} anew in the network of a container that exists"))
        }
        Finding::TooManyPorts { .. } => {
            Some("Name fewer ports, or guard the host's network with its own firewall".to_owned())
        }
        Finding::NotForwarded { container, .. } => Some(format!(
            "Put {container} on a bridge network and publish its ports, or guard it where its packets pass"
        )),
        _ => None,
    }
}
