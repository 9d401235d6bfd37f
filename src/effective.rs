//! Who gets through in truth: a packet's whole way through the kernel as it is, past everybody's rules.
//!
//! Pure. What was read of the kernel and the host comes in as data ([`Kernel`], [`Host`]); set look-ups and listening
//! sockets are asked for. An answer is [`Answer::Unknown`] where a rule decides that is not understood: a rule that may
//! match or not is followed both ways, and only if both end alike is there an answer.
//!
//! What a packet meets and this leaves out: `IPsec`, `tc` and eBPF, none of which iptables knows of; and neighbour
//! discovery, which rules can bar too. Policy routing is not read either: where there is some, it is named as unread.

mod apart;
mod exchange;
mod host;
mod journey;
mod judge;
mod memo;
mod passage;
mod segment;
mod walk;

pub use apart::{Apart, Others};
pub use host::{Host, Listener, Route};
pub use journey::{Effort, Kernel, Start, at_hook, inbound, inside};
pub use memo::Memo;
pub use passage::{Answer, Cause, Certainty, Passage, Place, Step};
pub use segment::{ACK, Link, Lookup, SYN, Segment, Tracking, held};
