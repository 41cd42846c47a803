//! Counters that the broker exports; plain atomics, so that this crate needs no metrics library.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds; one more bucket holds what is slower.
pub const LATENCY_BUCKETS_US: [u64; 14] = [
    50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 409_600,
    1_638_400,
];

/// A histogram over [`LATENCY_BUCKETS_US`].
#[derive(Debug, Default)]
pub struct LatencyHistogram {
    buckets: [AtomicU64; LATENCY_BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

impl LatencyHistogram {
    /// Counts one duration.
    pub fn record(&self, elapsed: Duration) {
        let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BUCKETS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Counts per bucket, not cumulative; the last is for everything slower than the last bound.
    #[must_use]
    pub fn counts(&self) -> [u64; LATENCY_BUCKETS_US.len() + 1] {
        std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed))
    }

    /// The sum of all durations, in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

macro_rules! documented {
    ($($name:ident: $text:literal),* $(,)?) => {
        /// What the storage has done since it was opened. All counters only grow, except those whose text
        /// says "now".
        #[derive(Debug, Default)]
        pub struct StorageMetrics {
            $(#[doc = $text] pub $name: AtomicU64,)*
            /// How long one group took to become durable.
            pub journal_write_latency: LatencyHistogram,
            /// How long one `fdatasync` of a segment took.
            pub segment_sync_latency: LatencyHistogram,
        }

        impl StorageMetrics {
            /// Name, help and value of each counter, for an exporter.
            #[must_use]
            pub fn counters(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), $text, self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

documented! {
    appended_batches: "Record batches appended",
    appended_bytes: "Bytes of record batches appended",
    duplicate_batches: "Batches answered from producer state",
    journal_groups: "Groups written to the journal",
    journal_frames: "Frames written to the journal",
    journal_bytes: "Bytes written to the journal, padding included",
    journal_seals: "Empty groups written when the journal fell idle",
    journal_files_bytes: "Bytes of journal files on disk now",
    journal_queue_bytes: "Bytes waiting for the journal now",
    tail_bytes: "Bytes of batches in memory, not yet in a segment, now",
    segment_bytes: "Bytes written to segments",
    segment_writes: "Vectored writes to segments",
    segment_rolls: "Segments begun",
    segment_deletes: "Segments deleted",
    segment_syncs: "fdatasync calls on segments",
    index_rebuilds: "Indexes rebuilt because they did not match their log",
    checkpoints: "Checkpoints written",
    read_bytes_file: "Bytes of reads answered from segment files",
    read_bytes_cold: "Bytes of segment files read past the page cache",
    read_bytes_tail: "Bytes of reads answered from memory",
    cleaner_passes: "Passes of the log cleaner that were completed",
    cleaner_failures: "Passes of the log cleaner that failed",
    cleaner_read_bytes: "Bytes of segments that the log cleaner read, those read for their keys included",
    cleaner_written_bytes: "Bytes of segments that the log cleaner wrote",
    cleaner_dropped_records: "Records that compaction dropped",
    cleaner_cleanable_partitions: "Partitions worth a pass of the log cleaner now",
    cleaner_uncleanable_partitions: "Partitions that cannot be cleaned until a restart now",
    cleaner_compaction_delay_ms: "How long past max.compaction.lag.ms the most overdue partition is now",
    remote_copied_segments: "Segments copied to the remote store",
    remote_copied_bytes: "Bytes of segments and indexes copied to the remote store",
    remote_copy_errors: "Copies to the remote store that failed",
    remote_copy_lag_segments: "Closed segments that wait to be copied to the remote store now",
    remote_copy_lag_bytes: "Bytes of closed segments that wait to be copied to the remote store now",
    remote_compacted_segments: "Segments of the remote store that compaction replaced",
    remote_segments: "Segments in the remote store now",
    remote_bytes: "Bytes of segments in the remote store now",
    remote_deleted_segments: "Segments deleted from the remote store",
    remote_delete_errors: "Deletions from the remote store that failed",
    remote_swept_objects: "Objects of the remote store that nothing referred to and the sweep deleted",
    remote_fetch_requests: "Reads of the remote store",
    remote_fetch_bytes: "Bytes read from the remote store",
    remote_fetch_errors: "Reads of the remote store that failed",
    remote_index_cache_bytes: "Bytes of remote indexes on the local disk now",
    read_bytes_remote: "Bytes of reads answered from the remote store",
    disk_full_refusals: "Appends refused because the disk was full",
}

pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

pub(crate) fn sub(counter: &AtomicU64, amount: usize) {
    counter.fetch_sub(amount as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_falls_into_the_bucket_that_bounds_it() {
        let histogram = LatencyHistogram::default();
        histogram.record(Duration::from_micros(50));
        histogram.record(Duration::from_micros(51));
        histogram.record(Duration::from_secs(10));
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[14]), (1, 1, 1));
        assert_eq!(histogram.sum_us(), 10_000_101);
    }
}
