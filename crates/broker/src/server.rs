//! What all connections share.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use base::{Clock, NodeId};
use metastore::Metadata;
use security::{Authorizer, Operation, ResourceType};
use storage::{AppendBatch, AppendError, Appended, Storage};
use tokio::sync::Mutex;

use crate::client_telemetry::ClientTelemetry;
use crate::config::{BrokerConfigs, BrokerSettings};
use crate::fetch::session::SessionCache;
use crate::groups::Groups;
use crate::log_levels::LogLevels;
use crate::producer_ids::ProducerIds;
use crate::quota::QuotaManager;
use crate::record_validator::RecordValidator;
use crate::request::RequestContext;
use crate::share::leaders::ShareGroups;
use crate::share::persister::Persister;
use crate::tasks::Tasks;
use crate::telemetry::RequestMetrics;
use crate::topics::{Partition, TopicTable};
use crate::transactions::Transactions;

/// The broker's state. Handlers get it with every request.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) node_id: NodeId,
    pub(crate) cluster_id: String,
    pub(crate) log_dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) configs: Arc<RwLock<(Arc<BrokerConfigs>, Arc<BrokerSettings>)>>,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) persister: Persister,
    pub(crate) share_groups: ShareGroups,
    pub(crate) fetch_sessions: Arc<SessionCache>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) quotas: Arc<QuotaManager>,
    pub(crate) client_telemetry: ClientTelemetry,
    pub(crate) loggers: Option<Arc<dyn LogLevels>>,
    pub(crate) record_validator: Option<Arc<dyn RecordValidator>>,
    pub(crate) request_metrics: Arc<RequestMetrics>,
    pub(crate) tasks: Tasks,
    /// Held over every change of topics and configs, from the check to the commit.
    pub(crate) changing: Mutex<()>,
}

impl Server {
    pub(crate) fn node_id(&self) -> NodeId {
        self.node_id
    }

    pub(crate) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The folder of the partitions' folders, as DescribeLogDirs names it.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.log_dir.clone()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The broker configs in force, as declared.
    pub(crate) fn configs(&self) -> Arc<BrokerConfigs> {
        Arc::clone(
            &self
                .configs
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .0,
        )
    }

    /// The broker configs in force, as the code wants them.
    pub(crate) fn settings(&self) -> Arc<BrokerSettings> {
        Arc::clone(
            &self
                .configs
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .1,
        )
    }

    pub(crate) fn set_configs(&self, configs: BrokerConfigs) {
        let settings = BrokerSettings::resolve(&configs);
        *self.configs.write().unwrap_or_else(PoisonError::into_inner) =
            (Arc::new(configs), Arc::new(settings));
    }

    pub(crate) fn metadata(&self) -> &Arc<Metadata> {
        &self.metadata
    }

    pub(crate) fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    pub(crate) fn topics(&self) -> &TopicTable {
        &self.topics
    }

    /// The way to the state of share partitions.
    pub(crate) fn persister(&self) -> &Persister {
        &self.persister
    }

    /// The share partitions led here, and their sessions.
    pub(crate) fn share_groups(&self) -> &ShareGroups {
        &self.share_groups
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    pub(crate) fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    pub(crate) fn fetch_sessions(&self) -> &Arc<SessionCache> {
        &self.fetch_sessions
    }

    pub(crate) fn producer_ids(&self) -> &ProducerIds {
        &self.producer_ids
    }

    pub(crate) fn authorizer(&self) -> &dyn Authorizer {
        &*self.authorizer
    }

    pub(crate) fn quotas(&self) -> &Arc<QuotaManager> {
        &self.quotas
    }

    pub(crate) fn client_telemetry(&self) -> &ClientTelemetry {
        &self.client_telemetry
    }

    /// Who judges records by their schemas, if anybody does.
    pub(crate) fn record_validator(&self) -> Option<&dyn RecordValidator> {
        self.record_validator.as_deref()
    }

    pub(crate) fn request_metrics(&self) -> Arc<RequestMetrics> {
        Arc::clone(&self.request_metrics)
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Whether the requester may perform the operation on the resource.
    pub(crate) fn allows(
        &self,
        context: &RequestContext,
        operation: Operation,
        resource_type: ResourceType,
        resource_name: &str,
    ) -> bool {
        self.authorizer
            .allows(context.requester(), operation, resource_type, resource_name)
    }

    /// Appends one validated batch, waiting for room in the journal's queue as often as it takes.
    ///
    /// # Errors
    /// The log's or the storage's; nothing was appended then.
    ///
    /// # Cancel safety
    /// Cancel safe: a call that is dropped while it waits has appended nothing.
    pub(crate) async fn append_batch(
        &self,
        partition: &Partition,
        batch: AppendBatch,
    ) -> Result<Appended, AppendError> {
        loop {
            match partition.log.append(batch.clone(), self.clock.now_ms()) {
                Err(AppendError::Backpressure) => {
                    let room = self.storage.append_room(batch.bytes.len()).await;
                    room.map_err(AppendError::Storage)?;
                }
                other => return other,
            }
        }
    }
}
