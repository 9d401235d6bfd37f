//! The words of a line of `ipset restore` text.

/// A word and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    /// Without its quotes.
    pub(super) text: &'a str,
    /// Bytes before it in the line.
    pub(super) offset: usize,
}

/// Splits a line into `words`; the offset of a quote that is never closed is the error.
pub(super) fn split<'a>(line: &'a str, words: &mut Vec<Word<'a>>) -> Result<(), usize> {
    words.clear();
    let mut offset = 0;
    loop {
        let rest = &line[offset..];
        offset += rest.len() - rest.trim_start().len();
        let rest = &line[offset..];
        if rest.is_empty() {
            return Ok(());
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let length = quoted.find('"').ok_or(offset)?;
            words.push(Word { text: &quoted[..length], offset });
            offset += length + 2;
        } else {
            let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(Word { text: &rest[..length], offset });
            offset += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_ipset_does() {
        let mut words = Vec::new();
        split("add  x 10.0.0.1\tcomment \"the ü office\" ", &mut words).unwrap();
        let found: Vec<(&str, usize)> = words.iter().map(|word| (word.text, word.offset)).collect();
        assert_eq!(found, [("add", 0), ("x", 5), ("10.0.0.1", 7), ("comment", 16), ("the ü office", 24)]);
        assert_eq!(split("a \"b", &mut words), Err(2));
        assert_eq!(split("   ", &mut words), Ok(()));
        assert!(words.is_empty());
    }
}
