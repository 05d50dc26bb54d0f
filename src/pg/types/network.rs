//! `inet`, `cidr`, `macaddr` and `macaddr8`.
//!
//! Their form in SQLite is the text that PostgreSQL prints; addresses are ordered by
//! [`compare`]. The binary form of an address:
//!
//! | bytes | meaning |
//! |---|---|
//! | u8 | 2 for IPv4, 3 for IPv6 |
//! | u8 | bits of the network |
//! | u8 | 1 for `cidr` |
//! | u8 | length of what follows: 4 or 16 |
//! | n  | the address |

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};

use super::{invalid_binary, invalid_text};
use crate::pg::{SqlError, SqlState};

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inet {
    pub address: IpAddr,
    pub bits: u8,
    /// Whether it is a network, which always shows its length.
    pub cidr: bool,
}

impl Inet {
    /// Reads an `inet`, or a `cidr`, whose host bits must be zero.
    pub fn parse(text: &str, cidr: bool) -> Result<Self, SqlError> {
        let name = if cidr { "cidr" } else { "inet" };
        let invalid = || invalid_text(name, text);
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let (address, given) = match address.parse::<IpAddr>() {
            Ok(address) => (address, max_bits(&address)),
            // A network may leave its last octets out.
            Err(_) if cidr => short_network(address).ok_or_else(invalid)?,
            Err(_) => return Err(invalid()),
        };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| invalid())?
            }
            Some(_) => return Err(invalid()),
            None => given,
        };
        if bits > max_bits(&address) {
            return Err(invalid());
        }
        let inet = Self { address, bits, cidr };
        if cidr && inet.network().address != address {
            return Err(SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid cidr value: \"{text}\""),
            )
            .with_detail("Value has bits set to right of mask."));
        }
        Ok(inet)
    }

    /// Reads the binary form of either type.
    pub fn decode_binary(bytes: &[u8], cidr: bool) -> Result<Self, SqlError> {
        let name = if cidr { "cidr" } else { "inet" };
        let [family, bits, _, _, address @ ..] = bytes else { return Err(invalid_binary(name)) };
        let address = match (family, <[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
            (2, Ok(octets), _) => IpAddr::V4(Ipv4Addr::from(octets)),
            (3, _, Ok(octets)) => IpAddr::V6(Ipv6Addr::from(octets)),
            _ => return Err(invalid_binary(name)),
        };
        let inet = Self { address, bits: *bits, cidr };
        if *bits > max_bits(&address) || (cidr && inet.network().address != address) {
            return Err(invalid_binary(name));
        }
        Ok(inet)
    }

    pub fn encode_binary(&self, out: &mut BytesMut) {
        let v4 = self.address.is_ipv4();
        out.put_u8(if v4 { 2 } else { 3 });
        out.put_u8(self.bits);
        out.put_u8(self.cidr.into());
        out.put_u8(if v4 { 4 } else { 16 });
        match self.address {
            IpAddr::V4(address) => out.put_slice(&address.octets()),
            IpAddr::V6(address) => out.put_slice(&address.octets()),
        }
    }

    pub fn max_bits(&self) -> u8 {
        max_bits(&self.address)
    }

    /// The address as a number, its first bit the highest of `max_bits`.
    fn number(&self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => address.into(),
        }
    }

    fn with_number(&self, number: u128) -> Self {
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        };
        Self { address, ..*self }
    }

    /// Ones where the host part is.
    fn host_bits(&self) -> u128 {
        u128::MAX.checked_shr(128 - u32::from(self.max_bits() - self.bits)).unwrap_or(0)
    }

    /// Its network: host bits zero.
    #[must_use]
    pub fn network(&self) -> Self {
        Self { cidr: true, ..self.with_number(self.number() & !self.host_bits()) }
    }

    /// The network's last address.
    #[must_use]
    pub fn broadcast(&self) -> Self {
        Self { cidr: false, ..self.with_number(self.number() | self.host_bits()) }
    }

    /// The network's mask.
    #[must_use]
    pub fn netmask(&self) -> Self {
        let all = u128::MAX >> (128 - u32::from(self.max_bits()));
        let mask = self.with_number(all & !self.host_bits());
        Self { bits: self.max_bits(), cidr: false, ..mask }
    }

    /// The mask's complement.
    #[must_use]
    pub fn hostmask(&self) -> Self {
        Self { bits: self.max_bits(), cidr: false, ..self.with_number(self.host_bits()) }
    }

    /// As a network in its shortest spelling: octets beyond the prefix left out.
    pub fn abbreviated(&self) -> String {
        let text = match self.address {
            IpAddr::V4(address) => {
                let kept = usize::from(self.bits.div_ceil(8).max(1));
                let octets: Vec<_> =
                    address.octets().iter().take(kept).map(u8::to_string).collect();
                octets.join(".")
            }
            IpAddr::V6(address) => address.to_string(),
        };
        format!("{text}/{}", self.bits)
    }

    /// The address so many further on, of the same network length; `None` beyond the last.
    #[must_use]
    pub fn plus(&self, count: i64) -> Option<Self> {
        let number = match count {
            0.. => self.number().checked_add(count.unsigned_abs().into())?,
            _ => self.number().checked_sub(count.unsigned_abs().into())?,
        };
        let fits = number.checked_shr(self.max_bits().into()).unwrap_or(0) == 0;
        fits.then(|| Self { cidr: false, ..self.with_number(number) })
    }

    /// How many addresses lie between, if both are of one family and an `i64` can tell.
    pub fn distance(&self, other: &Self) -> Option<i64> {
        let (left, right) = (self.number(), other.number());
        let size = i128::try_from(left.abs_diff(right)).ok()?;
        i64::try_from(if left < right { -size } else { size }).ok()
    }

    /// The address with each bit combined with the other's; the longer network's length.
    #[must_use]
    pub fn combined(&self, other: &Self, bits: fn(u128, u128) -> u128) -> Self {
        let combined = self.with_number(bits(self.number(), other.number()));
        Self { bits: self.bits.max(other.bits), cidr: false, ..combined }
    }

    /// The address with each bit turned round.
    #[must_use]
    pub fn complement(&self) -> Self {
        let all = u128::MAX >> (128 - u32::from(self.max_bits()));
        Self { cidr: false, ..self.with_number(!self.number() & all) }
    }

    /// Whether `other`'s network lies in this one's, or is the same.
    pub fn contains(&self, other: &Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.bits <= other.bits
            && (self.number() ^ other.number()) & !self.host_bits() == 0
    }
}

impl Display for Inet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.address {
            // PostgreSQL writes the last 32 bits of these two kinds as octets.
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
                write!(f, "::ffff:{}", address.to_ipv4_mapped().expect("just seen"))?;
            }
            IpAddr::V6(_) if matches!(self.number(), 0x1_0000..=0xffff_ffff) => {
                write!(f, "::{}", Ipv4Addr::from(self.number() as u32))?;
            }
            address => write!(f, "{address}")?,
        }
        if self.cidr || self.bits < self.max_bits() { write!(f, "/{}", self.bits) } else { Ok(()) }
    }
}

fn max_bits(address: &IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `10.1` is `10.1.0.0/16`; a first octet alone has the length of its old class.
fn short_network(text: &str) -> Option<(IpAddr, u8)> {
    let mut octets = [0; 4];
    let mut count = 0;
    for part in text.split('.') {
        *octets.get_mut(count)? = part.parse().ok()?;
        count += 1;
    }
    let class = match octets[0] {
        0..=127 => 8,
        128..=191 => 16,
        192..=223 => 24,
        _ => 32,
    };
    Some((IpAddr::V4(octets.into()), class.max(8 * count as u8)))
}

/// The order of addresses in their text form: IPv4 first, then the networks, the wider
/// ones first, then the hosts in them. What is no address comes last.
pub fn compare(left: &str, right: &str) -> Ordering {
    let read = |text| Inet::parse(text, false).ok();
    match (read(left), read(right)) {
        (Some(left), Some(right)) => {
            let key = |inet: &Inet| (inet.address.is_ipv6(), inet.max_bits());
            key(&left).cmp(&key(&right)).then_with(|| {
                let common = Inet { bits: left.bits.min(right.bits), ..left };
                let prefix = |inet: &Inet| inet.number() & !common.host_bits();
                prefix(&left)
                    .cmp(&prefix(&right))
                    .then(left.bits.cmp(&right.bits))
                    .then(left.number().cmp(&right.number()))
            })
        }
        (None, None) => left.cmp(right),
        (left, _) => left.is_none().cmp(&true).reverse(),
    }
}

/// Reads a hardware address of `N` bytes, in any of the usual spellings; six bytes given
/// where eight are wanted have `ff:fe` put into their middle.
pub fn parse_mac<const N: usize>(text: &str) -> Result<[u8; N], SqlError> {
    let name = if N == 8 { "macaddr8" } else { "macaddr" };
    let invalid = || invalid_text(name, text);
    let mut digits = Vec::with_capacity(2 * N);
    let (mut group, mut separator) = (0, None);
    for char in text.trim().chars() {
        match char.to_digit(16) {
            Some(digit) => {
                digits.push(digit as u8);
                group += 1;
            }
            // Between whole bytes only.
            None if matches!(char, ':' | '-' | '.')
                && group > 0
                && group % 2 == 0
                && *separator.get_or_insert(char) == char =>
            {
                // Groups of two bytes are parted by points or hyphens, not colons.
                if N == 6 && char == ':' && group == 4 {
                    return Err(invalid());
                }
                group = 0;
            }
            None => return Err(invalid()),
        }
    }
    let mut bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() % 2 != 0 || group == 0 {
        return Err(invalid());
    }
    if N == 8 && bytes.len() == 6 {
        bytes.splice(3..3, [0xff, 0xfe]);
    }
    bytes.try_into().map_err(|_| invalid())
}

/// The text form: `08:00:2b:01:02:03`.
pub fn print_mac(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}
