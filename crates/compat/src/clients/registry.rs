//! Sources of crates that this workspace depends on: the test-suites of clients travel in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// The folder of a dependency's source, in the version that `Cargo.lock` names. Fetches it if need be.
pub(super) fn source(package: &str) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(manifest);
    let finished = process::run(&mut command, b"", Duration::from_secs(300))?
        .ok()
        .context("cargo metadata failed")?;
    let metadata: Metadata =
        serde_json::from_slice(&finished.stdout).context("the answer of cargo metadata")?;
    let found = metadata
        .packages
        .into_iter()
        .find(|candidate| candidate.name == package);
    let manifest = found
        .with_context(|| format!("the workspace does not depend on {package}"))?
        .manifest_path;
    manifest
        .parent()
        .map(Path::to_path_buf)
        .context("a manifest lies in a folder")
}

/// Copies a folder and makes the copy writable: cargo's own sources are for reading.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("could not create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("could not list {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)
                .with_context(|| format!("could not copy {}", source.display()))?;
        }
    }
    Ok(())
}
