//! What surrounds engine and kernel: files, processes and services that anybody may see.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::cli::agent::{Record, TICK};
use crate::cli::context::Context;
use crate::cli::offline;
use crate::cli::session::Session;
use crate::doctor::{Account, BootRecords, Clock, Copied, NEEDED, Surroundings, ThirdLine, Unit};
use crate::host::paths::Paths;
use crate::host::systemd::{self, AGENT, BOOT, PROGRAM, unit_file};
use crate::host::tools::Tools;
use crate::host::{firewalls, lock, modules, volumes};
use crate::reconcile::{Boot, Config};

/// Looks around; `config` is what could be read of the files.
pub(super) fn around(ctx: &Context, config: Option<&Config>) -> Surroundings {
    let (paths, tools) = (offline::paths(ctx), Tools::from_env());
    let now = Timestamp::now();
    let boot = Boot::read(&paths);
    Surroundings {
        program: ctx.program.clone(),
        has_rules: config.map(|config| !config.document.policy().rules.is_empty()),
        modules: modules::look(&tools, &NEEDED),
        agent: Record::of_running(&paths).map(|record| account(record, lock::is_held(&paths.third_line_file()), now)),
        sees_files: Session::is_privileged(),
        agent_installed: paths.agent_installed_file().exists(),
        agent_tick: i64::try_from(TICK.as_secs()).unwrap_or(i64::MAX),
        systemd: systemd::is_booted(),
        units: [BOOT, AGENT].map(|name| unit(&tools, name)).into(),
        copy: (copied(Path::new(PROGRAM).exists(), systemd::is_current()), PROGRAM.to_owned()),
        boot: BootRecords { usable: boot.record.is_some(), faults: boot.faults },
        firewalls: firewalls::found(Path::new("/")),
        volumes: [&paths.config_dir, &paths.state_dir].into_iter().filter_map(|path| volumes::of(path)).collect(),
        clock: Clock { now, written: written(&paths) },
    }
}

fn account(record: Record, held: bool, now: Timestamp) -> Account {
    let last = record.last_pass.parse::<Timestamp>().ok();
    Account {
        version: record.version,
        connected: record.connected,
        failure: record.failure,
        since: last.map(|last| now.duration_since(last).as_secs()),
        third_line: match record.third_line {
            _ if held => ThirdLine::Held,
            Some(why) => ThirdLine::Missing(why),
            None => ThirdLine::NotNeeded,
        },
    }
}

fn unit(tools: &Tools, name: &'static str) -> Unit {
    let there = unit_file(name).exists();
    let asked = there && systemd::is_booted();
    let word = |verb| if asked { systemd::word(tools, verb, name) } else { "unknown".to_owned() };
    Unit {
        name,
        file: copied(there, systemd::is_unit_current(name)),
        enabled: word("is-enabled"),
        active: word("is-active"),
    }
}

fn copied(is_there: bool, is_current: bool) -> Copied {
    match (is_there, is_current) {
        (false, _) => Copied::Nowhere,
        (true, true) => Copied::Current,
        (true, false) => Copied::Outdated,
    }
}

/// When the policy in force was written.
fn written(paths: &Paths) -> Option<Timestamp> {
    let file = paths.last_good_paths().policy_file();
    let moment: SystemTime = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
    Timestamp::try_from(moment).ok()
}
