//! Segments that an earlier process wrote and recovery did not read: what no CRC covers is checked when it is first read.
//!
//! A batch's base offset and length lie outside its CRC, and a consumer believes both: behind a base offset that is too high it passes
//! over records, with one that is too low it drops the batch as one it has seen. So before bytes of such a segment are handed out,
//! the headers are followed from batch to batch up to the one behind ([`SegmentReader::check`]); a broken chain is
//! [`SegmentError::Corrupt`]. Apache Kafka serves what lies there.
//!
//! **Invariants**
//! - What this process wrote, or read with its CRCs in recovery, is not listed; what was followed once is not followed again.
//! - Memory is bounded: [`RANGES`] per segment. What is forgotten beyond that is followed again.
//!
//! It does not check CRCs, which a client does, and it cannot see an offset that moved within a gap that compaction left.
//!
//! [`SegmentReader::check`]: crate::log::index::SegmentReader::check
//! [`SegmentError::Corrupt`]: crate::log::index::SegmentError::Corrupt

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that are kept apart in one segment: as many readers may jump about in it.
const RANGES: usize = 64;

/// The inherited segments of a log that were not followed to their ends.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    segments: BTreeMap<i64, Followed>,
    /// Below this offset compaction may have left gaps.
    rewritten_to: i64,
}

/// What was followed of the first `end` bytes of a segment: ranges from batch to batch, ascending, none touching another.
#[derive(Debug)]
struct Followed {
    end: u64,
    ranges: Vec<Range<u64>>,
}

impl Inherited {
    /// Segments, each with the bytes of it that an earlier process wrote, of a log that compaction has been over up to
    /// `rewritten_to`.
    pub(crate) fn new(
        segments: impl IntoIterator<Item = (i64, u64)>,
        rewritten_to: i64,
    ) -> Inherited {
        let followed = |(base, end)| {
            let ranges = Vec::new();
            (base, Followed { end, ranges })
        };
        Inherited {
            segments: segments.into_iter().map(followed).collect(),
            rewritten_to,
        }
    }

    /// Whether something of the segment was not followed yet.
    pub(crate) fn holds(&self, base: i64) -> bool {
        self.segments.contains_key(&base)
    }

    /// Whether the offset after `expected`, in a log without gaps, may be `found`.
    pub(crate) fn may_follow(&self, expected: i64, found: i64) -> bool {
        found == expected || (found > expected && found <= self.rewritten_to)
    }

    /// The first part of `range` that was not followed yet.
    pub(crate) fn next(&self, base: i64, range: &Range<u64>) -> Option<Range<u64>> {
        let followed = self.segments.get(&base)?;
        let (before, behind) = followed
            .ranges
            .split_at(followed.ranges.partition_point(|r| r.start <= range.start));
        let start = before
            .last()
            .map_or(range.start, |r| r.end.max(range.start));
        let end = behind.first().map_or(followed.end, |r| r.start);
        let end = end.min(followed.end).min(range.end);
        (start < end).then_some(start..end)
    }

    /// `range` of the segment was followed, from batch to batch.
    pub(crate) fn note(&mut self, base: i64, range: Range<u64>) {
        let Some(followed) = self.segments.get_mut(&base) else {
            return;
        };
        let ranges = &mut followed.ranges;
        let from = ranges.partition_point(|r| r.end < range.start);
        let to = ranges.partition_point(|r| r.start <= range.end);
        let touched = ranges.get(from..to).unwrap_or_default();
        let start = touched
            .first()
            .map_or(range.start, |r| r.start.min(range.start));
        let end = touched.last().map_or(range.end, |r| r.end.max(range.end));
        ranges.splice(from..to, std::iter::once(start..end));
        if start == 0 && end >= followed.end {
            self.segments.remove(&base);
        } else if ranges.len() > RANGES {
            let shortest = (0..ranges.len()).min_by_key(|i| ranges[*i].end - ranges[*i].start);
            ranges.remove(shortest.unwrap_or(0));
        }
    }

    /// The segment is another one now.
    pub(crate) fn forget(&mut self, base: i64) {
        self.segments.remove(&base);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_followed_is_not_followed_again() {
        let mut inherited = Inherited::new([(7, 1000)], 0);
        assert_eq!(inherited.next(7, &(0..300)), Some(0..300));
        inherited.note(7, 100..300);
        inherited.note(7, 500..600);
        assert_eq!(inherited.next(7, &(0..1000)), Some(0..100));
        assert_eq!(inherited.next(7, &(150..1000)), Some(300..500));
        assert_eq!(inherited.next(7, &(300..400)), Some(300..400));
        assert_eq!(inherited.next(7, &(120..300)), None);
        // Bytes behind the end are this process's own.
        assert_eq!(inherited.next(7, &(700..2000)), Some(700..1000));
        assert_eq!(inherited.next(8, &(0..10)), None);
        inherited.note(7, 300..500);
        assert_eq!(inherited.next(7, &(100..1000)), Some(600..1000));
        inherited.note(7, 0..100);
        inherited.note(7, 600..1000);
        assert!(!inherited.holds(7));
    }

    #[test]
    fn gaps_are_compactions_alone() {
        let inherited = Inherited::new([], 50);
        assert!(inherited.may_follow(10, 10));
        assert!(inherited.may_follow(10, 50));
        assert!(!inherited.may_follow(10, 51));
        assert!(!inherited.may_follow(10, 9));
        assert!(inherited.may_follow(60, 60));
    }

    proptest! {
        /// Against a byte each; with more ranges than are kept nothing counts as followed that was not.
        #[test]
        fn it_is_the_model(
            notes in prop::collection::vec((0u64..400, 1u64..9), 1..200),
            asked in prop::collection::vec((0u64..400, 1u64..80), 1..20),
        ) {
            let mut inherited = Inherited::new([(0, 400)], 0);
            let mut model = vec![false; 400];
            for (start, length) in notes {
                let end = (start + length).min(400);
                inherited.note(0, start..end);
                model[start as usize..end as usize].fill(true);
            }
            let kept = inherited.segments.get(&0).map_or(0, |followed| followed.ranges.len());
            prop_assert!(kept <= RANGES);
            for (start, length) in asked {
                let range = start..(start + length).min(400);
                let unknown = |at: &u64| !model[*at as usize];
                let first = range.clone().find(unknown);
                let next = inherited.next(0, &range);
                match (first, next) {
                    (Some(first), Some(next)) => prop_assert!(next.start <= first),
                    (Some(_), None) => prop_assert!(false, "{:?} was not followed", range),
                    (None, _) => {}
                }
            }
        }
    }
}
