//! The commands on the services that keep the rules true.

use clap::Command;

use super::{command, dry_run, switch};

pub(super) fn command_group() -> Command {
    command("service", "Manage the services that keep the rules in force").subcommands([
        command("install", "Install or upgrade the services, and start the agent")
            .long_about(
                "Install or upgrade the services, and start the agent.\n\n\
                 docker-firewall-boot   closes at boot what is guarded, before dockerd starts\n\
                 docker-firewall-agent  follows the engine and keeps the rules true\n\n\
                 Both run a copy of this program, /usr/local/libexec/docker-firewall: run this again after\n\
                 an upgrade. With the agent installed, what starts is closed until the agent has seen it.",
            )
            .args([switch("no-systemd", None, "Install the program only, for another init system"), dry_run()]),
        command("uninstall", "Stop and remove the services")
            .long_about(
                "Stop and remove the services.\n\n\
                 The rules stay in force as they are; `docker firewall reset` takes them away.",
            )
            .arg(dry_run()),
        command("status", "Show whether the services are installed and run").long_about(
            "Show whether the services are installed and run.\n\n\
             Exits with 0 if they do and with 1 otherwise.",
        ),
    ])
}
