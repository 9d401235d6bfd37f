//! From clap's matches to plain values.

use clap::ArgMatches;
use clap::parser::MatchesError;

use super::{
    AgentArgs, ApplyArgs, CompletionArgs, DefaultArgs, DoctorArgs, ExplainArgs, GraphArgs, Invocation, LogArgs, LsArgs,
    MetricsArgs, PlanArgs, ResetArgs, RmArgs, RuleArgs, RulesArgs, ServiceInstallArgs, ServiceUninstallArgs,
    SetAddArgs, SetCreateArgs, SetDelArgs, SetExportArgs, SetImportArgs, SetInspectArgs, SetLsArgs, SetRmArgs,
    SetTestArgs, SourceArg, StatusArgs, TopArgs, VersionArgs,
};
use crate::cli::failure::Failure;
use crate::cli::format::{Filters, Format, ListStyle};
use crate::net::PortSet;
use crate::policy::{Ports, Target, Verdict};

/// Reads typed values out of clap's; the names are those of `tree`.
struct Typed<'a>(&'a ArgMatches);

impl Typed<'_> {
    /// Every value of `name`; none for a flag that this command does not have. A type that `tree` did not give to it is
    /// a fault of ours and must not pass for "not given".
    fn all<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<Vec<T>, Failure> {
        match self.0.try_get_many::<T>(name) {
            Ok(values) => Ok(values.unwrap_or_default().cloned().collect()),
            Err(MatchesError::UnknownArgument { .. }) => Ok(Vec::new()),
            Err(error) => Err(Failure::internal(format!("the argument {name} was misread: {error}"))),
        }
    }

    fn maybe<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<Option<T>, Failure> {
        Ok(self.all(name)?.pop())
    }

    fn must<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<T, Failure> {
        self.maybe(name)?.ok_or_else(|| Failure::internal(format!("the argument {name} was lost")))
    }

    fn on(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.maybe(name)?.unwrap_or(false))
    }

    fn comment(&self) -> Result<Option<String>, Failure> {
        Ok(self.maybe::<String>("comment")?.filter(|comment| !comment.is_empty()))
    }

    fn format(&self) -> Result<Option<Format>, Failure> {
        let text = self.maybe::<String>("format")?.filter(|text| !text.is_empty());
        text.map(|text| Format::parse(&text)).transpose()
    }

    fn style(&self) -> Result<ListStyle, Failure> {
        Ok(ListStyle { quiet: self.on("quiet")?, format: self.format()?, no_trunc: self.on("no-trunc")? })
    }

    fn ports(&self, name: &str) -> Result<Option<PortSet>, Failure> {
        let given = self.all::<PortSet>(name)?;
        Ok(PortSet::new(given.iter().flat_map(|ports| ports.ranges().iter().copied())))
    }

    fn targets(&self, name: &str) -> Result<Vec<Target>, Failure> {
        let mut targets = Vec::new();
        for target in self.all(name)? {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(targets)
    }

    fn log(&self) -> Result<LogArgs, Failure> {
        let switch = match (self.on("on")?, self.on("off")?) {
            (true, true) => return Err(Failure::usage("--on and --off are opposites: give one")),
            (on, off) => (on || off).then_some(on),
        };
        let args = LogArgs {
            targets: self.targets("target")?,
            follow: self.on("follow")?,
            since: self.maybe("since")?,
            tail: self.maybe::<Option<usize>>("tail")?.flatten(),
            style: self.style()?,
            switch,
        };
        let shows = args.follow || args.since.is_some() || args.tail.is_some() || !args.targets.is_empty();
        if switch.is_some() && shows {
            return Err(Failure::usage(
                "--on and --off are for all containers and show nothing; for one deny rule: --log",
            ));
        }
        Ok(args)
    }

    fn rule(&self, verdict: Verdict) -> Result<RuleArgs, Failure> {
        Ok(RuleArgs {
            verdict,
            targets: self.targets("target")?,
            sources: self.all::<Vec<SourceArg>>("from")?.concat(),
            ports: Ports { container: self.ports("port")?, published: self.ports("published")? },
            interface: self.maybe("interface")?,
            lifetime: self.maybe("for")?,
            until: self.maybe("until")?,
            comment: self.comment()?,
            before: self.maybe("before")?,
            pending: self.on("pending")?,
            log: self.maybe("log")?,
            dry_run: self.on("dry-run")?,
        })
    }
}

impl Invocation {
    /// Makes plain values of the command at `path` (`["set", "ls"]`).
    pub(in crate::cli) fn from_matches(path: &[&str], matches: &ArgMatches) -> Result<Self, Failure> {
        let typed = Typed(matches);
        Ok(match *path {
            ["allow"] => Self::Rule(typed.rule(Verdict::Allow)?),
            ["deny"] => Self::Rule(typed.rule(Verdict::Deny)?),
            ["rm"] => Self::Rm(RmArgs {
                rules: typed.all("rule")?,
                targets: typed.targets("target")?,
                dry_run: typed.on("dry-run")?,
            }),
            ["rules"] => Self::Rules(RulesArgs { style: typed.style()?, counters: typed.on("counters")? }),
            ["top"] => Self::Top(TopArgs {
                targets: typed.targets("target")?,
                no_stream: typed.on("no-stream")?,
                style: typed.style()?,
            }),
            ["metrics"] => Self::Metrics(MetricsArgs {
                output: typed.maybe("output")?,
                notation: typed.maybe("format")?.unwrap_or_default(),
            }),
            ["ls"] => Self::Ls(LsArgs {
                targets: typed.targets("target")?,
                style: typed.style()?,
                filters: Filters(typed.all("filter")?),
            }),
            ["graph"] => Self::Graph(GraphArgs {
                targets: typed.targets("target")?,
                filters: Filters(typed.all("filter")?),
                picture: typed.maybe("format")?.unwrap_or_default(),
            }),
            ["log"] => Self::Log(typed.log()?),
            ["explain"] => Self::Explain(ExplainArgs {
                destinations: typed.all("destination")?,
                sources: typed.all::<Vec<SourceArg>>("from")?.concat(),
                interface: typed.maybe("interface")?,
                verbose: typed.on("verbose")?,
                format: typed.format()?.unwrap_or(Format::Table),
            }),
            ["default"] => Self::Default(DefaultArgs { access: typed.maybe("access")?, dry_run: typed.on("dry-run")? }),
            ["apply"] => Self::Apply(ApplyArgs {
                file: typed.maybe("file")?,
                hook: typed.maybe("hook")?,
                dry_run: typed.on("dry-run")?,
            }),
            ["plan"] => Self::Plan(PlanArgs),
            ["reset"] => Self::Reset(ResetArgs { force: typed.on("force")? }),
            ["agent"] => Self::Agent(AgentArgs { log_format: typed.maybe("log-format")?.unwrap_or_default() }),
            ["restore"] => Self::Restore,
            ["service", "install"] => Self::ServiceInstall(ServiceInstallArgs {
                no_systemd: typed.on("no-systemd")?,
                dry_run: typed.on("dry-run")?,
            }),
            ["service", "uninstall"] => Self::ServiceUninstall(ServiceUninstallArgs { dry_run: typed.on("dry-run")? }),
            ["service", "status"] => Self::ServiceStatus,
            ["doctor"] => Self::Doctor(DoctorArgs { format: typed.format()? }),
            ["status"] => Self::Status(StatusArgs { format: typed.format()? }),
            ["completion"] => Self::Completion(CompletionArgs { shell: typed.must("shell")? }),
            ["version"] => Self::Version(VersionArgs),
            ["set", command] => return Self::set(command, &typed),
            _ => return Err(Failure::internal(format!("no such command: {}", path.join(" ")))),
        })
    }

    fn set(command: &str, typed: &Typed<'_>) -> Result<Self, Failure> {
        Ok(match command {
            "create" => Self::SetCreate(SetCreateArgs {
                name: typed.must("name")?,
                kind: typed.maybe("type")?.unwrap_or_default(),
                comment: typed.comment()?,
            }),
            "add" => Self::SetAdd(SetAddArgs {
                name: typed.must("name")?,
                entries: typed.all("entry")?,
                lifetime: typed.maybe("for")?,
                comment: typed.comment()?,
            }),
            "del" => Self::SetDel(SetDelArgs { name: typed.must("name")?, entries: typed.all("entry")? }),
            "ls" => Self::SetLs(SetLsArgs { style: typed.style()? }),
            "inspect" => Self::SetInspect(SetInspectArgs { names: typed.all("name")?, format: typed.format()? }),
            "rm" => Self::SetRm(SetRmArgs { names: typed.all("name")? }),
            "import" => Self::SetImport(SetImportArgs { name: typed.must("name")?, from: typed.must("file")? }),
            "export" => Self::SetExport(SetExportArgs { name: typed.must("name")? }),
            "test" => Self::SetTest(SetTestArgs { name: typed.must("name")?, address: typed.must("address")? }),
            other => return Err(Failure::internal(format!("no such command: set {other}"))),
        })
    }
}
