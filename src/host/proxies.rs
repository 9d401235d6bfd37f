//! docker-proxy's processes: which port of the host each leads to which container.

use std::fs;
use std::net::IpAddr;

use crate::net::Protocol;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address and port that it listens on.
    pub from: (IpAddr, u16),
    /// The container's that it calls.
    pub to: (IpAddr, u16),
}

/// All that this process can see.
pub fn read() -> Vec<Proxy> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let lines = entries.flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter_map(|line| proxy(&line)).collect()
}

/// `docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80`, with a zero byte
/// after each word (moby `cmd/docker-proxy`, the same since 1.7).
fn proxy(line: &[u8]) -> Option<Proxy> {
    let words: Vec<&str> = line.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
    if !words.first()?.ends_with("docker-proxy") {
        return None;
    }
    let value = |name: &str| {
        let at = words.iter().position(|word| word.trim_start_matches('-') == name)?;
        words.get(at + 1).copied()
    };
    Some(Proxy {
        protocol: value("proto")?.parse().ok()?,
        from: (value("host-ip")?.parse().ok()?, value("host-port")?.parse().ok()?),
        to: (value("container-ip")?.parse().ok()?, value("container-port")?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_words() {
        let line =
            b"/usr/bin/docker-proxy\0-proto\0udp\0-host-ip\0::\0-host-port\x005353\0-container-ip\x00172.17.0.2\0\
                     -container-port\x0053\0-use-listen-fd\0";
        let found = proxy(line).unwrap();
        assert_eq!(found.protocol, Protocol::Udp);
        assert_eq!(found.from, ("::".parse().unwrap(), 5353));
        assert_eq!(found.to, ("172.17.0.2".parse().unwrap(), 53));
        assert_eq!(proxy(b"/usr/bin/dockerd\0-H\0fd://\0"), None);
    }
}
