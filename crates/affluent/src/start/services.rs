//! The services beside the broker: started after it, stopped before it.
//!
//! A service is a future that ends when it is told to. One whose default address is taken goes without, and says
//! so, as the metrics do: two platforms on one machine should not need a flag each.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use base::ErrorChain;
use cli::{Failure, Outcome};
use rest_proxy::{RestProxy, StartError};
use schema_registry::Instance;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::settings::{Role, StartOptions};

/// How long the requests that run may take when the process is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Services that run.
#[derive(Debug, Default)]
pub(super) struct Services {
    tasks: JoinSet<(Role, std::io::Result<()>)>,
    shutdown: CancellationToken,
    addresses: Vec<(Role, SocketAddr)>,
    platform: Router,
}

impl Services {
    /// Starts the services among the roles; they talk to the cluster at `bootstrap`.
    ///
    /// # Errors
    /// A listener somebody asked for cannot be bound, a setting of a service is not usable.
    pub(super) async fn start(options: &StartOptions, bootstrap: &str) -> Outcome<Self> {
        let mut services = Self::default();
        services.start_registry(options, bootstrap).await?;
        if options.roles.contains(&Role::RestProxy) {
            services.start_rest_proxy(options, bootstrap).await?;
        }
        Ok(services)
    }

    /// One that runs by default goes without when it cannot, as a second one on a machine.
    async fn start_registry(&mut self, options: &StartOptions, bootstrap: &str) -> Outcome {
        let Some(role) = &options.registry else {
            return Ok(());
        };
        let mut config = role.config.clone();
        if config.bootstrap_servers.is_empty() {
            bootstrap.clone_into(&mut config.bootstrap_servers);
        }
        let instance = match Instance::start(config).await {
            Ok(instance) => instance,
            Err(error) if !role.asked_for => {
                let error = ErrorChain(&error);
                tracing::warn!(%error, "the schema registry is not served; schema.registry.listeners names another address");
                return Ok(());
            }
            Err(error) => return Err(Failure::of(&error)),
        };
        self.addresses
            .push((Role::SchemaRegistry, instance.address()));
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            shutdown.cancelled().await;
            instance.shutdown().await;
            (Role::SchemaRegistry, Ok(()))
        });
        Ok(())
    }

    async fn start_rest_proxy(&mut self, options: &StartOptions, bootstrap: &str) -> Outcome {
        let properties = &options.rest_properties;
        let mut config = rest_proxy::Config::from_properties(properties, bootstrap)
            .map_err(|error| Failure::of(&error))?;
        config.listeners = options.rest_listeners.addresses.clone();
        if let Some(registry) = self.address_of(Role::SchemaRegistry) {
            config.default_registry(&format!("http://{}", super::reachable(registry)));
        }
        let proxy = match RestProxy::bind(config).await {
            Err(error @ StartError::Bind { .. }) if !options.rest_listeners.asked_for => {
                let error = ErrorChain(&error);
                tracing::warn!(%error, "the REST Proxy is not served; kafka.rest.listeners names another address");
                return Ok(());
            }
            bound => bound.map_err(|error| Failure::of(&error))?,
        };
        let addresses = proxy.addresses().map_err(|error| {
            Failure::new(format!("cannot tell where the REST Proxy listens: {error}"))
        })?;
        self.addresses.extend(
            addresses
                .into_iter()
                .map(|address| (Role::RestProxy, address)),
        );
        self.platform = proxy.under_kafka();
        let shutdown = self.shutdown.clone().cancelled_owned();
        self.tasks.spawn(async move {
            use futures::FutureExt as _;
            (Role::RestProxy, proxy.serve(shutdown.shared()).await)
        });
        Ok(())
    }

    /// Where the service of that role listens; none if it does not run.
    pub(super) fn address_of(&self, role: Role) -> Option<SocketAddr> {
        let mut all = self.addresses.iter();
        all.find(|(known, _)| *known == role)
            .map(|(_, address)| *address)
    }

    /// What services serve on the platform's own listener, beside the metrics.
    pub(super) fn platform(&self) -> Router {
        self.platform.clone()
    }

    /// Where each service listens.
    pub(super) fn addresses(&self) -> &[(Role, SocketAddr)] {
        &self.addresses
    }

    /// Waits for a service that ends though nobody told it to. Never returns while all serve. Cancel safe.
    pub(super) async fn failed(&mut self) -> Failure {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok((role, Ok(())))) => Failure::new(format!("{} ended by itself", role.name())),
            Some(Ok((role, Err(error)))) => {
                Failure::new(format!("{} failed: {error}", role.name()))
            }
            Some(Err(panic)) => Failure::new(format!("a service ended with {panic}")),
        }
    }

    /// Ends every service once its requests have their answers, or after ten seconds.
    pub(super) async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
            tracing::warn!("requests to services still ran when the process stopped");
        }
    }
}
