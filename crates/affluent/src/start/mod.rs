//! `affluent start`: a broker and the services beside it, from their settings to their last byte.
//!
//! Lifecycle: read the settings; install logs and metrics; bind and recover ([`broker::Broker::start`]); start the
//! services ([`services`]); serve `/metrics`; write the ready file and greet; then wait for a signal or for a failure.
//! Without the role `broker`, the services talk to a cluster elsewhere. The first
//! SIGINT or SIGTERM shuts down gracefully, a second one ends the process at once: what was acknowledged is
//! durable either way.
//!
//! **Invariant:** the ready file exists only while the broker serves.

mod admin;
mod exposition;
mod greeting;
mod logging;
mod ready;
mod services;
mod signals;
mod validator;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use base::{ErrorChain, SystemClock};
use broker::{Broker, BrokerOptions, LogLevels, StartError};
use clap::Args;
use cli::{Failure, Outcome};

use crate::settings::{LogFormat, Role, Settings, SettingsArgs, StartOptions};
use admin::Health;
use greeting::{Greeting, OwnBroker};
use services::Services;
use signals::Signals;
use validator::SchemaValidator;

/// The exit code when the storage failed for good while the broker ran.
const EXIT_STORAGE_FAILED: u8 = 3;

/// Flags of `start`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every flag, and every Kafka setting by its own name, can also stand in a TOML file, a properties file or the \
environment:\n  AFFLUENT_LOG_RETENTION_MS=86400000, [log.retention] ms = 86400000, log.retention.ms=86400000.\n\
Flags win over the environment, over TOML, over the properties file. `affluent config check` shows the result.")]
pub(crate) struct StartArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// How a broker that ran came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Graceful,
    StorageFailed,
    ServiceFailed,
}

/// Runs a broker until it is told to stop.
pub(crate) fn run(args: &StartArgs) -> ExitCode {
    match serve(args) {
        Ok(Ending::Graceful) => ExitCode::SUCCESS,
        Ok(Ending::StorageFailed) => ExitCode::from(EXIT_STORAGE_FAILED),
        Ok(Ending::ServiceFailed) => ExitCode::FAILURE,
        Err(failure) => cli::finish(Err(failure)),
    }
}

fn serve(args: &StartArgs) -> Outcome<Ending> {
    let settings = Settings::load(&args.settings, std::env::vars_os())?;
    let options = settings.resolve()?;
    let loggers = logging::install(options.log_format, &options.log_level)?;
    for variable in settings.unknown_environment() {
        tracing::warn!(
            variable,
            "environment variable stands for no configuration key"
        );
    }
    // Before the broker starts: it registers its metrics with the recorder it finds.
    let exporter = exposition::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("affluent")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the asynchronous runtime: {error}")))?;
    runtime.block_on(run_roles(&settings, options, exporter, loggers))
}

async fn run_roles(
    settings: &Settings,
    options: StartOptions,
    exporter: exposition::Exporter,
    loggers: Arc<dyn LogLevels>,
) -> Outcome<Ending> {
    let mut signals = Signals::listen()?;
    exporter.keep_small();
    ready::remove_stale(options.ready_file.as_deref())?;
    let is_new = greeting::is_new(&options.data_dir);
    let validator = Arc::new(SchemaValidator::of(&options.properties)?);
    let broker = match options.roles.contains(&Role::Broker) {
        true => Some(start_broker(settings, &options, loggers, validator.clone()).await?),
        false => None,
    };
    let named = options.bootstrap_servers.clone();
    let bootstrap = named.or_else(|| broker.as_ref().map(own_address));
    let bootstrap = bootstrap.unwrap_or_default();
    let mut services = Services::start(&options, &bootstrap).await?;
    tell_of_registry(&validator, &services)?;
    let health = Health::default();
    if let Some(broker) = &broker {
        exporter.watch(broker.storage_metrics(), broker.client_metrics());
    }
    let platform = services.platform();
    let admin = match options.admin_listener {
        None => None,
        Some(listener) => admin::serve(listener, exporter, health.clone(), platform).await?,
    };
    let greeting = Greeting {
        broker: broker.as_ref().map(|broker| OwnBroker {
            cluster_id: broker.cluster_id(),
            node_id: options.node_id(),
            listeners: broker.listeners(),
            data_dir: &options.data_dir,
            is_new,
        }),
        bootstrap: &bootstrap,
        admin,
        services: services.addresses(),
    };
    greeting.log();
    if options.log_format == LogFormat::Human {
        greeting.print();
    }
    let ready = ready::ReadyFile::write(options.ready_file.as_deref(), &greeting)?;
    health.set_serving();

    let ending = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "shutting down; a second signal ends at once");
            Ending::Graceful
        }
        error = storage_failed(broker.as_ref()) => {
            tracing::error!(error = %ErrorChain(&error), "the storage failed; nothing is acknowledged any more");
            Ending::StorageFailed
        }
        failure = services.failed() => {
            failure.report();
            Ending::ServiceFailed
        }
    };
    health.set_stopping();
    drop(ready);
    services.stop().await;
    match broker {
        Some(broker) => shut_down(broker, signals, ending).await,
        None => Ok(ending),
    }
}

async fn start_broker(
    settings: &Settings,
    options: &StartOptions,
    loggers: Arc<dyn LogLevels>,
    validator: Arc<SchemaValidator>,
) -> Outcome<Broker> {
    Broker::start(BrokerOptions {
        data_dir: options.data_dir.clone(),
        properties: options.properties.clone(),
        clock: Arc::new(SystemClock::new()),
        loggers: Some(loggers),
        record_validator: Some(validator),
    })
    .await
    .map_err(|error| settings.blame(explain(&error)))
}

/// Where no registry is named to validate records by, the one in this process does.
fn tell_of_registry(validator: &SchemaValidator, services: &Services) -> Outcome {
    match services.address_of(Role::SchemaRegistry) {
        Some(registry) if !validator.is_serving() => {
            validator.serve(&reachable(registry).to_string())
        }
        _ => Ok(()),
    }
}

/// Waits until the broker's storage fails; for ever where there is no broker.
async fn storage_failed(broker: Option<&Broker>) -> storage::StorageError {
    match broker {
        Some(broker) => broker.failed().await,
        None => std::future::pending().await,
    }
}

/// Where this process's own services reach its broker: the first listener, by the address that was bound.
fn own_address(broker: &Broker) -> String {
    let listeners = broker.listeners();
    let Some(listener) = listeners.first() else {
        return String::new();
    };
    reachable(listener.address).to_string()
}

/// An address that was bound, as this process reaches it.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn shut_down(broker: Broker, mut signals: Signals, ending: Ending) -> Outcome<Ending> {
    // Shutting down may be slow, and dropping it half done leaves a mess only to a process that goes on.
    let closed = tokio::select! {
        biased;
        signal = signals.next() => {
            tracing::warn!(signal, "ending at once; the next start replays the journal");
            std::process::exit(signals::exit_code(signal));
        }
        closed = broker.shutdown() => closed,
    };
    match (ending, closed) {
        (Ending::Graceful | Ending::ServiceFailed, Ok(())) => {
            tracing::info!("stopped");
            Ok(ending)
        }
        (Ending::Graceful | Ending::ServiceFailed, Err(error)) => Err(Failure::new(format!(
            "the broker stopped, but not cleanly: {}",
            ErrorChain(&error)
        ))
        .remedy("start it again: what was acknowledged is replayed from the journal")),
        // A storage that failed cannot close cleanly; the first error was the one that counts.
        (Ending::StorageFailed, _) => {
            Failure::new("the storage failed and the broker stopped; its log says why")
                .remedy("check the disk, then start again: what was acknowledged is in the journal")
                .report();
            Ok(Ending::StorageFailed)
        }
    }
}

fn explain(error: &StartError) -> Failure {
    let failure = Failure::of(error);
    match error {
        StartError::Bind { .. } => failure.remedy(
            "stop what runs there, or choose another address with --listener (port 0 takes a free one)",
        ),
        _ => failure,
    }
}
