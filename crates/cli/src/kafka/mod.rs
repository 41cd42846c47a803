//! `affluent kafka`: commands that talk to a broker.

pub mod consumer;
mod settings;
pub mod topic;

use clap::{Args, Subcommand};
use client::{Admin, AdminOptions};

use crate::failure::{Failure, Outcome};
use crate::output::{Format, Printer};

pub use settings::Settings;

/// `affluent kafka`.
#[derive(Debug, Args)]
pub struct KafkaCommand {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command under `kafka` takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Broker addresses, separated by commas.
    #[arg(
        long,
        alias = "bootstrap-server",
        global = true,
        value_name = "host:port",
        env = "AFFLUENT_BOOTSTRAP",
        default_value = "localhost:9092",
        help_heading = "Global options"
    )]
    bootstrap: String,
    /// The form of the output: human, json or yaml.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Manage topics, and produce to and consume from them.
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Look at consumers and consumer groups.
    #[command(subcommand)]
    Consumer(consumer::ConsumerCommand),
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) bootstrap: String,
    pub(crate) printer: Printer,
    runtime: tokio::runtime::Runtime,
}

impl Context {
    /// Runs `work` with a connected [`Admin`].
    pub(crate) fn with_admin<T>(&self, work: impl AsyncFnOnce(&Admin) -> Outcome<T>) -> Outcome<T> {
        self.runtime.block_on(async {
            let admin = Admin::connect(&self.bootstrap, AdminOptions::default()).await?;
            work(&admin).await
        })
    }
}

/// Where a topic's records are.
#[derive(Debug)]
pub(crate) struct Located {
    /// The addresses of all brokers, for librdkafka.
    pub(crate) brokers: String,
    /// The topic's partitions.
    pub(crate) partitions: Vec<i32>,
}

impl Context {
    /// [`locate`], with a connection of its own.
    pub(crate) fn locate(&self, topic: &str) -> Outcome<Located> {
        self.with_admin(async |admin| locate(admin, topic).await)
    }
}

/// Finds `topic` before librdkafka is given its name: that would create it, or wait for it, without a word.
pub(crate) async fn locate(admin: &Admin, topic: &str) -> Outcome<Located> {
    let described = admin.describe_topic(topic).await?;
    let brokers = admin.describe_cluster().await?.brokers.into_iter();
    let addresses: Vec<String> = brokers.map(|broker| broker.address).collect();
    Ok(Located {
        brokers: addresses.join(","),
        partitions: described
            .partitions
            .iter()
            .map(|found| found.partition)
            .collect(),
    })
}

/// Runs a command.
///
/// # Errors
/// What the user is to be told.
pub fn run(command: KafkaCommand) -> Outcome {
    // One thread does: a command waits for one answer at a time, and librdkafka has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the asynchronous runtime: {error}")))?;
    let mut context = Context {
        bootstrap: command.global.bootstrap,
        printer: Printer::new(command.global.output),
        runtime,
    };
    match command.command {
        Command::Topic(command) => topic::run(&mut context, command)?,
        Command::Consumer(command) => consumer::run(&mut context, command)?,
    }
    context.printer.flush()
}
