//! Source addresses as people type them: one address, a CIDR block or a range.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use thiserror::Error;

/// One literal source: the blocks it covers, and what was changed to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Blocks with host bits cleared; a range takes several.
    pub blocks: Vec<IpNet>,
    /// The block that was meant when host bits were set (`10.0.0.5/8` means `10.0.0.0/8`); to be said to the user.
    pub normalised: Option<IpNet>,
}

/// Why a text is no source address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CidrError {
    /// Neither address nor block nor range.
    #[error("\"{0}\" is not an IP address, CIDR block or range")]
    NotAnAddress(String),
    /// `fe80::1%eth0`.
    #[error("\"{0}\" has an IPv6 zone: zones mean nothing in a rule, name the interface with --interface instead")]
    Zone(String),
    /// `10.0.0.0/33`.
    #[error("\"{0}\" has a bad prefix length: it goes from 0 to {1}")]
    Prefix(String, u8),
    /// `10.0.0.9-10.0.0.1`.
    #[error("range \"{0}\" goes backwards")]
    Backwards(String),
    /// `10.0.0.1-fd00::1`.
    #[error("range \"{0}\" mixes IPv4 and IPv6")]
    Mixed(String),
}

fn parse_address(text: &str, whole: &str) -> Result<IpAddr, CidrError> {
    if text.contains('%') {
        return Err(CidrError::Zone(whole.to_owned()));
    }
    let address = text.parse::<IpAddr>().map_err(|_| CidrError::NotAnAddress(whole.to_owned()))?;
    // ::ffff:192.0.2.1 never arrives as an IPv6 packet; people who write it mean the IPv4 host.
    Ok(match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    })
}

fn range_blocks(first: IpAddr, last: IpAddr, whole: &str) -> Result<Vec<IpNet>, CidrError> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            Ok(Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect())
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            Ok(Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect())
        }
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Err(CidrError::Backwards(whole.to_owned())),
        _ => Err(CidrError::Mixed(whole.to_owned())),
    }
}

/// Parses `192.0.2.1`, `10.0.0.0/8`, `fd00::/8`, `10.0.0.1-10.0.0.9`. Host bits are cleared and reported.
pub fn parse_source(text: &str) -> Result<Source, CidrError> {
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (parse_address(first, text)?, parse_address(last, text)?);
        return Ok(Source { blocks: range_blocks(first, last, text)?, normalised: None });
    }
    let Some((address, prefix)) = text.split_once('/') else {
        return Ok(Source { blocks: vec![IpNet::from(parse_address(text, text)?)], normalised: None });
    };
    let address = parse_address(address, text)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CidrError::Prefix(text.to_owned(), bits));
    }
    let length = prefix.parse::<u8>().map_err(|_| CidrError::Prefix(text.to_owned(), bits))?;
    let block = IpNet::new(address, length).map_err(|_| CidrError::Prefix(text.to_owned(), bits))?;
    let clean = block.trunc();
    Ok(Source { blocks: vec![clean], normalised: (clean != block).then_some(clean) })
}

/// The two halves of everything: kernel sets of networks refuse a prefix of 0 (kernel: `ip_set_hash_net`, cidr > 0).
pub fn kernel_blocks(block: IpNet) -> Vec<IpNet> {
    const V4_HALVES: [Ipv4Net; 2] =
        [Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 1), Ipv4Net::new_assert(Ipv4Addr::new(128, 0, 0, 0), 1)];
    const V6_HALVES: [Ipv6Net; 2] = [
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 1),
        Ipv6Net::new_assert(Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0), 1),
    ];
    match block {
        IpNet::V4(v4) if v4.prefix_len() == 0 => V4_HALVES.map(IpNet::V4).to_vec(),
        IpNet::V6(v6) if v6.prefix_len() == 0 => V6_HALVES.map(IpNet::V6).to_vec(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clears_host_bits_and_says_so() {
        let source = parse_source("10.1.2.3/8").unwrap();
        assert_eq!(source.blocks, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(source.normalised, Some("10.0.0.0/8".parse().unwrap()));
        assert_eq!(parse_source("::ffff:192.0.2.1").unwrap().blocks, ["192.0.2.1/32".parse().unwrap()]);
    }

    #[test]
    fn splits_ranges_into_blocks() {
        let source = parse_source("10.0.0.1-10.0.0.4").unwrap();
        let text: Vec<String> = source.blocks.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32"]);
    }

    #[test]
    fn refuses_what_is_no_source() {
        for text in [
            "",
            "web",
            "10.0.0",
            "10.0.0.0/33",
            "fe80::1%eth0",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-fd00::1",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "1.2.3.4/8/9",
        ] {
            assert!(parse_source(text).is_err(), "{text:?} was accepted");
        }
    }
}
