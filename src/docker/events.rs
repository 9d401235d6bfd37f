//! The engine's events, as far as they can change who has which address or port.
//!
//! An event says only that something changed: whoever hears of one reads everything again. Engines drop events for slow
//! readers without a word (moby `daemon/events`, 100 ms), so this is a hint and never the truth.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Deserialize;

use super::connection::Connection;
use super::endpoint::EngineAddress;
use super::error::EngineError;

/// Containers, networks and swarm services; percent-encoded `{"type":["container","network","service","daemon"]}`.
const PATH: &str =
    "/events?filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%2C%22service%22%2C%22daemon%22%5D%7D";

/// A stream of events may be silent for years.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Container events after which nothing that we know of is different: they are the most frequent ones.
const IDLE: [&str; 9] = ["attach", "commit", "copy", "detach", "export", "kill", "resize", "top", "archive-path"];

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `container`, `network`, ...
    pub kind: String,
    /// `start`, `connect`, ...
    pub action: String,
    /// The name of what it is about, or its ID where it has none.
    pub about: String,
    /// The full ID of the container that it is about, or that came to a network or left it.
    pub container: Option<String>,
    /// The full ID of the network that it is about.
    pub network: Option<String>,
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.kind, self.action, self.about)
    }
}

/// One line of `GET /events`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wire {
    #[serde(rename = "Type")]
    kind: String,
    action: String,
    actor: Actor,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes")]
    attributes: Attributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    name: String,
    /// Of networks: who came or left.
    container: String,
}

/// Follows the engine's events from `since` on, in seconds of the Unix epoch, until the connection ends. The engine
/// remembers the last 256, so whoever asks for those since before a full look misses nothing in between.
pub async fn follow(address: &EngineAddress, since: i64, mut on_event: impl FnMut(Event)) -> Result<(), EngineError> {
    let connection = Connection::open(address, FOREVER)?;
    let stream = connection.stream(&format!("{PATH}&since={since}"))?;
    let mut lines = Lines::default();
    let mut stream = std::pin::pin!(stream);
    while let Some(chunk) = stream.next().await {
        for event in lines.push(&chunk?) {
            on_event(event);
        }
    }
    Ok(())
}

/// Waits until the engine answers. One that starts takes connections long before, and then starts its containers.
pub async fn answers(address: &EngineAddress) -> Result<(), EngineError> {
    Connection::open(address, FOREVER)?.get_bytes("/_ping").await.map(drop)
}

/// Puts lines together that arrive in pieces.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

/// No event is that long; what is, is thrown away, and the next one says as much.
const LINE_LIMIT: usize = 1 << 20;

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.0.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            events.extend(event(&line));
        }
        if self.0.len() > LINE_LIMIT {
            self.0.clear();
        }
        events
    }
}

/// The event of one line, if it may matter. A line that makes no sense may.
fn event(line: &[u8]) -> Option<Event> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let Ok(Wire { kind, action, actor }) = serde_json::from_slice(line) else {
        let (kind, action) = ("unknown".to_owned(), "event".to_owned());
        return Some(Event { kind, action, about: String::new(), container: None, network: None });
    };
    // `exec_start: sh -c ...`, `health_status: healthy`.
    let plain = action.split(':').next().unwrap_or_default();
    if kind == "container" && (IDLE.contains(&plain) || plain.starts_with("exec_") || plain == "health_status") {
        return None;
    }
    let Attributes { name, container } = actor.attributes;
    let about = if name.is_empty() { actor.id.chars().take(12).collect() } else { name };
    let (container, network) = match kind.as_str() {
        "container" => (Some(actor.id), None),
        "network" => ((!container.is_empty()).then_some(container), Some(actor.id)),
        _ => (None, None),
    };
    Some(Event { kind, action, about, container, network })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines_and_what_changes_nothing_is_left_out() {
        let text = concat!(
            r#"{"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"web"}}}"#,
            "\n",
            r#"{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"abc"}}"#,
            "\n",
            r#"{"Type":"network","Action":"connect","Actor":{"ID":"0123456789abcdef","Attributes":{"container":"abc"}}}"#,
            "\n",
            "not json\n\n",
        );
        let mut lines = Lines::default();
        let events: Vec<Event> = text.as_bytes().chunks(7).flat_map(|piece| lines.push(piece)).collect();
        let said: Vec<String> = events.iter().map(Event::to_string).collect();
        assert_eq!(said, ["container start web", "network connect 0123456789ab", "unknown event "]);
        let of: Vec<_> = events.iter().map(|event| (event.container.as_deref(), event.network.as_deref())).collect();
        assert_eq!(of, [(Some("abc"), None), (Some("abc"), Some("0123456789abcdef")), (None, None)]);
    }
}
