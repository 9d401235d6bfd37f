//! The kill test of one engine: `kill 28.5 [nft|legacy] [--plugin FILE]`.
#![forbid(unsafe_code)]
