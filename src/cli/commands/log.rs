//! `log`: who was kept out, as the agent wrote it down; and whether it writes.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

use jiff::{SignedDuration, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::cli::args::{LogArgs, Since};
use crate::cli::context::Context;
use crate::cli::engine::{self, Trouble};
use crate::cli::failure::{Exit, Failure};
use crate::cli::format::{Format, ListStyle};
use crate::cli::listing::{Entry, Listing, Shown};
use crate::cli::offline;
use crate::cli::report::count;
use crate::cli::session::{Need, Session};
use crate::cli::survey::refuse_unknown;
use crate::host::attempts::AttemptReader;
use crate::host::lock;
use crate::policy::Target;
use crate::resolve::selects;

/// How often the file is looked at by who follows it.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Runs it.
pub fn run(ctx: &mut Context, args: LogArgs) -> Result<Exit, Failure> {
    match args.switch {
        Some(on) => switch(ctx, on),
        None => show(ctx, &args),
    }
}

/// For all containers.
fn switch(ctx: &mut Context, on: bool) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Engine)?;
    let mut config = session.config().clone();
    if config.document.policy().log != on {
        config.document.set_log(on).map_err(|error| Failure::internal(error.to_string()))?;
    }
    if on {
        session.require_log(config.document.policy())?;
    }
    let rules = config.document.policy().rules.iter().enumerate().filter(|(_, rule)| rule.log);
    let rules: Vec<String> = rules.map(|(index, _)| (index + 1).to_string()).collect();
    session.change(ctx, config)?;
    ctx.output.line(&match (on, rules.as_slice()) {
        (true, _) => "Whoever is kept out is written down from now on.".to_owned(),
        (false, []) => "Nobody who is kept out is written down any more.".to_owned(),
        (false, rules) => {
            format!(
                "Of those who are kept out, only whom rule {} denies is written down from now on.",
                rules.join(", ")
            )
        }
    });
    if on {
        remark_on_agent(ctx);
    }
    Ok(Exit::Success)
}

fn show(ctx: &mut Context, args: &LogArgs) -> Result<Exit, Failure> {
    let paths = offline::paths(ctx);
    let unreadable = |error: io::Error| {
        let failure = Failure::environment(format!("cannot read {}: {error}", paths.attempts_file().display()));
        if error.kind() == ErrorKind::PermissionDenied {
            failure.hinted("Who is kept out is for root to read: run the command again with sudo")
        } else {
            failure
        }
    };
    let choice = Choice::of(ctx, args)?;
    let (mut reader, mut lines) = AttemptReader::open(&paths).map_err(unreadable)?;
    lines.extend(reader.lines().map_err(unreadable)?);
    let mut attempts = choice.of_lines(&lines);
    if attempts.iter().all(|attempt| !attempt.lost.is_empty()) && !args.follow {
        choice.refuse_unknown(ctx)?;
    }
    if let Some(tail) = args.tail {
        // What tells of lost ones is none of them.
        let newest = attempts.iter().enumerate().rev().filter(|(_, attempt)| attempt.lost.is_empty());
        let first = newest.take(tail).last().map_or(attempts.len(), |(index, _)| index);
        attempts.drain(..first);
    }
    let mut shown = Shown::default();
    print(ctx, &args.style, &attempts, &mut shown)?;
    remark_on_agent(ctx);
    if !offline::config(ctx)?.document.policy().logs() {
        let text = format!("note: nothing is written down: `{0} log --on`, or `{0} deny ... --log`", ctx.program);
        ctx.output.note(&text);
    }
    while args.follow && !ctx.output.is_closed() {
        ctx.output.flush();
        if wait_for_a_reader() {
            break;
        }
        let lines = reader.lines().map_err(unreadable)?;
        let attempts = choice.of_lines(&lines);
        if !attempts.is_empty() {
            print(ctx, &args.style, &attempts, &mut shown)?;
        }
    }
    Ok(Exit::Success)
}

/// Waits a moment; whether whoever read stdout has gone.
fn wait_for_a_reader() -> bool {
    let stdout = io::stdout();
    let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
    // Interrupted or not, the file is looked at next.
    poll(&mut ends, Some(&LOOK)).is_ok_and(|found| found > 0)
        && ends[0].revents().intersects(PollFlags::ERR | PollFlags::NVAL)
}

/// Says who would have to run.
fn remark_on_agent(ctx: &mut Context) {
    if !lock::is_held(&offline::paths(ctx).agent_file()) {
        let text = format!(
            "note: no agent runs, and nobody else writes down who is kept out: `{0} service install`, or `{0} agent` in a \
             terminal of its own",
            ctx.program
        );
        ctx.output.note(&text);
    }
}

/// Which attempts are asked for.
struct Choice {
    since: Option<Timestamp>,
    /// Names of containers and services; `None` is all.
    names: Option<BTreeSet<String>>,
    targets: Vec<Target>,
}

impl Choice {
    /// Only what targets other than names mean the engine has to be asked.
    fn of(ctx: &Context, args: &LogArgs) -> Result<Self, Failure> {
        let since = args.since.map(|since| match since {
            Since::At(moment) => moment,
            Since::Ago(duration) => {
                let ago = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
                Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN)
            }
        });
        let targets = args.targets.clone();
        let is_name = |target: &Target| matches!(target, Target::Container(_));
        let everybody = targets.is_empty() || targets.contains(&Target::All);
        let mut names = BTreeSet::new();
        if !everybody && !targets.iter().all(is_name) {
            let answer = engine::Line::default().inventory(ctx);
            let inventory = answer.map_err(|(Trouble::Unreachable(failure) | Trouble::Refused(failure))| failure)?;
            for container in &inventory.containers {
                if targets.iter().any(|target| selects(target, container, &inventory)) {
                    names.insert(container.name.clone());
                }
            }
        }
        names.extend(targets.iter().filter_map(|target| match target {
            Target::Container(name) => Some(name.clone()),
            Target::SwarmService(name) => Some(format!("service:{name}")),
            _ => None,
        }));
        Ok(Self { since, names: (!everybody).then_some(names), targets })
    }

    /// Lines that are none, and such as were cut off, are passed over.
    fn of_lines(&self, lines: &[String]) -> Vec<Attempt> {
        let late = |attempt: &Attempt| {
            let at = || attempt.time.parse::<Timestamp>().ok();
            self.since.is_none_or(|since| at().is_none_or(|at| at >= since))
        };
        let meant = |attempt: &Attempt| {
            !attempt.lost.is_empty() || self.names.as_ref().is_none_or(|names| names.contains(&attempt.container))
        };
        lines.iter().filter_map(|line| Attempt::parse(line)).filter(|one| late(one) && meant(one)).collect()
    }

    /// A name that nobody has, and of which nothing is written down, is a slip.
    fn refuse_unknown(&self, ctx: &Context) -> Result<(), Failure> {
        if self.targets.is_empty() {
            return Ok(());
        }
        match engine::Line::default().inventory(ctx) {
            Ok(inventory) => refuse_unknown(&self.targets, &inventory, inventory.services(), &[]),
            // Then nobody can tell.
            Err(_) => Ok(()),
        }
    }
}

fn print(ctx: &mut Context, style: &ListStyle, attempts: &[Attempt], shown: &mut Shown) -> Result<(), Failure> {
    let headings = &["TIME", "SOURCE", "SETS", "CONTAINER", "PORT", "PATH", "RULE"];
    let is_json = style.format == Some(Format::Json);
    let lines = attempts.iter().filter(|attempt| attempt.lost.is_empty() || is_json);
    let listing = Listing { headings, flexible: &[6, 2, 3], entries: lines.map(entry).collect() };
    listing.print_on(ctx, style, shown)?;
    for attempt in attempts.iter().filter(|attempt| !attempt.lost.is_empty() && !is_json) {
        let lost = attempt.lost.parse().unwrap_or(usize::MAX);
        let lost = count(lost, "attempt was", "attempts were");
        ctx.output.note(&format!("note: until {} {lost} not written down: too many at once, or no room", attempt.time));
    }
    Ok(())
}

fn entry(attempt: &Attempt) -> Entry {
    let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let protocol = &attempt.protocol;
    let port = match (attempt.published.as_str(), attempt.port.as_str()) {
        ("", "") => protocol.clone(),
        ("", port) => format!("{port}/{protocol}"),
        (published, "") => format!("{published}->?/{protocol}"),
        (published, port) => format!("{published}->{port}/{protocol}"),
    };
    let rule = if attempt.rule.is_empty() { String::new() } else { format!("{}: ", attempt.rule) };
    let late = if attempt.table == "security" { " (backstop)" } else { "" };
    Entry {
        name: attempt.container.clone(),
        fields: serde_json::to_value(attempt).unwrap_or(Value::Null),
        cells: vec![
            attempt.time.clone(),
            attempt.source.clone(),
            cell(&attempt.sets),
            cell(&attempt.container),
            port,
            attempt.path.clone(),
            format!("{rule}{}{late}", attempt.rule_text),
        ],
        alarming: false,
    }
}
