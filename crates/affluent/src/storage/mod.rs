//! `affluent storage`: what is in a data directory, and whether it is sound. Both only read.

mod check;
mod inspect;
mod remote;

use std::path::{Path, PathBuf};

use base::ErrorChain;
use clap::{Args, Subcommand};
use cli::{Failure, Format, Outcome};
use storage::StorageError;

/// The commands on a data directory.
#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// List the journal, the partitions and their segments, remote ones included. Reads no records.
    Inspect(inspect::InspectArgs),
    /// Read everything and check it; what is in the remote store as well when the settings name one. Exit code 1 when records are
    /// damaged or missing.
    Check(check::CheckArgs),
}

/// What both commands take.
#[derive(Debug, Args)]
struct Common {
    /// The data directory.
    #[arg(
        long,
        value_name = "DIR",
        env = "AFFLUENT_DATA_DIR",
        default_value = "./affluent-data"
    )]
    data_dir: PathBuf,
    /// The form of the output: human, json or yaml.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true
    )]
    output: Format,
}

pub(crate) fn run(command: &StorageCommand) -> Outcome {
    match command {
        StorageCommand::Inspect(args) => inspect::run(args),
        StorageCommand::Check(args) => check::run(args),
    }
}

/// Refuses what is no data directory before anything is read.
fn existing(data_dir: &Path) -> Outcome {
    if data_dir.is_dir() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "there is no data directory '{}'",
        data_dir.display()
    ))
    .remedy("name the one `affluent start` shows with --data-dir"))
}

fn explain(error: &StorageError) -> Failure {
    let failure = Failure::new(ErrorChain(error).to_string());
    match error {
        StorageError::Locked { .. } => {
            failure.remedy("stop the broker first: its files change while they are read")
        }
        _ => failure,
    }
}

/// The path below the data directory, as people look for it.
fn below(data_dir: &Path, path: &Path) -> String {
    path.strip_prefix(data_dir)
        .unwrap_or(path)
        .display()
        .to_string()
}
