//! The file systems under our directories.

use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::doctor::Volume;

/// Of a directory; of one that is yet to be made, what is above it. `None` where the kernel does not say.
pub fn of(directory: &Path) -> Option<Volume> {
    let there = directory.ancestors().find(|path| path.exists())?;
    let found = statvfs(there).ok()?;
    Some(Volume {
        path: directory.display().to_string(),
        free: found.f_bfree.saturating_mul(found.f_frsize),
        // btrfs and others make them as they are needed.
        files: (found.f_files > 0).then_some(found.f_ffree),
        read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}
