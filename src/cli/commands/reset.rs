//! `reset`: takes everything of ours out of the kernel.

use crate::cli::args::ResetArgs;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::offline;
use crate::cli::prompt;
use crate::cli::session::{Need, Session};

/// Runs it. The files stay, so that `apply` brings everything back.
pub fn run(ctx: &mut Context, args: ResetArgs) -> Result<Exit, Failure> {
    if !args.force {
        let warning = "WARNING! This takes every rule and set of docker firewall out of the kernel: containers that \
                       are guarded now will be as open as Docker leaves them.";
        let question = "Are you sure you want to continue?";
        if !prompt::confirm(&mut ctx.output, warning, question, "--force")? {
            // Docker exits 0 here; a script that believes the rules are gone when they are not is worse off.
            return Err(Failure::refused("nothing was changed"));
        }
    }
    let mut session = Session::open(ctx, Need::Rescue)?;
    let applied = session.clear(ctx)?;
    for remark in &applied.remarks {
        ctx.output.note(&format!("warning: {remark}"));
    }
    let folder = offline::paths(ctx).config_dir;
    ctx.output.line(&if applied.calls == 0 {
        "Nothing to do: the kernel holds nothing of docker firewall.".to_owned()
    } else {
        format!(
            "Every chain, jump and set of docker firewall is gone. The rules in {} are kept; `{} apply` puts them in \
             force again.",
            folder.display(),
            ctx.program
        )
    });
    Ok(Exit::Success)
}
