//! The header of record batch v2 (magic 2), read and stamped in place; the records behind it stay bytes.
//!
//! ```text
//!  0  base_offset             i64   stamped by the leader, outside the CRC
//!  8  batch_length            i32   bytes that follow this field
//! 12  partition_leader_epoch  i32   stamped by the leader, outside the CRC
//! 16  magic                   i8    2
//! 17  crc                     u32   CRC-32C of everything from `attributes` to the end
//! 21  attributes              i16   0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//! 23  last_offset_delta       i32
//! 27  base_timestamp          i64
//! 35  max_timestamp           i64
//! 43  producer_id             i64
//! 51  producer_epoch          i16
//! 53  base_sequence           i32
//! 57  record_count            i32
//! 61  records, compressed as one block when a codec is set
//! ```
//! Source: `org.apache.kafka.common.record.DefaultRecordBatch` (KIP-98, KIP-732). All integers big-endian.
//!
//! **Invariant:** the first 16 bytes belong to the leader, the rest to the producer. [`StampedBatch`] keeps
//! the two apart, so stamping a batch never copies or changes what the producer's CRC covers.

use bytes::Bytes;

/// The length of the fixed header, in bytes.
pub const BATCH_HEADER_LEN: usize = 61;
/// `base_offset` and `batch_length`: what `batch_length` does not count.
pub const LOG_OVERHEAD: usize = 12;
/// The part of the header that the leader stamps.
pub const STAMP_LEN: usize = 16;
/// The only magic a Kafka 4 broker accepts.
pub const MAGIC_V2: i8 = 2;

const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;

/// The codec in bits 0 to 2 of a batch's attributes
/// (`org.apache.kafka.common.record.CompressionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Records follow as they are.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in xerial's block framing.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878; from Produce v7 and Fetch v10 (KIP-110).
    Zstd,
}

impl Compression {
    /// The codec with this id, or `None` for 5, 6 and 7, which Kafka does not assign.
    #[must_use]
    pub fn from_id(id: i16) -> Option<Compression> {
        Some(match id {
            0 => Compression::None,
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            _ => return None,
        })
    }

    /// The codec's id in the attributes.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// The codec's name in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// Bits 0 to 2: the codec.
    pub const COMPRESSION_MASK: i16 = 0x07;
    /// Bit 3: `LogAppendTime` when set, `CreateTime` when not.
    pub const LOG_APPEND_TIME: i16 = 0x08;
    /// Bit 4: the batch is part of a transaction.
    pub const TRANSACTIONAL: i16 = 0x10;
    /// Bit 5: the batch holds a control record, written by a broker only.
    pub const CONTROL: i16 = 0x20;
    /// Bit 6: `base_timestamp` is the delete horizon of a compacted batch (KIP-534).
    pub const DELETE_HORIZON: i16 = 0x40;

    /// The codec, or `None` when the bits name one that does not exist.
    #[must_use]
    pub fn compression(self) -> Option<Compression> {
        Compression::from_id(self.0 & Attributes::COMPRESSION_MASK)
    }

    /// Whether the batch's timestamps were set by the broker.
    #[must_use]
    pub fn is_log_append_time(self) -> bool {
        self.0 & Attributes::LOG_APPEND_TIME != 0
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Attributes::TRANSACTIONAL != 0
    }

    /// Whether `base_timestamp` is the time from which tombstones of the batch, or the marker that it is, may go
    /// (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Attributes::DELETE_HORIZON != 0
    }

    /// Whether the batch holds a control record.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Attributes::CONTROL != 0
    }
}

/// What is wrong with the bytes of a record batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Fewer bytes than the header or `batch_length` promises.
    #[error("record batch is cut short: {have} bytes of {need}")]
    Truncated {
        /// Bytes that are there.
        have: usize,
        /// Bytes that the header asks for.
        need: usize,
    },
    /// `batch_length` is too small to hold a header.
    #[error("record batch length {0} is below the minimum of 49")]
    InvalidLength(i32),
    /// A message set of magic 0 or 1, or nonsense.
    #[error("record batch has magic {0}, only magic 2 is supported")]
    UnsupportedMagic(i8),
    /// The CRC-32C does not match.
    #[error("record batch CRC is {computed:#010x}, its header says {stored:#010x}")]
    CrcMismatch {
        /// What the header holds.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
}

/// The fixed header of a batch, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table describes each field")]
pub struct BatchHeader {
    pub base_offset: i64,
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. Only the header need be there, so that a scan of a file can
    /// read 61 bytes and skip the rest.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] below 61 bytes, [`BatchError::InvalidLength`] or
    /// [`BatchError::UnsupportedMagic`]. The CRC is not checked here: see [`verify_crc`].
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some(header) = bytes.first_chunk::<BATCH_HEADER_LEN>() else {
            return Err(BatchError::Truncated {
                have: bytes.len(),
                need: BATCH_HEADER_LEN,
            });
        };
        let magic = i8::from_be_bytes(field(header, 16));
        if magic != MAGIC_V2 {
            return Err(BatchError::UnsupportedMagic(magic));
        }
        let batch_length = i32::from_be_bytes(field(header, 8));
        if batch_length < (BATCH_HEADER_LEN - LOG_OVERHEAD) as i32 {
            return Err(BatchError::InvalidLength(batch_length));
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(field(header, 0)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(field(header, 12)),
            magic,
            crc: u32::from_be_bytes(field(header, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(field(header, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            record_count: i32::from_be_bytes(field(header, 57)),
        })
    }

    /// Writes the header as its 61 bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BATCH_HEADER_LEN] {
        let mut out = [0; BATCH_HEADER_LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&self.base_offset.to_be_bytes());
        put(&self.batch_length.to_be_bytes());
        put(&self.partition_leader_epoch.to_be_bytes());
        put(&self.magic.to_be_bytes());
        put(&self.crc.to_be_bytes());
        put(&self.attributes.0.to_be_bytes());
        put(&self.last_offset_delta.to_be_bytes());
        put(&self.base_timestamp.to_be_bytes());
        put(&self.max_timestamp.to_be_bytes());
        put(&self.producer_id.to_be_bytes());
        put(&self.producer_epoch.to_be_bytes());
        put(&self.base_sequence.to_be_bytes());
        put(&self.record_count.to_be_bytes());
        out
    }

    /// The length of the whole batch in bytes, header included.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        // `parse` refuses lengths below 49, so the cast cannot wrap.
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// The offset of the batch's last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset that follows the batch.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Whether an idempotent producer wrote the batch.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record; wraps from `i32::MAX` to 0 as the Java producer's does
    /// (`DefaultRecordBatch.incrementSequence`). -1 when the batch has no sequence.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        add_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// `sequence + increment` in the sequence space `0..=i32::MAX`, wrapping to 0.
#[must_use]
pub fn add_sequence(sequence: i32, increment: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(increment);
    let space = i64::from(i32::MAX) + 1;
    // `rem_euclid` keeps the result inside the space even for a hostile increment.
    sum.rem_euclid(space) as i32
}

fn field<const N: usize>(header: &[u8; BATCH_HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

/// Checks the CRC-32C of one whole batch (`bytes` begins at `base_offset` and may go on beyond the batch).
///
/// # Errors
/// What [`BatchHeader::parse`] finds, [`BatchError::Truncated`] when the batch is not all there, or
/// [`BatchError::CrcMismatch`].
pub fn verify_crc(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let need = header.size_in_bytes();
    let Some(covered) = bytes.get(ATTRIBUTES_AT..need) else {
        return Err(BatchError::Truncated {
            have: bytes.len(),
            need,
        });
    };
    let computed = crc32c::crc32c(covered);
    if computed != header.crc {
        return Err(BatchError::CrcMismatch {
            stored: header.crc,
            computed,
        });
    }
    Ok(header)
}

/// A producer's batch with the leader's 16 bytes in front; together they are the batch's final bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedBatch {
    /// `base_offset`, `batch_length`, `partition_leader_epoch`, as on the wire.
    pub head: [u8; STAMP_LEN],
    /// Everything from `magic` on: a slice of what the producer sent.
    pub body: Bytes,
}

impl StampedBatch {
    /// Stamps `batch`, exactly one whole batch whose header was already checked.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] when `batch` is shorter than a header.
    pub fn new(
        batch: &Bytes,
        base_offset: base::Offset,
        leader_epoch: base::LeaderEpoch,
    ) -> Result<StampedBatch, BatchError> {
        let Some(length) = batch.get(8..LOG_OVERHEAD) else {
            return Err(BatchError::Truncated {
                have: batch.len(),
                need: BATCH_HEADER_LEN,
            });
        };
        if batch.len() < BATCH_HEADER_LEN {
            return Err(BatchError::Truncated {
                have: batch.len(),
                need: BATCH_HEADER_LEN,
            });
        }
        let mut head = [0; STAMP_LEN];
        head[..8].copy_from_slice(&base_offset.0.to_be_bytes());
        head[8..LOG_OVERHEAD].copy_from_slice(length);
        head[LOG_OVERHEAD..].copy_from_slice(&leader_epoch.0.to_be_bytes());
        Ok(StampedBatch {
            head,
            body: batch.slice(STAMP_LEN..),
        })
    }

    /// The length of the whole batch in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        STAMP_LEN + self.body.len()
    }

    /// Never: a batch has at least a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BatchHeader {
        BatchHeader {
            base_offset: 7,
            batch_length: 49,
            partition_leader_epoch: 3,
            magic: 2,
            crc: 0,
            attributes: Attributes(Attributes::TRANSACTIONAL | 4),
            last_offset_delta: 2,
            base_timestamp: 10,
            max_timestamp: 20,
            producer_id: 99,
            producer_epoch: 1,
            base_sequence: i32::MAX - 1,
            record_count: 3,
        }
    }

    #[test]
    fn header_round_trips_and_sequence_wraps() {
        let header = header();
        let parsed = BatchHeader::parse(&header.to_bytes()).unwrap();
        assert_eq!(parsed, header);
        assert_eq!(parsed.last_offset(), 9);
        assert_eq!(parsed.last_sequence(), 0);
        assert_eq!(parsed.attributes.compression(), Some(Compression::Zstd));
        assert!(parsed.attributes.is_transactional() && !parsed.attributes.is_control());
    }

    #[test]
    fn bad_headers_are_errors() {
        let bytes = header().to_bytes();
        assert_eq!(
            BatchHeader::parse(&bytes[..60]),
            Err(BatchError::Truncated { have: 60, need: 61 })
        );
        let mut short = bytes;
        short[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(
            BatchHeader::parse(&short),
            Err(BatchError::InvalidLength(48))
        );
        let mut old = bytes;
        old[16] = 1;
        assert_eq!(
            BatchHeader::parse(&old),
            Err(BatchError::UnsupportedMagic(1))
        );
        assert!(matches!(
            verify_crc(&bytes),
            Err(BatchError::CrcMismatch { stored: 0, .. })
        ));
    }

    #[test]
    fn a_stamp_replaces_sixteen_bytes_and_nothing_else() {
        let batch = Bytes::copy_from_slice(&header().to_bytes());
        let stamped = StampedBatch::new(&batch, base::Offset(1_000), base::LeaderEpoch(5)).unwrap();
        let mut whole = stamped.head.to_vec();
        whole.extend_from_slice(&stamped.body);
        let parsed = BatchHeader::parse(&whole).unwrap();
        assert_eq!(
            (parsed.base_offset, parsed.partition_leader_epoch),
            (1_000, 5)
        );
        assert_eq!(&whole[16..], &batch[16..]);
        assert_eq!(parsed.batch_length, 49);
    }
}
