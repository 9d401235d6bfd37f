//! The version of the engine's API: what is asked for, and what an engine can.

use std::fmt;
use std::str::FromStr;

use super::error::EngineError;
use super::wire;

/// The oldest API whose answers were tried: Docker 20.10.
pub const OLDEST_API: ApiVersion = ApiVersion(1, 41);
/// The newest API whose answers were tried: Docker 29.7. A newer engine is asked for this one.
pub const NEWEST_API: ApiVersion = ApiVersion(1, 55);

/// Such as 1.51.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u16, pub u16);

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    /// A leading `v` is tolerated, as docker does.
    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| text.parse::<u16>().map_err(|_| ());
        let (major, minor) = text.strip_prefix('v').unwrap_or(text).split_once('.').ok_or(())?;
        Ok(Self(number(major)?, number(minor)?))
    }
}

/// The version to speak: the one demanded, else the newest that both sides know.
pub(super) fn negotiate(
    engine: &wire::Version,
    demanded: Option<&str>,
    address: &str,
) -> Result<ApiVersion, EngineError> {
    if let Some(demanded) = demanded {
        return demanded.parse().map_err(|()| EngineError::ApiVersion(demanded.to_owned()));
    }
    let most = engine.api_version.parse::<ApiVersion>().map_err(|()| EngineError::Answer {
        path: "/version".to_owned(),
        detail: format!("\"{}\" is not an API version", engine.api_version),
    })?;
    if most < OLDEST_API {
        return Err(EngineError::TooOld { address: address.to_owned(), api: most.to_string() });
    }
    // An engine that has given up all versions we know is tried with its oldest.
    let least = engine.min_api_version.parse().unwrap_or(OLDEST_API);
    Ok(most.min(NEWEST_API).max(least))
}
