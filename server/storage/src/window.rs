//! Owns a sliding view of a stream, from which records are parsed where they lie. May use std IO.
//! Must not allocate for a length that the stream has not justified with bytes.

use std::io::{self, ErrorKind, Read};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// The unread bytes of a stream.
#[derive(Debug)]
pub(crate) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl<R: Read> Window<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; READ_BYTES],
            at: 0,
            end: 0,
        }
    }

    pub(crate) const fn source(&self) -> &R {
        &self.source
    }

    /// What is at hand, from the current place on.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.at..self.end).unwrap_or_default()
    }

    /// The next `len` bytes, or fewer at the end of the stream.
    pub(crate) fn want(&mut self, len: usize) -> io::Result<&[u8]> {
        while self.end - self.at < len {
            if self.read_more()? == 0 {
                return Ok(self.bytes());
            }
        }
        Ok(self.buffer.get(self.at..self.at + len).unwrap_or_default())
    }

    /// Moves on; past what is at hand is the end of that.
    pub(crate) fn advance(&mut self, len: usize) {
        self.at = (self.at + len).min(self.end);
    }

    fn read_more(&mut self) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            // Doubling when full: the buffer stays below twice what the stream really had.
            if self.at == 0 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            } else {
                self.buffer.copy_within(self.at..self.end, 0);
                self.end -= self.at;
                self.at = 0;
            }
        }
        loop {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(room) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_across_the_buffers_end_are_whole() {
        let bytes: Vec<u8> = (0..(3 * READ_BYTES)).map(|i| (i % 251) as u8).collect();
        let mut window = Window::new(&bytes[..]);
        let mut at = 0;
        for len in [1, 1000, READ_BYTES, READ_BYTES + 7, 12] {
            assert_eq!(window.want(len).unwrap(), &bytes[at..at + len]);
            window.advance(len);
            at += len;
        }
        let rest = bytes.len() - at;
        assert_eq!(window.want(rest + 5).unwrap().len(), rest);
        window.advance(rest + 5);
        assert!(window.want(1).unwrap().is_empty());
    }
}
