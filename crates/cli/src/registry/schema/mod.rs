//! `affluent schema-registry schema`.

mod create;
mod delete;
mod describe;
mod diff;
mod dry_run;
mod infer;
mod list;
mod records;

use clap::Subcommand;

use super::Context;
use super::compatibility::{self, CompatibilityCommand};
use crate::failure::Outcome;

/// The commands on schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Register a schema.
    Create(create::CreateArgs),
    /// Show a schema, by id or by subject and version.
    Describe(describe::DescribeArgs),
    /// List the schemas of subjects that begin so.
    List(list::ListArgs),
    /// Delete versions of a subject.
    Delete(delete::DeleteArgs),
    /// Show what changed between two versions of a subject.
    Diff(diff::DiffArgs),
    /// Propose a schema for the records of a topic.
    Infer(infer::InferArgs),
    /// Check schemas against those there are.
    #[command(subcommand)]
    Compatibility(CompatibilityCommand),
}

pub(super) fn run(context: &mut Context, command: SchemaCommand) -> Outcome {
    match command {
        SchemaCommand::Create(args) => create::run(context, &args),
        SchemaCommand::Describe(args) => describe::run(context, &args),
        SchemaCommand::List(args) => list::run(context, &args),
        SchemaCommand::Delete(args) => delete::run(context, &args),
        SchemaCommand::Diff(args) => diff::run(context, &args),
        SchemaCommand::Infer(args) => infer::run(context, &args),
        SchemaCommand::Compatibility(command) => compatibility::run(context, command),
    }
}
