//! `set import`: a file becomes the set.

use std::cell::LazyCell;
use std::io::{self, Read as _};

use crate::cli::args::{Input, SetImportArgs};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::report::count;
use crate::cli::session::{Need, Session};
use crate::cli::text::printable;
use crate::host::files;
use crate::policy::SetFile;

/// Runs it: the set holds what the file says and nothing else; it is made if need be.
pub fn run(ctx: &mut Context, args: SetImportArgs) -> Result<Exit, Failure> {
    let (text, source) = read(&args.from)?;
    let mut session = Session::open(ctx, Need::Nothing)?;
    let (mut set, notes) = SetFile::import(&args.name, &text)
        .map_err(|error| Failure::user(format!("{}: {error}", printable(&source))).hinted("Nothing was changed"))?;
    // As large as the set.
    drop(text);
    for note in notes {
        ctx.output.note(&format!("note: {}", printable(&note)));
    }
    set.pin_timeouts(session.now);
    let name = args.name.to_string();
    let known = session.config().sets.get(&name);
    let (blocks, before) = (set.blocks(), known.map(SetFile::blocks).unwrap_or_default());
    let (added, gone) = (blocks.missing_in(&before).len(), before.missing_in(&blocks).len());
    drop((blocks, before));
    if known.is_none() {
        session.adopt(ctx, &set)?;
    } else {
        dismiss_unsaved(ctx, &mut session, &set)?;
    }
    let mut config = session.config().clone();
    config.sets.insert(name, set.clone());
    session.change(ctx, config)?;
    ctx.output.line(&format!(
        "Imported {}: {} added, {gone} removed. {}",
        args.name,
        count(added, "entry", "entries"),
        super::now_has(&set, session.policy())
    ));
    Ok(Exit::Success)
}

/// The file is the set: what somebody put into the kernel by hand goes, unless the file has it.
fn dismiss_unsaved(ctx: &mut Context, session: &mut Session, set: &SetFile) -> Result<(), Failure> {
    let state = session.state()?;
    let known = session.config().sets.get(set.name().as_str()).cloned();
    let files: Vec<&SetFile> = [set].into_iter().chain(known.as_ref()).collect();
    let before = LazyCell::new(|| known.as_ref().map(|known| known.kernel_sets(jiff::Timestamp::MIN)));
    for (index, (name, said)) in set.kernel_sets(jiff::Timestamp::MIN).into_iter().enumerate() {
        let Some(kernel) = state.sets.get(&name) else { continue };
        // Nearly all are what the files say as it stands, which is found out for all at once.
        let mut gone = kernel.members.missing_in(&said.members);
        gone.retain(|entry| before.as_ref().is_none_or(|before| !before[index].1.members.contains_key(entry)));
        gone.retain(|entry| files.iter().all(|file| !super::inspect::is_saved(file, entry)));
        if !gone.is_empty() {
            let count = count(gone.len(), "entry", "entries");
            ctx.output.note(&format!("note: {count} of {name}, put into the kernel by hand, went too"));
            session.dismissed.entry(name).or_default().extend(gone);
        }
    }
    Ok(())
}

fn read(input: &Input) -> Result<(String, String), Failure> {
    match input {
        Input::File(path) => {
            let name = path.display().to_string();
            let text = files::read_limited(path, files::SET_FILE_MAX)
                .map_err(|error| Failure::user(error.to_string()))?
                .ok_or_else(|| Failure::user(format!("{} does not exist", printable(&name))))?;
            Ok((text, name))
        }
        Input::Stdin => {
            let mut text = String::new();
            io::stdin()
                .take(files::SET_FILE_MAX)
                .read_to_string(&mut text)
                .map_err(|error| Failure::user(format!("cannot read standard input: {error}")))?;
            Ok((text, "standard input".to_owned()))
        }
    }
}
