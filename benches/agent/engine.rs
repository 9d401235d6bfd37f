//! An engine of any number of containers: the answers of Docker 28.5 over a unix socket, and events on command.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The one network of all containers, and its bridge.
const NETWORK: &str = "44b0b4e32b456bbe3b50ba77d41209d3dea7edf3ba59b8c131c4be92ca91350d";
/// As Docker names it after the network's ID.
pub(crate) const BRIDGE: &str = "br-44b0b4e32b45";
/// The bridge's address and the length of its prefix.
pub(crate) const GATEWAY: (&str, u8) = ("10.200.0.1", 16);

/// The address of the first container.
pub(crate) const FIRST: [u8; 4] = [10, 200, 1, 1];

/// The engine's containers, and who follows its events.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Mutex<World>>);

struct World {
    /// The address of each, by number; `None` while it is stopped.
    addresses: Vec<Option<Ipv4Addr>>,
    /// How many addresses were given away: none is given twice.
    given: u32,
    followers: Vec<UnixStream>,
    requests: usize,
}

impl Engine {
    /// Listens on `socket`, with `count` running containers.
    pub(crate) fn start(socket: &Path, count: usize) -> std::io::Result<Self> {
        let mut world = World { addresses: Vec::new(), given: 0, followers: Vec::new(), requests: 0 };
        for _ in 0..count {
            let address = world.next_address();
            world.addresses.push(Some(address));
        }
        let engine = Self(Arc::new(Mutex::new(world)));
        let listener = UnixListener::bind(socket)?;
        let served = engine.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let engine = served.clone();
                // A client that has given up is no failure of the engine.
                thread::spawn(move || engine.converse(stream));
            }
        });
        Ok(engine)
    }

    fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> usize {
        self.with(|world| world.requests)
    }

    /// Waits until somebody follows the events.
    pub(crate) fn wait_for_follower(&self) -> bool {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if self.with(|world| !world.followers.is_empty()) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// One container restarts: it stops, and `pause` later it is back with another address. The moment at which the
    /// event of its start was written, and the address.
    pub(crate) fn restart(&self, number: usize, pause: Duration) -> (Instant, Ipv4Addr) {
        self.with(|world| {
            world.addresses[number] = None;
            for (kind, action) in [("container", "kill"), ("network", "disconnect"), ("container", "die")] {
                world.say(kind, action, number);
            }
        });
        thread::sleep(pause);
        self.with(|world| {
            let address = world.next_address();
            world.addresses[number] = Some(address);
            world.say("network", "connect", number);
            let written = Instant::now();
            world.say("container", "start", number);
            (written, address)
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
                self.with(|world| world.followers.push(stream));
                return Some(());
            }
            let answer = self.with(|world| {
                world.requests += 1;
                world.answer(bare)
            });
            let (status, body) = answer.map_or((404, json!({ "message": "no such thing" })), |body| (200, body));
            let body = body.to_string();
            let head = "Such\r\nContent-Type: application/json\r\nContent-Length:";
            write!(stream, "HTTP/1.1 {status} {head} {}\r\n\r\n{body}", body.len()).ok()?;
        }
    }
}

impl World {
    fn next_address(&mut self) -> Ipv4Addr {
        self.given += 1;
        Ipv4Addr::from(u32::from(Ipv4Addr::from(FIRST)) + self.given - 1)
    }

    fn say(&mut self, kind: &str, action: &str, number: usize) {
        let about = if kind == "network" { NETWORK.to_owned() } else { id(number) };
        let name = if kind == "network" { "shop".to_owned() } else { format!("c{number}") };
        let event = json!({
            "Type": kind, "Action": action, "scope": "local",
            "Actor": { "ID": about, "Attributes": { "name": name, "image": "demo:1", "container": id(number) } },
        });
        let line = format!("{event}\n");
        self.followers.retain_mut(|stream| write!(stream, "{:x}\r\n{line}\r\n", line.len()).is_ok());
    }

    fn answer(&self, path: &str) -> Option<Value> {
        match path {
            "/version" => Some(json!({ "Version": "28.5.2", "ApiVersion": "1.51", "MinAPIVersion": "1.24" })),
            "/info" => Some(json!({
                "Name": "bench", "OperatingSystem": "Debian GNU/Linux", "SecurityOptions": ["name=cgroupns"],
                "FirewallBackend": { "Driver": "iptables" },
            })),
            "/networks" => Some(json!([{
                "Name": "shop", "Id": NETWORK, "Created": "2026-11-22T13:52:41.533166683Z", "Scope": "local",
                "Driver": "bridge", "EnableIPv4": true, "EnableIPv6": false,
                "IPAM": { "Driver": "default", "Options": null, "Config": [{ "Subnet": "10.200.0.0/16", "Gateway": GATEWAY.0 }] },
                "Internal": false, "Attachable": false, "Ingress": false, "ConfigFrom": { "Network": "" },
                "ConfigOnly": false, "Containers": {}, "Options": {}, "Labels": {},
            }])),
            "/containers/json?all=1" => Some((0..self.addresses.len()).map(|number| self.summary(number)).collect()),
            _ => {
                let number = path.strip_prefix("/containers/")?.strip_suffix("/json")?;
                let number = usize::from_str_radix(number.get(..12)?, 16)
                    .ok()
                    .filter(|number| *number < self.addresses.len())?;
                Some(json!({
                    "Id": id(number), "Config": { "ExposedPorts": { "80/tcp": {} } }, "State": { "Pid": 0 },
                    "HostConfig": { "PublishAllPorts": false, "PortBindings":
                        { "80/tcp": [{ "HostIp": "", "HostPort": host_port(number).to_string() }] } },
                }))
            }
        }
    }

    fn summary(&self, number: usize) -> Value {
        let address = self.addresses[number];
        let port = |ip: &str| json!({ "IP": ip, "PrivatePort": 80, "PublicPort": host_port(number), "Type": "tcp" });
        let (state, ports, text) = match address {
            Some(address) => ("running", vec![port("0.0.0.0"), port("::")], address.to_string()),
            None => ("exited", Vec::new(), String::new()),
        };
        let hex = format!("{number:032x}");
        json!({
            "Id": id(number), "Names": [format!("/c{number}")], "Image": "demo:1",
            "ImageID": format!("sha256:{hex}{hex}"), "Command": "httpd -f -p 80", "Created": 1_795_357_403,
            "Ports": ports, "State": state, "Status": "Up 2 minutes", "HostConfig": { "NetworkMode": "shop" },
            "Labels": {
                "com.docker.compose.project": "shop", "com.docker.compose.service": format!("s{}", number % 40),
                "com.docker.compose.container-number": number.to_string(), "com.docker.compose.version": "2.40.3",
            },
            "NetworkSettings": { "Networks": { "shop": {
                "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "02:42:ac:11:00:02",
                "DriverOpts": null, "GwPriority": 0, "NetworkID": NETWORK, "EndpointID": hex,
                "Gateway": GATEWAY.0, "IPAddress": text, "IPPrefixLen": 16, "IPv6Gateway": "",
                "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null,
            } } },
            "Mounts": [],
        })
    }
}

/// As an engine's, told from others by its first digits.
fn id(number: usize) -> String {
    format!("{number:012x}{number:052x}")
}

fn host_port(number: usize) -> usize {
    20_000 + number
}
