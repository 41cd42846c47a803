//! The cache: a directory outside the checkout for everything the lane downloads or builds.
//!
//! It is safe to delete at any time and costs a download and a build to make again. A step is complete when its
//! marker file exists, written last, so that an interrupted download is repeated, not trusted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::suite::Tier;

/// The root of the cache.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$AFFLUENT_CACHE`, or else `~/.cache/affluent`.
    pub fn from_env() -> Result<Self> {
        let root = match std::env::var_os("AFFLUENT_CACHE") {
            Some(root) => PathBuf::from(root),
            None => PathBuf::from(
                std::env::var_os("HOME")
                    .context("neither AFFLUENT_CACHE nor HOME is set: where may the cache go?")?,
            )
            .join(".cache")
            .join("affluent"),
        };
        fs::create_dir_all(&root)
            .with_context(|| format!("could not create the cache {}", root.display()))?;
        Ok(Self { root })
    }

    /// A directory of the cache by name, created if it is not there.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path)
            .with_context(|| format!("could not create {}", path.display()))?;
        Ok(path)
    }
}

/// Runs `make` once for each content of `stamp`: when the marker `name` in `directory` holds `stamp` already,
/// nothing happens. The marker is written after `make` succeeded.
pub fn once(
    directory: &Path,
    name: &str,
    stamp: &str,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let marker = directory.join(name);
    if fs::read_to_string(&marker).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    make()?;
    fs::write(&marker, stamp).with_context(|| format!("could not write {}", marker.display()))
}

/// Installs a client or a server into its directory of the cache, once for each `version`. False in the quick tier when that
/// is still to be done.
pub(crate) fn install(
    cache: &Cache,
    name: &str,
    version: &str,
    tier: Tier,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<bool> {
    let directory = cache.directory(name)?;
    let there = fs::read_to_string(directory.join("installed")).is_ok_and(|found| found == version);
    if tier == Tier::Quick && !there {
        return Ok(false);
    }
    once(&directory, "installed", version, || {
        eprintln!("installing {name} {version} in {}", directory.display());
        make(&directory)
    })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_runs_once_per_stamp_and_again_after_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let mut runs = 0;
        let mut step = |stamp: &str, succeed: bool| {
            once(directory.path(), "done", stamp, || {
                runs += 1;
                anyhow::ensure!(succeed, "asked to fail");
                Ok(())
            })
            .is_ok()
        };
        assert!(!step("1", false));
        assert!(step("1", true));
        assert!(step("1", true));
        assert!(step("2", true));
        assert_eq!(runs, 3);
    }
}
