//! Notifications of inotify: somebody wrote, replaced or removed a file of ours.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::{Errno, read};

/// A watch over some directories.
#[derive(Debug)]
pub struct FileWatch(OwnedFd);

impl FileWatch {
    /// Watches `directories`, not what is below them. One that does not exist is passed over.
    pub fn open<'a>(directories: impl IntoIterator<Item = &'a Path>) -> io::Result<Self> {
        let watch = inotify::init(CreateFlags::CLOEXEC)?;
        // A file counts once it is whole: written and closed, or renamed into its place.
        let events = WatchFlags::CLOSE_WRITE | WatchFlags::MOVE | WatchFlags::DELETE | WatchFlags::ONLYDIR;
        for directory in directories {
            match inotify::add_watch(&watch, directory, events) {
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self(watch))
    }

    /// Blocks until something changed.
    pub fn wait(&self) -> io::Result<()> {
        let mut buffer = [0_u8; 4096];
        loop {
            match read(&self.0, &mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
