//! The policy file: TOML that people write and that commands edit.
//!
//! The text itself is what is kept: an edit replaces or cuts bytes of it at places that the parser names, so
//! everything else stays as it was, byte for byte. After each edit the whole is read again and compared with what was
//! meant; a document never holds text that it could not read.

mod edit;
mod error;
mod layout;
mod read;

pub use error::{DocumentError, Problem};
pub use read::{ROOT_KEYS, RULE_KEYS};

use super::rule::Policy;
use layout::Layout;

/// Most bytes a policy file may have; far more than people write, little enough to parse at every command.
pub const DOCUMENT_MAX: usize = 4 * 1024 * 1024;

/// What a new policy file begins with.
const HEADER: &str = r#"# Who may reach which container. `docker firewall` reads this file, and edits it without touching your comments.
# After editing it by hand: docker firewall plan (what would change), docker firewall apply (make it so).
#
# Rules are tried in order; the first that matches decides. A container that an allow rule names is closed to
# everybody else, on all its ports. A comment right above a [[rule]] belongs to the rule and is removed with it.
#
#   [[rule]]
#   verdict = "allow"                  # or "deny"
#   target = ["web", "shop/api"]       # NAME, PROJECT/SERVICE, service:NAME, label:KEY[=VALUE], network:NAME or *
#   from = ["ipfriends", "192.0.2.0/24"]   # any, address, CIDR, FIRST-LAST, set, ipset:NAME
#   port = "443/tcp,80"                # the container's ports; without: all
#   published = "8443"                 # the host's ports
#   interface = "eth0"
#   expires = 2030-01-31T18:00:00Z
#   comment = "why"
#   pending = true                     # the target may not exist yet

version = 1
default = "open"        # containers that no allow rule names: "open" as Docker left them, or "closed"
unseen = "closed"       # with the agent: a container that it has not seen yet is "closed" from outside, or "open"
hook = "docker-user"    # where the rules hang: "docker-user", "docker" or "forward"
log = false             # true: the agent writes down who is kept out; also a key of deny rules, for those alone
"#;

/// A policy file that has been read: its text and its meaning.
#[derive(Clone, Debug)]
pub struct Document {
    /// Without the byte order mark.
    text: String,
    /// The file began with one; it gets it back.
    bom: bool,
    policy: Policy,
    notes: Vec<Problem>,
    layout: Layout,
}

impl Document {
    /// Reads a policy file. The error lists everything that is wrong, except after a fault of the TOML itself.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        if text.len() > DOCUMENT_MAX {
            return Err(DocumentError::whole(format!(
                "the policy file has {} bytes: at most {DOCUMENT_MAX} (4 MiB) are read",
                text.len()
            )));
        }
        let (bare, bom) = match text.strip_prefix('\u{feff}') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let read::Reading { policy, notes, layout } = read::read(bare)?;
        Ok(Self { text: bare.to_owned(), bom, policy, notes, layout })
    }

    /// A document without rules, with the explanation that new files begin with.
    pub fn empty() -> Self {
        // The header is checked by a test; a default that cannot fail keeps this total.
        Self::parse(HEADER).unwrap_or_else(|_| Self {
            text: String::new(),
            bom: false,
            policy: Policy::default(),
            notes: Vec::new(),
            layout: Layout::default(),
        })
    }

    /// What the file says; every rule has its line.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What was read otherwise than written, to be told to the user: cleared host bits.
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// The text to be stored.
    pub fn text(&self) -> String {
        if self.bom { format!("\u{feff}{}", self.text) } else { self.text.clone() }
    }
}
