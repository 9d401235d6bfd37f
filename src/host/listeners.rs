//! Sockets on which this host's processes wait for others, and whose they are.
//!
//! The sockets come from the tables of this network namespace, `/proc/thread-self/net/{tcp,tcp6,udp,udp6}`; a process
//! that holds one has a link `socket:[INODE]` in `/proc/PID/fd`; its control group names the container, with every driver
//! and both versions (`/docker/ID`, `/system.slice/docker-ID.scope`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::net::Protocol;

/// The longest list of processes that is kept of one socket; servers fork into many.
const PROCESSES_MAX: usize = 4;

/// A file of the kernel's that cannot be read.
#[derive(Debug, Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct ListenersError {
    path: PathBuf,
    source: io::Error,
}

/// One socket that waits: of TCP one that listens, of UDP one that takes datagrams from anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it waits; unspecified means everywhere, and an IPv6 one may then take IPv4 too.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Who holds it, at most four; empty where the kernel itself does or that process cannot be seen.
    pub processes: Vec<Process>,
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// What it calls itself; anything at all may stand there.
    pub name: String,
    cgroup: String,
}

impl Process {
    /// Whether it runs in the container of that full ID.
    pub fn is_of(&self, container: &str) -> bool {
        !container.is_empty() && self.cgroup.contains(container)
    }
}

/// All of this network namespace, sorted by protocol, port and address.
pub fn read() -> Result<Vec<Listener>, ListenersError> {
    read_from(Path::new("/proc"))
}

fn read_from(proc: &Path) -> Result<Vec<Listener>, ListenersError> {
    let mut waiting: BTreeMap<u64, Listener> = BTreeMap::new();
    for (name, protocol) in
        [("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp), ("udp", Protocol::Udp), ("udp6", Protocol::Udp)]
    {
        let path = proc.join("thread-self/net").join(name);
        match fs::read_to_string(&path) {
            Ok(text) => waiting.extend(text.lines().filter_map(|line| socket(line, protocol))),
            // A kernel without IPv6 has no such file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.ends_with('6') => {}
            Err(source) => return Err(ListenersError { path, source }),
        }
    }
    let entries = fs::read_dir(proc).map_err(|source| ListenersError { path: proc.to_owned(), source })?;
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        hold(&entry.path(), pid, &mut waiting);
    }
    let mut all: Vec<Listener> = waiting.into_values().collect();
    all.sort_by_key(|listener| (listener.protocol, listener.port, listener.address));
    Ok(all)
}

/// Notes which sockets a process holds. One that ends meanwhile holds nothing.
fn hold(process: &Path, pid: u32, waiting: &mut BTreeMap<u64, Listener>) {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return };
    let mut known: Option<Process> = None;
    for file in files.flatten() {
        let Ok(target) = fs::read_link(file.path()) else { continue };
        let Some(listener) = inode(&target).and_then(|inode| waiting.get_mut(&inode)) else { continue };
        let own = known.get_or_insert_with(|| {
            let text = |name: &str| fs::read(process.join(name)).unwrap_or_default();
            let said = |name: &str| String::from_utf8_lossy(&text(name)).trim_end_matches('\n').to_owned();
            Process { pid, name: said("comm"), cgroup: said("cgroup") }
        });
        if listener.processes.len() < PROCESSES_MAX && !listener.processes.contains(own) {
            listener.processes.push(own.clone());
        }
    }
}

/// `socket:[12345]`.
fn inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A line of `/proc/net/tcp` and the like (kernel `Documentation/networking/proc_net_tcp.rst`): number, own address, other
/// address, state, four more, inode. State 0A is TCP's LISTEN; 07 is that of a UDP socket without a partner.
fn socket(line: &str, protocol: Protocol) -> Option<(u64, Listener)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let waits = match protocol {
        Protocol::Tcp => "0A",
        _ => "07",
    };
    if *fields.get(3)? != waits {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok().filter(|port| *port != 0)?;
    let listener = Listener { protocol, address: self::address(address)?, port, processes: Vec::new() };
    Some((fields.get(9)?.parse().ok()?, listener))
}

/// Words of 32 bits in the machine's own order, each in hexadecimal.
fn address(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(digits.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            let v6 = Ipv6Addr::from(bytes);
            Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::fs::symlink;

    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:238C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000 100 0 0 10 0
   1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0000 100 0 0 10 0
   2: 0100007F:0016 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0000 100 0 0 10 0
";
    const UDP6: &str = "  sl  local_address                         remote_address                        st
 5: 010000FD000000000000000010000000:14E9 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 104 2 0 0
 6: 00000000000000000000000000000000:0035 010000FD000000000000000010000000:0035 01 0:0 00:0 0 0 0 105 2 0 0
";

    fn process(proc: &Path, pid: u32, name: &str, cgroup: &str, inodes: &[u64]) {
        let own = proc.join(pid.to_string());
        fs::create_dir_all(own.join("fd")).unwrap();
        fs::write(own.join("comm"), format!("{name}\n")).unwrap();
        fs::write(own.join("cgroup"), cgroup).unwrap();
        for (number, inode) in inodes.iter().enumerate() {
            symlink(format!("socket:[{inode}]"), own.join("fd").join(number.to_string())).unwrap();
        }
    }

    #[test]
    fn sockets_find_their_processes() {
        let id = "0123456789abcdef".repeat(4);
        let directory = tempfile::tempdir().unwrap();
        let proc = directory.path();
        let net = proc.join("thread-self/net");
        fs::create_dir_all(&net).unwrap();
        for (name, text) in [("tcp", TCP), ("udp", ""), ("udp6", UDP6)] {
            fs::write(net.join(name), text).unwrap();
        }
        process(proc, 7, "app\u{1b}[31m", &format!("0::/system.slice/docker-{id}.scope\n"), &[101, 104]);
        process(proc, 8, "sshd", "0::/system.slice/ssh.service\n", &[102, 103, 999]);
        process(proc, 9, "helper", &format!("12:pids:/docker/{id}\n1:name=systemd:/docker/{id}\n"), &[101]);

        let found = read_from(proc).unwrap();
        let text: Vec<String> = found
            .iter()
            .map(|one| {
                let whose: Vec<String> = one
                    .processes
                    .iter()
                    .map(|process| format!("{} {} {}", process.pid, process.name, process.is_of(&id)))
                    .collect();
                format!("{} {} {}: {}", one.protocol, one.address, one.port, whose.join(", "))
            })
            .collect();
        assert_eq!(text.len(), 3, "{text:?}");
        assert_eq!(text[0], "tcp 127.0.0.1 22: 8 sshd false");
        assert!(text[1].starts_with("tcp 0.0.0.0 9100: ") && text[1].contains("7 app\u{1b}[31m true"), "{text:?}");
        assert!(text[1].contains("9 helper true"), "{text:?}");
        assert_eq!(text[2], "udp fd00:1::10 5353: 7 app\u{1b}[31m true");
        assert!(!found[0].processes[0].is_of(""));
    }

    #[test]
    fn finds_its_own() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let found = read().unwrap();
        for (protocol, address) in
            [(Protocol::Tcp, tcp.local_addr().unwrap()), (Protocol::Udp, udp.local_addr().unwrap())]
        {
            let own = found
                .iter()
                .find(|one| (one.protocol, one.address, one.port) == (protocol, address.ip(), address.port()));
            let processes = &own.unwrap_or_else(|| panic!("{protocol} {address}: {found:?}")).processes;
            assert!(processes.iter().any(|process| process.pid == std::process::id()), "{processes:?}");
        }
    }

    #[test]
    fn what_is_no_socket_is_passed_over() {
        for line in
            ["", "x", "0: zz:1 a 0A", "0: 00000000:0000 00000000:0000 0A 0 0 0 0 0 7", "0: 00:10 0 0A 0 0 0 0 0 7"]
        {
            assert_eq!(socket(line, Protocol::Tcp), None, "{line:?}");
        }
    }
}
