//! The index of aborted transactions (`TransactionIndex`): one file a segment that holds an abort marker, an entry of 34 bytes
//! a transaction, by the offset of its marker. It is written after the marker, so a start adds what it finds missing.

use std::io;

use base::{Offset, ProducerId};

use crate::io::be;
use crate::log::index::SegmentView;
use crate::log::producer::AbortedTxn;
use crate::log::put_aborted;
use crate::store::{LocalDir, LogName, SegmentPart, SegmentStore};

const ENTRY_LEN: usize = 34;

/// The entries of all segments, by the offset of the marker.
pub(crate) fn load(
    store: &LocalDir,
    name: &LogName,
    segments: &[SegmentView],
) -> io::Result<Vec<AbortedTxn>> {
    let mut all = Vec::new();
    for segment in segments {
        all.extend(read(store, name, segment.base)?);
    }
    // An entry that a full disk held up may be in a later segment's index than its marker.
    all.sort_by_key(|txn| txn.last_offset);
    Ok(all)
}

/// Adds the aborted transactions whose markers were scanned to the index of the segment at `base`, and takes out what lies
/// behind its end: the process may have ended after a marker was written and before its entry was.
pub(crate) fn restore(
    store: &LocalDir,
    name: &LogName,
    base: i64,
    end: i64,
    scanned: &[AbortedTxn],
) -> io::Result<()> {
    let before = read(store, name, base)?;
    let mut now = before.clone();
    now.retain(|txn| txn.last_offset.0 < end);
    for txn in scanned {
        let is_it = |known: &AbortedTxn| {
            (known.producer_id, known.last_offset) == (txn.producer_id, txn.last_offset)
        };
        if !now.iter().any(is_it) {
            now.push(*txn);
        }
    }
    now.sort_by_key(|txn| txn.last_offset);
    if now == before {
        return Ok(());
    }
    let mut bytes = Vec::with_capacity(now.len() * ENTRY_LEN);
    for txn in &now {
        put_aborted(txn, &mut bytes);
    }
    store.put(name, base, SegmentPart::TxnIndex, &bytes)
}

/// One segment's entries.
fn read(store: &LocalDir, name: &LogName, base: i64) -> io::Result<Vec<AbortedTxn>> {
    let bytes = match std::fs::read(store.path(name, base, SegmentPart::TxnIndex)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let entries = bytes.chunks_exact(ENTRY_LEN).map(|entry| {
        let field = |at| be::i64(entry, at).unwrap_or(-1);
        AbortedTxn {
            producer_id: ProducerId(field(2)),
            first_offset: Offset(field(10)),
            last_offset: Offset(field(18)),
            last_stable_offset: Offset(field(26)),
        }
    });
    Ok(entries.collect())
}
