//! Structured logs on standard error.

use std::io::IsTerminal;

use cli::{Failure, Outcome};
use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Installs the logger; `level` is a level or a list of directives.
pub(super) fn install(format: LogFormat, level: &str) -> Outcome {
    let filter = EnvFilter::builder().parse(level).map_err(|error| {
        Failure::new(format!("log.level = '{level}' is not usable: {error}"))
            .remedy("--log-level info, or directives such as info,broker=debug")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Human => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    installed.map_err(|error| Failure::new(format!("cannot install the logger: {error}")))
}
