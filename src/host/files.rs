//! Reading and replacing files whole. A file is either the old one or the new one, also after a crash.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::paths::Paths;
use crate::policy::SetName;

/// Most bytes of a set file: some millions of entries.
pub const SET_FILE_MAX: u64 = 256 * 1024 * 1024;

/// How the names of staged files begin.
const STAGED: &str = ".docker-firewall-";

/// What went wrong with a file.
#[derive(Debug, Error)]
pub enum FileError {
    /// A directory stands where the file should be.
    #[error("{} is a directory, not a file", .0.display())]
    IsADirectory(PathBuf),
    /// A device, pipe or socket.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Binary rubbish.
    #[error("{} is not a text file: line {line} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line with the first bad byte.
        line: usize,
    },
    /// More than anybody meant.
    #[error("{} is too large: more than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// Permission, disk.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space left on the device of {}: nothing was changed", .0.display())]
    NoSpace(PathBuf),
    /// Permission, read-only file system.
    #[error("cannot write {}: {source} (nothing was changed)", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The new file is in place, but whether it survives a power cut is not known.
    #[error("{} was written, but may not survive a power failure: {source}", path.display())]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that could not be removed.
    #[error("cannot remove {}: {source}", path.display())]
    Unremovable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file among the sets whose name no set can have.
    #[error("{} cannot be a set file: {reason}", path.display())]
    BadSetName {
        /// The file.
        path: PathBuf,
        /// Why the name is none.
        reason: String,
    },
}

/// The text of a file of at most `max` bytes; `None` when there is no such file.
pub fn read_limited(path: &Path, max: u64) -> Result<Option<String>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    // Without O_NONBLOCK the opening of a pipe would wait for a writer for ever.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(nonblock).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(FileError::IsADirectory(path.to_owned()));
    }
    if !metadata.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    let too_large = || FileError::TooLarge { path: path.to_owned(), max };
    if metadata.len() > max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max {
        return Err(too_large());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|&byte| byte == b'\n').count();
        FileError::NotUtf8 { path: path.to_owned(), line }
    })?;
    Ok(Some(text))
}

/// A file's new text, written out beside it and safe on the disk, that has not taken its place yet.
///
/// Staging is what can fail for want of space or permission; so a change stages all its files first, then writes the
/// kernel, then places the files. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    file: tempfile::NamedTempFile,
    /// The name it was asked for, and the name behind all links.
    path: PathBuf,
    target: PathBuf,
}

/// Writes the new text of a file beside it, with mode 0600 or the old one's mode and owner, and the directories above
/// it. A symbolic link stays one: what it points to will be replaced. The file itself is untouched.
pub fn stage(path: &Path, text: &str) -> Result<Staged, FileError> {
    let staged = write_beside(path, text)?;
    staged.settle()?;
    Ok(staged)
}

/// Waits until all of them are on the disk.
pub fn settle_all(staged: &[Staged]) -> Result<(), FileError> {
    staged.iter().try_for_each(Staged::settle)
}

/// Replaces a file that nobody needs after a power cut, without waiting for the disk: a killed process loses nothing of it.
pub fn write_for_this_boot(path: &Path, text: &str) -> Result<(), FileError> {
    write_beside(path, text)?.rename().map(drop)
}

/// As [`stage`], without waiting for the disk: [`settle_all`] has to follow.
pub fn write_beside(path: &Path, text: &str) -> Result<Staged, FileError> {
    let failed = |source: io::Error| write_error(path, source);
    let target = resolve(path).map_err(failed)?;
    let directory = parent(&target);
    make_directory(directory).map_err(failed)?;
    let old = match fs::metadata(&target) {
        Ok(metadata) if metadata.is_dir() => return Err(FileError::IsADirectory(path.to_owned())),
        Ok(metadata) if !metadata.is_file() => return Err(FileError::NotAFile(path.to_owned())),
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    // Beside the file, for a rename cannot cross file systems; the leading dot hides it from whoever lists sets. It is
    // made with mode 0600, and removed when it is dropped before it has its name.
    let mut file = tempfile::Builder::new().prefix(STAGED).tempfile_in(directory).map_err(|error| {
        // Its message names the temporary file, which nobody has ever heard of.
        failed(error.kind().into())
    })?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    if let Some(old) = old {
        let new = file.as_file().metadata().map_err(failed)?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), Some(old.gid())).map_err(failed)?;
        }
        // After the owner, whose change clears bits of the mode.
        file.as_file().set_permissions(Permissions::from_mode(old.mode() & 0o7777)).map_err(failed)?;
    }
    Ok(Staged { file, path: path.to_owned(), target })
}

impl Staged {
    /// What is written is on the disk when this returns.
    fn settle(&self) -> Result<(), FileError> {
        self.file.as_file().sync_all().map_err(|source| write_error(&self.path, source))
    }

    /// Gives the text a second place, in which there is nothing yet, without writing a byte of it again and without
    /// waiting for the disk. Says whether that could be done.
    pub fn link(&self, path: &Path) -> bool {
        let directory = parent(path);
        make_directory(directory).and_then(|()| fs::hard_link(self.file.path(), path)).is_ok()
    }

    /// Takes the file's place. On any error but [`FileError::NotDurable`] nothing changed.
    pub fn place(self) -> Result<(), FileError> {
        place_all(vec![self]).pop().map_or(Ok(()), Err)
    }

    /// Takes it without waiting for the disk. Answers the name that it was asked for, and the one behind all links.
    fn rename(self) -> Result<(PathBuf, PathBuf), FileError> {
        let Self { file, path, target } = self;
        file.persist(&target).map_err(|error| write_error(&path, error.error))?;
        Ok((path, target))
    }
}

/// All take their places, in this order, and then it is waited for the disk. Answers what became of those that did not:
/// where it is no [`FileError::NotDurable`], nothing changed of that file.
pub fn place_all(staged: Vec<Staged>) -> Vec<FileError> {
    let (mut faults, mut directories) = (Vec::new(), BTreeMap::new());
    for one in staged {
        match one.rename() {
            Ok((path, target)) => drop(directories.entry(parent(&target).to_owned()).or_insert(path)),
            Err(fault) => faults.push(fault),
        }
    }
    // A rename is on the disk only when its directory is.
    faults.extend(
        directories.into_iter().filter_map(|(directory, path)| {
            sync(&directory).err().map(|source| FileError::NotDurable { path, source })
        }),
    );
    faults
}

/// Replaces a file: [`stage`] and [`Staged::place`].
pub fn write_atomic(path: &Path, text: &str) -> Result<(), FileError> {
    stage(path, text)?.place()
}

/// Puts a file of root's into its place, with this mode, whatever was there; a link is replaced, not followed. Answers
/// whether it was another one, or none.
pub fn install(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, FileError> {
    let failed = |source: io::Error| write_error(path, source);
    let is_as_wanted = |metadata: &fs::Metadata| metadata.is_file() && metadata.mode() & 0o7777 == mode;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(FileError::IsADirectory(path.to_owned())),
        Ok(metadata) if is_as_wanted(&metadata) && fs::read(path).is_ok_and(|old| old == bytes) => return Ok(false),
        _ => {}
    }
    let directory = parent(path);
    fs::create_dir_all(directory).map_err(failed)?;
    let beside = tempfile::Builder::new().prefix(STAGED).tempfile_in(directory);
    let mut file = beside.map_err(|error| failed(error.kind().into()))?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    Staged { file, path: path.to_owned(), target: path.to_owned() }.place().map(|()| true)
}

fn write_error(path: &Path, source: io::Error) -> FileError {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FileError::NoSpace(path.to_owned()),
        _ => FileError::Unwritable { path: path.to_owned(), source },
    }
}

/// Makes a directory and those above it. The name of a new one is on the disk only when the directory above it is; without
/// that a power cut takes it away with all that was synced in it.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = parent(directory);
    make_directory(above)?;
    match fs::create_dir(directory) {
        // Somebody else was faster, and may not have synced it yet.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => {}
        made => made?,
    }
    sync(above)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a file another name beside it; what had that name is gone. Durable with the next write of a file there.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|source| write_error(to, source))
}

/// Removes what a killed process staged and never placed. Only for who holds the lock: nobody else is staging then.
pub fn sweep(directory: &Path) -> Result<(), FileError> {
    let unreadable = |source| FileError::Unreadable { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(STAGED.as_bytes())) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a file; says whether there was one.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    let was_there = remove_for_this_boot(path)?;
    if was_there {
        sync(parent(path)).map_err(|source| FileError::NotDurable { path: path.to_owned(), source })?;
    }
    Ok(was_there)
}

/// The same, of one that may as well be back after a power cut.
pub fn remove_for_this_boot(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(_) if path.is_dir() => Err(FileError::IsADirectory(path.to_owned())),
        Err(source) => Err(FileError::Unremovable { path: path.to_owned(), source }),
    }
}

/// The sets that have a file, sorted. Files that do not end in `.conf` and hidden ones are none of ours; a `.conf` file
/// whose name no set can have is an error, for its author believes that it counts.
pub fn list_sets(paths: &Paths) -> Result<Vec<SetName>, FileError> {
    let directory = paths.sets_dir();
    let unreadable = |source| FileError::Unreadable { path: directory.clone(), source };
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension() != Some(OsStr::new("conf")) {
            continue;
        }
        let bad = |reason: String| FileError::BadSetName { path: path.clone(), reason };
        let stem = path.file_stem().and_then(OsStr::to_str).ok_or_else(|| bad("its name is not UTF-8".to_owned()))?;
        names.push(stem.parse().map_err(|error| bad(format!("{error}")))?);
    }
    names.sort();
    Ok(names)
}

/// Follows symbolic links, also to a file that does not exist yet.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    const LINKS_MAX: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "too many levels of symbolic links"))
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
