//! `set create`.

use crate::cli::args::{SetCreateArgs, SetType};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::session::{Need, Session};
use crate::policy::SetFile;

/// Runs it; prints the name.
pub fn run(ctx: &mut Context, args: SetCreateArgs) -> Result<Exit, Failure> {
    let mut session = Session::open(ctx, Need::Nothing)?;
    let name = &args.name;
    if session.config().sets.contains_key(name.as_str()) {
        return Err(Failure::user(format!("the set {name} exists already"))
            .hinted(format!("`{} set inspect {name}` shows it", ctx.program)));
    }
    let kind = match args.kind {
        SetType::Net => "hash:net",
        SetType::Ip => "hash:ip",
    };
    let remark = args.comment.map_or_else(String::new, |comment| format!("# {comment}\n"));
    let text = format!(
        "{remark}create {name} {kind} family inet hashsize 1024 maxelem 65536 timeout 0 comment\n\
         create {name}-v6 {kind} family inet6 hashsize 1024 maxelem 65536 timeout 0 comment\n"
    );
    let set = SetFile::parse(name, &text).map_err(|error| Failure::internal(error.to_string()))?;
    let mut config = session.config().clone();
    session.adopt(ctx, &set)?;
    config.sets.insert(name.to_string(), set);
    session.change(ctx, config)?;
    ctx.output.line(name.as_str());
    Ok(Exit::Success)
}
