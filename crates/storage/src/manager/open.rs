//! Opening a data directory: lock, checkpoint, journal scan, every log, and what damage means.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock, Weak};
use std::time::Duration;

use base::{Clock, PartitionIndex};
use tokio::sync::Notify;

use crate::cold::ColdReads;
use crate::config::{FlushPolicy, StorageOptions};
use crate::error::StorageError;
use crate::flusher::Flusher;
use crate::io::{Faults, LockExt, is_disk_full};
use crate::log::{
    LogCheckpoint, LogContext, LogState, PartitionLog, RecoveryInput, RemoteList, recover_log,
};
use crate::lsn::Lsn;
use crate::manager::cleaning::Cleaner;
use crate::manager::tiering::Tiering;
use crate::manager::{
    CheckpointFile, Handle, Inner, LogKey, PartitionSpec, Storage, checkpoint_path, hex,
    journal_dir, logs_dir,
};
use crate::metrics::StorageMetrics;
use crate::store::{LocalDir, LogName};
use crate::tier::Tier;
use crate::wal::Wal;
use crate::wal::journal::{JournalOptions, LocalJournal, spawn};
use crate::wal::scan::{JournalScan, ScanStart, ScannedFrame, scan};

/// A partition that recovery took offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflinePartition {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// What is wrong with it.
    pub reason: String,
}

/// What opening a data directory found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The storage had been closed; nothing had to be recovered.
    pub clean: bool,
    /// There was a checkpoint, but it could not be read; everything was scanned.
    pub checkpoint_damaged: bool,
    /// Frames found in the journal.
    pub journal_frames: u64,
    /// Batches that were only in the journal.
    pub replayed_batches: u64,
    /// Their bytes.
    pub replayed_bytes: u64,
    /// Bytes of segments read and checked.
    pub scanned_bytes: u64,
    /// Bytes cut from torn ends of segments.
    pub cut_bytes: u64,
    /// Frames of the journal's torn last group that were dropped.
    pub dropped_frames: u64,
    /// The journal's last group was torn.
    pub journal_torn: bool,
    /// Damage found in the journal, as text.
    pub journal_damage: Vec<String>,
    /// Partitions that are offline.
    pub offline: Vec<OfflinePartition>,
    /// Directories in `logs` that belong to no partition.
    pub strays: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What recovery of one log gave, for the judgement of journal damage.
struct Opened {
    log: Arc<PartitionLog>,
    /// The LSN of the last frame that fits.
    last_lsn: Lsn,
    /// Batches in its segments for which there is no frame.
    unexplained: u64,
    journaled: bool,
}

pub(super) fn open(
    options: StorageOptions,
    clock: Arc<dyn Clock>,
    partitions: Vec<PartitionSpec>,
) -> Result<(Storage, RecoveryReport), StorageError> {
    let began = clock.monotonic();
    let data_dir = options.data_dir.clone();
    std::fs::create_dir_all(&data_dir)
        .map_err(|error| StorageError::io("create", &data_dir, error))?;
    let lock = lock(&data_dir)?;
    let mut report = RecoveryReport::default();
    let checkpoint = read_checkpoint(&data_dir, &mut report)?;
    let journal_path = journal_dir(&data_dir);
    let scan = scan_journal(&journal_path, checkpoint.as_ref(), &mut report)?;
    let trimmed = checkpoint.as_ref().map_or(Lsn::ZERO, |file| file.trimmed);

    let metrics = Arc::new(StorageMetrics::default());
    let faults = Faults(options.fault_hook.clone());
    let journal = LocalJournal::open(
        journal_options(&options),
        &scan,
        trimmed,
        faults.clone(),
        Arc::clone(&metrics),
    )
    .map_err(|error| StorageError::io("open", &journal_path, error))?;
    let journal = Arc::new(journal);
    let tier = open_tier(&options, &metrics)?;
    let context = log_context(&options, &journal, clock, metrics, faults, tier)?;
    let cold_reads = ColdReads::new(options.cold_read_pipes, Arc::clone(&context.metrics));
    let cleaner = Cleaner::new(options.cleaner.clone());
    let inner = Inner {
        producer_id_expiration_ms: AtomicI64::new(options.producer_id_expiration_ms),
        options,
        cold_reads: Arc::new(cold_reads),
        context,
        durable: journal.state(),
        journal,
        logs: RwLock::default(),
        checkpoints: Mutex::default(),
        checkpointed_journal_bytes: AtomicU64::new(0),
        trimmed: AtomicU64::new(trimmed.0),
        next_uid: AtomicU64::new(1),
        closed: AtomicBool::new(false),
        stop: Mutex::new(false),
        wake: Condvar::new(),
        threads: Mutex::default(),
        cleaner,
        tiering: Tiering::default(),
        _lock: lock,
    };
    let trimmed = inner.recover(partitions, checkpoint, &scan, &mut report)?;
    inner.begin(trimmed)?;
    inner.forget_completed()?;
    report.elapsed = inner.context.clock.monotonic().since(began);
    let inner = Arc::new(inner);
    if !inner.options.driven {
        start_threads(&inner)?;
    }
    let inner = Arc::new(Handle(inner));
    Ok((Storage { inner }, report))
}

/// What all logs share.
fn log_context(
    options: &StorageOptions,
    journal: &Arc<LocalJournal>,
    clock: Arc<dyn Clock>,
    metrics: Arc<StorageMetrics>,
    faults: Faults,
    tier: Option<Arc<Tier>>,
) -> Result<Arc<LogContext>, StorageError> {
    Ok(Arc::new(LogContext {
        store: Arc::new(open_store(options, &faults)?),
        wal: Arc::clone(journal) as Arc<dyn Wal>,
        clock,
        metrics,
        faults,
        flusher: Arc::new(Flusher::default()),
        tail_bytes: AtomicUsize::new(0),
        tail_limit: options.tail_bytes,
        room: Notify::new(),
        disk_full: AtomicBool::new(false),
        tier,
        failed: Mutex::new(None),
    }))
}

/// The remote side, if there is one.
fn open_tier(
    options: &StorageOptions,
    metrics: &Arc<StorageMetrics>,
) -> Result<Option<Arc<Tier>>, StorageError> {
    let Some(tier) = &options.tier else {
        return Ok(None);
    };
    let dir = options.data_dir.join("remote-log-index-cache");
    let opened = Tier::new(tier, &dir, metrics);
    opened
        .map(|tier| Some(Arc::new(tier)))
        .map_err(|error| StorageError::io("empty", dir, error))
}

/// The segments' directory; what a deletion left behind goes now.
fn open_store(options: &StorageOptions, faults: &Faults) -> Result<LocalDir, StorageError> {
    let path = logs_dir(&options.data_dir);
    let store = LocalDir::open(&path, options.open_files)
        .map_err(|error| StorageError::io("open", &path, error))?
        .with_faults(faults.clone());
    store
        .doom_leftovers()
        .map_err(|error| StorageError::io("list", &path, error))?;
    Ok(store)
}

fn journal_options(options: &StorageOptions) -> JournalOptions {
    JournalOptions {
        dir: journal_dir(&options.data_dir),
        first_file_bytes: options.journal_first_file_bytes,
        file_bytes: options.journal_file_bytes,
        max_bytes: options.journal_max_bytes,
        queue_bytes: options.journal_queue_bytes,
        group_bytes: options.journal_group_bytes,
        headroom_bytes: options.headroom_bytes,
        driven: options.driven,
    }
}

fn lock(data_dir: &Path) -> Result<File, StorageError> {
    let path = data_dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| StorageError::io("open", &path, error))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StorageError::Locked { path }),
        Err(errno) => Err(StorageError::io("lock", path, errno.into())),
    }
}

fn read_checkpoint(
    data_dir: &Path,
    report: &mut RecoveryReport,
) -> Result<Option<CheckpointFile>, StorageError> {
    let path = checkpoint_path(data_dir);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("read", path, error)),
    };
    let file = CheckpointFile::decode(&bytes);
    if file.is_none() {
        tracing::error!(path = %path.display(), "the checkpoint is damaged; scanning everything");
        report.checkpoint_damaged = true;
    }
    report.clean = file.as_ref().is_some_and(|file| file.clean);
    Ok(file)
}

fn scan_journal(
    dir: &Path,
    checkpoint: Option<&CheckpointFile>,
    report: &mut RecoveryReport,
) -> Result<JournalScan, StorageError> {
    let start = ScanStart {
        trimmed: checkpoint.map(|file| file.trimmed),
        incarnation: checkpoint
            .filter(|file| !file.clean)
            .map_or(0, |file| file.incarnation),
    };
    let mut scan = scan(dir, start).map_err(|error| StorageError::io("read", dir, error))?;
    if checkpoint.is_some_and(|file| file.clean) {
        // Nothing in it is needed, so nothing can be missing.
        scan.damage.clear();
    }
    scan.next_incarnation = scan
        .next_incarnation
        .max(checkpoint.map_or(0, |file| file.incarnation) + 1);
    report.journal_frames = scan.frames.len() as u64;
    report.journal_torn = scan.torn.is_some();
    for damage in &scan.damage {
        let lost = match damage.lost {
            Some(0) => "nothing lost".to_owned(),
            Some(lost) => format!("{lost} frames from {} on unreadable", damage.first_lsn),
            None => format!(
                "everything from frame {} on may be missing",
                damage.first_lsn
            ),
        };
        let path = damage.path.display();
        report.journal_damage.push(format!(
            "'{path}' at byte {}: {}; {lost}",
            damage.position, damage.what
        ));
    }
    Ok(scan)
}

/// Moves the directory of another topic of this name out of the way.
pub(super) fn set_aside_stray(store: &LocalDir, name: &LogName) -> Result<(), StorageError> {
    let dir = store.dir(name);
    let text = match std::fs::read_to_string(dir.join("partition.metadata")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => return Ok(()),
        Err(_) => String::new(),
    };
    let owner = text
        .lines()
        .find_map(|line| line.strip_prefix("topic_id: "));
    if owner == Some(name.topic_id.to_string().as_str()) {
        return Ok(());
    }
    let owner = owner
        .and_then(|id| id.parse().ok())
        .map_or("unknown".to_owned(), |id| hex(base::TopicId(id)));
    let mut to = dir.with_file_name(format!("{}.{owner}-stray", name.dir_name()));
    let mut count = 0;
    while to.exists() {
        count += 1;
        to = dir.with_file_name(format!("{}.{owner}.{count}-stray", name.dir_name()));
    }
    tracing::warn!(from = %dir.display(), to = %to.display(), "setting a stray log aside");
    std::fs::rename(&dir, &to).map_err(|error| StorageError::io("rename", dir, error))
}

impl Inner {
    /// Brings all logs back. Returns up to which LSN the segments have everything, durably.
    fn recover(
        &self,
        specs: Vec<PartitionSpec>,
        checkpoint: Option<CheckpointFile>,
        scan: &JournalScan,
        report: &mut RecoveryReport,
    ) -> Result<Lsn, StorageError> {
        let trimmed = checkpoint.as_ref().map_or(Lsn::ZERO, |file| file.trimmed);
        let mut frames: HashMap<LogKey, Vec<ScannedFrame>> = HashMap::new();
        for frame in &scan.frames {
            let key = (frame.topic_id, frame.partition);
            frames.entry(key).or_default().push(*frame);
        }
        let saved = checkpoint.map(|file| file.logs).unwrap_or_default();
        let by_key = |log: LogCheckpoint| ((log.topic_id, log.partition), log);
        let mut saved: HashMap<LogKey, LogCheckpoint> = saved.into_iter().map(by_key).collect();
        let dirs = self.list_dirs()?;
        let mut remote = self.remote_lists(&specs)?;
        let mut opened = Vec::with_capacity(specs.len());
        let mut expected = HashSet::new();
        for spec in specs {
            let key = (spec.topic_id, spec.partition);
            let name = self.name(&spec);
            expected.insert(name.dir_name());
            let frames = frames.remove(&key).unwrap_or_default();
            let there = dirs.contains(&name.dir_name());
            if there {
                self.complete_cleaning(&name, saved.get_mut(&key))?;
            }
            let remote = remote.remove(&key).unwrap_or_default();
            let one = self.open_log(
                spec,
                name,
                there,
                saved.get(&key),
                &frames,
                remote,
                scan,
                report,
            )?;
            opened.push(one);
        }
        report.strays = dirs
            .into_iter()
            .filter(|dir| !expected.contains(dir) && !dir.ends_with("-delete"))
            .collect();
        report.strays.sort();
        self.judge_damage(&opened, scan);
        *self.checkpoints.locked() = saved;
        let mut logs = HashMap::with_capacity(opened.len());
        for Opened { log, .. } in opened {
            if let LogState::Offline(reason) = log.state() {
                report.offline.push(OfflinePartition {
                    topic: log.topic().to_owned(),
                    partition: log.partition(),
                    reason: reason.to_string(),
                });
            }
            logs.insert((log.topic_id(), log.partition()), log);
        }
        *self
            .logs
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = logs;
        if self.settle_damage(scan, report)? {
            return Ok(self.durable.borrow().durable);
        }
        Ok(trimmed)
    }

    /// What recovery decided about damage must never be decided again. Returns whether there was any.
    fn settle_damage(
        &self,
        scan: &JournalScan,
        report: &RecoveryReport,
    ) -> Result<bool, StorageError> {
        if scan.torn.is_none() && scan.damage.is_empty() && report.offline.is_empty() {
            return Ok(false);
        }
        if !scan.damage.is_empty() || !report.offline.is_empty() {
            let kept = self.journal.dir().join("kept");
            self.journal
                .set_aside(&kept)
                .map_err(|error| StorageError::io("move journal files to", kept, error))?;
        }
        self.checkpoint(false)?;
        Ok(true)
    }

    /// Begins a journal file and says so in the checkpoint, before anything is appended: from here on the storage is not
    /// closed, and the file must be there when it is opened again.
    fn begin(&self, trimmed: Lsn) -> Result<(), StorageError> {
        self.trimmed.store(trimmed.0, Ordering::Release);
        self.journal
            .begin()
            .map_err(crate::log::append_to_storage_error)?;
        let file = CheckpointFile {
            clean: false,
            trimmed,
            incarnation: self.journal.incarnation(),
            logs: self.checkpoints.locked().values().cloned().collect(),
        };
        let put = self.put_checkpoint(&file);
        let full = matches!(&put, Err(StorageError::Io { source, .. }) if is_disk_full(source));
        if !full {
            return put;
        }
        // A full disk: the ballast makes room for this one file.
        self.release_ballast();
        self.put_checkpoint(&file)
    }

    fn list_dirs(&self) -> Result<HashSet<String>, StorageError> {
        let root = self.context.store.root();
        let list = || -> io::Result<HashSet<String>> {
            let mut names = HashSet::new();
            for entry in std::fs::read_dir(root)? {
                names.insert(entry?.file_name().to_string_lossy().into_owned());
            }
            Ok(names)
        };
        list().map_err(|error| StorageError::io("list", root, error))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is one source of the log's state"
    )]
    fn open_log(
        &self,
        spec: PartitionSpec,
        name: LogName,
        there: bool,
        saved: Option<&LogCheckpoint>,
        frames: &[ScannedFrame],
        remote: RemoteList,
        scan: &JournalScan,
        report: &mut RecoveryReport,
    ) -> Result<Opened, StorageError> {
        let journaled = spec.config.flush_policy == FlushPolicy::Ack;
        if there && saved.is_none() {
            set_aside_stray(&self.context.store, &name)?;
        }
        if !there && saved.is_none() && frames.is_empty() && remote.end().is_none() {
            let log = PartitionLog::empty(name, Arc::clone(&self.context), spec.config);
            return Ok(Opened {
                log,
                last_lsn: Lsn::ZERO,
                unexplained: 0,
                journaled,
            });
        }
        let trusted = saved.is_some_and(|saved| saved.offline.is_none());
        let cleaned = self.cleaned_before(&name, &spec.config, trusted);
        let mut found = recover_log(&RecoveryInput {
            store: &self.context.store,
            name: &name,
            config: &spec.config,
            checkpoint: saved,
            frames,
            journal: scan,
            now_ms: self.context.clock.now_ms(),
            allow_unclean: self.options.allow_unclean_recovery,
            cleaned,
            remote: &remote,
        });
        let remote_end = remote.end();
        found.remote = remote;
        report.scanned_bytes += found.scanned_bytes;
        report.cut_bytes += found.cut_bytes;
        let scanned = std::mem::take(&mut found.scanned);
        // What compaction has been over is not compared with the journal.
        let scan_from = found.scan_from.max(cleaned);
        let usable = found.offline.is_none();
        tell_offline(&name, found.offline.as_deref());
        found.changed |= !frames.is_empty() || !usable;
        let log = PartitionLog::build(name, Arc::clone(&self.context), spec.config, found);
        let mut last_lsn = Lsn::ZERO;
        if usable {
            let replayed = log.replay(frames, scan, &scanned, scan_from)?;
            report.replayed_batches += replayed.batches;
            report.replayed_bytes += replayed.bytes;
            report.dropped_frames += replayed.dropped;
            last_lsn = replayed.last_lsn;
            check_against_remote(&log, remote_end);
        }
        let unexplained = if scan.damage.is_empty() {
            0
        } else {
            unexplained(&scanned, frames)
        };
        Ok(Opened {
            log,
            last_lsn,
            unexplained,
            journaled,
        })
    }

    /// Journal damage: which partitions are certainly whole? One that has a frame behind the damage that fits. All, when the
    /// segments hold as many batches without a frame as frames are missing. The others go offline.
    fn judge_damage(&self, opened: &[Opened], scan: &JournalScan) {
        let mut lost = Some(0);
        let mut last_damage = Lsn::ZERO;
        let mut first_damage = Lsn(u64::MAX);
        for damage in scan.damage.iter().filter(|damage| damage.lost != Some(0)) {
            lost = lost.zip(damage.lost).map(|(sum, more)| sum + more);
            last_damage = last_damage.max(damage.last_lsn);
            first_damage = first_damage.min(damage.first_lsn);
        }
        if lost == Some(0) || self.options.allow_unclean_recovery {
            return;
        }
        let unexplained: u64 = opened
            .iter()
            .filter(|one| one.journaled)
            .map(|one| one.unexplained)
            .sum();
        if lost == Some(unexplained) {
            return;
        }
        for one in opened.iter().filter(|one| one.journaled) {
            let proven = one.last_lsn > last_damage;
            if !proven && one.log.state() == LogState::Online {
                one.log.offline(format!(
                    "the journal is damaged from frame {first_damage} on, and nothing proves that this \
                     partition lost no acknowledged records; see `affluent storage check`"
                ));
            }
        }
    }
}

fn tell_offline(name: &LogName, reason: Option<&str>) {
    if let Some(reason) = reason {
        tracing::error!(topic = %name.topic, partition = %name.partition, %reason,
            "partition is offline; its bytes are kept");
    }
}

/// A log that ends before its remote part does would give offsets away twice.
fn check_against_remote(log: &PartitionLog, remote_end: Option<i64>) {
    let log_end = log.log_end_offset().0;
    if let Some(remote_end) = remote_end.filter(|end| *end > log_end) {
        log.offline(format!(
            "it ends at offset {log_end}, but its part in the remote store goes on to {remote_end}: local \
             files were lost"
        ));
    }
}

/// How many batches of the segments have no frame in the journal.
fn unexplained(scanned: &[(i64, u32)], frames: &[ScannedFrame]) -> u64 {
    let framed: HashSet<i64> = frames.iter().map(|frame| frame.offset).collect();
    let missing = |batch: &&(i64, u32)| !framed.contains(&batch.0);
    scanned.iter().filter(missing).count() as u64
}

fn start_threads(inner: &Arc<Inner>) -> Result<(), StorageError> {
    let failed = |error| StorageError::io("start a thread for", &inner.options.data_dir, error);
    let flusher = Arc::clone(&inner.context.flusher);
    let context: Weak<LogContext> = Arc::downgrade(&inner.context);
    let headroom = inner.options.headroom_bytes > 0;
    let body = move || {
        flusher.run(|outcome| {
            let Some(context) = context.upgrade() else {
                return;
            };
            super::flushed(&context, headroom, outcome);
        });
    };
    let weak = Arc::downgrade(inner);
    let threads = vec![
        spawn("segment-writer", body).map_err(failed)?,
        spawn("storage-maintenance", move || {
            super::maintenance::run(&weak)
        })
        .map_err(failed)?,
    ];
    *inner.threads.locked() = threads;
    inner.start_tier_thread()?;
    inner.start_cleaner_threads()
}
