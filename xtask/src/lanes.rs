//! `cargo xtask bench` and `cargo xtask chaos`: lanes with a program of their own, run in the release profile; and the
//! nightly run of the simulation, in the dev profile.

use anyhow::Result;

use crate::{repo, toolchain};

/// What such a lane takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Handed to the lane's program as they are; `--help` lists what it knows.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Schedules of a nightly run of the simulation.
const NIGHTLY_SCHEDULES: &str = "500";

/// `cargo xtask chaos`: the lane's program, or with `--nightly` the simulation at length, recorded in `docs/results`.
pub(crate) fn chaos(mut args: Args) -> Result<()> {
    let before = args.rest.len();
    args.rest.retain(|argument| argument != "--nightly");
    if args.rest.len() == before {
        return run("chaos", args);
    }
    toolchain::ensure_c_toolchain()?;
    // The dev profile, on purpose: the debug assertions of what is simulated count too.
    let mut command = repo::cargo();
    command.args(["run", "--quiet", "--package", "sim", "--", "--plants"]);
    command.args(["--results", "docs/results"]);
    if !args.rest.iter().any(|argument| argument == "--schedules") {
        command.args(["--schedules", NIGHTLY_SCHEDULES]);
    }
    repo::run(command.args(args.rest))
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
