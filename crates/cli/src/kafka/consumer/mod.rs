//! `affluent kafka consumer`.

mod group;
mod lag;

use clap::{Args, Subcommand};
use client::admin::GroupMember;
use serde::Serialize;

use super::Context;
use crate::failure::Outcome;
use crate::output::{Column, Row};

/// The commands on consumers.
#[derive(Debug, Subcommand)]
pub enum ConsumerCommand {
    /// List the members of a consumer group.
    List(ListArgs),
    /// Look at consumer groups.
    #[command(subcommand)]
    Group(group::GroupCommand),
}

/// Flags of `consumer list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The group.
    #[arg(long)]
    group: String,
}

#[derive(Debug, Serialize)]
struct ConsumerRow {
    consumer_group: String,
    consumer: String,
    instance: String,
    client: String,
    host: String,
    partition_count: usize,
}

impl ConsumerRow {
    fn of(group: &str, member: GroupMember) -> ConsumerRow {
        ConsumerRow {
            consumer_group: group.to_owned(),
            consumer: member.member_id,
            instance: member.instance_id.unwrap_or_default(),
            client: member.client_id,
            host: member.host,
            partition_count: member.assignment.len(),
        }
    }
}

impl Row for ConsumerRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Consumer Group"),
        Column::text("Consumer"),
        Column::text("Instance"),
        Column::text("Client"),
        Column::text("Host"),
        Column::number("Partition Count"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.consumer_group.clone(),
            self.consumer.clone(),
            self.instance.clone(),
            self.client.clone(),
            self.host.clone(),
            self.partition_count.to_string(),
        ]
    }
}

pub(super) fn run(context: &mut Context, command: ConsumerCommand) -> Outcome {
    match command {
        ConsumerCommand::List(args) => {
            let group =
                context.with_admin(async |admin| Ok(admin.describe_group(&args.group).await?))?;
            let members = group.members.into_iter();
            let rows: Vec<_> = members
                .map(|member| ConsumerRow::of(&group.group_id, member))
                .collect();
            context.printer.list(&rows)
        }
        ConsumerCommand::Group(command) => group::run(context, command),
    }
}
