//! A world that changes beneath the rules: networks come and go, containers are renamed, restarted, made anew.

use super::Scene;
use crate::truth::script::{Phase, live, phase};
use crate::truth::target::{Network, Target};

/// This scene.
pub(crate) static CHANGES: Scene = Scene {
    networks: &[
        Network::dual("blue", "fd00:b1::/64"),
        Network::dual("green", "fd00:b2::/64"),
        Network::only_v4("four"),
    ],
    targets: &[
        Target::usual("web", &["bridge"], 0),
        Target::usual("multi", &["blue", "green"], 100).labelled("tier=front"),
        Target::usual("plain", &["four"], 200),
        Target::usual("other", &["bridge"], 400).unmanaged(),
        Target::usual("public", &["blue"], 500).unmanaged(),
    ],
    callers: &[("near", &["bridge"]), ("mate", &["blue"])],
    held: &["web", "multi", "plain"],
    script: SCRIPT,
};

const SCRIPT: &[Phase] = &[
    phase(
        "friends are let in",
        &["set create ipfriends", "set add ipfriends 203.0.113.10 fd00:1::10", "allow ALL --from ipfriends"],
    ),
    // Docker moves the published ports to the new network, and cuts what comes by them.
    phase("one network more", &["docker network connect green plain", "apply"]),
    phase("one network less", &["docker network disconnect blue multi", "apply"]),
    phase(
        "the default network left for another",
        &["docker network connect four web", "docker network disconnect bridge web", "apply"],
    ),
    live("withdrawn meanwhile", &["set del ipfriends 203.0.113.10 fd00:1::10"]),
    phase(
        "back again, made anew as described",
        &["set add ipfriends 203.0.113.10 fd00:1::10", "recreate web", "recreate multi", "apply"],
    ),
    // Docker gives the lowest address that is free: they swap theirs.
    phase(
        "stopped, and started in another order",
        &["docker stop web other", "docker start other", "docker start web", "apply"],
    ),
    phase(
        "made anew with the address of another",
        &["docker stop web other", "docker start web", "recreate other", "apply"],
    ),
    live("withdrawn from those who moved", &["set del ipfriends 203.0.113.10"]),
    phase("renamed, which would open it", &["docker rename web shop", "! apply"]),
    phase(
        "a rule for the new name",
        &["rm 1", "allow shop multi plain --from ipfriends", "set add ipfriends 203.0.113.10"],
    ),
    phase("the old name to another", &["docker rename other web", "apply"]),
    phase(
        "by label, whatever it is called",
        &["rm 1", "allow label:tier=front --from ipfriends", "docker rename multi several", "apply"],
    ),
    phase(
        "by network, whoever joins it",
        &["rm 1", "allow network:green --from ipfriends", "docker network connect green public", "apply"],
    ),
    live("reset", &["reset --force"]),
];
