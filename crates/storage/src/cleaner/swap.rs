//! Putting a cleaned segment in the place of those it was made of, so that a kill at any point leaves either.
//!
//! ```text
//! 1  <base>.log.cleaned, .index.cleaned, ...  written and synced       found at a start: removed
//! 2  cleaner-swap                             written and synced       found at a start: 3 to 5 are done
//! 3  the .cleaned files renamed over the first segment's, the other segments removed, the directory synced
//! 4  the checkpoint written again with the new segment
//! 5  cleaner-swap removed, the directory synced
//! ```
//! The file `cleaner-swap` is what commits. Steps 3 to 5 may be done twice. All integers are big-endian:
//!
//! ```text
//!  0  magic      8    "AFSWAP01"
//!  8  crc        u32  CRC-32C of everything behind it
//! 12  topic_id   16 bytes
//! 28  last_base  i64  the base of the last segment that goes
//! 36  has_txn    u8   whether there is an index of aborted transactions
//! 37  the new segment, 56 bytes, as in the checkpoint; its base is that of the first segment that goes
//! ```
//! Differs: Kafka renames `.cleaned` to `.swap` and finds out from offsets which segments a `.swap` file replaces; here it
//! is written down, as are the sizes that the checkpoint must then have.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{TopicId, Uuid};

use crate::cleaner::output::{SUFFIX, aside};
use crate::fault::IoOp;
use crate::io::{Faults, be, sync_dir, write_atomic};
use crate::log::LogCheckpoint;
use crate::log::index::SegmentView;
use crate::store::{LocalDir, LogName, SegmentPart, SegmentStore};

const FILE: &str = "cleaner-swap";
const MAGIC: [u8; 8] = *b"AFSWAP01";
const BODY_AT: usize = 12;
const VIEW_AT: usize = 37;

/// A swap that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SwapRecord {
    pub(crate) topic_id: TopicId,
    pub(crate) last_base: i64,
    pub(crate) has_txn_index: bool,
    pub(crate) view: SegmentView,
}

/// Where the record of a log's swap is.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

impl SwapRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.extend(MAGIC);
        out.extend([0; 4]);
        out.extend(self.topic_id.0.0);
        out.extend(self.last_base.to_be_bytes());
        out.push(u8::from(self.has_txn_index));
        let view = &self.view;
        out.extend(view.base.to_be_bytes());
        out.extend(view.size.to_be_bytes());
        out.extend(view.next_offset.to_be_bytes());
        out.extend(view.offset_entries.to_be_bytes());
        out.extend(view.time_entries.to_be_bytes());
        out.extend(view.max_timestamp.to_be_bytes());
        out.extend(view.max_timestamp_offset.to_be_bytes());
        out.extend(view.modified_ms.to_be_bytes());
        let crc = crc32c::crc32c(&out[BODY_AT..]);
        out[8..BODY_AT].copy_from_slice(&crc.to_be_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<SwapRecord> {
        if be::array(bytes, 0)? != MAGIC
            || crc32c::crc32c(bytes.get(BODY_AT..)?) != be::u32(bytes, 8)?
        {
            return None;
        }
        let at = |offset| VIEW_AT + offset;
        Some(SwapRecord {
            topic_id: TopicId(Uuid(be::array(bytes, BODY_AT)?)),
            last_base: be::i64(bytes, 28)?,
            has_txn_index: *bytes.get(36)? != 0,
            view: SegmentView {
                base: be::i64(bytes, at(0))?,
                size: be::u64(bytes, at(8))?,
                next_offset: be::i64(bytes, at(16))?,
                offset_entries: be::u32(bytes, at(24))?,
                time_entries: be::u32(bytes, at(28))?,
                max_timestamp: be::i64(bytes, at(32))?,
                max_timestamp_offset: be::i64(bytes, at(40))?,
                modified_ms: be::i64(bytes, at(48))?,
            },
        })
    }

    /// Whether a segment is one of those that go, or the new one itself.
    pub(crate) fn covers(&self, base: i64) -> bool {
        (self.view.base..=self.last_base).contains(&base)
    }

    /// Commits: from here on the swap happens, if not now then at the next start. After an error it does not, unless
    /// the error is the outer one, which leaves that open.
    pub(crate) fn write(&self, dir: &Path, faults: &Faults) -> io::Result<io::Result<()>> {
        let Err(error) = write_atomic(&path(dir), &self.encode(), true) else {
            faults.done(IoOp::CleanerWrite, &path(dir));
            return Ok(Ok(()));
        };
        if path(dir).exists() {
            forget(dir, faults)?;
        }
        Ok(Err(error))
    }

    /// Puts the new segment into a list of segments, if one that goes is in it.
    pub(crate) fn patch(&self, segments: &mut Vec<SegmentView>) {
        let before = segments.len();
        let at = segments.partition_point(|segment| segment.base < self.view.base);
        segments.retain(|segment| !self.covers(segment.base));
        if segments.len() < before {
            segments.insert(at, self.view);
        }
    }

    /// Renames the new files over the first segment's. Those that are not there were renamed before.
    pub(crate) fn adopt(
        &self,
        store: &LocalDir,
        name: &LogName,
        faults: &Faults,
    ) -> io::Result<()> {
        for part in SegmentPart::ALL {
            let to = store.path(name, self.view.base, part);
            if part == SegmentPart::TxnIndex && !self.has_txn_index {
                not_found_is_fine(std::fs::remove_file(to))?;
                continue;
            }
            let from = aside(store, name, self.view.base, part);
            match std::fs::rename(from, &to) {
                Ok(()) => faults.done(IoOp::CleanerSwap, &to),
                Err(error) => not_found_is_fine(Err(error))?,
            }
        }
        store.replaced(name, self.view.base);
        Ok(())
    }
}

/// Reads the record of a swap that was committed but not finished; `None` when there is none, `Some(None)` when it is
/// damaged.
pub(crate) fn read(dir: &Path) -> io::Result<Option<Option<SwapRecord>>> {
    match std::fs::read(path(dir)) {
        Ok(bytes) => Ok(Some(SwapRecord::decode(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The swap is in the checkpoint.
pub(crate) fn forget(dir: &Path, faults: &Faults) -> io::Result<()> {
    not_found_is_fine(std::fs::remove_file(path(dir)))?;
    sync_names(dir, faults)
}

/// Makes the names in a log's directory durable.
pub(crate) fn sync_names(dir: &Path, faults: &Faults) -> io::Result<()> {
    sync_dir(dir)?;
    faults.done(IoOp::DirectorySync, dir);
    Ok(())
}

/// Finishes or undoes, at a start, what a pass was doing when the process ended: its files, and what the checkpoint
/// says of them. Returns whether [`forget`] must be called once the checkpoint is written.
pub(crate) fn complete(
    store: &LocalDir,
    name: &LogName,
    saved: Option<&mut LogCheckpoint>,
    faults: &Faults,
) -> io::Result<bool> {
    let dir = store.dir(name);
    let found = read(&dir)?;
    let record = found
        .flatten()
        .filter(|record| record.topic_id == name.topic_id);
    if let Some(record) = record {
        let cleaned = std::fs::metadata(aside(store, name, record.view.base, SegmentPart::Log));
        if cleaned.is_ok_and(|cleaned| cleaned.len() != record.view.size) {
            tracing::error!(log = ?name, base = record.view.base,
                "a compaction was committed, but its segment is another one");
            return Ok(true);
        }
        record.adopt(store, name, faults)?;
        let length = store.length(name, record.view.base, SegmentPart::Log)?;
        if length != Some(record.view.size) {
            tracing::error!(log = ?name, base = record.view.base,
                "a compaction was committed, but its segment is not there");
        } else {
            for base in store.list(name)? {
                if base != record.view.base && record.covers(base) {
                    store.remove(name, base, Duration::ZERO)?;
                }
            }
            if let Some(saved) = saved {
                record.patch(&mut saved.segments);
            }
            tracing::info!(log = ?name, base = record.view.base, "finished a compaction");
        }
        sync_names(&dir, faults)?;
    } else if found.is_some() {
        tracing::error!(log = ?name, "the record of a compaction is damaged; ignoring it");
    }
    Ok(found.is_some())
}

/// Removes what unfinished passes and delayed deletions of an earlier process left in a log's directory.
pub(crate) fn remove_leftovers(store: &LocalDir, name: &LogName) -> io::Result<()> {
    let entries = match std::fs::read_dir(store.dir(name)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let text = path.to_string_lossy();
        if text.ends_with(SUFFIX) {
            not_found_is_fine(std::fs::remove_file(&path))?;
        } else if text.ends_with(".deleted") {
            store.doom(path, Duration::ZERO);
        }
    }
    Ok(())
}

fn not_found_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SwapRecord {
        SwapRecord {
            topic_id: TopicId(Uuid([3; 16])),
            last_base: 200,
            has_txn_index: true,
            view: SegmentView {
                size: 77,
                next_offset: 290,
                offset_entries: 2,
                time_entries: 3,
                max_timestamp: 1_000,
                max_timestamp_offset: 250,
                ..SegmentView::empty(100, 5)
            },
        }
    }

    #[test]
    fn the_record_round_trips_and_damage_is_seen() {
        let bytes = record().encode();
        assert_eq!(SwapRecord::decode(&bytes), Some(record()));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(SwapRecord::decode(&bad), None, "byte {at}");
            assert_eq!(SwapRecord::decode(&bytes[..at]), None);
        }
    }

    #[test]
    fn a_list_of_segments_is_patched_once_or_twice_alike() {
        let bases = |segments: &[SegmentView]| -> Vec<(i64, u64)> {
            segments
                .iter()
                .map(|segment| (segment.base, segment.size))
                .collect()
        };
        let mut segments: Vec<SegmentView> = [0, 100, 150, 200, 300]
            .map(|base| SegmentView::empty(base, 0))
            .into();
        for _ in 0..2 {
            record().patch(&mut segments);
            assert_eq!(bases(&segments), [(0, 0), (100, 77), (300, 0)]);
        }
        // Retention took them all meanwhile.
        let mut rest = vec![SegmentView::empty(300, 0)];
        record().patch(&mut rest);
        assert_eq!(bases(&rest), [(300, 0)]);
    }
}
