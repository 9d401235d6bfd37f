//! A container's own network namespace: opened by its file, never mistaken for the host's, and worked in from outside
//! with the host's own tools.
//!
//! A thread enters it and is gone afterwards, so nothing else of this process ever finds itself there; the programs and
//! threads that it starts inherit the namespace, and `/proc/thread-self/net` shows it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use thiserror::Error;

use super::interfaces::{InterfacesError, links};
use super::kernel::{HostKernel, Kernel, KernelError};
use super::observe::joined;
use crate::net::Family;
use crate::resolve::Interface;
use crate::ruleset::Dump;

/// The file system of namespaces (kernel: `include/uapi/linux/magic.h`).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// How often, and after which pause, a file is looked at again that is not a namespace yet or no longer.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// An open network namespace; it lives at least as long as this.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    path: PathBuf,
}

/// Why a namespace cannot be worked in.
#[derive(Debug, Error)]
pub enum NamespaceError {
    /// The file cannot be opened or asked.
    #[error("cannot open the network namespace {}: {source}", path.display())]
    Unopenable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is the namespace of this process: the host's own.
    #[error("{} is this host's own network namespace, not a container's", path.display())]
    Own {
        /// The file.
        path: PathBuf,
    },
    /// The engine mounted it where this process cannot see it.
    #[error(
        "{} shows no network namespace here, though its container runs: the engine seems to have mounts of its own (as in a \
         snap), so rules cannot be put into its containers",
        path.display()
    )]
    Hidden {
        /// The file.
        path: PathBuf,
    },
    /// The kernel did not let a thread in.
    #[error(
        "cannot enter the network namespace {}: {source}; rules for containers on macvlan and ipvlan networks need the \
         capability CAP_SYS_ADMIN too",
        path.display()
    )]
    Closed {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Its interfaces cannot be read.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
}

impl Namespace {
    /// Opens the namespace of that file; `None` when its container has stopped meanwhile. `lives` says whether its
    /// container still runs: what the engine leaves behind of one that stopped is an empty file.
    pub fn open(path: &Path, lives: impl Fn() -> bool) -> Result<Option<Self>, NamespaceError> {
        let unopenable = |source| NamespaceError::Unopenable { path: path.to_owned(), source };
        for _ in 0..LOOKS {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(unopenable(error)),
            };
            if is_namespace(&file).map_err(unopenable)? {
                if is_same(&file, &File::open(OWN).map_err(unopenable)?).map_err(unopenable)? {
                    return Err(NamespaceError::Own { path: path.to_owned() });
                }
                return Ok(Some(Self { file, path: path.to_owned() }));
            }
            if !lives() {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
        Err(NamespaceError::Hidden { path: path.to_owned() })
    }

    /// Does something inside.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| NamespaceError::Closed { path: self.path.clone(), source: error.into() })?;
                Ok(act())
            });
            joined(inside)
        })
    }

    /// Its interfaces.
    pub fn links(&self) -> Result<Vec<Interface>, NamespaceError> {
        Ok(self.within(links)??)
    }
}

fn is_namespace(file: &File) -> io::Result<bool> {
    let system = rustix::fs::fstatfs(file)?;
    // The field's type differs between architectures.
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions, reason = "i64 on some machines only")]
    Ok(i64::try_from(system.f_type).is_ok_and(|kind| kind == NSFS_MAGIC))
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Whether a process of that number is there.
pub fn process_lives(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// The firewall of a namespace.
#[derive(Debug)]
pub struct SandboxKernel {
    namespace: Namespace,
    kernel: HostKernel,
}

impl SandboxKernel {
    /// The firewall of `namespace`, by the tools that `kernel` names.
    pub fn new(namespace: Namespace, kernel: HostKernel) -> Self {
        Self { namespace, kernel }
    }

    fn inside<T: Send>(
        &mut self,
        act: impl FnOnce(&mut HostKernel) -> Result<T, KernelError> + Send,
    ) -> Result<T, KernelError> {
        let Self { namespace, kernel } = self;
        namespace.within(|| act(kernel)).map_err(|error| KernelError::Elsewhere(error.to_string()))?
    }
}

impl Kernel for SandboxKernel {
    fn observe(&mut self, members: &(dyn Fn(&str) -> bool + Sync)) -> Result<Dump, KernelError> {
        self.inside(|kernel| kernel.observe(members))
    }

    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError> {
        self.inside(|kernel| kernel.restore_rules(family, text))
    }

    fn restore_both(&mut self, v4: &str, v6: &str) -> [Result<(), KernelError>; 2] {
        self.inside(|kernel| Ok(kernel.restore_both(v4, v6))).unwrap_or_else(|error| [Err(error), Ok(())])
    }

    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError> {
        self.inside(|kernel| kernel.restore_sets(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_is_never_a_containers() {
        let error = Namespace::open(Path::new(OWN), || true).unwrap_err();
        assert!(matches!(error, NamespaceError::Own { .. }), "{error}");
    }

    #[test]
    fn what_a_stopped_container_leaves_is_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Namespace::open(file.path(), || false).unwrap().is_none());
        assert!(Namespace::open(Path::new("/nonexistent/netns"), || true).unwrap().is_none());
        let error = Namespace::open(file.path(), || true).unwrap_err();
        assert!(matches!(error, NamespaceError::Hidden { .. }), "{error}");
    }
}
