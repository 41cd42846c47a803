//! One copied segment: its entry in the manifest and the names of its objects. All integers are big-endian.
//!
//! ```text
//!  0  version          u8   1
//!  1  state            u8   1 started, 2 finished, 3 deleting   (RemoteLogSegmentState)
//!  2  topic_id         16 bytes
//! 18  partition        i32
//! 22  base             i64  first offset of the segment
//! 30  id               16 bytes, random, never used twice
//! 46  next_offset      i64  the offset after its last batch
//! 54  size             u64  bytes of the object .log
//! 62  offset_entries   u32  8 bytes each
//! 66  time_entries     u32  12 bytes each
//! 70  txn_entries      u32  34 bytes each
//! 74  max_timestamp    i64, max_timestamp_offset i64, modified_ms i64
//! 98  indexes_crc      u32  CRC-32C of the object .indexes
//!102  epochs           u32, then per epoch: epoch i32, start_offset i64
//! ```
//!
//! Objects: `<root>/<topic id>/<partition>/<base, 20 digits>-<id>.log` holds the segment's bytes as they are on disk;
//! `.indexes` beside it holds the offset index, the time index and the index of aborted transactions, one behind the other in
//! Kafka's layout.

use std::ops::Range;

use base::{PartitionIndex, TopicId, Uuid};

use crate::io::be;
use crate::log::epoch::EpochEntry;
use crate::log::index::{OFFSET_ENTRY_LEN, SegmentView, TIME_ENTRY_LEN};
use crate::store::SegmentPart;

/// Bytes of an entry of the index of aborted transactions.
pub(crate) const TXN_ENTRY_LEN: usize = 34;
const VERSION: u8 = 1;
const EPOCHS_AT: usize = 102;
const EPOCH_LEN: usize = 12;

/// How far a remote segment is (`RemoteLogSegmentState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteState {
    /// Its objects may be there or not (`COPY_SEGMENT_STARTED`).
    Started,
    /// Its objects are there (`COPY_SEGMENT_FINISHED`).
    Finished,
    /// Its objects may be gone (`DELETE_SEGMENT_STARTED`).
    Deleting,
}

/// A segment in the remote store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSegment {
    /// How far it is.
    pub state: RemoteState,
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its identity, random.
    pub id: Uuid,
    /// What is known of it without reading it, as of a local one.
    pub view: SegmentView,
    /// Entries of the index of aborted transactions.
    pub txn_entries: u32,
    /// CRC-32C of the object with the indexes.
    pub indexes_crc: u32,
    /// The leader epochs of its batches, and where each begins.
    pub epochs: Vec<EpochEntry>,
}

impl RemoteSegment {
    /// The name of its objects, without what tells the two apart.
    fn stem(&self, root: &str) -> String {
        let (topic, partition) = (self.topic_id.0, self.partition);
        format!(
            "{root}/{topic}/{partition}/{:020}-{}",
            self.view.base, self.id
        )
    }

    /// The object with the records.
    #[must_use]
    pub fn log_object(&self, root: &str) -> String {
        format!("{}.log", self.stem(root))
    }

    /// The object with the indexes.
    #[must_use]
    pub fn indexes_object(&self, root: &str) -> String {
        format!("{}.indexes", self.stem(root))
    }

    /// Where an index lies in the object with the indexes.
    #[must_use]
    pub(crate) fn index_range(&self, part: SegmentPart) -> Range<u64> {
        let offsets = u64::from(self.view.offset_entries) * OFFSET_ENTRY_LEN as u64;
        let times = offsets + u64::from(self.view.time_entries) * TIME_ENTRY_LEN as u64;
        let txns = times + u64::from(self.txn_entries) * TXN_ENTRY_LEN as u64;
        match part {
            SegmentPart::Log => 0..0,
            SegmentPart::OffsetIndex => 0..offsets,
            SegmentPart::TimeIndex => offsets..times,
            SegmentPart::TxnIndex => times..txns,
        }
    }

    /// Bytes of the object with the indexes.
    #[must_use]
    pub fn indexes_bytes(&self) -> u64 {
        self.index_range(SegmentPart::TxnIndex).end
    }

    /// The same, in another state.
    #[must_use]
    pub fn in_state(&self, state: RemoteState) -> RemoteSegment {
        RemoteSegment {
            state,
            ..self.clone()
        }
    }

    /// The bytes of its entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(EPOCHS_AT + 4 + self.epochs.len() * EPOCH_LEN);
        out.push(VERSION);
        out.push(match self.state {
            RemoteState::Started => 1,
            RemoteState::Finished => 2,
            RemoteState::Deleting => 3,
        });
        out.extend(self.topic_id.0.0);
        out.extend(self.partition.0.to_be_bytes());
        out.extend(self.view.base.to_be_bytes());
        out.extend(self.id.0);
        out.extend(self.view.next_offset.to_be_bytes());
        out.extend(self.view.size.to_be_bytes());
        out.extend(self.view.offset_entries.to_be_bytes());
        out.extend(self.view.time_entries.to_be_bytes());
        out.extend(self.txn_entries.to_be_bytes());
        out.extend(self.view.max_timestamp.to_be_bytes());
        out.extend(self.view.max_timestamp_offset.to_be_bytes());
        out.extend(self.view.modified_ms.to_be_bytes());
        out.extend(self.indexes_crc.to_be_bytes());
        out.extend(
            u32::try_from(self.epochs.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        for entry in &self.epochs {
            out.extend(entry.epoch.to_be_bytes());
            out.extend(entry.start_offset.to_be_bytes());
        }
        out
    }

    /// Reads an entry; `None` when it is not one, or of a later version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<RemoteSegment> {
        let [version, state] = be::array(bytes, 0)?;
        let state = match (version, state) {
            (VERSION, 1) => RemoteState::Started,
            (VERSION, 2) => RemoteState::Finished,
            (VERSION, 3) => RemoteState::Deleting,
            _ => return None,
        };
        let view = SegmentView {
            base: be::i64(bytes, 22)?,
            next_offset: be::i64(bytes, 46)?,
            size: be::u64(bytes, 54)?,
            offset_entries: be::u32(bytes, 62)?,
            time_entries: be::u32(bytes, 66)?,
            max_timestamp: be::i64(bytes, 74)?,
            max_timestamp_offset: be::i64(bytes, 82)?,
            modified_ms: be::i64(bytes, 90)?,
        };
        let count = usize::try_from(be::u32(bytes, EPOCHS_AT)?).ok()?;
        let rows = bytes.get(EPOCHS_AT + 4..)?;
        if rows.len() != count.checked_mul(EPOCH_LEN)?
            || view.base < 0
            || view.next_offset < view.base
        {
            return None;
        }
        let epochs = rows.chunks_exact(EPOCH_LEN).map(|row| {
            Some(EpochEntry {
                epoch: be::i32(row, 0)?,
                start_offset: be::i64(row, 4)?,
            })
        });
        Some(RemoteSegment {
            state,
            topic_id: TopicId(Uuid(be::array(bytes, 2)?)),
            partition: PartitionIndex(be::i32(bytes, 18)?),
            id: Uuid(be::array(bytes, 30)?),
            view,
            txn_entries: be::u32(bytes, 70)?,
            indexes_crc: be::u32(bytes, 98)?,
            epochs: epochs.collect::<Option<Vec<EpochEntry>>>()?,
        })
    }
}

/// An object's name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The segment's first offset.
    pub base: i64,
    /// The segment's identity.
    pub id: Uuid,
}

impl ObjectName {
    /// Reads a name below `root`; `None` for one that was not given by this program.
    #[must_use]
    pub fn parse(root: &str, name: &str) -> Option<ObjectName> {
        let mut parts = name.strip_prefix(root)?.strip_prefix('/')?.split('/');
        let (topic, partition, file) = (parts.next()?, parts.next()?, parts.next()?);
        let stem = file
            .strip_suffix(".log")
            .or_else(|| file.strip_suffix(".indexes"))?;
        // An id may hold a `-` itself: the first one ends the offset.
        let (base, id) = stem.split_once('-')?;
        if parts.next().is_some() || base.len() != 20 {
            return None;
        }
        Some(ObjectName {
            topic_id: TopicId(topic.parse().ok()?),
            partition: PartitionIndex(partition.parse().ok()?),
            base: base.parse().ok()?,
            id: id.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment() -> RemoteSegment {
        RemoteSegment {
            state: RemoteState::Started,
            topic_id: TopicId(Uuid([0xfb; 16])),
            partition: PartitionIndex(3),
            id: Uuid([0xff; 16]),
            view: SegmentView {
                size: 77,
                next_offset: 90,
                offset_entries: 2,
                time_entries: 1,
                ..SegmentView::empty(42, 9)
            },
            txn_entries: 1,
            indexes_crc: 5,
            epochs: vec![EpochEntry {
                epoch: 4,
                start_offset: 42,
            }],
        }
    }

    #[test]
    fn an_entry_round_trips_and_cut_ones_are_none() {
        for state in [
            RemoteState::Started,
            RemoteState::Finished,
            RemoteState::Deleting,
        ] {
            let segment = segment().in_state(state);
            let bytes = segment.encode();
            assert_eq!(RemoteSegment::decode(&bytes), Some(segment));
            for at in 0..bytes.len() {
                assert_eq!(RemoteSegment::decode(&bytes[..at]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            drop(RemoteSegment::decode(&bytes));
            if bytes.len() > 2 {
                bytes[0] = 1;
                bytes[1] = 2;
                drop(RemoteSegment::decode(&bytes));
            }
        }
    }

    #[test]
    fn the_names_of_its_objects_say_whose_they_are() {
        let segment = segment();
        let name = ObjectName {
            topic_id: segment.topic_id,
            partition: segment.partition,
            base: 42,
            id: segment.id,
        };
        let (log, indexes) = (segment.log_object("c"), segment.indexes_object("c"));
        assert!(log.starts_with("c/-_v7"), "{log}");
        assert_eq!(ObjectName::parse("c", &log), Some(name));
        assert_eq!(ObjectName::parse("c", &indexes), Some(name));
        for strange in [
            "",
            "c",
            "c/x/1/a",
            "d/x",
            &log.replace(".log", ".txt"),
            &format!("{log}/x"),
        ] {
            assert_eq!(ObjectName::parse("c", strange), None, "{strange}");
        }
    }

    #[test]
    fn the_indexes_lie_one_behind_the_other() {
        let segment = segment();
        assert_eq!(segment.index_range(SegmentPart::OffsetIndex), 0..16);
        assert_eq!(segment.index_range(SegmentPart::TimeIndex), 16..28);
        assert_eq!(segment.index_range(SegmentPart::TxnIndex), 28..62);
        assert_eq!(segment.indexes_bytes(), 62);
    }
}
