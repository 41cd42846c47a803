//! `affluent kafka topic create`.

use clap::Args;
use client::admin::NewTopic;
use wire::ErrorCode;

use super::list::TopicRow;
use crate::failure::Outcome;
use crate::kafka::{Context, Settings, settings};

/// Flags of `topic create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The topic's name.
    topic: String,
    /// How many partitions; left out, the broker's `num.partitions`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas of each partition; left out, the broker's `default.replication.factor`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// Topic configs; may be given several times.
    #[arg(long, value_name = "key=value,...")]
    config: Vec<Settings>,
    /// Accept a topic of that name that exists already, as it is.
    #[arg(long)]
    if_not_exists: bool,
    /// Check everything, create nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &mut Context, args: &CreateArgs) -> Outcome {
    let topic = NewTopic {
        name: args.topic.clone(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: settings::parse(&args.config)?,
        validate_only: args.dry_run,
        ..NewTopic::default()
    };
    let name = &args.topic;
    let (created, described) = context.with_admin(async |admin| {
        let created = match admin.create_topic(&topic).await {
            Err(error)
                if args.if_not_exists
                    && error.error_code() == Some(ErrorCode::TopicAlreadyExists) =>
            {
                false
            }
            result => result.map(|()| true)?,
        };
        let described = match args.dry_run && created {
            true => None,
            false => Some(admin.describe_topic(name).await?),
        };
        Ok((created, described))
    })?;
    match described {
        None => {
            let sentence = format!("Topic \"{name}\" can be created.");
            context.printer.done(
                &sentence,
                &serde_json::json!({ "name": name, "dry_run": true }),
            )
        }
        Some(topic) => {
            let verb = if created {
                "Created topic"
            } else {
                "There is already a topic"
            };
            context
                .printer
                .done(&format!("{verb} \"{name}\"."), &TopicRow::of(&topic))
        }
    }
}
