//! An engine made of canned answers, behind a real unix socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docker_firewall::docker::{ConnectOptions, Engine, EngineAddress, EngineError};
use docker_firewall::inventory::Inventory;

/// What is answered to one request.
pub(crate) enum Reply {
    /// 200 with a JSON body.
    Json(String),
    /// Another status with any body.
    Status(u16, &'static str),
    /// Announces more than it sends, then closes.
    Torn(&'static str),
    /// Nothing.
    Hang,
    /// A head, then nothing.
    HangInBody,
}

/// Answers by path, without the version prefix.
pub(crate) type Answers = dyn Fn(&str) -> Reply + Send + Sync;

/// The engine; it lives as long as this value.
pub(crate) struct Fake {
    directory: tempfile::TempDir,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(crate) fn new(answers: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers): (_, Arc<Answers>) = (Arc::clone(&requests), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
                std::thread::spawn(move || serve(&stream, &seen, &*answers));
            }
        });
        Self { directory, requests }
    }

    /// The recorded answers of a real engine.
    pub(crate) fn recorded(name: &'static str) -> Self {
        Self::new(move |path| recorded(name, path))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    pub(crate) fn address(&self) -> EngineAddress {
        EngineAddress::Unix(self.socket())
    }

    /// The requests so far, `GET /v1.41/info` and the like, sorted.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = self.requests.lock().unwrap().clone();
        requests.sort();
        requests
    }

    pub(crate) async fn snapshot(&self) -> Result<Inventory, EngineError> {
        Engine::connect(&self.address(), &options()).await?.snapshot().await
    }
}

/// Impatient, for the tests of engines that hang.
pub(crate) fn options() -> ConnectOptions {
    ConnectOptions { patience: Duration::from_secs(2), ..ConnectOptions::default() }
}

/// What the engine `name` answered when it was recorded.
pub(crate) fn recorded(name: &str, path: &str) -> Reply {
    let read = |file: &str| {
        let path = format!("{}/tests/fixtures/engines/{name}/{file}.json", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let one = |file: &str, key: &str, value: &str| {
        let all: Vec<serde_json::Value> = serde_json::from_str(&read(file)).unwrap();
        let found = all.into_iter().find(|one| one[key] == value);
        found.map_or(Reply::Status(404, r#"{"message":"No such thing"}"#), |one| Reply::Json(one.to_string()))
    };
    match path {
        "/version" | "/info" | "/networks" => Reply::Json(read(&path[1..])),
        "/containers/json?all=1" => Reply::Json(read("containers")),
        _ => match path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json")) {
            Some(id) => one("containers-inspect", "Id", id),
            None => one("networks-inspect", "Name", path.trim_start_matches("/networks/")),
        },
    }
}

fn serve(stream: &UnixStream, seen: &Mutex<Vec<String>>, answers: &Answers) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let request = head[0].trim_end_matches(" HTTP/1.1").to_owned();
        seen.lock().unwrap().push(request.clone());
        let path = request.trim_start_matches("GET ");
        let bare =
            path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|slash| &rest[slash..])).unwrap_or(path);
        // A client that has given up is no failure of the engine.
        if answer(stream, &answers(bare)).is_err() {
            return;
        }
    }
}

fn answer(mut stream: &UnixStream, reply: &Reply) -> std::io::Result<()> {
    let (status, length, body) = match reply {
        Reply::Json(body) => (200, body.len(), body.as_str()),
        Reply::Status(status, body) => (*status, body.len(), *body),
        Reply::Torn(body) => (200, body.len() + 100, *body),
        Reply::HangInBody => (200, 100, "["),
        Reply::Hang => {
            std::thread::sleep(Duration::from_secs(60));
            return Ok(());
        }
    };
    write!(
        stream,
        "HTTP/1.1 {status} Such\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    match reply {
        Reply::Torn(_) => stream.shutdown(std::net::Shutdown::Both),
        Reply::HangInBody => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        _ => Ok(()),
    }
}
