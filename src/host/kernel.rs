//! Reading and writing the kernel's rules and sets, in the tools' own batch forms.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io, thread};

use thiserror::Error;

use super::bulk;
use super::flavour::{Flavour, Kind};
use super::observe;
use super::tools::{Ran, Tools};
use crate::net::Family;
use crate::ruleset::{Dump, ParseError, Table};

/// The kernel, as far as we read and write it.
pub trait Kernel {
    /// Reads both tables (filter, security) of both families and the sets: the members of every set for which
    /// `members(name)` is true, headers only of the others.
    fn observe(&mut self, members: &(dyn Fn(&str) -> bool + Sync)) -> Result<Dump, KernelError>;

    /// One `iptables-restore --noflush --wait` (or ip6tables) call. Atomic per table.
    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError>;

    /// The same for both families, side by side where the tools allow it: no packet is of both.
    fn restore_both(&mut self, v4: &str, v6: &str) -> [Result<(), KernelError>; 2] {
        [self.restore_rules(Family::V4, v4), self.restore_rules(Family::V6, v6)]
    }

    /// One `ipset restore` call. NOT atomic: an error leaves the lines before it in force.
    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError>;
}

/// Why the kernel could not be read or written.
#[derive(Debug, Error)]
pub enum KernelError {
    /// A program is not installed.
    #[error("{tool} is not installed: it comes with the package {debian} (Debian, Ubuntu) or {fedora} (Fedora)")]
    ToolMissing {
        /// The program.
        tool: String,
        /// Debian's package.
        debian: &'static str,
        /// Fedora's package.
        fedora: &'static str,
    },
    /// Not root, or without `CAP_NET_ADMIN`.
    #[error("{tool} may not touch the kernel's firewall: {stderr}")]
    NotPermitted {
        /// The program.
        tool: String,
        /// What it said, verbatim.
        stderr: String,
    },
    /// A program failed.
    #[error("{tool} failed: {stderr}{}", .line.as_ref().map(|(number, text)| format!(" (line {number}: {text})")).unwrap_or_default())]
    Failed {
        /// The program and its arguments.
        tool: String,
        /// What it said, verbatim.
        stderr: String,
        /// The line of our text that it named: its number from 1, and the line.
        line: Option<(usize, String)>,
    },
    /// A program could not be run at all.
    #[error("{tool} could not be run: {source}")]
    NotRun {
        /// The program.
        tool: String,
        /// Why.
        source: io::Error,
    },
    /// The namespace that it is about cannot be worked in.
    #[error("{0}")]
    Elsewhere(String),
    /// A program printed what we do not understand; nothing is done on half a picture.
    #[error("what {tool} printed was not understood: {source}")]
    Unparsable {
        /// The program.
        tool: String,
        /// Where and why.
        source: ParseError,
    },
}

/// What this kernel and these tools can do; known after the first observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Which iptables is used.
    pub flavour: Flavour,
    /// The tables that cannot be used, with what the tool said.
    pub missing: BTreeMap<(Family, Table), String>,
}

impl Capabilities {
    /// Whether a table can be used.
    pub fn has(&self, family: Family, table: Table) -> bool {
        !self.missing.contains_key(&(family, table))
    }
}

/// Every IPv6 address of this network namespace, a line each; missing where the kernel has no IPv6.
const ADDRESSES_V6: &str = "/proc/thread-self/net/if_inet6";

/// The running kernel.
#[derive(Debug)]
pub struct HostKernel {
    pub(super) tools: Tools,
    pub(super) capabilities: Option<Capabilities>,
    /// The kind that Docker used when it last had chains.
    pub(super) before: Option<Kind>,
    /// Lists this namespace's IPv6 addresses; a test puts a file of its own there.
    addresses_v6: PathBuf,
}

impl HostKernel {
    /// The kernel of this network namespace. Nothing is run yet.
    pub fn new(tools: Tools) -> Self {
        Self { tools, capabilities: None, before: None, addresses_v6: ADDRESSES_V6.into() }
    }

    /// The same, with the flavour settled instead of found out.
    pub fn with_flavour(tools: Tools, flavour: Flavour) -> Self {
        Self { capabilities: Some(Capabilities { flavour, missing: BTreeMap::new() }), ..Self::new(tools) }
    }

    /// The same, for a moment at which Docker may have no chains yet: then it is the kind that it used before.
    #[must_use]
    pub fn with_kind_before(self, before: Kind) -> Self {
        Self { before: Some(before), ..self }
    }

    /// What it can do; `None` before the first observation.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities.as_ref()
    }

    /// As if this namespace's IPv6 addresses were those that `file` lists.
    #[must_use]
    pub fn with_ipv6_addresses(self, file: PathBuf) -> Self {
        Self { addresses_v6: file, ..self }
    }

    /// Whether IPv6 packets can arrive here at all. In doubt they can.
    pub(super) fn has_ipv6(&self) -> bool {
        match fs::read_to_string(&self.addresses_v6) {
            Ok(addresses) => !addresses.trim().is_empty(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    fn write_rules(&self, flavour: &Flavour, family: Family, text: &str) -> Result<(), KernelError> {
        self.call(&flavour.program(family, "restore"), &["--noflush", "--wait", "--counters"], text).map(drop)
    }

    /// Runs a tool that has to succeed.
    pub(super) fn call(&self, tool: &str, arguments: &[&str], stdin: &str) -> Result<Ran, KernelError> {
        let shown = || [&[tool], arguments].concat().join(" ");
        let ran = self
            .tools
            .run(tool, arguments, stdin)
            .ok_or_else(|| missing_tool(tool))?
            .map_err(|source| KernelError::NotRun { tool: tool.to_owned(), source })?;
        if ran.success { Ok(ran) } else { Err(failure(shown(), &ran.stderr, stdin)) }
    }
}

impl Kernel for HostKernel {
    fn observe(&mut self, members: &(dyn Fn(&str) -> bool + Sync)) -> Result<Dump, KernelError> {
        observe::observe(self, members)
    }

    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError> {
        let flavour = observe::flavour(self)?;
        self.write_rules(&flavour, family, text)
    }

    fn restore_both(&mut self, v4: &str, v6: &str) -> [Result<(), KernelError>; 2] {
        let flavour = match observe::flavour(self) {
            Ok(flavour) => flavour,
            Err(error) => return [Err(error), Ok(())],
        };
        let writer: &Self = self;
        // The legacy tools share one lock, and some of them look for it once a second only.
        if flavour.kind == Kind::Legacy {
            return [(Family::V4, v4), (Family::V6, v6)]
                .map(|(family, text)| writer.write_rules(&flavour, family, text));
        }
        thread::scope(|scope| {
            let v6 = scope.spawn(|| writer.write_rules(&flavour, Family::V6, v6));
            let v4 = writer.write_rules(&flavour, Family::V4, v4);
            [v4, observe::joined(v6)]
        })
    }

    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError> {
        bulk::restore(self, text)
    }
}

/// The packages of a program that is not there.
fn missing_tool(tool: &str) -> KernelError {
    let (debian, fedora) = if tool == "ipset" {
        ("ipset", "ipset")
    } else if tool.contains(Kind::Legacy.name()) {
        ("iptables", "iptables-legacy")
    } else {
        ("iptables", "iptables-nft")
    };
    KernelError::ToolMissing { tool: tool.to_owned(), debian, fedora }
}

/// The error of a tool that failed on `input`.
fn failure(tool: String, stderr: &str, input: &str) -> KernelError {
    let stderr = stderr.trim_end().to_owned();
    let refused = ["Permission denied", "Operation not permitted", "you must be root"];
    if refused.iter().any(|words| stderr.contains(words)) {
        return KernelError::NotPermitted { tool, stderr };
    }
    let line = named_line(&stderr).and_then(|number| {
        let text = input.lines().nth(number.checked_sub(1)?)?;
        Some((number, text.to_owned()))
    });
    KernelError::Failed { tool, stderr, line }
}

/// The number after the first `line` that has one: `Error occurred at line: 3`, `line 3 failed`, `Error in line 3:`.
fn named_line(stderr: &str) -> Option<usize> {
    stderr.match_indices("line").find_map(|(at, word)| {
        let rest = stderr[at + word.len()..].trim_start_matches([':', ' ']);
        let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_that_a_tool_names() {
        for (stderr, number) in [
            ("ipset v7.17: Error in line 3: Element cannot be added to the set: it's already added", Some(3)),
            ("iptables-nft-restore: line 2 failed: Bad rule (does a matching rule exist in that chain?).", Some(2)),
            ("iptables-restore v1.8.9 (legacy): Set nosuch doesn't exist.\n\nError occurred at line: 3\nTry", Some(3)),
            (
                "iptables-nft-restore v1.8.9 (nf_tables): \nline 12: CHAIN_DEL failed (Device or resource busy)",
                Some(12),
            ),
            ("Fatal: can't open lock file", None),
            ("a line", None),
        ] {
            assert_eq!(named_line(stderr), number, "{stderr}");
        }
    }

    #[test]
    fn says_which_line_of_ours() {
        let error = failure("ipset restore".to_owned(), "ipset v7.17: Error in line 2: no\n", "flush a\nadd a zzz\n");
        assert_eq!(error.to_string(), "ipset restore failed: ipset v7.17: Error in line 2: no (line 2: add a zzz)");
    }
}
