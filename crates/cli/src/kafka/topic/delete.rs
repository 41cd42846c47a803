//! `affluent kafka topic delete`.

use clap::Args;
use serde::Serialize;

use crate::confirm::confirm;
use crate::failure::Outcome;
use crate::kafka::Context;
use crate::output::Format;

/// Flags of `topic delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The topics' names.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    name: &'a str,
}

pub(super) fn run(context: &mut Context, args: &DeleteArgs) -> Outcome {
    // All are looked up before any is deleted: a typing error in the second must not cost the first.
    context.with_admin(async |admin| {
        for topic in &args.topics {
            admin.describe_topic(topic).await?;
        }
        Ok(())
    })?;
    let quoted: Vec<String> = args
        .topics
        .iter()
        .map(|topic| format!("\"{topic}\""))
        .collect();
    let noun = if quoted.len() == 1 { "topic" } else { "topics" };
    let question = format!(
        "Are you sure you want to delete {noun} {}?",
        quoted.join(", ")
    );
    confirm(args.force, &question)?;
    let mut deleted = Vec::new();
    for topic in &args.topics {
        context.with_admin(async |admin| Ok(admin.delete_topic(topic).await?))?;
        if context.printer.format() == Format::Human {
            context
                .printer
                .line(&format!("Deleted topic \"{topic}\"."))?;
        }
        deleted.push(Deleted { name: topic });
    }
    match context.printer.format() {
        Format::Human => Ok(()),
        Format::Json | Format::Yaml => context.printer.document(&deleted),
    }
}
