//! `affluent kafka topic describe`.

use std::collections::BTreeMap;

use clap::Args;
use client::admin::{
    ConfigEntry, ConfigResource, ConfigSource, ListedOffset, OffsetSpec, PartitionDescription,
    TopicDescription, TopicPartition,
};
use serde::Serialize;

use crate::failure::Outcome;
use crate::kafka::Context;
use crate::output::{Column, Format, Row, optional};

/// Flags of `topic describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The topic's name.
    topic: String,
}

#[derive(Debug, Serialize)]
struct TopicDetail {
    name: String,
    topic_id: String,
    is_internal: bool,
    replication_factor: usize,
    partition_count: usize,
    partitions: Vec<PartitionRow>,
    configs: BTreeMap<String, String>,
}

impl Row for TopicDetail {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name"),
        Column::text("Topic ID"),
        Column::text("Internal"),
        Column::number("Replication Factor"),
        Column::number("Partition Count"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.topic_id.clone(),
            self.is_internal.to_string(),
            self.replication_factor.to_string(),
            self.partition_count.to_string(),
        ]
    }
}

#[derive(Debug, Serialize)]
struct PartitionRow {
    partition: i32,
    leader: Option<i32>,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    log_start_offset: Option<i64>,
    log_end_offset: Option<i64>,
}

impl Row for PartitionRow {
    const COLUMNS: &'static [Column] = &[
        Column::number("Partition"),
        Column::number("Leader"),
        Column::text("Replicas"),
        Column::text("ISR"),
        Column::number("Log Start Offset"),
        Column::number("Log End Offset"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.partition.to_string(),
            optional(self.leader),
            ids(&self.replicas),
            ids(&self.isr),
            optional(self.log_start_offset),
            optional(self.log_end_offset),
        ]
    }
}

#[derive(Debug, Serialize)]
struct SettingRow {
    name: String,
    value: String,
}

impl Row for SettingRow {
    const COLUMNS: &'static [Column] = &[Column::text("Config"), Column::text("Value")];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.value.clone()]
    }
}

fn ids(brokers: &[i32]) -> String {
    brokers
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

type Offsets = BTreeMap<TopicPartition, ListedOffset>;

pub(super) fn run(context: &mut Context, args: &DescribeArgs) -> Outcome {
    let name = &args.topic;
    let (topic, configs, starts, ends) = context.with_admin(async |admin| {
        let topic = admin.describe_topic(name).await?;
        let configs = admin
            .describe_configs(&ConfigResource::Topic(name.clone()))
            .await?;
        // A partition without a leader has nobody to ask; the others still show their offsets.
        let led = topic
            .partitions
            .iter()
            .filter(|partition| partition.leader.is_some());
        let led: Vec<TopicPartition> = led
            .map(|partition| key(name, partition.partition))
            .collect();
        let starts = admin.list_offsets(&led, OffsetSpec::Earliest).await?;
        let ends = admin.list_offsets(&led, OffsetSpec::Latest).await?;
        Ok((topic, configs, starts, ends))
    })?;
    let detail = detail_of(&topic, configs, &starts, &ends);
    let printer = &mut context.printer;
    printer.object(&detail)?;
    if printer.format() == Format::Human {
        printer.line("")?;
        printer.table(&detail.partitions)?;
        if !detail.configs.is_empty() {
            let settings = detail.configs.into_iter();
            let rows: Vec<SettingRow> = settings
                .map(|(name, value)| SettingRow { name, value })
                .collect();
            printer.line("")?;
            printer.table(&rows)?;
        }
    }
    Ok(())
}

fn key(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.to_owned(),
        partition,
    }
}

fn detail_of(
    topic: &TopicDescription,
    configs: Vec<ConfigEntry>,
    starts: &Offsets,
    ends: &Offsets,
) -> TopicDetail {
    let set = configs
        .into_iter()
        .filter(|entry| entry.source == ConfigSource::DynamicTopic);
    let row = |partition: &PartitionDescription| {
        let key = key(&topic.name, partition.partition);
        PartitionRow {
            partition: partition.partition,
            leader: partition.leader,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            log_start_offset: starts.get(&key).and_then(|listed| listed.offset),
            log_end_offset: ends.get(&key).and_then(|listed| listed.offset),
        }
    };
    TopicDetail {
        name: topic.name.clone(),
        topic_id: topic.topic_id.to_string(),
        is_internal: topic.is_internal,
        replication_factor: topic.replication_factor(),
        partition_count: topic.partitions.len(),
        partitions: topic.partitions.iter().map(row).collect(),
        configs: set
            .map(|entry| (entry.name, entry.value.unwrap_or_default()))
            .collect(),
    }
}
