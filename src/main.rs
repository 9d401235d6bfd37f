//! The `docker-firewall` binary.

fn main() {}
