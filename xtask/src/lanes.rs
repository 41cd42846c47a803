//! `cargo xtask bench` and `cargo xtask chaos`: lanes with a program of their own, run in the release profile.

use anyhow::Result;

use crate::{repo, toolchain};

/// What such a lane takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Handed to the lane's program as they are; `--help` lists what it knows.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the broker and the lane, and runs the lane. The dev profile would measure debug assertions.
pub(crate) fn run(package: &str, args: Args) -> Result<()> {
    toolchain::ensure_c_toolchain()?;
    repo::run(repo::cargo().args([
        "build",
        "--release",
        "--package",
        "affluent",
        "--package",
        package,
    ]))?;
    repo::run(
        repo::cargo()
            .args(["run", "--quiet", "--release", "--package", package, "--"])
            .args(args.rest),
    )
}
