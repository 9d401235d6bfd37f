//! `graph`: sources, rules, containers and networks as a picture.

use crate::cli::args::{GraphArgs, Picture};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::survey::{Wanted, survey};
use crate::graph::Graph;

/// Runs it.
pub fn run(ctx: &mut Context, args: GraphArgs) -> Result<Exit, Failure> {
    let found = survey(ctx, (&args.targets, &args.filters), Wanted::default())?;
    let graph = Graph::new(&found.policy, &found.ways);
    ctx.output.print(&match args.picture {
        Picture::Dot => graph.dot(),
        Picture::Mermaid => graph.mermaid(),
        Picture::Svg => graph.svg(),
    });
    for remark in &found.remarks {
        ctx.output.note(remark);
    }
    Ok(Exit::Success)
}
