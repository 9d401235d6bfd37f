//! What Docker's client asks of a plugin before it lists or runs it.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// The first argument with which Docker's client asks for the metadata.
pub const SUBCOMMAND: &str = "docker-cli-plugin-metadata";

/// The answer: one JSON object, one key a line, because packaging checks read it with awk.
pub const DOCUMENT: &str = include_str!("../../plugin-metadata/metadata.json");

/// The version as Docker's plugins write it.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// Prints the metadata.
pub(super) fn answer() -> ExitCode {
    match io::stdout().write_all(DOCUMENT.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_every_client_since_19_03_checks() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        assert_eq!(document["SchemaVersion"], "0.1.0");
        assert_eq!(document["Version"], VERSION);
        for key in ["Vendor", "ShortDescription", "URL"] {
            assert!(document[key].as_str().is_some_and(|text| !text.is_empty()), "{key} is missing");
        }
    }
}
