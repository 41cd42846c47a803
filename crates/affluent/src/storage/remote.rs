//! The remote part of a data directory, for both commands.

use std::path::Path;

use base::ErrorChain;
use broker::{RemotePart, RemotePartError};
use cli::numbers::bytes;
use cli::output::{Column, Row};
use cli::{Failure, Outcome};
use serde::Serialize;
use storage::tier::{RemoteSegment, RemoteState};

/// A segment in the remote store.
#[derive(Debug, Serialize)]
pub(super) struct RemoteRow {
    topic: String,
    partition: i32,
    base_offset: i64,
    next_offset: i64,
    bytes: u64,
    state: &'static str,
    object: String,
}

impl RemoteRow {
    fn of(part: &RemotePart, entry: &RemoteSegment) -> RemoteRow {
        let topic = part.topics.get(&entry.topic_id).cloned();
        RemoteRow {
            topic: topic.unwrap_or_else(|| format!("{} (deleted)", entry.topic_id.0)),
            partition: entry.partition.0,
            base_offset: entry.view.base,
            next_offset: entry.view.next_offset,
            bytes: entry.view.size,
            state: match entry.state {
                RemoteState::Started => "started",
                RemoteState::Finished => "finished",
                RemoteState::Deleting => "deleting",
            },
            object: entry.log_object(&part.root),
        }
    }

    pub(super) fn is_of(&self, topic: &str) -> bool {
        self.topic == topic
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Row for RemoteRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Topic"),
        Column::number("Partition"),
        Column::number("Base Offset"),
        Column::number("Next Offset"),
        Column::number("Size"),
        Column::text("State"),
        Column::text("Object"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            self.base_offset.to_string(),
            self.next_offset.to_string(),
            bytes(self.bytes),
            self.state.to_owned(),
            self.object.clone(),
        ]
    }
}

/// Reads the manifest.
pub(super) fn read(data_dir: &Path) -> Outcome<RemotePart> {
    RemotePart::read(data_dir).map_err(|error| explain(&error))
}

/// Its segments, by topic, partition and offset.
pub(super) fn rows(part: &RemotePart) -> Vec<RemoteRow> {
    let mut rows: Vec<RemoteRow> = part
        .entries
        .iter()
        .map(|entry| RemoteRow::of(part, entry))
        .collect();
    rows.sort_by(|a, b| {
        let key = |row: &RemoteRow| (row.topic.clone(), row.partition, row.base_offset);
        key(a).cmp(&key(b))
    });
    rows
}

pub(super) fn explain(error: &RemotePartError) -> Failure {
    Failure::new(ErrorChain(error).to_string())
}
