//! An engine that is made up, of any number of containers: the answers of Docker 28.5 over a unix socket, and events on
//! command. It answers at once, whatever the size.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::world::{BRIDGE, GATEWAY, GATEWAY_V6, SUBNET, SUBNET_V6, address, address_v6};

/// The engine's containers, and who follows its events.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Mutex<State>>);

struct State {
    /// Each container as the list has it.
    summaries: Vec<String>,
    /// The list, as it is answered.
    list: Arc<str>,
    /// How many addresses were given away: none is given twice.
    given: usize,
    followers: Vec<UnixStream>,
    requests: usize,
}

impl Engine {
    /// Serves `count` running containers at `socket` until the process ends.
    pub(crate) fn start(socket: &Path, count: usize) -> Result<Self> {
        let summaries: Vec<String> = (0..count).map(|number| summary(number, Some(number))).collect();
        let list = list(&summaries);
        let state = State { summaries, list, given: count, followers: Vec::new(), requests: 0 };
        let engine = Self(Arc::new(Mutex::new(state)));
        let listener = UnixListener::bind(socket)?;
        let served = engine.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(std::result::Result::ok) {
                let engine = served.clone();
                // A client that has given up is no failure of the engine.
                thread::spawn(move || engine.converse(stream));
            }
        });
        Ok(engine)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    /// Waits until somebody follows the events.
    pub(crate) fn wait_for_follower(&self) -> bool {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if self.with(|state| !state.followers.is_empty()) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// One container restarts: it stops, and `pause` later it is back with another address. The moment at which the
    /// event of its start was written, and the address.
    pub(crate) fn restart(&self, number: usize, pause: Duration) -> (Instant, Ipv4Addr) {
        self.with(|state| {
            state.place(number, None);
            for (kind, action) in [("container", "kill"), ("network", "disconnect"), ("container", "die")] {
                state.say(kind, action, number);
            }
        });
        thread::sleep(pause);
        self.with(|state| {
            let place = state.given;
            state.given += 1;
            state.place(number, Some(place));
            state.say("network", "connect", number);
            let written = Instant::now();
            state.say("container", "start", number);
            (written, address(place))
        })
    }

    fn converse(&self, stream: UnixStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let mut request = String::new();
            reader.read_line(&mut request).ok().filter(|length| *length > 0)?;
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
            }
            let path = request.split(' ').nth(1)?;
            let bare = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
            if bare.starts_with("/events") {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).ok()?;
                self.with(|state| state.followers.push(stream));
                return Some(());
            }
            let answer = self.with(|state| {
                state.requests += 1;
                state.answer(bare)
            });
            let (status, body) = answer.map_or((404, r#"{"message":"no such thing"}"#.into()), |body| (200, body));
            let head = "Such\r\nContent-Type: application/json\r\nContent-Length:";
            write!(stream, "HTTP/1.1 {status} {head} {}\r\n\r\n", body.len()).ok()?;
            stream.write_all(body.as_bytes()).ok()?;
        }
    }
}

impl State {
    fn place(&mut self, number: usize, place: Option<usize>) {
        self.summaries[number] = summary(number, place);
        self.list = list(&self.summaries);
    }

    fn say(&mut self, kind: &str, action: &str, number: usize) {
        let network = kind == "network";
        let about = if network { "ff".repeat(32) } else { id(number) };
        let name = if network { "shop".to_owned() } else { format!("c{number}") };
        let event = json!({
            "Type": kind, "Action": action, "scope": "local",
            "Actor": { "ID": about, "Attributes": { "name": name, "image": "demo:1", "container": id(number) } },
        });
        let line = format!("{event}\n");
        self.followers.retain_mut(|stream| write!(stream, "{:x}\r\n{line}\r\n", line.len()).is_ok());
    }

    fn answer(&self, path: &str) -> Option<Arc<str>> {
        match path {
            "/_ping" => Some("OK".into()),
            "/version" => Some(r#"{"Version":"28.5.2","ApiVersion":"1.51","MinAPIVersion":"1.24"}"#.into()),
            "/info" => Some(
                r#"{"Name":"bench","OperatingSystem":"Debian","SecurityOptions":[],"FirewallBackend":{"Driver":"iptables"}}"#
                    .into(),
            ),
            "/networks" => Some(networks().into()),
            "/containers/json?all=1" => Some(Arc::clone(&self.list)),
            _ => {
                let number = path.strip_prefix("/containers/")?.strip_suffix("/json")?;
                let number = usize::from_str_radix(number.get(..12)?, 16).ok();
                let number = number.filter(|number| *number < self.summaries.len())?;
                let binding = json!([{ "HostIp": "", "HostPort": host_port(number).to_string() }]);
                let inspected = json!({
                    "Id": id(number), "Config": { "ExposedPorts": { "80/tcp": {} } }, "State": { "Pid": 0 },
                    "HostConfig": { "PublishAllPorts": false, "PortBindings": { "80/tcp": binding } },
                });
                Some(inspected.to_string().into())
            }
        }
    }
}

/// As an engine's, told from others by its first digits.
pub(crate) fn id(number: usize) -> String {
    format!("{number:012x}{number:052x}")
}

/// The host's port of a container.
pub(crate) fn host_port(number: usize) -> usize {
    20_000 + number
}

fn networks() -> String {
    format!(
        r#"[{{"Id":"{}","Name":"shop","Driver":"bridge","Scope":"local","EnableIPv6":true,"Internal":false,
        "IPAM":{{"Config":[{{"Subnet":"{SUBNET}","Gateway":"{GATEWAY}"}},
        {{"Subnet":"{SUBNET_V6}","Gateway":"{GATEWAY_V6}"}}]}},
        "Options":{{"com.docker.network.bridge.name":"{BRIDGE}"}}}}]"#,
        "ff".repeat(32)
    )
}

fn list(summaries: &[String]) -> Arc<str> {
    format!("[{}]", summaries.join(",")).into()
}

/// Container `number`, at the address of that place unless it is stopped.
fn summary(number: usize, place: Option<usize>) -> String {
    let (mut state, mut v4, mut v6, mut ports) = ("exited", String::new(), String::new(), String::new());
    if let Some(place) = place {
        (state, v4, v6) = ("running", address(place).to_string(), address_v6(place).to_string());
        for (ip, comma) in [("0.0.0.0", ","), ("::", "")] {
            let port = host_port(number);
            let _ = write!(ports, r#"{{"IP":"{ip}","PrivatePort":80,"PublicPort":{port},"Type":"tcp"}}{comma}"#);
        }
    }
    format!(
        r#"{{"Id":"{id}","Names":["/c{number}"],"Image":"demo:1","ImageID":"sha256:{id}","Command":"httpd -f -p 80",
        "Created":1795357403,"State":"{state}","Status":"Up 2 minutes","Mounts":[],
        "Labels":{{"com.docker.compose.project":"shop","com.docker.compose.service":"s{number}",
        "com.docker.compose.container-number":"1","com.docker.compose.version":"2.40.3"}},
        "HostConfig":{{"NetworkMode":"shop"}},"Ports":[{ports}],
        "NetworkSettings":{{"Networks":{{"shop":{{"NetworkID":"{network}","IPAddress":"{v4}","IPPrefixLen":14,
        "Gateway":"{GATEWAY}","GlobalIPv6Address":"{v6}","GlobalIPv6PrefixLen":64,"IPv6Gateway":"{GATEWAY_V6}",
        "EndpointID":"{id}","MacAddress":"02:42:ac:11:00:02","DNSNames":null}}}}}}}}"#,
        id = id(number),
        network = "ff".repeat(32),
    )
}
