//! `affluent kafka consumer group lag`.

use clap::{Args, Subcommand};
use client::admin::{GroupLag, PartitionLag};
use serde::Serialize;

use super::group::GroupArgs;
use crate::failure::{Failure, Outcome};
use crate::kafka::Context;
use crate::output::{Column, Row, optional};

/// The commands on lag.
#[derive(Debug, Subcommand)]
pub enum LagCommand {
    /// List the lag on every partition.
    List(GroupArgs),
    /// Describe the lag on one partition.
    Describe(DescribeArgs),
    /// Sum up the lag, and name the partition that is furthest behind.
    Summarize(GroupArgs),
}

/// Flags of `lag describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The group's id.
    group: String,
    /// The topic's name.
    #[arg(long)]
    topic: String,
    /// The partition.
    #[arg(long)]
    partition: i32,
}

/// Lag on one partition, as the Confluent CLI shows it.
#[derive(Debug, Serialize)]
struct LagRow {
    cluster: String,
    consumer_group: String,
    lag: Option<i64>,
    log_end_offset: Option<i64>,
    current_offset: Option<i64>,
    consumer: String,
    instance: String,
    client: String,
    topic: String,
    partition: i32,
}

impl LagRow {
    fn of(cluster: &str, group: &str, on: &PartitionLag) -> LagRow {
        let member = on.member.as_ref();
        let of_member = |text: Option<&String>| text.cloned().unwrap_or_default();
        LagRow {
            cluster: cluster.to_owned(),
            consumer_group: group.to_owned(),
            lag: on.lag(),
            log_end_offset: on.log_end_offset,
            current_offset: on.current_offset,
            consumer: of_member(member.map(|member| &member.member_id)),
            instance: of_member(member.and_then(|member| member.instance_id.as_ref())),
            client: of_member(member.map(|member| &member.client_id)),
            topic: on.partition.topic.clone(),
            partition: on.partition.partition,
        }
    }
}

impl Row for LagRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Topic"),
        Column::number("Partition"),
        Column::number("Lag"),
        Column::number("Log End Offset"),
        Column::number("Current Offset"),
        Column::text("Consumer"),
        Column::text("Instance"),
        Column::text("Client"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            optional(self.lag),
            optional(self.log_end_offset),
            optional(self.current_offset),
            self.consumer.clone(),
            self.instance.clone(),
            self.client.clone(),
        ]
    }
}

/// All lag of a group, as the Confluent CLI shows it.
#[derive(Debug, Serialize)]
struct SummaryRow {
    cluster: String,
    consumer_group: String,
    total_lag: i64,
    max_lag: i64,
    max_lag_consumer: String,
    max_lag_instance: String,
    max_lag_client: String,
    max_lag_topic: String,
    max_lag_partition: Option<i32>,
}

impl SummaryRow {
    fn of(cluster: &str, lag: &GroupLag) -> SummaryRow {
        let group = &lag.group.group_id;
        let total = lag.partitions.iter().filter_map(PartitionLag::lag).sum();
        // The first of equals, so that the answer does not depend on chance.
        let worst = lag
            .partitions
            .iter()
            .rev()
            .max_by_key(|on| on.lag().unwrap_or(0));
        let worst = worst.map(|on| LagRow::of(cluster, group, on));
        let text = |of: fn(&LagRow) -> &String| worst.as_ref().map(of).cloned().unwrap_or_default();
        SummaryRow {
            cluster: cluster.to_owned(),
            consumer_group: group.clone(),
            total_lag: total,
            max_lag: worst.as_ref().and_then(|row| row.lag).unwrap_or(0),
            max_lag_consumer: text(|row| &row.consumer),
            max_lag_instance: text(|row| &row.instance),
            max_lag_client: text(|row| &row.client),
            max_lag_topic: text(|row| &row.topic),
            max_lag_partition: worst.as_ref().map(|row| row.partition),
        }
    }
}

impl Row for SummaryRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Cluster"),
        Column::text("Consumer Group"),
        Column::number("Total Lag"),
        Column::number("Max Lag"),
        Column::text("Max Lag Consumer"),
        Column::text("Max Lag Instance"),
        Column::text("Max Lag Client"),
        Column::text("Max Lag Topic"),
        Column::number("Max Lag Partition"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.cluster.clone(),
            self.consumer_group.clone(),
            self.total_lag.to_string(),
            self.max_lag.to_string(),
            self.max_lag_consumer.clone(),
            self.max_lag_instance.clone(),
            self.max_lag_client.clone(),
            self.max_lag_topic.clone(),
            optional(self.max_lag_partition),
        ]
    }
}

pub(super) fn run(context: &mut Context, command: LagCommand) -> Outcome {
    match command {
        LagCommand::List(args) => {
            let (cluster, lag) = fetch(context, &args.group)?;
            let partitions = lag.partitions.iter();
            let rows: Vec<LagRow> = partitions
                .map(|on| LagRow::of(&cluster, &lag.group.group_id, on))
                .collect();
            context.printer.list(&rows)
        }
        LagCommand::Describe(args) => {
            let (cluster, lag) = fetch(context, &args.group)?;
            let is_asked = |on: &&PartitionLag| {
                on.partition.topic == args.topic && on.partition.partition == args.partition
            };
            let on = lag.partitions.iter().find(is_asked).ok_or_else(|| {
                Failure::new(format!(
                    "group '{}' has neither an offset nor a member for partition {}-{}",
                    args.group, args.topic, args.partition
                ))
                .remedy("`affluent kafka consumer group lag list` shows those it has")
            })?;
            context
                .printer
                .object(&LagRow::of(&cluster, &lag.group.group_id, on))
        }
        LagCommand::Summarize(args) => {
            let (cluster, lag) = fetch(context, &args.group)?;
            context.printer.object(&SummaryRow::of(&cluster, &lag))
        }
    }
}

fn fetch(context: &Context, group: &str) -> Outcome<(String, GroupLag)> {
    context.with_admin(async |admin| {
        let cluster = admin.describe_cluster().await?.cluster_id;
        Ok((cluster, admin.group_lag(group).await?))
    })
}
