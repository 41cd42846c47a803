//! One instance, from its settings to its last answer.
//!
//! Lifecycle: reach the brokers; make or check the topics; read them to their ends; bind; join the election; serve. A stop
//! takes no new requests, answers those there are, and leaves the group.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::handler::Handler;
use base::ErrorChain;
use client::{Admin, AdminOptions, ClientError};
use kms::{Environment, Kms};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::cluster::KafkaCluster;
use crate::catalog::{Catalog, CatalogState};
use crate::config::RegistryConfig;
use crate::dek::{DekRegistry, Keys};
use crate::election::Elector;
use crate::election::protocol::Identity;
use crate::exporter::Manager;
use crate::http::{self, App};
use crate::log::reader::ReaderError;
use crate::log::topic::{self, TopicError};
use crate::log::{KafkaLog, Reader, Replay, Writer};
use crate::metrics::{self, CatalogMetrics, KeyMetrics, SchemaMetrics};
use crate::outgoing;
use crate::service::{Leadership, Registry};
use crate::state::State;

/// How long a stop waits for requests that are on their way.
const GRACE: Duration = Duration::from_secs(10);

/// Between two attempts to reach brokers that are not there yet.
const PAUSE: Duration = Duration::from_millis(200);

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No broker answers.
    #[error("the schema registry reaches no broker at '{bootstrap}'")]
    Brokers {
        /// `kafkastore.bootstrap.servers`.
        bootstrap: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A topic cannot be used.
    #[error("the schema registry cannot keep its schemas")]
    Topic(#[source] TopicError),
    /// A topic cannot be read.
    #[error("the schema registry cannot read its topic")]
    Reader(#[source] ReaderError),
    /// There is more in the topic than could be read in time, or it cannot be read.
    #[error(
        "the topic '{topic}' was not read to its end within {} ms (kafkastore.init.timeout.ms)", .after.as_millis()
    )]
    InitTimeout {
        /// Its name.
        topic: String,
        /// `kafkastore.init.timeout.ms`.
        after: Duration,
    },
    /// Somebody has the address.
    #[error("the schema registry cannot bind {address}")]
    Bind {
        /// `schema.registry.listeners`.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The client for requests to the leader.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
    /// The client for key management services.
    #[error("no key management service can be asked")]
    Kms(#[source] kms::KmsError),
}

/// A running instance.
#[derive(Debug)]
pub struct Instance {
    registry: Arc<Registry>,
    keys: Arc<DekRegistry>,
    catalog: Arc<Catalog>,
    address: SocketAddr,
    cluster_id: String,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    readers: [Reader; 3],
}

/// A topic that is being read, with the log that writes to it.
struct Opened<S> {
    state: Arc<RwLock<S>>,
    reader: Reader,
    log: Arc<KafkaLog<S>>,
}

impl Instance {
    /// Starts an instance; it serves when this returns.
    ///
    /// # Errors
    /// [`StartError`].
    ///
    /// # Cancel safety
    /// Not cancel safe: what was started ends only when its parts are dropped.
    pub async fn start(config: RegistryConfig) -> Result<Self, StartError> {
        metrics::describe();
        let deadline = Instant::now() + config.init_timeout;
        let admin = connect(&config, deadline).await?;
        let Topics {
            schemas,
            keys,
            catalog: tags,
        } = open_all(&admin, &config, deadline).await?;
        let (listener, address) = bind(config.listener).await?;
        let cluster_id = cluster_id(&admin, &config).await?;
        let (leadership, watched) = watch::channel(Leadership::Unknown);
        let registry = Arc::new(Registry::new(
            schemas.state,
            Arc::clone(&schemas.log) as Arc<_>,
            config.clone(),
            watched.clone(),
        ));
        let kms = Kms::new(Environment::of_process()).map_err(StartError::Kms)?;
        let dek_registry = Arc::new(DekRegistry::new(
            Arc::clone(&registry),
            keys.state,
            Arc::clone(&keys.log) as Arc<_>,
            watched.clone(),
            kms,
        ));
        let catalog = Arc::new(Catalog::new(
            Arc::clone(&registry),
            tags.state,
            Arc::clone(&tags.log) as Arc<_>,
            watched,
            Arc::new(KafkaCluster::new(&config)),
            &cluster_id,
        ));
        let client = outgoing::client().map_err(StartError::Client)?;
        let exporters = Manager::new(
            Arc::clone(&registry),
            Arc::clone(&dek_registry),
            client.clone(),
            &cluster_id,
            [schemas.reader.progress(), keys.reader.progress()],
        );
        let app = Arc::new(App {
            registry: Arc::clone(&registry),
            keys: Arc::clone(&dek_registry),
            catalog: Arc::clone(&catalog),
            client,
            cluster_id: cluster_id.clone(),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let identity = identity(&config, address);
        let writers: Vec<Arc<dyn Writer>> = vec![schemas.log, keys.log, tags.log];
        let elector = Elector::new(admin, config.group_id, identity, writers, leadership);
        tasks.spawn(elector.run(stop.clone()));
        tasks.spawn(serve(listener, app, stop.clone()));
        tasks.spawn(exporters.run(stop.clone()));
        tracing::info!(%address, topic = config.topic, "the schema registry serves");
        Ok(Self {
            registry,
            keys: dek_registry,
            catalog,
            address,
            cluster_id,
            stop,
            tasks,
            readers: [schemas.reader, keys.reader, tags.reader],
        })
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The id of the Kafka cluster.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The operations, for whoever is in the same process.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Stops: answers what is on its way, leaves the group, ends the reader.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let (registry, keys) = (Arc::clone(&self.registry), Arc::clone(&self.keys));
        let catalog = Arc::clone(&self.catalog);
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of the schema registry panicked");
                }
            }
            registry.finish().await;
            keys.finish().await;
            catalog.finish().await;
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("requests were still on their way when the schema registry stopped");
        }
        let readers = self.readers;
        if tokio::task::spawn_blocking(move || drop(readers))
            .await
            .is_err()
        {
            tracing::error!("a reader of a topic did not end well");
        }
    }
}

async fn connect(config: &RegistryConfig, deadline: Instant) -> Result<Admin, StartError> {
    let options = AdminOptions::default();
    loop {
        match Admin::connect(&config.bootstrap_servers, options.clone()).await {
            Ok(admin) => return Ok(admin),
            Err(source @ ClientError::Unreachable { .. }) if Instant::now() < deadline => {
                tracing::debug!(error = %ErrorChain(&source), "no broker yet");
                tokio::time::sleep(PAUSE).await;
            }
            Err(source) => {
                return Err(StartError::Brokers {
                    bootstrap: config.bootstrap_servers.clone(),
                    source,
                });
            }
        }
    }
}

async fn cluster_id(admin: &Admin, config: &RegistryConfig) -> Result<String, StartError> {
    let cluster = admin.describe_cluster().await;
    let cluster = cluster.map_err(|source| StartError::Brokers {
        bootstrap: config.bootstrap_servers.clone(),
        source,
    })?;
    Ok(cluster.cluster_id)
}

/// Binds, and says what was bound.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Makes or checks a topic, and starts to read it.
async fn open<S: Replay>(
    admin: &Admin,
    config: &RegistryConfig,
    topic: &str,
    watch: impl FnMut(&S) + Send + 'static,
) -> Result<Opened<S>, StartError> {
    topic::ensure(admin, config, topic)
        .await
        .map_err(StartError::Topic)?;
    let end = topic::end(admin, topic).await.map_err(StartError::Topic)?;
    let state = Arc::new(RwLock::new(S::default()));
    let reader =
        Reader::start(config, topic, Arc::clone(&state), end, watch).map_err(StartError::Reader)?;
    let log = KafkaLog::new(
        config.clone(),
        topic.to_owned(),
        Arc::clone(&state),
        reader.progress(),
    );
    Ok(Opened {
        state,
        reader,
        log: Arc::new(log),
    })
}

/// The topics of an instance.
struct Topics {
    schemas: Opened<State>,
    keys: Opened<Keys>,
    catalog: Opened<CatalogState>,
}

/// Makes or checks the topics, and reads them to their ends.
async fn open_all(
    admin: &Admin,
    config: &RegistryConfig,
    deadline: Instant,
) -> Result<Topics, StartError> {
    let mut metrics = SchemaMetrics::new();
    let tell = move |state: &State| metrics.tell(state.counts());
    let schemas = open(admin, config, &config.topic, tell).await?;
    let metrics = KeyMetrics::new();
    let tell = move |keys: &Keys| metrics.tell(keys);
    let keys = open(admin, config, &config.dek_topic, tell).await?;
    let metrics = CatalogMetrics::new();
    let tell = move |state: &CatalogState| metrics.tell(state);
    let catalog = open(admin, config, &config.catalog_topic, tell).await?;
    for (reader, topic) in [
        (&schemas.reader, &config.topic),
        (&keys.reader, &config.dek_topic),
        (&catalog.reader, &config.catalog_topic),
    ] {
        wait_for_end(reader, config, topic, deadline).await?;
    }
    Ok(Topics {
        schemas,
        keys,
        catalog,
    })
}

async fn wait_for_end(
    reader: &Reader,
    config: &RegistryConfig,
    topic: &str,
    deadline: Instant,
) -> Result<(), StartError> {
    let mut progress = reader.progress();
    let end = progress.wait_for(|progress| progress.caught_up);
    match tokio::time::timeout_at(deadline, end).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(StartError::InitTimeout {
            topic: topic.to_owned(),
            after: config.init_timeout,
        }),
    }
}

/// What the election knows this instance by.
fn identity(config: &RegistryConfig, address: SocketAddr) -> Identity {
    let host = host(config, address);
    Identity::new(host, address.port(), config.leader_eligibility)
}

/// How others reach this instance: by its name in the settings, else by the address it listens on, and where that is
/// every address, by the name of the machine.
fn host(config: &RegistryConfig, address: SocketAddr) -> String {
    if let Some(name) = &config.host_name {
        return name.clone();
    }
    if !address.ip().is_unspecified() {
        return address.ip().to_string();
    }
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let service = http::answer.with_state(app).into_make_service();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the schema registry's listener ended");
    }
}
