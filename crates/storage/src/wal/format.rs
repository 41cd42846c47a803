//! The journal's bytes. All integers are big-endian.
//!
//! A journal file is a 4 KiB header block followed by groups. Each group begins at a multiple of 4 KiB and is
//! written by one call; the rest of its last block is zero. Files are recycled, so behind the last group
//! lie groups of an earlier life; the incarnation tells them apart.
//!
//! ```text
//! file header (block 0)                       group header (64 bytes)
//!  0  magic            8  "AFLJRNL1"           0  magic           u32  "AFGR"
//!  8  version          u32  1                  4  flags           u32  1: the journal goes on in the next
//! 12  flags            u32  1: first file              file; the group has no frames
//!       of a process                           8  incarnation     u64  of the file
//! 16  incarnation      u64  grows by one       16  sequence        u64  grows by one per group, over files
//!       with each file begun                  24  first_lsn       u64  of the first frame
//! 24  file_bytes       u64                    32  payload_length  u32  frames, without padding
//! 32  first_sequence   u64  of its groups     36  frame_count     u32
//! 40  first_lsn        u64                    40  zero            20 bytes
//! 48  zero             12 bytes               60  crc             u32  CRC-32C of bytes 0..60
//! 60  crc              u32  of bytes 0..60
//!
//! frame (48 bytes, then the payload)
//!  0  length           u32  header and payload
//!  4  crc              u32  CRC-32C of the file's incarnation and the frame's LSN (8 bytes each, not
//!       stored here), of bytes 8..48 and of the payload's first 61 bytes
//!  8  kind             u8   1 batch, 2 log start offset;  9..12 zero
//! 12  partition        i32
//! 16  topic_id         16 bytes
//! 32  offset           i64  base offset, or the new log start offset
//! 40  payload_length   u32
//! 44  zero             u32
//! 48  payload          a record batch with final bytes; nothing for kind 2
//! ```
//!
//! The frame's CRC covers the batch's own 61-byte header, which holds the CRC of everything behind it, so the whole
//! batch is protected and its bytes are summed once, by the producer. Incarnation and LSN in the sum
//! make a frame of an earlier life of the file fail it, even where a group header is unreadable.
//!
//! A group with no frames and no flag is a *seal*, written when the journal falls idle: it proves that the group before
//! it was complete, so that a later flipped byte in it is told from a torn write.

use base::{PartitionIndex, TopicId, Uuid};
use wire::record_batch::{BATCH_HEADER_LEN, STAMP_LEN};

use crate::io::{BLOCK, be};
use crate::lsn::Lsn;
use crate::wal::{FrameBody, WalFrame};

/// First bytes of a journal file.
pub const FILE_MAGIC: [u8; 8] = *b"AFLJRNL1";
/// First bytes of a group.
pub const GROUP_MAGIC: u32 = u32::from_be_bytes(*b"AFGR");
/// The version of all of this.
pub const VERSION: u32 = 1;
/// The length of a group header.
pub const GROUP_HEADER_LEN: usize = 64;
/// The length of a frame header.
pub const FRAME_HEADER_LEN: usize = 48;

const HEADER_CRC_AT: usize = 60;
const KIND_BATCH: u8 = 1;
const KIND_LOG_START: u8 = 2;

/// The first block of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Whether a process began with this file: what stands before it was judged by that process's recovery.
    pub opened: bool,
    /// Which life of the file this is.
    pub incarnation: u64,
    /// How long the file is.
    pub file_bytes: u64,
    /// The sequence of its first group.
    pub first_sequence: u64,
    /// The LSN of its first frame.
    pub first_lsn: Lsn,
}

impl FileHeader {
    /// The header's block.
    #[must_use]
    pub fn to_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(&FILE_MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_be_bytes());
        block[12..16].copy_from_slice(&u32::from(self.opened).to_be_bytes());
        block[16..24].copy_from_slice(&self.incarnation.to_be_bytes());
        block[24..32].copy_from_slice(&self.file_bytes.to_be_bytes());
        block[32..40].copy_from_slice(&self.first_sequence.to_be_bytes());
        block[40..48].copy_from_slice(&self.first_lsn.0.to_be_bytes());
        let crc = crc32c::crc32c(&block[..HEADER_CRC_AT]);
        block[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        block
    }

    /// Reads a header; `None` when it is not one.
    #[must_use]
    pub fn parse(block: &[u8]) -> Option<FileHeader> {
        let covered = block.get(..HEADER_CRC_AT)?;
        if be::array(block, 0)? != FILE_MAGIC
            || be::u32(block, 8)? != VERSION
            || crc32c::crc32c(covered) != be::u32(block, HEADER_CRC_AT)?
        {
            return None;
        }
        Some(FileHeader {
            opened: be::u32(block, 12)? & 1 != 0,
            incarnation: be::u64(block, 16)?,
            file_bytes: be::u64(block, 24)?,
            first_sequence: be::u64(block, 32)?,
            first_lsn: Lsn(be::u64(block, 40)?),
        })
    }
}

/// The start of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// The journal goes on in the file of the next incarnation.
    pub rotates: bool,
    /// The file's incarnation.
    pub incarnation: u64,
    /// The group's number.
    pub sequence: u64,
    /// The LSN of its first frame, or of the next one when it has none.
    pub first_lsn: Lsn,
    /// Bytes of frames.
    pub payload_length: u32,
    /// How many frames.
    pub frame_count: u32,
}

impl GroupHeader {
    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; GROUP_HEADER_LEN] {
        let mut out = [0; GROUP_HEADER_LEN];
        out[..4].copy_from_slice(&GROUP_MAGIC.to_be_bytes());
        out[4..8].copy_from_slice(&u32::from(self.rotates).to_be_bytes());
        out[8..16].copy_from_slice(&self.incarnation.to_be_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        out[24..32].copy_from_slice(&self.first_lsn.0.to_be_bytes());
        out[32..36].copy_from_slice(&self.payload_length.to_be_bytes());
        out[36..40].copy_from_slice(&self.frame_count.to_be_bytes());
        let crc = crc32c::crc32c(&out[..HEADER_CRC_AT]);
        out[HEADER_CRC_AT..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a header; `None` when it is not one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<GroupHeader> {
        let covered = bytes.get(..HEADER_CRC_AT)?;
        if be::u32(bytes, 0)? != GROUP_MAGIC
            || crc32c::crc32c(covered) != be::u32(bytes, HEADER_CRC_AT)?
        {
            return None;
        }
        Some(GroupHeader {
            rotates: be::u32(bytes, 4)? & 1 != 0,
            incarnation: be::u64(bytes, 8)?,
            sequence: be::u64(bytes, 16)?,
            first_lsn: Lsn(be::u64(bytes, 24)?),
            payload_length: be::u32(bytes, 32)?,
            frame_count: be::u32(bytes, 36)?,
        })
    }

    /// Bytes on disk, padded.
    #[must_use]
    pub fn size_on_disk(&self) -> u64 {
        (GROUP_HEADER_LEN as u64 + u64::from(self.payload_length)).next_multiple_of(BLOCK as u64)
    }

    /// The LSN after the group's last frame.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0 + u64::from(self.frame_count))
    }
}

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the payload is a batch; otherwise the frame is a log start offset.
    pub is_batch: bool,
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Base offset, or the new log start offset.
    pub offset: i64,
    /// Bytes that follow the header.
    pub payload_length: u32,
}

fn frame_crc(incarnation: u64, lsn: Lsn, fixed: &[u8], parts: [&[u8]; 2]) -> u32 {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&incarnation.to_be_bytes());
    seed[8..].copy_from_slice(&lsn.0.to_be_bytes());
    let mut crc = crc32c::crc32c(&seed);
    crc = crc32c::crc32c_append(crc, fixed);
    for part in parts {
        crc = crc32c::crc32c_append(crc, part);
    }
    crc
}

/// The header of `frame` as it goes to disk.
#[must_use]
pub fn frame_header(frame: &WalFrame, incarnation: u64, lsn: Lsn) -> [u8; FRAME_HEADER_LEN] {
    let payload = u32::try_from(frame.payload_len()).unwrap_or(u32::MAX);
    let mut out = [0; FRAME_HEADER_LEN];
    out[..4].copy_from_slice(&(payload.saturating_add(FRAME_HEADER_LEN as u32)).to_be_bytes());
    out[8] = match frame.body {
        FrameBody::Batch(_) => KIND_BATCH,
        FrameBody::LogStartOffset => KIND_LOG_START,
    };
    out[12..16].copy_from_slice(&frame.partition.0.to_be_bytes());
    out[16..32].copy_from_slice(&frame.topic_id.0.0);
    out[32..40].copy_from_slice(&frame.offset.to_be_bytes());
    out[40..44].copy_from_slice(&payload.to_be_bytes());
    let parts: [&[u8]; 2] = match &frame.body {
        FrameBody::Batch(batch) => {
            let rest = (BATCH_HEADER_LEN - STAMP_LEN).min(batch.body.len());
            [&batch.head, &batch.body[..rest]]
        }
        FrameBody::LogStartOffset => [&[], &[]],
    };
    let crc = frame_crc(incarnation, lsn, &out[8..], parts);
    out[4..8].copy_from_slice(&crc.to_be_bytes());
    out
}

/// The result of reading one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedFrame {
    /// The header, and with it the batch's header, is intact.
    Valid(FrameHeader),
    /// The sum does not match; the length may still be true and is worth trying.
    Damaged {
        /// What `length` says.
        length: u32,
    },
}

/// Reads the frame at the start of `bytes`, which end with the group. The payload beyond the batch's header is not
/// checked.
#[must_use]
pub fn parse_frame(bytes: &[u8], incarnation: u64, lsn: Lsn) -> ParsedFrame {
    let length = be::u32(bytes, 0).unwrap_or(0);
    parse_intact(bytes, length, incarnation, lsn)
        .map_or(ParsedFrame::Damaged { length }, ParsedFrame::Valid)
}

fn parse_intact(bytes: &[u8], length: u32, incarnation: u64, lsn: Lsn) -> Option<FrameHeader> {
    let frame = bytes.get(..length as usize)?;
    let payload_length = be::u32(frame, 40)?;
    let payload = frame.get(FRAME_HEADER_LEN..)?;
    if payload.len() != payload_length as usize {
        return None;
    }
    let summed = payload.get(..BATCH_HEADER_LEN.min(payload.len()))?;
    let crc = frame_crc(
        incarnation,
        lsn,
        frame.get(8..FRAME_HEADER_LEN)?,
        [summed, &[]],
    );
    if crc != be::u32(frame, 4)? {
        return None;
    }
    let is_batch = match *frame.get(8)? {
        KIND_BATCH => true,
        KIND_LOG_START => false,
        _ => return None,
    };
    Some(FrameHeader {
        is_batch,
        topic_id: TopicId(Uuid(be::array(frame, 16)?)),
        partition: PartitionIndex(be::i32(frame, 12)?),
        offset: be::i64(frame, 32)?,
        payload_length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use wire::record_batch::StampedBatch;

    fn frame() -> WalFrame {
        let body = Bytes::from_iter((0..100u8).map(|i| i.wrapping_mul(7)));
        WalFrame {
            topic_id: TopicId(Uuid([3; 16])),
            partition: PartitionIndex(4),
            offset: 77,
            next_offset: 78,
            body: FrameBody::Batch(StampedBatch {
                head: [1; STAMP_LEN],
                body,
            }),
        }
    }

    fn bytes_of(frame: &WalFrame) -> Vec<u8> {
        let mut bytes = frame_header(frame, 9, Lsn(5)).to_vec();
        if let FrameBody::Batch(batch) = &frame.body {
            bytes.extend_from_slice(&batch.head);
            bytes.extend_from_slice(&batch.body);
        }
        bytes
    }

    #[test]
    fn headers_round_trip() {
        let file = FileHeader {
            opened: true,
            incarnation: 3,
            file_bytes: 1 << 20,
            first_sequence: 8,
            first_lsn: Lsn(40),
        };
        assert_eq!(FileHeader::parse(&file.to_block()), Some(file));
        let group = GroupHeader {
            rotates: false,
            incarnation: 3,
            sequence: 9,
            first_lsn: Lsn(41),
            payload_length: 5_000,
            frame_count: 2,
        };
        assert_eq!(GroupHeader::parse(&group.to_bytes()), Some(group));
        assert_eq!((group.size_on_disk(), group.next_lsn()), (8_192, Lsn(43)));
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_seen() {
        let frame = frame();
        let good = bytes_of(&frame);
        assert!(matches!(parse_frame(&good, 9, Lsn(5)), ParsedFrame::Valid(h) if h.offset == 77));
        for bit in 0..(FRAME_HEADER_LEN + BATCH_HEADER_LEN) * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let parsed = parse_frame(&bad, 9, Lsn(5));
            assert!(
                matches!(parsed, ParsedFrame::Damaged { .. }),
                "bit {bit} went unseen"
            );
        }
    }

    #[test]
    fn a_frame_of_another_life_is_refused() {
        let bytes = bytes_of(&frame());
        assert!(matches!(
            parse_frame(&bytes, 8, Lsn(5)),
            ParsedFrame::Damaged { .. }
        ));
        assert!(matches!(
            parse_frame(&bytes, 9, Lsn(6)),
            ParsedFrame::Damaged { .. }
        ));
        for cut in 0..bytes.len() {
            assert!(matches!(
                parse_frame(&bytes[..cut], 9, Lsn(5)),
                ParsedFrame::Damaged { .. }
            ));
        }
    }
}
