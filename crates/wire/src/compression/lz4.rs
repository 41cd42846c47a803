//! The LZ4 frame format as the Java client writes and reads it.
//!
//! `Lz4BlockOutputStream` writes one frame of independent 64 KiB blocks without checksums;
//! `Lz4BlockInputStream` reads any block size and either checksum, but refuses linked blocks. A batch the Java
//! consumer cannot read must not get into a log, so linked blocks are refused here too, and so are the legacy
//! and skippable frames of the `lz4` tool.
//!
//! What is all there, and is one frame as those clients write it, is taken apart block by block, straight into the result
//! ([`decompress_plain`]); the reader of frames copies each byte once more and makes two buffers of a block's size for each
//! batch. Anything else about the frame is left to that reader, damage too, so that there is one judge of it.

use std::io::{self, Read, Write};
use std::ops::RangeInclusive;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// `compression.lz4.level` (KIP-390).
pub(super) const LEVELS: RangeInclusive<i32> = 1..=17;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const FLAG_VERSION_MASK: u8 = 0xC0;
const FLAG_VERSION_1: u8 = 0x40;
const FLAG_INDEPENDENT_BLOCKS: u8 = 0x20;

/// Magic, flags (version 1, independent blocks, nothing else), block size and the header's checksum, with the bytes of a block.
const PLAIN_FRAMES: [([u8; 7], usize); 4] = [
    ([0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82], 64 << 10),
    ([0x04, 0x22, 0x4D, 0x18, 0x60, 0x50, 0xFB], 256 << 10),
    ([0x04, 0x22, 0x4D, 0x18, 0x60, 0x60, 0x51], 1 << 20),
    ([0x04, 0x22, 0x4D, 0x18, 0x60, 0x70, 0x73], 4 << 20),
];
/// Of a block's length: the block is not compressed.
const BLOCK_IS_STORED: u32 = 1 << 31;
/// What a block is expected to grow at most; one that grows more is decompressed twice.
const BLOCK_GROWTH: usize = 4;

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

/// The content of a frame without checksums or sizes, of at most `limit` bytes; none when `data` is anything else, which says
/// nothing about whether it can be read. No more than `limit` bytes are held at any time.
pub(super) fn decompress_plain(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (header, mut rest) = data.split_first_chunk::<7>()?;
    let block_max = PLAIN_FRAMES
        .iter()
        .find_map(|(plain, block_max)| (plain == header).then_some(*block_max))?;
    let mut out = Vec::new();
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return after.is_empty().then_some(out);
        }
        let stored = length & BLOCK_IS_STORED != 0;
        let length = usize::try_from(length & !BLOCK_IS_STORED).ok()?;
        let (block, after) = after.split_at_checked(length)?;
        rest = after;
        if length > block_max {
            return None;
        }
        let room = block_max.min(limit - out.len());
        if stored {
            if length > room {
                return None;
            }
            out.extend_from_slice(block);
        } else {
            append_block(block, room, &mut out)?;
        }
    }
}

/// Appends `data`, which is not empty, as the frame that [`encoder`] makes of it, without that one's buffers.
pub(super) fn compress_onto(data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let (header, block_max) = &PLAIN_FRAMES[0];
    out.extend_from_slice(header);
    let mut table = CompressTable::large();
    for chunk in data.chunks(*block_max) {
        let at = out.len();
        out.resize(at + 4 + get_maximum_output_size(chunk.len()), 0);
        let room = out.get_mut(at + 4..).unwrap_or_default();
        let packed = compress_into_with_table(chunk, room, &mut table).map_err(io::Error::other)?;
        let length = if packed < chunk.len() {
            out.truncate(at + 4 + packed);
            packed as u32
        } else {
            out.truncate(at + 4);
            out.extend_from_slice(chunk);
            chunk.len() as u32 | BLOCK_IS_STORED
        };
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    Ok(())
}

/// Appends what a block unfolds to, at most `room` bytes; none when it is no block, or unfolds to more.
fn append_block(block: &[u8], room: usize, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let likely = block.len().saturating_mul(BLOCK_GROWTH).min(room);
    for size in [likely, room] {
        out.reserve_exact(start + size - out.len());
        out.resize(start + size, 0);
        if let Ok(length) = lz4_flex::block::decompress_into(block, out.get_mut(start..)?) {
            out.truncate(start + length);
            return Some(());
        }
    }
    None
}
