//! What a rule does with a packet that meets its conditions.

use std::net::IpAddr;

/// What becomes of a destination's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPort {
    /// It stays.
    Same,
    /// This one.
    One(u16),
    /// One of several.
    Several,
}

impl NewPort {
    /// `None` where nobody can tell.
    pub fn of(self, port: Option<u16>) -> Option<u16> {
        match self {
            Self::Same => port,
            Self::One(new) => Some(new),
            Self::Several => None,
        }
    }

    fn parse(text: Option<&str>) -> Self {
        text.map_or(Self::Same, |text| text.parse().map_or(Self::Several, Self::One))
    }
}

/// A target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Through, past the rest of this table.
    Accept,
    /// Gone: `DROP`, `REJECT`.
    Drop,
    /// Back to the calling chain.
    Return,
    /// Call a chain and come back.
    Jump(String),
    /// Enter a chain for good.
    Goto(String),
    /// `DNAT`.
    Translate {
        /// The new destination; `None`: as it was.
        address: Option<IpAddr>,
        /// Its port.
        port: NewPort,
    },
    /// `REDIRECT`: to the host itself.
    Redirect {
        /// The new port.
        port: NewPort,
    },
    /// `SNAT`, `MASQUERADE`: where it came from is hidden from here on, behind this address or one of the host's.
    Hide(Option<IpAddr>),
    /// `MARK --set-xmark VALUE/MASK`: clears the mask's bits and turns the value's.
    Mark {
        /// The value.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// Does something to a mark that cannot be told.
    Remark,
    /// `CT --notrack`.
    Untrack,
    /// `SET`: adds to or removes from this set.
    Fill(String),
    /// Goes on with the next rule: `LOG`, counters.
    Continue,
    /// Not understood.
    Unknown,
}

impl Target {
    /// Tells chains from extensions: both are written `-j NAME`, and a name that neither has is not to be trusted.
    pub(super) fn settle(&mut self, bare: Option<&str>, is_chain: impl Fn(&str) -> bool) {
        match self {
            Self::Jump(name) | Self::Goto(name) if is_chain(name) => {}
            Self::Jump(_) | Self::Goto(_) => *self = Self::Unknown,
            // Extensions that this host has not got leave their names to chains.
            _ => {
                if let Some(name) = bare.filter(|name| is_chain(name)) {
                    *self = Self::Jump(name.to_owned());
                }
            }
        }
    }

    /// Reads `-j NAME OPTION...`. A name that no extension has is a chain's.
    pub(super) fn parse(name: &str, options: &[String]) -> Self {
        match name {
            "ACCEPT" => Self::Accept,
            "DROP" | "REJECT" => Self::Drop,
            "RETURN" => Self::Return,
            "DNAT" => value(options, "--to-destination").and_then(destination).unwrap_or(Self::Unknown),
            "REDIRECT" => Self::Redirect { port: NewPort::parse(value(options, "--to-ports")) },
            "SNAT" => match value(options, "--to-source").and_then(destination) {
                Some(Self::Translate { address, .. }) => Self::Hide(address),
                _ => Self::Unknown,
            },
            "MASQUERADE" => Self::Hide(None),
            "MARK" => mark(options).unwrap_or(Self::Remark),
            "CONNMARK" | "CONNSECMARK" | "HMARK" => Self::Remark,
            "NOTRACK" => Self::Untrack,
            "CT" if options.iter().any(|word| word == "--notrack") => Self::Untrack,
            "SET" => {
                let words = ["--add-set", "--del-set", "--map-set"];
                let name = words.iter().find_map(|word| value(options, word));
                name.map_or(Self::Unknown, |name| Self::Fill(name.to_owned()))
            }
            "LOG" | "NFLOG" | "ULOG" | "TRACE" | "AUDIT" | "LED" | "TEE" | "CLASSIFY" | "TOS" | "DSCP" | "TCPMSS"
            | "TCPOPTSTRIP" | "ECN" | "TTL" | "HL" | "CHECKSUM" | "SECMARK" | "RATEEST" | "IDLETIMER" | "CT"
            | "ACCOUNT" => Self::Continue,
            "QUEUE" | "NFQUEUE" | "TPROXY" | "SYNPROXY" | "NETMAP" | "DNPT" | "SNPT" | "TARPIT" | "CHAOS"
            | "DELUDE" | "SAME" | "CLUSTERIP" | "MIRROR" | "RAWDNAT" | "RAWSNAT" | "ECHO" | "SYSRQ" | "STEAL" => {
                Self::Unknown
            }
            chain if options.is_empty() => Self::Jump(chain.to_owned()),
            _ => Self::Unknown,
        }
    }
}

fn value<'a>(options: &'a [String], name: &str) -> Option<&'a str> {
    let at = options.iter().position(|word| word == name)?;
    options.get(at + 1).map(String::as_str)
}

/// `10.0.0.1`, `10.0.0.1:80`, `[fd00::1]:80`, `:80`. A range of addresses is anybody's.
fn destination(text: &str) -> Option<Target> {
    let (address, ports) = if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        (address, after.strip_prefix(':'))
    } else if text.matches(':').count() > 1 {
        (text, None)
    } else {
        text.split_once(':').map_or((text, None), |(address, ports)| (address, Some(ports)))
    };
    let address = if address.is_empty() { None } else { Some(address.parse().ok()?) };
    Some(Target::Translate { address, port: NewPort::parse(ports) })
}

/// `--set-xmark 0x1/0xff`, and the forms that iptables prints as that.
fn mark(options: &[String]) -> Option<Target> {
    let (value, mask) = masked(value(options, "--set-xmark")?)?;
    Some(Target::Mark { value, mask })
}

/// `VALUE[/MASK]`, decimal or hexadecimal.
pub(super) fn masked(text: &str) -> Option<(u32, u32)> {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Some((number(value)?, number(mask)?))
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
