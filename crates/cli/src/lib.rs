//! The command line: what a user types, and what comes back.
//!
//! Words, flags and field names are the Confluent CLI's (version 4, logged-out mode with `--bootstrap`), so that
//! fingers and scripts carry over: `kafka topic create orders --partitions 6`, `-o human|json|yaml`.
//!
//! - [`kafka`] holds the commands that talk to a broker, one file each. They reach it only through the
//!   [`client`] crate, so every one of them works on Apache Kafka as well.
//! - [`registry`] holds those that talk to a Schema Registry, through `registry-client`; what schemas mean is the
//!   crate `schema`'s.
//! - [`output`] prints a result as aligned tables, JSON or YAML; [`failure`] prints what went wrong, with
//!   the remedy; [`progress`] shows on a terminal that long work goes on.
//!
//! **Invariants**
//! - Results go to standard output, everything else (prompts, progress, warnings, errors) to standard error.
//! - With `-o json` or `-o yaml` standard output holds exactly one document, or one per record for `consume`.
//! - A reader that goes away (`| head`) ends the command quietly with exit code 0; nothing panics.
//! - Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended at once by a second Ctrl-C.

mod base64;
mod confirm;
pub mod failure;
pub mod interrupt;
pub mod kafka;
pub mod numbers;
pub mod output;
pub mod progress;
pub mod registry;

use std::process::ExitCode;

pub use failure::{Failure, Outcome};
pub use kafka::KafkaCommand;
pub use output::{Format, Printer};
pub use registry::SchemaRegistryCommand;

/// The exit code of a command that failed.
pub const EXIT_FAILED: u8 = 1;

/// Runs a `kafka` command to its end and reports a failure on standard error.
#[must_use]
pub fn run_kafka(command: KafkaCommand) -> ExitCode {
    finish(kafka::run(command))
}

/// Runs a `schema-registry` command to its end and reports a failure on standard error.
#[must_use]
pub fn run_schema_registry(command: SchemaRegistryCommand) -> ExitCode {
    finish(registry::run(command))
}

/// The exit code of an outcome; a failure is printed to standard error first.
#[must_use]
pub fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(EXIT_FAILED)
        }
    }
}
