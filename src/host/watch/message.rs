//! Netlink messages of the packet filter and of its sets, as bytes (linux/netlink.h, linux/netfilter/nfnetlink.h).

/// Bytes of a `nlmsghdr`, and of it with the `nfgenmsg` that follows.
const HEADER: usize = 16;
const BODY: usize = 20;
/// The two upper bits of an attribute's type are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
const TYPE: u16 = 0x3fff;

/// One message: whose, its kind, and its attributes.
pub(super) struct Message<'a> {
    /// `NFNL_SUBSYS_...`; 0 of netlink's own messages.
    pub(super) subsystem: u8,
    /// What the subsystem calls it.
    pub(super) kind: u8,
    /// Its attributes.
    pub(super) attributes: &'a [u8],
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The messages of one datagram, up to the first that makes no sense.
pub(super) fn messages(mut rest: &[u8]) -> Vec<Message<'_>> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (rest.get(..4), half(rest, 4)) {
        let length = length.try_into().map_or(0, u32::from_ne_bytes) as usize;
        if length < HEADER {
            break;
        }
        let Some(whole) = rest.get(..length) else { break };
        let [kind, subsystem] = kind.to_le_bytes();
        found.push(Message { subsystem, kind, attributes: whole.get(BODY..).unwrap_or_default() });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The value of the attribute `wanted`.
pub(super) fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let length = usize::from(length);
        if kind & TYPE == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.next_multiple_of(4).max(4)..)?;
    }
    None
}

/// A value that is a text with a NUL at its end.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// An attribute as bytes, padded.
pub(super) fn encoded(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message as bytes; `kind` is subsystem and message, `family` is `nfgen_family`.
pub(super) fn request(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(BODY + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}
