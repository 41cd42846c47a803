//! Reading a data directory offline: what is there ([`inspect`]) and whether it is sound ([`check()`]).
//!
//! Both only read. They refuse a directory that a broker has open, since its files change under them.

mod check;
mod remote;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use base::{PartitionIndex, TopicId};

pub use check::{CheckReport, Finding, Progress, Severity, check};
pub use remote::{RemoteCheck, check_manifest, check_remote};

use crate::error::StorageError;
use crate::io::be;
use crate::log::LogCheckpoint;
use crate::log::epoch::{EpochCache, EpochEntry};
use crate::lsn::Lsn;
use crate::manager::{CheckpointFile, checkpoint_path, journal_dir, logs_dir};
use crate::store::{LocalDir, LogName, SegmentPart, SegmentStore};
use crate::wal::scan::{JournalScan, ScanStart, scan};

/// A journal file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalFileInfo {
    /// Its path.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its life, `None` when nothing in it can be read.
    pub incarnation: Option<u64>,
    /// Groups in it that are not trimmed.
    pub groups: u64,
    /// The LSN of its first frame.
    pub first_lsn: Option<Lsn>,
    /// The LSN of its last frame.
    pub last_lsn: Lsn,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first offset.
    pub base_offset: i64,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// Entries of its offset index.
    pub index_entries: u64,
    /// Entries of its time index.
    pub time_index_entries: u64,
    /// As the last checkpoint synced it: bytes, the offset after it, the largest timestamp.
    pub synced: Option<(u64, i64, i64)>,
}

/// A partition's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// The directory.
    pub dir: PathBuf,
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// The topic's id, from `partition.metadata`.
    pub topic_id: Option<TopicId>,
    /// The log start offset of the last checkpoint.
    pub log_start_offset: Option<i64>,
    /// Where recovery begins.
    pub recovery_point: Option<i64>,
    /// Why it is offline.
    pub offline: Option<String>,
    /// Its segments, by base offset.
    pub segments: Vec<SegmentInfo>,
    /// Offsets of its producer snapshots.
    pub snapshots: Vec<i64>,
    /// Its leader epochs.
    pub leader_epochs: Vec<EpochEntry>,
    /// Frames in the journal that recovery would look at.
    pub journal_frames: u64,
}

impl PartitionInfo {
    /// Bytes of all segments.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.log_bytes).sum()
    }
}

/// A data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryInfo {
    /// Whether the storage was closed before; `None` without a readable checkpoint.
    pub clean: Option<bool>,
    /// Frames up to here are in the segments.
    pub trimmed: Option<Lsn>,
    /// The journal's files, by incarnation.
    pub journal: Vec<JournalFileInfo>,
    /// The partitions, by topic and number.
    pub partitions: Vec<PartitionInfo>,
    /// Other directories in `logs`: deleted or stray.
    pub others: Vec<String>,
}

/// Everything the two tools read first.
struct Directory {
    checkpoint: Option<CheckpointFile>,
    journal: JournalScan,
    store: LocalDir,
    logs: Vec<(LogName, Option<TopicId>)>,
    others: Vec<String>,
    _lock: Option<File>,
}

fn open(data_dir: &Path) -> Result<Directory, StorageError> {
    let lock = lock_shared(data_dir)?;
    let path = checkpoint_path(data_dir);
    let checkpoint = match std::fs::read(&path) {
        Ok(bytes) => CheckpointFile::decode(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(StorageError::io("read", path, error)),
    };
    let journal_path = journal_dir(data_dir);
    let start = ScanStart {
        trimmed: checkpoint.as_ref().map(|file| file.trimmed),
        incarnation: checkpoint
            .as_ref()
            .filter(|file| !file.clean)
            .map_or(0, |f| f.incarnation),
    };
    let journal = scan(&journal_path, start)
        .map_err(|error| StorageError::io("read", journal_path, error))?;
    let root = logs_dir(data_dir);
    let entries =
        std::fs::read_dir(&root).map_err(|error| StorageError::io("list", &root, error))?;
    let (mut logs, mut others) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.map_err(|error| StorageError::io("list", &root, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match log_name(&name, logs.len() as u64) {
            Some(log) => {
                let metadata = std::fs::read_to_string(entry.path().join("partition.metadata"));
                let topic_id = metadata.ok().and_then(|text| {
                    let id = text
                        .lines()
                        .find_map(|line| line.strip_prefix("topic_id: "))?;
                    id.parse().ok().map(TopicId)
                });
                let topic_id_or_zero = topic_id.unwrap_or_default();
                logs.push((
                    LogName {
                        topic_id: topic_id_or_zero,
                        ..log
                    },
                    topic_id,
                ));
            }
            None => others.push(name),
        }
    }
    logs.sort_by(|(a, _), (b, _)| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    others.sort();
    let store = LocalDir::open(&root, 64).map_err(|error| StorageError::io("open", root, error))?;
    Ok(Directory {
        checkpoint,
        journal,
        store,
        logs,
        others,
        _lock: lock,
    })
}

fn lock_shared(data_dir: &Path) -> Result<Option<File>, StorageError> {
    let path = data_dir.join("lock");
    let file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("open", path, error)),
    };
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StorageError::Locked { path }),
        Err(errno) => Err(StorageError::io("lock", path, errno.into())),
    }
}

/// `<topic>-<partition>`; `None` for a deleted or stray directory.
fn log_name(name: &str, uid: u64) -> Option<LogName> {
    if name.ends_with("-delete") || name.ends_with("-stray") {
        return None;
    }
    let (topic, partition) = name.rsplit_once('-')?;
    let partition = PartitionIndex(partition.parse().ok()?);
    Some(LogName {
        topic: topic.into(),
        topic_id: TopicId::ZERO,
        partition,
        uid,
    })
}

impl Directory {
    fn saved(&self, log: &LogName) -> Option<&LogCheckpoint> {
        let file = self.checkpoint.as_ref()?;
        file.logs
            .iter()
            .find(|saved| saved.topic_id == log.topic_id && saved.partition == log.partition)
    }
}

/// Lists what is in a data directory. Reads no records.
///
/// # Errors
/// [`StorageError::Locked`] while a broker has it open; I/O errors.
pub fn inspect(data_dir: &Path) -> Result<DirectoryInfo, StorageError> {
    let directory = open(data_dir)?;
    let mut frames: HashMap<(TopicId, PartitionIndex), u64> = HashMap::new();
    for frame in &directory.journal.frames {
        *frames.entry((frame.topic_id, frame.partition)).or_default() += 1;
    }
    let mut partitions = Vec::with_capacity(directory.logs.len());
    for (log, topic_id) in &directory.logs {
        let count = frames
            .get(&(log.topic_id, log.partition))
            .copied()
            .unwrap_or(0);
        let info = partition_info(&directory, log, *topic_id, count);
        partitions
            .push(info.map_err(|error| StorageError::io("read", directory.store.dir(log), error))?);
    }
    let journal = directory
        .journal
        .files
        .iter()
        .map(|file| JournalFileInfo {
            path: file.path.clone(),
            bytes: file.size,
            incarnation: file.header.map(|header| header.incarnation),
            groups: file.groups,
            first_lsn: file.header.map(|header| header.first_lsn),
            last_lsn: file.last_lsn,
        })
        .collect();
    Ok(DirectoryInfo {
        clean: directory.checkpoint.as_ref().map(|file| file.clean),
        trimmed: directory.checkpoint.as_ref().map(|file| file.trimmed),
        journal,
        partitions,
        others: directory.others,
    })
}

fn partition_info(
    directory: &Directory,
    log: &LogName,
    topic_id: Option<TopicId>,
    journal_frames: u64,
) -> io::Result<PartitionInfo> {
    let store = &directory.store;
    let saved = directory.saved(log);
    let mut segments = Vec::new();
    for base in store.list(log)? {
        let entries = |part, length: u64| -> io::Result<u64> {
            Ok(store.length(log, base, part)?.unwrap_or(0) / length)
        };
        let synced = saved.and_then(|saved| saved.segments.iter().find(|s| s.base == base));
        segments.push(SegmentInfo {
            base_offset: base,
            log_bytes: store.length(log, base, SegmentPart::Log)?.unwrap_or(0),
            index_entries: entries(SegmentPart::OffsetIndex, 8)?,
            time_index_entries: entries(SegmentPart::TimeIndex, 12)?,
            synced: synced.map(|view| (view.size, view.next_offset, view.max_timestamp)),
        });
    }
    let epochs = std::fs::read_to_string(store.dir(log).join("leader-epoch-checkpoint"));
    Ok(PartitionInfo {
        dir: store.dir(log),
        topic: log.topic.to_string(),
        partition: log.partition,
        topic_id,
        log_start_offset: saved.map(|saved| saved.log_start),
        recovery_point: saved.map(|saved| saved.recovery_point),
        offline: saved.and_then(|saved| saved.offline.clone()),
        segments,
        snapshots: snapshots(&store.dir(log))?
            .into_iter()
            .map(|(offset, _)| offset)
            .collect(),
        leader_epochs: epochs
            .ok()
            .and_then(|text| EpochCache::parse(&text))
            .map(|cache| cache.entries().to_vec())
            .unwrap_or_default(),
        journal_frames,
    })
}

fn snapshots(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let offset = name
            .strip_suffix(".snapshot")
            .and_then(|stem| stem.parse().ok());
        if let Some(offset) = offset {
            found.push((offset, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Splits an index file into entries of two numbers: `(offset, position)` or `(timestamp, offset)`.
fn index_entries(bytes: &[u8], base: i64, part: SegmentPart) -> Vec<(i64, i64)> {
    let relative = |entry: &[u8], at| base + i64::from(be::u32(entry, at).unwrap_or(0));
    match part {
        SegmentPart::TimeIndex => bytes
            .chunks_exact(12)
            .map(|entry| (be::i64(entry, 0).unwrap_or(0), relative(entry, 8)))
            .collect(),
        _ => bytes
            .chunks_exact(8)
            .map(|entry| {
                (
                    relative(entry, 0),
                    i64::from(be::u32(entry, 4).unwrap_or(0)),
                )
            })
            .collect(),
    }
}
