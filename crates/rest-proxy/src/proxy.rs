//! What every request shares: the settings, the connections for questions, the producer for records.
//!
//! Both are made when the first request needs them, so that a proxy starts before its cluster does; a request that
//! comes while the cluster cannot be reached fails alone.

use std::fmt;

use client::admin::ClusterDescription;
use client::data::FutureProducer;
use client::{Admin, AdminOptions, data};
use tokio::sync::OnceCell;

use crate::config::Config;
use crate::error::RestError;
use crate::links::{Links, Place};

/// The `client.id` that broker logs and quotas see.
const CLIENT_ID: &str = "affluent-rest-proxy";

/// A proxy's state.
pub(crate) struct Proxy {
    pub(crate) config: Config,
    admin: OnceCell<Admin>,
    producer: OnceCell<FutureProducer>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            admin: OnceCell::new(),
            producer: OnceCell::new(),
        }
    }

    /// The client for questions.
    ///
    /// # Errors
    /// 503/50302 while no bootstrap server answers.
    pub(crate) async fn admin(&self) -> Result<&Admin, RestError> {
        let connect = || Admin::connect(&self.config.bootstrap_servers, AdminOptions::default());
        Ok(self.admin.get_or_try_init(connect).await?)
    }

    /// The client for records: idempotent, so `acks=all`; keys go to the partitions the Java client would choose.
    ///
    /// # Errors
    /// 500 for a setting librdkafka does not take.
    pub(crate) async fn producer(&self) -> Result<&FutureProducer, RestError> {
        let create = || async {
            let mut config = data::producer_config(&self.config.bootstrap_servers, CLIENT_ID);
            config
                .set("partitioner", "murmur2_random")
                .set("linger.ms", "0");
            for (name, value) in &self.config.producer {
                config.set(name, value);
            }
            config.create::<FutureProducer>()
        };
        self.producer
            .get_or_try_init(create)
            .await
            .map_err(|error| RestError::internal(format!("cannot create a producer: {error}")))
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
