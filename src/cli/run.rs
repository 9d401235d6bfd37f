//! From the process's words to its exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use super::args::Invocation;
use super::argv::{self, Called};
use super::cancel::Cancel;
use super::context::Context;
use super::environment::Env;
use super::failure::{Exit, Failure};
use super::globals::GlobalFlags;
use super::output::Output;
use super::parse::{self, Help, Request};
use super::{commands, complete, hook, tree};

/// Runs the command that `argv` asks for and says how it ended.
pub fn main(argv: &[OsString], env: Env) -> ExitCode {
    let called = Called::new(argv.first(), &env);
    let mut context = Context {
        globals: GlobalFlags::default(),
        output: Output::of_process(&env),
        env,
        cancel: Cancel::never(),
        program: called.program.clone(),
    };
    let result = perform(&called, argv.get(1..).unwrap_or_default(), &mut context);
    // What stdout did not take is a failure too, but never hides the first one.
    let result = match (result, context.output.finish()) {
        (Ok(_), Err(fault)) => Err(fault),
        (result, _) => result,
    };
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            context.output.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn perform(called: &Called, words: &[OsString], context: &mut Context) -> Result<Exit, Failure> {
    let tree = tree::root();
    if let Some(verb @ ("__complete" | "__completeNoDesc")) = words.first().and_then(|word| word.to_str()) {
        let words: Vec<String> = words[1..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
        complete::answer(&tree, called, verb, &words, &context.env, &mut context.output);
        return Ok(Exit::Success);
    }
    if let Some(at) = words.iter().take(2).position(|word| word == hook::SUBCOMMAND) {
        let request = words.get(at + 1).and_then(|word| word.to_str()).unwrap_or_default();
        hook::answer(request, &context.env, &mut context.output);
        return Ok(Exit::Success);
    }
    let words = argv::split(called, words)?;
    let width = context.output.terminal().width;
    match parse::parse(called, &tree, &words, width)? {
        Request::Help(help) => {
            print_help(&mut context.output, &help);
            Ok(Exit::Success)
        }
        Request::Run(invocation) => {
            context.globals = words.globals;
            // The agent ends in its own time.
            if !matches!(invocation, Invocation::Agent(_)) {
                context.cancel = Cancel::watch(&context.env)?;
            }
            dispatch(context, invocation)
        }
    }
}

fn print_help(output: &mut Output, help: &Help) {
    if help.bare {
        // As Docker's own groups do: nobody asked, so it is no result.
        output.note(help.text.trim_end());
        return;
    }
    if help.short {
        output.line("Flag shorthand -h has been deprecated, use --help");
    }
    output.print(&help.text);
}

fn dispatch(context: &mut Context, invocation: Invocation) -> Result<Exit, Failure> {
    match invocation {
        Invocation::Rule(args) => commands::allow::run(context, args),
        Invocation::Rm(args) => commands::rm::run(context, args),
        Invocation::Rules(args) => commands::rules::run(context, args),
        Invocation::Ls(args) => commands::ls::run(context, args),
        Invocation::Explain(args) => commands::explain::run(context, args),
        Invocation::Graph(args) => commands::graph::run(context, args),
        Invocation::Log(args) => commands::log::run(context, args),
        Invocation::Top(args) => commands::top::run(context, args),
        Invocation::Metrics(args) => commands::metrics::run(context, args),
        Invocation::Default(args) => commands::default::run(context, args),
        Invocation::Apply(args) => commands::apply::run(context, args),
        Invocation::Plan(args) => commands::plan::run(context, args),
        Invocation::Reset(args) => commands::reset::run(context, args),
        Invocation::Agent(args) => super::agent::run(context, args),
        Invocation::Restore => commands::restore::run(context),
        Invocation::ServiceInstall(args) => commands::service::install::run(context, args),
        Invocation::ServiceUninstall(args) => commands::service::uninstall::run(context, args),
        Invocation::ServiceStatus => commands::service::status::run(context),
        Invocation::Doctor(args) => commands::doctor::run(context, args),
        Invocation::Status(args) => commands::status::run(context, args),
        Invocation::Completion(args) => commands::completion::run(context, args),
        Invocation::Version(args) => commands::version::run(context, args),
        Invocation::SetCreate(args) => commands::set::create::run(context, args),
        Invocation::SetAdd(args) => commands::set::add::run(context, args),
        Invocation::SetDel(args) => commands::set::del::run(context, args),
        Invocation::SetLs(args) => commands::set::ls::run(context, args),
        Invocation::SetInspect(args) => commands::set::inspect::run(context, args),
        Invocation::SetRm(args) => commands::set::rm::run(context, args),
        Invocation::SetImport(args) => commands::set::import::run(context, args),
        Invocation::SetExport(args) => commands::set::export::run(context, args),
        Invocation::SetTest(args) => commands::set::test::run(context, args),
    }
}
