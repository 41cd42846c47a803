//! The instances of one proxy: made, found, deleted.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::ErrorChain;
use client::data::{self, ClientConfig};
use client::{Admin, AdminOptions};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, OnceCell, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::instance::{Batch, Instance, Resume};
use super::log::InstanceLog;
use super::membership;
use super::reading::Wanted;
use super::record::{InstanceId, InstanceRecord, Owner, Positions, Settings};
use super::{housekeeping, record::Interest};
use crate::config::Config;
use crate::error::RestError;
use crate::produce::CLIENT_ID;

/// Of instances with one lock nobody makes, takes over or deletes two at once.
const CLAIMS: usize = 16;
/// Bytes of a name; Kafka's own limit of `group.instance.id` is 249, with everything escaped.
const NAME_BYTES_MAX: usize = 200;

/// The instances of one proxy, and what it knows of those of others.
pub(crate) struct Consumers {
    pub(super) config: Arc<Config>,
    /// This proxy.
    pub(super) owner: Owner,
    pub(super) http: reqwest::Client,
    admin: OnceCell<Admin>,
    log: OnceCell<InstanceLog>,
    local: Mutex<HashMap<InstanceId, Arc<Local>>>,
    claims: [AsyncMutex<()>; CLAIMS],
    hasher: RandomState,
    tasks: Mutex<JoinSet<()>>,
    pub(super) stop: CancellationToken,
}

/// An instance of this proxy.
#[derive(Debug)]
pub(crate) struct Local {
    pub(super) id: InstanceId,
    pub(super) epoch: u64,
    pub(super) instance: Arc<Instance>,
    pub(super) used: Mutex<Used>,
    /// It is on its way out.
    closing: AtomicBool,
}

/// When an instance was last used.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) last: Instant,
    /// Requests that run.
    pub(super) running: usize,
    /// When its record was last written.
    pub(super) written: Instant,
}

/// A request's use of an instance of this proxy; as long as it lasts, the instance is not idle.
#[derive(Debug)]
pub(crate) struct Seat {
    local: Arc<Local>,
}

impl std::fmt::Debug for Consumers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumers")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Consumers {
    /// Nothing is connected to yet. `url` is where other proxies reach this one.
    pub(crate) fn new(config: Arc<Config>, http: reqwest::Client, url: String) -> Self {
        Self {
            config,
            owner: Owner {
                url,
                incarnation: random_uuid(),
            },
            http,
            admin: OnceCell::new(),
            log: OnceCell::new(),
            local: Mutex::default(),
            claims: std::array::from_fn(|_| AsyncMutex::new(())),
            hasher: RandomState::new(),
            tasks: Mutex::new(JoinSet::new()),
            stop: CancellationToken::new(),
        }
    }

    pub(super) async fn admin(&self) -> Result<&Admin, RestError> {
        let connect = || Admin::connect(&self.config.bootstrap_servers, AdminOptions::default());
        Ok(self.admin.get_or_try_init(connect).await?)
    }

    /// The topic; the first who asks opens it.
    pub(super) async fn log(self: &Arc<Self>) -> Result<&InstanceLog, RestError> {
        let admin = self.admin().await?;
        let open = || async {
            let log = InstanceLog::open(admin, &self.config).await?;
            self.look_after(log.watch());
            Ok::<_, RestError>(log)
        };
        self.log.get_or_try_init(open).await
    }

    /// Starts what is done without a request. Not within [`Consumers::log`], which that work itself asks.
    fn look_after(self: &Arc<Self>, applied: watch::Receiver<i64>) {
        let work = housekeeping::run(Arc::downgrade(self), applied, self.stop.clone());
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(work);
    }

    /// The topic, if somebody has opened it.
    pub(super) fn open_log(&self) -> Option<&InstanceLog> {
        self.log.get()
    }

    pub(super) fn local(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Local>>> {
        // Each change is whole by itself.
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn claim(&self, id: &InstanceId) -> AsyncMutexGuard<'_, ()> {
        let index = self.hasher.hash_one(id) % CLAIMS as u64;
        let index = usize::try_from(index).unwrap_or_default();
        let claim = self.claims.get(index).unwrap_or(&self.claims[0]);
        claim.lock().await
    }

    pub(super) fn check_room(&self) -> Result<(), RestError> {
        let max = self.config.consumers.instances_max;
        if self.local().len() >= max {
            return Err(RestError::too_many_instances(max));
        }
        Ok(())
    }

    /// Makes an instance and gives its name; without a name it gets one.
    ///
    /// # Errors
    /// 409/40902 when there is one of that name, on whichever proxy; 422/42204 for settings that librdkafka does not take;
    /// 503/50301 when this proxy has as many as it may.
    pub(crate) async fn create(
        self: &Arc<Self>,
        group: &str,
        name: Option<String>,
        settings: Settings,
    ) -> Result<String, RestError> {
        let is_new = name.is_none();
        let instance = name.unwrap_or_else(|| format!("rest-consumer-{}", random_uuid()));
        if instance.is_empty() || instance.len() > NAME_BYTES_MAX {
            return Err(RestError::invalid_consumer_config(&format!(
                "the name of an instance has 1 to {NAME_BYTES_MAX} bytes"
            )));
        }
        let id = InstanceId {
            group: group.to_owned(),
            instance,
        };
        let log = self.log().await?;
        let _claim = self.claim(&id).await;
        self.check_room()?;
        if !is_new {
            log.catch_up(self.admin().await?).await?;
        }
        if log.state().get(&id).is_some() {
            return Err(RestError::consumer_already_exists());
        }
        let record = InstanceRecord {
            epoch: 1,
            owner: self.owner.clone(),
            settings,
            interest: Interest::Nothing,
            positions: Positions::new(),
            written_ms: now_ms(),
        };
        let instance = self.start(&id, &record, Resume::default()).await?;
        log.write(&id, Some(&record)).await?;
        if !self.is_mine(&id, record.epoch) {
            instance.close().await;
            return Err(RestError::consumer_already_exists());
        }
        self.seat(id.clone(), record.epoch, instance);
        Ok(id.instance)
    }

    /// Whether the topic says that the instance is this proxy's.
    pub(super) fn is_mine(&self, id: &InstanceId, epoch: u64) -> bool {
        self.open_log().is_some_and(|log| {
            log.state()
                .get(id)
                .is_some_and(|known| known.owner == self.owner && known.epoch == epoch)
        })
    }

    /// Starts the thread of an instance. Making a consumer resolves names, which may take its time.
    pub(super) async fn start(
        &self,
        id: &InstanceId,
        record: &InstanceRecord,
        resume: Resume,
    ) -> Result<Arc<Instance>, RestError> {
        let config = self.client_config(id, &record.settings);
        let settings = record.settings.clone();
        let start = move || Instance::start(&config, settings, resume);
        match tokio::task::spawn_blocking(start).await {
            Ok(instance) => Ok(Arc::new(instance?)),
            Err(ended) => Err(RestError::internal(format!(
                "the consumer was not made: {ended}"
            ))),
        }
    }

    fn client_config(&self, id: &InstanceId, settings: &Settings) -> ClientConfig {
        let servers = &self.config.bootstrap_servers;
        let mut config = data::consumer_config(servers, CLIENT_ID, &id.group);
        // Of each instance; librdkafka's own 64 MiB are too many with hundreds of them.
        config
            .set("queued.max.messages.kbytes", "16384")
            .set("reconnect.backoff.max.ms", "1000");
        for (name, value) in &self.config.consumers.properties {
            config.set(name, value);
        }
        if let Some(reset) = &settings.offset_reset {
            config.set("auto.offset.reset", reset);
        }
        let commits = settings.commit != Some(false);
        config
            .set("enable.auto.commit", if commits { "true" } else { "false" })
            .set("enable.auto.offset.store", "false")
            .set("group.instance.id", membership::member_name(&id.instance));
        config
    }

    /// An instance of this proxy from now on.
    pub(super) fn seat(&self, id: InstanceId, epoch: u64, instance: Arc<Instance>) -> Arc<Local> {
        let now = Instant::now();
        let local = Arc::new(Local {
            id: id.clone(),
            epoch,
            instance,
            used: Mutex::new(Used {
                last: now,
                running: 0,
                written: now,
            }),
            closing: AtomicBool::new(false),
        });
        self.local().insert(id, Arc::clone(&local));
        local
    }

    /// Has the topic say where the instance's client is.
    pub(super) fn keep(&self, local: &Local) {
        let Some(log) = self.open_log() else { return };
        local.used().written = Instant::now();
        log.write_soon(&local.id, &self.record_of(local));
    }

    /// The same, and waits until it is written.
    ///
    /// # Errors
    /// It may be written all the same.
    pub(crate) async fn keep_now(self: &Arc<Self>, local: &Local) -> Result<(), RestError> {
        local.used().written = Instant::now();
        let record = self.record_of(local);
        self.log().await?.write(&local.id, Some(&record)).await
    }

    fn record_of(&self, local: &Local) -> InstanceRecord {
        let (interest, positions) = local.instance.progress();
        InstanceRecord {
            epoch: local.epoch,
            owner: self.owner.clone(),
            settings: local.instance.settings().clone(),
            interest,
            positions,
            written_ms: now_ms(),
        }
    }

    /// Deletes an instance of this proxy: its member leaves the group, and it is forgotten everywhere.
    ///
    /// # Errors
    /// The topic cannot be written; the instance is gone here all the same.
    pub(crate) async fn delete(self: &Arc<Self>, local: &Arc<Local>) -> Result<(), RestError> {
        if local.closing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let _claim = self.claim(&local.id).await;
        self.forget(local);
        local.instance.close().await;
        self.tell_group(local).await;
        self.log().await?.write(&local.id, None).await
    }

    /// Takes an instance of this proxy out of its group, so that its partitions go to others at once and it may commit
    /// what it reads on its own. librdkafka holds on to a static member, so the instance gets a new consumer.
    ///
    /// # Errors
    /// The consumer cannot be made or the topic not be written; whoever has the next request starts the instance.
    pub(crate) async fn leave(self: &Arc<Self>, local: &Arc<Local>) -> Result<(), RestError> {
        let _claim = self.claim(&local.id).await;
        if local.closing.swap(true, Ordering::AcqRel) {
            return Err(RestError::instance_is_moving());
        }
        self.forget(local);
        local.instance.close().await;
        self.tell_group(local).await;
        let record = InstanceRecord {
            interest: Interest::Nothing,
            positions: Positions::new(),
            ..self.record_of(local)
        };
        let log = self.log().await?;
        log.write(&local.id, Some(&record)).await?;
        let instance = self.start(&local.id, &record, Resume::default()).await?;
        self.seat(local.id.clone(), local.epoch, instance);
        Ok(())
    }

    /// Tells the group that the instance is no member any more.
    async fn tell_group(&self, local: &Local) {
        let left = match self.admin().await {
            Ok(admin) => membership::leave(admin, &local.id)
                .await
                .map_err(|error| ErrorChain(&error).to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = left {
            tracing::debug!(
                group_id = local.id.group,
                instance = local.id.instance,
                error,
                "the group was not told; it will find out by the session timeout"
            );
        }
    }

    /// An instance that is another proxy's now.
    pub(super) async fn drop_lost(&self, local: &Arc<Local>) {
        if local.closing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.forget(local);
        local.instance.close().await;
    }

    fn forget(&self, local: &Arc<Local>) {
        let mut all = self.local();
        if all
            .get(&local.id)
            .is_some_and(|known| Arc::ptr_eq(known, local))
        {
            all.remove(&local.id);
        }
    }

    /// Ends all threads. The instances stay in the topic: another proxy goes on with them.
    pub(crate) async fn shut_down(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.join_all().await;
        let all: Vec<Arc<Local>> = self.local().drain().map(|(_, local)| local).collect();
        for local in &all {
            self.keep(local);
        }
        if let Some(log) = self.open_log() {
            log.flush().await;
        }
        let closings = all.iter().map(|local| local.instance.close());
        futures::future::join_all(closings).await;
    }
}

impl Local {
    pub(super) fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is on its way out.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether it can be worked with.
    pub(super) fn is_open(&self) -> bool {
        !self.is_closing() && !self.instance.is_lost()
    }
}

impl Seat {
    /// A request uses the instance, and so has what the instance sent before.
    pub(super) fn take(consumers: &Consumers, local: Arc<Local>) -> Self {
        {
            let mut used = local.used();
            used.running += 1;
            used.last = Instant::now();
        }
        let seat = Self { local };
        if seat.local.instance.confirm() {
            consumers.keep(&seat.local);
        }
        seat
    }

    pub(crate) fn local(&self) -> &Arc<Local> {
        &self.local
    }

    pub(crate) fn instance(&self) -> &Arc<Instance> {
        &self.local.instance
    }

    /// Reads records, for `timeout` and so many bytes at most, and not beyond what the proxy allows.
    ///
    /// # Errors
    /// What keeps the consumer from reading.
    ///
    /// # Cancel safety
    /// Cancel safe: records that nobody takes are read again.
    pub(crate) async fn read(
        &self,
        consumers: &Consumers,
        timeout: Option<Duration>,
        bytes_max: Option<u64>,
    ) -> Result<Batch, RestError> {
        let limits = &consumers.config.consumers;
        let settings = self.instance().settings();
        let longest = settings
            .request_timeout_ms
            .map_or(limits.request_timeout, Duration::from_millis);
        let timeout = timeout.map_or(longest, |timeout| timeout.min(longest));
        let wanted = Wanted {
            deadline: Instant::now() + timeout,
            bytes_min: match settings.fetch_bytes_min {
                Some(bytes) => u64::try_from(bytes).ok(),
                None => limits.fetch_bytes_min,
            },
            bytes_max: bytes_max.unwrap_or(u64::MAX).min(limits.request_bytes_max),
        };
        self.instance().read(wanted).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut used = self.local.used();
        used.running = used.running.saturating_sub(1);
        used.last = Instant::now();
    }
}

fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(rand::random())
        .into_uuid()
        .to_string()
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
