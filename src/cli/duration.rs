//! How long a rule or an entry lives: `30m`, `2h`, `7d`, `1h30m`.

use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

use crate::policy::TIMEOUT_MAX;

/// Ten years: whoever means longer means for ever and writes no duration.
const LONGEST: u64 = 3650 * 86_400;

/// Seconds of each unit.
const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// `0s`.
    #[error("{0:?} is no time at all: write 30m, 2h, 7d or 1h30m")]
    Zero(String),
    /// `-5m`.
    #[error("{0:?} lies in the past: write 30m, 2h, 7d or 1h30m")]
    Negative(String),
    /// `90`.
    #[error("{0:?} has no unit: write {0}s, {0}m, {0}h or {0}d")]
    NoUnit(String),
    /// `5y`, `1.5h`, `h`, `10m1h`.
    #[error("{0:?} is no duration: write whole numbers with s, m, h, d or w, the largest first, such as 30m or 1h30m")]
    Shape(String),
    /// More than the limit.
    #[error("{0:?} is too long: at most {1} fit here; leave --for away for something that stays")]
    TooLong(String, String),
}

/// Parses a duration of whole seconds, more than none and at most ten years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    parse_limited(text, LONGEST)
}

/// As [`parse_duration`], for what ends up as a timeout of a kernel set, which takes 24 days at most.
pub fn parse_timeout(text: &str) -> Result<Duration, DurationError> {
    parse_limited(text, u64::from(TIMEOUT_MAX))
}

fn parse_limited(text: &str, limit: u64) -> Result<Duration, DurationError> {
    if text.starts_with('-') {
        return Err(DurationError::Negative(text.to_owned()));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let zero = text.bytes().all(|byte| byte == b'0');
        return Err(if zero { DurationError::Zero } else { DurationError::NoUnit }(text.to_owned()));
    }
    let shape = || DurationError::Shape(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned(), format_duration(Duration::from_secs(limit)));
    let mut seconds: u64 = 0;
    let mut larger = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(shape)?;
        if number.is_empty() || unit >= larger {
            return Err(shape());
        }
        let number: u64 = number.parse().map_err(|_| too_long())?;
        seconds = number.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or_else(too_long)?;
        larger = unit;
        rest = &rest[digits + letters..];
    }
    match seconds {
        0 if text.is_empty() => Err(shape()),
        0 => Err(DurationError::Zero(text.to_owned())),
        seconds if seconds > limit => Err(too_long()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// Writes a duration with at most two units, as people would say it: `29m`, `1h30m`, `6d23h`.
pub fn format_duration(duration: Duration) -> String {
    let mut seconds = duration.as_secs();
    let mut text = String::new();
    let mut parts = 0;
    // Weeks are read but not written: "7d" is what most people typed.
    for (name, unit) in UNITS.into_iter().rev().skip(1) {
        let count = seconds / unit;
        seconds %= unit;
        if count > 0 {
            let _ = write!(text, "{count}{name}");
            parts += 1;
        } else if parts > 0 {
            break;
        }
        if parts == 2 {
            break;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type() {
        for (text, seconds) in [
            ("30m", 1800),
            ("2h", 7200),
            ("7d", 604_800),
            ("1h30m", 5400),
            ("45s", 45),
            ("1w2d", 777_600),
            ("007m", 420),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "",
            "0",
            "0s",
            "0h0m",
            "-5m",
            "90",
            "5y",
            "1.5h",
            "h",
            "10m1h",
            "1h1h",
            "1h 30m",
            "1H",
            "5m-",
            "５m",
            "+5m",
            "9999999999999999999999d",
            "36500d",
            "18446744073709551615w",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?} was accepted");
        }
        assert!(parse_timeout("24d").is_ok());
        assert_eq!(
            parse_timeout("30d").unwrap_err().to_string(),
            "\"30d\" is too long: at most 24d20h fit here; leave --for away for something that stays"
        );
    }

    #[test]
    fn writes_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (1800, "30m"), (5400, "1h30m"), (604_799, "6d23h"), (86_401, "1d")]
        {
            assert_eq!(format_duration(Duration::from_secs(seconds)), text);
        }
    }
}
