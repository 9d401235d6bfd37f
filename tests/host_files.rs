//! Files are replaced whole or not at all; the lock lets one in at a time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use docker_firewall::host::files::{FileError, list_sets, read_limited, remove, write_atomic};
use docker_firewall::host::lock::{Lock, LockError};
use docker_firewall::host::paths::Paths;

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn reads_what_is_a_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("x");
    assert!(read_limited(&path, 9).unwrap().is_none());
    fs::write(&path, "123456789").unwrap();
    assert_eq!(read_limited(&path, 9).unwrap().unwrap(), "123456789");
    let error = read_limited(&path, 8).unwrap_err().to_string();
    assert_eq!(error, format!("{} is too large: more than 8 bytes", path.display()));
    fs::write(&path, b"good\nb\xffd\n").unwrap();
    assert!(read_limited(&path, 99).unwrap_err().to_string().ends_with("line 2 is not UTF-8"));
    assert!(matches!(read_limited(root.path(), 9), Err(FileError::IsADirectory(_))));
    assert!(matches!(read_limited(Path::new("/dev/zero"), 9), Err(FileError::NotAFile(_))));
    assert!(matches!(read_limited(&path.join("below"), 9), Err(FileError::Unreadable { .. })));
    let pipe = root.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(read_limited(&pipe, 9), Err(FileError::NotAFile(_))));
}

#[test]
fn writes_whole_and_keeps_mode_and_links() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/policy.toml");
    write_atomic(&path, "one").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let number = fs::metadata(&path).unwrap().ino();
    write_atomic(&path, "two").unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o640);
    assert_ne!(metadata.ino(), number);
    // A relative link to a link: both stay.
    let (link, second) = (root.path().join("link"), root.path().join("second"));
    symlink("a/b/policy.toml", &second).unwrap();
    symlink("second", &link).unwrap();
    write_atomic(&link, "three").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::symlink_metadata(&second).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "three");
    // A link to nothing makes what it names.
    let dangling = root.path().join("dangling");
    symlink("new.toml", &dangling).unwrap();
    write_atomic(&dangling, "four").unwrap();
    assert_eq!(fs::read_to_string(root.path().join("new.toml")).unwrap(), "four");
    symlink("loop", root.path().join("loop")).unwrap();
    assert!(write_atomic(&root.path().join("loop"), "x").is_err());
    assert_eq!(entries(&root.path().join("a/b")), ["policy.toml"]);
    assert!(matches!(write_atomic(root.path(), "x"), Err(FileError::IsADirectory(_))));
    assert!(matches!(write_atomic(Path::new("/proc/no"), "x"), Err(FileError::Unwritable { .. })));
    assert!(remove(&path).unwrap());
    assert!(!remove(&path).unwrap());
    assert!(matches!(remove(root.path()), Err(FileError::IsADirectory(_))));
}

/// Runs the next test on a file system of 64 KiB, in a mount namespace of its own.
#[test]
fn a_full_disk_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k none \"$1\" && exec \"$2\" --exact on_a_full_disk --ignored";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(root.path())
        .arg(std::env::current_exe().unwrap())
        .env("SMALL_DISK", root.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
#[ignore = "run by a_full_disk_changes_nothing"]
fn on_a_full_disk() {
    let directory = std::path::PathBuf::from(std::env::var_os("SMALL_DISK").unwrap());
    let path = directory.join("x");
    write_atomic(&path, "old").unwrap();
    let error = write_atomic(&path, &"y".repeat(1 << 20)).unwrap_err();
    assert!(matches!(error, FileError::NoSpace(_)), "{error}");
    assert!(error.to_string().contains("no space left") && error.to_string().contains("nothing was changed"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(entries(&directory), ["x"]);
}

#[test]
fn lists_the_sets() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    assert!(list_sets(&paths).unwrap().is_empty());
    for name in ["b", "a"] {
        write_atomic(&paths.set_file(&name.parse().unwrap()), "").unwrap();
    }
    for name in ["a.conf.bak", "README", ".hidden.conf"] {
        fs::write(paths.sets_dir().join(name), "").unwrap();
    }
    let names: Vec<String> = list_sets(&paths).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "b"]);
    fs::write(paths.sets_dir().join("my set.conf"), "").unwrap();
    assert!(list_sets(&paths).unwrap_err().to_string().contains("my set.conf cannot be a set file"));
}

#[test]
fn one_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    let inside = AtomicUsize::new(0);
    let waited = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let on_wait = |_| {
                    waited.fetch_add(1, Ordering::SeqCst);
                };
                let lock = Lock::acquire(&paths, Duration::from_secs(20), on_wait).unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                // Long enough for the last of eight to wait longer than goes unmentioned.
                std::thread::sleep(Duration::from_millis(50));
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(lock);
            });
        }
    });
    assert!(waited.load(Ordering::SeqCst) > 0);
}

#[test]
fn says_who_holds_the_lock_and_gives_up_in_time() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    let held = Lock::acquire(&paths, Duration::ZERO, |_| panic!("nobody to wait for")).unwrap();
    let begun = Instant::now();
    let mut told = None;
    let error = Lock::acquire(&paths, Duration::from_millis(50), |pid| told = Some(pid)).unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(told, Some(Some(std::process::id())));
    assert!(matches!(error, LockError::Busy { holder: Some(_), .. }));
    let expected = format!("process {} has been changing the firewall", std::process::id());
    assert!(error.to_string().starts_with(&expected), "{error}");
    drop(held);
    Lock::acquire(&paths, Duration::ZERO, |_| panic!("nobody to wait for")).unwrap();
    let error = Lock::acquire(&Paths::below(Path::new("/proc/no")), Duration::ZERO, |_| ()).unwrap_err();
    assert!(matches!(error, LockError::Io { .. }));
}
