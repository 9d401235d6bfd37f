//! What the kernel holds, as values: chains, rules, sets; their text forms; and a packet's walk through them.
//!
//! `render` emits exactly what `iptables-save` and `ipset save` print back, so that "observed equals desired" is plain
//! equality; `parse` reads both tools' output and never fails on foreign rules: it keeps their text.

mod counts;
mod desired;
mod dump;
mod log;
mod members;
mod packet;
mod parse;
mod render;
mod rule;
mod set;
mod trace;
mod whole;

pub use counts::{CountedMember, Counts};
pub use desired::{
    Desired, DesiredSet, DesiredTable, HookRules, SET_PREFIXES, is_own_chain, is_own_rule, is_own_set,
    is_temporary_set, temporary_set,
};
pub use dump::{Chain, Dump, Line, TableDump};
pub use log::{LOG_BLOCK_V6, LOG_BURST, LOG_BYTES, LOG_GROUP, LOG_RATE, LOG_SOURCES, LogPath, LogPrefix};
pub use members::{Gathered, Members};
pub use packet::{ConnDirection, ConnState, Packet, Path, Transport};
pub use parse::{
    ParseError, SetHeader, parse_ipset_list_terse, parse_ipset_save, parse_iptables_save, parse_rule, parse_set_entry,
    tracks_connections,
};
pub use render::{push_set_entry, render_rule, render_set_create, render_set_entry, render_set_key};
pub use rule::{Action, Match, PROOF, Rule, SetDirection, Table, names};
pub use set::{IpSet, Member, SetEntry, SetKind, SetShape};
pub use trace::{Outcome, Step, Trace, contains, forward, through, trace};
pub use whole::{
    Ask, Candidates, Condition, NewPort, States, Target, Traits, WholeChain, WholeRule, WholeRuleset, parse_whole,
};
