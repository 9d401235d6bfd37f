//! Which engine is meant: docker's order of flags, variables, contexts and defaults, row by row.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use docker_firewall::docker::{EndpointError, EngineAddress, Environment, GlobalFlags, resolve_endpoint};
use sha2::{Digest, Sha256};

/// A configuration directory with contexts.
struct Config(tempfile::TempDir);

impl Config {
    fn new() -> Self {
        let config = Self(tempfile::tempdir().unwrap());
        config.context("rem", r#"{"Name":"rem","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://me@h"}}}"#);
        config.context("sock", r#"{"Name":"sock","Endpoints":{"docker":{"Host":"unix:///run/other.sock"}}}"#);
        config
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn meta(&self, name: &str) -> PathBuf {
        let mut hash = String::new();
        Sha256::digest(name.as_bytes()).iter().for_each(|byte| write!(hash, "{byte:02x}").unwrap());
        self.path().join("contexts/meta").join(hash).join("meta.json")
    }

    fn context(&self, name: &str, text: &str) {
        let path = self.meta(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn json(self, text: &str) -> Self {
        std::fs::write(self.path().join("config.json"), text).unwrap();
        self
    }

    fn environment(&self, variables: &[(&str, &str)]) -> Environment {
        let start = Environment::default().with("DOCKER_CONFIG", self.path().to_str().unwrap());
        variables.iter().fold(start, |environment, (name, value)| environment.with(name, value))
    }

    fn resolve(&self, flags: &GlobalFlags, variables: &[(&str, &str)]) -> Result<String, String> {
        resolve_endpoint(flags, &self.environment(variables))
            .map(|address| address.to_string())
            .map_err(|error| error.to_string())
    }
}

fn context(name: &str) -> GlobalFlags {
    GlobalFlags { context: Some(name.to_owned()), ..GlobalFlags::default() }
}

fn host(hosts: &[&str]) -> GlobalFlags {
    GlobalFlags { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..GlobalFlags::default() }
}

const DEFAULT: &str = "unix:///var/run/docker.sock";

#[test]
fn follows_dockers_order() {
    let config = Config::new().json(r#"{"currentContext":"rem"}"#);
    let none = GlobalFlags::default();
    for (flags, variables, expected) in [
        (&none, vec![], "ssh://me@h"),
        (&none, vec![("DOCKER_CONTEXT", "sock")], "unix:///run/other.sock"),
        (&none, vec![("DOCKER_CONTEXT", "")], "ssh://me@h"),
        (&none, vec![("DOCKER_CONTEXT", "default")], DEFAULT),
        // DOCKER_HOST beats DOCKER_CONTEXT, against docker's documentation.
        (&none, vec![("DOCKER_CONTEXT", "sock"), ("DOCKER_HOST", "tcp://h")], "tcp://h:2375"),
        (&none, vec![("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "sock")], "unix:///run/other.sock"),
        (&none, vec![("DOCKER_HOST", " ")], DEFAULT),
        (&host(&["h:1"]), vec![("DOCKER_HOST", "tcp://other"), ("DOCKER_CONTEXT", "sock")], "tcp://h:1"),
        (&host(&[""]), vec![("DOCKER_HOST", "tcp://other")], DEFAULT),
        (&context("sock"), vec![("DOCKER_HOST", "tcp://h"), ("DOCKER_CONTEXT", "rem")], "unix:///run/other.sock"),
        (&context(""), vec![("DOCKER_CONTEXT", "sock")], "unix:///run/other.sock"),
        // The default context takes its host from DOCKER_HOST.
        (&context("default"), vec![("DOCKER_HOST", "unix:///a.sock")], "unix:///a.sock"),
        (&context("default"), vec![], DEFAULT),
    ] {
        assert_eq!(config.resolve(flags, &variables).as_deref(), Ok(expected), "{flags:?} {variables:?}");
    }
}

#[test]
fn refuses_as_docker_does() {
    let config = Config::new();
    let both = GlobalFlags { context: Some("rem".into()), ..host(&["h"]) };
    let missing = config.meta("nope");
    for (flags, expected) in [
        (both, "conflicting options: cannot specify both --host and --context".to_owned()),
        (host(&["a", "b"]), "specify only one -H".to_owned()),
        (host(&["http://h:1"]), "invalid bind address format: http://h:1".to_owned()),
        (
            context("nope"),
            format!(
                "unable to resolve docker endpoint: context \"nope\": context not found: open {}: no such file or \
                 directory",
                missing.display()
            ),
        ),
    ] {
        assert_eq!(config.resolve(&flags, &[]), Err(expected), "{flags:?}");
    }
}

#[test]
fn finds_the_configuration() {
    let none = GlobalFlags::default();
    let current = Config::new().json(r#"{"currentContext":"sock"}"#);
    let other = Config::new().json(r#"{"CURRENTCONTEXT":"rem","plugins":{"x":true}}"#);
    let flag = GlobalFlags { config: Some(other.path().to_owned()), ..GlobalFlags::default() };
    assert_eq!(current.resolve(&none, &[]).unwrap(), "unix:///run/other.sock");
    assert_eq!(current.resolve(&flag, &[]).unwrap(), "ssh://me@h");

    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".docker")).unwrap();
    std::fs::write(home.path().join(".docker/config.json"), r#"{"currentContext":"x"}"#).unwrap();
    let environment = Environment::default().with("HOME", home.path().to_str().unwrap());
    assert!(matches!(resolve_endpoint(&none, &environment), Err(EndpointError::Context(_))));
    // Nowhere to look means nothing configured.
    let address = resolve_endpoint(&none, &Environment::default()).unwrap();
    assert_eq!(address, EngineAddress::Unix(PathBuf::from("/var/run/docker.sock")));
}

#[test]
fn a_damaged_configuration_is_not_guessed_at() {
    let none = GlobalFlags::default();
    for text in ["{", "[]x", r#"{"currentContext":7}"#] {
        let config = Config::new().json(text);
        let error = config.resolve(&none, &[]).unwrap_err();
        assert!(error.contains("config.json is damaged"), "{error}");
        // Not even read when something else decides.
        assert_eq!(config.resolve(&none, &[("DOCKER_HOST", "h")]).unwrap(), "tcp://h:2375");
    }
    for text in ["", "{}", r#"{"currentContext":null}"#, r#"{"currentContext":""}"#, r#"{"currentContext":"default"}"#]
    {
        assert_eq!(Config::new().json(text).resolve(&none, &[]).unwrap(), DEFAULT, "{text:?}");
    }
}

#[test]
fn reads_contexts_as_go_does() {
    let config = Config::new();
    // Go matches the names of fields in any case, and the keys of maps exactly.
    config.context("case", r#"{"name":"case","endpoints":{"docker":{"HOST":"unix:///c.sock"}}}"#);
    config.context("exact", r#"{"Endpoints":{"docker":{"host":"unix:///wrong.sock","Host":"unix:///e.sock"}}}"#);
    config.context("empty", r#"{"Endpoints":{"docker":{}}}"#);
    config.context("kube", r#"{"Endpoints":{"Docker":{"Host":"unix:///k.sock"}}}"#);
    config.context("torn", r#"{"Endpoints":{"docker":{"Host":"uni"#);
    assert_eq!(config.resolve(&context("case"), &[]).unwrap(), "unix:///c.sock");
    assert_eq!(config.resolve(&context("exact"), &[]).unwrap(), "unix:///e.sock");
    assert_eq!(config.resolve(&context("empty"), &[]).unwrap(), DEFAULT);
    assert!(config.resolve(&context("kube"), &[]).unwrap_err().contains("cannot find docker endpoint"));
    assert!(config.resolve(&context("torn"), &[]).unwrap_err().contains("is damaged"));
    // A name is hashed: it cannot lead out of the store.
    assert!(config.resolve(&context("../../rem"), &[]).unwrap_err().contains("context not found"));
}

#[test]
fn tls_decides_the_default_port_only() {
    let config = Config::new();
    let tls = GlobalFlags { tls: true, ..GlobalFlags::default() };
    let off = GlobalFlags { tlsverify: Some(false), ..GlobalFlags::default() };
    let tls_default = Ok("tcp://localhost:2376".to_owned());
    assert_eq!(config.resolve(&tls, &[]), tls_default);
    assert_eq!(config.resolve(&off, &[]), tls_default);
    for name in ["DOCKER_TLS", "DOCKER_TLS_VERIFY"] {
        assert_eq!(config.resolve(&GlobalFlags::default(), &[(name, "1")]), tls_default);
        assert_eq!(config.resolve(&GlobalFlags::default(), &[(name, "")]).unwrap(), DEFAULT);
    }
    assert_eq!(config.resolve(&tls, &[("DOCKER_HOST", DEFAULT)]).unwrap(), DEFAULT);
}

#[test]
fn hands_the_flags_to_docker_verbatim() {
    let config = Config::new();
    let raw: Vec<String> = ["--context=rem", "-D"].map(str::to_owned).to_vec();
    let flags = GlobalFlags { raw, ..context("rem") };
    let original = ("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", "/opt/docker");
    let dial = |environment: &Environment| match resolve_endpoint(&flags, environment).unwrap() {
        EngineAddress::DialStdio { context, program, args, .. } => (context, program, args.join(" ")),
        EngineAddress::Unix(path) => panic!("{}", path.display()),
    };
    let environment = config.environment(&[original]);
    let expected = "--context=rem -D system dial-stdio".to_owned();
    assert_eq!(dial(&environment), (Some("rem".to_owned()), "/opt/docker".to_owned(), expected));
    // Standalone, and while completing, when the variable names this very program.
    assert_eq!(dial(&config.environment(&[])).1, "docker");
    assert_eq!(dial(&environment.called_as("/opt/docker")).1, "docker");
}
