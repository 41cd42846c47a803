//! The topic in which proxies tell each other whose which instance is: one partition, compacted.
//!
//! One thread reads it into the [`State`]; librdkafka's consumer blocks, and a record is applied in microseconds.
//!
//! **Lifecycle:** opened by the first request for an instance, so that a proxy without consumers makes no topic; the
//! thread ends when the log is dropped, within one poll.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use base::ErrorChain;
use client::admin::{NewTopic, OffsetSpec, TopicPartition};
use client::data::{
    self, BaseConsumer, ClientContext, Consumer as _, ConsumerContext, DataError, FutureProducer,
    FutureRecord, Message as _, Offset, TopicPartitionList,
};
use client::{Admin, ClientError};
use tokio::sync::watch;
use wire::ErrorCode;

use super::record::{InstanceId, InstanceRecord};
use super::state::{Applied, State};
use crate::config::Config;
use crate::error::RestError;
use crate::produce::CLIENT_ID;

/// How often the thread looks whether it is to end.
const POLL: Duration = Duration::from_millis(100);
/// How long the topic may take: to be made, to be read, to take a record.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks whether the topic has a leader.
const PAUSE: Duration = Duration::from_millis(50);
/// Replicas of the topic, where there are as many brokers.
const REPLICAS: usize = 3;

/// The topic, read and written.
pub(super) struct InstanceLog {
    topic: String,
    state: Arc<RwLock<State>>,
    /// The offset of the next record to be applied.
    applied: watch::Receiver<i64>,
    producer: FutureProducer,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for InstanceLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceLog")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// The end of the partition comes as an error, and its context would log it as one.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: DataError, reason: &str) {
        if !matches!(error, DataError::PartitionEOF(_)) && !reason.contains("end of partition") {
            tracing::warn!(error = %ErrorChain(&error), reason, "the reader of the consumers' topic");
        }
    }
}

impl ConsumerContext for Quiet {}

impl InstanceLog {
    /// Makes the topic unless it is there, and reads it to its end.
    ///
    /// # Errors
    /// What the brokers say; 408/40801 when they take too long.
    pub(super) async fn open(admin: &Admin, config: &Config) -> Result<Self, RestError> {
        let topic = config.consumers.topic.clone();
        ensure(admin, &topic).await?;
        let end = end(admin, &topic).await?;
        let unusable = |error: DataError| RestError::internal(error.to_string());
        let mut settings = data::client_config(&config.bootstrap_servers, CLIENT_ID);
        for (name, value) in &config.producer {
            settings.set(name, value);
        }
        settings
            .set("enable.idempotence", "true")
            .set("linger.ms", "0");
        let producer = settings.create().map_err(unusable)?;
        let state = Arc::new(RwLock::new(State::default()));
        let (applied, watched) = watch::channel(0);
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            consumer: consumer(config, &topic).map_err(unusable)?,
            state: Arc::clone(&state),
            applied,
            end,
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("rest-consumers".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    reader.step();
                }
            })
            .map_err(|error| RestError::internal(format!("no thread can be started: {error}")))?;
        let log = Self {
            topic,
            state,
            applied: watched,
            producer,
            stop,
            thread: Some(thread),
        };
        log.read_up_to(end).await?;
        Ok(log)
    }

    /// What is known.
    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        // Each record is applied whole.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be told of what is read.
    pub(super) fn watch(&self) -> watch::Receiver<i64> {
        self.applied.clone()
    }

    /// Reads all that is in the topic now.
    ///
    /// # Errors
    /// As [`InstanceLog::open`].
    pub(super) async fn catch_up(&self, admin: &Admin) -> Result<(), RestError> {
        let end = end(admin, &self.topic).await?;
        self.read_up_to(end).await
    }

    async fn read_up_to(&self, end: i64) -> Result<(), RestError> {
        let mut applied = self.applied.clone();
        let read = applied.wait_for(|applied| *applied >= end);
        match tokio::time::timeout(LIMIT, read).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(RestError::timed_out(format!(
                "The topic {} could not be read within {} ms",
                self.topic,
                LIMIT.as_millis()
            ))),
        }
    }

    /// Writes a record, or that the instance is gone, and waits until it is read.
    ///
    /// # Errors
    /// The record may be written all the same.
    pub(super) async fn write(
        &self,
        id: &InstanceId,
        record: Option<&InstanceRecord>,
    ) -> Result<(), RestError> {
        let (key, value) = (id.encode(), record.map(InstanceRecord::encode));
        let sent = self
            .producer
            .send(self.record(&key, value.as_deref()), LIMIT);
        match sent.await {
            Ok(delivery) => self.read_up_to(delivery.offset.saturating_add(1)).await,
            Err((error, _)) => Err(crate::produce::refusal(&error)),
        }
    }

    /// Writes a record some time soon; one that gets lost is not missed, since the next says more.
    pub(super) fn write_soon(&self, id: &InstanceId, record: &InstanceRecord) {
        let (key, value) = (id.encode(), record.encode());
        if let Err((error, _)) = self.producer.send_result(self.record(&key, Some(&value))) {
            tracing::debug!(error = %ErrorChain(&error), "a position is not kept");
        }
    }

    fn record<'a>(
        &'a self,
        key: &'a [u8],
        value: Option<&'a [u8]>,
    ) -> FutureRecord<'a, [u8], [u8]> {
        let mut record = FutureRecord::to(&self.topic).partition(0).key(key);
        record.payload = value;
        record
    }

    /// Waits until what is to be written soon is written, or two seconds.
    pub(super) async fn flush(&self) {
        let producer = self.producer.clone();
        let flush = move || {
            use client::data::Producer as _;
            producer.flush(Duration::from_secs(2))
        };
        if !matches!(tokio::task::spawn_blocking(flush).await, Ok(Ok(()))) {
            tracing::debug!("positions of consumers may not all be kept");
        }
    }
}

impl Drop for InstanceLog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the reader of the consumers' topic panicked");
        }
    }
}

/// What the thread works with.
struct Reader {
    consumer: BaseConsumer<Quiet>,
    state: Arc<RwLock<State>>,
    applied: watch::Sender<i64>,
    /// Where the topic ended when the reader started.
    end: i64,
}

impl Reader {
    fn step(&self) {
        match self.consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let offset = message.offset();
                let applied = {
                    let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                    state.apply(message.key().unwrap_or_default(), message.payload())
                };
                if applied == Applied::Unreadable {
                    tracing::warn!(offset, "a record of the consumers' topic is passed over");
                }
                self.applied.send_replace(offset.saturating_add(1));
            }
            // Compaction may have taken the last records, so the end is known by this alone.
            Some(Err(DataError::PartitionEOF(_))) => self
                .applied
                .send_modify(|applied| *applied = self.end.max(*applied)),
            Some(Err(error)) => {
                tracing::warn!(error = %ErrorChain(&error), "reading the consumers' topic failed; trying again");
            }
        }
    }
}

fn consumer(config: &Config, topic: &str) -> Result<BaseConsumer<Quiet>, DataError> {
    let mut settings = data::consumer_config(&config.bootstrap_servers, CLIENT_ID, CLIENT_ID);
    for (name, value) in &config.consumers.properties {
        settings.set(name, value);
    }
    let consumer: BaseConsumer<Quiet> = settings
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("fetch.error.backoff.ms", "50")
        .create_with_context(Quiet)?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    Ok(consumer)
}

/// Makes the topic unless it is there, and waits for its leader.
async fn ensure(admin: &Admin, topic: &str) -> Result<(), RestError> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        match admin.describe_topic(topic).await {
            Ok(found)
                if found
                    .partitions
                    .iter()
                    .any(|partition| partition.leader.is_some()) =>
            {
                return Ok(());
            }
            Ok(_) => {}
            Err(error) if error.error_code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                create(admin, topic).await?;
            }
            Err(error) => return Err(error.into()),
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(RestError::timed_out(format!(
                "The topic {topic} has no leader"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn create(admin: &Admin, topic: &str) -> Result<(), ClientError> {
    let brokers = admin.describe_cluster().await?.brokers.len();
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: Some(1),
        replication_factor: i16::try_from(brokers.clamp(1, REPLICAS)).ok(),
        configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        ..NewTopic::default()
    };
    match admin.create_topic(&new).await {
        // Another proxy was first.
        Err(error) if error.error_code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
        made => made,
    }
}

async fn end(admin: &Admin, topic: &str) -> Result<i64, RestError> {
    let partition = TopicPartition {
        topic: topic.to_owned(),
        partition: 0,
    };
    let found = admin
        .list_offsets(std::slice::from_ref(&partition), OffsetSpec::Latest)
        .await?;
    Ok(found
        .get(&partition)
        .and_then(|listed| listed.offset)
        .unwrap_or(0))
}
