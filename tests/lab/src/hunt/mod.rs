//! The leak hunt: containers come, go and swap addresses, engines restart, tools flush and edit, while a stranger tries
//! every door without pause and a friend comes by many times a second.
//!
//! A leak is an answer from a guarded container to the stranger, or a word of the stranger's that one received. Whether
//! the prober looks at all is shown by the same events without agent and backstop, which have to leak.

mod errand;
mod event;
mod friend;
mod report;
mod run;
mod stranger;
mod volley;
mod world;

pub use errand::Errand;
pub use report::Report;
pub use run::run;
