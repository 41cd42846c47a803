//! The local journal: the conformance suite, torn and damaged files, failing writes, a full disk.

use super::*;
use crate::fault::{FaultHook, IoOp};
use crate::wal::FrameBody;
use crate::wal::conformance::{ReplayedFrame, WalFactory, batch, wait_for};
use crate::wal::format::GroupHeader;
use crate::wal::scan::{ScanStart, scan};
use base::{PartitionIndex, TopicId, Uuid};
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

const KIB: u64 = 1024;

struct Factory {
    dir: PathBuf,
    options: JournalOptions,
}

fn options(dir: &Path) -> JournalOptions {
    JournalOptions {
        dir: dir.to_owned(),
        first_file_bytes: 64 * KIB,
        file_bytes: 256 * KIB,
        max_bytes: 64 << 20,
        queue_bytes: 1 << 20,
        group_bytes: 64 << 10,
        headroom_bytes: 0,
        driven: false,
    }
}

fn open(options: &JournalOptions, trimmed: Lsn) -> (LocalJournal, JournalScan) {
    let start = ScanStart {
        trimmed: Some(trimmed),
        incarnation: 0,
    };
    let scan = scan(&options.dir, start).unwrap();
    let faults = Faults::default();
    let journal =
        LocalJournal::open(options.clone(), &scan, trimmed, faults, Arc::default()).unwrap();
    (journal, scan)
}

impl WalFactory for Factory {
    fn open(&self, trimmed: Lsn) -> (Arc<dyn Wal>, Vec<ReplayedFrame>) {
        let (journal, scan) = open(&self.options, trimmed);
        assert!(
            scan.damage.is_empty(),
            "{:?} in {}",
            scan.damage,
            self.dir.display()
        );
        let frames = scan
            .frames
            .iter()
            .map(|frame| ReplayedFrame {
                lsn: frame.lsn,
                partition: frame.partition,
                offset: frame.offset,
                bytes: if frame.is_batch {
                    scan.read_batch(frame.location).unwrap()
                } else {
                    Vec::new()
                },
            })
            .collect();
        (Arc::new(journal), frames)
    }
}

fn frame(offset: i64, size: usize) -> WalFrame {
    WalFrame {
        topic_id: TopicId(Uuid([5; 16])),
        partition: PartitionIndex(0),
        offset,
        next_offset: offset + 1,
        body: FrameBody::Batch(batch(offset, size)),
    }
}

/// Appends `count` frames, each durable before the next, so that each is a group.
fn append(journal: &LocalJournal, from: i64, count: i64) {
    for offset in from..from + count {
        let began = std::time::Instant::now();
        let lsn = loop {
            match journal.enqueue(frame(offset, 100), None, WhenToWrite::AtOnce) {
                // The next ring file is still being made.
                Err(WalError::QueueFull) if began.elapsed().as_secs() < 60 => {
                    std::thread::yield_now();
                }
                outcome => break outcome.unwrap(),
            }
        };
        wait_for(journal, lsn);
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn it_passes_the_conformance_suite() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir.path().join("journal"));
    crate::wal::conformance::check(&Factory {
        dir: options.dir.clone(),
        options,
    });
}

#[test]
fn it_passes_the_conformance_suite_without_direct_writes() {
    // A tmpfs may refuse O_DIRECT; where it does not, this is the suite once more.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let options = options(&dir.path().join("journal"));
    crate::wal::conformance::check(&Factory {
        dir: options.dir.clone(),
        options,
    });
}

#[test]
fn files_are_recycled_after_a_trim() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let (journal, _) = open(&options, Lsn::ZERO);
    for offset in 0..2_000 {
        let lsn = loop {
            match journal.enqueue(frame(offset, 4_000), None, WhenToWrite::AtOnce) {
                Ok(lsn) => break lsn,
                Err(WalError::QueueFull) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        if offset % 20 == 0 {
            wait_for(&journal, lsn);
            journal.trim(lsn);
        }
    }
    wait_for(&journal, Lsn(2_000));
    // 8 MB went through; what is on disk stays a few files.
    assert!(
        files(&options.dir).len() <= 8,
        "{} files",
        files(&options.dir).len()
    );
}

#[test]
fn a_torn_last_group_is_dropped_and_an_earlier_one_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let (journal, _) = open(&options, Lsn::ZERO);
    append(&journal, 0, 5);
    let image = tempfile::tempdir().unwrap();
    let path = files(&options.dir).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    drop(journal);
    // Groups of one block each: header at 0, groups at 1 to 5, perhaps seals between or behind.
    let group_at: Vec<usize> = (1..bytes.len() / BLOCK)
        .map(|block| block * BLOCK)
        .filter(|at| GroupHeader::parse(&bytes[*at..]).is_some_and(|group| group.frame_count > 0))
        .collect();
    assert_eq!(group_at.len(), 5);
    let scan_with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        std::fs::write(image.path().join("journal-0000.wal"), bytes).unwrap();
        let start = ScanStart {
            trimmed: Some(Lsn::ZERO),
            incarnation: 1,
        };
        scan(image.path(), start).unwrap()
    };
    let count = |scan: &JournalScan| scan.frames.len();
    // Everything behind the fourth group never reached the disk, and of the fifth only the header.
    let torn = scan_with(&|bytes| bytes[group_at[4] + 64..].fill(0));
    assert_eq!(
        (count(&torn), torn.damage.len(), torn.torn.is_some()),
        (4, 0, true)
    );
    let gone = scan_with(&|bytes| bytes[group_at[4]..].fill(0));
    assert_eq!(
        (count(&gone), gone.damage.len(), gone.torn.is_some()),
        (4, 0, false)
    );
    // A flipped bit in a frame of the third group: two later groups prove that it was complete.
    let flipped = scan_with(&|bytes| bytes[group_at[2] + 64 + 20] ^= 1);
    assert_eq!((count(&flipped), flipped.damage.len()), (4, 1));
    assert_eq!(flipped.damage[0].lost, Some(1));
    // A flipped bit in a group's header: its frames can be read without it.
    let headless = scan_with(&|bytes| bytes[group_at[2] + 9] ^= 1);
    assert_eq!((count(&headless), headless.damage.len()), (5, 1));
    assert_eq!(headless.damage[0].lost, Some(0));
    // A file header that is unreadable is made up from the groups.
    let faceless = scan_with(&|bytes| bytes[17] ^= 1);
    assert_eq!(count(&faceless), 5);
    assert!(faceless.damage.iter().all(|damage| damage.lost == Some(0)));
    // A cut file had more once.
    let cut = scan_with(&|bytes| bytes.truncate(group_at[3]));
    assert_eq!((count(&cut), cut.damage[0].lost), (3, None));
    // The file is not there at all, though the checkpoint knows of it.
    std::fs::remove_file(image.path().join("journal-0000.wal")).unwrap();
    let start = ScanStart {
        trimmed: Some(Lsn::ZERO),
        incarnation: 1,
    };
    let missing = scan(image.path(), start).unwrap();
    assert_eq!((count(&missing), missing.damage[0].lost), (0, None));
}

#[test]
fn an_idle_journal_seals_its_last_group() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let (journal, _) = open(&options, Lsn::ZERO);
    append(&journal, 0, 1);
    let began = Instant::now();
    while journal.shared.metrics.journal_seals.load(Ordering::Relaxed) == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "no seal");
        std::thread::yield_now();
    }
    // The counter moves before the write; closing waits for it.
    drop(journal);
    let path = files(&options.dir).remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[BLOCK + 64 + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let start = ScanStart {
        trimmed: Some(Lsn::ZERO),
        incarnation: 1,
    };
    let scan = scan(&options.dir, start).unwrap();
    assert_eq!(
        (scan.frames.len(), scan.damage[0].lost, scan.torn),
        (0, Some(1), None)
    );
}

/// Waits until the queue is as `wanted` says.
fn wait_until(journal: &LocalJournal, what: &str, wanted: impl Fn(&Queue) -> bool) {
    let began = Instant::now();
    while !wanted(&journal.shared.queue.locked()) {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

/// A journal whose next file has some of its blocks: the allocator waits for the active file to fill.
fn with_a_file_half_made(options: &JournalOptions) -> LocalJournal {
    let (journal, _) = open(options, Lsn::ZERO);
    append(&journal, 0, 1);
    wait_until(&journal, "the allocator does not wait", |queue| {
        queue.allocate_at.is_some()
    });
    assert!(journal.shared.queue.locked().free.is_empty());
    assert_eq!(files(&options.dir).len(), 2);
    journal
}

#[test]
fn the_next_file_is_made_as_the_active_one_fills() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let journal = with_a_file_half_made(&options);
    let half = journal.shared.queue.locked().capacity / 2;
    append(&journal, 1, i64::try_from(half / BLOCK as u64).unwrap());
    wait_until(&journal, "no file was made", |queue| !queue.free.is_empty());
    assert!(journal.shared.queue.locked().remaining > 0);
}

#[test]
fn a_file_that_is_wanted_is_made_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let journal = with_a_file_half_made(&options);
    let large = || frame(1, 60 << 10);
    let refused = journal.enqueue(large(), None, WhenToWrite::AtOnce);
    assert!(matches!(refused, Err(WalError::QueueFull)), "{refused:?}");
    wait_until(&journal, "no file was made", |queue| !queue.free.is_empty());
    let lsn = journal.enqueue(large(), None, WhenToWrite::AtOnce).unwrap();
    wait_for(&journal, lsn);
}

#[test]
fn a_file_that_is_not_whole_goes_with_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    drop(with_a_file_half_made(&options));
    assert_eq!(files(&options.dir), [dir.path().join("journal-0000.wal")]);
    let (_journal, scan) = open(&options, Lsn::ZERO);
    assert_eq!(scan.frames.len(), 1);
}

#[test]
fn a_missing_file_in_the_middle_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let (journal, _) = open(&options, Lsn::ZERO);
    append(&journal, 0, 150);
    drop(journal);
    let whole = scan(
        &options.dir,
        ScanStart {
            trimmed: Some(Lsn::ZERO),
            incarnation: 1,
        },
    )
    .unwrap();
    assert_eq!(whole.frames.len(), 150);
    let used: Vec<&PathBuf> = whole
        .files
        .iter()
        .filter(|file| file.groups > 0)
        .map(|file| &file.path)
        .collect();
    assert!(used.len() >= 3, "{used:?}");
    let keep = std::fs::read(used[1]).unwrap();
    std::fs::remove_file(used[1]).unwrap();
    let start = ScanStart {
        trimmed: Some(Lsn::ZERO),
        incarnation: 1,
    };
    let middle = scan(&options.dir, start).unwrap();
    let lost: u64 = middle
        .damage
        .iter()
        .map(|damage| damage.lost.unwrap())
        .sum();
    assert_eq!(lost + middle.frames.len() as u64, 150);
    std::fs::write(used[1], keep).unwrap();
    std::fs::remove_file(used[used.len() - 1]).unwrap();
    let last = scan(&options.dir, start).unwrap();
    assert!(
        last.damage.iter().any(|damage| damage.lost.is_none()),
        "{:?}",
        last.damage
    );
}

#[derive(Debug, Default)]
struct FailAt {
    op: Option<IoOp>,
    after: AtomicU32,
    full: bool,
}

impl FaultHook for FailAt {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        if Some(op) != self.op {
            return None;
        }
        let kind = if self.full {
            io::ErrorKind::StorageFull
        } else {
            io::ErrorKind::Other
        };
        let left = self.after.load(Ordering::SeqCst);
        if left == 0 {
            return Some(io::Error::new(kind, "injected"));
        }
        self.after.store(left - 1, Ordering::SeqCst);
        None
    }
}

fn open_failing(options: &JournalOptions, hook: FailAt) -> (LocalJournal, Arc<FailAt>) {
    let hook = Arc::new(hook);
    let scan = scan(&options.dir, ScanStart::default()).unwrap();
    let faults = Faults(Some(Arc::clone(&hook) as Arc<dyn FaultHook>));
    let journal =
        LocalJournal::open(options.clone(), &scan, Lsn::ZERO, faults, Arc::default()).unwrap();
    (journal, hook)
}

#[test]
fn a_failed_write_ends_the_journal_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let hook = FailAt {
        op: Some(IoOp::JournalWrite),
        after: 3.into(),
        full: false,
    };
    let (journal, hook) = open_failing(&options(dir.path()), hook);
    append(&journal, 0, 1);
    let state = journal.state();
    let mut offset = 1;
    while state.borrow().failed.is_none() {
        match journal.enqueue(frame(offset, 10), None, WhenToWrite::AtOnce) {
            Ok(_) => offset += 1,
            Err(WalError::Failed(_)) => break,
            Err(WalError::QueueFull) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    let durable = state.borrow().durable;
    hook.after.store(u32::MAX, Ordering::SeqCst);
    assert!(matches!(
        journal.enqueue(frame(offset, 10), None, WhenToWrite::AtOnce),
        Err(WalError::Failed(_))
    ));
    assert!(matches!(journal.close(), Err(WalError::Failed(_))));
    assert_eq!(
        state.borrow().durable,
        durable,
        "the watermark stands still after the failure"
    );
}

#[test]
fn a_full_disk_refuses_before_anything_is_queued_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    // The first file is made, the next is not.
    let hook = FailAt {
        op: Some(IoOp::JournalAllocate),
        after: 1.into(),
        full: true,
    };
    let (journal, hook) = open_failing(&options(dir.path()), hook);
    let mut offset = 0;
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "never full");
        match journal.enqueue(frame(offset, 1_000), None, WhenToWrite::AtOnce) {
            Ok(_) => offset += 1,
            Err(WalError::DiskFull) => break,
            Err(WalError::QueueFull) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(offset > 0);
    wait_for(&journal, Lsn(offset as u64));
    hook.after.store(u32::MAX, Ordering::SeqCst);
    let began = Instant::now();
    while journal
        .enqueue(frame(offset, 1_000), None, WhenToWrite::AtOnce)
        .is_err()
    {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "room never came back"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_batch_that_fits_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(&options(dir.path()), Lsn::ZERO);
    let refused = journal.enqueue(frame(0, 300 << 10), None, WhenToWrite::AtOnce);
    assert!(matches!(refused, Err(WalError::TooLarge { .. })));
    // One larger than the first file, but not than the others, waits for one of those.
    let big = frame(0, 100 << 10);
    let began = Instant::now();
    let lsn = loop {
        match journal.enqueue(big.clone(), None, WhenToWrite::AtOnce) {
            Ok(lsn) => break lsn,
            Err(WalError::QueueFull) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(60), "never taken");
    };
    wait_for(&journal, lsn);
}
