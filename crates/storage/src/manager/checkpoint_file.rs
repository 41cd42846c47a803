//! The file `checkpoint`: where recovery begins. All integers are big-endian.
//!
//! ```text
//!  0  magic          8  "AFCKPT01"
//!  8  crc            u32  CRC-32C of everything behind it
//! 12  flags          u32  1: the storage was closed; the journal holds nothing that the segments do not
//! 16  trimmed        u64  frames up to this LSN are in the segments
//! 24  incarnation    u64  of the journal file in use; recovery expects it, or a later one
//! 32  logs           u32
//! 36  per log:
//!       topic          u16 length, UTF-8
//!       topic_id       16 bytes
//!       partition      i32
//!       log_start      i64
//!       recovery_point i64
//!       flags          u8   1 producer snapshot at recovery_point, 2 offline
//!       reason         u16 length, UTF-8    only when offline
//!       segments       u32, each 56 bytes:
//!         base i64, size u64, next_offset i64, offset_entries u32, time_entries u32,
//!         max_timestamp i64, max_timestamp_offset i64, modified_ms i64
//! ```
//! Logs that never held a record have no entry. The file is replaced as a whole: written aside, synced, renamed, the directory
//! synced.

use base::{PartitionIndex, TopicId, Uuid};

use crate::io::be;
use crate::log::LogCheckpoint;
use crate::log::index::SegmentView;
use crate::lsn::Lsn;

const MAGIC: [u8; 8] = *b"AFCKPT01";
const CRC_AT: usize = 8;
const FLAGS_AT: usize = 12;
const SEGMENT_LEN: usize = 56;
const HAS_SNAPSHOT: u8 = 1;
const OFFLINE: u8 = 2;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckpointFile {
    pub(crate) clean: bool,
    pub(crate) trimmed: Lsn,
    pub(crate) incarnation: u64,
    pub(crate) logs: Vec<LogCheckpoint>,
}

impl CheckpointFile {
    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36 + self.logs.len() * 160);
        out.extend(MAGIC);
        out.extend([0; 4]);
        out.extend(u32::from(self.clean).to_be_bytes());
        out.extend(self.trimmed.0.to_be_bytes());
        out.extend(self.incarnation.to_be_bytes());
        out.extend(count(self.logs.len()).to_be_bytes());
        for log in &self.logs {
            encode_log(log, &mut out);
        }
        let crc = crc32c::crc32c(&out[FLAGS_AT..]);
        out[CRC_AT..FLAGS_AT].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads the file; `None` when it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<CheckpointFile> {
        if be::array(bytes, 0)? != MAGIC
            || crc32c::crc32c(bytes.get(FLAGS_AT..)?) != be::u32(bytes, CRC_AT)?
        {
            return None;
        }
        let mut cursor = Cursor { bytes, at: 36 };
        let logs = be::u32(bytes, 32)?;
        let mut file = CheckpointFile {
            clean: be::u32(bytes, FLAGS_AT)? & 1 != 0,
            trimmed: Lsn(be::u64(bytes, 16)?),
            incarnation: be::u64(bytes, 24)?,
            logs: Vec::new(),
        };
        for _ in 0..logs {
            file.logs.push(decode_log(&mut cursor)?);
        }
        Some(file)
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let bytes = bytes
        .get(..bytes.len().min(usize::from(u16::MAX)))
        .unwrap_or_default();
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

fn encode_log(log: &LogCheckpoint, out: &mut Vec<u8>) {
    put_text(&log.topic, out);
    out.extend(log.topic_id.0.0);
    out.extend(log.partition.0.to_be_bytes());
    out.extend(log.log_start.to_be_bytes());
    out.extend(log.recovery_point.to_be_bytes());
    let snapshot = if log.has_snapshot { HAS_SNAPSHOT } else { 0 };
    let offline = if log.offline.is_some() { OFFLINE } else { 0 };
    out.push(snapshot | offline);
    if let Some(reason) = &log.offline {
        put_text(reason, out);
    }
    out.extend(count(log.segments.len()).to_be_bytes());
    for segment in &log.segments {
        out.extend(segment.base.to_be_bytes());
        out.extend(segment.size.to_be_bytes());
        out.extend(segment.next_offset.to_be_bytes());
        out.extend(segment.offset_entries.to_be_bytes());
        out.extend(segment.time_entries.to_be_bytes());
        out.extend(segment.max_timestamp.to_be_bytes());
        out.extend(segment.max_timestamp_offset.to_be_bytes());
        out.extend(segment.modified_ms.to_be_bytes());
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = be::array(self.bytes, self.at)?;
        self.at += N;
        Some(taken)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(u16::from_be_bytes(self.take()?));
        let bytes = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}

fn decode_log(cursor: &mut Cursor<'_>) -> Option<LogCheckpoint> {
    let topic = cursor.text()?;
    let topic_id = TopicId(Uuid(cursor.take()?));
    let partition = PartitionIndex(i32::from_be_bytes(cursor.take()?));
    let log_start = cursor.i64()?;
    let recovery_point = cursor.i64()?;
    let [flags] = cursor.take()?;
    let offline = if flags & OFFLINE != 0 {
        Some(cursor.text()?)
    } else {
        None
    };
    let segment_count = u32::from_be_bytes(cursor.take()?) as usize;
    // Bounded by what is there before anything is allocated.
    let left = cursor.bytes.len().saturating_sub(cursor.at) / SEGMENT_LEN;
    let mut segments = Vec::with_capacity(segment_count.min(left));
    for _ in 0..segment_count {
        segments.push(SegmentView {
            base: cursor.i64()?,
            size: u64::from_be_bytes(cursor.take()?),
            next_offset: cursor.i64()?,
            offset_entries: u32::from_be_bytes(cursor.take()?),
            time_entries: u32::from_be_bytes(cursor.take()?),
            max_timestamp: cursor.i64()?,
            max_timestamp_offset: cursor.i64()?,
            modified_ms: cursor.i64()?,
        });
    }
    let has_snapshot = flags & HAS_SNAPSHOT != 0;
    Some(LogCheckpoint {
        topic,
        topic_id,
        partition,
        log_start,
        recovery_point,
        has_snapshot,
        segments,
        offline,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> CheckpointFile {
        let log = LogCheckpoint {
            topic: "orders".to_owned(),
            topic_id: TopicId(Uuid([9; 16])),
            partition: PartitionIndex(2),
            log_start: 5,
            recovery_point: 90,
            has_snapshot: true,
            segments: vec![SegmentView::empty(0, 7), SegmentView::empty(80, 8)],
            offline: Some("why".to_owned()),
        };
        let other = LogCheckpoint {
            offline: None,
            segments: vec![],
            ..log.clone()
        };
        let (trimmed, incarnation) = (Lsn(77), 3);
        CheckpointFile {
            clean: true,
            trimmed,
            incarnation,
            logs: vec![log, other],
        }
    }

    #[test]
    fn it_round_trips() {
        assert_eq!(CheckpointFile::decode(&file().encode()), Some(file()));
    }

    #[test]
    fn damage_is_seen_and_never_panics() {
        let bytes = file().encode();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(CheckpointFile::decode(&bad), None, "byte {at}");
            assert_eq!(CheckpointFile::decode(&bytes[..at]), None);
        }
    }
}
