//! Segment files behind a trait: what is closed is read, listed, replaced and removed through
//! [`SegmentStore`], whichever engine holds it.
//!
//! A *segment* is a run of record batches, named by its base offset, with its parts: the log itself, the offset index,
//! the time index and the index of aborted transactions. [`LocalDir`] keeps them as Apache Kafka does. Only the
//! segment that is still growing is written past the trait, by [`LocalDir`]'s own methods: an object store
//! cannot append.

pub mod conformance;
mod local;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::{PartitionIndex, TopicId};
use wire::RecordsPart;

pub use local::LocalDir;

/// The identity of a partition's log.
#[derive(Clone, PartialEq, Eq)]
pub struct LogName {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The topic's id.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Distinguishes two logs of one name that follow each other in a process (delete, create again).
    pub uid: u64,
}

impl LogName {
    /// `<topic>-<partition>`, Kafka's directory name.
    #[must_use]
    pub fn dir_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// One file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentPart {
    /// The record batches.
    Log,
    /// Offset to position.
    OffsetIndex,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
}

impl SegmentPart {
    /// All parts.
    pub const ALL: [SegmentPart; 4] = [
        SegmentPart::Log,
        SegmentPart::OffsetIndex,
        SegmentPart::TimeIndex,
        SegmentPart::TxnIndex,
    ];

    /// The file name's extension in Kafka's layout.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            SegmentPart::Log => "log",
            SegmentPart::OffsetIndex => "index",
            SegmentPart::TimeIndex => "timeindex",
            SegmentPart::TxnIndex => "txnindex",
        }
    }
}

/// A store of segments.
///
/// **Contract** (checked by [`conformance`]): `put` replaces a part as a whole or not at all; `list` names a
/// segment from the moment its log part is there until `remove`; a region handed out stays readable after
/// `remove`. Calls block on I/O.
pub trait SegmentStore: Send + Sync + fmt::Debug {
    /// The base offsets of the log's segments, ascending. Empty for a log that has none.
    ///
    /// # Errors
    /// I/O errors.
    fn list(&self, log: &LogName) -> io::Result<Vec<i64>>;

    /// The length of a part, `None` when it is not there.
    ///
    /// # Errors
    /// I/O errors.
    fn length(&self, log: &LogName, base: i64, part: SegmentPart) -> io::Result<Option<u64>>;

    /// Reads until `buf` is full or the part ends; returns how much was read.
    ///
    /// # Errors
    /// I/O errors; `NotFound` when the part is not there.
    fn read_at(
        &self,
        log: &LogName,
        base: i64,
        part: SegmentPart,
        position: u64,
        buf: &mut [u8],
    ) -> io::Result<usize>;

    /// A range of the log part, for a response.
    ///
    /// # Errors
    /// I/O errors; `NotFound` when the segment is not there.
    fn region(
        &self,
        log: &LogName,
        base: i64,
        position: u64,
        length: u32,
    ) -> io::Result<RecordsPart>;

    /// Replaces a part.
    ///
    /// # Errors
    /// I/O errors; the part is as it was.
    fn put(&self, log: &LogName, base: i64, part: SegmentPart, bytes: &[u8]) -> io::Result<()>;

    /// Removes a segment; its space is free after `delay` at the earliest.
    ///
    /// # Errors
    /// I/O errors. Removing what is not there is none.
    fn remove(&self, log: &LogName, base: i64, delay: Duration) -> io::Result<()>;
}
