//! Packages of npm, each suite's in a directory of its own in the cache: installed, or as they are for what travels in them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process;

const LIMIT: Duration = Duration::from_secs(600);

/// Installs `packages`, as npm names them with their version, below `directory`.
///
/// # Errors
/// When there is no npm, or it cannot get them.
pub(crate) fn install(directory: &Path, packages: &[&str]) -> Result<()> {
    let mut npm = npm(directory)?;
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(directory)
        .args(packages);
    let finished = process::run(&mut npm, b"", LIMIT)?.ok();
    finished.context("npm install failed").map(drop)
}

/// Fetches a package, `name@version`, and unpacks it into `package/` below `directory`.
///
/// # Errors
/// When there is no npm, or it cannot get it.
pub(crate) fn fetch(package: &str, directory: &Path) -> Result<()> {
    let mut npm = npm(directory)?;
    npm.args(["pack", "--silent", package]);
    let printed = process::run(&mut npm, b"", LIMIT)?
        .ok()
        .with_context(|| format!("npm could not fetch {package}"))?
        .stdout_text();
    let archive = printed.lines().last().context("npm names no archive")?;
    let mut tar = Command::new("tar");
    tar.args(["xzf", archive]).current_dir(directory);
    let unpacked = process::run(&mut tar, b"", LIMIT)?.ok();
    unpacked
        .with_context(|| format!("could not unpack {archive}"))
        .map(drop)
}

fn npm(directory: &Path) -> Result<Command> {
    ensure!(
        process::exists("npm", "--version"),
        "npm is not installed; on Debian: apt-get install npm"
    );
    let mut npm = Command::new("npm");
    npm.current_dir(directory);
    Ok(npm)
}
