//! Odd traffic at a guarded container: fragments, ICMP, path MTU discovery, packets of no connection, untracked ones.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;
mod yard;

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use desk::{Desk, Result};
use lab::packet::{Packet, SCTP, TCP, UDP, flags};
use lab::{Client, Protocol};
use socket2::{Domain, Socket, Type};
use yard::{FRIENDS, Way, Yard, echo, own};

on_both_ends!(all_of_it, "odd");

fn all_of_it(desk: &Desk) -> Result {
    let yard = Yard::make(desk)?;
    desk.lab.serve_as(Client::Stranger, &["tcp=7000", "udp=7000"])?;
    packets_of_no_connection(&yard)?;
    fragments(&yard)?;
    in_dockers_own_chain(&yard)?;
    associations(&yard)?;
    pings(&yard)?;
    neighbours(&yard)?;
    errors_about_connections(&yard)?;
    path_mtu(&yard)?;
    untracked(&yard)
}

/// The TCP packets that open nothing, and the one that does.
const KINDS: [(&str, u8); 6] = [
    ("SYN", flags::SYN),
    ("ACK", flags::ACK),
    ("RST", flags::RST),
    ("FIN", flags::FIN),
    ("XMAS", flags::FIN | flags::PSH | flags::URG),
    ("SYN/ACK", flags::SYN | flags::ACK),
];

/// The kinds of TCP packets that reach the container from a client by one way. The client's own port is another one each
/// time, so that no packet belongs to the connection of an earlier one.
fn arriving(yard: &Yard<'_>, client: Client, way: Way, ports: &mut u16) -> Result<Vec<&'static str>> {
    let from = own(client, way.to);
    let tap = yard.lab.tap(&yard.web)?;
    let packets = KINDS.map(|(_, flags)| {
        *ports += 1;
        Packet::tcp(SocketAddr::new(from, *ports), SocketAddr::new(way.to, way.echo), flags)
    });
    yard.lab.inject(&yard.place(client), &packets)?;
    let seen = tap.take_from(from);
    let arrived =
        |packet: &Packet| seen.iter().any(|seen| seen.protocol == TCP && seen.payload[..2] == packet.payload[..2]);
    Ok(KINDS.iter().zip(&packets).filter(|(_, packet)| arrived(packet)).map(|((name, _), _)| *name).collect())
}

fn packets_of_no_connection(yard: &Yard<'_>) -> Result {
    let mut ports = 20_000;
    for way in yard.ways().into_iter().filter(|way| way.direct) {
        let open = arriving(yard, Client::Stranger, way, &mut ports)?;
        assert_eq!(open, KINDS.map(|(name, _)| name), "unguarded, {way:?}");
    }
    yard.desk.done(&format!("allow web --from {FRIENDS}"))?;
    for way in yard.ways() {
        let none = arriving(yard, Client::Stranger, way, &mut ports)?;
        assert!(none.is_empty(), "guarded, {way:?}: {none:?}");
        let friends = arriving(yard, Client::Friend, way, &mut ports)?;
        if way.direct {
            assert_eq!(friends, KINDS.map(|(name, _)| name), "the friend's, {way:?}");
        }
    }
    Ok(())
}

/// A datagram of 4,000 bytes, by the kernel; and one cut by hand, whole, its head alone, its tail alone.
fn fragments(yard: &Yard<'_>) -> Result {
    fragments_by(yard)?;
    // Only the head of a datagram names its port.
    yard.desk.done("rm --target web")?;
    yard.desk.done(&format!("allow web --from {FRIENDS} --port 53/udp"))?;
    fragments_by(yard)?;
    yard.desk.done("rm --target web")?;
    yard.desk.done(&format!("allow web --from {FRIENDS}")).map(drop)
}

fn fragments_by(yard: &Yard<'_>) -> Result {
    const SIZE: usize = 4000;
    for (number, way) in (1_u16..).zip(yard.ways()) {
        let to = SocketAddr::new(way.to, way.udp);
        let came_back = echo(yard.lab, &yard.place(Client::Friend), to, SIZE)?;
        assert_eq!(came_back, Some(SIZE), "{way:?}");
        let tap = yard.lab.tap(&yard.web)?;
        assert_eq!(echo(yard.lab, &yard.place(Client::Stranger), to, SIZE)?, None, "{way:?}");
        let parts = |client: Client, part: u16| {
            let from = SocketAddr::new(own(client, way.to), 30_000 + number * 10 + part);
            Packet::udp(from, to, b"hello fragments, long enough to be cut").cut(number * 10 + part, 16)
        };
        let stranger = yard.place(Client::Stranger);
        yard.lab.inject(&stranger, &parts(Client::Stranger, 1))?;
        yard.lab.inject(&stranger, &parts(Client::Stranger, 2)[..1])?;
        yard.lab.inject(&stranger, &parts(Client::Stranger, 3)[1..])?;
        let seen = tap.take_from(own(Client::Stranger, way.to));
        assert!(seen.is_empty(), "{way:?}: {seen:?}");
        yard.lab.inject(&yard.place(Client::Friend), &parts(Client::Friend, 1))?;
        let seen = tap.take_from(own(Client::Friend, way.to));
        if yard.comes_to_web(way) {
            assert!(seen.iter().any(|packet| packet.protocol == UDP), "{way:?}: {seen:?}");
        }
    }
    Ok(())
}

/// The literal rules in DOCKER speak of published ports only; the backstop judges the rest.
fn in_dockers_own_chain(yard: &Yard<'_>) -> Result {
    yard.desk.done("apply --hook docker")?;
    let mut ports = 22_000;
    for way in yard.ways() {
        let none = arriving(yard, Client::Stranger, way, &mut ports)?;
        assert!(none.is_empty(), "{way:?}: {none:?}");
    }
    fragments_by(yard)?;
    yard.desk.done("apply --hook docker-user").map(drop)
}

/// SCTP, packet by packet, since not every kernel has its sockets: whose INIT to which of two ports reaches the container.
fn associations(yard: &Yard<'_>) -> Result {
    const PORTS: [u16; 2] = [9132, 9133];
    let mut own_port = 24_000;
    let mut reached = |client: Client| -> Result<Vec<Vec<u16>>> {
        let mut all = Vec::new();
        for way in yard.ways().into_iter().filter(|way| way.direct) {
            let from = own(client, way.to);
            let tap = yard.lab.tap(&yard.web)?;
            own_port += 1;
            let init = |port: u16| Packet::sctp(SocketAddr::new(from, own_port), SocketAddr::new(way.to, port));
            yard.lab.inject(&yard.place(client), &PORTS.map(init))?;
            let seen = tap.take_from(from);
            let came = |port: &u16| {
                let comes = |packet: &Packet| packet.protocol == SCTP && packet.payload[2..4] == port.to_be_bytes();
                seen.iter().any(comes)
            };
            all.push(PORTS.into_iter().filter(came).collect());
        }
        Ok(all)
    };
    let every = |ports: &[u16], all: &[Vec<u16>]| !all.is_empty() && all.iter().all(|seen| seen == ports);
    yard.desk.done("rm --target web")?;
    assert!(every(&PORTS, &reached(Client::Stranger)?), "unguarded");
    yard.desk.done(&format!("allow web --from {FRIENDS} --port 9132/sctp"))?;
    let (friend, stranger) = (reached(Client::Friend)?, reached(Client::Stranger)?);
    assert!(every(&[9132], &friend) && every(&[], &stranger), "one port: {friend:?} {stranger:?}");
    yard.desk.done("rm --target web")?;
    yard.desk.done(&format!("allow web --from {FRIENDS}"))?;
    let (friend, stranger) = (reached(Client::Friend)?, reached(Client::Stranger)?);
    assert!(every(&PORTS, &friend) && every(&[], &stranger), "all ports: {friend:?} {stranger:?}");
    Ok(())
}

fn pings(yard: &Yard<'_>) -> Result {
    let answered = |friend: bool, stranger: bool| -> Result {
        for to in [yard.v4, yard.v6] {
            assert_eq!(yard.pings(Client::Friend, to)?, friend, "the friend's ping of {to}");
            assert_eq!(yard.pings(Client::Stranger, to)?, stranger, "the stranger's ping of {to}");
            assert!(yard.pings(Client::Host, to)?, "the host's ping of {to}");
        }
        Ok(())
    };
    answered(true, false)?;
    yard.desk.done("rm --target web")?;
    answered(true, true)?;
    yard.desk.done(&format!("allow web --from {FRIENDS} --port 80"))?;
    // A rule for a port says nothing of pings, so nobody's is allowed.
    answered(false, false)?;
    yard.desk.done("rm --target web")?;
    yard.desk.done(&format!("allow web --from {FRIENDS}")).map(drop)
}

/// Host and container find each other again after both forgot where the other is.
fn neighbours(yard: &Yard<'_>) -> Result {
    let gateway: IpAddr = "fd00:28::1".parse().expect("an address");
    for to in [yard.v4, yard.v6] {
        yard.desk.shell(
            "ip neigh flush all; ip -6 neigh flush all
             nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n sh -c 'ip neigh flush all; ip -6 neigh flush all'",
        )?;
        assert!(yard.pings(Client::Host, to)?, "the host's ping of {to}");
    }
    yard.desk.shell(
        "ip -6 neigh flush all; nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n ip -6 neigh flush all",
    )?;
    assert!(yard.lab.docker(&["exec", "web", "ping6", "-c", "1", "-W", "2", &gateway.to_string()])?.success());
    Ok(())
}

/// A connection over one way from a port and, if one is given, an address of the client's own.
fn connect(yard: &Yard<'_>, place: &std::path::Path, from: SocketAddr, to: SocketAddr) -> Result<TcpStream> {
    yard.lab.within(place, || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
        socket.connect_timeout(&to.into(), Duration::from_secs(2))?;
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}

/// Errors about connections that do not exist come from nobody. One about a friend's own comes from anybody, by design:
/// routers on the way have to be heard, and nobody can list them.
fn errors_about_connections(yard: &Yard<'_>) -> Result {
    let stranger = yard.place(Client::Stranger);
    for (number, way) in (0_u16..).zip(yard.ways()) {
        let tap = yard.lab.tap(&yard.web)?;
        let (from, friend) = (own(Client::Stranger, way.to), own(Client::Friend, way.to));
        let door = SocketAddr::new(way.to, way.echo);
        let error = |port: u16| {
            let about = Packet::tcp(door, SocketAddr::new(friend, port), flags::ACK);
            Packet::too_big(from, way.to, 1500, &about)
        };
        let port = 41_000 + number;
        yard.lab.inject(&stranger, &[error(port)])?;
        let seen = tap.take_from(from);
        assert!(seen.is_empty(), "of no connection, {way:?}: {seen:?}");

        let mut session = connect(yard, &yard.place(Client::Friend), SocketAddr::new(friend, port), door)?;
        yard.lab.inject(&stranger, &[error(port)])?;
        let seen = tap.take_from(from);
        if yard.comes_to_web(way) {
            assert!(seen.len() == 1 && seen[0].is_too_big(), "of the friend's, {way:?}: {seen:?}");
        }
        let mut greeting = [0; 5];
        session.read_exact(&mut greeting).and_then(|()| session.write_all(b"on")).expect("the session goes on");
    }
    Ok(())
}

/// A net behind the stranger, who is its router and has a narrow link to it. The rules name the net and not the router.
const BEHIND: &str = r"
set -e
ip netns add far
ip link add far type veth peer name eth0 netns far
ip addr add 198.51.100.1/24 dev far
ip addr add fd00:2::1/64 dev far nodad
ip link set far up
ip -n far link set lo up
ip -n far link set eth0 up
for last in 10 11 12 13 14 15 16 17; do
    ip -n far addr add 198.51.100.$last/24 dev eth0
    ip -n far addr add fd00:2::$last/64 dev eth0 nodad
done
ip -n far route add default via 198.51.100.1
ip -n far route add default via fd00:2::1
ip route replace 198.51.100.0/24 dev far mtu lock 1400
echo 1400 > /proc/sys/net/ipv6/conf/far/mtu
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
ip -6 route replace default via fd00:1::1
";

/// 128 kB there and back in lots of 16 kB.
fn transfer(stream: &mut TcpStream) -> io::Result<()> {
    let lot = vec![b'x'; 16 * 1024];
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != [b'\n'] {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    let mut back = vec![0; lot.len()];
    for _ in 0..8 {
        stream.write_all(&lot)?;
        stream.read_exact(&mut back)?;
    }
    Ok(())
}

/// What the router says of packets that are too big reaches the container, whatever ports the rule names, and a large
/// transfer ends.
fn path_mtu(yard: &Yard<'_>) -> Result {
    yard.desk.shell("ip route add 198.51.100.0/24 via 203.0.113.66; ip -6 route add fd00:2::/64 via fd00:1::66")?;
    yard.lab.exec_as(Client::Stranger, &["sh", "-c", BEHIND])?.require("the net behind the stranger")?;
    let far = yard.lab.path("/run/netns/far");
    let mut last = 10;
    for ports in ["", " --port 80"] {
        yard.desk.done("rm --target web")?;
        yard.desk.done(&format!("allow web --from 198.51.100.0/24,fd00:2::/64{ports}"))?;
        for way in yard.ways() {
            // The container remembers the path to an address: another one each time.
            let from = if way.to.is_ipv4() { format!("198.51.100.{last}:0") } else { format!("[fd00:2::{last}]:0") };
            let from = from.parse().expect("an address");
            last += 1;
            let tap = yard.lab.tap(&yard.web)?;
            let mut stream = connect(yard, &far, from, SocketAddr::new(way.to, way.echo))?;
            let transferred = transfer(&mut stream);
            assert!(transferred.is_ok(), "{way:?}{ports}: {transferred:?}");
            // By IPv6 the router speaks from any of its addresses.
            if yard.comes_to_web(way) {
                assert!(tap.take().iter().any(Packet::is_too_big), "{way:?}{ports}: the transfer met no narrow link");
            }
        }
    }
    yard.desk.done("rm --target web")?;
    yard.desk.done(&format!("allow web --from {FRIENDS}")).map(drop)
}

/// Packets that the connection table was told to leave out: nothing tells an answer from a call, so the rules alone
/// decide, both ways.
fn untracked(yard: &Yard<'_>) -> Result {
    let leave_out = |flag: &str| {
        yard.desk.shell(&format!(
            "for side in -s -d; do iptables -t raw {flag} PREROUTING $side {} -j CT --notrack
             ip6tables -t raw {flag} PREROUTING $side {} -j CT --notrack; done",
            yard.v4, yard.v6
        ))
    };
    let out = |to: IpAddr| yard.lab.from_container("web", Protocol::Tcp, to, 7000);
    leave_out("-I")?;
    for to in [yard.v4, yard.v6] {
        assert!(yard.lab.tcp(Client::Friend, to, 80)?.reached(), "untracked, the friend to {to}");
        assert!(yard.lab.udp(Client::Friend, to, 53)?.reached(), "untracked, the friend to {to}");
        assert!(yard.pings(Client::Friend, to)?, "untracked, the friend's ping of {to}");
        assert!(!yard.lab.tcp(Client::Stranger, to, 80)?.reached(), "untracked, the stranger to {to}");
        assert!(!yard.lab.udp(Client::Stranger, to, 53)?.reached(), "untracked, the stranger to {to}");
        assert!(!yard.pings(Client::Stranger, to)?, "untracked, the stranger's ping of {to}");
        assert!(yard.lab.tcp(Client::Host, to, 80)?.reached(), "untracked, the host to {to}");
        // As documented: with a stranger the container cannot start anything untracked.
        assert_eq!(out(own(Client::Stranger, to))?, "silent");
    }
    yard.desk.done("rm --target web")?;
    for to in [Client::Stranger.v4(), Client::Stranger.v6()] {
        assert!(out(to)?.starts_with("peer stranger"), "untracked and unguarded, to {to}");
    }
    yard.desk.done(&format!("allow web --from {FRIENDS}"))?;
    leave_out("-D")?;
    for to in [Client::Stranger.v4(), Client::Stranger.v6()] {
        assert!(out(to)?.starts_with("peer stranger"), "tracked again, to {to}");
    }
    Ok(())
}
