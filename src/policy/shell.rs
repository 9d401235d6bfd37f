//! Words as a shell reads them back, for commands that people copy from our output.

use std::borrow::Cow;

/// `word` as it must be typed into a POSIX shell.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':' | '=' | ',' | '+' | '@' | '%');
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_needs_it() {
        for (word, typed) in [
            ("web", "web"),
            ("shop/api", "shop/api"),
            ("label:tier=front", "label:tier=front"),
            ("*", "'*'"),
            ("", "''"),
            ("label:a=b c", "'label:a=b c'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(shell_word(word), typed);
        }
    }
}
