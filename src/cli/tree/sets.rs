//! The commands on sets of addresses.

use clap::{Arg, Command};

use super::{command as leaf, format, one, quiet, some, value};
use crate::cli::duration::parse_timeout;
use crate::cli::values;
use crate::policy::{SetName, SetNameError};

const CREATE: &str = "  docker firewall set create ipfriends
  docker firewall set create office --type hash:ip";
const ADD: &str = "  docker firewall set add ipfriends 192.0.2.7 2001:db8::/32
  docker firewall set add ipfriends 198.51.100.9 --for 2h --comment \"on call\"";
const IMPORT: &str = "  docker firewall set import ipfriends ipfriends.conf
  ipset save ipfriends | docker firewall set import ipfriends -";
const EXPORT: &str = "  docker firewall set export ipfriends > ipfriends.conf";

pub(super) fn command() -> Command {
    leaf("set", "Manage sets of addresses").subcommands([
        leaf("create", "Create a set").after_help(CREATE).args([
            name(one("name", "NAME")),
            value("type", None, "string", "What it holds: hash:net or hash:ip (default \"hash:net\")")
                .value_parser(values::parse_set_type),
            comment("A remark to be stored with the set"),
        ]),
        leaf("add", "Add entries to a set").after_help(ADD).args([
            name(one("name", "NAME")),
            some("entry", "ENTRY").value_parser(values::parse_entry),
            value("for", None, "duration", "End the entries after this time (30m, 2h, 7d)").value_parser(parse_timeout),
            comment("A remark to be stored with the entries"),
        ]),
        leaf("del", "Delete entries from a set")
            .args([name(one("name", "NAME")), some("entry", "ENTRY").value_parser(values::parse_entry)]),
        leaf("ls", "List sets").visible_alias("list").args([quiet("Only display set names"), format()]),
        leaf("inspect", "Display detailed information on one or more sets").args([
            name(some("name", "NAME")),
            value("format", None, "string", "Format output: 'json' prints the array without indentation")
                .value_parser(values::parse_inspect_format),
        ]),
        leaf("rm", "Remove one or more sets").visible_alias("remove").arg(name(some("name", "NAME"))),
        leaf("import", "Make a set hold what a file says and nothing else")
            .after_help(IMPORT)
            .args([name(one("name", "NAME")), one("file", "FILE|-").value_parser(values::parse_input)]),
        leaf("export", "Write a set in the form that ipset restore reads")
            .after_help(EXPORT)
            .arg(name(one("name", "NAME"))),
        leaf("test", "Test whether an address is in a set")
            .long_about("Test whether an address is in a set.\n\nExits with 0 if it is and with 1 if not.")
            .args([name(one("name", "NAME")), one("address", "IP").value_parser(values::parse_address)]),
    ])
}

fn name(arg: Arg) -> Arg {
    arg.value_parser(|text: &str| text.parse::<SetName>().map_err(|error: SetNameError| error.to_string()))
}

fn comment(help: &'static str) -> Arg {
    value("comment", None, "string", help).value_parser(values::parse_comment)
}
