//! `affluent kafka topic`.

mod configuration;
mod consume;
mod create;
mod delete;
mod describe;
mod list;
mod produce;
mod update;

use clap::Subcommand;

use super::Context;
use crate::failure::Outcome;

/// The commands on topics.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// List the topics.
    List(list::ListArgs),
    /// Create a topic.
    Create(create::CreateArgs),
    /// Describe a topic: its partitions and the configs set on it.
    Describe(describe::DescribeArgs),
    /// Change configs of a topic.
    Update(update::UpdateArgs),
    /// Delete topics and all records in them.
    Delete(delete::DeleteArgs),
    /// Look at a topic's configs.
    #[command(subcommand)]
    Configuration(configuration::ConfigurationCommand),
    /// Write records read from standard input, one a line.
    Produce(produce::ProduceArgs),
    /// Read records and print them, one a line.
    Consume(consume::ConsumeArgs),
}

pub(super) fn run(context: &mut Context, command: TopicCommand) -> Outcome {
    match command {
        TopicCommand::List(args) => list::run(context, &args),
        TopicCommand::Create(args) => create::run(context, &args),
        TopicCommand::Describe(args) => describe::run(context, &args),
        TopicCommand::Update(args) => update::run(context, &args),
        TopicCommand::Delete(args) => delete::run(context, &args),
        TopicCommand::Configuration(command) => configuration::run(context, &command),
        TopicCommand::Produce(args) => produce::run(context, &args),
        TopicCommand::Consume(args) => consume::run(context, &args),
    }
}
