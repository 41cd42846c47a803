//! Writing to the topic: sessions of a transactional producer, as [`super`] says.
//!
//! Whoever writes takes the session's producer out of its place and puts it back once all is well: written, and read
//! back. A write that fails in any other way than by being refused, or that nobody waits for any more, leaves the place
//! empty, and the next write begins a new session, which ends what the last one left open and reads what it wrote.
//! So a session is never found with a transaction in progress, and never behind its own records.
//!
//! **Bounds:** each step takes `kafkastore.timeout.ms` at most. Being elected or not is a flag that nothing waits for, or a
//! write that hangs would keep the elector from its heartbeats.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use base::ErrorChain;
use client::data::{DataError, FutureProducer, FutureRecord, Producer, RDKafkaErrorCode};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, Notify, watch};

use super::reader::Progress;
use super::replay::{Encoded, Replay};
use crate::config::RegistryConfig;
use crate::error::RegistryError;
use crate::service::Log;
use crate::state::State;

/// The log of a running instance.
#[derive(Debug)]
pub struct KafkaLog<S = State> {
    config: RegistryConfig,
    topic: String,
    state: Arc<RwLock<S>>,
    progress: watch::Receiver<Progress>,
    /// Whether this instance may have a session.
    is_elected: AtomicBool,
    session: Mutex<Session>,
    deposed: Notify,
}

/// A log as the election sees it, whatever its records are.
pub trait Writer: Send + Sync + std::fmt::Debug {
    /// This instance was elected: it may open a session.
    fn lead(&self);

    /// Another instance was elected. A write that is under way is not waited for; no other begins.
    fn step_down(&self);

    /// Waits until a session of this instance was ended by another one's.
    ///
    /// # Cancel safety
    /// Cancel safe.
    fn deposed(&self) -> BoxFuture<'_, ()>;
}

/// A producer that everything before was fenced by, and whose state has all that was written before; or none.
#[derive(Default)]
struct Session(Option<FutureProducer>);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Open" } else { "Closed" })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A producer's last handle waits for its thread, which is no work for a thread that serves requests.
        if let Some(producer) = self.0.take() {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(move || drop(producer))),
                Err(_) => drop(producer),
            }
        }
    }
}

/// What became of a batch that was not written.
enum Failed {
    /// It was not written, and the session goes on.
    Aborted(RegistryError),
    /// Another session has begun.
    Fenced,
    /// Nobody knows.
    Unknown(RegistryError),
}

impl<S: Replay> KafkaLog<S> {
    /// A log that may not write yet.
    #[must_use]
    pub fn new(
        config: RegistryConfig,
        topic: String,
        state: Arc<RwLock<S>>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self {
            config,
            topic,
            state,
            progress,
            is_elected: AtomicBool::new(false),
            session: Mutex::default(),
            deposed: Notify::new(),
        }
    }

    fn is_elected(&self) -> bool {
        self.is_elected.load(Ordering::Acquire)
    }

    async fn open(&self) -> Result<Session, RegistryError> {
        let config = &self.config;
        let transactional_id = format!("{}-{}", config.group_id, self.topic);
        let timeout = config.timeout;
        // librdkafka takes no transaction of less than a second.
        let timeout_ms = timeout.as_millis().max(1_000).to_string();
        let session = Session(Some(
            client::data::producer_config(&config.bootstrap_servers, "schema-registry-writer")
                .set("transactional.id", transactional_id)
                // A record that is not delivered in this time is given up, and so is its transaction.
                .set("message.timeout.ms", &timeout_ms)
                .set("transaction.timeout.ms", &timeout_ms)
                .set("linger.ms", "0")
                .set("message.max.bytes", "100000000")
                .create()
                .map_err(|error| store("the producer cannot be made", &error))?,
        ));
        let producer = session.producer()?;
        blocking(producer.clone(), move |producer| {
            producer.init_transactions(timeout)
        })
        .await
        .map_err(|error| store("no session can be opened", &error))?;
        let opening = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.opening()
        };
        match self.write(producer, vec![opening]).await {
            Ok(offset) => {
                self.read_up_to(offset).await?;
                Ok(session)
            }
            Err(Failed::Aborted(error) | Failed::Unknown(error)) => Err(error),
            Err(Failed::Fenced) => Err(fenced()),
        }
    }

    /// Writes a batch, and answers with the offset of its last record.
    async fn write(
        &self,
        producer: &FutureProducer,
        records: Vec<S::Record>,
    ) -> Result<i64, Failed> {
        producer
            .begin_transaction()
            .map_err(|error| match classify(error) {
                // Nothing was written, but this session never will again.
                Failed::Aborted(error) => Failed::Unknown(error),
                failed => failed,
            })?;
        let mut deliveries = Vec::with_capacity(records.len());
        for (key, value) in self.encoded(&records) {
            let mut record = FutureRecord::to(&self.topic).partition(0).key(&key);
            if let Some(value) = &value {
                record = record.payload(value);
            }
            match producer.send_result(record) {
                Ok(delivery) => deliveries.push(delivery),
                Err((error, _)) => return Err(self.abort(producer, classify(error)).await),
            }
        }
        let mut last = -1;
        for delivery in deliveries {
            match delivery.await {
                Ok(Ok(delivered)) => last = delivered.offset,
                Ok(Err((error, _))) => return Err(self.abort(producer, classify(error)).await),
                Err(_) => return Err(Failed::Unknown(RegistryError::Timeout)),
            }
        }
        let timeout = self.config.timeout;
        let committed = blocking(producer.clone(), move |producer| {
            client::data::commit_transaction(producer, timeout)
        })
        .await;
        match committed {
            Ok(()) => Ok(last),
            Err(error) => match classify(error) {
                Failed::Aborted(error) => {
                    let failed = self.abort(producer, Failed::Aborted(error)).await;
                    Err(match failed {
                        Failed::Aborted(error) => Failed::Unknown(error),
                        failed => failed,
                    })
                }
                failed => Err(failed),
            },
        }
    }

    /// The bytes of each record, and a tombstone for every other spelling of its key.
    fn encoded(&self, records: &[S::Record]) -> Vec<Encoded> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let records = records.iter();
        records.flat_map(|record| state.encode(record)).collect()
    }

    async fn abort(&self, producer: &FutureProducer, cause: Failed) -> Failed {
        let Failed::Aborted(cause) = cause else {
            return cause;
        };
        let timeout = self.config.timeout;
        let aborted = blocking(producer.clone(), move |producer| {
            producer.abort_transaction(timeout)
        })
        .await;
        match aborted {
            Ok(()) => Failed::Aborted(cause),
            Err(error) => match classify(error) {
                Failed::Fenced => Failed::Fenced,
                Failed::Aborted(_) | Failed::Unknown(_) => Failed::Unknown(cause),
            },
        }
    }

    async fn read_up_to(&self, offset: i64) -> Result<(), RegistryError> {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|progress| progress.applied >= offset);
        match tokio::time::timeout(self.config.timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(RegistryError::Store {
                message: "the topic is not read any more".to_owned(),
            }),
            Err(_) => Err(RegistryError::Timeout),
        }
    }

    async fn ready(&self) -> Result<(), RegistryError> {
        let mut session = self.session.lock().await;
        if !self.is_elected() {
            drop(std::mem::take(&mut *session));
            return Err(fenced());
        }
        if session.0.is_none() {
            *session = self.open().await?;
        }
        Ok(())
    }

    async fn append(&self, records: Vec<S::Record>) -> Result<(), RegistryError> {
        let mut place = self.session.lock().await;
        let session = std::mem::take(&mut *place);
        let producer = session.producer()?;
        let error = match self.write(producer, records).await {
            Ok(offset) => match self.read_up_to(offset).await {
                Ok(()) => {
                    *place = session;
                    return Ok(());
                }
                // It was written, and the next plan must not be made without it.
                Err(error) => error,
            },
            Err(Failed::Aborted(error)) => {
                *place = session;
                return Err(error);
            }
            Err(Failed::Fenced) => {
                tracing::warn!("another instance writes now");
                self.is_elected.store(false, Ordering::Release);
                self.deposed.notify_one();
                return Err(fenced());
            }
            Err(Failed::Unknown(error)) => error,
        };
        tracing::warn!(error = %error, "the outcome of a write is unknown; a new session will tell");
        Err(error)
    }
}

impl Session {
    fn producer(&self) -> Result<&FutureProducer, RegistryError> {
        self.0.as_ref().ok_or_else(fenced)
    }
}

impl<S: Replay> Writer for KafkaLog<S> {
    fn lead(&self) {
        self.is_elected.store(true, Ordering::Release);
    }

    fn step_down(&self) {
        self.is_elected.store(false, Ordering::Release);
        if let Ok(mut session) = self.session.try_lock() {
            drop(std::mem::take(&mut *session));
        }
    }

    fn deposed(&self) -> BoxFuture<'_, ()> {
        self.deposed.notified().boxed()
    }
}

impl<S: Replay> Log<S::Record> for KafkaLog<S> {
    fn ready(&self) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.ready().boxed()
    }

    fn append(&self, records: Vec<S::Record>) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.append(records).boxed()
    }
}

async fn blocking(
    producer: FutureProducer,
    call: impl FnOnce(&FutureProducer) -> Result<(), DataError> + Send + 'static,
) -> Result<(), DataError> {
    match tokio::task::spawn_blocking(move || call(&producer)).await {
        Ok(result) => result,
        Err(_) => Err(DataError::Canceled),
    }
}

fn fenced() -> RegistryError {
    RegistryError::UnknownLeader { operation: "Write" }
}

fn store(what: &str, error: &DataError) -> RegistryError {
    RegistryError::Store {
        message: format!("{what}: {}", ErrorChain(error)),
    }
}

fn classify(error: DataError) -> Failed {
    if let DataError::Transaction(cause) = &error {
        if cause.is_fatal() {
            return Failed::Fenced;
        }
        if cause.txn_requires_abort() {
            return Failed::Aborted(store("the write was refused", &error));
        }
    }
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            Failed::Aborted(RegistryError::TooLarge)
        }
        Some(
            RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
            | RDKafkaErrorCode::Fatal,
        ) => Failed::Fenced,
        Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::MessageTimedOut) => {
            Failed::Unknown(RegistryError::Timeout)
        }
        Some(_) | None => Failed::Aborted(store("the write failed", &error)),
    }
}
