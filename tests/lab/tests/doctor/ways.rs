//! Ways that no rule here closes: networks of a driver that nobody here knows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::spawn;

use lab::LabError;

use crate::desk::{Desk, Result};
use crate::ends;

/// Where the packets of such a network pass is known to its driver alone.
pub(crate) fn a_driver_that_nobody_knows(desk: &Desk) -> Result {
    let socket = desk.lab.dir().join("wires.sock");
    drive(&socket)?;
    desk.shell("mkdir -p /etc/docker/plugins")?;
    desk.write("/etc/docker/plugins/wires.spec", &format!("unix://{}", socket.display()))?;
    let docker = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        desk.lab.docker(&words)?.require(line).map(drop)
    };
    docker("network create --driver wires --subnet 198.51.100.0/24 far")?;
    desk.lab.run("afar", &[], &[])?;
    desk.done("allow afar --from 203.0.113.10")?;
    docker("network connect far afar")?;
    let says = "afar has an address on the wires network far, which is not guarded";
    ends(desk, "UNSAFE", "ways-in", says, "docker network disconnect far afar, or guard it where its packets pass")?;
    docker("network disconnect bridge afar")?;
    let fix = "give afar a bridge network and publish its ports, or guard it where its packets pass";
    ends(desk, "UNSAFE", "ways-in", "afar is on the wires network far, where no rule made here reaches", fix)?;
    // A rule that says more than it can hold is not taken.
    desk.refused("allow afar --from 203.0.113.11", 1, &["afar is on the wires network far alone"])?;
    desk.done("rm --target afar")?;
    docker("rm -f afar")?;
    docker("network rm far")?;
    desk.shell("rm -r /etc/docker/plugins").map(drop)
}

/// A driver of networks that takes every order and lays no wire (moby: daemon/libnetwork/docs/remote.md).
fn drive(socket: &std::path::Path) -> Result {
    let listener = UnixListener::bind(socket).map_err(|source| LabError::Io { what: "a driver".to_owned(), source })?;
    spawn(move || {
        for stream in listener.incoming().flatten() {
            // An engine that goes away concerns nobody.
            spawn(move || serve(&stream));
        }
    });
    Ok(())
}

fn serve(stream: &UnixStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut order = String::new();
        if reader.read_line(&mut order)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            if header.trim().is_empty() {
                break;
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        let answer = match order.split(' ').nth(1).unwrap_or_default() {
            "/Plugin.Activate" => r#"{"Implements":["NetworkDriver"]}"#,
            "/NetworkDriver.GetCapabilities" => r#"{"Scope":"local"}"#,
            "/NetworkDriver.CreateEndpoint" => r#"{"Interface":{}}"#,
            _ => "{}",
        };
        write!(&*stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())?;
    }
}
