//! `affluent kafka topic list`.

use clap::Args;
use client::admin::TopicDescription;
use serde::Serialize;

use crate::failure::Outcome;
use crate::kafka::Context;
use crate::output::{Column, Row};

/// Flags of `topic list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Leave out the topics the cluster made for itself.
    #[arg(long)]
    exclude_internal: bool,
}

/// A topic as the Confluent CLI shows it.
#[derive(Debug, Serialize)]
pub(super) struct TopicRow {
    name: String,
    is_internal: bool,
    replication_factor: usize,
    partition_count: usize,
}

impl TopicRow {
    pub(super) fn of(topic: &TopicDescription) -> TopicRow {
        TopicRow {
            name: topic.name.clone(),
            is_internal: topic.is_internal,
            replication_factor: topic.replication_factor(),
            partition_count: topic.partitions.len(),
        }
    }
}

impl Row for TopicRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name"),
        Column::text("Internal"),
        Column::number("Replication Factor"),
        Column::number("Partition Count"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.is_internal.to_string(),
            self.replication_factor.to_string(),
            self.partition_count.to_string(),
        ]
    }
}

pub(super) fn run(context: &mut Context, args: &ListArgs) -> Outcome {
    let topics = context.with_admin(async |admin| Ok(admin.list_topics().await?))?;
    let shown = topics
        .iter()
        .filter(|topic| !(args.exclude_internal && topic.is_internal));
    let rows: Vec<TopicRow> = shown.map(TopicRow::of).collect();
    context.printer.list(&rows)
}
