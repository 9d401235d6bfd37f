//! What interface names and comments may look like, in the policy file and on the command line alike.

use thiserror::Error;

/// Most characters that a rule's comment may have.
pub const COMMENT_MAX: usize = 255;

/// Why a text is no interface name or no comment.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// Nothing there.
    #[error("an interface name is empty")]
    EmptyInterface,
    /// More than the kernel takes.
    #[error("interface name {0:?} has {1} bytes: the kernel takes at most 15")]
    LongInterface(String, usize),
    /// Characters that no interface has, or that iptables would read as something else.
    #[error(
        "{0:?} is no interface name: no spaces, quotes, \"/\", \":\" or \"\\\", no leading \"-\" and no trailing \"+\""
    )]
    BadInterface(String),
    /// Too long.
    #[error("a comment has {0} characters: at most 255 fit")]
    LongComment(usize),
    /// Line breaks, escapes.
    #[error("a comment has the control character {0:?}: it must be one line of plain text")]
    ControlInComment(char),
}

/// Accepts what can be the name of a network interface.
pub fn check_interface(name: &str) -> Result<(), FieldError> {
    if name.is_empty() {
        return Err(FieldError::EmptyInterface);
    }
    if name.len() > 15 {
        return Err(FieldError::LongInterface(name.to_owned(), name.len()));
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '"' | '\'' | '\\');
    // A trailing "+" is iptables' wildcard: the rule would speak of more interfaces than the one named.
    if name.starts_with('-') || name.ends_with('+') || matches!(name, "." | "..") || name.contains(odd) {
        return Err(FieldError::BadInterface(name.to_owned()));
    }
    Ok(())
}

/// Accepts one line of at most [`COMMENT_MAX`] characters.
pub fn check_comment(text: &str) -> Result<(), FieldError> {
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(FieldError::ControlInComment(control));
    }
    let characters = text.chars().count();
    if characters > COMMENT_MAX { Err(FieldError::LongComment(characters)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_interfaces() {
        for name in ["eth0", "br-0123456789ab", "wg0.100", "a", "enp3s0f1@x", "+x"] {
            assert_eq!(check_interface(name), Ok(()), "{name}");
        }
        for name in ["", "-i", "eth 0", "a/b", "sixteen-bytes-ab", "eth+", "..", "a\tb", "a\"b", "eth0:1"] {
            assert!(check_interface(name).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn knows_comments() {
        assert_eq!(check_comment("the office, until März \"x\""), Ok(()));
        assert_eq!(check_comment(&"ü".repeat(255)), Ok(()));
        assert_eq!(check_comment(&"u".repeat(256)), Err(FieldError::LongComment(256)));
        assert_eq!(check_comment("a\nb"), Err(FieldError::ControlInComment('\n')));
        assert_eq!(check_comment("a\u{1b}[31mb"), Err(FieldError::ControlInComment('\u{1b}')));
    }
}
