//! A service of our binary before the broker under test, whichever broker that is.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{self, Managed};
use crate::suite::Session;

const START_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A process that runs services, gone when it is dropped.
pub(super) struct Service {
    pub(super) process: Managed,
    services: Value,
}

impl Service {
    /// Starts `roles` with `settings` and waits until they serve. `name` is that of a folder and a log.
    pub(super) fn start(
        session: &Session<'_>,
        name: &str,
        roles: &str,
        settings: &[String],
    ) -> Result<Service> {
        let binary = session
            .launcher
            .affluent
            .as_deref()
            .context("the services are in the affluent binary: name it with --binary")?;
        let folder = session.target.scratch().join(name);
        fs::create_dir_all(&folder)?;
        let ready = folder.join("ready.json");
        let mut command = Command::new(binary);
        command
            .args(["start", "--roles", roles, "--admin-listener", "none"])
            .args(["--bootstrap-server", &session.target.bootstrap()])
            .arg("--ready-file")
            .arg(&ready);
        for setting in settings {
            command.arg("--override").arg(setting);
        }
        command.current_dir(&folder);
        let mut process = Managed::spawn(name, &mut command, &folder.join("service.log"))?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Ok(text) = fs::read(&ready) {
                let mut ready: Value = serde_json::from_slice(&text)?;
                return Ok(Service {
                    process,
                    services: ready["services"].take(),
                });
            }
            if process.exited()?.is_some() || Instant::now() > deadline {
                bail!(
                    "{name} did not start: {}",
                    process::tail(&process.log_text(), 8)
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Where a role listens.
    pub(super) fn address(&self, role: &str) -> Result<String> {
        let mut services = self.services.as_array().into_iter().flatten();
        services
            .find(|service| service["role"] == role)
            .and_then(|service| service["address"].as_str())
            .map(str::to_owned)
            .with_context(|| format!("the ready file names no {role}"))
    }
}
