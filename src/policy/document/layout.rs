//! Where things stand in the text of a policy file.

use std::ops::Range;

/// Places in the text, as byte ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// The value of `version`.
    pub(super) version: Range<usize>,
    /// The value of `default`, if the file has one.
    pub(super) default: Option<Range<usize>>,
    /// The value of `hook`, if the file has one.
    pub(super) hook: Option<Range<usize>>,
    /// The value of `log`, if the file has one.
    pub(super) log: Option<Range<usize>>,
    /// The end of the last line before the rules that says something.
    pub(super) preamble_end: usize,
    /// The rules, from the first byte of the header's line to the end of the last line that belongs to the rule.
    pub(super) rules: Vec<Range<usize>>,
    /// The values of their `log`, of those that have one.
    pub(super) logs: Vec<Option<Range<usize>>>,
}

/// The offset of the line that holds `offset`.
pub(super) fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The offset after the line that holds `offset`, its newline included.
pub(super) fn line_end(text: &str, offset: usize) -> usize {
    text[offset..].find('\n').map_or(text.len(), |newline| offset + newline + 1)
}

/// Line and column of an offset, both counted from 1, the column in characters.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { text, starts }
    }

    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        // Spans of broken files may point past the end or into a character; a column is only a hint.
        let column = self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1);
        (line, column)
    }
}
