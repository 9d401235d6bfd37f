//! Parts of the kernel: which are in it, which could be loaded, and which are nowhere. Nothing is loaded by looking.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::tools::Tools;
use crate::doctor::{Module, Modules, Presence};

/// Looks for them.
pub fn look(tools: &Tools, wanted: &[Module]) -> Modules {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    look_below(Path::new("/"), tools, wanted, release)
}

fn look_below(root: &Path, tools: &Tools, wanted: &[Module], release: String) -> Modules {
    let directory = ["lib/modules", "usr/lib/modules"].map(|place| root.join(place).join(&release));
    let list = |file: &str| directory.iter().find_map(|directory| fs::read_to_string(directory.join(file)).ok());
    let (builtin, loadable) = (list("modules.builtin"), list("modules.dep"));
    let (in_kernel, on_disk) = (names(builtin.as_deref()), names(loadable.as_deref()));
    let config = config(root, tools, &release);
    let place = |module: &Module| {
        let option = config.as_deref().map(|config| option(config, module.option));
        if root.join("sys/module").join(module.name).exists()
            || in_kernel.contains(module.name)
            || option == Some(Some('y'))
        {
            Presence::Here
        } else if on_disk.contains(module.name) {
            Presence::Loadable
        } else if loadable.is_some() || option.is_some() {
            Presence::Missing
        } else {
            Presence::Untold
        }
    };
    let presence = wanted.iter().map(|module| (module.name, place(module))).collect();
    Modules { release, directory: loadable.is_some(), presence }
}

/// The names of `kernel/net/netfilter/ipset/ip_set.ko.xz: ...`, a line each.
fn names(list: Option<&str>) -> BTreeSet<String> {
    let name = |line: &str| {
        let file = line.split(':').next()?.rsplit('/').next()?;
        Some(file.split(".ko").next()?.replace('-', "_"))
    };
    list.into_iter().flat_map(str::lines).filter_map(name).collect()
}

/// How the kernel was made, where it or its package tells.
fn config(root: &Path, tools: &Tools, release: &str) -> Option<String> {
    let own = root.join("proc/config.gz");
    if own.exists() {
        let ran = tools.run("gzip", &["-dc", &own.to_string_lossy()], "")?.ok()?;
        return ran.success.then_some(ran.stdout);
    }
    fs::read_to_string(root.join(format!("boot/config-{release}"))).ok()
}

/// `y` or `m` of `CONFIG_IP_SET=m`.
fn option(config: &str, name: &str) -> Option<char> {
    config.lines().find_map(|line| line.strip_prefix("CONFIG_")?.strip_prefix(name)?.strip_prefix('=')?.chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP_SET: Module = Module { name: "ip_set", option: "IP_SET", cost: "" };
    const NETIFACE: Module = Module { name: "ip_set_hash_netiface", option: "IP_SET_HASH_NETIFACE", cost: "" };

    #[test]
    fn looks_everywhere_before_it_says_missing() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let look = || {
            let found = look_below(root.path(), &Tools::from_env(), &[IP_SET, NETIFACE], "6.1.0".to_owned());
            (found.presence["ip_set"], found.presence["ip_set_hash_netiface"], found.directory)
        };
        assert_eq!(look(), (Presence::Untold, Presence::Untold, false));
        put("boot/config-6.1.0", "CONFIG_IP_SET=y\n# CONFIG_IP_SET_HASH_NETIFACE is not set\n");
        assert_eq!(look(), (Presence::Here, Presence::Missing, false));
        put("boot/config-6.1.0", "CONFIG_IP_SET=m\nCONFIG_IP_SET_HASH_NETIFACE=m\n");
        assert_eq!(look(), (Presence::Missing, Presence::Missing, false));
        put("lib/modules/6.1.0/modules.dep", "kernel/net/netfilter/ipset/ip_set_hash_netiface.ko.xz: kernel/x.ko\n");
        assert_eq!(look(), (Presence::Missing, Presence::Loadable, true));
        put("lib/modules/6.1.0/modules.builtin", "kernel/net/netfilter/ipset/ip_set.ko\n");
        put("sys/module/ip_set_hash_netiface/refcnt", "1\n");
        assert_eq!(look(), (Presence::Here, Presence::Here, true));
    }
}
