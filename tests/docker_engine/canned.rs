//! Canned answers over a unix socket, as an engine gives them: made up, or recorded from a real one.
//!
//! On std and `serde_json` alone, for the lab replays an engine with it too.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

/// Answers whoever connects, and writes down what was asked, until the process ends.
pub(crate) fn serve(listener: UnixListener, seen: Arc<Mutex<Vec<String>>>, answers: Arc<Answers>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
            std::thread::spawn(move || converse(&stream, &seen, &*answers));
        }
    });
}

/// What the engine `name` answered when it was recorded, from the fixtures in `engines`.
pub(crate) fn recorded(engines: &Path, name: &str, path: &str) -> Reply {
    let read = |file: &str| std::fs::read_to_string(engines.join(name).join(file).with_extension("json")).unwrap();
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

fn converse(stream: &UnixStream, seen: &Mutex<Vec<String>>, answers: &Answers) {
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
