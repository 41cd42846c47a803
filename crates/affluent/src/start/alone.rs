//! Services without a broker in the process: they talk to a cluster elsewhere, Apache Kafka or Affluent.

use cli::Outcome;

use super::admin::{self, Health};
use super::services::Services;
use super::signals::Signals;
use super::{Ending, exposition, greeting, ready};
use crate::settings::{LogFormat, StartOptions};

/// Runs the services until the process is told to stop.
pub(super) async fn run(options: StartOptions, exporter: exposition::Exporter) -> Outcome<Ending> {
    let mut signals = Signals::listen()?;
    ready::remove_stale(options.ready_file.as_deref())?;
    let bootstrap = options.bootstrap_servers.clone().unwrap_or_default();
    let mut services = Services::start(&options, &bootstrap).await?;
    let health = Health::default();
    let admin = match options.admin_listener {
        None => None,
        Some(listener) => admin::serve(listener, exporter, health.clone()).await?,
    };
    let greeting = greeting::Alone {
        bootstrap: &bootstrap,
        admin,
        services: services.addresses(),
    };
    greeting.log();
    if options.log_format == LogFormat::Human {
        greeting.print();
    }
    let ready = ready::ReadyFile::write_alone(options.ready_file.as_deref(), &greeting)?;
    health.set_serving();
    let ending = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "shutting down");
            Ending::Graceful
        }
        failure = services.failed() => {
            failure.report();
            Ending::ServiceFailed
        }
    };
    health.set_stopping();
    drop(ready);
    services.stop().await;
    Ok(ending)
}
