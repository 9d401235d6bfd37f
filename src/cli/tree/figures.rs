//! The commands on what the kernel counted.

use clap::Command;

use super::{any_number, command, format, no_trunc, switch, value};
use crate::cli::values;
use crate::policy::Target;

const TOP: &str = "  docker firewall top
  docker firewall top web shop/api
  docker firewall top --no-stream --format json";
const METRICS: &str = "  docker firewall metrics
  docker firewall metrics --output /var/lib/prometheus/node-exporter/docker-firewall.prom";

pub(super) fn commands() -> Vec<Command> {
    vec![
        command("top", "Show what rules allow and drop, as it happens")
            .long_about(
                "Show what rules allow and drop, as it happens.\n\n\
                 A row is a rule, or a guarded container with what no rule allowed (closed). What is dropped\n\
                 stands first. Rules that ask the same are counted together, whatever containers they name.\n\
                 Packets are counted in both directions, since the rules were first written.\n\
                 Fields of templates: Container, Rule, ID, Verdict, PacketsPerSecond, BytesPerSecond,\n\
                 Packets, Bytes.",
            )
            .after_help(TOP)
            .args([
                any_number("target", "TARGET")
                    .value_parser(|text: &str| text.parse::<Target>().map_err(|error| error.to_string())),
                switch("no-stream", None, "Measure for a second, print that and end"),
                format(),
                no_trunc(),
            ]),
        command("metrics", "Print figures for Prometheus")
            .long_about(
                "Print figures for Prometheus.\n\n\
                 What rules and containers let through and dropped, how large sets are, and what the agent did.\n\
                 The agent shows the same at /metrics on its socket, /run/docker-firewall/agent.sock.",
            )
            .after_help(METRICS)
            .args([
                value(
                    "output",
                    Some('o'),
                    "file",
                    "Replace this file instead, as node_exporter's textfile collector reads it",
                )
                .value_parser(values::parse_output),
                value("format", None, "string", "Notation: prometheus (default) or openmetrics")
                    .value_parser(values::parse_notation),
            ]),
    ]
}
