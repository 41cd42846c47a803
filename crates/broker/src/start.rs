//! Starting and stopping a broker.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use base::config::ConfigError;
use base::{Clock, NodeId, PartitionIndex, Uuid};
use metastore::{EmbeddedStore, Metadata, MetadataError, MetadataImage};
use security::AllowEveryone;
use storage::{PartitionSpec, Storage, StorageError, StorageMetrics, StorageOptions, TierOptions};
use tokio::sync::{Mutex, watch};

use crate::accept::{ConnectionCounts, accept};
use crate::client_telemetry::{ClientMetrics, ClientTelemetry};
use crate::config::{BrokerConfigs, BrokerSettings, TopicSettings};
use crate::features;
use crate::fetch::session::SessionCache;
use crate::groups::Groups;
use crate::listener::{BoundSocket, parse_listeners};
use crate::log_levels::LogLevels;
use crate::producer_ids::ProducerIds;
use crate::quota::QuotaManager;
use crate::record_validator::RecordValidator;
use crate::server::Server;
use crate::settings::{cleaner_config, log_config};
use crate::share::leaders::ShareGroups;
use crate::share::persister::Persister;
use crate::tasks::Tasks;
use crate::telemetry::RequestMetrics;
use crate::tiering;
use crate::topics::{CONSUMER_OFFSETS, SHARE_GROUP_STATE, TRANSACTION_STATE};
use crate::transactions::Transactions;

/// `node.id` when the properties name none.
const DEFAULT_NODE_ID: i64 = 1;
/// How long requests in flight may take once the broker stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// What a broker is started with.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Where everything is kept; created when missing.
    pub data_dir: PathBuf,
    /// Every setting by its Kafka property name, Affluent's own keys included.
    pub properties: BTreeMap<String, String>,
    /// The clock; [`base::SystemClock`] outside of tests.
    pub clock: Arc<dyn Clock>,
    /// The loggers whose levels administrators may change; none when there are none to change.
    pub loggers: Option<Arc<dyn LogLevels>>,
    /// Who judges the records of topics that ask for it (`confluent.value.schema.validation`); none when nobody can.
    pub record_validator: Option<Arc<dyn RecordValidator>>,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener is not what it should be.
    #[error("{property}='{value}' is not usable: {reason}")]
    InvalidListener {
        /// The property.
        property: &'static str,
        /// The part of its value that is wrong.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An address is taken, or not this machine's.
    #[error("listener {listener} cannot bind {address}; is another broker running there?")]
    Bind {
        /// The listener's name.
        listener: String,
        /// The address.
        address: String,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A property does not parse or breaks its rule.
    #[error("the configuration is not valid")]
    Config(#[source] ConfigError),
    /// The metadata cannot be read.
    #[error("the metadata cannot be opened")]
    Metadata(#[source] MetadataError),
    /// The records cannot be read.
    #[error("the storage cannot be opened")]
    Storage(#[source] StorageError),
    /// The remote store cannot be used.
    #[error("tiered storage cannot be used; see remote.log.storage.url and the keys beside it")]
    Tier(#[source] tier::OpenError),
    /// Metadata and storage disagree.
    #[error("topic '{topic}' cannot be restored: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A listener that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundListener {
    /// Its name.
    pub name: String,
    /// The address it is bound to.
    pub address: SocketAddr,
    /// The host and port that clients are told.
    pub advertised: (String, u16),
    /// Whether clients have to prove who they are.
    pub authenticated: bool,
}

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    server: Arc<Server>,
    listeners: Vec<BoundListener>,
    stopping: watch::Sender<bool>,
}

impl Broker {
    /// Opens the data directory, recovers it, and accepts connections when this returns.
    ///
    /// # Errors
    /// [`StartError`] names what is wrong and where.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped call may leave the data directory locked until its threads end.
    pub async fn start(options: BrokerOptions) -> Result<Broker, StartError> {
        let loaded = BrokerConfigs::from_properties(options.properties.clone())
            .map_err(StartError::Config)?;
        for name in &loaded.unknown {
            tracing::warn!(name, "unknown configuration key; it has no effect");
        }
        let backlog = BrokerSettings::resolve(&loaded.configs).socket_listen_backlog_size;
        let sockets = parse_listeners(&options.properties)?
            .iter()
            .map(|spec| spec.bind(backlog))
            .collect::<Result<Vec<BoundSocket>, StartError>>()?;
        let server = tokio::task::spawn_blocking(move || open(options, &loaded.configs))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        if let Some(topic) = server.topics().get(CONSUMER_OFFSETS) {
            server.groups().start(&server, &topic.partitions());
        }
        if let Some(topic) = server.topics().get(TRANSACTION_STATE) {
            server.transactions().start(&server, &topic.partitions());
        }
        if let Some(topic) = server.topics().get(SHARE_GROUP_STATE) {
            let coordinators = server.persister().coordinators();
            coordinators.start(&server, &topic.partitions());
        }
        let (stopping, stop) = watch::channel(false);
        let counts = Arc::new(ConnectionCounts::default());
        let mut listeners = Vec::new();
        for bound in sockets {
            listeners.push(BoundListener {
                name: bound.info.name.clone(),
                address: bound.address,
                advertised: (
                    bound.info.advertised_host.clone(),
                    bound.info.advertised_port,
                ),
                authenticated: false,
            });
            server.tasks().spawn(
                "listener",
                accept(
                    Arc::clone(&server),
                    Arc::new(bound.info),
                    bound.socket,
                    Arc::clone(&counts),
                    stop.clone(),
                ),
            );
        }
        Ok(Broker {
            server,
            listeners,
            stopping,
        })
    }

    /// The listeners, in the order of the configuration.
    #[must_use]
    pub fn listeners(&self) -> Vec<BoundListener> {
        self.listeners.clone()
    }

    /// The cluster's id, made when the data directory was.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.server.cluster_id().to_owned()
    }

    /// How many topics there are, the broker's own included.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.server.topics().len()
    }

    /// What the storage counts, for export.
    #[must_use]
    pub fn storage_metrics(&self) -> Arc<StorageMetrics> {
        Arc::clone(self.server.storage().metrics())
    }

    /// What clients pushed (KIP-714), for export.
    #[must_use]
    pub fn client_metrics(&self) -> Arc<ClientMetrics> {
        Arc::clone(self.server.client_telemetry().exported())
    }

    /// Waits until the storage has failed for good: nothing is acknowledged any more until a restart.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn failed(&self) -> StorageError {
        self.server.storage().failed().await
    }

    /// Stops taking requests, answers those in flight, and checkpoints.
    ///
    /// # Errors
    /// What the storage could not write; the next start then replays the journal.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped call leaves the broker half stopped. Nothing acknowledged is lost.
    pub async fn shutdown(self) -> Result<(), StorageError> {
        // Whoever listens has gone when there is nobody to tell.
        self.stopping.send_replace(true);
        self.server.share_groups().stop();
        self.server.transactions().stop().await;
        self.server.groups().stop().await;
        self.server.persister().coordinators().stop().await;
        let left = self.server.tasks().finish(DRAIN_LIMIT).await;
        if left > 0 {
            tracing::warn!(left, "stopping with requests still in flight");
        }
        let storage = Arc::clone(self.server.storage());
        tokio::task::spawn_blocking(move || storage.close())
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

/// Opens metadata and storage. Blocks on the disk.
fn open(options: BrokerOptions, configs: &BrokerConfigs) -> Result<Arc<Server>, StartError> {
    let node_id = NodeId(
        i32::try_from(
            configs
                .integer("node.id")
                .filter(|id| *id >= 0)
                .unwrap_or(DEFAULT_NODE_ID),
        )
        .unwrap_or(i32::MAX),
    );
    let metadata = open_metadata(&options).map_err(StartError::Metadata)?;
    let image = metadata.image();
    let (configs, refused) = configs.with_dynamic(
        image.broker_default_configs(),
        &image.broker_configs(node_id),
    );
    for error in refused {
        tracing::warn!(%error, "a dynamic broker config is not valid any more; it has no effect");
    }
    let settings = BrokerSettings::resolve(&configs);
    let tier = tiering::open(&configs, &settings, &metadata).map_err(StartError::Tier)?;
    let storage = open_storage(&options, &configs, &settings, &image, tier)?;
    let quotas = QuotaManager::new(Arc::clone(&options.clock), &settings);
    quotas.update(image.client_quotas());
    let client_telemetry = ClientTelemetry::new(Arc::clone(&options.clock));
    client_telemetry.update(image.client_metrics());
    let server = Arc::new(Server {
        node_id,
        cluster_id: image.cluster_id().unwrap_or_default().to_owned(),
        log_dir: options.data_dir.join("logs"),
        clock: options.clock,
        fetch_sessions: Arc::new(SessionCache::new(
            settings.max_incremental_fetch_session_cache_slots,
        )),
        configs: Arc::new(RwLock::new((Arc::new(configs), Arc::new(settings)))),
        metadata,
        storage,
        topics: Arc::default(),
        groups: Groups::default(),
        transactions: Transactions::default(),
        persister: Persister::default(),
        share_groups: ShareGroups::default(),
        producer_ids: ProducerIds::default(),
        authorizer: Arc::new(AllowEveryone),
        quotas: Arc::new(quotas),
        client_telemetry,
        loggers: options.loggers,
        record_validator: options.record_validator,
        request_metrics: Arc::new(RequestMetrics::register()),
        tasks: Tasks::default(),
        changing: Mutex::new(()),
    });
    for topic in image.topics() {
        let restored = server
            .restore_topic(topic)
            .map_err(|error| StartError::Topic {
                topic: topic.name.to_string(),
                reason: error.message,
            })?;
        server.topics().insert(Arc::new(restored));
    }
    Ok(server)
}

/// Opens the metadata store; a new one gets its cluster id.
fn open_metadata(options: &BrokerOptions) -> Result<Arc<Metadata>, MetadataError> {
    let store = EmbeddedStore::open(options.data_dir.join("metadata").join("metadata.redb"))?;
    let metadata = Metadata::load(Arc::new(store))?;
    let cluster_id = Uuid::from_random(rand::random()).to_string();
    metadata.format(&cluster_id, &features::initial())?;
    if !features::are_finalized(metadata.image().features()) {
        metadata.update_features(|_| features::initial())?;
    }
    Ok(Arc::new(metadata))
}

fn open_storage(
    options: &BrokerOptions,
    configs: &BrokerConfigs,
    settings: &BrokerSettings,
    image: &MetadataImage,
    tier: Option<TierOptions>,
) -> Result<Arc<Storage>, StartError> {
    let mut partitions = Vec::new();
    for topic in image.topics() {
        let config = TopicSettings::resolve(configs, &topic.configs).map_err(StartError::Config)?;
        let indexes = topic.partitions.iter().zip((0..).map(PartitionIndex));
        partitions.extend(indexes.map(|(_, partition)| PartitionSpec {
            topic: topic.name.to_string(),
            topic_id: topic.id,
            partition,
            config: log_config(&topic.name, &config),
        }));
    }
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let defaults = StorageOptions::new(&options.data_dir);
    let storage_options = StorageOptions {
        retention_check_interval_ms: milliseconds(settings.log_retention_check_interval),
        producer_id_expiration_ms: i64::try_from(milliseconds(settings.producer_id_expiration))
            .unwrap_or(i64::MAX),
        journal_first_file_bytes: defaults
            .journal_first_file_bytes
            .min(settings.journal_file_bytes),
        journal_file_bytes: settings.journal_file_bytes,
        journal_max_bytes: settings.journal_max_bytes,
        checkpoint_bytes: settings.journal_checkpoint_bytes,
        checkpoint_interval_ms: milliseconds(settings.journal_checkpoint_interval),
        cleaner: cleaner_config(settings),
        tier,
        ..defaults
    };
    let (storage, report) = Storage::open(storage_options, Arc::clone(&options.clock), partitions)
        .map_err(StartError::Storage)?;
    tracing::info!(?report, "storage is open");
    Ok(Arc::new(storage))
}
