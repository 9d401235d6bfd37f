//! Sets and rules.

use crate::desk::{Desk, Result};
use crate::ends;

pub(crate) fn unsaved(desk: &Desk) -> Result {
    desk.shell("ipset add ipfriends 203.0.113.99; ipset add ipfriends-v6 fd00:1::99")?;
    let fix = "docker firewall set add ipfriends 203.0.113.99";
    ends(desk, "warning", "unsaved", "gone with the next reboot: ipfriends (1), ipfriends-v6 (1)", fix)?;
    desk.shell(fix)?;
    let fix = "docker firewall set add ipfriends fd00:1::99";
    ends(desk, "warning", "unsaved", "gone with the next reboot: ipfriends-v6 (1)", fix)?;
    desk.shell(fix)?;
    ends(desk, "ok", "unsaved", "", "")?;
    desk.done("set del ipfriends 203.0.113.99 fd00:1::99").map(drop)
}

pub(crate) fn nearly_full(desk: &Desk) -> Result {
    desk.write(
        "/root/small.conf",
        "create small hash:net family inet hashsize 64 maxelem 3\nadd small 192.0.2.1\nadd small 192.0.2.2\nadd small 192.0.2.3\n",
    )?;
    desk.done("set import small /root/small.conf")?;
    let fix = "raise maxelem in the `create` line of /etc/docker-firewall/sets/small.conf, then docker firewall apply";
    ends(desk, "warning", "room", "small (3 of 3)", fix)?;
    desk.shell("sed -i '/^create/s/maxelem 3/maxelem 300/' /etc/docker-firewall/sets/small.conf")?;
    desk.done("apply")?;
    ends(desk, "ok", "room", "", "")?;
    desk.done("set rm small").map(drop)
}

pub(crate) fn a_rule_for_nothing(desk: &Desk) -> Result {
    desk.done("allow web --from 203.0.113.10")?;
    let fix = "docker firewall rm 2";
    ends(desk, "warning", "rules", "rule 2: it can never match: rule 1 always decides first", fix)?;
    desk.shell(fix)?;
    // One that waits for its container says so itself.
    desk.done("allow later --pending --from any")?;
    ends(desk, "ok", "rules", "", "")?;
    desk.done("rm --target later").map(drop)
}
