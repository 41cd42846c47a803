//! `affluent storage inspect`.

use std::path::Path;

use clap::Args;
use cli::numbers::{bytes, counted};
use cli::output::{Column, Row, optional};
use cli::{Failure, Format, Outcome, Printer};
use serde::Serialize;
use storage::inspect::{DirectoryInfo, JournalFileInfo, PartitionInfo, SegmentInfo};

use super::remote::{self, RemoteRow};
use super::{Common, below, existing, explain};

/// Flags of `storage inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    common: Common,
    /// Only this topic, with its segments.
    #[arg(long)]
    topic: Option<String>,
}

#[derive(Debug, Serialize)]
struct Directory {
    data_dir: String,
    state: &'static str,
    trimmed_lsn: Option<u64>,
    journal_bytes: u64,
    journal: Vec<JournalFile>,
    partitions: Vec<Partition>,
    remote_segments: Vec<RemoteRow>,
    other_directories: Vec<String>,
}

impl Row for Directory {
    const COLUMNS: &'static [Column] = &[
        Column::text("Data Directory"),
        Column::text("State"),
        Column::number("Trimmed LSN"),
        Column::text("Journal"),
        Column::text("Partitions"),
        Column::text("Remote Segments"),
        Column::text("Other Directories"),
    ];

    fn cells(&self) -> Vec<String> {
        let files = counted(self.journal.len() as u64, "file");
        let log_bytes = self
            .partitions
            .iter()
            .map(|partition| partition.log_bytes)
            .sum();
        let others = self.other_directories.join(", ");
        vec![
            self.data_dir.clone(),
            self.state.to_owned(),
            optional(self.trimmed_lsn),
            format!("{files}, {}", bytes(self.journal_bytes)),
            format!("{}, {}", self.partitions.len(), bytes(log_bytes)),
            match self.remote_segments.len() {
                0 => "none".to_owned(),
                count => {
                    let remote_bytes = self.remote_segments.iter().map(RemoteRow::bytes).sum();
                    format!("{count}, {}", bytes(remote_bytes))
                }
            },
            if others.is_empty() {
                "none".to_owned()
            } else {
                others
            },
        ]
    }
}

#[derive(Debug, Serialize)]
struct JournalFile {
    path: String,
    bytes: u64,
    incarnation: Option<u64>,
    groups: u64,
    first_lsn: Option<u64>,
    last_lsn: u64,
}

impl JournalFile {
    fn of(data_dir: &Path, file: &JournalFileInfo) -> JournalFile {
        JournalFile {
            path: below(data_dir, &file.path),
            bytes: file.bytes,
            incarnation: file.incarnation,
            groups: file.groups,
            first_lsn: file.first_lsn.map(|lsn| lsn.0),
            last_lsn: file.last_lsn.0,
        }
    }
}

#[derive(Debug, Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    topic_id: Option<String>,
    path: String,
    offline: Option<String>,
    log_bytes: u64,
    log_start_offset: Option<i64>,
    recovery_point: Option<i64>,
    journal_frames: u64,
    producer_snapshots: Vec<i64>,
    leader_epochs: Vec<Epoch>,
    segments: Vec<Segment>,
}

#[derive(Debug, Serialize)]
struct Epoch {
    epoch: i32,
    start_offset: i64,
}

impl Partition {
    fn of(data_dir: &Path, partition: &PartitionInfo) -> Partition {
        let epochs = partition.leader_epochs.iter();
        Partition {
            topic: partition.topic.clone(),
            partition: partition.partition.0,
            topic_id: partition.topic_id.map(|id| id.to_string()),
            path: below(data_dir, &partition.dir),
            offline: partition.offline.clone(),
            log_bytes: partition.log_bytes(),
            log_start_offset: partition.log_start_offset,
            recovery_point: partition.recovery_point,
            journal_frames: partition.journal_frames,
            producer_snapshots: partition.snapshots.clone(),
            leader_epochs: epochs
                .map(|entry| Epoch {
                    epoch: entry.epoch,
                    start_offset: entry.start_offset,
                })
                .collect(),
            segments: partition.segments.iter().map(Segment::of).collect(),
        }
    }
}

impl Row for Partition {
    const COLUMNS: &'static [Column] = &[
        Column::text("Topic"),
        Column::number("Partition"),
        Column::number("Segments"),
        Column::number("Size"),
        Column::number("Log Start Offset"),
        Column::number("Recovery Point"),
        Column::number("Journal Frames"),
        Column::text("Offline"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            self.segments.len().to_string(),
            bytes(self.log_bytes),
            optional(self.log_start_offset),
            optional(self.recovery_point),
            self.journal_frames.to_string(),
            self.offline.clone().unwrap_or_else(|| "no".to_owned()),
        ]
    }
}

#[derive(Debug, Serialize)]
struct Segment {
    base_offset: i64,
    log_bytes: u64,
    index_entries: u64,
    time_index_entries: u64,
    synced_bytes: Option<u64>,
    synced_next_offset: Option<i64>,
    synced_max_timestamp: Option<i64>,
}

impl Segment {
    fn of(segment: &SegmentInfo) -> Segment {
        Segment {
            base_offset: segment.base_offset,
            log_bytes: segment.log_bytes,
            index_entries: segment.index_entries,
            time_index_entries: segment.time_index_entries,
            synced_bytes: segment.synced.map(|(bytes, ..)| bytes),
            synced_next_offset: segment.synced.map(|(_, next, _)| next),
            synced_max_timestamp: segment.synced.map(|(_, _, timestamp_ms)| timestamp_ms),
        }
    }
}

impl Row for Segment {
    const COLUMNS: &'static [Column] = &[
        Column::number("Base Offset"),
        Column::number("Size"),
        Column::number("Index Entries"),
        Column::number("Time Index Entries"),
        Column::number("Synced Bytes"),
        Column::number("Synced Next Offset"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.base_offset.to_string(),
            bytes(self.log_bytes),
            self.index_entries.to_string(),
            self.time_index_entries.to_string(),
            optional(self.synced_bytes),
            optional(self.synced_next_offset),
        ]
    }
}

pub(super) fn run(args: &InspectArgs) -> Outcome {
    let data_dir = &args.common.data_dir;
    existing(data_dir)?;
    let info = storage::inspect::inspect(data_dir).map_err(|error| explain(&error))?;
    let remote = remote::rows(&remote::read(data_dir)?);
    let mut directory = directory_of(data_dir, &info, remote);
    if let Some(topic) = &args.topic {
        directory
            .remote_segments
            .retain(|segment| segment.is_of(topic));
        directory
            .partitions
            .retain(|partition| partition.topic == *topic);
        if directory.partitions.is_empty() {
            return Err(Failure::new(format!(
                "data directory '{}' has no partition of topic '{topic}'",
                data_dir.display()
            ))
            .remedy("leave --topic out to see those it has"));
        }
    }
    let mut printer = Printer::new(args.common.output);
    printer.object(&directory)?;
    if printer.format() == Format::Human {
        print_partitions(&mut printer, &directory, args.topic.is_some())?;
    }
    printer.flush()
}

fn print_partitions(printer: &mut Printer, directory: &Directory, segments: bool) -> Outcome {
    if !directory.partitions.is_empty() {
        printer.line("")?;
        printer.table(&directory.partitions)?;
    }
    if segments {
        for partition in &directory.partitions {
            printer.line(&format!("\n {}-{}", partition.topic, partition.partition))?;
            printer.table(&partition.segments)?;
        }
        if !directory.remote_segments.is_empty() {
            printer.line("\n In the remote store")?;
            printer.table(&directory.remote_segments)?;
        }
    }
    Ok(())
}

fn directory_of(
    data_dir: &Path,
    info: &DirectoryInfo,
    remote_segments: Vec<RemoteRow>,
) -> Directory {
    let journal: Vec<JournalFile> = info
        .journal
        .iter()
        .map(|file| JournalFile::of(data_dir, file))
        .collect();
    Directory {
        data_dir: data_dir.display().to_string(),
        state: match info.clean {
            Some(true) => "closed cleanly",
            Some(false) => "not closed cleanly: a start replays the journal",
            None => "without a checkpoint: a start reads every segment",
        },
        trimmed_lsn: info.trimmed.map(|lsn| lsn.0),
        journal_bytes: journal.iter().map(|file| file.bytes).sum(),
        journal,
        partitions: info
            .partitions
            .iter()
            .map(|part| Partition::of(data_dir, part))
            .collect(),
        remote_segments,
        other_directories: info.others.clone(),
    }
}
