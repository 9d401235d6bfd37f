//! Who called, how, and what is ours of the words.
//!
//! Docker hands its own words over untouched: `docker --context x firewall ls` arrives as `--context x firewall ls`.
//! Run directly, `docker-firewall --context x ls` means the same.

use std::ffi::OsString;
use std::path::Path;

use super::environment::Env;
use super::failure::Failure;
use super::globals::{self, GlobalFlags};
use super::pflag::{self, Until};

/// Set by Docker's client for whatever it runs.
pub(super) const ORIGINAL_COMMAND: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";

/// How people call this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// As people type it: `docker firewall`, or `docker-firewall`.
    pub program: String,
    /// The first word of it, which begins some of Docker's error messages.
    pub root: String,
    /// The name of the plugin, which is that of its file.
    pub plugin: String,
}

impl Called {
    /// Reads it off the name of the file and the environment.
    pub fn new(path: Option<&OsString>, env: &Env) -> Self {
        let file = path.and_then(|path| Path::new(path).file_name()).and_then(|name| name.to_str());
        // Docker names a plugin after its file, so a link `docker-fw` makes `docker fw`.
        let plugin = file.and_then(|file| file.strip_prefix("docker-")).filter(|name| !name.is_empty());
        let plugin = plugin.unwrap_or("firewall").to_owned();
        if env.get(ORIGINAL_COMMAND).is_some() {
            Self { program: format!("docker {plugin}"), root: "docker".to_owned(), plugin }
        } else {
            let program = file.unwrap_or("docker-firewall").to_owned();
            Self { root: program.clone(), program, plugin }
        }
    }
}

/// The words, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Docker's flags.
    pub globals: GlobalFlags,
    /// Ours.
    pub ours: Vec<String>,
    /// `--help`, or `help`, stood before our name.
    pub help: bool,
    /// It was `-h`.
    pub short_help: bool,
}

/// Takes everything after the program's own path apart.
pub fn split(called: &Called, words: &[OsString]) -> Result<Words, Failure> {
    let words = words
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| Failure::user("an argument is not valid UTF-8"))?;
    let flags = globals::command();
    let hinted = |failure: Failure| match failure.kind {
        super::failure::FailureKind::Usage => failure
            .hinted("")
            .hinted(format!("Usage:  {}", called.program))
            .hinted("")
            .hinted(format!("Run '{} --help' for more information", called.program)),
        _ => failure,
    };
    let lexed = pflag::lex(&flags, &words, Until::Positional).map_err(|message| hinted(Failure::usage(message)))?;
    let is_help = |word: &String| matches!(word.as_str(), "--help" | "-h" | "--");
    let raw = words[..lexed.read].iter().filter(|word| !is_help(word)).cloned().collect();
    let globals = globals::read(&flags, &lexed, raw).map_err(hinted)?;
    let mut split =
        Words { globals, ours: words[lexed.read..].to_vec(), help: lexed.help, short_help: lexed.short_help };
    let at = |index: usize, name: &str| split.ours.get(index).is_some_and(|word| word == name);
    if at(0, &called.plugin) {
        split.ours.remove(0);
    } else if at(0, "help") && at(1, &called.plugin) {
        split.ours.drain(..2);
        split.help = true;
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called() -> Called {
        let env = [(ORIGINAL_COMMAND, "docker")].into_iter().collect();
        Called::new(Some(&OsString::from("/usr/libexec/docker/cli-plugins/docker-firewall")), &env)
    }

    fn read(line: &str) -> Words {
        let words: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        split(&called(), &words).unwrap()
    }

    #[test]
    fn takes_docker_words_apart() {
        for (line, ours, raw) in [
            ("firewall ls", "ls", ""),
            ("--context foo firewall ls", "ls", "--context foo"),
            ("-H tcp://1.2.3.4:2375 firewall ls -q", "ls -q", "-H tcp://1.2.3.4:2375"),
            ("--config /etc/x -D -l debug --tls firewall -- ls", "-- ls", "--config /etc/x -D -l debug --tls"),
            ("--debug firewall ls --debug", "ls --debug", "--debug"),
            ("-- firewall ls", "ls", ""),
            ("firewall", "", ""),
            ("-c firewall firewall ls firewall", "ls firewall", "-c firewall"),
        ] {
            let words = read(line);
            assert_eq!(words.ours.join(" "), ours, "{line}");
            assert_eq!(words.globals.raw.join(" "), raw, "{line}");
            assert!(!words.help, "{line}");
        }
        for line in ["--help firewall allow", "help firewall allow", "-h firewall allow"] {
            let words = read(line);
            assert!(words.help, "{line}");
            assert_eq!(words.ours, ["allow"], "{line}");
        }
    }

    #[test]
    fn reads_every_flag_of_docker() {
        let globals = read(
            "--config=/c -Hunix:///a --host tcp://b -D=true --log-level WARN --tls=false --tlsverify --tlscacert ca \
             --tlscert cert --tlskey key firewall",
        )
        .globals;
        assert_eq!(globals.config.as_deref(), Some(Path::new("/c")));
        assert_eq!(globals.hosts, ["unix:///a", "tcp://b"]);
        assert!(globals.debug);
        assert_eq!((globals.tls, globals.tlsverify), (false, Some(true)));
        assert_eq!(globals.tlskey.as_deref(), Some(Path::new("key")));
        assert_eq!(read("-c a -c b firewall").globals.context.as_deref(), Some("b"));
    }

    #[test]
    fn refuses_what_docker_refuses() {
        let refuse = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            split(&called(), &words).unwrap_err()
        };
        let failure = refuse("-v firewall ls");
        assert_eq!((failure.code(), failure.message.as_str()), (125, "unknown shorthand flag: 'v' in -v"));
        assert_eq!(refuse("-c a -H b firewall").code(), 1);
        assert_eq!(refuse("-l loud firewall").code(), 1);
        assert_eq!(refuse("--tls=maybe firewall").code(), 125);
    }

    #[test]
    fn is_named_after_its_file() {
        let path = OsString::from("/opt/docker-fw");
        let alone = Called::new(Some(&path), &Env::default());
        assert_eq!((alone.program.as_str(), alone.plugin.as_str()), ("docker-fw", "fw"));
        let env = [(ORIGINAL_COMMAND, "docker")].into_iter().collect();
        assert_eq!(Called::new(Some(&path), &env).program, "docker fw");
    }
}
