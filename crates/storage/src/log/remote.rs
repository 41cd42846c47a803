//! The part of a log that is in the remote store: which segments, reading them, and which local ones may follow.
//!
//! The list holds finished segments only, ascending, none overlapping another. It ends where the next copy begins. Local segments may
//! overlap it: they are there twice until local retention takes them.

use std::sync::Arc;
use std::time::Instant;

use base::{LeaderEpoch, Offset};
use wire::{Records, RecordsPart};

use crate::config::LogConfig;
use crate::error::ReadError;
use crate::io::LockExt;
use crate::log::epoch::EpochEntry;
use crate::log::index::{SegmentError, SegmentReader, SegmentView, Slice};
use crate::log::read::{aborted_between, local_log_start};
use crate::log::{LogState, PartitionLog, ReadLimit, ReadResult};
use crate::metrics::add;
use crate::tier::reader::RemoteReader;
use crate::tier::{RemoteSegment, Tier};

/// The most one read takes from the remote store, the first batch aside: it is in memory until it is sent.
const READ_BYTES_MAX: usize = 16 << 20;

/// Finished remote segments, by offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemoteList {
    segments: Arc<Vec<Arc<RemoteSegment>>>,
}

impl RemoteList {
    /// A list of what the manifest has. Returns as well what overlaps: a second copy of the same offsets, which is garbage.
    pub(crate) fn new(mut found: Vec<Arc<RemoteSegment>>) -> (RemoteList, Vec<Arc<RemoteSegment>>) {
        found.sort_by_key(|segment| (segment.view.base, segment.view.next_offset));
        let (mut kept, mut rest): (Vec<Arc<RemoteSegment>>, _) = (Vec::new(), Vec::new());
        for segment in found {
            let overlaps = kept
                .last()
                .is_some_and(|last| last.view.next_offset > segment.view.base);
            if overlaps {
                rest.push(segment);
            } else {
                kept.push(segment);
            }
        }
        let segments = Arc::new(kept);
        (RemoteList { segments }, rest)
    }

    pub(crate) fn all(&self) -> &[Arc<RemoteSegment>] {
        &self.segments
    }

    /// The offset after the last one; `None` while there is none.
    pub(crate) fn end(&self) -> Option<i64> {
        self.segments.last().map(|last| last.view.next_offset)
    }

    pub(crate) fn push(&mut self, segment: Arc<RemoteSegment>) {
        Arc::make_mut(&mut self.segments).push(segment);
    }

    /// Puts a segment in the place of those it was made of. Returns what nothing refers to from now on: them, or the new one when
    /// none of them is in the list any more.
    pub(crate) fn replace(
        &mut self,
        gone: &[Arc<RemoteSegment>],
        new: Arc<RemoteSegment>,
    ) -> Vec<Arc<RemoteSegment>> {
        let segments = Arc::make_mut(&mut self.segments);
        let before = segments.len();
        segments.retain(|segment| gone.iter().all(|one| one.id != segment.id));
        let mut garbage = gone.to_vec();
        if segments.len() == before {
            garbage.push(new);
        } else {
            let at = segments.partition_point(|segment| segment.view.base < new.view.base);
            segments.insert(at, new);
        }
        garbage
    }

    /// Whether the other one is this one, with nothing changed in between.
    pub(crate) fn is(&self, other: &RemoteList) -> bool {
        Arc::ptr_eq(&self.segments, &other.segments)
    }

    /// Takes out the segments that end at or below `offset`.
    pub(crate) fn take_below(&mut self, offset: i64) -> Vec<Arc<RemoteSegment>> {
        let count = self
            .segments
            .partition_point(|segment| segment.view.next_offset <= offset);
        if count == 0 {
            return Vec::new();
        }
        Arc::make_mut(&mut self.segments).drain(..count).collect()
    }

    /// Index of the first segment that ends above `offset`.
    fn position(&self, offset: i64) -> usize {
        self.segments
            .partition_point(|segment| segment.view.next_offset <= offset)
    }

    /// The leader epochs of all segments.
    pub(crate) fn epochs(&self) -> impl Iterator<Item = EpochEntry> + '_ {
        self.segments
            .iter()
            .flat_map(|segment| segment.epochs.iter().copied())
    }
}

impl PartitionLog {
    /// The finished remote segments, by offset.
    #[must_use]
    pub fn remote_segments(&self) -> Vec<Arc<RemoteSegment>> {
        self.remote_list().all().to_vec()
    }

    pub(crate) fn remote_list(&self) -> RemoteList {
        self.remote.locked().clone()
    }

    pub(crate) fn is_remote(&self, offset: i64) -> bool {
        self.remote.locked().end().is_some_and(|end| offset < end)
    }

    /// The first offset that can be read without the remote store (`UnifiedLog.localLogStartOffset`).
    #[must_use]
    pub fn local_log_start_offset(&self) -> Offset {
        let local = local_log_start(&self.state.locked());
        Offset(local.max(self.log_start_offset().0))
    }

    /// The last offset in the remote store (`UnifiedLog.highestOffsetInRemoteStorage`); `None` while nothing is there.
    #[must_use]
    pub fn highest_remote_offset(&self) -> Option<Offset> {
        let end = self.remote.locked().end()?;
        Some(Offset(end - 1))
    }

    /// Reads whole batches of the remote store, from the one that holds `offset` on, as [`PartitionLog::read`] does; of one segment at
    /// a time, and at most 16 MiB unless the first batch is larger. An offset that is not below the local log start is read
    /// there.
    ///
    /// Blocks until `deadline` at the latest; what was asked of the store by then is read all the same, for the next call.
    ///
    /// # Errors
    /// [`ReadError::RemotePending`] past the deadline, [`ReadError::Remote`] when the store cannot be read, and those of
    /// [`PartitionLog::read`].
    pub fn read_remote(
        &self,
        offset: Offset,
        max_bytes: usize,
        limit: ReadLimit,
        at_least_one: bool,
        deadline: Option<Instant>,
    ) -> Result<ReadResult, ReadError> {
        let mut from = offset;
        loop {
            let mut result = match self.read(from, max_bytes, limit, at_least_one) {
                Err(ReadError::Tiered(result)) => *result,
                other => return other,
            };
            let Some(tier) = &self.context.tier else {
                return Ok(result);
            };
            let list = self.remote_list();
            let index = list.position(from.0);
            let Some(segment) = list.all().get(index) else {
                // Deleted meanwhile: the log start has moved.
                continue;
            };
            let max_bytes = max_bytes.min(READ_BYTES_MAX);
            let reader = RemoteReader::new(tier, segment, deadline);
            let slice = self
                .remote_slice(&reader, segment, from.0, max_bytes, at_least_one)
                .and_then(|slice| {
                    let Some(slice) = slice else { return Ok(None) };
                    result.records = fetched(&reader, slice)?;
                    result.next_offset = Offset(slice.next_offset);
                    prefetch_behind(tier, &list, index, slice);
                    if limit == ReadLimit::LastStableOffset {
                        let upper = slice.next_offset;
                        let behind = list.all().get(index..).unwrap_or_default();
                        result.aborted_transactions =
                            self.remote_aborted(tier, behind, (offset.0, upper), deadline)?;
                    }
                    Ok(Some(()))
                });
            match slice {
                Ok(Some(())) => {
                    add(
                        &self.context.metrics.read_bytes_remote,
                        result.records.len(),
                    );
                    return Ok(result);
                }
                Ok(None) if result.next_offset == from && segment.view.next_offset > from.0 => {
                    if max_bytes == 0 || !at_least_one {
                        return Ok(result);
                    }
                    // The segment's last batches were compacted away.
                    from = Offset(segment.view.next_offset);
                }
                Ok(None) => return Ok(result),
                Err(error) => self.remote_failed(&list, segment, error)?,
            }
        }
    }

    fn remote_slice(
        &self,
        reader: &RemoteReader<'_>,
        segment: &RemoteSegment,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Option<Slice>, SegmentError> {
        let end = (segment.view.size, segment.view.next_offset);
        self.search_remote(reader, segment, |search| {
            let Some((position, _)) = search.find_offset(offset)? else {
                return Ok(None);
            };
            search.cut(position, end, max_bytes as u64, at_least_one)
        })
    }

    /// Searches a remote segment; by its batches alone when its indexes do not match them, which takes longer and finds the same.
    fn search_remote<T>(
        &self,
        reader: &RemoteReader<'_>,
        segment: &RemoteSegment,
        search: impl Fn(&mut SegmentReader<'_>) -> Result<T, SegmentError>,
    ) -> Result<T, SegmentError> {
        let found = search(&mut SegmentReader::new(reader, &self.name, segment.view));
        let Err(SegmentError::Index) = found else {
            return found;
        };
        tracing::warn!(topic = self.topic(), partition = %self.name.partition, base = segment.view.base,
            "the indexes of a remote segment do not match it; its batches are searched");
        let view = SegmentView {
            offset_entries: 0,
            time_entries: 0,
            ..segment.view
        };
        search(&mut SegmentReader::new(reader, &self.name, view))
    }

    /// The aborted transactions that overlap a range (`RemoteLogManager.collectAbortedTransactions`): their markers may be in any
    /// later segment, up to one whose transactions all ended behind the range.
    fn remote_aborted(
        &self,
        tier: &Tier,
        segments: &[Arc<RemoteSegment>],
        (from, upper): (i64, i64),
        deadline: Option<Instant>,
    ) -> Result<Vec<crate::AbortedTxn>, SegmentError> {
        let mut all = Vec::new();
        let mut local_from = from;
        for segment in segments {
            let found = RemoteReader::new(tier, segment, deadline).aborted()?;
            let complete = found.iter().any(|txn| txn.last_stable_offset.0 >= upper);
            all.extend(found);
            if complete {
                return Ok(aborted_between(&all, from, upper));
            }
            local_from = segment.view.next_offset;
        }
        let state = self.state.locked();
        // Local segments may hold the same markers once more.
        let first = state
            .aborted
            .partition_point(|txn| txn.last_offset.0 < local_from);
        all.extend(state.aborted.iter().skip(first));
        Ok(aborted_between(&all, from, upper))
    }

    /// What a failed read means; nothing when segments were deleted or replaced since the `list`, and the read begins anew.
    fn remote_failed(
        &self,
        list: &RemoteList,
        segment: &RemoteSegment,
        error: SegmentError,
    ) -> Result<(), ReadError> {
        let now = self.remote_list();
        let there = |one: &Arc<RemoteSegment>| now.all().iter().any(|other| other.id == one.id);
        if !list.all().iter().all(there) {
            return Ok(());
        }
        Err(match error {
            SegmentError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                ReadError::RemotePending
            }
            SegmentError::Io(error) => ReadError::Remote(Arc::new(error)),
            error => {
                let root = self.context.tier.as_ref().map_or("", |tier| &tier.root);
                let error = error.into_read_error(segment.log_object(root).into());
                tracing::error!(topic = self.topic(), partition = %self.name.partition,
                    error = %error, "a remote segment is corrupt");
                error
            }
        })
    }

    /// Runs a search in a remote segment.
    pub(crate) fn with_remote<T>(
        &self,
        list: &RemoteList,
        segment: &RemoteSegment,
        deadline: Option<Instant>,
        search: impl Fn(&mut SegmentReader<'_>) -> Result<Option<T>, SegmentError>,
    ) -> Result<Option<T>, ReadError> {
        let Some(tier) = &self.context.tier else {
            return Ok(None);
        };
        let reader = RemoteReader::new(tier, segment, deadline);
        match self.search_remote(&reader, segment, search) {
            Ok(found) => Ok(found),
            Err(error) => self.remote_failed(list, segment, error).map(|()| None),
        }
    }

    /// The remote segments of a list that hold what no local one does.
    pub(crate) fn only_remote(&self, list: &RemoteList) -> Vec<Arc<RemoteSegment>> {
        let (local, log_start) = {
            let state = self.state.locked();
            (local_log_start(&state), self.log_start_offset().0)
        };
        list.all()
            .iter()
            .filter(|segment| segment.view.base < local && segment.view.next_offset > log_start)
            .cloned()
            .collect()
    }

    /// The local segments that are to be copied now, oldest first (`RLMCopyTask.candidateLogSegments`): closed, as `synced` by the
    /// last checkpoint, below the last stable offset, and past the copy lag (KIP-1241). Each ends where the next one begins: what
    /// compaction left out between two is as remote as they are.
    ///
    /// With `clean` the log is compacted, and only what local retention would take is copied, as far as a pass was over it: below
    /// that offset. Nothing is in both parts for long, and a pass over the whole log finds each offset once.
    pub(crate) fn copyable(
        &self,
        synced: &[SegmentView],
        clean: Option<i64>,
        now_ms: i64,
    ) -> Vec<SegmentView> {
        let mut state = self.state.locked();
        let config = Arc::clone(&state.config);
        if state.status != LogState::Online || !config.copies_to_remote() {
            return Vec::new();
        }
        let stable = self.stable_offset(&mut state);
        let from = self
            .remote
            .locked()
            .end()
            .unwrap_or(i64::MIN)
            .max(self.log_start_offset().0);
        let mut behind: u64 = state.segments.iter().map(|segment| segment.size).sum();
        let count = match clean {
            None => usize::MAX,
            Some(_) => self.expired_locally(&state, now_ms),
        };
        let mut found = Vec::new();
        let closed = state.segments.iter().zip(state.segments.iter().skip(1));
        for (segment, next) in closed.take(count) {
            behind = behind.saturating_sub(segment.size);
            // It may begin below the log start, which lies in it.
            if next.base <= from {
                continue;
            }
            let is_synced = synced.split_last().is_some_and(|(_, closed)| {
                closed.iter().any(|one| {
                    (one.base, one.size, one.next_offset)
                        == (segment.base, segment.size, segment.next_offset)
                })
            });
            let overlaps = self
                .remote
                .locked()
                .end()
                .is_some_and(|end| segment.base < end);
            let waits = !past_copy_lag(segment, behind, &config, now_ms);
            let dirty = clean.is_some_and(|clean| segment.next_offset > clean);
            if !is_synced || overlaps || segment.next_offset > stable || waits || dirty {
                break;
            }
            found.push(SegmentView {
                next_offset: next.base,
                ..*segment
            });
        }
        found
    }

    /// The epochs of the batches in a range of offsets.
    pub(crate) fn epochs_between(&self, from: i64, to: i64) -> Vec<EpochEntry> {
        let state = self.state.locked();
        let entries = state.epochs.entries();
        let first = entries
            .partition_point(|entry| entry.start_offset <= from)
            .saturating_sub(1);
        let within = entries.iter().skip(first);
        within
            .take_while(|entry| entry.start_offset < to)
            .map(|entry| EpochEntry {
                start_offset: entry.start_offset.max(from),
                ..*entry
            })
            .collect()
    }

    /// The leader epoch of [`PartitionLog::highest_remote_offset`].
    #[must_use]
    pub fn highest_remote_epoch(&self) -> Option<LeaderEpoch> {
        self.epoch_for_offset(self.highest_remote_offset()?)
    }
}

/// Whether a closed segment need not wait any longer.
fn past_copy_lag(segment: &SegmentView, behind: u64, config: &LogConfig, now_ms: i64) -> bool {
    let (lag_ms, lag_bytes) = (config.copy_lag_ms(), config.copy_lag_bytes());
    if lag_ms == 0 || lag_bytes == 0 {
        return true;
    }
    let age_ms = now_ms.saturating_sub(segment.largest_timestamp());
    let by_time = lag_ms > 0 && (age_ms >= lag_ms || age_ms < 0);
    let by_bytes = u64::try_from(lag_bytes).is_ok_and(|lag| behind >= lag);
    by_time || by_bytes
}

/// Asks ahead of a reader that nears the end of the segment at `index`, in those behind it. One that was not seen to come from before
/// is not sure to go on, and gets the next one's first piece.
fn prefetch_behind(tier: &Tier, list: &RemoteList, index: usize, slice: Slice) {
    let (before, rest) = list.all().split_at(index.min(list.all().len()));
    let Some((segment, behind)) = rest.split_first() else {
        return;
    };
    let reader = RemoteReader::new(tier, segment, None);
    let mut pieces = reader.ahead_behind_end(slice.end);
    if pieces == 0 {
        return;
    }
    let before = before.last().map(|one| RemoteReader::new(tier, one, None));
    if !reader.came_to(slice.position) && !before.is_some_and(|before| before.knows_end()) {
        pieces = 1;
    }
    for next in behind {
        pieces -= RemoteReader::new(tier, next, None).prefetch(pieces);
        if pieces == 0 {
            return;
        }
    }
}

fn fetched(reader: &RemoteReader<'_>, slice: Slice) -> Result<Records, SegmentError> {
    let mut records = Records::empty();
    for bytes in reader.records(slice.position..slice.end)? {
        records.push(RecordsPart::Bytes(bytes));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_waits_as_the_copy_lag_says() {
        let segment = SegmentView {
            max_timestamp: 1_000,
            ..SegmentView::empty(0, 0)
        };
        let waits = |ms, bytes, behind, now_ms| {
            let mut config = LogConfig {
                retention_ms: -1,
                ..LogConfig::default()
            };
            config.remote.copy_lag_ms = ms;
            config.remote.copy_lag_bytes = bytes;
            !past_copy_lag(&segment, behind, &config, now_ms)
        };
        assert!(!waits(0, -1, 0, 1_000), "the default is at once");
        assert!(!waits(-1, 0, 0, 1_000));
        assert!(waits(100, -1, 1 << 40, 1_099) && !waits(100, -1, 0, 1_100));
        assert!(
            !waits(100, -1, 0, 999),
            "a time in the future is no reason to wait"
        );
        assert!(waits(-1, 50, 49, i64::MAX) && !waits(-1, 50, 50, 1_000));
        assert!(!waits(100, 50, 50, 1_000), "either is enough");
        assert!(
            waits(-1, -1, 1 << 40, i64::MAX),
            "kept here for ever, copied never"
        );
    }
}
