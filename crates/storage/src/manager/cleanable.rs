//! Whether a log is worth a pass of the cleaner, and over what.
//!
//! With a remote part, a pass over the whole log is worth it by the same measure as without one, of all bytes; until then the local
//! part has passes of its own.

use std::sync::Arc;

use crate::cleaner::pass::{Done, Scope};
use crate::cleaner::progress::Progress;
use crate::cleaner::select::{Cleanable, Facts};
use crate::config::LogConfig;
use crate::io::LockExt;
use crate::log::index::{SegmentReader, SegmentView};
use crate::log::{LogState, PartitionLog};
use crate::store::SegmentStore;
use crate::tier::RemoteSegment;

/// A log that is worth a pass.
pub(super) struct Candidate {
    pub(super) log: Arc<PartitionLog>,
    pub(super) scope: Scope,
    pub(super) config: Arc<LogConfig>,
}

impl Candidate {
    pub(super) fn ratio(&self) -> f64 {
        self.scope.cleanable.ratio()
    }
}

/// What is known of a log beside itself.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// The base of the last segment of the last checkpoint.
    pub(super) checkpointed_base: i64,
    pub(super) progress: Option<Progress>,
    /// Whether a pass over remote segments may be tried.
    pub(super) remote_works: bool,
    pub(super) now_ms: i64,
}

/// What of a log may be cleaned, and for how long that is overdue; `None` when it is not worth a pass.
pub(super) fn examine(log: &Arc<PartitionLog>, known: Known) -> Option<(Candidate, i64)> {
    let look = Look::at(log, known)?;
    let remote_end = look.remote_end.unwrap_or(i64::MIN);
    let copied = look
        .segments
        .partition_point(|segment| segment.base < remote_end);
    let mut local = look.segments.get(copied..).unwrap_or_default().to_vec();
    let tiered = look.remote_end.is_some();
    // Local copies of what a pass rewrites remotely would go on saying what it dropped.
    let may_be_whole =
        !tiered || (known.remote_works && copied == 0 && look.config.copies_to_remote());
    let whole = may_be_whole.then(|| {
        let remote = look.remote.iter().map(|segment| segment.view);
        let all: Vec<SegmentView> = remote.chain(local.iter().copied()).collect();
        look.judge(&all, look.log_start, look.done.whole)
    });
    let (is_whole, (cleanable, overdue_ms)) = match whole.flatten() {
        Some(worth) => (true, worth),
        None if tiered => {
            let first = remote_end.max(look.log_start);
            (false, look.judge(&local, first, look.done.local)?)
        }
        None => return None,
    };
    local.retain(|segment| segment.base < cleanable.first_uncleanable);
    let mut remote = look.remote;
    remote.retain(|segment| is_whole && segment.view.base < cleanable.first_uncleanable);
    let candidate = Candidate {
        log: Arc::clone(log),
        scope: Scope {
            cleanable,
            remote,
            local,
            whole: is_whole,
            done: look.done,
        },
        config: look.config,
    };
    Some((candidate, overdue_ms))
}

/// A log as it is for a moment.
struct Look<'a> {
    log: &'a PartitionLog,
    known: Known,
    config: Arc<LogConfig>,
    segments: Vec<SegmentView>,
    /// Those that are not all below the log start.
    remote: Vec<Arc<RemoteSegment>>,
    remote_end: Option<i64>,
    log_start: i64,
    log_end: i64,
    last_stable: i64,
    done: Done,
}

impl Look<'_> {
    fn at(log: &Arc<PartitionLog>, known: Known) -> Option<Look<'_>> {
        let list = log.remote_list();
        let mut state = log.state.locked();
        if state.status != LogState::Online {
            return None;
        }
        let last_stable = log.stable_offset(&mut state);
        let (log_start, log_end) = (log.log_start_offset().0, state.log_end);
        // A deletion of records went past it, or the log is another one than it was.
        let place = |offset: Option<i64>| {
            let sound = offset.filter(|offset| (log_start..=log_end).contains(offset));
            sound.unwrap_or(log_start)
        };
        let whole = place(known.progress.map(|progress| progress.whole_first_dirty));
        let local = place(known.progress.map(|progress| progress.first_dirty));
        let mut remote = list.all().to_vec();
        remote.retain(|segment| segment.view.next_offset > log_start);
        Some(Look {
            log,
            known,
            config: Arc::clone(&state.config),
            segments: state.segments.clone(),
            remote,
            remote_end: list.end(),
            log_start,
            log_end,
            last_stable,
            done: Done {
                local: local.max(whole),
                whole,
            },
        })
    }

    /// What may be cleaned of these segments, and for how long that is overdue, if it is worth it.
    fn judge(
        &self,
        segments: &[SegmentView],
        log_start: i64,
        cleaned: i64,
    ) -> Option<(Cleanable, i64)> {
        let facts = Facts {
            segments,
            config: &self.config,
            log_start,
            log_end: self.log_end,
            last_stable: self.last_stable,
            checkpointed_base: self.known.checkpointed_base,
            cleaned: Some(cleaned),
            now_ms: self.known.now_ms,
        };
        let cleanable = facts.cleanable();
        if cleanable.dirty_bytes == 0 {
            return None;
        }
        let overdue_ms = if self.config.max_compaction_lag_ms == i64::MAX {
            0
        } else {
            let dirty = facts.dirty_segments(cleanable.first_dirty);
            facts.overdue_ms(dirty.iter().filter_map(|view| self.first_timestamp(*view)))
        };
        let worth = overdue_ms > 0 || cleanable.ratio() > self.config.min_cleanable_dirty_ratio;
        worth.then_some((cleanable, overdue_ms))
    }

    /// The largest timestamp of a segment's first batch (`LogSegment.getFirstBatchTimestamp`).
    fn first_timestamp(&self, view: SegmentView) -> Option<i64> {
        if self.remote_end.is_some_and(|end| view.base < end) {
            // Its first batch is not worth a read of the store; a segment that was overdue before it was copied had its pass.
            return Some(view.largest_timestamp());
        }
        let store: &dyn SegmentStore = &*self.log.context.store;
        let mut reader = SegmentReader::new(store, &self.log.name, view);
        reader.header_at(0).ok()?.map(|header| header.max_timestamp)
    }
}
