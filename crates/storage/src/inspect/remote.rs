//! The remote part of a data directory: what the manifest says, held against what is in the store.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use base::Uuid;

use super::{Finding, Progress, Severity};
use crate::cleaner::CleanError;
use crate::cleaner::batches::Batches;
use crate::tier::{ObjectName, RemoteError, RemoteSegment, RemoteState, RemoteStore};

/// The least that is read of an object at once.
const WINDOW_BYTES: usize = 4 << 20;

/// The outcome of a check of the remote part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteCheck {
    /// What was found. The paths are the objects' names.
    pub findings: Vec<Finding>,
    /// Finished segments.
    pub segments: u64,
    /// Objects of this cluster in the store.
    pub objects: u64,
    /// Batches whose CRC was checked.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Checks the entries of a manifest and everything they name, below `root`. Reads all records; `progress` is called about once per
/// segment. Changes nothing.
///
/// # Errors
/// When the store cannot be listed or read. An object that is missing or damaged is no error but a finding.
pub fn check_remote(
    store: &Arc<dyn RemoteStore>,
    root: &str,
    entries: &[RemoteSegment],
    progress: &mut dyn FnMut(Progress),
) -> Result<RemoteCheck, RemoteError> {
    let mut found: HashMap<Uuid, HashSet<String>> = HashMap::new();
    store.list(root, &mut |name| {
        if let Some(parsed) = ObjectName::parse(root, name) {
            found.entry(parsed.id).or_default().insert(name.to_owned());
        }
    })?;
    let mut checker = Checker {
        store,
        root,
        found,
        report: check_manifest(root, entries),
    };
    checker.report.objects = checker.found.values().map(|names| names.len() as u64).sum();
    checker.orphans(entries);
    let finished = || {
        entries
            .iter()
            .filter(|entry| entry.state == RemoteState::Finished)
    };
    let total_bytes = finished().map(|entry| entry.view.size).sum();
    let mut done_bytes = 0;
    for entry in finished() {
        checker.segment(entry)?;
        done_bytes += entry.view.size;
        progress(Progress {
            done_bytes,
            total_bytes,
        });
    }
    Ok(checker.report)
}

/// Checks what a manifest says without looking at the store.
#[must_use]
pub fn check_manifest(root: &str, entries: &[RemoteSegment]) -> RemoteCheck {
    let mut report = RemoteCheck::default();
    let mut finished: Vec<&RemoteSegment> = Vec::new();
    for entry in entries {
        let message = match entry.state {
            RemoteState::Finished => {
                finished.push(entry);
                continue;
            }
            RemoteState::Started => "a copy that was not finished; the next start deletes it",
            RemoteState::Deleting => "a deletion that was not finished; the next start goes on",
        };
        report.find(Severity::Info, entry.log_object(root), message);
    }
    report.segments = finished.len() as u64;
    finished.sort_by_key(|entry| (entry.topic_id, entry.partition, entry.view.base));
    for pair in finished.windows(2) {
        let [before, after] = pair else { continue };
        if (before.topic_id, before.partition) != (after.topic_id, after.partition) {
            continue;
        }
        let (end, base) = (before.view.next_offset, after.view.base);
        if end > base {
            let message = format!(
                "offsets {base} to {} are in the segment before as well",
                end - 1
            );
            report.find(Severity::Warning, after.log_object(root), message);
        } else if end < base {
            let message = format!("offsets {end} to {} are in no segment", base - 1);
            report.find(Severity::Error, after.log_object(root), message);
        }
    }
    report
}

impl RemoteCheck {
    /// The worst severity, `None` when nothing was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn find(&mut self, severity: Severity, object: String, message: impl Into<String>) {
        self.findings.push(Finding {
            severity,
            path: PathBuf::from(object),
            message: message.into(),
        });
    }
}

struct Checker<'a> {
    store: &'a Arc<dyn RemoteStore>,
    root: &'a str,
    /// Names by the id in them.
    found: HashMap<Uuid, HashSet<String>>,
    report: RemoteCheck,
}

impl Checker<'_> {
    /// Objects whose segment no entry names.
    fn orphans(&mut self, entries: &[RemoteSegment]) {
        let named: HashSet<Uuid> = entries.iter().map(|entry| entry.id).collect();
        let orphans = self.found.iter().filter(|(id, _)| !named.contains(id));
        let mut names: Vec<String> = orphans.flat_map(|(_, names)| names.clone()).collect();
        names.sort();
        for name in names {
            let message = "no entry of the manifest names it; the sweep deletes it";
            self.report.find(Severity::Info, name, message);
        }
    }

    fn segment(&mut self, entry: &RemoteSegment) -> Result<(), RemoteError> {
        let there = self.found.get(&entry.id);
        let has = |name: &String| there.is_some_and(|names| names.contains(name));
        let (log, indexes) = (entry.log_object(self.root), entry.indexes_object(self.root));
        let (has_log, has_indexes) = (has(&log), has(&indexes));
        for (name, there) in [(&log, has_log), (&indexes, has_indexes)] {
            if !there {
                let message = "it is finished, but the object is missing";
                self.report.find(Severity::Error, name.clone(), message);
            }
        }
        if has_indexes {
            let bytes = self.store.get(&indexes, 0, entry.indexes_bytes())?;
            let whole = bytes.len() as u64 == entry.indexes_bytes();
            if !whole || crc32c::crc32c(&bytes) != entry.indexes_crc {
                let message = "its length or CRC is not the one in the manifest";
                self.report.find(Severity::Error, indexes, message);
            }
        }
        if has_log {
            self.records(entry, log)?;
        }
        Ok(())
    }

    fn records(&mut self, entry: &RemoteSegment, name: String) -> Result<(), RemoteError> {
        let view = &entry.view;
        let mut batches =
            Batches::of_object(Arc::clone(self.store), name.clone(), view, WINDOW_BYTES);
        let mut next = view.base;
        loop {
            match batches.next() {
                Ok(None) => return Ok(()),
                Ok(Some((header, bytes))) => {
                    self.report.batches += 1;
                    self.report.bytes += bytes.len() as u64;
                    if header.base_offset < next || header.next_offset() > view.next_offset {
                        let message =
                            format!("the batch at offset {} is out of place", header.base_offset);
                        self.report.find(Severity::Error, name, message);
                        return Ok(());
                    }
                    next = header.next_offset();
                }
                Err(CleanError::Remote { source }) => {
                    return Err(RemoteError::unavailable("read", name, source));
                }
                Err(error) => {
                    let message = error.reason().to_string();
                    self.report.find(Severity::Error, name, message);
                    return Ok(());
                }
            }
        }
    }
}
