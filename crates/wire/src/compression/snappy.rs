//! Snappy blocks in xerial's framing, the format of `org.xerial.snappy.SnappyOutputStream`.
//!
//! ```text
//!  0  magic     82 53 4e 41 50 50 59 00   ("\x82SNAPPY\0")
//!  8  version   i32   1
//! 12  compatible i32  1
//! 16  blocks: length i32, then one raw snappy block of that length, to the end
//! ```
//! Big-endian. A stream without the magic is one raw snappy block, which librdkafka and older clients send; the
//! Java client reads both. A header in the middle begins a further stream that was appended.

use std::io::{self, Read, Write};

use snap::raw;

use super::LimitMark;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_LEN: usize = 16;
const VERSION: i32 = 1;
/// The uncompressed bytes in one block, `SnappyOutputStream`'s default and what the Java client uses.
const BLOCK_LEN: usize = 32 * 1024;
/// A snappy copy makes at most 64 bytes out of 3, so no honest block grows more than this many times.
const GROWTH_MAX: usize = 22;

pub(super) struct Decoder<'a> {
    rest: &'a [u8],
    framed: bool,
    limit: usize,
    block: Vec<u8>,
    taken: usize,
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<'a> Decoder<'a> {
    /// `limit` bounds a single block, which is held whole.
    pub(super) fn new(data: &'a [u8], limit: usize) -> Decoder<'a> {
        let framed = data.starts_with(&MAGIC);
        Decoder {
            rest: data,
            framed,
            limit,
            block: Vec::new(),
            taken: 0,
        }
    }

    /// The next raw block, `None` at the end.
    fn next_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if !self.framed {
            let block = std::mem::take(&mut self.rest);
            return Ok(Some(block).filter(|block| !block.is_empty()));
        }
        while self.rest.starts_with(&MAGIC) {
            self.rest = self
                .rest
                .get(HEADER_LEN..)
                .ok_or_else(|| invalid("snappy stream header is cut short"))?;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else {
            return Err(invalid("snappy block length is cut short"));
        };
        let length = i32::from_be_bytes(*length);
        let block = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(|| invalid(format!("snappy block length {length} does not fit")))?;
        self.rest = block.1;
        Ok(Some(block.0))
    }

    /// Decompresses the next block into `self.block`; false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        let Some(block) = self.next_block()? else {
            return Ok(false);
        };
        let length = raw::decompress_len(block).map_err(invalid)?;
        if length > block.len().saturating_mul(GROWTH_MAX) {
            return Err(invalid(format!(
                "snappy block claims to hold {length} bytes"
            )));
        }
        if length > self.limit {
            return Err(io::Error::other(LimitMark(self.limit)));
        }
        self.block.clear();
        self.block.resize(length, 0);
        let written = raw::Decoder::new()
            .decompress(block, &mut self.block)
            .map_err(invalid)?;
        self.block.truncate(written);
        self.taken = 0;
        Ok(true)
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, mut out: &mut [u8]) -> io::Result<usize> {
        // An empty block is no end of stream.
        while self.taken >= self.block.len() {
            if !self.refill()? {
                return Ok(0);
            }
        }
        let ready = self.block.get(self.taken..).unwrap_or_default();
        let written = out.write(ready)?;
        self.taken += written;
        Ok(written)
    }
}

pub(super) struct Encoder<W> {
    writer: W,
    header_written: bool,
    block: Vec<u8>,
    compressed: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(writer: W) -> Encoder<W> {
        Encoder {
            writer,
            header_written: false,
            block: Vec::with_capacity(BLOCK_LEN),
            compressed: Vec::new(),
        }
    }

    fn write_block(&mut self) -> io::Result<()> {
        if !self.header_written {
            self.writer.write_all(&MAGIC)?;
            self.writer.write_all(&VERSION.to_be_bytes())?;
            self.writer.write_all(&VERSION.to_be_bytes())?;
            self.header_written = true;
        }
        if self.block.is_empty() {
            return Ok(());
        }
        self.compressed
            .resize(raw::max_compress_len(self.block.len()), 0);
        let length = raw::Encoder::new()
            .compress(&self.block, &mut self.compressed)
            .map_err(io::Error::other)?;
        let block = self.compressed.get(..length).unwrap_or_default();
        let length = i32::try_from(length).map_err(io::Error::other)?;
        self.writer.write_all(&length.to_be_bytes())?;
        self.writer.write_all(block)?;
        self.block.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write_block()?;
        Ok(self.writer)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.block.len() >= BLOCK_LEN {
            self.write_block()?;
        }
        let room = data.len().min(BLOCK_LEN - self.block.len());
        self.block
            .extend_from_slice(data.get(..room).unwrap_or_default());
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_block()?;
        self.writer.flush()
    }
}
