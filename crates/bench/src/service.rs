//! A service of the platform as a process of its own before a broker, so that its CPU time and memory are told apart
//! from the broker's.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use testkit::Usage;
use testkit::process::Process;
use testkit::server::binary;
use testkit::wait::wait_for;

use crate::contender::Running;

const LIMIT: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Role {
    /// Its name for `--roles`.
    pub(crate) name: &'static str,
    /// The property of its listeners.
    pub(crate) listeners: &'static str,
    /// The only processor that it may run on; any when `None`.
    pub(crate) cpu: Option<&'static str>,
}

/// A running service; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    process: Process,
    /// `host:port` of its listener.
    pub(crate) address: String,
}

impl Service {
    /// Starts it on a free port and waits until it is ready.
    pub(crate) fn start(role: Role, broker: &Running) -> Result<Service> {
        let directory = broker.directory();
        let ready_file = directory.join(format!("{}.json", role.name));
        let mut command = match role.cpu {
            Some(cpu) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cpu]).arg(binary()?);
                command
            }
            None => Command::new(binary()?),
        };
        let listener = format!("{}=http://127.0.0.1:0", role.listeners);
        command
            .args(["start", "--roles", role.name, "--admin-listener", "none"])
            .args(["--bootstrap-server", &broker.bootstrap()])
            .args(["--override", &listener])
            .arg("--ready-file")
            .arg(&ready_file)
            .current_dir(directory);
        let log = directory.join(format!("{}.log", role.name));
        let mut process = Process::spawn(role.name, &mut command, &log)?;
        let ready: Value = wait_for(role.name, LIMIT, || {
            if let Some(status) = process.exited()? {
                bail!("{} ended with {status}: {}", role.name, process.log_tail());
            }
            match std::fs::read(&ready_file) {
                Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
                Err(_) => Ok(None),
            }
        })?;
        let address = ready["services"][0]["address"]
            .as_str()
            .with_context(|| format!("the ready file names no {}", role.name))?;
        Ok(Service {
            process,
            address: address.to_owned(),
        })
    }

    /// CPU time and memory of its process.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.process.pid())
    }
}
