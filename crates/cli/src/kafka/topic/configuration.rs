//! `affluent kafka topic configuration`.

use clap::{Args, Subcommand};
use client::admin::{ConfigEntry, ConfigResource};
use serde::Serialize;

use crate::failure::Outcome;
use crate::kafka::Context;
use crate::output::{Column, Row};

/// The commands on a topic's configs.
#[derive(Debug, Subcommand)]
pub enum ConfigurationCommand {
    /// List every config of a topic with its value.
    List(ListArgs),
}

/// Flags of `topic configuration list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The topic's name.
    topic: String,
}

/// A config as the Confluent CLI shows it, with where its value comes from.
#[derive(Debug, Serialize)]
pub(super) struct ConfigRow {
    name: String,
    value: String,
    is_read_only: bool,
    is_sensitive: bool,
    source: &'static str,
}

impl ConfigRow {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Row for ConfigRow {
    const COLUMNS: &'static [Column] = &[
        Column::text("Name"),
        Column::text("Value"),
        Column::text("Read-Only"),
        Column::text("Source"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.value.clone(),
            self.is_read_only.to_string(),
            self.source.to_owned(),
        ]
    }
}

pub(super) fn rows_of(entries: Vec<ConfigEntry>) -> Vec<ConfigRow> {
    entries
        .into_iter()
        .map(|entry| ConfigRow {
            name: entry.name,
            value: entry.value.unwrap_or_default(),
            is_read_only: entry.is_read_only,
            is_sensitive: entry.is_sensitive,
            source: entry.source.name(),
        })
        .collect()
}

pub(super) fn run(context: &mut Context, command: &ConfigurationCommand) -> Outcome {
    let ConfigurationCommand::List(args) = command;
    let resource = ConfigResource::Topic(args.topic.clone());
    let entries =
        context.with_admin(async |admin| Ok(admin.describe_configs(&resource).await?))?;
    context.printer.list(&rows_of(entries))
}
