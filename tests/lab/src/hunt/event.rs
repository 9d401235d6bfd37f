//! What happens while the stranger looks. Scripts call the functions of `world.sh`.

use super::world::{STANDING, Trait};

/// Something that happens, again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub name: &'static str,
    /// What the world has to have for it.
    pub needs: &'static [Trait],
    /// What is set up for it, untimed.
    pub before: &'static str,
    /// What happens.
    pub act: &'static str,
    /// Containers that it takes away or brings: the friend's service counts from when they are up.
    pub down: &'static [&'static str],
    /// Succeeds when our rules are back in place, where the friend's service cannot show that.
    pub mended: &'static str,
    /// Puts the world back as it was, untimed.
    pub after: &'static str,
    /// Ports at which Docker itself, or whoever acts, refuses the friend meanwhile.
    pub closed: Closed,
    /// Leaks for certain where there is neither agent nor backstop.
    pub control: bool,
}

/// Where the friend is refused by others than us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    Nowhere,
    /// What docker-proxy carries: it ends with the engine.
    Proxied,
    /// Everywhere: nothing is to be said about the friend.
    Everywhere,
}

const NOTHING: Event = Event {
    name: "",
    needs: &[],
    before: "",
    act: "",
    down: &[],
    mended: "",
    after: "",
    closed: Closed::Nowhere,
    control: false,
};

/// All of them.
pub(super) const EVENTS: &[Event] = &[
    Event { name: "restart", act: "docker restart -t 0 web", down: &["web"], ..NOTHING },
    Event { name: "stop-start", act: "docker stop -t 0 web; docker start web", down: &["web"], ..NOTHING },
    Event { name: "recreate", act: "gone web; web", down: &["web"], ..NOTHING },
    Event {
        name: "other-address",
        act: "docker stop -t 0 web; peer open-taker -p 8581:80 -- tcp=80 udp=53; docker start web",
        down: &["web"],
        after: "gone open-taker; docker restart -t 0 web",
        control: true,
        ..NOTHING
    },
    Event {
        name: "swap",
        act: "gone open-swap; swapped shop-swap --label tier=shop",
        down: &["shop-swap"],
        after: "gone shop-swap; swapped open-swap",
        control: true,
        ..NOTHING
    },
    Event {
        // Repairs are slowed by then; containers are not to wait for that.
        name: "swap-in-a-fight",
        needs: &[Trait::Nft, Trait::Agent],
        act: "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do users -F; sleep 0.2; done
              (for n in 1 2 3 4 5 6; do users -F; sleep 0.2; done) & gone open-swap; swapped shop-swap --label tier=shop; wait",
        down: &["shop-swap"],
        after: "gone shop-swap; swapped open-swap",
        mended: "hooked_everywhere",
        ..NOTHING
    },
    Event {
        name: "scale-up",
        act: "shop shop-1 -p 8680:80",
        down: &["shop-1"],
        after: "gone shop-1",
        control: true,
        ..NOTHING
    },
    Event {
        name: "connect",
        act: "docker network connect swap web; sleep 0.5; docker network disconnect swap web",
        ..NOTHING
    },
    Event {
        name: "reconnect",
        act: "docker network disconnect six six; docker network connect six six",
        closed: Closed::Everywhere,
        ..NOTHING
    },
    Event {
        name: "compose-up",
        act: "docker network create --subnet 172.30.0.0/24 made; shop shop-made --network made -p 8980:80",
        down: &["shop-made"],
        after: "gone shop-made; docker network rm made",
        control: true,
        ..NOTHING
    },
    Event {
        name: "networks",
        act: "for n in 1 2 3 4 5; do docker network create loop$n; docker network rm loop$n; done",
        ..NOTHING
    },
    Event { name: "flush-docker-user", act: "users -F", mended: "hooked_everywhere", control: true, ..NOTHING },
    Event {
        name: "flush-filter",
        // The policy as people who flush do it; an engine that writes IPv6 rules sets DROP there.
        act: "both -P FORWARD ACCEPT; both -F",
        mended: "hooked_everywhere",
        after: "engine_end TERM; engine_start",
        control: true,
        ..NOTHING
    },
    Event {
        name: "nft-flush",
        needs: &[Trait::Nft],
        act: "nft flush ruleset",
        mended: "hooked_everywhere",
        after: "engine_end TERM; engine_start",
        control: true,
        ..NOTHING
    },
    Event {
        // The same by iptables, of either kind.
        name: "flush-both",
        act: "both -P FORWARD ACCEPT; both -t security -F; both -F",
        mended: "hooked_everywhere",
        after: "engine_end TERM; engine_start",
        control: true,
        ..NOTHING
    },
    Event {
        name: "accept-above",
        act: "both -I FORWARD -j ACCEPT; sleep 1",
        after: "both -D FORWARD -j ACCEPT",
        control: true,
        ..NOTHING
    },
    Event {
        name: "accept-docker-user",
        act: "users -I -j ACCEPT",
        mended: "iptables -S DOCKER-USER | sed -n 2p | grep -q DOCKER-FIREWALL",
        after: "users -D -j ACCEPT",
        control: true,
        ..NOTHING
    },
    Event {
        name: "edit-user-set",
        act: "ipset add ipfriends 198.51.100.7; ipset del ipfriends 198.51.100.7; ipset add ipfriends-v6 2001:db8::7",
        after: "ipset del ipfriends-v6 2001:db8::7",
        ..NOTHING
    },
    Event { name: "engine-term", act: "engine_end TERM; engine_start", down: STANDING, ..NOTHING },
    Event { name: "engine-kill", act: "engine_end KILL; engine_start", down: STANDING, ..NOTHING },
    Event {
        name: "live-term",
        before: "live_restore true",
        act: "engine_end TERM; engine_start",
        after: "live_restore false",
        closed: Closed::Proxied,
        ..NOTHING
    },
    Event {
        name: "live-kill",
        before: "live_restore true",
        act: "engine_end KILL; engine_start",
        after: "live_restore false",
        closed: Closed::Proxied,
        ..NOTHING
    },
    Event {
        name: "agent-kill",
        needs: &[Trait::Agent],
        act: "agent_kill; docker stop -t 0 web; peer open-taker -p 8581:80 -- tcp=80 udp=53; docker start web
              sleep 2; agent_start",
        down: &["web"],
        after: "gone open-taker; docker restart -t 0 web",
        ..NOTHING
    },
    Event {
        name: "agent-kill-at-once",
        needs: &[Trait::Agent],
        act: "docker restart -t 0 web & restart=$!; sleep 0.1; agent_kill; agent_start; wait $restart",
        down: &["web"],
        ..NOTHING
    },
    Event { name: "hangup", needs: &[Trait::Agent], act: "kill -HUP \"$(cat /run/agent.pid)\"", ..NOTHING },
    Event {
        name: "edit-policy",
        act: "docker-firewall allow db --from 198.51.100.9 2> /dev/null
              echo '# by hand' >> /etc/docker-firewall/policy.toml; sleep 0.2
              docker-firewall rm \"$(docker-firewall rules -q | tail -n 1)\" 2> /dev/null",
        ..NOTHING
    },
    Event {
        name: "ufw-enable",
        needs: &[Trait::Tools],
        before: "ufw_as_it_comes",
        act: "ufw --force enable",
        after: "ufw --force disable",
        mended: "hooked_everywhere",
        ..NOTHING
    },
    Event {
        name: "ufw-reload",
        needs: &[Trait::Tools],
        before: "ufw_as_it_comes; ufw --force enable",
        act: "ufw reload",
        after: "ufw --force disable",
        mended: "hooked_everywhere",
        ..NOTHING
    },
    Event {
        name: "firewalld-reload",
        needs: &[Trait::Tools],
        before: "firewalld_start; engine_end TERM; engine_start",
        act: "firewall-cmd --reload",
        mended: "hooked_everywhere",
        after: "firewalld_end; engine_end TERM; engine_start",
        ..NOTHING
    },
    Event {
        name: "netfilter-persistent",
        needs: &[Trait::Tools],
        before: "saved_without_us",
        act: "netfilter-persistent reload",
        mended: "hooked_everywhere",
        control: true,
        ..NOTHING
    },
    Event {
        name: "fight",
        act: "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do users -F; sleep 1; done",
        mended: "hooked_everywhere",
        control: true,
        ..NOTHING
    },
    Event {
        name: "flush-our-set",
        needs: &[Trait::Agent],
        before: "remember",
        act: "ipset flush df4-guarded; ipset flush df6-guarded",
        mended: "as_remembered",
        ..NOTHING
    },
    Event {
        name: "delete-member",
        needs: &[Trait::Agent],
        before: "remember",
        act: "ipset save | sed -nE '/^add df4-ruled /{/nomatch/!{s/^add/del/;s/ comment.*//;p;q}}' | ipset restore",
        mended: "as_remembered",
        ..NOTHING
    },
    Event {
        name: "flush-each-set",
        needs: &[Trait::Agent],
        act: "for set in $(ours); do flush_and_wait $set; done",
        ..NOTHING
    },
    Event {
        // What the line `flush` in somebody's set file does.
        name: "flush-all-sets",
        needs: &[Trait::Agent],
        before: "remember",
        act: "echo flush | ipset restore",
        mended: "as_remembered",
        ..NOTHING
    },
    Event {
        name: "swap-set",
        needs: &[Trait::Agent],
        before: "remember; ipset create other hash:net",
        act: "ipset swap other df4-ruled",
        mended: "ipset destroy other 2> /dev/null; as_remembered",
        ..NOTHING
    },
];

/// The events of the everyday run: one of each kind, and those that leaked in a trial.
pub(super) const BRIEF: &[&str] = &[
    "restart",
    "other-address",
    "swap",
    "swap-in-a-fight",
    "scale-up",
    "compose-up",
    "flush-docker-user",
    "flush-filter",
    "nft-flush",
    "flush-both",
    "flush-all-sets",
    "accept-above",
    "engine-term",
    "agent-kill",
    "ufw-reload",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_one_event() {
        let names: Vec<&str> = EVENTS.iter().map(|event| event.name).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!name.is_empty() && !names[..index].contains(name), "{name}");
        }
        assert!(BRIEF.iter().all(|name| names.contains(name)));
    }
}
