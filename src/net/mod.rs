//! Addresses, protocols and ports: the vocabulary every layer shares. No I/O, no text formats of other tools.

mod cidr;
mod family;
mod port;

pub use cidr::{CidrError, Source, kernel_blocks, parse_source};
pub use family::Family;
pub use port::{PortError, PortRange, PortSet, Protocol, parse_ports};
