//! What was asked for, as plain values: clap ends here.

mod read;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::format::{Filters, Format, ListStyle, LogFormat};
pub use super::values::{Destination, EntryArg, Input, Picture, RuleName, SetType, Shell, Since, SourceArg};
use crate::metrics::Notation;
use crate::policy::{DefaultAccess, Hook, Ports, SetName, Target, Verdict};

/// One command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `allow`, `deny`.
    Rule(RuleArgs),
    /// `rm`.
    Rm(RmArgs),
    /// `rules`.
    Rules(RulesArgs),
    /// `ls`.
    Ls(LsArgs),
    /// `explain`.
    Explain(ExplainArgs),
    /// `graph`.
    Graph(GraphArgs),
    /// `log`.
    Log(LogArgs),
    /// `top`.
    Top(TopArgs),
    /// `metrics`.
    Metrics(MetricsArgs),
    /// `default`.
    Default(DefaultArgs),
    /// `apply`.
    Apply(ApplyArgs),
    /// `plan`.
    Plan(PlanArgs),
    /// `reset`.
    Reset(ResetArgs),
    /// `status`.
    Status(StatusArgs),
    /// `agent`.
    Agent(AgentArgs),
    /// `restore`.
    Restore,
    /// `service install`.
    ServiceInstall(ServiceInstallArgs),
    /// `service uninstall`.
    ServiceUninstall(ServiceUninstallArgs),
    /// `service status`.
    ServiceStatus,
    /// `doctor`.
    Doctor(DoctorArgs),
    /// `completion`.
    Completion(CompletionArgs),
    /// `version`.
    Version(VersionArgs),
    /// `set create`.
    SetCreate(SetCreateArgs),
    /// `set add`.
    SetAdd(SetAddArgs),
    /// `set del`.
    SetDel(SetDelArgs),
    /// `set ls`.
    SetLs(SetLsArgs),
    /// `set inspect`.
    SetInspect(SetInspectArgs),
    /// `set rm`.
    SetRm(SetRmArgs),
    /// `set import`.
    SetImport(SetImportArgs),
    /// `set export`.
    SetExport(SetExportArgs),
    /// `set test`.
    SetTest(SetTestArgs),
}

/// `allow TARGET... --from ...`, `deny ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleArgs {
    /// Which of the two.
    pub verdict: Verdict,
    /// Whom it protects: at least one, none twice.
    pub targets: Vec<Target>,
    /// Who comes: at least one.
    pub sources: Vec<SourceArg>,
    /// `--port`, `--published`.
    pub ports: Ports,
    /// `--interface`.
    pub interface: Option<String>,
    /// `--for`.
    pub lifetime: Option<Duration>,
    /// `--until`.
    pub until: Option<Timestamp>,
    /// `--comment`, unless empty.
    pub comment: Option<String>,
    /// `--before`, counted from 1.
    pub before: Option<usize>,
    /// `--pending`.
    pub pending: bool,
    /// `--log`, when given.
    pub log: Option<bool>,
    /// `--dry-run`.
    pub dry_run: bool,
}

/// `rm RULE...` or `rm --target T`; at least one of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RmArgs {
    /// Rules by number or ID.
    pub rules: Vec<RuleName>,
    /// All rules of these targets.
    pub targets: Vec<Target>,
    /// `--dry-run`.
    pub dry_run: bool,
}

/// `rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesArgs {
    /// How to print them.
    pub style: ListStyle,
    /// `--counters`.
    pub counters: bool,
}

/// `top [TARGET...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopArgs {
    /// Only these; none means all.
    pub targets: Vec<Target>,
    /// `--no-stream`.
    pub no_stream: bool,
    /// How to print them.
    pub style: ListStyle,
}

/// `metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsArgs {
    /// `--output`.
    pub output: Option<PathBuf>,
    /// `--format`.
    pub notation: Notation,
}

/// `ls [TARGET...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LsArgs {
    /// Only these; none means all.
    pub targets: Vec<Target>,
    /// How to print them.
    pub style: ListStyle,
    /// `--filter`.
    pub filters: Filters,
}

/// `graph [TARGET...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphArgs {
    /// Only these; none means all.
    pub targets: Vec<Target>,
    /// `--filter`.
    pub filters: Filters,
    /// `--format`.
    pub picture: Picture,
}

/// `log [TARGET...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogArgs {
    /// Only these; none means all.
    pub targets: Vec<Target>,
    /// `--follow`.
    pub follow: bool,
    /// `--since`.
    pub since: Option<Since>,
    /// `--tail`: so many of the newest; `None` is all.
    pub tail: Option<usize>,
    /// How to print them.
    pub style: ListStyle,
    /// `--on`, `--off`: what to set instead.
    pub switch: Option<bool>,
}

/// `default [open|closed]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultArgs {
    /// What to set; `None` prints what is.
    pub access: Option<DefaultAccess>,
    /// `--dry-run`.
    pub dry_run: bool,
}

/// `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyArgs {
    /// `--file`.
    pub file: Option<Input>,
    /// `--hook`: to be stored.
    pub hook: Option<Hook>,
    /// `--dry-run`.
    pub dry_run: bool,
}

/// `plan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanArgs;

/// `reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetArgs {
    /// `--force`.
    pub force: bool,
}

/// `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusArgs {
    /// `--format`, when given.
    pub format: Option<Format>,
}

/// `explain TARGET[:PORT]... --from SOURCE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainArgs {
    /// Whom somebody wants to reach: at least one.
    pub destinations: Vec<Destination>,
    /// Who: at least one.
    pub sources: Vec<SourceArg>,
    /// `--interface`.
    pub interface: Option<String>,
    /// `--verbose`.
    pub verbose: bool,
    /// `--format`.
    pub format: Format,
}

/// `agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentArgs {
    /// `--log-format`.
    pub log_format: LogFormat,
}

/// `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorArgs {
    /// `--format`, when given.
    pub format: Option<Format>,
}

/// `service install`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceInstallArgs {
    /// `--no-systemd`: everything but the units.
    pub no_systemd: bool,
    /// `--dry-run`.
    pub dry_run: bool,
}

/// `service uninstall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceUninstallArgs {
    /// `--dry-run`.
    pub dry_run: bool,
}

/// `completion bash|zsh|fish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionArgs {
    /// Whose script.
    pub shell: Shell,
}

/// `version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionArgs;

/// `set create NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCreateArgs {
    /// The new set.
    pub name: SetName,
    /// `--type`.
    pub kind: SetType,
    /// `--comment`, unless empty.
    pub comment: Option<String>,
}

/// `set add NAME ENTRY...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAddArgs {
    /// The set.
    pub name: SetName,
    /// At least one.
    pub entries: Vec<EntryArg>,
    /// `--for`; fits into a kernel timeout.
    pub lifetime: Option<Duration>,
    /// `--comment`, unless empty.
    pub comment: Option<String>,
}

/// `set del NAME ENTRY...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetDelArgs {
    /// The set.
    pub name: SetName,
    /// At least one.
    pub entries: Vec<EntryArg>,
}

/// `set ls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLsArgs {
    /// How to print them.
    pub style: ListStyle,
}

/// `set inspect NAME...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetInspectArgs {
    /// At least one.
    pub names: Vec<SetName>,
    /// `--format`; nothing means with indentation.
    pub format: Option<Format>,
}

/// `set rm NAME...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRmArgs {
    /// At least one.
    pub names: Vec<SetName>,
}

/// `set import NAME FILE|-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetImportArgs {
    /// The set.
    pub name: SetName,
    /// Where the entries are.
    pub from: Input,
}

/// `set export NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetExportArgs {
    /// The set.
    pub name: SetName,
}

/// `set test NAME IP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTestArgs {
    /// The set.
    pub name: SetName,
    /// The address.
    pub address: IpAddr,
}
