//! The `records` field of Produce and Fetch: bytes that are passed along, not parsed.
//!
//! A fetch response is put together from parts that already exist somewhere: a slice of the frame a producer
//! sent, or a range of a segment file. [`Records`] keeps the parts apart until the connection writes them,
//! with a vectored write or `sendfile`, so that no record is copied on the way.

use std::fs::File;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::record_batch::StampedBatch;

/// A range of a file that holds whole record batches.
///
/// The range is fixed when the region is made: segment files only grow, and one that is deleted stays
/// readable for as long as this handle lives.
#[derive(Clone, Debug)]
pub struct FileRegion {
    /// The open file; nothing in this crate reads it.
    pub file: Arc<File>,
    /// Where the range begins, in bytes from the start of the file.
    pub position: u64,
    /// How long the range is, in bytes.
    pub length: u32,
}

impl PartialEq for FileRegion {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
            && self.position == other.position
            && self.length == other.length
    }
}

/// One contiguous piece of a `records` field.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordsPart {
    /// Bytes as they go on the wire.
    Bytes(Bytes),
    /// A producer's batch with the leader's stamp in front of it.
    Stamped(StampedBatch),
    /// Bytes that are still in a segment file.
    File(FileRegion),
}

impl RecordsPart {
    /// The length on the wire, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            RecordsPart::Bytes(bytes) => bytes.len(),
            RecordsPart::Stamped(batch) => batch.len(),
            RecordsPart::File(region) => region.length as usize,
        }
    }

    /// Whether the part holds no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The value of a `records` field: record batches, end to end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    parts: Vec<RecordsPart>,
    len: usize,
}

impl Records {
    /// No records; on the wire a field of length 0, which clients tell from null.
    #[must_use]
    pub fn empty() -> Records {
        Records::default()
    }

    /// Appends a part. Empty parts are dropped.
    pub fn push(&mut self, part: RecordsPart) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push(part);
        }
    }

    /// The parts in wire order.
    #[must_use]
    pub fn parts(&self) -> &[RecordsPart] {
        &self.parts
    }

    /// The total length on the wire, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes when they are one slice in memory, as a decoded field always is; `None` for a field made
    /// of several parts or of a file region.
    #[must_use]
    pub fn as_bytes(&self) -> Option<Bytes> {
        match self.parts.as_slice() {
            [] => Some(Bytes::new()),
            [RecordsPart::Bytes(bytes)] => Some(bytes.clone()),
            _ => None,
        }
    }

    /// Copies all in-memory parts into one buffer; `None` if a part is a file region.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Bytes> {
        if let Some(bytes) = self.as_bytes() {
            return Some(bytes);
        }
        let mut buffer = BytesMut::with_capacity(self.len);
        for part in &self.parts {
            match part {
                RecordsPart::Bytes(bytes) => buffer.put_slice(bytes),
                RecordsPart::Stamped(batch) => {
                    buffer.put_slice(&batch.head);
                    buffer.put_slice(&batch.body);
                }
                RecordsPart::File(_) => return None,
            }
        }
        Some(buffer.freeze())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Records {
        let mut records = Records::empty();
        records.push(RecordsPart::Bytes(bytes));
        records
    }
}
