//! Servers of objects that a broker's remote store can be on, and what a suite asks of their side: their own list of what is there, not
//! the broker's.
//!
//! Each is installed into the cache and runs on a free port and an empty directory. S3's is a server that people run; Azure's is its
//! vendor's emulator. Google Cloud Storage has none that speaks its XML API, which the broker's client uses: fake-gcs-server 1.56
//! answers an upload with "invalid uploadType".

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::azurite::{self, Azurite};
use crate::cache::Cache;
use crate::process::{self, Managed};
use crate::seaweedfs::{self, SeaweedFs};
use crate::suite::Tier;

const START_LIMIT: Duration = Duration::from_secs(60);

/// The one bucket or container of every server.
pub const BUCKET: &str = "affluent";

/// A protocol of object stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Amazon's S3.
    S3,
    /// Azure Blob Storage.
    Azure,
}

/// A running server; it ends when this is dropped.
pub trait ObjectServer: fmt::Debug {
    /// The properties of a broker whose remote store is below `prefix` here.
    fn properties(&self, prefix: &str) -> Vec<(String, String)>;

    /// Names and sizes of all objects below `prefix`, sorted, as the server lists them.
    ///
    /// # Errors
    /// When the server does not answer.
    fn objects(&self, prefix: &str) -> Result<Vec<(String, u64)>>;

    /// What it logged.
    fn log_text(&self) -> String;
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 2] = [Protocol::S3, Protocol::Azure];

    /// The name within a case's.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::S3 => "s3",
            Protocol::Azure => "azure",
        }
    }

    /// The server and its version.
    pub fn server(self) -> String {
        match self {
            Protocol::S3 => format!("SeaweedFS {}", seaweedfs::VERSION),
            Protocol::Azure => format!("Azurite {}", azurite::VERSION),
        }
    }

    /// Installs the server. False in the quick tier when that is still to be done.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub fn prepare(self, cache: &Cache, tier: Tier) -> Result<bool> {
        match self {
            Protocol::S3 => seaweedfs::prepare(cache, tier),
            Protocol::Azure => azurite::prepare(cache, tier),
        }
    }

    /// Starts the server on an empty directory below `scratch` and makes the bucket.
    ///
    /// # Errors
    /// When it does not serve within a minute; with the end of what it logged.
    pub fn start(self, cache: &Cache, scratch: &Path) -> Result<Box<dyn ObjectServer>> {
        Ok(match self {
            Protocol::S3 => Box::new(SeaweedFs::start(cache, scratch)?),
            Protocol::Azure => Box::new(Azurite::start(cache, scratch)?),
        })
    }
}

/// The properties of a remote store, with those of its protocol.
pub(crate) fn properties(own: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = [("remote.log.storage.system.enable", "true")];
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    all.iter().chain(own).map(owned).collect()
}

/// Waits until `serves` says so; it is what makes the bucket.
pub(crate) fn wait_until_ready(
    name: &str,
    process: &mut Managed,
    mut serves: impl FnMut() -> Result<()>,
) -> Result<()> {
    let until = Instant::now() + START_LIMIT;
    loop {
        let Err(error) = serves() else {
            return Ok(());
        };
        let ended = process.exited()?;
        let log = process::tail(&process.log_text(), 6);
        if let Some(status) = ended {
            bail!("{name} ended with {status}: {log}");
        }
        if Instant::now() > until {
            bail!("{name} does not serve: {error:#}; {log}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
