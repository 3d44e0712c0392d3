//! Owns addresses in ACLs: what is one, and which clients it means. Works on text, as the scheme
//! does, with ZooKeeper's own rules for it. Source: `IPAuthenticationProvider`.

/// An address in network order: 4 bytes or 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

/// Groups in an IPv6 address.
const GROUPS: usize = 8;

impl Address {
    fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            parse_v6(text).map(Self::V6)
        } else {
            parse_v4(text).map(Self::V4)
        }
    }

    const fn bits(self) -> i32 {
        match self {
            Self::V4(_) => 32,
            Self::V6(_) => 128,
        }
    }

    /// Whether the first `bits` are the same; addresses of different families never are.
    fn same_prefix(self, other: Self, bits: i32) -> bool {
        // The address as a number from the top, so that a prefix is what is left after a shift.
        let (own, other, width) = match (self, other) {
            (Self::V4(own), Self::V4(other)) => (
                u32::from_be_bytes(own).into(),
                u32::from_be_bytes(other).into(),
                32,
            ),
            (Self::V6(own), Self::V6(other)) => {
                (u128::from_be_bytes(own), u128::from_be_bytes(other), 128)
            }
            _ => return false,
        };
        let cut = u32::try_from(width - bits).unwrap_or_default();
        own.checked_shr(cut).unwrap_or(0) == other.checked_shr(cut).unwrap_or(0)
    }
}

/// What Java's `Integer.parseInt` accepts, in ASCII: a sign, then at least one digit.
fn java_int(text: &str, radix: u32) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_digit(radix));
    if plain {
        i32::from_str_radix(text, radix).ok()
    } else {
        None
    }
}

fn parse_v4(text: &str) -> Option<[u8; 4]> {
    let mut parts = text.split('.');
    let mut bytes = [0; 4];
    for byte in &mut bytes {
        *byte = u8::try_from(java_int(parts.next()?, 10)?).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

fn parse_v6(text: &str) -> Option<[u8; 16]> {
    let mut halves = text.split("::");
    let (front, back) = (halves.next()?, halves.next());
    if halves.next().is_some() {
        return None;
    }
    let groups = |half: &str| -> Option<Vec<[u8; 2]>> {
        if half.is_empty() {
            Some(Vec::new())
        } else {
            half.split(':').map(group).collect()
        }
    };
    let mut bytes = [[0; 2]; GROUPS];
    let front = groups(front)?;
    match back {
        None if front.len() == GROUPS => bytes.copy_from_slice(&front),
        None => return None,
        Some(back) => {
            let back = groups(back)?;
            // The gap stands for one group at least.
            if front.len() + back.len() >= GROUPS {
                return None;
            }
            bytes.get_mut(..front.len())?.copy_from_slice(&front);
            bytes.get_mut(GROUPS - back.len()..)?.copy_from_slice(&back);
        }
    }
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(bytes.iter().flatten()) {
        *to = *from;
    }
    Some(out)
}

/// Up to four characters of a hexadecimal number, of which the sign may be one.
fn group(text: &str) -> Option<[u8; 2]> {
    if text.len() > 4 {
        return None;
    }
    let [_, _, high, low] = java_int(text, 16)?.to_be_bytes();
    Some([high, low])
}

/// Splits `address[/bits]`.
fn pattern(text: &str) -> Option<(Address, i32)> {
    let (address, bits) = match text.split_once('/') {
        None => (text, None),
        Some((address, bits)) => (address, Some(bits)),
    };
    let address = Address::parse(address)?;
    let bits = match bits {
        None => address.bits(),
        Some(bits) => java_int(bits, 10)?,
    };
    (0..=address.bits())
        .contains(&bits)
        .then_some((address, bits))
}

/// Whether `text` can stand in an ACL: an address, or the first bits of one.
pub(super) fn is_valid(text: &str) -> bool {
    pattern(text).is_some()
}

/// Whether the client at `client` is meant by the ACL's `text`.
pub(super) fn matches(client: &str, text: &str) -> bool {
    let Some((address, bits)) = pattern(text) else {
        return false;
    };
    Address::parse(client).is_some_and(|client| client.same_prefix(address, bits))
}
