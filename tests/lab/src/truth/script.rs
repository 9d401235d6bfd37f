//! What is typed, phase by phase. What should come of it is nobody's to write down: the model follows the same words.

/// How much of the table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All cells.
    Full,
    /// The cells that tell one hook from another.
    Short,
}

/// Some commands, and a look at the table after them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// What is typed behind `docker firewall`.
    pub(crate) commands: &'static [&'static str],
    /// Whether sessions are held open while it is typed.
    pub(crate) live: bool,
    /// What is looked at.
    pub(crate) extent: Extent,
}

const fn phase(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { name, commands, live: false, extent: Extent::Full }
}

const fn live(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { live: true, ..phase(name, commands) }
}

const fn short(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { extent: Extent::Short, ..phase(name, commands) }
}

const fn short_live(name: &'static str, commands: &'static [&'static str]) -> Phase {
    Phase { extent: Extent::Short, ..live(name, commands) }
}

/// Every phase, in order. The first look, before anything is typed, is the baseline.
pub(crate) const SCRIPT: &[Phase] = &[
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
