//! The commands on rules and on the kernel.

use clap::{Arg, Command};

use super::{
    any_number, at_most_one, command, dry_run, format, list, no_trunc, one, page_format, quiet, some, switch, value,
};
use crate::cli::duration::parse_duration;
use crate::cli::values;
use crate::net::parse_ports;
use crate::policy::Target;

const ALLOW: &str = "  docker firewall allow web --from ipfriends
  docker firewall allow web --from 192.0.2.7,2001:db8::/32 --port 443
  docker firewall allow shop/api --from 198.51.100.0/24 --for 2h --comment \"audit\"
  docker firewall allow label:tier=front --from any --published 8443";
const DENY: &str = "  docker firewall deny '*' --from badguys
  docker firewall deny web --from 203.0.113.0/24 --interface eth0
  docker firewall deny db --from any --before 1";
const RM: &str = "  docker firewall rm 3
  docker firewall rm 2 4 4f1c09
  docker firewall rm --target web";
const LS: &str = "  docker firewall ls
  docker firewall ls web shop/api
  docker firewall ls --filter exposed=world
  docker firewall ls --format 'table {{.Container}}\\t{{.Port}}\\t{{.From}}'
  docker firewall ls --format html > access.html";
const GRAPH: &str = "  docker firewall graph > firewall.svg
  docker firewall graph --format mermaid --filter exposed=world
  docker firewall graph web --format dot | dot -Tpng > web.png";
const FILTER: &str = "Filter output: container=NAME, label=KEY[=VALUE], network=NAME, exposed=world|restricted|closed, \
    managed=true|false";
const EXPLAIN: &str = "  docker firewall explain web:443 --from 203.0.113.7
  docker firewall explain :8443 --from 203.0.113.7 --verbose
  docker firewall explain shop/api --from ipfriends --interface eth1";
const DEFAULT: &str = "  docker firewall default
  docker firewall default closed";
const APPLY: &str = "  docker firewall apply
  docker firewall apply --file policy.toml --dry-run
  docker firewall apply --hook docker";

pub(super) fn commands() -> Vec<Command> {
    vec![
        rule("allow", "Allow sources to reach containers", ALLOW).long_about(
            "Allow sources to reach containers.\n\n\
             A container that an allow rule selects is guarded: what no rule allows is dropped,\non all its ports. That stays so when the rule has ended (--for).\n\n\
             TARGET is a container, PROJECT/SERVICE, service:NAME (swarm), label:KEY[=VALUE],\n\
             network:NAME or '*'.\n\
             A source is any, an address, a CIDR block, a range, a set or ipset:NAME.",
        ),
        rule("deny", "Deny sources access to containers", DENY).long_about(
            "Deny sources access to containers.\n\n\
             A deny rule goes before the allow rules unless --before says otherwise. It takes away\n\
             and does not guard: sources that no rule names stay as they were.\n\n\
             TARGET is a container, PROJECT/SERVICE, service:NAME (swarm), label:KEY[=VALUE],\n\
             network:NAME or '*'.\n\
             A source is any, an address, a CIDR block, a range, a set or ipset:NAME.",
        ),
        command("rm", "Remove one or more rules").visible_alias("remove").after_help(RM).args([
            any_number("rule", "RULE").value_parser(values::parse_rule_name),
            list("target", None, "target", "Remove all rules of this target").value_parser(target),
            dry_run(),
        ]),
        command("rules", "List the rules in order").args([
            quiet("Only display rule IDs"),
            format(),
            no_trunc(),
            switch("counters", None, "Show how many packets each rule decided about (needs root)"),
        ]),
        ways(),
        explain(),
        graph(),
        default(),
        command("apply", "Make the kernel hold what the policy says").long_about(
            "Make the kernel hold what the policy says.\n\n\
             Run it after containers, dockerd or the host were started again, unless the agent runs:\n\
             containers may have other addresses then.",
        ).after_help(APPLY).args([
            value("file", Some('f'), "file", "Replace the policy by this file first (\"-\" for standard input)")
                .value_parser(values::parse_input),
            value("hook", None, "string", "Set where the rules hang: docker-user, docker or forward")
                .value_parser(values::parse_hook),
            dry_run(),
        ]),
        command("plan", "Show how the kernel differs from the policy").long_about(
            "Show how the kernel differs from the policy.\n\n\
             Exits with 0 if they agree, with 2 if there is something to do and with 1 on errors.",
        ),
        command("reset", "Remove everything docker-firewall put into the kernel").long_about(
            "Remove everything docker-firewall put into the kernel.\n\n\
             The files stay. Entries that were added to a set by hand (ipset add) and are in no\nfile are lost.",
        ).arg(switch(
            "force",
            Some('f'),
            "Do not prompt for confirmation",
        )),
        command("status", "Show whether the firewall is in force")
            .long_about(
                "Show whether the firewall is in force.\n\n\
                 Exits with 0 if the kernel holds what the policy says and with 1 if not.",
            )
            .arg(format()),
        command("agent", "Follow the engine and keep the rules true").long_about(
            "Follow the engine and keep the rules true.\n\n\
             Runs until it is told to stop (SIGTERM). Whenever a container starts or stops, somebody\n\
             changes the rules in the kernel or edits the policy, it does what `apply` does. SIGHUP\n\
             makes it look at once.",
        )
        .arg(
            value("log-format", None, "string", "How it tells what it did: text or json, one object a line")
                .value_parser(values::parse_log_format),
        ),
        command("restore", "Close at boot what is guarded, before there is an engine")
            .long_about(
                "Close at boot what is guarded, before there is an engine.\n\n\
                 For the boot service (docker firewall service install), which runs before dockerd. The\n\
                 networks and ports that are guarded are closed for everybody outside, until the agent or\n\
                 `apply` has seen which container has which address. Where rules are in force, it does nothing.",
            )
            .hide(true),
        command("doctor", "Look for what is not safe, and say how to mend it")
            .long_about(
                "Look for what is not safe, and say how to mend it.\n\n\
                 A line a check: ok, warning, unknown (it could not be looked at) or UNSAFE (somebody may\n\
                 get in who should not), and below it what to type. Nothing is changed.\n\n\
                 Exits with 0 if nothing is UNSAFE and with 1 otherwise.",
            )
            .arg(format()),
        command("completion", "Print the script with which a shell completes docker-firewall")
            .long_about(
                "Print the script with which a shell completes docker-firewall.\n\n\
                 `docker firewall` needs none: Docker's own scripts complete it.",
            )
            .hide(true)
            .arg(one("shell", "bash|zsh|fish").value_parser(values::parse_shell)),
        command("version", "Show the version"),
    ]
}

/// `ls`.
fn ways() -> Command {
    command("ls", "List published ports and who can reach them")
        .visible_alias("list")
        .long_about(
            "List published ports and who can reach them.\n\n\
             A row is a way in. PATH says how packets get there: dnat (the kernel rewrites a port of\n\
             the host), proxy (docker-proxy answers on it), direct (the container's own address,\n\
             where the engine leaves it open), host, macvlan, ipvlan, ingress or shared.\n\
             FROM says who gets in by the kernel's rules, whoever wrote them; where the policy says\n\
             something else, that follows as (policy: ...). It is unknown where a rule decides that\n\
             is not understood. Without CAP_NET_ADMIN (sudo) it is what the policy says.\n\
             Fields of templates: Container, ID, State, Networks, Labels, Published, Port, Path,\n\
             Family, From, Policy, Differs, Because, Exposed, Allowed, Dropped, Rules, Managed.\n\
             ALLOWED and DROPPED are packets to the container, as the kernel counted them; ≤ says\n\
             that those of other ways or containers are among them.",
        )
        .after_help(LS)
        .args([
            targets(any_number("target", "TARGET")),
            quiet("Only display container names"),
            page_format(),
            no_trunc(),
            filter(),
        ])
}

/// `graph`.
fn graph() -> Command {
    command("graph", "Draw who can reach which container").after_help(GRAPH).args([
        targets(any_number("target", "TARGET")),
        value("format", None, "string", "Picture to draw: svg (default), dot or mermaid")
            .value_parser(values::parse_picture),
        filter(),
    ])
}

/// `explain`.
fn explain() -> Command {
    command("explain", "Show whether somebody reaches a container, and why")
        .long_about(
            "Show whether somebody reaches a container, and why.\n\n\
             Follows a packet through the kernel as it is, past everybody's rules, on every way in.\n\
             Exits with 0 if there is a way, with 3 if there is none and with 1 if nobody can tell.\n\n\
             PORT is the container's; without one every published port is tried. :PORT alone is the host's.",
        )
        .after_help(EXPLAIN)
        .args([
            some("destination", "TARGET[:PORT[/PROTOCOL]]").value_parser(values::parse_destination),
            list("from", None, "list", "Who comes: an address, CIDR, range, set or any")
                .value_parser(values::parse_sources),
            value("interface", None, "string", "Where it comes in, if not where its answers would go out")
                .value_parser(values::parse_interface),
            switch("verbose", None, "Show the way, step by step"),
            format(),
        ])
}

fn default() -> Command {
    command("default", "Show or set what happens to containers without an allow rule")
        .long_about(
            "Show or set what happens to containers without an allow rule.\n\n\
             open    They stay as Docker left them.\n\
             closed  They are guarded like the others. Containers and networks made later are\n        \
             guarded from the next `docker firewall apply` on.",
        )
        .after_help(DEFAULT)
        .args([at_most_one("access", "open|closed").value_parser(values::parse_default), dry_run()])
}

fn target(text: &str) -> Result<Target, String> {
    text.parse().map_err(|error: crate::policy::TargetError| error.to_string())
}

fn targets(arg: Arg) -> Arg {
    arg.value_parser(target)
}

fn filter() -> Arg {
    list("filter", Some('f'), "filter", FILTER).value_parser(values::parse_filter)
}

/// `allow` and `deny` differ in their verdict only.
fn rule(name: &'static str, about: &'static str, examples: &'static str) -> Command {
    command(name, about).after_help(examples).args([
        targets(some("target", "TARGET")),
        list("from", None, "list", "Sources: any, address, CIDR, range, set or ipset:NAME")
            .value_parser(values::parse_sources),
        list("port", None, "ports", "Ports of the container (443, 53/udp, 8000-8010)").value_parser(parse_ports),
        list("published", None, "ports", "Ports of the host that Docker publishes; with --port, either")
            .value_parser(parse_ports),
        value("interface", None, "string", "Only what comes in over this interface of the host")
            .value_parser(values::parse_interface),
        value("for", None, "duration", "End the rule after this time (30m, 2h, 7d)").value_parser(parse_duration),
        value("until", None, "time", "End the rule at this moment (2030-01-31T18:00:00Z)")
            .value_parser(values::parse_moment),
        value("comment", None, "string", "A remark to be stored with the rule").value_parser(values::parse_comment),
        value("before", None, "int", "Insert before the rule of this number").value_parser(values::parse_place),
        switch("pending", None, "Accept targets that do not exist yet"),
        dry_run(),
    ])
}
