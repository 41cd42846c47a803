//! `cargo xtask test`: the README's second command. The whole suite, in one build.

use anyhow::Result;

use crate::{repo, toolchain};

/// What `cargo xtask test` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Handed to `cargo test` as they are, such as the name of a test.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Always the whole workspace: another selection of crates would unify features differently and rebuild the
/// dependencies.
pub(crate) fn run(args: Args) -> Result<()> {
    toolchain::ensure_c_toolchain()?;
    repo::run(repo::cargo().args(["test", "--workspace"]).args(args.rest))
}
