//! Rules, tables and parts of the kernel.

use lab::{Client, Flavour};

use crate::desk::{Desk, Result};
use crate::{ends, line};

/// A kernel that lacks something cannot be had here; one that tells of itself can be made to tell something else.
pub(crate) fn without_modules(desk: &Desk) -> Result {
    let tells =
        "test -e /proc/config.gz && test ! -d /lib/modules/$(uname -r) && test ! -d /sys/module/ip_set_hash_netiface";
    if desk.lab.exec(&["sh", "-c", tells])?.code != 0 {
        println!("this kernel has modules: not provoked");
        return Ok(());
    }
    desk.shell(
        "gzip -dc /proc/config.gz | grep -v CONFIG_IP_SET_HASH_NETIFACE= | gzip > /tmp/config.gz
         mount --bind /tmp/config.gz /proc/config.gz",
    )?;
    let lacks =
        ends(desk, "warning", "modules", "lacks ip_set_hash_netiface (containers", "modprobe ip_set_hash_netiface");
    desk.shell("umount /proc/config.gz")?;
    lacks?;
    ends(desk, "ok", "modules", "the kinds of sets", "")
}

pub(crate) fn an_accept_above(desk: &Desk) -> Result {
    desk.shell("iptables -I FORWARD -i eth9 -j ACCEPT")?;
    let fix = "iptables -t filter -D FORWARD 1";
    ends(desk, "warning", "hook", "number 1 `-A FORWARD -i eth9 -j ACCEPT`", fix)?;
    desk.shell(fix)?;
    // Whoever wrote a rule may have written anything into its comment.
    desk.shell("ip6tables -I DOCKER-USER -i eth9 -m comment --comment \"$(printf 'a\\033[31m')\" -j RETURN || ip6tables -I FORWARD -i eth9 -m comment --comment \"$(printf 'a\\033[31m')\" -j RETURN")?;
    let hostile = desk.run("doctor")?;
    assert!(!hostile.stdout.contains('\u{1b}'), "{hostile:?}");
    assert!(line(&hostile.stdout, "warning", "hook").is_some_and(|said| said.contains("-i eth9")), "{hostile:?}");
    desk.shell("ip6tables -D DOCKER-USER 1 || ip6tables -D FORWARD 1")?;
    desk.shell("iptables -I DOCKER-USER -i eth9 -j RETURN; iptables -I DOCKER-USER -i eth8 -j ACCEPT")?;
    ends(
        desk,
        "warning",
        "hook",
        "1 `-A DOCKER-USER -i eth8 -j ACCEPT`, 2 `-A DOCKER-USER -i eth9 -j RETURN`",
        "DOCKER-USER 1",
    )?;
    desk.shell("iptables -t filter -D DOCKER-USER 1; iptables -t filter -D DOCKER-USER 1")?;
    desk.shell("iptables -t security -I INPUT -i eth9 -j ACCEPT")?;
    ends(desk, "warning", "backstop", "number 1 `-A INPUT -i eth9 -j ACCEPT`", "iptables -t security -D INPUT 1")?;
    desk.shell("iptables -t security -D INPUT 1").map(drop)
}

/// A chain that nobody calls is no hook.
pub(crate) fn a_line_that_is_gone(desk: &Desk) -> Result {
    desk.shell("iptables -F DOCKER-USER")?;
    ends(desk, "UNSAFE", "hook", "IPv4 filter: DOCKER-USER does not call our chains", "docker firewall apply")?;
    desk.done("apply")?;
    desk.shell("iptables -D FORWARD -j DOCKER-USER")?;
    ends(desk, "UNSAFE", "hook", "IPv4 filter: FORWARD does not call our chains", "docker firewall apply")?;
    desk.done("apply")?;
    ends(desk, "ok", "hook", "", "")?;
    desk.shell("iptables -I FORWARD -j DOCKER-USER")?;
    desk.done("apply")?;
    desk.shell("ip6tables -t security -F FORWARD")?;
    ends(desk, "UNSAFE", "backstop", "IPv6 security: FORWARD does not call our chains", "docker firewall apply")?;
    desk.done("apply").map(drop)
}

/// The backstop alone bars a stranger, and `reach` knows; without both of them the stranger is in, and it knows that too.
pub(crate) fn one_line_of_two(desk: &Desk) -> Result {
    desk.only(8080, "web", true, false)?;
    desk.shell("for i in iptables ip6tables; do $i -F DOCKER-FIREWALL-TO; $i -F DOCKER-FIREWALL-FROM; done")?;
    ends(desk, "UNSAFE", "in-force", "the kernel differs from the policy in", "docker firewall apply")?;
    ends(desk, "ok", "reach", "do not get in", "")?;
    desk.only(8080, "web", true, false)?;
    desk.shell("iptables -t security -F FORWARD; ip6tables -t security -F FORWARD")?;
    let open = "a stranger gets into web 80/tcp from 203.0.113.254 by published";
    ends(desk, "UNSAFE", "reach", open, "docker firewall apply")?;
    assert!(desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?);
    desk.done("apply")?;
    desk.only(8080, "web", true, false)?;
    count_anew(desk)
}

fn count_anew(desk: &Desk) -> Result {
    desk.shell("iptables -t security -Z; ip6tables -t security -Z").map(drop)
}

/// What slipped past the first line is told, and since when.
pub(crate) fn past_the_first_line(desk: &Desk) -> Result {
    desk.shell("iptables -I FORWARD -j ACCEPT")?;
    assert!(!desk.reaches(Client::Stranger, Client::Host.v4(), 8080, "web")?, "the backstop holds");
    ends(desk, "warning", "backstop", "it alone kept out", "iptables -t security -Z")?;
    ends(desk, "warning", "backstop", " since our chains were written (at 2", "docker firewall explain")?;
    desk.shell("iptables -D FORWARD -j ACCEPT")?;
    count_anew(desk)
}

/// What judges packets and was not read leaves no certainty, which is neither good nor dangerous.
pub(crate) fn what_cannot_be_read(desk: &Desk) -> Result {
    desk.shell("ip rule add from 203.0.113.66 lookup main")?;
    ends(desk, "unknown", "reach", "policy routing", "docker firewall explain")?;
    assert!(line(&desk.done("doctor")?, "ok", "reach").is_none());
    desk.shell("ip rule del from 203.0.113.66 lookup main").map(drop)
}

/// Rules of the kind of iptables that Docker does not use meet packets too.
pub(crate) fn the_other_kind(desk: &Desk) -> Result {
    let other = match desk.lab.spec().flavour {
        Flavour::Nft => "iptables-legacy",
        Flavour::Legacy => "iptables-nft",
    };
    desk.shell(&format!("{other} -I INPUT -s 203.0.113.99 -j DROP"))?;
    let says = format!("{other} has IPv4 filter/INPUT (1 rule)");
    ends(desk, "warning", "flavour", &says, &format!("{other}-save shows the latter"))?;
    desk.shell(&format!("{other}-save | grep -q 203.0.113.99; {other} -D INPUT -s 203.0.113.99 -j DROP")).map(drop)
}

/// Whoever comes in by a port of a container's bridge passes by all rules.
pub(crate) fn a_port_of_the_bridge(desk: &Desk) -> Result {
    desk.shell("ip link add lan9 type veth peer name lan8; ip link set lan9 master docker0")?;
    let fix = "ip link set lan9 nomaster";
    ends(desk, "UNSAFE", "bridge-nf", "the interface lan9 is a port of docker0: what comes in by it", fix)?;
    desk.shell(fix)?;
    ends(desk, "ok", "bridge-nf", "", "")?;
    desk.shell("ip link del lan9").map(drop)
}

pub(crate) fn packets_within_a_bridge(desk: &Desk) -> Result {
    let switch = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if desk.lab.exec(&["test", "-w", switch])?.code != 0 {
        println!("this kernel has no bridge netfilter: not provoked");
        return Ok(());
    }
    let before = desk.shell(&format!("cat {switch}"))?;
    for (value, says) in [("0", "bridge netfilter is off for IPv4"), ("1", "bridge netfilter is on for IPv4")] {
        desk.shell(&format!("echo {value} > {switch}"))?;
        ends(desk, "ok", "bridge-nf", says, "")?;
    }
    desk.shell(&format!("echo {before} > {switch}")).map(drop)
}

/// A container without IPv6 addresses is reached over IPv6 all the same.
pub(crate) fn the_proxy(desk: &Desk) -> Result {
    ends(desk, "ok", "proxy-v6", ":8070 leads to old 80/tcp", "")?;
    assert!(!desk.reaches(Client::Stranger, Client::Host.v6(), 8070, "old")?);
    desk.shell("for table in filter security; do ip6tables -t $table -F INPUT; ip6tables -t $table -F OUTPUT; done")?;
    ends(desk, "UNSAFE", "proxy-v6", "takes what any IPv6 caller sends", "docker firewall apply")?;
    assert!(desk.reaches(Client::Stranger, Client::Host.v6(), 8070, "old")?);
    desk.done("apply")?;
    assert!(!desk.reaches(Client::Stranger, Client::Host.v6(), 8070, "old")?);
    count_anew(desk)
}

/// Where the table is missing, the first line stands alone. Only the legacy kind needs a module for it.
pub(crate) fn no_security_table(desk: &Desk) -> Result {
    if desk.lab.spec().flavour == Flavour::Nft {
        println!("iptables-nft makes its tables itself: not provoked");
        return Ok(());
    }
    // The tools tell what a kernel tells that was built without it.
    for tool in ["iptables", "ip6tables"] {
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' -t security '*)\n  echo \"{tool}-save: Cannot initialize: Table does not exist \
             (do you need to insmod?)\" >&2; exit 1 ;;\nesac\n{tool}-legacy-save \"$@\" | awk '/^\\*/ {{ hidden = /security/ }} \
             !hidden'\n"
        );
        desk.shell(&format!("mv /usr/sbin/{tool}-save /usr/sbin/{tool}-save.real"))?;
        desk.write(&format!("/usr/sbin/{tool}-save"), &script)?;
        desk.shell(&format!("chmod +x /usr/sbin/{tool}-save"))?;
    }
    let lacks = [("IPv4", "iptable_security"), ("IPv6", "ip6table_security")].map(|(family, module)| {
        let fix = format!("modprobe {module}, then docker firewall apply");
        ends(desk, "UNSAFE", "backstop", &format!("this kernel has no security table for {family}"), &fix)
    });
    for tool in ["iptables", "ip6tables"] {
        desk.shell(&format!("mv /usr/sbin/{tool}-save.real /usr/sbin/{tool}-save"))?;
    }
    lacks.into_iter().collect()
}

/// A kernel that cannot be read is a check like others, with its way out.
pub(crate) fn no_tool(desk: &Desk) -> Result {
    let tool = desk.shell("command -v ipset")?;
    let tool = tool.trim();
    desk.shell(&format!("mv {tool} {tool}.gone"))?;
    let ill = desk.run("doctor");
    desk.shell(&format!("mv {tool}.gone {tool}"))?;
    let ill = ill?;
    assert_eq!(ill.code, 1, "{ill:?}");
    let says = line(&ill.stdout, "UNSAFE", "kernel");
    assert!(
        says.is_some_and(|says| says.contains("ipset is not installed: it comes with the package ipset")),
        "{ill:?}"
    );
    assert!(line(&ill.stdout, "ok", "engine").is_some() && line(&ill.stdout, "ok", "disk").is_some(), "{ill:?}");
    Ok(())
}

/// On the host's network only those ports are judged that rules name.
pub(crate) fn the_host_network(desk: &Desk) -> Result {
    desk.lab.run("metrics", &["--network", "host"], &["tcp=9100"])?;
    desk.done("allow metrics --from 203.0.113.10 --port 9100")?;
    let says = "metrics is on the host's network: its ports that rules name are judged, all others are not";
    ends(desk, "warning", "ways-in", says, "docker firewall allow metrics --from SOURCE --port PORT")?;
    desk.done("rm --target metrics")?;
    desk.lab.docker(&["rm", "-f", "metrics"])?.require("rm").map(drop)
}
