//! Docker's notation of an engine's address: docker/cli `opts/hosts.go`, `ParseHost`.

use thiserror::Error;

/// Where the engine listens when nothing says otherwise.
pub(super) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Why a text is no address; the wording is docker's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// An unknown scheme.
    #[error("invalid bind address format: {0}")]
    Format(String),
    /// A scheme within a scheme.
    #[error("invalid proto, expected {expected}: {address}")]
    Proto {
        /// The outer scheme.
        expected: &'static str,
        /// What follows it.
        address: String,
    },
}

/// The canonical form of `text`: always `scheme://...`.
///
/// Ports and user names are left to the docker CLI, which dials every address that is not a unix socket.
pub(super) fn parse(text: &str, tls: bool) -> Result<String, HostError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(if tls { "tcp://localhost:2376".to_owned() } else { format!("unix://{DEFAULT_SOCKET}") });
    }
    let (scheme, rest) = match text.split_once("://") {
        Some(parts) => parts,
        // A path without a scheme is a socket since docker 29; before, it was a tcp host that could not exist.
        None if text.starts_with('/') || text.starts_with("./") => ("unix", text),
        None => ("tcp", text),
    };
    match scheme {
        "unix" => simple("unix", rest, DEFAULT_SOCKET),
        "npipe" => simple("npipe", rest, "//./pipe/docker_engine"),
        "tcp" => simple("tcp", rest, "localhost:2375").map(with_port),
        "fd" | "ssh" => Ok(text.to_owned()),
        _ => Err(HostError::Format(text.to_owned())),
    }
}

fn simple(scheme: &'static str, rest: &str, default: &str) -> Result<String, HostError> {
    if rest.contains("://") {
        return Err(HostError::Proto { expected: scheme, address: rest.to_owned() });
    }
    Ok(format!("{scheme}://{}", if rest.is_empty() { default } else { rest }))
}

/// Adds docker's default port where none is written.
fn with_port(address: String) -> String {
    let authority = address.trim_start_matches("tcp://");
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    if after_host.contains(':') || authority.contains('/') { address } else { format!("{address}:2375") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_docker_does() {
        for (text, tls, expected) in [
            ("", false, "unix:///var/run/docker.sock"),
            ("  ", false, "unix:///var/run/docker.sock"),
            ("", true, "tcp://localhost:2376"),
            ("h", false, "tcp://h:2375"),
            ("h:99", true, "tcp://h:99"),
            ("tcp://", false, "tcp://localhost:2375"),
            ("tcp://[fd00::1]", false, "tcp://[fd00::1]:2375"),
            ("tcp://[fd00::1]:2376", false, "tcp://[fd00::1]:2376"),
            ("unix://", false, "unix:///var/run/docker.sock"),
            (" unix:///a/b.sock ", false, "unix:///a/b.sock"),
            ("/a/b.sock", false, "unix:///a/b.sock"),
            ("npipe://", false, "npipe:////./pipe/docker_engine"),
            ("fd://", false, "fd://"),
            ("ssh://me@h:22/run/x.sock", false, "ssh://me@h:22/run/x.sock"),
        ] {
            assert_eq!(parse(text, tls).as_deref(), Ok(expected), "{text:?}");
        }
        assert_eq!(parse("http://h:1", false).unwrap_err().to_string(), "invalid bind address format: http://h:1");
        assert_eq!(parse("unix://tcp://h", false).unwrap_err().to_string(), "invalid proto, expected unix: tcp://h");
    }
}
