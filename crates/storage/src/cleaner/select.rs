//! What of a log may be cleaned, and whether it is worth it (`LogCleanerManager.cleanableOffsets`, `LogToClean`).

use crate::config::LogConfig;
use crate::log::index::SegmentView;

/// What a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// All segments; the last is the active one.
    pub(crate) segments: &'a [SegmentView],
    pub(crate) config: &'a LogConfig,
    pub(crate) log_start: i64,
    pub(crate) log_end: i64,
    pub(crate) last_stable: i64,
    /// The base of the last segment that the last checkpoint holds: what lies before it is synced, and recovery does not
    /// read it.
    pub(crate) checkpointed_base: i64,
    /// Where the last pass ended.
    pub(crate) cleaned: Option<i64>,
    pub(crate) now_ms: i64,
}

/// The cleanable part of a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cleanable {
    pub(crate) first_dirty: i64,
    /// The base of the first segment that may not be cleaned.
    pub(crate) first_uncleanable: i64,
    /// Bytes of the clean part.
    pub(crate) clean_bytes: u64,
    /// Bytes of the dirty part, as far as it may be cleaned.
    pub(crate) dirty_bytes: u64,
}

impl Cleanable {
    /// `LogToClean.cleanableRatio`.
    pub(crate) fn ratio(&self) -> f64 {
        let total = self.clean_bytes + self.dirty_bytes;
        if total == 0 {
            return 0.0;
        }
        self.dirty_bytes as f64 / total as f64
    }
}

impl Facts<'_> {
    /// What of the log may be cleaned.
    pub(crate) fn cleanable(&self) -> Cleanable {
        let first_dirty = match self.cleaned {
            // A deletion of records went past it, or the log is another one than it was.
            Some(cleaned) if cleaned >= self.log_start && cleaned <= self.log_end => cleaned,
            _ => self.log_start,
        };
        let active = self
            .segments
            .last()
            .map_or(self.log_end, |active| active.base);
        let limit = active
            .min(self.last_stable)
            .min(self.checkpointed_base)
            .min(self.lag_base(first_dirty))
            .max(first_dirty);
        // The segment that the limit lies in stays whole.
        let holds = |segment: &&SegmentView| segment.base <= limit;
        let first_uncleanable = self
            .segments
            .iter()
            .rev()
            .find(holds)
            .map_or(active, |segment| segment.base)
            .min(active);
        let dirty_from = self
            .segments
            .iter()
            .rev()
            .find(|segment| segment.base <= first_dirty.min(first_uncleanable))
            .map_or(i64::MIN, |segment| segment.base);
        let sum = |keep: &dyn Fn(&SegmentView) -> bool| -> u64 {
            let kept = self.segments.iter().filter(|segment| keep(segment));
            kept.map(|segment| segment.size).sum()
        };
        Cleanable {
            first_dirty,
            first_uncleanable,
            clean_bytes: sum(&|segment| segment.base < first_dirty),
            dirty_bytes: sum(&|segment| {
                segment.base >= dirty_from && segment.base < first_uncleanable
            }),
        }
    }

    /// The closed segments from the one that `first_dirty` lies in.
    pub(crate) fn dirty_segments(&self, first_dirty: i64) -> &[SegmentView] {
        let closed = self.segments.len().saturating_sub(1);
        let from = self
            .segments
            .partition_point(|segment| segment.base <= first_dirty)
            .saturating_sub(1);
        self.segments.get(from..closed).unwrap_or_default()
    }

    /// The first segment with a record younger than `min.compaction.lag.ms`.
    fn lag_base(&self, first_dirty: i64) -> i64 {
        let lag_ms = self.config.min_compaction_lag_ms;
        if lag_ms <= 0 {
            return i64::MAX;
        }
        self.dirty_segments(first_dirty)
            .iter()
            .find(|segment| segment.largest_timestamp() > self.now_ms.saturating_sub(lag_ms))
            .map_or(i64::MAX, |segment| segment.base)
    }

    /// For how long the log should have been cleaned already, given `max.compaction.lag.ms` and the first timestamps of the
    /// dirty segments; 0 when it need not.
    pub(crate) fn overdue_ms(&self, first_timestamps: impl Iterator<Item = i64>) -> i64 {
        let limit = self
            .now_ms
            .saturating_sub(self.config.max_compaction_lag_ms.max(0));
        let oldest = first_timestamps.filter(|timestamp| *timestamp > 0).min();
        oldest.map_or(0, |oldest| limit.saturating_sub(oldest).max(0))
    }
}

/// Groups segments, each of which becomes one, by what a segment may hold (`Cleaner.groupSegmentsBySize`).
/// `round_end` is where the segment behind the last begins.
pub(crate) fn group<'a>(
    segments: &'a [SegmentView],
    config: &LogConfig,
    round_end: i64,
) -> Vec<&'a [SegmentView]> {
    let size_max = u64::from(config.segment_bytes);
    let index_max = u64::from(config.segment_index_bytes);
    let mut groups = Vec::new();
    let mut rest = segments;
    while let Some(first) = rest.first() {
        let (mut size, mut offsets, mut times) = sizes(first);
        let mut count = 1;
        while let Some(next) = rest.get(count) {
            let (next_size, next_offsets, next_times) = sizes(next);
            let next_end = rest.get(count + 1).map_or(round_end, |after| after.base);
            let reaches = next_end - 1 - first.base <= i64::from(i32::MAX);
            let fits = size + next_size <= size_max
                && offsets + next_offsets <= index_max
                && times + next_times <= index_max
                && (next.size == 0 || reaches);
            if !fits {
                break;
            }
            (size, offsets, times) = (size + next_size, offsets + next_offsets, times + next_times);
            count += 1;
        }
        let (one, after) = rest.split_at(count);
        groups.push(one);
        rest = after;
    }
    groups
}

fn sizes(segment: &SegmentView) -> (u64, u64, u64) {
    use crate::log::index::{OFFSET_ENTRY_LEN, TIME_ENTRY_LEN};
    (
        segment.size,
        u64::from(segment.offset_entries) * OFFSET_ENTRY_LEN as u64,
        u64::from(segment.time_entries) * TIME_ENTRY_LEN as u64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CleanupPolicy;

    fn segment(base: i64, size: u64, next_offset: i64, max_timestamp: i64) -> SegmentView {
        SegmentView {
            size,
            next_offset,
            max_timestamp,
            ..SegmentView::empty(base, 0)
        }
    }

    /// Four closed segments of 100 offsets and 1,000 bytes each, and an active one.
    fn segments() -> Vec<SegmentView> {
        (0..5)
            .map(|n| segment(n * 100, 1_000, n * 100 + 100, n * 10 + 9))
            .collect()
    }

    fn config() -> LogConfig {
        LogConfig {
            cleanup_policy: CleanupPolicy {
                delete: false,
                compact: true,
            },
            ..LogConfig::default()
        }
    }

    fn facts<'a>(segments: &'a [SegmentView], config: &'a LogConfig) -> Facts<'a> {
        Facts {
            segments,
            config,
            log_start: 0,
            log_end: 500,
            last_stable: 500,
            checkpointed_base: 400,
            cleaned: None,
            now_ms: 40,
        }
    }

    #[test]
    fn the_active_segment_open_transactions_and_what_is_not_checkpointed_stay() {
        let (segments, config) = (segments(), config());
        let all = facts(&segments, &config);
        let found = all.cleanable();
        assert_eq!((found.first_dirty, found.first_uncleanable), (0, 400));
        assert_eq!((found.clean_bytes, found.dirty_bytes), (0, 4_000));
        let open = Facts {
            last_stable: 250,
            ..all
        };
        assert_eq!(open.cleanable().first_uncleanable, 200);
        let unsynced = Facts {
            checkpointed_base: 100,
            ..all
        };
        assert_eq!(unsynced.cleanable().first_uncleanable, 100);
        let never = Facts {
            checkpointed_base: i64::MIN,
            ..all
        };
        assert_eq!(never.cleanable().dirty_bytes, 0);
        let empty = Facts {
            segments: &[],
            ..all
        };
        assert_eq!(empty.cleanable().ratio(), 0.0);
    }

    #[test]
    fn the_dirty_part_begins_where_the_last_pass_ended() {
        let (segments, config) = (segments(), config());
        let half = Facts {
            cleaned: Some(200),
            ..facts(&segments, &config)
        };
        let found = half.cleanable();
        assert_eq!((found.clean_bytes, found.dirty_bytes), (2_000, 2_000));
        assert!((found.ratio() - 0.5).abs() < f64::EPSILON);
        let all = Facts {
            cleaned: Some(400),
            ..half
        };
        assert_eq!(
            (all.cleanable().dirty_bytes, all.cleanable().ratio()),
            (0, 0.0)
        );
        for (cleaned, log_start) in [(Some(50), 120), (Some(501), 0)] {
            let moved = Facts {
                cleaned,
                log_start,
                ..half
            };
            assert_eq!(moved.cleanable().first_dirty, log_start);
        }
    }

    #[test]
    fn young_records_wait_and_old_ones_press() {
        let (segments, mut config) = (segments(), config());
        config.min_compaction_lag_ms = 15;
        // Now is 40, the segments end at 9, 19, 29 and 39.
        assert_eq!(facts(&segments, &config).cleanable().first_uncleanable, 200);
        config.max_compaction_lag_ms = 12;
        let facts = facts(&segments, &config);
        assert_eq!(facts.overdue_ms([-1, 0, 20, 30].into_iter()), 8);
        assert_eq!(facts.overdue_ms([29].into_iter()), 0);
        assert_eq!(facts.overdue_ms(std::iter::empty()), 0);
    }

    #[test]
    fn segments_join_up_to_what_one_may_hold() {
        let mut config = config();
        config.segment_bytes = 2_500;
        let mut segments = segments();
        let lengths = |segments: &[SegmentView], config: &LogConfig| -> Vec<usize> {
            let round_end = segments.last().map_or(0, |last| last.base + 100);
            group(segments, config, round_end)
                .iter()
                .map(|group| group.len())
                .collect()
        };
        assert_eq!(lengths(&segments, &config), [2, 2, 1]);
        segments[1].size = 0;
        assert_eq!(lengths(&segments, &config), [3, 2]);
        config.segment_index_bytes = 80;
        segments[2].offset_entries = 10;
        segments[0].offset_entries = 1;
        assert_eq!(lengths(&segments, &config), [2, 2, 1]);
        // Offsets of one segment lie within 2^31 of its base.
        segments[1].size = 10;
        segments[2].base = 1 << 33;
        segments[3].base = (1 << 33) + 1;
        segments[4].base = (1 << 33) + 2;
        assert_eq!(lengths(&segments, &config)[0], 1);
    }
}
