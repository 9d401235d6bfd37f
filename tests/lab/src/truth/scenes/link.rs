//! Containers that stand on the external link: on the host's own network, and beside it on a macvlan.

use super::Scene;
use crate::Protocol;
use crate::truth::script::{Phase, live, phase};
use crate::truth::target::{NAMES, Network, Target, WEB};

/// A container on the host's network.
pub(crate) static HOST_NETWORK: Scene = Scene {
    networks: &[],
    targets: &[
        Target::on_the_host(
            "hostapp",
            &[(Protocol::Tcp, 9100), (Protocol::Udp, 9153), (Protocol::Tcp, 9200)],
            [(Protocol::Tcp, 9181), (Protocol::Udp, 9153)],
        ),
        Target::usual("web", &["bridge"], 0),
    ],
    callers: &[("near", &["bridge"])],
    held: &["hostapp", "web"],
    script: ON_THE_HOST,
};

/// A container on the link that friend and stranger are on.
pub(crate) static MACVLAN: Scene = Scene {
    networks: &[Network::macvlan("lan")],
    targets: &[
        Target::usual("direct", &["lan"], 100).publishing(&[], &[(Protocol::Tcp, WEB), (Protocol::Udp, NAMES)]),
        Target::usual("web", &["bridge"], 0),
        Target::usual("other", &["lan"], 200)
            .publishing(&[], &[(Protocol::Tcp, WEB), (Protocol::Udp, NAMES)])
            .unmanaged(),
    ],
    callers: &[("near", &["bridge"])],
    held: &["direct", "web", "other"],
    script: BESIDE_THE_HOST,
};

const ON_THE_HOST: &[Phase] = &[
    phase(
        "friends are let in",
        &[
            "set create ipfriends",
            "set add ipfriends 203.0.113.10 fd00:1::10",
            "allow hostapp --from ipfriends --port 9100,9181,9153/udp",
            "allow web --from ipfriends",
        ],
    ),
    live(
        "guests too",
        &[
            "set create ipguests",
            "set add ipguests 203.0.113.66 fd00:1::66",
            "allow hostapp --from ipguests --port 9100,9181,9153/udp",
        ],
    ),
    live("set del takes the friends' IPv4 address", &["set del ipfriends 203.0.113.10"]),
    live("set del takes their IPv6 address", &["set del ipfriends fd00:1::10"]),
    live("rm takes the guests' rule", &["set add ipfriends 203.0.113.10 fd00:1::10", "rm 3"]),
    phase("only one port", &["rm 1", "allow hostapp --from ipfriends --published 9100"]),
    live(
        "any but",
        &[
            "rm 2",
            "allow hostapp --from any --port 9100,9181,9153/udp",
            "deny hostapp --from ipguests --port 9181,9153/udp",
        ],
    ),
    live("by hook forward", &["apply --hook forward"]),
    live("closed by default", &["default closed"]),
    live("reset", &["default open", "reset --force"]),
    live("apply brings it back", &["apply"]),
];

const BESIDE_THE_HOST: &[Phase] = &[
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
    phase("only one port", &["rm 1", "allow direct --from ipfriends --port 80"]),
    live("any but", &["rm 1", "allow ALL --from any", "deny direct --from ipguests"]),
    phase("made anew", &["recreate direct", "apply"]),
    live("closed by default", &["default closed"]),
    live("reset", &["default open", "reset --force"]),
    live("apply brings it back", &["apply"]),
];
