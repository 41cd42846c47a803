//! `cargo xtask start`: the README's first command. Builds the release binary and becomes it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{repo, toolchain};

/// What `cargo xtask start` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Handed to `affluent start` as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    toolchain::ensure_c_toolchain()?;
    repo::run(repo::cargo().args(["build", "--release", "--package", "affluent"]))?;
    let binary = repo::target_directory()?.join("release").join("affluent");
    // Replaces this process, so that signals reach the broker and its exit status is ours.
    let error = Command::new(&binary).arg("start").args(args.rest).exec();
    Err(error).with_context(|| format!("could not start {}", binary.display()))
}
