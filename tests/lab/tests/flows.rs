//! Flows across changes of the rules: a client that keeps its port, datagrams without end, what containers start
//! themselves.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;
mod yard;

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use desk::{Desk, Result};
use lab::packet::UDP;
use lab::{Client, Lab, Probe, Protocol};
use socket2::{Domain, Socket, Type};
use yard::{FRIENDS, Way, Yard, own};

on_both_ends!(all_of_it, "flows");

fn all_of_it(desk: &Desk) -> Result {
    let yard = Yard::make(desk)?;
    desk.lab.run("near", &["--network", "yard"], &[])?;
    desk.lab.run("away", &["-p", "8090:80"], &[])?;
    desk.lab.serve_as(Client::Stranger, &["tcp=7000", "udp=7000"])?;
    what_containers_start(&yard)?;
    a_flow_from_before_the_rule(&yard)?;
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 fd00:1::10")?;
    desk.done("allow web --from ipfriends")?;
    a_tcp_client_that_keeps_its_port(&yard)?;
    a_udp_client_that_keeps_its_port(&yard)?;
    no_datagram_is_lost(&yard)
}

/// The same attempts, and what came of each.
fn inner_life(yard: &Yard<'_>) -> Result<Vec<String>> {
    let lab = yard.lab;
    forget_neighbours(yard)?;
    let near = lab.addresses("near", "yard")?;
    let away = lab.addresses("away", "bridge")?;
    let (web, near) = ([yard.v4, yard.v6], [near.v4, near.v6].map(|address| address.expect("an address")));
    let away = [away.v4, away.v6].map(|address| address.expect("an address"));
    let mut attempts: Vec<(&str, PathBuf, IpAddr, u16, u16)> = Vec::new();
    let host = [Client::Host.v4(), Client::Host.v6()];
    let outside = [Client::Stranger.v4(), Client::Stranger.v6()];
    for family in 0..2 {
        for (name, to, tcp, udp) in [
            ("web", outside[family], 7000, 7000),
            ("near", outside[family], 7000, 7000),
            // Refused, in UDP by an ICMP error.
            ("web", outside[family], 9, 9),
            ("web", near[family], 80, 53),
            ("near", web[family], 80, 53),
            ("near", host[family], 8080, 5353),
            ("web", host[family], 8080, 5353),
            ("away", web[family], 80, 53),
            ("away", host[family], 8080, 5353),
            ("web", away[family], 80, 53),
            ("web", host[family], 8090, 53),
        ] {
            attempts.push((name, lab.inside(name)?, to, tcp, udp));
        }
        attempts.push(("host", lab.place(Client::Host), web[family], 80, 53));
        attempts.push(("host", lab.place(Client::Host), host[family], 8080, 5353));
    }
    let probes: Vec<(PathBuf, Probe)> = attempts
        .iter()
        .flat_map(|(_, place, to, tcp, udp)| {
            [(Protocol::Tcp, *tcp), (Protocol::Udp, *udp)]
                .map(|(protocol, port)| (place.clone(), Probe::new(Client::Host, protocol, *to, port)))
        })
        .collect();
    let mut found: Vec<String> = Vec::new();
    for ((_, probe), answer) in probes.iter().zip(lab.probe_from(&probes)?) {
        // The peer's line also tells whom it saw: no address may be rewritten otherwise than before.
        found.push(format!("{} {} {}: {answer}", probe.protocol, probe.to, probe.port));
    }
    let pairs = [("web", outside), ("web", near), ("near", web), ("away", web), ("web", away)];
    let pings: Vec<_> = pairs.into_iter().flat_map(|(name, to)| to.map(|to| (name, to))).collect();
    found.extend(scope(|scope| {
        let ping = |name: &str, to: IpAddr| -> Result<String> {
            let ping = lab.docker(&["exec", name, "ping", "-c", "1", "-W", "1", &to.to_string()])?;
            Ok(format!("{name} pings {to}: {}", ping.success()))
        };
        let under_way: Vec<_> = pings.iter().map(|&(name, to)| scope.spawn(move || ping(name, to))).collect();
        under_way.into_iter().map(|ping| ping.join().expect("a ping")).collect::<Result<Vec<_>>>()
    })?);
    for to in web {
        found.push(format!("host pings {to}: {}", yard.pings(Client::Host, to)?));
    }
    Ok(found)
}

fn forget_neighbours(yard: &Yard<'_>) -> Result {
    let flush = "ip neigh flush all; ip -6 neigh flush all
         for pid in $(docker inspect -f '{{.State.Pid}}' web near away); do
             nsenter -t $pid -n ip neigh flush all; nsenter -t $pid -n ip -6 neigh flush all
         done";
    yard.desk.shell(flush).map(drop)
}

/// Each finds the other by itself: who is asked learns where the asker is, and would hide that its own question is lost.
fn neighbours_are_found(yard: &Yard<'_>) -> Result {
    let near = yard.lab.addresses("near", "yard")?;
    let near = [near.v4, near.v6].map(|address| address.expect("an address"));
    for (name, to) in [("web", near), ("near", [yard.v4, yard.v6])] {
        for to in to {
            forget_neighbours(yard)?;
            let ping = yard.lab.docker(&["exec", name, "ping", "-c", "1", "-W", "2", &to.to_string()])?;
            assert!(ping.success(), "{name} does not find {to}: {ping:?}");
        }
    }
    // As the kernel asks neighbours whether they are still there.
    assert!(answers_its_link(yard, "near", "web", yard.v6)?, "web does not answer near's link-local address");
    assert!(answers_its_link(yard, "web", "near", near[1])?, "near does not answer web's link-local address");
    Ok(())
}

/// Whether a container answers what another one on its bridge says from its link-local address.
fn answers_its_link(yard: &Yard<'_>, from: &str, who: &str, to: IpAddr) -> Result<bool> {
    let look = || yard.lab.docker(&["exec", from, "ip", "-6", "addr", "show", "dev", "eth0"])?.require("ip addr");
    let mut shown = look()?;
    // The kernel first makes sure that nobody else has the address.
    while shown.contains("tentative") {
        sleep(Duration::from_millis(100));
        shown = look()?;
    }
    let index = shown.split(':').next().and_then(|index| index.parse().ok()).expect("an interface's number");
    let mut words = shown.split(['/', ' ', '\n']);
    let own = words.find(|word| word.starts_with("fe80:")).and_then(|word| word.parse().ok()).expect("an address");
    let place = yard.lab.inside(from)?;
    let answer = yard.lab.within(&place, || {
        let socket = UdpSocket::bind(SocketAddrV6::new(own, 0, 0, index))?;
        socket.set_read_timeout(Some(Duration::from_millis(700)))?;
        socket.send_to(b"hello\n", (to, 53))?;
        let mut buffer = [0; 256];
        Ok(socket.recv(&mut buffer).map(|length| buffer[..length].to_vec()).unwrap_or_default())
    })?;
    Ok(String::from_utf8_lossy(&answer).starts_with(&format!("peer {who} from fe80:")))
}

/// What containers start, and what comes from containers and from the host, is answered after a rule as it was before,
/// whether the bridges show their packets to iptables or not.
fn what_containers_start(yard: &Yard<'_>) -> Result {
    for shown in ["1", "0"] {
        yard.desk.shell(&format!(
            "for family in ip ip6; do echo {shown} > /proc/sys/net/bridge/bridge-nf-call-${{family}}tables; done"
        ))?;
        neighbours_are_found(yard)?;
        let before = inner_life(yard)?;
        for line in
            ["7000: peer stranger", "udp 203.0.113.66 9: refused", "172.28.0.2 80: peer web", "fd00:28::2 53: peer web"]
        {
            assert!(before.iter().any(|one| one.contains(line)), "no {line:?} in {before:#?}");
        }
        yard.desk.done(&format!("allow web --from {FRIENDS}"))?;
        assert!(!yard.lab.tcp(Client::Stranger, yard.v4, 80)?.reached());
        neighbours_are_found(yard)?;
        assert_eq!(inner_life(yard)?, before, "bridge-nf-call-iptables {shown}");
        yard.desk.done("rm --target web")?;
    }
    Ok(())
}

/// A stranger's flow that was there before anybody was guarded ends both ways: nothing of it comes out, and nothing of it
/// comes in.
fn a_flow_from_before_the_rule(yard: &Yard<'_>) -> Result {
    let flows = yard.ways().into_iter().map(|way| yard.lab.hold_udp(Client::Stranger, way.to, way.udp));
    let flows: Vec<_> = flows.collect::<Result<_>>()?;
    for (flow, way) in flows.iter().zip(yard.ways()) {
        assert!(flow.received_during(Duration::from_millis(200)) > 20, "{way:?}");
    }
    yard.desk.done(&format!("allow web --from {FRIENDS}"))?;
    // What was already on its way may still arrive.
    let guarded = Instant::now() + Duration::from_millis(50);
    sleep(Duration::from_millis(100));
    let tap = yard.lab.tap(&yard.web)?;
    sleep(Duration::from_millis(900));
    for (flow, way) in flows.iter().zip(yard.ways()) {
        assert_eq!(flow.received_after(guarded), 0, "{way:?}");
    }
    // Each says `stop` as it ends, from its old port.
    drop(flows);
    let came: Vec<_> = tap.take().into_iter().filter(|packet| packet.protocol == UDP).collect();
    let inward = |packet: &&lab::packet::Packet| packet.to == yard.v4 || packet.to == yard.v6;
    assert_eq!(came.iter().filter(inward).count(), 0, "{came:?}");
    yard.desk.done("rm --target web").map(drop)
}

fn withdraw(yard: &Yard<'_>) -> Result {
    yard.desk.done("set del ipfriends 203.0.113.10 fd00:1::10").map(drop)
}

fn admit(yard: &Yard<'_>) -> Result {
    yard.desk.done("set add ipfriends 203.0.113.10 fd00:1::10").map(drop)
}

/// A socket of the friend's at a port that it has had before.
fn bound(lab: &Lab, kind: Type, way: Way, port: u16) -> Result<Socket> {
    let from = SocketAddr::new(own(Client::Friend, way.to), port);
    lab.within(&lab.place(Client::Friend), || {
        let socket = Socket::new(Domain::for_address(from), kind, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
        Ok(socket)
    })
}

/// Whether words come back within half a second; the peer's greeting is read as well as an echo.
fn answered(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 256];
    stream.write_all(b"still there?\n").and_then(|()| stream.read(&mut buffer)).is_ok_and(|length| length > 0)
}

fn a_tcp_client_that_keeps_its_port(yard: &Yard<'_>) -> Result {
    for (number, way) in (0..).zip(yard.ways()) {
        for round in 0..2 {
            let socket = bound(yard.lab, Type::STREAM, way, 45_000 + number)?;
            // The kernel still knows the connection that was cut, on both sides: the second round begins with that.
            let begun = Instant::now();
            let connected = socket.connect_timeout(&SocketAddr::new(way.to, way.echo).into(), Duration::from_secs(3));
            assert!(connected.is_ok(), "round {round}, {way:?}: {connected:?}");
            println!("round {round}, {way:?}: connected after {} ms", begun.elapsed().as_millis());
            socket.set_linger(Some(Duration::ZERO)).expect("linger");
            let mut stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
            assert!(answered(&mut stream) && answered(&mut stream), "round {round}, {way:?}");
            withdraw(yard)?;
            // Both lines of the greeting and its echo may have been under way.
            while stream.read(&mut [0; 256]).is_ok_and(|length| length > 0) {}
            assert!(!answered(&mut stream), "round {round}, {way:?}: goes on");
            drop(stream);
            admit(yard)?;
        }
    }
    Ok(())
}

fn a_udp_client_that_keeps_its_port(yard: &Yard<'_>) -> Result {
    for (number, way) in (0..).zip(yard.ways()) {
        let socket = bound(yard.lab, Type::DGRAM, way, 45_100 + number)?;
        socket.connect(&SocketAddr::new(way.to, way.udp).into()).expect("a datagram socket connects");
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        let answered = || socket.send(b"hello\n").and_then(|_| socket.recv(&mut [0; 256])).is_ok();
        for round in 0..2 {
            assert!(answered(), "round {round}, {way:?}");
            withdraw(yard)?;
            assert!(!answered(), "round {round}, {way:?}: goes on");
            admit(yard)?;
        }
        assert!(answered(), "{way:?}");
    }
    Ok(())
}

/// Numbered datagrams both ways, four milliseconds apart, while rules and sets that do not concern them change.
fn no_datagram_is_lost(yard: &Yard<'_>) -> Result {
    let commands = [
        "allow away --from 192.0.2.1 --port 80",
        "set add ipfriends 192.0.2.0/24",
        "apply",
        "deny away --from 192.0.2.7",
        "set create others",
        "set add others 192.0.2.9",
        "allow near --from others",
        "set del ipfriends 192.0.2.0/24",
        "deny web --from 192.0.2.66",
        "rm --target away",
        "apply",
    ];
    for (number, way) in (0..).zip(yard.ways()) {
        let socket = bound(yard.lab, Type::DGRAM, way, 45_200 + number)?;
        socket.set_recv_buffer_size(1 << 20).expect("a larger buffer");
        socket.connect(&SocketAddr::new(way.to, way.udp).into()).expect("a datagram socket connects");
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        let done = AtomicBool::new(false);
        let (sent, back) = scope(|scope| {
            // Every echo is a datagram in and a datagram out.
            let sender = scope.spawn(|| -> io::Result<u32> {
                let mut sent = 0;
                while !done.load(Ordering::Relaxed) {
                    socket.send(format!("echo {sent}").as_bytes())?;
                    sent += 1;
                    sleep(Duration::from_millis(4));
                }
                Ok(sent)
            });
            let receiver = scope.spawn(|| {
                let mut numbers = std::collections::BTreeSet::new();
                let mut buffer = [0; 64];
                loop {
                    match socket.recv(&mut buffer) {
                        Ok(length) => {
                            numbers.extend(String::from_utf8_lossy(&buffer[..length])[5..].parse::<u32>().ok());
                        }
                        Err(_) if done.load(Ordering::Relaxed) => return numbers,
                        Err(_) => {}
                    }
                }
            });
            let typed = commands.iter().try_for_each(|command| yard.desk.done(command).map(drop));
            done.store(true, Ordering::Relaxed);
            let sent = sender.join().expect("the sender").expect("every datagram is sent");
            let back = receiver.join().expect("the receiver");
            typed.map(|()| (sent, back))
        })?;
        println!("{way:?}: {sent} sent, {} back", back.len());
        assert!(sent > 100, "{way:?}: {sent} datagrams are too few to mean anything");
        let lost: Vec<u32> = (0..sent).filter(|number| !back.contains(number)).collect();
        assert!(lost.is_empty(), "{way:?}: of {sent} datagrams {lost:?} were lost");
        for command in ["rm --target near", "rm --target web", "allow web --from ipfriends", "set rm others"] {
            yard.desk.done(command)?;
        }
    }
    Ok(())
}
