//! Every CRC, index entry, offset and checkpoint of a data directory, held against each other.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use wire::record_batch::{BATCH_HEADER_LEN, BatchHeader, verify_crc};

use super::{Directory, index_entries, open, snapshots};
use crate::cleaner::progress;
use crate::cleaner::swap::{self, SwapRecord};
use crate::error::StorageError;
use crate::log::epoch::EpochCache;
use crate::log::producer::ProducerStates;
use crate::store::{LogName, SegmentPart, SegmentStore};

const WINDOW: usize = 1 << 20;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// What every crash leaves behind; the next start clears it up.
    Info,
    /// Damage to what can be rebuilt from the log.
    Warning,
    /// Damage to records, or to what proves that none are missing.
    Error,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub path: PathBuf,
    /// What.
    pub message: String,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// What was found, in the order of reading.
    pub findings: Vec<Finding>,
    /// Partitions read.
    pub partitions: u64,
    /// Batches whose CRC was checked.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Journal frames whose CRC was checked.
    pub frames: u64,
}

impl CheckReport {
    /// The worst severity, `None` when nothing was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read.
    pub done_bytes: u64,
    /// Bytes to read in all.
    pub total_bytes: u64,
}

/// Checks a data directory. Reads everything; `progress` is called about once per MiB.
///
/// # Errors
/// [`StorageError::Locked`] while a broker has it open; I/O errors. Damage is no error but a finding.
pub fn check(
    data_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<CheckReport, StorageError> {
    let directory = open(data_dir)?;
    let mut checker = Checker {
        directory: &directory,
        report: CheckReport::default(),
        total_bytes: 0,
        progress,
        journaled: HashMap::new(),
    };
    let failed = |(path, error)| StorageError::io("read", path, error);
    checker.measure().map_err(failed)?;
    checker.journal(data_dir);
    for (log, _) in &directory.logs {
        checker
            .log(log)
            .map_err(|error| failed((directory.store.dir(log), error)))?;
    }
    checker.missing_logs();
    Ok(checker.report)
}

struct Checker<'a> {
    directory: &'a Directory,
    report: CheckReport,
    total_bytes: u64,
    progress: &'a mut dyn FnMut(Progress),
    /// Base offsets of the frames of each log, for judging torn ends.
    journaled: HashMap<(base::TopicId, base::PartitionIndex), Vec<i64>>,
}

/// What one segment's log says, for its indexes.
struct SegmentFacts {
    base: i64,
    end_position: u64,
    next_offset: i64,
    /// Position, last offset and largest timestamp of each batch.
    batches: Vec<(u64, i64, i64)>,
}

impl Checker<'_> {
    fn find(&mut self, severity: Severity, path: impl Into<PathBuf>, message: impl Into<String>) {
        let (path, message) = (path.into(), message.into());
        self.report.findings.push(Finding {
            severity,
            path,
            message,
        });
    }

    fn measure(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let store = &self.directory.store;
        for (log, _) in &self.directory.logs {
            let at = |error| (store.dir(log), error);
            for base in store.list(log).map_err(at)? {
                let length = store.length(log, base, SegmentPart::Log).map_err(at)?;
                self.total_bytes += length.unwrap_or(0);
            }
        }
        Ok(())
    }

    fn journal(&mut self, data_dir: &Path) {
        let scan = &self.directory.journal;
        let clean = self
            .directory
            .checkpoint
            .as_ref()
            .is_some_and(|file| file.clean);
        if self.directory.checkpoint.is_none() && !self.directory.logs.is_empty() {
            let path = crate::manager::checkpoint_path(data_dir);
            self.find(
                Severity::Warning,
                path,
                "no readable checkpoint; a start scans everything",
            );
        }
        for damage in scan.damage.iter().filter(|_| !clean) {
            let (severity, lost) = match damage.lost {
                Some(0) => (Severity::Warning, "no frame is lost".to_owned()),
                Some(lost) => (Severity::Error, format!("{lost} frames are lost")),
                None => (Severity::Error, "frames may be lost".to_owned()),
            };
            let message = format!("at byte {}: {}; {lost}", damage.position, damage.what);
            self.find(severity, &damage.path, message);
        }
        if let Some((path, position)) = &scan.torn {
            self.find(
                Severity::Info,
                path,
                format!("the last group, at byte {position}, is torn"),
            );
        }
        for frame in scan.frames.iter().filter(|frame| frame.is_batch) {
            self.report.frames += 1;
            let key = (frame.topic_id, frame.partition);
            self.journaled.entry(key).or_default().push(frame.offset);
            if let Err(error) = scan.read_batch(frame.location) {
                let file = scan.files.get(frame.location.file as usize);
                let path = file.map(|file| file.path.clone()).unwrap_or_default();
                let message = format!(
                    "frame {} at byte {}: {error}",
                    frame.lsn, frame.location.position
                );
                self.find(Severity::Error, path, message);
            }
        }
    }

    fn log(&mut self, log: &LogName) -> io::Result<()> {
        self.report.partitions += 1;
        let directory = self.directory;
        let store = &directory.store;
        let dir = store.dir(log);
        let saved = directory.saved(log);
        if let Some(reason) = saved.and_then(|saved| saved.offline.as_ref()) {
            self.find(
                Severity::Error,
                &dir,
                format!("the partition is offline: {reason}"),
            );
        }
        let bases = store.list(log)?;
        let log_start = saved.map_or(0, |saved| saved.log_start);
        let cleaned = progress::read(&dir).map_or(i64::MIN, |progress| progress.changed_to);
        let swap = self.unfinished_swap(log)?;
        let swapped = |base: i64| swap.is_some_and(|swap| swap.covers(base));
        for view in saved
            .map(|saved| saved.segments.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|view| !swapped(view.base))
        {
            let length = store.length(log, view.base, SegmentPart::Log)?;
            if length.is_none_or(|length| length < view.size) && view.next_offset > log_start {
                let path = store.path(log, view.base, SegmentPart::Log);
                let have =
                    length.map_or("is missing".to_owned(), |have| format!("has {have} bytes"));
                self.find(
                    Severity::Error,
                    path,
                    format!("{have}; {} were synced", view.size),
                );
            }
        }
        let mut expected = None;
        for (index, base) in bases.iter().enumerate() {
            if swapped(*base) {
                expected = None;
                continue;
            }
            let path = store.path(log, *base, SegmentPart::Log);
            let compacted = |expected: i64| expected < *base && *base <= cleaned;
            if let Some(expected) = expected
                && *base != expected
                && !compacted(expected)
            {
                let severity = if *base < expected {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                let message = format!("begins at {base}, but the one before ends at {expected}");
                self.find(severity, path, message);
            }
            let last = index + 1 == bases.len();
            let facts = self.segment(log, *base, last)?;
            self.offset_index(log, &facts)?;
            self.time_index(log, &facts)?;
            expected = Some(facts.next_offset);
        }
        self.states(&dir)
    }

    /// A compaction that was committed and has to be finished by the next start.
    fn unfinished_swap(&mut self, log: &LogName) -> io::Result<Option<SwapRecord>> {
        let dir = self.directory.store.dir(log);
        let Some(found) = swap::read(&dir)? else {
            return Ok(None);
        };
        let (severity, message) = match found {
            Some(swap) => (
                Severity::Info,
                format!(
                    "the next start finishes a compaction of segments {:020} to {:020}",
                    swap.view.base, swap.last_base
                ),
            ),
            None => (Severity::Warning, "is damaged".to_owned()),
        };
        self.find(severity, swap::path(&dir), message);
        Ok(found)
    }

    fn segment(&mut self, log: &LogName, base: i64, last: bool) -> io::Result<SegmentFacts> {
        let store = &self.directory.store;
        let path = store.path(log, base, SegmentPart::Log);
        let size = store.length(log, base, SegmentPart::Log)?.unwrap_or(0);
        let mut facts = SegmentFacts {
            base,
            end_position: 0,
            next_offset: base,
            batches: Vec::new(),
        };
        let mut window = Vec::new();
        let mut window_at = 0;
        while facts.end_position < size {
            let at = facts.end_position;
            let mut from = (at - window_at) as usize;
            let need = window
                .get(from..)
                .and_then(|rest: &[u8]| BatchHeader::parse(rest).ok())
                .map_or(BATCH_HEADER_LEN, |header| header.size_in_bytes());
            if from + need > window.len() {
                let left = usize::try_from(size - at).unwrap_or(usize::MAX);
                window.resize(need.max(WINDOW).min(left), 0);
                let read = store.read_at(log, base, SegmentPart::Log, at, &mut window)?;
                window.truncate(read);
                window_at = at;
                from = 0;
                let (done_bytes, total_bytes) = (self.report.bytes, self.total_bytes);
                (self.progress)(Progress {
                    done_bytes,
                    total_bytes,
                });
            }
            let rest = window.get(from..).unwrap_or_default();
            // A batch larger than the window is read whole in the next round.
            if BatchHeader::parse(rest).is_ok_and(|header| {
                header.size_in_bytes() > rest.len() && at + header.size_in_bytes() as u64 <= size
            }) {
                let whole = BatchHeader::parse(rest).map_or(0, |header| header.size_in_bytes());
                window.resize(whole, 0);
                store.read_at(log, base, SegmentPart::Log, at, &mut window)?;
                window_at = at;
            }
            let rest = window.get((at - window_at) as usize..).unwrap_or_default();
            match verify_crc(rest) {
                Ok(header) => {
                    if header.base_offset < facts.next_offset {
                        let next = facts.next_offset;
                        let message =
                            format!("byte {at}: offset {} after {next}", header.base_offset);
                        self.find(Severity::Error, &path, message);
                    }
                    self.report.batches += 1;
                    self.report.bytes += header.size_in_bytes() as u64;
                    facts
                        .batches
                        .push((at, header.last_offset(), header.max_timestamp));
                    facts.next_offset = header.next_offset();
                    facts.end_position += header.size_in_bytes() as u64;
                }
                Err(error) => {
                    self.bad_batch(log, &facts, &path, last, &error.to_string());
                    break;
                }
            }
        }
        Ok(facts)
    }

    /// Bytes that are no batch: a torn end when nothing says that they were one.
    fn bad_batch(
        &mut self,
        log: &LogName,
        facts: &SegmentFacts,
        path: &Path,
        last: bool,
        error: &str,
    ) {
        let saved = self.directory.saved(log);
        let synced = saved
            .and_then(|saved| saved.segments.iter().find(|view| view.base == facts.base))
            .map_or(0, |view| view.size);
        let key = (log.topic_id, log.partition);
        let journaled = self
            .journaled
            .get(&key)
            .is_some_and(|offsets| offsets.contains(&facts.next_offset));
        let (severity, what) = if facts.end_position < synced {
            (Severity::Error, "in what was synced")
        } else if journaled {
            (Severity::Info, "the journal has it")
        } else if last {
            (Severity::Info, "a torn end, never synced")
        } else {
            (Severity::Error, "later segments follow")
        };
        self.find(
            severity,
            path,
            format!("byte {}: {error}; {what}", facts.end_position),
        );
    }

    fn offset_index(&mut self, log: &LogName, facts: &SegmentFacts) -> io::Result<()> {
        let part = SegmentPart::OffsetIndex;
        let path = self.directory.store.path(log, facts.base, part);
        let Some(bytes) = read_optional(&path)? else {
            self.find(
                Severity::Warning,
                path,
                "is missing; a read builds it again",
            );
            return Ok(());
        };
        let mut before = -1;
        for (offset, position) in index_entries(&bytes, facts.base, part) {
            let at = u64::try_from(position).unwrap_or(0);
            if at >= facts.end_position {
                continue;
            }
            let found = facts.batches.binary_search_by_key(&at, |batch| batch.0);
            let matches = found.is_ok_and(|index| facts.batches[index].1 == offset);
            if !matches || position <= before {
                let message = format!("entry {offset} -> {position} does not match the log");
                self.find(Severity::Warning, path, message);
                return Ok(());
            }
            before = position;
        }
        Ok(())
    }

    fn time_index(&mut self, log: &LogName, facts: &SegmentFacts) -> io::Result<()> {
        let part = SegmentPart::TimeIndex;
        let path = self.directory.store.path(log, facts.base, part);
        let Some(bytes) = read_optional(&path)? else {
            self.find(
                Severity::Warning,
                path,
                "is missing; a search by time builds it again",
            );
            return Ok(());
        };
        let mut before = -1;
        for (timestamp, offset) in index_entries(&bytes, facts.base, part) {
            if offset >= facts.next_offset {
                continue;
            }
            let found = facts.batches.binary_search_by_key(&offset, |batch| batch.1);
            let matches = found.is_ok_and(|index| facts.batches[index].2 == timestamp);
            if !matches || timestamp <= before {
                let message = format!("entry {timestamp} -> {offset} does not match the log");
                self.find(Severity::Warning, path, message);
                return Ok(());
            }
            before = timestamp;
        }
        Ok(())
    }

    fn states(&mut self, dir: &Path) -> io::Result<()> {
        for (_, path) in snapshots(dir)? {
            if ProducerStates::from_snapshot(&std::fs::read(&path)?).is_none() {
                let message = "the producer snapshot is damaged; a start reads the log instead";
                self.find(Severity::Warning, path, message);
            }
        }
        let path = dir.join("leader-epoch-checkpoint");
        if let Some(bytes) = read_optional(&path)?
            && EpochCache::parse(&String::from_utf8_lossy(&bytes)).is_none()
        {
            let message = "the epochs are damaged; a start reads the log instead";
            self.find(Severity::Warning, path, message);
        }
        Ok(())
    }

    /// Logs that the checkpoint knows and that have no directory.
    fn missing_logs(&mut self) {
        let directory = self.directory;
        let Some(file) = &directory.checkpoint else {
            return;
        };
        for saved in file.logs.iter().filter(|saved| !saved.segments.is_empty()) {
            let there = directory
                .logs
                .iter()
                .any(|(log, _)| log.topic_id == saved.topic_id && log.partition == saved.partition);
            let dir = directory
                .store
                .root()
                .join(format!("{}-{}", saved.topic, saved.partition));
            if !there {
                self.find(
                    Severity::Warning,
                    dir,
                    "the checkpoint knows this partition; its directory is not there (deleted since?)",
                );
            }
        }
    }
}

fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
