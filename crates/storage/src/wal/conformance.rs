//! What every [`Wal`] must do. An engine's tests call [`check`] with a way to open it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::{LeaderEpoch, Offset, PartitionIndex, TopicId, Uuid};
use bytes::Bytes;
use wire::record_batch::StampedBatch;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use crate::lsn::Lsn;
use crate::wal::{DurableListener, FrameBody, Wal, WalError, WalFrame, WhenToWrite};

/// A frame that reopening gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedFrame {
    /// Its number.
    pub lsn: Lsn,
    /// The partition.
    pub partition: PartitionIndex,
    /// The base offset, or the new log start offset.
    pub offset: i64,
    /// The batch's bytes; empty for a log start offset.
    pub bytes: Vec<u8>,
}

/// Opens an engine over state that outlives it.
pub trait WalFactory {
    /// Opens what was left behind, with everything up to `trimmed` declared superfluous, and returns the frames beyond.
    fn open(&self, trimmed: Lsn) -> (Arc<dyn Wal>, Vec<ReplayedFrame>);
}

/// A batch of one record with `size` bytes of value.
///
/// # Panics
/// Never for the sizes that tests use.
#[must_use]
pub fn batch(offset: i64, size: usize) -> StampedBatch {
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    let value = vec![(offset % 251) as u8; size];
    builder
        .append(offset, None, Some(&value), &[])
        .expect("a small record fits");
    let bytes = builder.finish().expect("a record was appended");
    StampedBatch::new(&bytes, Offset(offset), LeaderEpoch(0)).expect("a whole batch")
}

/// The bytes of a batch.
#[must_use]
pub fn whole(batch: &StampedBatch) -> Vec<u8> {
    [&batch.head[..], &batch.body[..]].concat()
}

fn frame(partition: i32, offset: i64, size: usize) -> WalFrame {
    WalFrame {
        topic_id: TopicId(Uuid([5; 16])),
        partition: PartitionIndex(partition),
        offset,
        next_offset: offset + 1,
        body: FrameBody::Batch(batch(offset, size)),
    }
}

/// Notes what becomes durable, and that the watermark had not covered it before.
struct Recorder {
    wal: Mutex<Option<Arc<dyn Wal>>>,
    seen: Mutex<Vec<(u64, i64)>>,
    early: AtomicU64,
}

impl DurableListener for Recorder {
    fn on_durable(&self, lsn: Lsn, next_offset: i64) {
        let wal = self
            .wal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if wal.is_some_and(|wal| wal.state().borrow().durable >= lsn) {
            self.early.fetch_add(1, Ordering::SeqCst);
        }
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((lsn.0, next_offset));
    }
}

/// Enqueues, waiting for room as a broker would.
fn put(wal: &dyn Wal, frame: &WalFrame, listener: Option<&Arc<Recorder>>) -> Lsn {
    let began = Instant::now();
    loop {
        let listener = listener.map(|l| Arc::clone(l) as Arc<dyn DurableListener>);
        match wal.enqueue(frame.clone(), listener, WhenToWrite::AtOnce) {
            Ok(lsn) => return lsn,
            Err(WalError::QueueFull) => {
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "no room for a minute"
                );
                std::thread::yield_now();
            }
            Err(error) => panic!("enqueue failed: {error}"),
        }
    }
}

/// Waits until the watermark covers `lsn`.
///
/// # Panics
/// After a minute, or when the engine fails.
pub fn wait_for(wal: &dyn Wal, lsn: Lsn) {
    let state = wal.state();
    let began = Instant::now();
    while state.borrow().durable < lsn {
        assert_eq!(state.borrow().failed, None, "the engine failed");
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "frame {lsn} is not durable"
        );
        std::thread::yield_now();
    }
}

/// Runs the whole suite on an engine that has nothing stored yet.
///
/// # Panics
/// When the engine breaks the contract; the message says which clause.
pub fn check(factory: &dyn WalFactory) {
    let mut written = order_and_listeners(factory);
    reopen_gives_everything_back(factory, &mut written);
    trim_drops_a_prefix(factory, &written);
    later_is_written_when_asked(factory);
    closed_means_refused(factory);
}

fn order_and_listeners(factory: &dyn WalFactory) -> Vec<ReplayedFrame> {
    let (wal, replayed) = factory.open(Lsn::ZERO);
    assert!(replayed.is_empty(), "a new engine has no frames");
    let recorder = Arc::new(Recorder {
        wal: Mutex::new(Some(Arc::clone(&wal))),
        seen: Mutex::default(),
        early: AtomicU64::new(0),
    });
    let mut written = Vec::new();
    for index in 0..500i64 {
        let frame = frame((index % 7) as i32, index, (index as usize * 37) % 9_000);
        let lsn = put(&*wal, &frame, Some(&recorder));
        assert_eq!(lsn, Lsn(index as u64 + 1), "LSNs are consecutive from 1");
        assert_eq!(wal.last_lsn(), lsn, "last_lsn is the last one handed out");
        let FrameBody::Batch(batch) = &frame.body else {
            unreachable!("made as a batch")
        };
        let bytes = whole(batch);
        written.push(ReplayedFrame {
            lsn,
            partition: frame.partition,
            offset: index,
            bytes,
        });
    }
    let start = WalFrame {
        body: FrameBody::LogStartOffset,
        ..frame(3, 250, 0)
    };
    let last = put(&*wal, &start, Some(&recorder));
    let (partition, offset) = (PartitionIndex(3), 250);
    written.push(ReplayedFrame {
        lsn: last,
        partition,
        offset,
        bytes: Vec::new(),
    });
    wait_for(&*wal, last);
    let seen = recorder
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let expected: Vec<(u64, i64)> = written
        .iter()
        .map(|frame| (frame.lsn.0, frame.offset + 1))
        .collect();
    assert_eq!(
        seen.len(),
        expected.len(),
        "the listener hears of each frame once"
    );
    for (heard, wanted) in seen.iter().zip(&expected) {
        assert_eq!(heard.0, wanted.0, "the listener hears in LSN order");
    }
    assert_eq!(
        recorder.early.load(Ordering::SeqCst),
        0,
        "the listener hears before the watermark"
    );
    *recorder.wal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    wal.close().expect("close succeeds");
    written
}

fn reopen_gives_everything_back(factory: &dyn WalFactory, written: &mut Vec<ReplayedFrame>) {
    for round in 0..3 {
        let (wal, replayed) = factory.open(Lsn::ZERO);
        assert_eq!(
            replayed.len(),
            written.len(),
            "round {round}: all frames come back"
        );
        for (got, wanted) in replayed.iter().zip(written.iter()) {
            assert_eq!(
                got, wanted,
                "round {round}: frames come back in order, byte for byte"
            );
        }
        let next = written.len() as i64;
        let frame = frame(1, next, 100);
        let lsn = put(&*wal, &frame, None);
        assert_eq!(lsn, Lsn(next as u64 + 1), "LSNs go on after reopening");
        wait_for(&*wal, lsn);
        let FrameBody::Batch(batch) = &frame.body else {
            unreachable!("made as a batch")
        };
        let bytes = whole(batch);
        written.push(ReplayedFrame {
            lsn,
            partition: frame.partition,
            offset: next,
            bytes,
        });
        drop(wal);
    }
}

fn trim_drops_a_prefix(factory: &dyn WalFactory, written: &[ReplayedFrame]) {
    let trimmed = Lsn(300);
    let (wal, replayed) = factory.open(trimmed);
    let expected: Vec<&ReplayedFrame> = written.iter().filter(|f| f.lsn > trimmed).collect();
    assert_eq!(
        replayed.iter().collect::<Vec<_>>(),
        expected,
        "frames beyond the trim point stay"
    );
    let last = wal.last_lsn();
    wal.trim(last);
    wal.close().expect("close succeeds");
    let (wal, replayed) = factory.open(last);
    assert!(
        replayed.is_empty(),
        "nothing is left after trimming everything"
    );
    let lsn = put(&*wal, &frame(0, 9_999, 10), None);
    assert_eq!(lsn, Lsn(last.0 + 1), "LSNs go on after trimming everything");
    wait_for(&*wal, lsn);
    wal.trim(lsn);
    wal.close().expect("close succeeds");
}

/// Enqueues for later; when there is no room, has what is queued written.
fn put_later(wal: &dyn Wal, frame: &WalFrame) -> Lsn {
    let began = Instant::now();
    loop {
        match wal.enqueue(frame.clone(), None, WhenToWrite::Later) {
            Ok(lsn) => return lsn,
            Err(WalError::QueueFull) => {
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "no room for a minute"
                );
                wal.write_queued();
                std::thread::yield_now();
            }
            Err(error) => panic!("enqueue failed: {error}"),
        }
    }
}

fn later_is_written_when_asked(factory: &dyn WalFactory) {
    let (wal, _) = factory.open(Lsn(1_000_000));
    wal.write_queued();
    // Little at first, then more than an engine may want to write on the calling thread.
    for size in [10, 40_000] {
        let mut last = Lsn::ZERO;
        for index in 0..3 {
            last = put_later(&*wal, &frame(0, index, size));
        }
        wal.write_queued();
        wait_for(&*wal, last);
    }
    let first = put_later(&*wal, &frame(0, 4, 10));
    let second = put(&*wal, &frame(0, 5, 10), None);
    assert_eq!(second, Lsn(first.0 + 1), "later does not change the order");
    wait_for(&*wal, second);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let wal = Arc::clone(&wal);
            std::thread::spawn(move || {
                for index in 0..100 {
                    let lsn = put_later(&*wal, &frame(thread, index, 1_000));
                    wal.write_queued();
                    wait_for(&*wal, lsn);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every frame becomes durable");
    }
    wal.trim(wal.last_lsn());
    wal.close().expect("close succeeds");
}

fn closed_means_refused(factory: &dyn WalFactory) {
    let (wal, _) = factory.open(Lsn(1_000_000));
    wal.close().expect("close succeeds");
    let refused = wal.enqueue(frame(0, 1, 10), None, WhenToWrite::AtOnce);
    assert!(
        matches!(refused, Err(WalError::Closed)),
        "a closed engine refuses frames"
    );
}

/// A batch's bytes, for engines' own tests.
#[must_use]
pub fn batch_bytes(offset: i64, size: usize) -> Bytes {
    Bytes::from(whole(&batch(offset, size)))
}
