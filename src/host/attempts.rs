//! The file of attempts that were dropped: lines, of which the oldest go when there are too many.
//!
//! One process writes. Others read meanwhile, from the file before and this one, and go on where a new one begins.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use super::paths::Paths;

/// Bytes of one file. There are two at most: the one that is written and the one before.
const MOST: u64 = 8 << 20;
/// A line is never longer; what has no end by then is not one of ours.
const LINE: usize = 1 << 16;

/// Who writes.
#[derive(Debug)]
pub struct AttemptLog {
    path: PathBuf,
    before: PathBuf,
    /// With its length as we know it.
    file: Option<(File, u64)>,
    most: u64,
}

impl AttemptLog {
    /// Nothing is opened before there is something to write.
    pub fn new(paths: &Paths) -> Self {
        Self { path: paths.attempts_file(), before: paths.attempts_before_file(), file: None, most: MOST }
    }

    /// Adds lines, each with its end. On an error none of them is there.
    pub fn append(&mut self, lines: &str) -> io::Result<()> {
        let size = lines.len() as u64;
        let (mut file, mut length) = self.current()?;
        if length > 0 && length.saturating_add(size) > self.most {
            fs::rename(&self.path, &self.before)?;
            (file, length) = open(&self.path)?;
        }
        match file.write_all(lines.as_bytes()) {
            Ok(()) => {
                self.file = Some((file, length + size));
                Ok(())
            }
            Err(error) => {
                // Half a line would take the next one with it.
                let _ = file.set_len(length);
                Err(error)
            }
        }
    }

    /// The file, opened anew where another one has its name by now.
    fn current(&mut self) -> io::Result<(File, u64)> {
        if let Some((file, length)) = self.file.take()
            && is_still(&file, &self.path)
        {
            return Ok((file, length));
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        open(&self.path)
    }
}

fn open(path: &PathBuf) -> io::Result<(File, u64)> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(nofollow).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Whether `path` names the open file.
fn is_still(file: &File, path: &PathBuf) -> bool {
    let place = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(open), Ok(named)) if place(&named) == place(&open))
}

/// Who reads.
#[derive(Debug)]
pub struct AttemptReader {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
}

impl AttemptReader {
    /// At the beginning. Also answers what the file before holds.
    pub fn open(paths: &Paths) -> io::Result<(Self, Vec<String>)> {
        let mut reader = Self { path: paths.attempts_before_file(), file: None, rest: Vec::new() };
        let lines = reader.lines()?;
        Ok((Self { path: paths.attempts_file(), file: None, rest: Vec::new() }, lines))
    }

    /// The lines that are new since the last call.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            if self.file.is_none() {
                match File::open(&self.path) {
                    Ok(file) => self.file = Some(file),
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(lines),
                    Err(error) => return Err(error),
                }
            }
            let Some(file) = &mut self.file else { return Ok(lines) };
            // Asked before reading: whatever is written before it gets another name is read.
            let is_still = is_still(file, &self.path);
            let mut bytes = std::mem::take(&mut self.rest);
            file.read_to_end(&mut bytes)?;
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let whole = String::from_utf8_lossy(&bytes[..end]).into_owned();
            lines.extend(whole.lines().map(str::to_owned));
            self.rest = bytes.split_off(end);
            if self.rest.len() > LINE {
                self.rest.clear();
            }
            if is_still {
                return Ok(lines);
            }
            self.file = None;
            self.rest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn made() -> (tempfile::TempDir, Paths) {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::below(directory.path());
        (directory, paths)
    }

    #[test]
    fn it_keeps_within_its_bound_and_readers_miss_nothing() {
        let (_directory, paths) = made();
        let mut log = AttemptLog { most: 100, ..AttemptLog::new(&paths) };
        let (mut reader, before) = AttemptReader::open(&paths).unwrap();
        assert_eq!((before, reader.lines().unwrap()), (vec![], vec![]));
        let mut read = Vec::new();
        for number in 0..50 {
            log.append(&format!("line {number}\n")).unwrap();
            if number % 3 == 0 {
                read.extend(reader.lines().unwrap());
            }
        }
        read.extend(reader.lines().unwrap());
        assert_eq!(read, (0..50).map(|number| format!("line {number}")).collect::<Vec<_>>());
        let sizes = [paths.attempts_file(), paths.attempts_before_file()].map(|path| fs::metadata(path).unwrap());
        assert!(sizes.iter().all(|file| file.len() <= 100 && file.permissions().mode() & 0o777 == 0o600), "{sizes:?}");
        // Whoever comes later sees both, in order.
        let (mut late, mut lines) = AttemptReader::open(&paths).unwrap();
        lines.extend(late.lines().unwrap());
        assert_eq!(lines.last().map(String::as_str), Some("line 49"));
        assert!(lines.len() > 10 && read.ends_with(&lines), "{lines:?}");
    }

    #[test]
    fn half_a_line_waits_for_its_end() {
        let (_directory, paths) = made();
        let mut log = AttemptLog::new(&paths);
        let (mut reader, _) = AttemptReader::open(&paths).unwrap();
        log.append("one\ntw").unwrap();
        assert_eq!(reader.lines().unwrap(), ["one"]);
        log.append("o\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["two"]);
        // Somebody removed it: it is made anew, and read anew.
        fs::remove_file(paths.attempts_file()).unwrap();
        log.append("three\n").unwrap();
        assert_eq!(reader.lines().unwrap(), ["three"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_no_half() {
        let (_directory, paths) = made();
        let full = PathBuf::from("/dev/full");
        let mut log = AttemptLog { path: full, ..AttemptLog::new(&paths) };
        assert_eq!(log.append("one\n").unwrap_err().kind(), ErrorKind::StorageFull);
        let mut log = AttemptLog::new(&paths);
        log.append("two\n").unwrap();
        assert_eq!(fs::read_to_string(paths.attempts_file()).unwrap(), "two\n");
    }
}
