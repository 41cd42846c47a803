//! One instance, from its settings to its last answer.
//!
//! Lifecycle: reach the brokers; make or check the topic; read it to its end; bind; join the election; serve. A stop
//! takes no new requests, answers those there are, and leaves the group.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use base::ErrorChain;
use client::{Admin, AdminOptions, ClientError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::RegistryConfig;
use crate::election::Elector;
use crate::election::protocol::Identity;
use crate::exporter::Manager;
use crate::http::{App, router};
use crate::log::reader::ReaderError;
use crate::log::topic::{self, TopicError};
use crate::log::{KafkaLog, Reader};
use crate::metrics;
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
    /// The topic cannot be used.
    #[error("the schema registry cannot keep its schemas")]
    Topic(#[source] TopicError),
    /// The topic cannot be read.
    #[error("the schema registry cannot read its topic")]
    Reader(#[source] ReaderError),
    /// There is more in the topic than could be read in time, or it cannot be read.
    #[error(
        "the topic '{topic}' was not read to its end within {} ms (kafkastore.init.timeout.ms)", .after.as_millis()
    )]
    InitTimeout {
        /// `kafkastore.topic`.
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
}

/// A running instance.
#[derive(Debug)]
pub struct Instance {
    registry: Arc<Registry>,
    address: SocketAddr,
    cluster_id: String,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    reader: Reader,
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
        topic::ensure(&admin, &config)
            .await
            .map_err(StartError::Topic)?;
        let state = Arc::new(RwLock::new(State::default()));
        let end = topic::end(&admin, &config)
            .await
            .map_err(StartError::Topic)?;
        let reader = Reader::start(&config, Arc::clone(&state), end).map_err(StartError::Reader)?;
        wait_for_end(&reader, &config, deadline).await?;
        let (listener, address) = bind(config.listener).await?;
        let cluster_id = match admin.describe_cluster().await {
            Ok(cluster) => cluster.cluster_id,
            Err(source) => {
                return Err(StartError::Brokers {
                    bootstrap: config.bootstrap_servers,
                    source,
                });
            }
        };
        let log = Arc::new(KafkaLog::new(
            config.clone(),
            Arc::clone(&state),
            reader.progress(),
        ));
        let (leadership, watched) = watch::channel(Leadership::Unknown);
        let registry = Arc::new(Registry::new(
            state,
            Arc::clone(&log) as Arc<_>,
            config.clone(),
            watched,
        ));
        let client = outgoing::client().map_err(StartError::Client)?;
        let exporters = Manager::new(
            Arc::clone(&registry),
            client.clone(),
            &cluster_id,
            reader.progress(),
        );
        let app = Arc::new(App {
            registry: Arc::clone(&registry),
            client,
            cluster_id: cluster_id.clone(),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let identity = Identity::new(
            host(&config, address),
            address.port(),
            config.leader_eligibility,
        );
        let elector = Elector::new(admin, config.group_id, identity, log, leadership);
        tasks.spawn(elector.run(stop.clone()));
        tasks.spawn(serve(listener, app, stop.clone()));
        tasks.spawn(exporters.run(stop.clone()));
        tracing::info!(%address, topic = config.topic, "the schema registry serves");
        Ok(Self {
            registry,
            address,
            cluster_id,
            stop,
            tasks,
            reader,
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
        let registry = Arc::clone(&self.registry);
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of the schema registry panicked");
                }
            }
            registry.finish().await;
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("requests were still on their way when the schema registry stopped");
        }
        let reader = self.reader;
        if tokio::task::spawn_blocking(move || drop(reader))
            .await
            .is_err()
        {
            tracing::error!("the reader of the topic did not end well");
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

/// Binds, and says what was bound.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn wait_for_end(
    reader: &Reader,
    config: &RegistryConfig,
    deadline: Instant,
) -> Result<(), StartError> {
    let mut progress = reader.progress();
    let end = progress.wait_for(|progress| progress.caught_up);
    match tokio::time::timeout_at(deadline, end).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(StartError::InitTimeout {
            topic: config.topic.clone(),
            after: config.init_timeout,
        }),
    }
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
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the schema registry's listener ended");
    }
}
