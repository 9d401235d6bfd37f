//! Sessions held open while commands are typed: what may go on goes on, what may not is cut.

use std::thread;
use std::time::{Duration, Instant};

use super::cell::{Cell, inward};
use super::figures::Figures;
use super::model::Model;
use super::variant::Variant;
use super::world::World;
use crate::{LabError, Protocol, Session};

/// How soon after the command a session must be over.
const CUT: Duration = Duration::from_secs(1);
/// How long one that goes on may stand still, as it does on a busy machine.
const STALL: Duration = Duration::from_secs(5);
/// How long it is then watched.
const WATCH: Duration = Duration::from_millis(700);

/// A session and what it is.
pub(crate) struct Held {
    cell: Cell,
    session: Result<Session, LabError>,
}

/// The attempts by neighbours that sessions are held over.
pub(crate) fn sessions(world: &World<'_>) -> Result<Vec<Cell>, LabError> {
    let mut cells = Vec::new();
    for target in world.targets.iter().filter(|target| world.scene.held.contains(&target.name)) {
        for port in target.held {
            let all = inward(world, target, port)?;
            cells.extend(all.into_iter().filter(|cell| cell.caller.outside.is_some()));
        }
    }
    Ok(cells)
}

/// Opens these. One that does not open is reported in the end.
pub(crate) fn hold(world: &World<'_>, cells: Vec<Cell>) -> Vec<Held> {
    let open = |cell: Cell| {
        let client = cell.probe().client;
        let session = match cell.protocol {
            Protocol::Tcp => world.lab.hold_tcp(client, cell.to, cell.port),
            Protocol::Udp => world.lab.hold_udp(client, cell.to, cell.port),
        };
        Held { cell, session }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = cells.into_iter().map(|cell| scope.spawn(|| open(cell))).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|held| held.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// What became of them, once the commands have been typed: what is wrong. Those that were cut go into the figures.
pub(crate) fn judge(
    held: &[Held],
    model: &Model,
    typed: Instant,
    variant: &Variant,
    figures: &mut Figures,
) -> Vec<String> {
    thread::sleep((typed + CUT + WATCH).saturating_duration_since(Instant::now()));
    let mut wrong = Vec::new();
    for Held { cell, session } in held {
        let session = match session {
            Ok(session) => session,
            Err(error) => {
                wrong.push(format!("session {cell}: not opened: {error}"));
                continue;
            }
        };
        let may = cell.inbound.is_none_or(|attempt| model.lets(&attempt));
        if may && variant.forgets(cell) && session.received_after(typed + CUT) == 0 {
            // What may not, must not come back by asking either; that is looked at with datagrams of their own.
            let _ = session.ask_again();
        }
        while may && session.received_after(typed + CUT) == 0 && typed.elapsed() < STALL {
            thread::sleep(Duration::from_millis(20));
        }
        let late = session.received_after(typed + CUT);
        if may && late == 0 {
            wrong.push(format!("session {cell}: expected to go on, observed cut: {}", obituary(session, typed)));
        } else if !may {
            figures.cut(variant.path(cell), cell.protocol, late, session.last(), typed);
            if late > 0 {
                wrong.push(format!("session {cell}: expected cut, observed {late} received later than 1 s after"));
            }
        }
    }
    wrong
}

fn obituary(session: &Session, typed: Instant) -> String {
    let last = match session.last() {
        None => "never".to_owned(),
        Some(last) if last > typed => format!("{} ms after the command", (last - typed).as_millis()),
        Some(last) => format!("{} ms before its end", (typed - last).as_millis()),
    };
    let end = if session.is_over() { "closed by the other side" } else { "still open" };
    format!("{} received, the last {last}, {end}", session.received())
}
