//! Owns framing: a four-byte length before every packet, and what else a connection may begin with.
//! May use bytes, nom and `text::fourletter`. Must not read sockets.
//! Source: `NIOServerCnxn.readLength`, `NIOServerCnxn.checkFourLetterWord`.

use bytes::{Buf as _, BufMut as _, BytesMut};
use nom::Parser as _;
use nom::number::streaming::be_i32;

use crate::text::fourletter::{self, Command};

/// The default of `jute.maxbuffer`: the longest frame that is accepted, in bytes.
pub const DEFAULT_MAX_LENGTH: usize = 0xF_FFFF;

/// Bytes of the length before a frame, which it does not count.
pub const LENGTH_SIZE: usize = 4;

/// A length that ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Below zero.
    #[error("frame length {0} is negative")]
    Negative(i32),
    /// Above the limit; a frame of exactly the limit is accepted.
    #[error("frame length {length} exceeds jute.maxbuffer {limit}")]
    TooLong {
        /// The frame's.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// What a connection begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstPacket {
    /// An administrator's question; the connection is closed behind the answer.
    FourLetterWord(Command),
    /// A connect request, without its length.
    Frame(BytesMut),
}

/// The length of the frame at the front of `input`, without the length's own bytes; `None` while
/// it has not arrived. Nothing is consumed.
///
/// # Errors
/// A length outside 0 to `max`.
pub fn frame_length(input: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    let Ok((_, length)) = be_i32::<_, nom::error::Error<&[u8]>>.parse(input) else {
        return Ok(None);
    };
    match usize::try_from(length) {
        Err(_) => Err(FrameError::Negative(length)),
        Ok(length) if length > max => Err(FrameError::TooLong { length, limit: max }),
        Ok(length) => Ok(Some(length)),
    }
}

/// Takes the frame at the front of `input`; `None` while it is not complete. The caller decides
/// how much to reserve for the rest.
///
/// # Errors
/// A length outside 0 to `max`; `input` stays as it is.
pub fn next_frame(input: &mut BytesMut, max: usize) -> Result<Option<BytesMut>, FrameError> {
    match frame_length(input, max)? {
        Some(length) if input.len() - LENGTH_SIZE >= length => {
            input.advance(LENGTH_SIZE);
            Ok(Some(input.split_to(length)))
        }
        _ => Ok(None),
    }
}

/// Takes what a connection begins with; `None` while it is not complete. Four-letter words come
/// before the limits: their bytes would be a forbidden length.
///
/// # Errors
/// A length outside 0 to `max` that is no word; `input` stays as it is.
pub fn first_packet(input: &mut BytesMut, max: usize) -> Result<Option<FirstPacket>, FrameError> {
    match fourletter::command(input) {
        Ok((rest, command)) => {
            let used = input.len() - rest.len();
            input.advance(used);
            Ok(Some(FirstPacket::FourLetterWord(command)))
        }
        Err(nom::Err::Incomplete(_)) => Ok(None),
        Err(nom::Err::Error(_) | nom::Err::Failure(_)) => {
            Ok(next_frame(input, max)?.map(FirstPacket::Frame))
        }
    }
}

/// Appends `payload` as a frame. Servers send frames of any length that fits.
///
/// # Errors
/// A payload of more than 2³¹−1 bytes.
pub fn put_frame(out: &mut BytesMut, payload: &[u8]) -> Result<(), FrameError> {
    let limit = i32::MAX as usize;
    let length = payload.len();
    let Ok(prefix) = i32::try_from(length) else {
        return Err(FrameError::TooLong { length, limit });
    };
    out.reserve(LENGTH_SIZE + length);
    out.put_i32(prefix);
    out.put_slice(payload);
    Ok(())
}

#[cfg(feature = "codec")]
pub use codec::{CodecError, FrameCodec};

#[cfg(feature = "codec")]
mod codec {
    use std::io;

    use bytes::{Bytes, BytesMut};
    use tokio_util::codec::{Decoder, Encoder};

    use super::{FrameError, LENGTH_SIZE, frame_length, next_frame, put_frame};

    const RESERVE: usize = 64 << 10;

    /// Frames over a byte stream; yields and takes payloads.
    #[derive(Debug, Clone, Copy)]
    pub struct FrameCodec {
        /// `jute.maxbuffer`; applies to what is read only.
        pub max_len: usize,
    }

    impl Default for FrameCodec {
        fn default() -> Self {
            Self {
                max_len: super::DEFAULT_MAX_LENGTH,
            }
        }
    }

    /// Why a framed stream ends.
    #[derive(Debug, thiserror::Error)]
    #[non_exhaustive]
    pub enum CodecError {
        /// A forbidden length.
        #[error(transparent)]
        Frame(#[from] FrameError),
        /// The stream failed, or ended inside a frame.
        #[error(transparent)]
        Io(#[from] io::Error),
    }

    impl Decoder for FrameCodec {
        type Item = BytesMut;
        type Error = CodecError;

        fn decode(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
            if let Some(frame) = next_frame(input, self.max_len)? {
                return Ok(Some(frame));
            }
            if let Some(length) = frame_length(input, self.max_len)? {
                let missing = (LENGTH_SIZE + length).saturating_sub(input.len());
                // A claimed length alone is worth only so much memory.
                input.reserve(missing.min(RESERVE));
            }
            Ok(None)
        }
    }

    macro_rules! encode {
        ($($payload:ty),*) => {$(
            impl Encoder<$payload> for FrameCodec {
                type Error = CodecError;

                fn encode(&mut self, payload: $payload, out: &mut BytesMut) -> Result<(), CodecError> {
                    Ok(put_frame(out, &payload)?)
                }
            }
        )*};
    }
    encode!(Bytes, BytesMut, &[u8]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::fourletter::FourLetterWord;

    fn input(bytes: &[u8]) -> BytesMut {
        BytesMut::from(bytes)
    }

    #[test]
    fn frames_come_one_by_one() {
        let mut buffer = input(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01");
        assert_eq!(next_frame(&mut buffer, 2), Ok(Some(input(b"ab"))));
        assert_eq!(next_frame(&mut buffer, 2), Ok(Some(input(b""))));
        assert_eq!(next_frame(&mut buffer, 2), Ok(None));
        buffer.put_u8(b'c');
        assert_eq!(next_frame(&mut buffer, 2), Ok(Some(input(b"c"))));
        assert!(buffer.is_empty());
    }

    #[test]
    fn lengths_outside_the_limit_are_named() {
        let error = next_frame(&mut input(b"\0\0\0\x03abc"), 2).unwrap_err();
        assert_eq!(error.to_string(), "frame length 3 exceeds jute.maxbuffer 2");
        let error = next_frame(&mut input(b"\xFF\xFF\xFF\xFE"), 2).unwrap_err();
        assert_eq!(error, FrameError::Negative(-2));
        assert_eq!(next_frame(&mut input(b"\0\0\0"), 0), Ok(None));
        let mut longest = input(&[0x00, 0x0F, 0xFF, 0xFF]);
        longest.resize(LENGTH_SIZE + DEFAULT_MAX_LENGTH, 7);
        let frame = next_frame(&mut longest, DEFAULT_MAX_LENGTH).unwrap();
        assert_eq!(frame.map(|frame| frame.len()), Some(DEFAULT_MAX_LENGTH));
    }

    #[test]
    fn words_only_begin_connections() {
        let mut buffer = input(b"ruok");
        let expected = Command {
            word: FourLetterWord::Ruok,
            trace_mask: None,
        };
        assert_eq!(
            first_packet(&mut buffer, 10),
            Ok(Some(FirstPacket::FourLetterWord(expected)))
        );
        assert!(next_frame(&mut input(b"ruok"), 10).is_err());
        let telnet = first_packet(&mut input(b"\xFF\xF4\xFF\xFD"), 10).unwrap();
        assert!(matches!(
            telnet,
            Some(FirstPacket::FourLetterWord(Command {
                word: FourLetterWord::TelnetClose,
                ..
            }))
        ));
        assert_eq!(first_packet(&mut input(b"stmk\0"), 10), Ok(None));
        assert!(first_packet(&mut input(b"abcd"), 10).is_err());
        let frame = first_packet(&mut input(b"\0\0\0\x01x"), 10).unwrap();
        assert_eq!(frame, Some(FirstPacket::Frame(input(b"x"))));
    }
}

#[cfg(all(test, feature = "codec"))]
mod codec_tests {
    use bytes::{Bytes, BytesMut};
    use tokio_util::codec::{Decoder as _, Encoder as _};

    use super::*;

    #[test]
    fn the_codec_reads_what_it_writes() {
        let mut codec = FrameCodec { max_len: 3 };
        let mut stream = BytesMut::new();
        codec
            .encode(Bytes::from_static(b"abc"), &mut stream)
            .unwrap();
        codec.encode(&b""[..], &mut stream).unwrap();
        let tail = stream.split_off(5);
        assert!(codec.decode(&mut stream).unwrap().is_none());
        stream.unsplit(tail);
        assert_eq!(codec.decode(&mut stream).unwrap().unwrap(), "abc");
        assert_eq!(codec.decode(&mut stream).unwrap().unwrap(), "");
        assert!(codec.decode_eof(&mut stream).unwrap().is_none());
        codec.encode(&b"abcd"[..], &mut stream).unwrap();
        let error = codec.decode(&mut stream).unwrap_err();
        assert_eq!(error.to_string(), "frame length 4 exceeds jute.maxbuffer 3");
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_an_error() {
        let mut stream = BytesMut::from(&b"\0\0\0\x02a"[..]);
        let error = FrameCodec::default().decode_eof(&mut stream).unwrap_err();
        assert!(matches!(error, CodecError::Io(_)));
    }
}
