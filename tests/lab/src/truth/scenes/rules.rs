//! What rules mean: every kind of them, over every usual path.

use super::Scene;
use crate::Protocol;
use crate::truth::script::{Phase, live, phase, short, short_live};
use crate::truth::target::{NAMES, Network, Target, WEB};

/// This scene.
pub(crate) static RULES: Scene = Scene {
    networks: NETWORKS,
    targets: TARGETS,
    callers: &[("near", &["bridge"]), ("mate", &["blue"]), ("far", &["red"])],
    held: &["web", "multi", "plain", "bound"],
    script: SCRIPT,
};

const NETWORKS: &[Network] = &[
    Network::dual("blue", "fd00:b1::/64"),
    Network::dual("green", "fd00:b2::/64"),
    Network::dual("red", "fd00:b3::/64"),
    Network::only_v4("four"),
];

const TARGETS: &[Target] = &[
    Target::usual("web", &["bridge"], 0).tried(&[
        (Protocol::Tcp, WEB),
        (Protocol::Udp, NAMES),
        (Protocol::Tcp, 90),
        (Protocol::Udp, 54),
    ]),
    Target::usual("multi", &["blue", "green"], 100).labelled("tier=front"),
    // No IPv6 of its own: what comes to [::] is taken by docker-proxy on the host.
    Target::usual("plain", &["four"], 200),
    Target::usual("bound", &["bridge"], 300).bound_to("203.0.113.1"),
    // Never allowed by name: what is not managed stays as Docker left it.
    Target::usual("other", &["bridge"], 400).unmanaged(),
    // Only ever denied.
    Target::usual("public", &["blue"], 500).unmanaged(),
];

const SCRIPT: &[Phase] = &[
    phase(
        "friends are let in",
        &[
            "set create ipfriends",
            "set add ipfriends 203.0.113.10 fd00:1::10",
            "allow web --from ipfriends",
            "allow multi --from ipfriends",
            "allow plain --from ipfriends",
            "allow bound --from ipfriends",
        ],
    ),
    live(
        "guests too",
        &["set create ipguests", "set add ipguests 203.0.113.66 fd00:1::66", "allow web plain --from ipguests"],
    ),
    live("set del takes the friends' IPv4 address", &["set del ipfriends 203.0.113.10"]),
    live("set del takes their IPv6 address", &["set del ipfriends fd00:1::10"]),
    short("set add brings them back", &["set add ipfriends 203.0.113.10 fd00:1::10"]),
    // The guests' rule stays, and with it the guard.
    live("rm takes the friends' rule for web", &["rm 1"]),
    phase("rm --target takes the guard from multi", &["rm --target multi"]),
    // Numbers are those of the moment: plain, bound, web and plain for the guests.
    phase(
        "only one port",
        &[
            "rm 1 2 3",
            "allow web --from ipfriends --port 80",
            "allow multi --from ipfriends --port 53/udp",
            "allow plain --from ipfriends --port 80,53/udp",
        ],
    ),
    phase(
        "only one host port",
        &[
            "rm 1 2 3",
            "allow web --from ipfriends --published 8080",
            "allow multi --from ipfriends,ipguests --published 5453/udp",
            "allow plain --from ipfriends --published 8280",
        ],
    ),
    live("a deny takes away and does not guard", &["deny public --from 203.0.113.66", "deny public --from fd00:1::66"]),
    live("any but", &["allow web --from any", "deny web --from ipguests", "allow plain --from any --port 53/udp"]),
    phase(
        "somebody else's set",
        &["rm 1 2 3 4 5 6 7 8", "deny * --from ipset:crowdsec", "allow label:tier=front --from any"],
    ),
    phase(
        "networks and interfaces",
        &[
            "rm 1 2",
            "allow network:blue --from ipfriends",
            "allow web --from any --interface br-ext",
            "allow plain --from any --interface docker0",
        ],
    ),
    live("closed by default", &["allow web --from ipfriends --before 1", "default closed"]),
    live("open by default", &["default open"]),
    live("reset", &["reset --force"]),
    short_live("apply brings it back", &["apply"]),
    short(
        "the friends' rules again",
        &["rm 1 2 3 4", "allow web plain --from ipfriends", "allow multi --from ipfriends"],
    ),
    short_live("by hook docker", &["apply --hook docker"]),
    short(
        "by hook docker, with a port and a deny",
        &["deny multi --from ipguests", "allow web --from ipguests --port 80"],
    ),
    short_live("by hook docker, withdrawn", &["set del ipfriends 203.0.113.10 fd00:1::10"]),
    short_live("by hook forward", &["apply --hook forward"]),
    short("by hook forward, back again", &["set add ipfriends 203.0.113.10 fd00:1::10"]),
    short_live("by hook forward, withdrawn", &["rm --target multi", "set del ipfriends 203.0.113.10"]),
    short_live("by hook docker-user again", &["apply --hook docker-user"]),
    phase("reset again", &["reset --force"]),
];
