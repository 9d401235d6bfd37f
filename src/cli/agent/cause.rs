//! What wakes the agent: the engine's events, rules and files that somebody changed, signals.
//!
//! A cause marks the world as changed and says nothing of how: a pass reads it all again. Each source has a thread of its
//! own that blocks, so that waiting costs nothing.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use crate::docker::{self, EngineAddress, Event};
use crate::host::watch::{FileWatch, LinkWatch, RulesetWatch, Touched};

/// The first wait before the engine is asked again.
const FIRST: Duration = Duration::from_millis(100);
/// The longest one, where a process has to be started for each question.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest one of a socket, which says at once whether anybody listens: until then containers may be closed that need
/// not be.
const LONGEST_OF_SOCKET: Duration = Duration::from_secs(1);
/// Events this many seconds old are asked for again after a reconnection, for clocks and for the pass in between.
const OVERLAP: i64 = 2;

/// Why a pass is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The agent has just begun.
    Start,
    /// The engine said so.
    Event(Event),
    /// The engine answers again: what it said meanwhile is lost.
    Reconnected,
    /// The engine cannot be reached.
    Lost(String),
    /// Somebody wrote rules into a chain that concerns us.
    Rules(Touched),
    /// What nobody tells of is not as it was left: sets, or rules of iptables-legacy.
    Edited,
    /// An interface came or went. While the engine answers it says so itself, and knows more.
    Links,
    /// Somebody wrote our files.
    Files,
    /// The process that owns the third line has ended, or may be tried again.
    ThirdLine,
    /// SIGHUP.
    Asked,
    /// The engine's list may have been late.
    Again,
    /// Nothing happened for a while.
    Tick,
    /// The wall clock jumped: rules and entries that end at a moment of it end sooner or later than the kernel thinks.
    Clock,
    /// SIGTERM or SIGINT: no pass, the end.
    Stop,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Event(event) => write!(f, "docker {event}"),
            Self::Reconnected => f.write_str("engine reached again"),
            Self::Lost(error) => write!(f, "engine lost: {error}"),
            Self::Rules(Touched { chain, by }) => {
                f.write_str("rules were written")?;
                if let Some(chain) = chain {
                    write!(f, " in {chain}")?;
                }
                by.as_ref().map_or(Ok(()), |by| write!(f, " by {by}"))
            }
            Self::Edited => f.write_str("sets or legacy rules are not as they were left"),
            Self::Links => f.write_str("interfaces came or went"),
            Self::Files => f.write_str("files were written"),
            Self::ThirdLine => f.write_str("the third line"),
            Self::Asked => f.write_str("SIGHUP"),
            Self::Again => f.write_str("a second look"),
            Self::Tick => f.write_str("tick"),
            Self::Clock => f.write_str("the clock was set"),
            Self::Stop => f.write_str("stop"),
        }
    }
}

impl Cause {
    /// Whether the engine's list may be late.
    pub(super) fn is_early(&self) -> bool {
        matches!(self, Self::Event(Event { kind, action, .. }) if kind == "network" && action == "connect")
    }

    /// Whether it can change members of our own sets and nothing else: a container or its place on a network came or went.
    pub(super) fn is_quick(&self) -> bool {
        let Self::Event(Event { kind, action, .. }) = self else { return *self == Self::Again };
        match kind.as_str() {
            "container" => {
                ["create", "start", "restart", "die", "stop", "destroy", "pause", "unpause", "oom"].contains(&&**action)
            }
            "network" => ["connect", "disconnect", "create", "destroy"].contains(&&**action),
            _ => false,
        }
    }

    /// Whether it says that an address was given back and nothing else.
    pub(super) fn is_departure(&self) -> bool {
        let Self::Event(Event { kind, action, .. }) = self else { return false };
        match kind.as_str() {
            "container" => ["die", "stop", "destroy"].contains(&&**action),
            "network" => action == "disconnect",
            _ => false,
        }
    }

    /// Whether networks themselves may have come or gone.
    pub(super) fn is_of_networks(&self) -> bool {
        let Self::Event(Event { kind, action, .. }) = self else { return true };
        kind != "container" && !["connect", "disconnect"].contains(&&**action)
    }
}

/// Where causes are put, with the moment at which each was heard of.
#[derive(Clone)]
pub(super) struct Outbox(Sender<(Instant, Cause)>);

impl Outbox {
    /// Puts one in; `false` when nobody reads any more.
    fn send(&self, cause: Cause) -> bool {
        self.0.send((Instant::now(), cause)).is_ok()
    }

    /// Says that the third line wants to be looked at.
    pub(super) fn third_line(&self) {
        // Whoever no longer listens is about to end.
        self.send(Cause::ThirdLine);
    }

    /// The same, after a while.
    pub(super) fn third_line_after(&self, wait: Duration) {
        let causes = self.clone();
        // Without the thread the next whole pass looks.
        drop(spawn("third line", move || {
            thread::sleep(wait);
            causes.third_line();
        }));
    }
}

/// The two ends.
pub(super) fn post() -> (Outbox, Receiver<(Instant, Cause)>) {
    let (outbox, inbox) = channel();
    (Outbox(outbox), inbox)
}

/// Listens for signals, from the return on.
pub(super) fn signals(causes: Outbox) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let guard = runtime.enter();
    let (mut hangup, mut terminate, mut interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    drop(guard);
    spawn("signals", move || {
        runtime.block_on(async move {
            loop {
                let cause = tokio::select! {
                    _ = hangup.recv() => Cause::Asked,
                    _ = terminate.recv() => Cause::Stop,
                    _ = interrupt.recv() => Cause::Stop,
                };
                if !causes.send(cause) {
                    return;
                }
            }
        });
    })
}

/// Follows the engine's events, and comes back to it for as long as it takes.
pub(super) fn events(address: EngineAddress, causes: Outbox) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let longest = if matches!(address, EngineAddress::Unix(_)) { LONGEST_OF_SOCKET } else { LONGEST };
    spawn("events", move || {
        let mut wait = FIRST;
        let mut since = Timestamp::now().as_second() - OVERLAP;
        let mut lost = false;
        loop {
            let mut heard = false;
            let heard_of = |event| {
                heard = true;
                // Whoever no longer listens is about to end.
                causes.send(Cause::Event(event));
            };
            let begun = Timestamp::now().as_second();
            let end = runtime.block_on(async {
                if lost {
                    docker::answers(&address).await?;
                    // The look at everything that follows sees what was before. Told of it again, it would take containers for
                    // gone that have been back for long.
                    since = Timestamp::now().as_second() - OVERLAP;
                    causes.send(Cause::Reconnected);
                }
                docker::follow(&address, since, heard_of).await
            });
            let why = end.map_or_else(|error| error.to_string(), |()| "it closed the connection".to_owned());
            if !causes.send(Cause::Lost(why)) {
                return;
            }
            lost = true;
            // A connection that lived was a good one.
            wait = if heard || Timestamp::now().as_second() > begun + 1 { FIRST } else { (wait * 2).min(longest) };
            thread::sleep(wait);
        }
    })
}

/// Listens for rules that somebody writes; answers whether the kernel can tell.
pub(super) fn rules(causes: Outbox) -> io::Result<()> {
    let mut watch = RulesetWatch::open()?;
    spawn("rules", move || while watch.wait().is_ok_and(|touched| causes.send(Cause::Rules(touched))) {})
}

/// Listens for interfaces that come and go.
pub(super) fn links(causes: Outbox) -> io::Result<()> {
    let watch = LinkWatch::open()?;
    spawn("links", move || while watch.wait().is_ok() && causes.send(Cause::Links) {})
}

/// Listens for files that somebody writes.
pub(super) fn files(directories: &[PathBuf], causes: Outbox) -> io::Result<()> {
    let watch = FileWatch::open(directories.iter().map(PathBuf::as_path))?;
    spawn("files", move || while watch.wait().is_ok() && causes.send(Cause::Files) {})
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}
