//! Members of sets in bulk. `ipset restore` takes twice as long over a line as the kernel, and the kernel four times as long
//! over its short messages as over long ones; so long runs of addresses go to the kernel from here, and everything else
//! through `ipset`, in the order of the text. A line that the kernel refuses is put to `ipset` once more: it knows the words.

use std::os::fd::OwnedFd;

use super::elements::{Deed, LINENO, Line};
use super::headers::{self, named};
use super::kernel::{HostKernel, KernelError};
use super::membership::{ANSWERED, ELEMENTS};
use super::netlink::{self, NESTED, acknowledged, attribute, find};

/// `IPSET_CMD_ADD`, `IPSET_CMD_DEL`.
const ADD: u16 = 9;
const DEL: u16 = 10;
/// `NLM_F_EXCL`: what is so already is an error.
const EXCLUSIVE: u16 = 0x200;
/// Lines of one set in a row from which on `ipset` is spared.
const RUN: usize = 64;
/// The length of a nested attribute has two bytes.
const BATCH: usize = 60_000;

/// Where a line begins in the text, and its number from 1.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    number: usize,
}

/// One `ipset restore` of this text. Not atomic: what comes before a bad line stays.
pub(super) fn restore(kernel: &HostKernel, text: &str) -> Result<(), KernelError> {
    let socket = if text.lines().nth(RUN - 1).is_some() { netlink::socket().ok() } else { None };
    let Some(socket) = socket else { return kernel.call("ipset", &["restore"], text).map(drop) };
    let mut at = Place { offset: 0, number: 1 };
    // What `ipset` is to read begins here.
    let mut begun = at;
    let mut before = None;
    while let Some(line) = line_at(text, at) {
        let deed = Line::read(line).map(|line| line.deed);
        if deed.is_none() || deed == before || !is_run(&text[at.offset..]) {
            before = deed;
            at = next(at, line);
            continue;
        }
        ask_tool(kernel, text, begun, at)?;
        at = run(kernel, &socket, text, at)?;
        begun = at;
        before = None;
    }
    ask_tool(kernel, text, begun, at)
}

fn line_at(text: &str, at: Place) -> Option<&str> {
    text.get(at.offset..).filter(|rest| !rest.is_empty())?.split('\n').next()
}

fn next(at: Place, line: &str) -> Place {
    Place { offset: at.offset + line.len() + 1, number: at.number + 1 }
}

/// Whether enough lines do the same to one set.
fn is_run(rest: &str) -> bool {
    let mut deeds = rest.split('\n').take(RUN).map(|line| Line::read(line).map(|line| line.deed));
    let first = deeds.next().flatten();
    first.is_some() && deeds.by_ref().filter(|deed| *deed == first).count() == RUN - 1
}

/// Lets `ipset` read a part of the text.
fn ask_tool(kernel: &HostKernel, text: &str, from: Place, to: Place) -> Result<(), KernelError> {
    let part = text.get(from.offset..to.offset.min(text.len())).unwrap_or_default();
    if part.is_empty() {
        return Ok(());
    }
    let shifted = |error| match error {
        KernelError::Failed { tool, stderr, line: Some((number, line)) } => {
            let whole = from.number + number - 1;
            let stderr = stderr.replace(&format!("line {number}:"), &format!("line {whole}:"));
            KernelError::Failed { tool, stderr, line: Some((whole, line)) }
        }
        error => error,
    };
    kernel.call("ipset", &["restore"], part).map(drop).map_err(shifted)
}

/// Sends the lines from here on that do the same to the same set; answers where they end.
fn run(kernel: &HostKernel, socket: &OwnedFd, text: &str, from: Place) -> Result<Place, KernelError> {
    let Some(first) = line_at(text, from).and_then(Line::read) else { return Ok(from) };
    let (mut at, mut batch) = (from, Vec::with_capacity(BATCH + 1024));
    loop {
        let end = fill(text, at, first.deed, &mut batch);
        if batch.is_empty() {
            return Ok(at);
        }
        at = match send_batch(socket, first.deed, &batch) {
            Ok(()) => end,
            Err(Some(number)) if number >= at.number => {
                while let Some(line) = line_at(text, at).filter(|_| at.number < number) {
                    at = next(at, line);
                }
                let after = next(at, line_at(text, at).unwrap_or_default());
                // Perhaps it was a passing trouble: then `ipset` has done it, and the rest follows.
                ask_tool(kernel, text, at, after)?;
                after
            }
            Err(_) => {
                // Nothing of the batch was looked at.
                let end = Place { offset: text.len(), number: at.number };
                return ask_tool(kernel, text, at, end).map(|()| end);
            }
        };
    }
}

/// Makes a batch of the lines from here on that do this, as many as go into one; answers where they end.
fn fill(text: &str, mut at: Place, deed: Deed<'_>, batch: &mut Vec<u8>) -> Place {
    batch.clear();
    while batch.len() < BATCH {
        let Some(said) = line_at(text, at) else { break };
        let Some(line) = Line::read(said).filter(|line| line.deed == deed) else { break };
        line.write(u32::try_from(at.number).unwrap_or(u32::MAX), batch);
        at = next(at, said);
    }
    at
}

/// Has the kernel take a batch; the error is the line that it refused, if it says.
fn send_batch(socket: &OwnedFd, deed: Deed<'_>, batch: &[u8]) -> Result<(), Option<usize>> {
    let (command, flags) = (if deed.del { DEL } else { ADD }, if deed.exist { ANSWERED } else { ANSWERED | EXCLUSIVE });
    // That there is one asks for the number of the line which is refused.
    let lines = attribute(LINENO, &[0; 4]);
    let message = headers::message(command, flags, &[named(deed.set), lines, attribute(ELEMENTS | NESTED, batch)]);
    let Some(refusal) = acknowledged(socket, &message, &mut vec![0; BATCH + 8192]).map_err(|_| None)? else {
        return Ok(());
    };
    let number = find(&refusal.attributes, LINENO).and_then(|number| Some(u32::from_ne_bytes(number.try_into().ok()?)));
    Err(number.and_then(|number| usize::try_from(number).ok()))
}
