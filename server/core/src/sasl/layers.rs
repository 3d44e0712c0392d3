//! Owns the end of a GSSAPI exchange, where both sides agree on a security layer (RFC 4752, 3.1 and
//! 3.2): what is inside the wrapped tokens. Must not wrap or unwrap. Source: `GssKrb5Server`.

/// The layer that is none, the only one on offer: what follows is not protected.
const NO_LAYER: u8 = 1;
/// Bytes that this side would take at once in a layer. Source: `GssKrb5Base.recvMaxBufSize`.
const RECEIVE_MAX: u32 = 65_536;

/// What the server offers.
#[must_use]
pub const fn offer() -> [u8; 4] {
    let [_, high, middle, low] = RECEIVE_MAX.to_be_bytes();
    [NO_LAYER, high, middle, low]
}

/// What is wrong with a client's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// It wants what was not offered.
    #[error("the client wants the security layer {0}, which was not offered")]
    Layer(u8),
    /// It does not say all. Java's server trips over it, so that the connection ends without an
    /// answer.
    #[error("the choice of a security layer has {0} bytes, and needs 4")]
    Short(usize),
}

/// Who the client asks to be, from its unwrapped choice; empty when it does not say.
///
/// # Errors
/// [`ChoiceError`]
pub fn choice(choice: &[u8]) -> Result<String, ChoiceError> {
    let short = ChoiceError::Short(choice.len());
    let layer = *choice.first().ok_or(short)?;
    if layer & NO_LAYER == 0 {
        return Err(ChoiceError::Layer(layer));
    }
    let authzid = choice.get(4..).ok_or(short)?;
    Ok(String::from_utf8_lossy(authzid).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layer_is_offered_and_taken() {
        assert_eq!(offer(), [1, 1, 0, 0]);
        assert_eq!(choice(&offer()), Ok(String::new()));
        assert_eq!(choice(b"\x01\0\0\0bob@R"), Ok("bob@R".to_owned()));
        assert_eq!(choice(b"\x03\0\0\0\xff"), Ok("\u{fffd}".to_owned()));
        assert_eq!(choice(&[4, 0, 0, 0]), Err(ChoiceError::Layer(4)));
        assert_eq!(choice(&[2]), Err(ChoiceError::Layer(2)));
        assert_eq!(choice(&[1, 0, 0]), Err(ChoiceError::Short(3)));
        assert_eq!(choice(&[]), Err(ChoiceError::Short(0)));
    }
}
