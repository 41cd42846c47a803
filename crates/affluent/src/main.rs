//! `affluent`: the one binary. It starts the platform's roles, and it is the command line to them.
//!
//! - `affluent start` runs a broker ([`start`]); its settings come from flags, environment, TOML and Kafka's
//!   own properties files ([`settings`]).
//! - `affluent kafka ...` and `affluent schema-registry ...` are the commands of the [`cli`] crate.
//! - `affluent storage` reads a data directory that no broker has open ([`mod@storage`]).
//! - `affluent config` checks settings and prints the reference of every key ([`config`]).
//!
//! **Invariant:** this crate wires, it holds no logic of a role.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the storage failed while the broker ran, 130 or 143 ended
//! at once by a second SIGINT or SIGTERM.

mod config;
mod settings;
mod start;
mod storage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An open data-streaming platform: start it, and talk to it.
#[derive(Debug, Parser)]
#[command(name = "affluent", version, about)]
struct Affluent {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a broker in this process.
    Start(Box<start::StartArgs>),
    /// Talk to a Kafka broker: topics, records, consumer groups.
    Kafka(cli::KafkaCommand),
    /// Talk to a Schema Registry: subjects, schemas, data contracts, keys.
    #[command(alias = "sr")]
    SchemaRegistry(Box<cli::SchemaRegistryCommand>),
    /// Look into a data directory that no broker has open.
    #[command(subcommand)]
    Storage(storage::StorageCommand),
    /// Check a configuration, or print the reference of every key.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

fn main() -> ExitCode {
    match Affluent::parse().command {
        Command::Start(args) => start::run(&args),
        Command::Kafka(command) => cli::run_kafka(command),
        Command::SchemaRegistry(command) => cli::run_schema_registry(*command),
        Command::Storage(command) => cli::finish(storage::run(&command)),
        Command::Config(command) => cli::finish(config::run(&command)),
    }
}
