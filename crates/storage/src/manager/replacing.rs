//! Putting a compacted remote segment in the place of those it was made of.
//!
//! ```text
//! 1  entry Started, objects .log and .indexes         found at a start: deleted, as of a copy that was not finished
//! 2  entry Finished, and the old ones' Deleting       one change of the manifest, which commits
//! 3  the log's list                                   readers of the old objects begin anew
//! 4  the old objects deleted, then their entries      found at a start: done then
//! ```
//! A manifest that fails in step 2 leaves open whether the change was made. Nothing is deleted then until it is known: the
//! replacement is remembered, and settled by a change that only goes through while the first has not, and which makes that one
//! impossible.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::cleaner::CleanError;
use crate::cleaner::output::{Cleaned, aside};
use crate::io::LockExt;
use crate::log::epoch::EpochEntry;
use crate::log::{LogState, PartitionLog};
use crate::manager::{Inner, LogKey, TierReport};
use crate::metrics::add;
use crate::store::SegmentPart;
use crate::tier::{RemoteError, RemoteSegment, RemoteState, Tier};

/// A replacement that was asked of the manifest.
#[derive(Clone, Debug)]
pub(super) struct Replacement {
    log: Arc<PartitionLog>,
    /// The new segment, as its entry was before.
    started: RemoteSegment,
    gone: Vec<Arc<RemoteSegment>>,
}

impl Replacement {
    fn key(&self) -> LogKey {
        (self.log.topic_id(), self.log.partition())
    }

    /// The log goes on with the new segment.
    fn adopt(&self, tier: &Tier) {
        let finished = Arc::new(self.started.in_state(RemoteState::Finished));
        let garbage = self.log.remote.locked().replace(&self.gone, finished);
        tier.discard(garbage);
    }
}

impl Inner {
    /// Uploads `cleaned` and puts it in the place of `group`, which is contiguous. Whatever is not made is garbage afterwards, or
    /// remembered.
    pub(super) fn replace_remote(
        &self,
        log: &Arc<PartitionLog>,
        group: &[Arc<RemoteSegment>],
        cleaned: &Cleaned,
    ) -> Result<(), CleanError> {
        let (Some(tier), Some(last)) = (&self.context.tier, group.last()) else {
            return Err(CleanError::Aborted);
        };
        let indexes = self.cleaned_indexes(log, cleaned)?;
        let mut view = cleaned.view;
        // It stands for all of their offsets, also for those of which nothing is left.
        view.next_offset = last.view.next_offset;
        let started = RemoteSegment {
            state: RemoteState::Started,
            topic_id: log.topic_id(),
            partition: log.partition(),
            id: self.tiering.new_id(log, view.base),
            view,
            txn_entries: u32::try_from(cleaned.aborted.len()).unwrap_or(u32::MAX),
            indexes_crc: crc32c::crc32c(&indexes),
            epochs: epochs_of(group),
        };
        let bytes = view.size + indexes.len() as u64;
        let uploaded = self.upload_cleaned(tier, log, &started, indexes);
        let there = || {
            let list = log.remote_list();
            let mut known = group.iter();
            known.all(|one| list.all().iter().any(|other| other.id == one.id))
        };
        let stopped = self.tiering.stop.load(Ordering::Acquire);
        if let Err(error) = uploaded {
            add(&tier.metrics.remote_copy_errors, 1);
            tier.discard([Arc::new(started)]);
            return Err(CleanError::remote(error.into_io()));
        }
        if stopped || log.state() != LogState::Online || !there() {
            tier.discard([Arc::new(started)]);
            return Err(CleanError::Aborted);
        }
        let replacement = Replacement {
            log: Arc::clone(log),
            started,
            gone: group.to_vec(),
        };
        self.commit(tier, replacement)?;
        add(&tier.metrics.remote_compacted_segments, group.len());
        tier.metrics
            .remote_copied_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        self.pace(tier, bytes);
        Ok(())
    }

    fn upload_cleaned(
        &self,
        tier: &Tier,
        log: &PartitionLog,
        segment: &RemoteSegment,
        indexes: Bytes,
    ) -> Result<(), RemoteError> {
        tier.manifest.put(segment)?;
        let path = aside(
            &self.context.store,
            &log.name,
            segment.view.base,
            SegmentPart::Log,
        );
        let name = segment.log_object(&tier.root);
        tier.store.put_file(&name, &path, segment.view.size)?;
        tier.store.put(&segment.indexes_object(&tier.root), indexes)
    }

    /// The indexes of a segment in the making, one behind the other.
    fn cleaned_indexes(&self, log: &PartitionLog, cleaned: &Cleaned) -> Result<Bytes, CleanError> {
        let mut bytes = Vec::new();
        for part in [
            SegmentPart::OffsetIndex,
            SegmentPart::TimeIndex,
            SegmentPart::TxnIndex,
        ] {
            if part != SegmentPart::TxnIndex || cleaned.has_txn_index {
                let path = aside(&self.context.store, &log.name, cleaned.view.base, part);
                let index = std::fs::read(path);
                bytes.extend(index.map_err(CleanError::io("read a cleaned segment"))?);
            }
        }
        Ok(bytes.into())
    }

    fn commit(&self, tier: &Tier, replacement: Replacement) -> Result<(), CleanError> {
        let mut entries = vec![replacement.started.in_state(RemoteState::Finished)];
        let gone = replacement.gone.iter();
        entries.extend(gone.map(|one| one.in_state(RemoteState::Deleting)));
        match tier.manifest.replace(&replacement.started, &entries) {
            Ok(true) => {
                replacement.adopt(tier);
                Ok(())
            }
            Ok(false) => {
                tier.discard([Arc::new(replacement.started)]);
                Err(CleanError::Aborted)
            }
            Err(error) => {
                let key = replacement.key();
                let mut replacing = self.tiering.replacing.locked();
                replacing.insert(key, replacement.clone());
                drop(replacing);
                match self.settle(tier, &replacement) {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(_) => Err(CleanError::remote(error.into_io())),
                }
            }
        }
    }

    /// Finds out whether a replacement was made, and sees to it that it will not be if it was not. The first is the answer.
    fn settle(&self, tier: &Tier, replacement: &Replacement) -> Result<bool, RemoteError> {
        let started = &replacement.started;
        let given_up = started.in_state(RemoteState::Deleting);
        let made = !tier.manifest.replace(started, &[given_up])?
            && tier
                .manifest
                .entry(started)?
                .is_some_and(|entry| entry.state == RemoteState::Finished);
        if made {
            replacement.adopt(tier);
        } else {
            tier.discard([Arc::new(started.clone())]);
        }
        self.tiering.replacing.locked().remove(&replacement.key());
        Ok(made)
    }

    /// Settles what can be by now.
    pub(super) fn settle_replacements(&self, tier: &Tier, report: &mut TierReport) {
        let open: Vec<Replacement> = self.tiering.replacing.locked().values().cloned().collect();
        for replacement in open {
            if let Err(error) = self.settle(tier, &replacement) {
                report.failures.push(base::ErrorChain(&error).to_string());
            }
        }
    }
}

/// The epochs of segments that follow each other.
fn epochs_of(group: &[Arc<RemoteSegment>]) -> Vec<EpochEntry> {
    let mut epochs: Vec<EpochEntry> = Vec::new();
    for entry in group.iter().flat_map(|segment| &segment.epochs) {
        if epochs.last().is_none_or(|last| last.epoch < entry.epoch) {
            epochs.push(*entry);
        }
    }
    epochs
}
