//! `affluent kafka topic update`.

use clap::Args;
use client::admin::{ConfigChange, ConfigResource};

use super::configuration::{ConfigRow, rows_of};
use crate::failure::Outcome;
use crate::kafka::{Context, Settings, settings};
use crate::output::Format;

/// Flags of `topic update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The topic's name.
    topic: String,
    /// Configs to set; may be given several times.
    #[arg(
        long,
        value_name = "key=value,...",
        required_unless_present = "delete_config"
    )]
    config: Vec<Settings>,
    /// Configs to set back to their defaults.
    #[arg(long, value_name = "key,...", value_delimiter = ',')]
    delete_config: Vec<String>,
    /// Check everything, change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &mut Context, args: &UpdateArgs) -> Outcome {
    let set = settings::parse(&args.config)?.into_iter();
    let mut changes: Vec<ConfigChange> = set
        .map(|(name, value)| ConfigChange {
            name,
            value: Some(value),
        })
        .collect();
    let reset = args.delete_config.iter().map(|name| name.trim().to_owned());
    changes.extend(reset.map(|name| ConfigChange { name, value: None }));

    let resource = ConfigResource::Topic(args.topic.clone());
    let entries = context.with_admin(async |admin| {
        admin
            .alter_configs(&resource, &changes, args.dry_run)
            .await?;
        Ok(admin.describe_configs(&resource).await?)
    })?;
    let touched = |row: &ConfigRow| changes.iter().any(|change| change.name == row.name());
    let rows: Vec<ConfigRow> = rows_of(entries).into_iter().filter(touched).collect();
    match context.printer.format() {
        Format::Human if args.dry_run => {
            context
                .printer
                .line("These configs can be changed; they have now:")?;
        }
        Format::Human => {
            let noun = if rows.len() == 1 { "config" } else { "configs" };
            let sentence = format!("Updated the following {noun} of topic \"{}\":", args.topic);
            context.printer.line(&sentence)?;
        }
        Format::Json | Format::Yaml => {}
    }
    context.printer.list(&rows)
}
