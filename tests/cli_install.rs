//! `install/install.sh` with a binary at hand, into directories of the test's own.

#![allow(clippy::unwrap_used)]

mod cli_support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use cli_support::{BINARY, Ended, clean};

fn install(home: &Path, words: &[&str]) -> Ended {
    clean("/bin/sh")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/install/install.sh"))
        .args(words)
        .env("HOME", home)
        .env("DESTDIR", home)
        .output()
        .unwrap()
        .into()
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn installs_replaces_and_removes_one_file() {
    let home = tempfile::tempdir().unwrap();
    for (mode, directory) in [(&[][..], ".docker/cli-plugins"), (&["--system"], "usr/libexec/docker/cli-plugins")] {
        let directory = home.path().join(directory);
        let plugin = directory.join("docker-firewall");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("docker-other"), "kept").unwrap();
        // An old link is replaced, not written through.
        symlink(directory.join("docker-other"), &plugin).unwrap();
        for _ in 0..2 {
            let ended = install(home.path(), &[mode, &["--binary", BINARY]].concat());
            assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{mode:?}");
            let first = format!("Installed docker-firewall v{} as {}\n", env!("CARGO_PKG_VERSION"), plugin.display());
            assert!(ended.out.starts_with(&first), "{}", ended.out);
            assert!(ended.out.contains("\nNext:  "), "{}", ended.out);
        }
        assert_eq!(fs::symlink_metadata(&plugin).unwrap().permissions().mode(), 0o100_755);
        assert_eq!(fs::read(&plugin).unwrap(), fs::read(BINARY).unwrap());
        assert_eq!(entries(&directory), ["docker-firewall", "docker-other"]);
        let ended = install(home.path(), &[mode, &["--uninstall"]].concat());
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{mode:?}");
        assert_eq!(entries(&directory), ["docker-other"]);
        assert_eq!(fs::read(directory.join("docker-other")).unwrap(), b"kept");
        let again = install(home.path(), &[mode, &["--uninstall"]].concat());
        assert_eq!(again.code, 0);
        assert!(again.out.contains("nothing was changed"), "{}", again.out);
    }
}

#[test]
fn changes_nothing_when_it_cannot_go_on() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join(".docker/cli-plugins");
    let plugin = directory.join("docker-firewall");
    fs::create_dir_all(&directory).unwrap();
    fs::write(&plugin, "old").unwrap();
    let broken = home.path().join("broken");
    fs::write(&broken, "#!/bin/sh\nexit 3\n").unwrap();
    for words in
        [&["--binary", broken.to_str().unwrap()][..], &["--binary", "/nonexistent"], &["--bogus"], &["--binary"]]
    {
        let ended = install(home.path(), words);
        assert_eq!(ended.code, 1, "{words:?}");
        assert!(ended.err.starts_with("install.sh: "), "{words:?}: {}", ended.err);
        assert_eq!(fs::read(&plugin).unwrap(), b"old", "{words:?}");
        assert_eq!(entries(&directory), ["docker-firewall"], "{words:?}");
    }
    fs::remove_file(&plugin).unwrap();
    fs::create_dir(&plugin).unwrap();
    for words in [&["--binary", BINARY][..], &["--uninstall"]] {
        assert_eq!(install(home.path(), words).code, 1, "{words:?}");
        assert!(plugin.is_dir());
    }
}

#[test]
fn honours_dockers_own_directory() {
    let home = tempfile::tempdir().unwrap();
    let output = clean("/bin/sh")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/install/install.sh"))
        .args(["--binary", BINARY])
        .env("HOME", home.path())
        .env("DOCKER_CONFIG", home.path().join("elsewhere"))
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(entries(home.path()), ["elsewhere"]);
}
