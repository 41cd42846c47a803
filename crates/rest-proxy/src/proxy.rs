//! What every request shares: the settings, the connections for questions, the producer for records.
//!
//! Both are made when the first request needs them, so that a proxy starts before its cluster does; a request that
//! comes while the cluster cannot be reached fails alone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use client::admin::ClusterDescription;
use client::{Admin, AdminOptions};
use tokio::sync::OnceCell;

use crate::config::Config;
use crate::consumers::Consumers;
use crate::error::RestError;
use crate::links::{Links, Place};
use crate::produce::{self, Sink};
use crate::schemas::{Schemas, SetupError};
use crate::server::StartError;

/// How long a connection to the registry or another proxy may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A proxy's state.
pub(crate) struct Proxy {
    pub(crate) config: Arc<Config>,
    admin: OnceCell<Admin>,
    producer: OnceCell<Arc<Sink>>,
    schemas: Schemas,
    consumers: Arc<Consumers>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Nothing is connected to yet. `url` is where other proxies reach this one.
    ///
    /// # Errors
    /// When no HTTP client can be made, for which there is no TLS; or the registry's address is none.
    pub(crate) fn new(config: Config, url: String) -> Result<Self, StartError> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .no_proxy()
            .build()
            .map_err(StartError::Http)?;
        let schemas = Schemas::new(http.clone(), &config);
        let schemas = schemas.map_err(|error| match error {
            SetupError::Registry(error) => StartError::Registry(error),
            SetupError::Kms(error) => StartError::Kms(error),
        })?;
        let config = Arc::new(config);
        Ok(Self {
            admin: OnceCell::new(),
            producer: OnceCell::new(),
            schemas,
            consumers: Arc::new(Consumers::new(Arc::clone(&config), http, url)),
            config,
        })
    }

    /// The client for questions.
    ///
    /// # Errors
    /// 503/50302 while no bootstrap server answers.
    pub(crate) async fn admin(&self) -> Result<&Admin, RestError> {
        let connect = || Admin::connect(&self.config.bootstrap_servers, AdminOptions::default());
        Ok(self.admin.get_or_try_init(connect).await?)
    }

    /// The client for records.
    ///
    /// # Errors
    /// 500 for a setting librdkafka does not take.
    pub(crate) async fn producer(&self) -> Result<&Arc<Sink>, RestError> {
        let create = || async { produce::sink(&self.config).map(Arc::new) };
        self.producer
            .get_or_try_init(create)
            .await
            .map_err(|error| RestError::internal(format!("cannot create a producer: {error}")))
    }

    /// The schemas of the registry that is configured.
    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Consumer instances, this proxy's and others'.
    pub(crate) fn consumers(&self) -> &Arc<Consumers> {
        &self.consumers
    }

    /// The cluster's place in the answer to a request that came by `links`.
    pub(crate) fn place(&self, links: &Links, cluster: &str) -> Place {
        let authority = self.config.resource_name_authority.as_deref();
        Place::cluster(links, authority, cluster)
    }

    /// The client for questions, once `cluster` is known to be the cluster behind this proxy.
    ///
    /// # Errors
    /// 404 if it is another.
    pub(crate) async fn check_cluster(&self, cluster: &str) -> Result<&Admin, RestError> {
        self.describe_cluster(cluster).await.map(|(admin, _)| admin)
    }

    /// The same, with what the cluster says of itself.
    pub(crate) async fn describe_cluster(
        &self,
        cluster: &str,
    ) -> Result<(&Admin, ClusterDescription), RestError> {
        let admin = self.admin().await?;
        let description = admin.describe_cluster().await?;
        if description.cluster_id == cluster {
            Ok((admin, description))
        } else {
            Err(RestError::not_found(format!(
                "Cluster {cluster} cannot be found."
            )))
        }
    }
}
