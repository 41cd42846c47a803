//! Packages of Node, each suite's in a directory of its own in the cache.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process;

const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// Installs `packages`, as npm names them with their version, below `directory`.
///
/// # Errors
/// When there is no npm, or it cannot get them.
pub(crate) fn install(directory: &Path, packages: &[&str]) -> Result<()> {
    ensure!(
        process::exists("npm", "--version"),
        "npm is not installed; on Debian: apt-get install npm"
    );
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(directory)
        .args(packages)
        .current_dir(directory);
    let finished = process::run(&mut npm, b"", INSTALL_LIMIT)?.ok();
    finished.context("npm install failed").map(drop)
}
