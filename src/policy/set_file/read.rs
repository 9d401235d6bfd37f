//! Reading set files: our own, and what administrators and blocklists hand us.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;

use super::entry::{SourceEntry, TIMEOUT_MAX};
use super::error::SetFileError;
use super::words::{Word, split};
use super::{Line, SetFile, half};
use crate::net::Family;
use crate::policy::nearest::nearest;
use crate::policy::source::SetName;
use crate::ruleset::SetKind;

mod create;
mod notes;

use notes::Notes;

const COMMANDS: [&str; 4] = ["create", "add", "flush", "COMMIT"];

/// Commands of ipset that a set file has no use for.
const OTHER_COMMANDS: [&str; 12] =
    ["del", "-D", "destroy", "-X", "x", "swap", "-W", "rename", "-E", "test", "save", "list"];

impl SetFile {
    /// Reads a stored file. It speaks of this set only and creates it; an empty file is an error, for it is more
    /// likely the rest of a crash than somebody's wish.
    pub fn parse(name: &SetName, text: &str) -> Result<Self, SetFileError> {
        let (file, _) = Reader::new(name, true).read(text)?;
        Ok(file)
    }

    /// Reads what people have: a file for `ipset restore`, the output of `ipset save` for one set (under any name), or
    /// a plain list of addresses. The second value says what was read otherwise than written.
    pub fn import(name: &SetName, text: &str) -> Result<(Self, Vec<String>), SetFileError> {
        Reader::new(name, false).read(text)
    }
}

/// A fault before its line is known: the offset in the line and what is wrong.
type Fault = (usize, String);

struct Reader<'a> {
    file: SetFile,
    /// Our own file: no other names, no lists.
    stored: bool,
    /// The name that the file gives the set.
    base: Option<&'a str>,
    created: [bool; 2],
    /// Seconds that entries without any have.
    default_timeout: [u32; 2],
    /// Of the comment above.
    expiry: Option<Timestamp>,
    notes: Notes,
}

impl<'a> Reader<'a> {
    fn new(name: &SetName, stored: bool) -> Self {
        Self {
            file: SetFile::bare(name),
            stored,
            base: None,
            created: [false; 2],
            default_timeout: [0; 2],
            expiry: None,
            notes: Notes::default(),
        }
    }

    fn read(mut self, text: &'a str) -> Result<(SetFile, Vec<String>), SetFileError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut words = Vec::new();
        let mut last = 1;
        for (index, line) in text.lines().enumerate() {
            last = index + 1;
            self.line(line, &mut words).map_err(|(offset, message)| {
                let column = line.get(..offset).map_or(1, |before| before.chars().count() + 1);
                SetFileError { line: index + 1, column, message }
            })?;
        }
        self.put_back_expiry();
        if self.stored && self.created == [false; 2] {
            let message = format!(
                "the file does not create the set: it is empty or cut off (its first line would be \"create {} hash:net \
                 family inet\")",
                self.file.name
            );
            return Err(SetFileError { line: last, column: 1, message });
        }
        self.create_what_is_missing();
        let notes = self.notes.lines(&self.file, self.base);
        Ok((self.file, notes))
    }

    fn line(&mut self, line: &'a str, words: &mut Vec<Word<'a>>) -> Result<(), Fault> {
        if let Some(element) = self.plain(line) {
            return self.enter(element, &nothing_said(), None, true);
        }
        let bare = line.trim();
        if bare.is_empty() {
            self.put_back_expiry();
            self.push(Line::Text("".into()));
            return Ok(());
        }
        if bare.starts_with('#') || (bare.starts_with(';') && !self.stored) {
            return self.comment(line, bare);
        }
        split(line, words).map_err(|offset| (offset, "the quote is never closed".to_owned()))?;
        words.retain(|word| !matches!(word.text, "-exist" | "-!" | "--exist" | "-q" | "-quiet" | "--quiet"));
        let Some(&command) = words.first() else { return Ok(()) };
        match command.text {
            "add" | "-A" | "--add" => self.add(command, words),
            "create" | "-N" | "new" | "n" | "--create" => {
                self.put_back_expiry();
                self.create(command, words)
            }
            "flush" | "-F" | "--flush" => {
                self.put_back_expiry();
                self.flush(words)
            }
            "COMMIT" => Ok(()),
            other if OTHER_COMMANDS.contains(&other) => {
                Err((command.offset, format!("`{other}` has no place in a set file: it has create, add and flush")))
            }
            _ if self.stored => Err(unknown_command(command)),
            _ => self.listed(line, command),
        }
    }

    /// What most lines of large files are, an `add` with an address and nothing more: its address.
    fn plain(&self, line: &'a str) -> Option<Word<'a>> {
        let (name, text) = line.strip_prefix("add ")?.split_once(' ')?;
        let known = self.base == Some(name) && !name.ends_with("-v6");
        let bare = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (known && bare && !text.is_empty()).then_some(Word { text, offset: line.len() - text.len() })
    }

    fn comment(&mut self, line: &'a str, bare: &'a str) -> Result<(), Fault> {
        let words = bare.strip_prefix('#').map(str::trim_start).unwrap_or_default();
        if let Some(moment) = words.strip_prefix("expires ").map(str::trim)
            && moment.starts_with(|first: char| first.is_ascii_digit())
        {
            let Ok(moment) = moment.parse() else {
                // Not a mere comment: an entry whose end is lost would stay for ever.
                let message = format!("`{}` is no moment: write it like 2030-01-31T18:00:00Z", moment.escape_debug());
                return Err((line.len() - line.trim_start().len(), message));
            };
            self.put_back_expiry();
            self.expiry = Some(moment);
            return Ok(());
        }
        let text = if bare.starts_with(';') { format!("# {bare}").into() } else { line.trim_end().into() };
        self.push(Line::Text(text));
        Ok(())
    }

    fn push(&mut self, line: Line) {
        Arc::make_mut(&mut self.file.lines).push(line);
    }

    /// A moment with no entry below it is kept in words that no later edit can make an entry's own.
    fn put_back_expiry(&mut self) {
        if let Some(moment) = self.expiry.take() {
            self.push(Line::Text(format!("# unused: expires {moment}").into()));
        }
    }

    /// Accepts the names of the two halves of one set.
    fn named(&mut self, word: Word<'a>) -> Result<(), Fault> {
        let base = word.text.strip_suffix("-v6").unwrap_or(word.text);
        match self.base {
            Some(known) if known == base => Ok(()),
            None if !self.stored || base == self.file.name.as_str() => {
                self.base = Some(base);
                Ok(())
            }
            Some(known) => Err((word.offset, format!("`{base}` is a second set, after `{known}`: one file, one set"))),
            None => Err((word.offset, format!("`{base}` is another set: this is the file of `{}`", self.file.name))),
        }
    }

    fn flush(&mut self, words: &[Word<'a>]) -> Result<(), Fault> {
        match words.get(1) {
            Some(&name) => self.named(name)?,
            None => self.notes.bare_flush = true,
        }
        self.notes.flushed += self.file.index.len();
        self.file.clear();
        Ok(())
    }

    fn add(&mut self, command: Word<'a>, words: &[Word<'a>]) -> Result<(), Fault> {
        let [_, name, element, options @ ..] = words else {
            return Err((command.offset, "`add` needs the set's name and an address".to_owned()));
        };
        self.named(*name)?;
        let mut sample = nothing_said();
        let mut timeout = None;
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || {
                let missing = || (option.offset, format!("`{}` needs a value", option.text));
                options.next().copied().ok_or_else(missing)
            };
            match option.text {
                "nomatch" => sample = sample.with_nomatch(),
                "comment" => {
                    let word = value()?;
                    sample = sample.with_comment(word.text).map_err(|error| (word.offset, error.to_string()))?;
                }
                "timeout" => {
                    let word = value()?;
                    let seconds = word.text.parse().ok().filter(|&seconds: &u32| seconds <= TIMEOUT_MAX);
                    let wrong = || (word.offset, format!("a timeout goes from 0 to {TIMEOUT_MAX} seconds"));
                    timeout = Some(seconds.ok_or_else(wrong)?);
                }
                "packets" | "bytes" | "skbmark" | "skbprio" | "skbqueue" => {
                    value()?;
                    self.notes.counters = true;
                }
                text if text.starts_with('#') => {
                    let message = "ipset takes no comment behind an entry: write it on a line of its own, or as \
                                   `comment \"...\"`";
                    return Err((option.offset, message.to_owned()));
                }
                _ => {
                    let known = ["timeout", "comment", "nomatch"];
                    let hint = nearest(option.text, known).map(|near| format!(", did you mean `{near}`"));
                    let message =
                        format!("unknown option `{}`{}", option.text.escape_debug(), hint.unwrap_or_default());
                    return Err((option.offset, message));
                }
            }
        }
        self.enter(*element, &sample, timeout, !name.text.ends_with("-v6"))
    }

    /// One line of a plain list: an address, perhaps with a comment after it.
    fn listed(&mut self, line: &'a str, first: Word<'a>) -> Result<(), Fault> {
        let rest = &line[first.offset..];
        let (element, comment) = match rest.find(['#', ';']) {
            Some(at) => (&rest[..at], rest[at + 1..].trim()),
            None => (rest, ""),
        };
        let element = element.trim();
        if let Some(space) = element.find(char::is_whitespace) {
            if SourceEntry::parse(&element[..space]).is_err() {
                return Err(unknown_command(first));
            }
            let offset = first.offset + space + 1;
            return Err((offset, "one address a line: only a comment after # or ; may follow".to_owned()));
        }
        if !element.contains(|c: char| c.is_ascii_digit() || c == ':') {
            return Err(unknown_command(first));
        }
        let mut sample = nothing_said();
        if !comment.is_empty() {
            sample = sample.with_comment(&clamped(comment)).map_err(|error| (first.offset, error.to_string()))?;
        }
        self.enter(Word { text: element, ..first }, &sample, None, false)
    }

    /// Adds what an element stands for, with the details of `sample`.
    fn enter(
        &mut self,
        element: Word<'a>,
        sample: &SourceEntry,
        timeout: Option<u32>,
        in_first_half: bool,
    ) -> Result<(), Fault> {
        let fault = |message: String| (element.offset, message);
        let expiry = self.expiry.take();
        // Most lines of large files are one IPv4 address.
        if let Ok(address) = element.text.parse::<Ipv4Addr>() {
            let block = IpNet::V4(Ipv4Net::from(address));
            return self.enter_block(block, sample, (timeout, expiry), in_first_half).map_err(fault);
        }
        let (blocks, normalised) = SourceEntry::parse(element.text).map_err(|error| fault(error.to_string()))?;
        if let Some(block) = normalised {
            self.notes.host_bits(element.text, block);
        }
        for found in blocks {
            self.enter_block(found.block(), sample, (timeout, expiry), in_first_half).map_err(fault)?;
        }
        Ok(())
    }

    fn enter_block(
        &mut self,
        block: IpNet,
        sample: &SourceEntry,
        (timeout, expiry): (Option<u32>, Option<Timestamp>),
        in_first_half: bool,
    ) -> Result<(), String> {
        let mut entry = sample.clone().at(block);
        let family = entry.family();
        let place = half(family);
        entry = entry.with_timeout(timeout.unwrap_or(self.default_timeout[place]));
        if let Some(moment) = expiry {
            entry = entry.with_moment(moment);
        }
        self.notes.relative |= entry.timeout().is_some() && expiry.is_none();
        self.notes.moved_to_v6 += usize::from(family == Family::V6 && in_first_half);
        if !self.stored
            && self.file.halves[place].shape.kind == SetKind::Ip
            && self.file.halves[place].check(&entry).is_err()
        {
            self.notes.widened[place] = Some(block);
            self.file.widen(family);
        }
        let before = self.file.index.len();
        self.file.add_one(entry).map_err(|error| error.to_string())?;
        self.notes.repeated += usize::from(self.file.index.len() == before);
        Ok(())
    }

    /// Both halves are created above their first entry.
    fn create_what_is_missing(&mut self) {
        for family in Family::ALL {
            if self.created[half(family)] {
                continue;
            }
            let lines = &self.file.lines;
            let entry = lines.iter().position(|line| matches!(line, Line::Entry(_))).unwrap_or(lines.len());
            let create = lines.iter().rposition(|line| matches!(line, Line::Create(_)));
            let place = create.map_or(entry, |create| create + 1).min(entry);
            Arc::make_mut(&mut self.file.lines).insert(place, Line::Create(family));
            Arc::make_mut(&mut self.file.index).shift(place);
        }
    }
}

/// What an entry is made of that only has an address.
fn nothing_said() -> SourceEntry {
    SourceEntry::new(IpNet::V4(Ipv4Net::default()))
}

fn unknown_command(word: Word<'_>) -> Fault {
    let hint = nearest(word.text, COMMANDS).map(|near| format!(", did you mean `{near}`"));
    let text: String = word.text.chars().take(60).collect();
    let message = format!("`{}` is neither a command of ipset nor an address", text.escape_debug());
    (word.offset, message + &hint.unwrap_or_default())
}

/// A comment of a list as the kernel can keep it.
fn clamped(comment: &str) -> String {
    let mut text = String::new();
    for c in comment.chars().filter(|c| !c.is_control()) {
        if text.len() + c.len_utf8() > 255 {
            break;
        }
        text.push(if c == '"' { '\'' } else { c });
    }
    text
}
