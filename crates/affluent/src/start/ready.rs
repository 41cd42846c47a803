//! The ready file: where the broker listens, for programs.
//!
//! ```json
//! {"pid":4711,"cluster_id":"…","node_id":"1","data_dir":"…","admin":"127.0.0.1:8090",
//!  "listeners":[{"name":"PLAINTEXT","address":"127.0.0.1:9092","advertised":"127.0.0.1:9092"}],
//!  "services":[{"role":"rest-proxy","address":"127.0.0.1:8082"}]}
//! ```
//! Without a broker in the process there are only `pid`, `admin`, `listeners` (empty) and `services`.
//!
//! It appears whole, by a rename, once the broker serves, and goes when the broker stops. One that a killed
//! broker left behind goes when the next one starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cli::{Failure, Outcome};
use serde::Serialize;

use super::greeting::Greeting;

#[derive(Debug, Serialize)]
struct Ready<'a> {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<String>,
    admin: Option<String>,
    listeners: Vec<Listener<'a>>,
    services: Vec<Service>,
}

#[derive(Debug, Serialize)]
struct Service {
    role: &'static str,
    address: String,
}

#[derive(Debug, Serialize)]
struct Listener<'a> {
    name: &'a str,
    address: String,
    advertised: String,
}

/// Removes the file when dropped.
#[derive(Debug)]
pub(super) struct ReadyFile(Option<PathBuf>);

impl ReadyFile {
    /// Writes the file, if one is asked for.
    pub(super) fn write(path: Option<&Path>, greeting: &Greeting<'_>) -> Outcome<ReadyFile> {
        let Some(path) = path else {
            return Ok(ReadyFile(None));
        };
        let broker = greeting.broker.as_ref();
        let listeners = broker.into_iter().flat_map(|broker| &broker.listeners);
        let services = greeting.services.iter();
        let ready = Ready {
            pid: std::process::id(),
            cluster_id: broker.map(|broker| broker.cluster_id.as_str()),
            node_id: broker.map(|broker| broker.node_id),
            data_dir: broker.map(|broker| broker.data_dir.display().to_string()),
            admin: greeting.admin.map(|address| address.to_string()),
            listeners: listeners
                .map(|listener| Listener {
                    name: &listener.name,
                    address: listener.address.to_string(),
                    advertised: format!("{}:{}", listener.advertised.0, listener.advertised.1),
                })
                .collect(),
            services: services
                .map(|(role, address)| Service {
                    role: role.name(),
                    address: address.to_string(),
                })
                .collect(),
        };
        write_whole(path, &ready).map_err(|error| {
            Failure::new(format!(
                "cannot write the ready file '{}': {error}",
                path.display()
            ))
        })?;
        Ok(ReadyFile(Some(path.to_owned())))
    }
}

/// Removes what a broker that was killed left behind.
pub(super) fn remove_stale(path: Option<&Path>) -> Outcome {
    let Some(path) = path else { return Ok(()) };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::new(format!(
            "cannot remove the stale ready file '{}': {error}",
            path.display()
        ))),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write_whole(path: &Path, ready: &Ready<'_>) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    fs::write(&unfinished, serde_json::to_vec(ready)?)?;
    fs::rename(&unfinished, path)
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = fs::remove_file(path) {
            tracing::debug!(path = %path.display(), %error, "the ready file was gone already");
        }
    }
}
