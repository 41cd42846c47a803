//! What was read, as a share partition wants it: where its batches begin and end, and the part of it that was acquired.
//!
//! Only headers are looked at, in blocks, and no further than what can be acquired.

use std::os::unix::fs::FileExt;

use base::Offset;
use coordinator::share_partition::{AbortedRange, AcquiredRecords, FetchedBatch};
use storage::AbortedTxn;
use wire::record_batch::{BATCH_HEADER_LEN, BatchHeader, STAMP_LEN};
use wire::{FileRegion, Records, RecordsPart};

/// How much of a file is read at a time. Batches are mostly larger than that or many to a block.
const BLOCK: usize = 16 * 1024;

/// Where a batch is in what was read.
#[derive(Debug, Clone, Copy)]
struct Place {
    part: usize,
    /// From the start of the part, in bytes.
    position: u64,
    length: u64,
}

/// The batches of a read.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// By offset.
    pub(super) batches: Vec<FetchedBatch>,
    /// Batches of aborted transactions, by offset.
    pub(super) aborted: Vec<AbortedRange>,
    places: Vec<Place>,
}

impl Fetched {
    /// Lists the batches up to the one that holds `last`.
    ///
    /// # Errors
    /// What the file says that cannot be read; nothing for bytes that are no batches, which end the list.
    pub(super) fn scan(
        records: &Records,
        aborted: &[AbortedTxn],
        last: Offset,
    ) -> std::io::Result<Fetched> {
        let mut fetched = Fetched::default();
        for (index, part) in records.parts().iter().enumerate() {
            let go_on = match part {
                RecordsPart::Bytes(bytes) => {
                    fetched.scan_bytes(bytes, index, aborted, last);
                    fetched.is_short_of(last)
                }
                RecordsPart::Stamped(batch) => {
                    let mut header = [0; BATCH_HEADER_LEN];
                    let rest = BATCH_HEADER_LEN - STAMP_LEN;
                    if let Some(body) = batch.body.get(..rest) {
                        header[..STAMP_LEN].copy_from_slice(&batch.head);
                        header[STAMP_LEN..].copy_from_slice(body);
                    }
                    fetched.push(&header, index, 0, aborted).is_some() && fetched.is_short_of(last)
                }
                RecordsPart::File(region) => {
                    fetched.scan_file(region, index, aborted, last)?;
                    fetched.is_short_of(last)
                }
            };
            if !go_on {
                break;
            }
        }
        Ok(fetched)
    }

    fn is_short_of(&self, last: Offset) -> bool {
        self.batches
            .last()
            .is_none_or(|batch| batch.last_offset < last)
    }

    fn scan_bytes(&mut self, bytes: &[u8], part: usize, aborted: &[AbortedTxn], last: Offset) {
        let mut position = 0;
        while let Some(rest) = bytes.get(position..)
            && let Some(length) = self.push(rest, part, position as u64, aborted)
            && self.is_short_of(last)
        {
            position += length;
        }
    }

    fn scan_file(
        &mut self,
        region: &FileRegion,
        part: usize,
        aborted: &[AbortedTxn],
        last: Offset,
    ) -> std::io::Result<()> {
        let end = u64::from(region.length);
        let mut block = Vec::new();
        let mut block_at = 0;
        let mut position = 0;
        while position < end {
            let within = usize::try_from(position.saturating_sub(block_at)).unwrap_or(usize::MAX);
            let known = block.len().saturating_sub(within);
            if known < BATCH_HEADER_LEN {
                let left = usize::try_from(end - position).unwrap_or(usize::MAX);
                block.resize(left.min(BLOCK), 0);
                block_at = position;
                region
                    .file
                    .read_exact_at(&mut block, region.position + position)?;
            }
            let within = usize::try_from(position - block_at).unwrap_or(usize::MAX);
            let Some(length) = block
                .get(within..)
                .and_then(|header| self.push(header, part, position, aborted))
            else {
                break;
            };
            if !self.is_short_of(last) {
                break;
            }
            position += length as u64;
        }
        Ok(())
    }

    /// Adds the batch whose header this is. Returns its length.
    fn push(
        &mut self,
        header: &[u8],
        part: usize,
        position: u64,
        aborted: &[AbortedTxn],
    ) -> Option<usize> {
        let header = BatchHeader::parse(header).ok()?;
        let length = header.size_in_bytes();
        let (first, last) = (Offset(header.base_offset), Offset(header.last_offset()));
        self.batches.push(FetchedBatch {
            base_offset: first,
            last_offset: last,
        });
        self.places.push(Place {
            part,
            position,
            length: length as u64,
        });
        let attributes = header.attributes;
        let is_aborted = attributes.is_transactional()
            && !attributes.is_control()
            && aborted.iter().any(|transaction| {
                transaction.producer_id.0 == header.producer_id
                    && transaction.first_offset <= first
                    && last <= transaction.last_offset
            });
        if is_aborted {
            self.aborted.push(AbortedRange {
                first_offset: first,
                last_offset: last,
            });
        }
        Some(length)
    }

    /// The batches that hold what was acquired, from the first to the last (`ShareFetchUtils.maybeSliceFetchRecords`).
    pub(super) fn slice(&self, records: &Records, acquired: &[AcquiredRecords]) -> Records {
        let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else {
            return Records::empty();
        };
        let from = self
            .batches
            .partition_point(|batch| batch.last_offset < first.first_offset);
        let to = self
            .batches
            .partition_point(|batch| batch.base_offset <= last.last_offset);
        let mut sliced = Records::empty();
        let mut places = self
            .places
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .peekable();
        while let Some(place) = places.next() {
            let mut end = place.position + place.length;
            while let Some(next) = places.next_if(|next| next.part == place.part) {
                end = next.position + next.length;
            }
            match records.parts().get(place.part) {
                Some(RecordsPart::File(region)) => sliced.push(RecordsPart::File(FileRegion {
                    file: std::sync::Arc::clone(&region.file),
                    position: region.position + place.position,
                    length: u32::try_from(end - place.position)
                        .unwrap_or(u32::MAX)
                        .min(region.length),
                })),
                Some(RecordsPart::Bytes(bytes)) => {
                    let range = usize::try_from(place.position).unwrap_or(usize::MAX)
                        ..usize::try_from(end).unwrap_or(usize::MAX);
                    if range.end <= bytes.len() {
                        sliced.push(RecordsPart::Bytes(bytes.slice(range)));
                    }
                }
                Some(part @ RecordsPart::Stamped(_)) => sliced.push(part.clone()),
                None => {}
            }
        }
        sliced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};
    use wire::record_data::{BatchOptions, RecordBatchBuilder};

    /// Batches of three records, at offsets 0, 3 and 6.
    fn batches() -> Vec<Bytes> {
        (0..3)
            .map(|index| {
                let mut builder = RecordBatchBuilder::new(BatchOptions::default());
                for _ in 0..3 {
                    builder.append(0, None, Some(&[b'x'; 50]), &[]).unwrap();
                }
                let mut bytes = BytesMut::from(&builder.finish().unwrap()[..]);
                bytes[..8].copy_from_slice(&(3_i64 * index).to_be_bytes());
                bytes.freeze()
            })
            .collect()
    }

    fn acquired(first: i64, last: i64) -> AcquiredRecords {
        AcquiredRecords {
            first_offset: Offset(first),
            last_offset: Offset(last),
            delivery_count: 1,
        }
    }

    fn bases(fetched: &Fetched) -> Vec<i64> {
        let batches = fetched.batches.iter();
        batches.map(|batch| batch.base_offset.0).collect()
    }

    #[test]
    fn files_and_buffers_are_scanned_and_sliced_alike() {
        let batches = batches();
        let all: Vec<u8> = batches.iter().flat_map(|batch| batch.to_vec()).collect();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"before").unwrap();
        std::io::Write::write_all(&mut file, &all).unwrap();
        let mut in_file = Records::empty();
        in_file.push(RecordsPart::File(FileRegion {
            file: std::sync::Arc::new(file),
            position: 6,
            length: all.len() as u32,
        }));
        let in_memory = Records::from(Bytes::from(all));
        for records in [&in_file, &in_memory] {
            let fetched = Fetched::scan(records, &[], Offset(100)).unwrap();
            assert_eq!(bases(&fetched), [0, 3, 6]);
            let sliced = fetched.slice(records, &[acquired(4, 4), acquired(7, 7)]);
            assert_eq!(sliced.len(), batches[1].len() + batches[2].len());
            let again = Fetched::scan(&sliced, &[], Offset(100)).unwrap();
            assert_eq!(bases(&again), [3, 6]);
            let few = Fetched::scan(records, &[], Offset(3)).unwrap();
            assert_eq!(bases(&few), [0, 3]);
            assert!(fetched.slice(records, &[]).is_empty());
        }
    }

    #[test]
    fn bytes_that_are_no_batches_end_the_list() {
        let mut bytes = batches()[0].to_vec();
        bytes.extend_from_slice(
            b"no batch at all, but long enough to be taken for the header of one....",
        );
        let fetched = Fetched::scan(&Records::from(Bytes::from(bytes)), &[], Offset(9)).unwrap();
        assert_eq!(bases(&fetched), [0]);
    }
}
