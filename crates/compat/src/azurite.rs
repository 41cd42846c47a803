//! Azurite, Microsoft's emulator of Azure Blob Storage, as npm ships it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache::{self, Cache};
use crate::npm;
use crate::object_server::{self, BUCKET, ObjectServer};
use crate::probe;
use crate::process::{self, Finished, Managed};
use crate::suite::Tier;

/// The version of the package `azurite`.
pub(crate) const VERSION: &str = "3.35.0";

/// The account and the key that Azurite documents as its own.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const SCRIPT: &str = include_str!("../js/azurite.mjs");
const ASK_LIMIT: Duration = Duration::from_secs(30);

/// The running emulator.
#[derive(Debug)]
pub(crate) struct Azurite {
    process: Managed,
    port: u16,
    script: PathBuf,
}

/// Installs it, as [`cache::install`] says.
pub(crate) fn prepare(cache: &Cache, tier: Tier) -> Result<bool> {
    cache::install(cache, "azurite", VERSION, tier, |directory| {
        npm::install(directory, &[&format!("azurite@{VERSION}")])
    })
}

impl Azurite {
    pub(crate) fn start(cache: &Cache, scratch: &Path) -> Result<Azurite> {
        let directory = scratch.join("azurite");
        fs::create_dir_all(&directory)?;
        let script = directory.join("azurite.mjs");
        fs::write(&script, SCRIPT)?;
        let [port] = probe::free_ports()?;
        let package = cache.directory("azurite")?.join("node_modules/azurite");
        let mut command = Command::new("node");
        command
            .arg(package.join("dist/src/blob/main.js"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"])
            .arg("--location")
            .arg(&directory)
            .current_dir(&directory);
        let log = directory.join("azurite.log");
        let mut process = Managed::spawn("azurite", &mut command, &log)?;
        let ask = || ask(&script, port, &["create"]).map(drop);
        object_server::wait_until_ready("azurite", &mut process, ask)?;
        Ok(Azurite {
            process,
            port,
            script,
        })
    }
}

impl ObjectServer for Azurite {
    fn properties(&self, prefix: &str) -> Vec<(String, String)> {
        object_server::properties(&[
            ("remote.log.storage.url", &format!("az://{BUCKET}/{prefix}")),
            (
                "remote.log.storage.endpoint",
                &format!("http://127.0.0.1:{}/{ACCOUNT}", self.port),
            ),
            ("remote.log.storage.access.key", ACCOUNT),
            ("remote.log.storage.secret.key", KEY),
        ])
    }

    fn objects(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let listed = ask(&self.script, self.port, &["list", &format!("{prefix}/")])?;
        let object = |line: &str| {
            let (size, name) = line.split_once(' ')?;
            Some((name.to_owned(), size.parse().ok()?))
        };
        let text = listed.stdout_text();
        let objects = text
            .lines()
            .map(|line| object(line).context("a line of the list"));
        let mut objects = objects.collect::<Result<Vec<_>>>()?;
        objects.sort();
        Ok(objects)
    }

    fn log_text(&self) -> String {
        self.process.log_text()
    }
}

fn ask(script: &Path, port: u16, arguments: &[&str]) -> Result<Finished> {
    let mut command = Command::new("node");
    command
        .arg(script)
        .args([&port.to_string(), ACCOUNT, KEY, BUCKET])
        .args(arguments);
    process::run(&mut command, b"", ASK_LIMIT)?.ok()
}
