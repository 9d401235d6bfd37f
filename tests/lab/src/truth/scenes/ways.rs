//! Unusual ways into a container: gateway modes, internal networks, several host ports, ranges.

use super::Scene;
use crate::truth::script::{Phase, live, phase};
use crate::truth::target::{Mode, NAMES, Network, Publish, STREAM, Target, WEB};
use crate::{Engine, Protocol};

/// This scene.
pub(crate) static WAYS: Scene = Scene {
    networks: NETWORKS,
    targets: TARGETS,
    callers: &[
        ("near", &["bridge"]),
        ("mate", &["named", "inside", "open", "routed", "alone", "trusting", "mixed", "six"]),
        ("far", &["red"]),
    ],
    held: &["many", "named", "inside", "open", "routed", "alone", "trusting", "mixed", "six"],
    script: SCRIPT,
};

const NETWORKS: &[Network] = &[
    Network::dual("red", "fd00:c0::/64"),
    Network::dual("named", "fd00:c1::/64").options(&["com.docker.network.bridge.name=br-mine"]),
    Network::dual("inside", "fd00:c2::/64").modes(Mode::Internal, Mode::Internal, Engine::V20_10),
    Network::dual("open", "fd00:c3::/64").modes(Mode::Unprotected, Mode::Unprotected, Engine::V28_5),
    Network::dual("routed", "fd00:c4::/64").modes(Mode::Routed, Mode::Routed, Engine::V28_5),
    Network::dual("alone", "fd00:c5::/64").modes(Mode::Isolated, Mode::Isolated, Engine::V28_5),
    Network::dual("trusting", "fd00:c6::/64").trusting(),
    Network::dual("mixed", "fd00:c7::/64").modes(Mode::Nat, Mode::Routed, Engine::V28_5),
    // docker-proxy takes IPv4 to a container that has none.
    Network::dual("six", "fd00:c8::/64").modes(Mode::None, Mode::Nat, Engine::V28_5),
];

const TARGETS: &[Target] = &[
    Target::usual("many", &["bridge"], 0).publishing(
        MANY,
        &[
            (Protocol::Tcp, WEB),
            (Protocol::Tcp, NAMES),
            (Protocol::Udp, NAMES),
            (Protocol::Tcp, 9000),
            (Protocol::Tcp, 9001),
            (Protocol::Tcp, 9002),
        ],
    ),
    Target::usual("named", &["named"], 100),
    Target::usual("inside", &["inside"], 200),
    Target::usual("open", &["open"], 300).tried(WITH_UNPUBLISHED),
    Target::usual("routed", &["routed"], 400).tried(WITH_UNPUBLISHED),
    Target::usual("alone", &["alone"], 500),
    Target::usual("trusting", &["trusting"], 600).tried(WITH_UNPUBLISHED),
    Target::usual("mixed", &["mixed"], 700),
    Target::usual("six", &["six"], 800),
    // No rule ever speaks of it.
    Target::usual("other", &["bridge"], 900).unmanaged(),
];

/// Two host ports for one, one number for two protocols, a range.
const MANY: &[Publish] = &[
    Publish::one(Protocol::Tcp, WEB, 8080),
    Publish::one(Protocol::Tcp, WEB, 8090),
    Publish::one(Protocol::Tcp, NAMES, 5353),
    Publish::one(Protocol::Udp, NAMES, 5353),
    Publish::one(Protocol::Tcp, STREAM, 8081),
    Publish { protocol: Protocol::Tcp, inner: 9000, host: 9000, count: 3 },
];

const WITH_UNPUBLISHED: &[(Protocol, u16)] = &[(Protocol::Tcp, WEB), (Protocol::Udp, NAMES), (Protocol::Tcp, 90)];

const SCRIPT: &[Phase] = &[
    phase(
        "friends are let in",
        &["set create ipfriends", "set add ipfriends 203.0.113.10 fd00:1::10", "allow ALL --from ipfriends"],
    ),
    live(
        "guests too",
        &["set create ipguests", "set add ipguests 203.0.113.66 fd00:1::66", "allow ALL --from ipguests"],
    ),
    live("set del takes the friends' IPv4 address", &["set del ipfriends 203.0.113.10"]),
    live("set del takes their IPv6 address", &["set del ipfriends fd00:1::10"]),
    live("rm takes the guests' rule", &["set add ipfriends 203.0.113.10 fd00:1::10", "rm 2"]),
    live("one host port of two", &["rm 1", "allow many --from ipfriends --published 8090"]),
    phase("a part of a range", &["rm 1", "allow many --from ipfriends,ipguests --port 9000-9001"]),
    phase("a part of a range of the host's", &["rm 1", "allow many --from any --published 9001-9002"]),
    phase("tcp and not udp", &["rm 1", "allow many --from ipfriends --port 53/tcp"]),
    phase(
        "udp and not tcp",
        &["rm 1", "deny many --from ipguests --port 53/udp", "allow many --from any --port 53/udp,9002"],
    ),
    live("a deny of one host port of two", &["rm 1 2", "deny many --from ipguests --published 8080"]),
    live("any but", &["rm 1", "allow ALL --from any", "deny ALL --from ipguests"]),
    phase("only a port that is not published", &["rm 1 2", "allow ALL --from ipfriends --port 90"]),
    live("closed by default", &["rm 1", "allow ALL --from ipfriends", "default closed"]),
    live("by hook forward", &["apply --hook forward"]),
    live("by hook forward, withdrawn", &["set del ipfriends 203.0.113.10 fd00:1::10"]),
    phase("by hook docker", &["default open", "set add ipfriends 203.0.113.10 fd00:1::10", "apply --hook docker"]),
    live("by hook docker, withdrawn", &["set del ipfriends 203.0.113.10 fd00:1::10"]),
    live("reset", &["reset --force"]),
];
