//! One look at the kernel, with as few processes as it takes: a save a family, a list of the sets, and the members
//! of those sets that somebody wants.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;

use super::flavour::{self, Flavour, Kind};
use super::kernel::{Capabilities, HostKernel, KernelError};
use super::listing;
use crate::net::Family;
use crate::ruleset::{
    Chain, Dump, IpSet, Table, TableDump, parse_ipset_list_terse, parse_ipset_save, parse_iptables_save,
    tracks_connections,
};

type Tables = BTreeMap<(Family, Table), TableDump>;
type Missing = BTreeMap<(Family, Table), String>;
/// The tables of a family, those that cannot be used, and whether somebody's rules have its connections tracked.
type OfFamily = (Tables, Missing, bool);

/// The flavour, found out at the first call.
pub(super) fn flavour(kernel: &mut HostKernel) -> Result<Flavour, KernelError> {
    if let Some(capabilities) = &kernel.capabilities {
        return Ok(capabilities.flavour.clone());
    }
    let (flavour, _) = find_flavour(kernel)?;
    settle(kernel, flavour.clone());
    Ok(flavour)
}

/// Keeps what was found out, unless more is known.
pub(super) fn settle(kernel: &mut HostKernel, flavour: Flavour) {
    kernel.capabilities.get_or_insert(Capabilities { flavour, missing: BTreeMap::new() });
}

/// Asks plain iptables, and the other kind only where plain iptables knows nothing of Docker. Also answers what the
/// chosen kind's `iptables-save` printed, so that nobody runs it twice.
pub(super) fn find_flavour(kernel: &HostKernel) -> Result<(Flavour, String), KernelError> {
    let save = kernel.call("iptables-save", &["--counters"], "")?.stdout;
    // A program that runs can be found; the kind only chooses words when there is no other one.
    let default = flavour::default_kind(&kernel.tools, &save).unwrap_or(Kind::Nft);
    if flavour::holds_docker(&save) {
        return Ok((flavour::decide(default, &save, None), save));
    }
    let other_program = format!("iptables-{}-save", default.other().name());
    let other = match kernel.call(&other_program, &["--counters"], "") {
        Ok(ran) => Some(ran.stdout),
        // Not installed, or this kernel has no such thing: then Docker is not there either.
        Err(KernelError::ToolMissing { .. } | KernelError::Failed { .. }) => None,
        Err(error) => return Err(error),
    };
    let nowhere = !other.as_deref().is_some_and(flavour::holds_docker);
    let flavour = match kernel.before.filter(|_| nowhere) {
        Some(before) => flavour::recalled(default, before),
        None => flavour::decide(default, &save, other.as_deref()),
    };
    let save = if flavour.default { save } else { other.unwrap_or_default() };
    Ok((flavour, save))
}

/// Whether a save failed only because the host has no IPv6, which is no fault; one that has it and cannot guard it is open,
/// whatever the rules say.
pub(super) fn is_absence(kernel: &HostKernel, family: Family, error: &KernelError) -> bool {
    family == Family::V6
        && matches!(error, KernelError::Failed { .. } | KernelError::ToolMissing { .. })
        && !kernel.has_ipv6()
}

/// What one family's tool prints, counters included.
pub(super) type Save = Result<String, KernelError>;

fn save(kernel: &HostKernel, program: &str) -> Save {
    kernel.call(program, &["--counters"], "").map(|ran| ran.stdout)
}

/// Both families' saves at once, and the flavour. Where that is not known, plain `ip6tables` is asked while it is found out, for
/// it is hardly ever another one.
pub(super) fn save_both(kernel: &HostKernel, known: Option<&Flavour>) -> Result<(Flavour, Save, Save), KernelError> {
    let of_v6 = |flavour: &Flavour| flavour.program(Family::V6, "save");
    let guess = known.map_or_else(|| Kind::default_program(Family::V6, "save"), of_v6);
    thread::scope(|scope| {
        let early = scope.spawn(|| save(kernel, &guess));
        let (flavour, v4) = match known {
            Some(flavour) => (flavour.clone(), save(kernel, &flavour.program(Family::V4, "save"))),
            None => find_flavour(kernel).map(|(flavour, save)| (flavour, Ok(save)))?,
        };
        let (v6, program) = (joined(early), of_v6(&flavour));
        let v6 = if program == guess { v6 } else { save(kernel, &program) };
        Ok((flavour, v4, v6))
    })
}

/// Reads the whole state: both families and the sets at once.
pub(super) fn observe(kernel: &mut HostKernel, members: &(dyn Fn(&str) -> bool + Sync)) -> Result<Dump, KernelError> {
    let reader: &HostKernel = kernel;
    let known = reader.capabilities.as_ref();
    let (flavour, v4, v6, sets) = thread::scope(|scope| {
        let sets = scope.spawn(|| all_sets(reader, members));
        let (flavour, v4, v6) = save_both(reader, known.map(|known| &known.flavour))?;
        let missing = known.map(|known| known.missing.clone()).unwrap_or_default();
        let known = Capabilities { flavour: flavour.clone(), missing };
        let v6 = scope.spawn({
            let known = known.clone();
            move || family_tables(reader, &known, Family::V6, v6)
        });
        let v4 = family_tables(reader, &known, Family::V4, v4);
        Ok((flavour, v4, joined(v6), joined(sets)))
    })?;
    let (mut tables, mut missing, tracked_v4) = v4?;
    let (tables_v6, missing_v6, tracked_v6) = v6?;
    tables.extend(tables_v6);
    missing.extend(missing_v6);
    kernel.capabilities = Some(Capabilities { flavour, missing });
    let tracked = [(Family::V4, tracked_v4), (Family::V6, tracked_v6)];
    let tracked = tracked.into_iter().filter(|(_, tracked)| *tracked).map(|(family, _)| family).collect();
    Ok(Dump { tables, sets: sets?, tracked })
}

/// What a thread leaves; one that panicked has the panic go on here.
pub fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn family_tables(
    kernel: &HostKernel,
    known: &Capabilities,
    family: Family,
    save: Save,
) -> Result<OfFamily, KernelError> {
    let mut missing = Missing::new();
    let save = match save {
        Ok(save) => save,
        Err(error) if is_absence(kernel, family, &error) => {
            missing.extend(Table::ALL.map(|table| ((family, table), error.to_string())));
            return Ok((Tables::new(), missing, false));
        }
        Err(error) => return Err(error),
    };
    let mut tables = parsed(&known.flavour.program(family, "save"), family, &save)?;
    for table in Table::ALL {
        if !tables.contains_key(&(family, table)) {
            probe(kernel, known, (family, table), &mut tables, &mut missing)?;
        }
    }
    for dump in tables.values_mut() {
        for name in ["INPUT", "FORWARD", "OUTPUT"] {
            let open = || Chain { policy: Some("ACCEPT".to_owned()), lines: Vec::new() };
            dump.chains.entry(name.to_owned()).or_insert_with(open);
        }
    }
    Ok((tables, missing, tracks_connections(&save)))
}

/// Adds a table that the save left out because nobody used it yet. The kernel loads a legacy table only for who names
/// it; nft needs no module for one, so there is nothing to ask.
fn probe(
    kernel: &HostKernel,
    known: &Capabilities,
    key: (Family, Table),
    tables: &mut Tables,
    missing: &mut Missing,
) -> Result<(), KernelError> {
    let (family, table) = key;
    if known.flavour.kind == Kind::Nft {
        tables.insert(key, TableDump::default());
        return Ok(());
    }
    if let Some(reason) = known.missing.get(&key) {
        missing.insert(key, reason.clone());
        return Ok(());
    }
    let program = known.flavour.program(family, "save");
    match kernel.call(&program, &["--counters", "-t", table.name()], "") {
        Ok(ran) => tables.extend(parsed(&program, family, &ran.stdout)?),
        // Docker's own table cannot be missing where there is anything to guard.
        Err(error @ KernelError::Failed { .. }) if key != (Family::V4, Table::Filter) => {
            missing.insert(key, error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn parsed(program: &str, family: Family, save: &str) -> Result<Tables, KernelError> {
    parse_iptables_save(family, save).map_err(|source| KernelError::Unparsable { tool: program.to_owned(), source })
}

fn list_sets(kernel: &HostKernel) -> Result<String, KernelError> {
    kernel.call("ipset", &["list", "-terse"], "").map(|ran| ran.stdout)
}

/// All sets; with members those that are wanted.
fn all_sets(
    kernel: &HostKernel,
    members: &(dyn Fn(&str) -> bool + Sync),
) -> Result<BTreeMap<String, IpSet>, KernelError> {
    match sets(kernel, &list_sets(kernel)?, members) {
        // A set may go between the list and the look; what is gone is not in the next list.
        Err(KernelError::Failed { .. }) => sets(kernel, &list_sets(kernel)?, members),
        answer => answer,
    }
}

/// Those of a list; with members those that are wanted.
fn sets(
    kernel: &HostKernel,
    terse: &str,
    members: &(dyn Fn(&str) -> bool + Sync),
) -> Result<BTreeMap<String, IpSet>, KernelError> {
    let unparsable = |source| KernelError::Unparsable { tool: "ipset".to_owned(), source };
    let headers = parse_ipset_list_terse(terse).map_err(unparsable)?;
    let mut script = String::new();
    let mut listed = BTreeMap::new();
    for header in headers.iter().filter(|header| header.entries != Some(0) && members(&header.name)) {
        if let Some(members) = listing::of(header) {
            listed.insert(header.name.clone(), members);
            continue;
        }
        // ipset's own lines split at blanks and join between quotes.
        let quote = if header.name.contains(char::is_whitespace) { "\"" } else { "" };
        let _ = writeln!(script, "save {quote}{}{quote}", header.name);
    }
    let mut sets: BTreeMap<String, IpSet> = headers
        .into_iter()
        .map(|header| {
            let members = listed.remove(&header.name).unwrap_or_default();
            (header.name, IpSet { shape: header.shape, members })
        })
        .collect();
    if !script.is_empty() {
        // `ipset restore` obeys `save` lines too: one process for any choice of sets, and nothing read in vain.
        let save = kernel.call("ipset", &["restore"], &script)?.stdout;
        sets.extend(parse_ipset_save(&save).map_err(unparsable)?);
    }
    Ok(sets)
}
