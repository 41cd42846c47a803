//! Python clients, each with a virtual environment of its own in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;

/// How long one step of an installation may take: packages come over the network.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// A virtual environment in `directory`, with `requirements` as pip names them.
pub(crate) struct Environment<'a> {
    directory: &'a Path,
}

impl<'a> Environment<'a> {
    /// Makes it and installs `requirements`.
    pub(crate) fn install(directory: &'a Path, requirements: &[&str]) -> Result<Self> {
        let environment = Self { directory };
        environment
            .run(Command::new("python3").args(["-m", "venv", "venv"]))
            .context(
                "could not make a virtual environment; on Debian: apt-get install python3-venv",
            )?;
        environment
            .run(
                Command::new(environment.pip())
                    .args(["install", "-q"])
                    .args(requirements),
            )
            .context("pip install failed")?;
        Ok(environment)
    }

    /// Its `pip`.
    pub(crate) fn pip(&self) -> PathBuf {
        self.directory.join("venv/bin/pip")
    }

    /// The folder that its packages are in.
    pub(crate) fn packages(&self) -> Result<PathBuf> {
        let library = self.directory.join("venv/lib");
        let listed = fs::read_dir(&library);
        let mut listed = listed.with_context(|| format!("could not list {}", library.display()))?;
        let version = listed
            .next()
            .context("a virtual environment has one version of Python")??;
        Ok(version.path().join("site-packages"))
    }

    /// Removes it again, where all that was wanted of it is elsewhere.
    pub(crate) fn remove(self) -> Result<()> {
        let folder = self.directory.join("venv");
        fs::remove_dir_all(&folder)
            .with_context(|| format!("could not remove {}", folder.display()))
    }

    /// Runs a step of the installation in its directory; a failure is an error with what it printed.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        process::run(command.current_dir(self.directory), b"", INSTALL_LIMIT)?.ok()?;
        Ok(())
    }
}
