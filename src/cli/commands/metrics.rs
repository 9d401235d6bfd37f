//! `metrics`: figures for Prometheus, on stdout or in a file that is never half written.

use crate::cli::args::MetricsArgs;
use crate::cli::complaint;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::figures::Figures;
use crate::cli::offline;
use crate::host::paths::Paths;
use crate::host::privileges::require_net_admin;
use crate::host::{endpoint, files, lock};
use crate::metrics::{Facts, metrics, render};

/// `node_exporter` reads it, which is not root.
const MODE: u32 = 0o644;

/// Runs it. The agent knows more, so it is asked where one runs.
pub fn run(ctx: &mut Context, args: MetricsArgs) -> Result<Exit, Failure> {
    require_net_admin().map_err(|error| complaint::privilege(&error))?;
    let paths = offline::paths(ctx);
    let text = if let Some(page) = asked(ctx, &paths, &args) {
        page
    } else {
        let kernel = Figures::new(paths).read().map_err(|error| complaint::kernel(&error))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        render(&metrics(&Facts { version, kernel: Some(kernel), agent: None }), args.notation)
    };
    match args.output {
        Some(path) => {
            files::install(&path, text.as_bytes(), MODE).map_err(|error| complaint::file(&error))?;
        }
        None => ctx.output.print(&text),
    }
    Ok(Exit::Success)
}

/// What the agent's page says, if there is an agent that answers.
fn asked(ctx: &mut Context, paths: &Paths, args: &MetricsArgs) -> Option<String> {
    if !lock::is_held(&paths.agent_file()) {
        return None;
    }
    let page = endpoint::ask(&paths.agent_socket(), args.notation.media_type());
    if let Err(error) = &page {
        ctx.output.note(&format!("note: the agent does not answer, so its own figures are missing: {error}"));
    }
    page.ok()
}
