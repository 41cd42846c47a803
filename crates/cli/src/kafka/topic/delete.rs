//! `affluent kafka topic delete`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
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
    if !args.force && !confirmed(&args.topics)? {
        return Err(Failure::new("nothing was deleted"));
    }
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

fn confirmed(topics: &[String]) -> Outcome<bool> {
    if !io::stdin().is_terminal() {
        return Err(
            Failure::new("deleting topics needs a confirmation, and nobody can be asked")
                .remedy("pass --force"),
        );
    }
    let quoted: Vec<String> = topics.iter().map(|topic| format!("\"{topic}\"")).collect();
    let noun = if topics.len() == 1 { "topic" } else { "topics" };
    let mut stderr = io::stderr();
    write!(
        stderr,
        "Are you sure you want to delete {noun} {}? (y/n): ",
        quoted.join(", ")
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
