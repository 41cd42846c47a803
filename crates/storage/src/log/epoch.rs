//! The leader epochs of a log and where each begins (`LeaderEpochFileCache`, KIP-101, KIP-279).
//!
//! The file `leader-epoch-checkpoint` is Kafka's text: a version line `0`, the number of entries, then `epoch
//! start_offset` per line. It is a cache of what the batches' headers say and can be rebuilt from them.

use std::fmt::Write as _;

use base::{LeaderEpoch, Offset};

/// Where an epoch ends (`OffsetForLeaderEpoch`). Both are -1 when the epoch is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch at or below the one asked for.
    pub leader_epoch: LeaderEpoch,
    /// The first offset of the next epoch, or the log end offset.
    pub end_offset: Offset,
}

impl EpochEndOffset {
    /// Neither is known.
    pub const UNDEFINED: EpochEndOffset = EpochEndOffset {
        leader_epoch: LeaderEpoch(-1),
        end_offset: Offset(-1),
    };
}

/// One epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start_offset: i64,
}

/// The epochs of one log, ascending in both fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
    changed: bool,
}

impl EpochCache {
    /// The newest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// Whether the file is behind; reading resets it.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Notes that a batch of `epoch` begins at `start_offset`. Entries that it contradicts (an offset or an
    /// epoch not below) go, as in Kafka's `truncateAndAppend`. Returns whether anything changed.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || self.latest() == Some(epoch) {
            return false;
        }
        while self
            .entries
            .last()
            .is_some_and(|last| last.epoch >= epoch || last.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        self.changed = true;
        true
    }

    /// Takes in older entries than there are, ascending: those of the remote part, for a file that was lost.
    pub fn extend_below(&mut self, older: impl Iterator<Item = EpochEntry>) {
        let first = self.entries.first().copied();
        let mut below = EpochCache::default();
        for entry in older {
            let comes_before = first.is_none_or(|first| {
                entry.epoch <= first.epoch && entry.start_offset < first.start_offset
            });
            if comes_before {
                below.assign(entry.epoch, entry.start_offset);
            }
        }
        let Some(latest) = below.latest() else { return };
        // What is known of the first epoch may be its end only.
        let known = first.is_some_and(|first| first.epoch == latest);
        self.entries.splice(0..usize::from(known), below.entries);
        self.changed = true;
    }

    /// The log now starts at `log_start`: older epochs go, the one it lies in begins there.
    pub fn truncate_from_start(&mut self, log_start: i64) {
        let covering = self
            .entries
            .partition_point(|entry| entry.start_offset <= log_start);
        if let Some(index) = covering.checked_sub(1) {
            let moved = self.entries[index].start_offset != log_start;
            if index > 0 || moved {
                self.entries.drain(..index);
                self.entries[0].start_offset = log_start;
                self.changed = true;
            }
        }
    }

    /// The log now ends at `log_end`: epochs that began there or later go.
    pub fn truncate_from_end(&mut self, log_end: i64) {
        let keep = self
            .entries
            .partition_point(|entry| entry.start_offset < log_end);
        if keep < self.entries.len() {
            self.entries.truncate(keep);
            self.changed = true;
        }
    }

    /// `LeaderEpochFileCache.endOffsetFor`.
    #[must_use]
    pub fn end_offset_for(&self, epoch: i32, log_end: i64) -> EpochEndOffset {
        if epoch < 0 {
            return EpochEndOffset::UNDEFINED;
        }
        if self.latest() == Some(epoch) {
            let (leader_epoch, end_offset) = (LeaderEpoch(epoch), Offset(log_end));
            return EpochEndOffset {
                leader_epoch,
                end_offset,
            };
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let Some(higher) = self.entries.get(above) else {
            return EpochEndOffset::UNDEFINED;
        };
        let floor = above
            .checked_sub(1)
            .map_or(epoch, |index| self.entries[index].epoch);
        EpochEndOffset {
            leader_epoch: LeaderEpoch(floor),
            end_offset: Offset(higher.start_offset),
        }
    }

    /// The epoch that `offset` was written in.
    #[must_use]
    pub fn epoch_for(&self, offset: i64) -> Option<i32> {
        let above = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        above.checked_sub(1).map(|index| self.entries[index].epoch)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            writeln!(text, "{} {}", entry.epoch, entry.start_offset).expect("a string takes all");
        }
        text
    }

    /// Reads the file's text; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<EpochCache> {
        let mut lines = text.lines();
        if lines.next()? != "0" {
            return None;
        }
        let count: usize = lines.next()?.parse().ok()?;
        let mut entries: Vec<EpochEntry> = Vec::new();
        for line in lines {
            let (epoch, start) = line.split_once(' ')?;
            let entry = EpochEntry {
                epoch: epoch.parse().ok()?,
                start_offset: start.parse().ok()?,
            };
            let follows = entries.last().is_none_or(|last| {
                last.epoch < entry.epoch && last.start_offset <= entry.start_offset
            });
            if !follows {
                return None;
            }
            entries.push(entry);
        }
        (entries.len() == count).then_some(EpochCache {
            entries,
            changed: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_epochs_come_before_those_there_are() {
        let entry = |epoch, start_offset| EpochEntry {
            epoch,
            start_offset,
        };
        let mut cache = EpochCache::default();
        cache.assign(3, 30);
        cache.assign(4, 40);
        let remote = [entry(1, 0), entry(1, 10), entry(2, 20), entry(3, 25)];
        cache.extend_below(remote.into_iter());
        assert_eq!(
            cache.entries(),
            [entry(1, 0), entry(2, 20), entry(3, 25), entry(4, 40)]
        );
        let known = cache.clone();
        cache.extend_below(remote.into_iter());
        assert_eq!(cache, known);
    }

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        let mut cache = EpochCache::default();
        for (epoch, start) in entries {
            cache.assign(*epoch, *start);
        }
        cache
    }

    fn end(cache: &EpochCache, epoch: i32) -> (i32, i64) {
        let end = cache.end_offset_for(epoch, 100);
        (end.leader_epoch.0, end.end_offset.0)
    }

    #[test]
    fn end_offsets_are_kafkas() {
        let cache = cache(&[(2, 10), (4, 20), (7, 60)]);
        assert_eq!(end(&cache, 7), (7, 100));
        assert_eq!(end(&cache, 8), (-1, -1));
        assert_eq!(end(&cache, 5), (4, 60));
        assert_eq!(end(&cache, 4), (4, 60));
        assert_eq!(end(&cache, 2), (2, 20));
        assert_eq!(end(&cache, 1), (1, 10));
        assert_eq!(end(&cache, -1), (-1, -1));
        assert_eq!(end(&EpochCache::default(), 0), (-1, -1));
        assert_eq!((cache.epoch_for(9), cache.epoch_for(20)), (None, Some(4)));
    }

    #[test]
    fn truncation_keeps_the_covering_epoch() {
        let mut cache = cache(&[(2, 10), (4, 20), (7, 60)]);
        cache.truncate_from_start(30);
        assert_eq!(
            cache.entries()[0],
            EpochEntry {
                epoch: 4,
                start_offset: 30
            }
        );
        cache.truncate_from_end(60);
        assert_eq!(cache.latest(), Some(4));
        assert!(cache.take_changed() && !cache.take_changed());
    }

    #[test]
    fn the_file_round_trips_and_nonsense_is_refused() {
        let cache = cache(&[(0, 0), (3, 9)]);
        assert_eq!(cache.to_text(), "0\n2\n0 0\n3 9\n");
        assert_eq!(
            EpochCache::parse(&cache.to_text()).unwrap().entries(),
            cache.entries()
        );
        for bad in [
            "",
            "1\n0\n",
            "0\n2\n0 0\n",
            "0\n2\n3 0\n1 9\n",
            "0\n1\nx 1\n",
        ] {
            assert_eq!(EpochCache::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_older_epoch_or_offset_replaces_what_it_contradicts() {
        let mut cache = cache(&[(2, 10), (4, 20)]);
        assert!(!cache.assign(4, 25) && !cache.assign(-1, 30));
        assert!(cache.assign(5, 20));
        assert_eq!(cache.entries().len(), 2);
        assert_eq!(cache.latest(), Some(5));
    }
}
