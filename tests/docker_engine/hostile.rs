//! Engines that answer badly, late or not at all. Whatever they do, there is an error or the truth, never a guess.

use std::time::Instant;

use docker_firewall::docker::{Engine, EngineAddress, EngineError};

use crate::fake::{Fake, Reply, options, recorded};

/// A good engine that answers `path` with `reply`.
fn except(path: &'static str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Fake {
    Fake::new(move |asked| if asked == path { reply() } else { recorded("28.5.2", asked) })
}

async fn message(fake: &Fake) -> String {
    fake.snapshot().await.unwrap_err().to_string()
}

#[tokio::test]
async fn errors_read_as_dockers_own() {
    let fake = except("/networks", || Reply::Status(500, "{\"message\":\"it hurts\"}\n"));
    assert_eq!(message(&fake).await, "Error response from daemon: it hurts");

    let fake = except("/version", || Reply::Status(502, "<html><body>Bad Gateway</body></html>"));
    let expected =
        format!("what answers at unix://{} is not a Docker engine: HTTP status 502", fake.socket().display());
    assert_eq!(message(&fake).await, expected);

    let fake = except("/info", || Reply::Status(500, ""));
    assert!(matches!(fake.snapshot().await, Err(EngineError::NotAnEngine { status: 500, .. })));

    let fake = except("/info", || Reply::Status(500, "{\"mess"));
    assert!(matches!(fake.snapshot().await, Err(EngineError::Answer { .. } | EngineError::Api { .. })));
}

#[tokio::test]
async fn nothing_is_built_on_half_an_answer() {
    for text in ["", "[", "{}", "null", "<html>", "[7]", r#"[{"Id":7}]"#] {
        for path in ["/containers/json?all=1", "/networks"] {
            let fake = except(path, move || Reply::Json(text.to_owned()));
            let error = fake.snapshot().await.unwrap_err();
            assert!(matches!(&error, EngineError::Answer { path: asked, .. } if asked.ends_with(path)), "{error}");
        }
    }
    let fake = except("/containers/json?all=1", || Reply::Torn("[{\"Id\":\"a\"}"));
    assert!(matches!(fake.snapshot().await, Err(EngineError::Lost { .. })));
    let fake = except("/version", || Reply::Json(r#"{"ApiVersion":"new"}"#.to_owned()));
    assert!(message(&fake).await.contains("\"new\" is not an API version"));
}

#[tokio::test]
async fn waits_no_longer_than_told() {
    let give_up = async |path: &'static str, reply: fn() -> Reply| {
        let error = message(&except(path, reply)).await;
        assert!(error.ends_with(&format!("{path} within 2 s")), "{error}");
    };
    let start = Instant::now();
    tokio::join!(
        give_up("/version", || Reply::Hang),
        give_up("/networks", || Reply::Hang),
        // bollard alone would wait for ever here.
        give_up("/containers/json?all=1", || Reply::HangInBody),
    );
    assert!(start.elapsed().as_secs() < 10);
}

#[tokio::test]
async fn tells_why_it_cannot_connect() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = directory.path().join("no.sock");
    let dead = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    for path in [nothing, dead] {
        let address = EngineAddress::Unix(path);
        let error = Engine::connect(&address, &options()).await.unwrap_err();
        let expected = format!("Cannot connect to the Docker daemon at {address}. Is the docker daemon running?");
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn old_engines_and_odd_versions_are_refused() {
    let fake = except("/version", || Reply::Json(r#"{"ApiVersion":"1.40","Version":"19.03"}"#.to_owned()));
    assert!(message(&fake).await.ends_with("speaks API 1.40 at most; 1.41 (Docker 20.10) or newer is needed"));
    let fake = Fake::recorded("28.5.2");
    let options = docker_firewall::docker::ConnectOptions { api_version: Some("latest".to_owned()), ..options() };
    let error = Engine::connect(&fake.address(), &options).await.unwrap_err();
    assert_eq!(error, EngineError::ApiVersion("latest".to_owned()));
}

#[tokio::test]
async fn bad_facts_name_their_container() {
    for (entry, expected) in [
        (
            r#"{"Id":"ab","Names":["/x"],"State":"running","NetworkSettings":{"Networks":{"n":{"IPAddress":"1.2.3"}}}}"#,
            "container \"x\": \"1.2.3\" is not an address",
        ),
        (
            r#"{"Id":"ab","Names":["/x"],"State":"running","NetworkSettings":{"Networks":{"n":{"IPAddress":"::1"}}}}"#,
            "container \"x\": \"::1\" is not an IPv4 address",
        ),
        (
            r#"{"Id":"ab","Names":["/x"],"State":"running","Ports":[{"IP":"y","PrivatePort":1,"PublicPort":1,"Type":"tcp"}]}"#,
            "container \"x\": \"y\" is not an address",
        ),
        (
            r#"{"Id":"ab","Names":["/x"],"State":"running","Ports":[{"PrivatePort":1,"PublicPort":1,"Type":"dccp"}]}"#,
            "container \"x\": unknown protocol \"dccp\"",
        ),
        (r#"{"Id":"../../info?","Names":["/x"],"State":"exited"}"#, "container \"x\": \"../../info?\" is not an ID"),
        (r#"{"Names":["/x"],"State":"running"}"#, "container \"x\": \"\" is not an ID"),
    ] {
        let fake = except("/containers/json?all=1", move || Reply::Json(format!("[{entry}]")));
        let error = message(&fake).await;
        assert!(error.ends_with(expected), "{error}");
        assert!(!fake.requests().iter().any(|request| request.contains("..")));
    }
}

#[tokio::test]
async fn a_container_may_go_while_it_is_looked_at() {
    let fake = Fake::new(|path| match path.strip_prefix("/containers/") {
        Some(rest) if rest.ends_with("/json") => Reply::Status(404, r#"{"message":"No such container: stopped"}"#),
        _ => recorded("28.5.2", path),
    });
    let inventory = fake.snapshot().await.unwrap();
    assert!(inventory.container("stopped").is_none());
    assert_eq!(inventory.containers.len(), 6);
}
