//! Owns snappy-java's stream format: a header, then chunks with their compressed length before
//! them. Source: observed output of `SnappyOutputStream`.

use std::io::{self, Read, Write};

/// `\x82SNAPPY\0`, version 1, compatible with version 1.
pub(crate) const HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
/// What a glance at a file looks for.
pub(crate) const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Uncompressed bytes of a chunk.
const CHUNK: usize = 32 << 10;
/// The longest compressed chunk that is believed.
const COMPRESSED_MAX: usize = 64 << 20;

/// Compresses what is written to it.
pub(crate) struct Writer<W: Write> {
    inner: W,
    plain: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(mut inner: W) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        let (plain, encoder) = (Vec::with_capacity(CHUNK), snap::raw::Encoder::new());
        Ok(Self {
            inner,
            plain,
            encoder,
        })
    }

    fn chunk(&mut self) -> io::Result<()> {
        if self.plain.is_empty() {
            return Ok(());
        }
        let packed = self
            .encoder
            .compress_vec(&self.plain)
            .map_err(io::Error::other)?;
        let len = u32::try_from(packed.len()).map_err(io::Error::other)?;
        self.inner.write_all(&len.to_be_bytes())?;
        self.inner.write_all(&packed)?;
        self.plain.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.chunk()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(CHUNK - self.plain.len());
        self.plain
            .extend_from_slice(bytes.get(..n).unwrap_or_default());
        if self.plain.len() == CHUNK {
            self.chunk()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.chunk()?;
        self.inner.flush()
    }
}

/// Decompresses what is read from it.
pub(crate) struct Reader<R: Read> {
    inner: R,
    packed: Vec<u8>,
    plain: Vec<u8>,
    at: usize,
    decoder: snap::raw::Decoder,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(mut inner: R) -> io::Result<Self> {
        let mut header = [0; 16];
        inner.read_exact(&mut header)?;
        if !header.starts_with(&HEADER[..8]) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "no snappy stream",
            ));
        }
        let decoder = snap::raw::Decoder::new();
        Ok(Self {
            inner,
            packed: Vec::new(),
            plain: Vec::new(),
            at: 0,
            decoder,
        })
    }

    /// False at the end.
    fn next_chunk(&mut self) -> io::Result<bool> {
        let mut len = [0; 4];
        let mut got = 0;
        while got < 4 {
            match self.inner.read(len.get_mut(got..).unwrap_or_default())? {
                0 if got == 0 => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => got += n,
            }
        }
        let len = u32::from_be_bytes(len) as usize;
        if len > COMPRESSED_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "snappy chunk too long",
            ));
        }
        self.packed.clear();
        let read = self
            .inner
            .by_ref()
            .take(len as u64)
            .read_to_end(&mut self.packed)?;
        if read < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let plain_len = snap::raw::decompress_len(&self.packed).map_err(invalid)?;
        if plain_len > COMPRESSED_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "snappy chunk too long",
            ));
        }
        self.plain = self.decoder.decompress_vec(&self.packed).map_err(invalid)?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if !self.next_chunk()? {
                return Ok(0);
            }
        }
        let rest = self.plain.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer
            .get_mut(..n)
            .unwrap_or_default()
            .copy_from_slice(rest.get(..n).unwrap_or_default());
        self.at += n;
        Ok(n)
    }
}
