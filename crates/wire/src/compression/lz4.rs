//! The LZ4 frame format as the Java client writes and reads it.
//!
//! `Lz4BlockOutputStream` writes one frame of independent 64 KiB blocks without checksums;
//! `Lz4BlockInputStream` reads any block size and either checksum, but refuses linked blocks. A batch the Java
//! consumer cannot read must not get into a log, so linked blocks are refused here too, and so are the legacy
//! and skippable frames of the `lz4` tool.

use std::io::{self, Read, Write};
use std::ops::RangeInclusive;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// `compression.lz4.level` (KIP-390).
pub(super) const LEVELS: RangeInclusive<i32> = 1..=17;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const FLAG_VERSION_MASK: u8 = 0xC0;
const FLAG_VERSION_1: u8 = 0x40;
const FLAG_INDEPENDENT_BLOCKS: u8 = 0x20;

pub(super) struct Decoder<'a> {
    frame: FrameDecoder<&'a [u8]>,
}

pub(super) type Encoder<W> = FrameEncoder<W>;

pub(super) fn decoder(data: &[u8]) -> io::Result<Decoder<'_>> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    match data.first_chunk::<5>() {
        Some([a, b, c, d, _]) if [*a, *b, *c, *d] != MAGIC => refuse("LZ4 frame magic is missing"),
        Some([.., flags]) if flags & FLAG_VERSION_MASK != FLAG_VERSION_1 => {
            refuse("LZ4 frame version is not 1")
        }
        Some([.., flags]) if flags & FLAG_INDEPENDENT_BLOCKS == 0 => {
            refuse("LZ4 blocks depend on each other, which Kafka clients cannot read")
        }
        Some(_) => Ok(Decoder {
            frame: FrameDecoder::new(data),
        }),
        None => refuse("LZ4 frame is cut short"),
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.frame.read(out)
    }
}

pub(super) fn encoder<W: Write>(writer: W) -> Encoder<W> {
    let info = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    FrameEncoder::with_frame_info(info, writer)
}
