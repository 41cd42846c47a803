//! `affluent kafka consumer group`.

use clap::{Args, Subcommand};
use client::admin::{GroupDescription, GroupListing};
use serde::Serialize;

use super::lag;
use crate::failure::{Failure, Outcome};
use crate::kafka::Context;
use crate::output::{Column, Row};

/// The commands on consumer groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List the consumer groups.
    List,
    /// Describe a consumer group.
    Describe(GroupArgs),
    /// Show how far a consumer group is behind.
    #[command(subcommand)]
    Lag(lag::LagCommand),
}

/// A command on one group.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// The group's id.
    pub(super) group: String,
}

/// A group as the Confluent CLI shows it.
#[derive(Debug, Serialize)]
struct GroupRow {
    cluster: String,
    consumer_group: String,
    coordinator: String,
    is_simple: bool,
    partition_assignor: String,
    state: String,
}

impl GroupRow {
    fn of(
        cluster: &str,
        listing: GroupListing,
        description: Option<&GroupDescription>,
    ) -> GroupRow {
        GroupRow {
            cluster: cluster.to_owned(),
            is_simple: listing.is_simple(),
            partition_assignor: description
                .map(|group| group.partition_assignor.clone())
                .unwrap_or_default(),
            consumer_group: listing.group_id,
            coordinator: listing.coordinator.id.to_string(),
            state: listing.state,
        }
    }
}

impl Row for GroupRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Cluster"),
        Column::text("Consumer Group"),
        Column::text("Coordinator"),
        Column::text("Simple"),
        Column::text("Partition Assignor"),
        Column::text("State"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.cluster.clone(),
            self.consumer_group.clone(),
            self.coordinator.clone(),
            self.is_simple.to_string(),
            self.partition_assignor.clone(),
            self.state.clone(),
        ]
    }
}

pub(super) fn run(context: &mut Context, command: GroupCommand) -> Outcome {
    match command {
        GroupCommand::List => list(context),
        GroupCommand::Describe(args) => describe(context, &args),
        GroupCommand::Lag(command) => lag::run(context, command),
    }
}

fn list(context: &mut Context) -> Outcome {
    let rows = context.with_admin(async |admin| {
        let cluster = admin.describe_cluster().await?.cluster_id;
        let mut rows = Vec::new();
        for listing in admin.list_groups().await? {
            // A group of another kind (Connect, streams) has an assignor of its own or none.
            let described = match admin.describe_group(&listing.group_id).await {
                Ok(described) => Some(described),
                // It ended between the two questions.
                Err(error) if error.error_code() == Some(wire::ErrorCode::GroupIdNotFound) => None,
                Err(error) => return Err(error.into()),
            };
            rows.push(GroupRow::of(&cluster, listing, described.as_ref()));
        }
        Ok(rows)
    })?;
    context.printer.list(&rows)
}

fn describe(context: &mut Context, args: &GroupArgs) -> Outcome {
    let row = context.with_admin(async |admin| {
        let described = admin.describe_group(&args.group).await?;
        let cluster = admin.describe_cluster().await?.cluster_id;
        let groups = admin.list_groups().await?;
        let listing = groups
            .into_iter()
            .find(|listing| listing.group_id == args.group);
        let listing = listing
            .ok_or_else(|| Failure::new(format!("group '{}' ended just now", args.group)))?;
        Ok(GroupRow::of(&cluster, listing, Some(&described)))
    })?;
    context.printer.object(&row)
}
