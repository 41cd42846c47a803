//! Writing to the topic: sessions of a transactional producer, as [`super`] says.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base::ErrorChain;
use client::data::{DataError, FutureProducer, FutureRecord, Producer, RDKafkaErrorCode};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, Notify, watch};

use super::reader::Progress;
use crate::config::RegistryConfig;
use crate::error::RegistryError;
use crate::service::Log;
use crate::state::{Record, State};

/// The log of a running instance.
#[derive(Debug)]
pub struct KafkaLog {
    config: RegistryConfig,
    state: Arc<RwLock<State>>,
    progress: watch::Receiver<Progress>,
    session: Mutex<Session>,
    deposed: Notify,
}

/// Whether this instance may write, and does.
enum Session {
    /// Another one writes.
    Closed,
    /// This one may open a session.
    Allowed,
    /// It has: everything before is read.
    Open(FutureProducer),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "Closed",
            Self::Allowed => "Allowed",
            Self::Open(_) => "Open",
        })
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

impl KafkaLog {
    /// A log that may not write yet.
    #[must_use]
    pub fn new(
        config: RegistryConfig,
        state: Arc<RwLock<State>>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self {
            config,
            state,
            progress,
            session: Mutex::new(Session::Closed),
            deposed: Notify::new(),
        }
    }

    /// This instance was elected: it may open a session.
    pub async fn lead(&self) {
        let mut session = self.session.lock().await;
        if matches!(*session, Session::Closed) {
            *session = Session::Allowed;
        }
    }

    /// Another instance was elected.
    pub async fn step_down(&self) {
        let old = std::mem::replace(&mut *self.session.lock().await, Session::Closed);
        discard(old);
    }

    /// Waits until a session of this instance was ended by another one's.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn deposed(&self) {
        self.deposed.notified().await;
    }

    async fn open(&self) -> Result<FutureProducer, RegistryError> {
        let config = &self.config;
        let transactional_id = format!("{}-{}", config.group_id, config.topic);
        let producer: FutureProducer =
            client::data::producer_config(&config.bootstrap_servers, "schema-registry-writer")
                .set("transactional.id", transactional_id)
                .set("linger.ms", "0")
                .set("message.max.bytes", "100000000")
                .create()
                .map_err(|error| store("the producer cannot be made", &error))?;
        let timeout = config.init_timeout;
        blocking(producer.clone(), move |producer| {
            producer.init_transactions(timeout)
        })
        .await
        .map_err(|error| store("no session can be opened", &error))?;
        let noop = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.noop()
        };
        match self.write(&producer, vec![noop]).await {
            Ok(offset) => {
                self.read_up_to(offset, config.init_timeout).await?;
                Ok(producer)
            }
            Err(Failed::Aborted(error) | Failed::Unknown(error)) => Err(error),
            Err(Failed::Fenced) => Err(fenced()),
        }
    }

    /// Writes a batch, and answers with the offset of its last record.
    async fn write(&self, producer: &FutureProducer, records: Vec<Record>) -> Result<i64, Failed> {
        producer.begin_transaction().map_err(classify)?;
        let mut deliveries = Vec::with_capacity(records.len());
        for (key, value) in self.encoded(&records) {
            let mut record = FutureRecord::to(&self.config.topic).partition(0).key(&key);
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
            producer.commit_transaction(timeout)
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
    fn encoded(&self, records: &[Record]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut encoded = Vec::with_capacity(records.len());
        for record in records {
            for old in state.other_spellings(&record.key) {
                encoded.push((old.to_vec(), None));
            }
            encoded.push((record.key.encode(), record.encode_value()));
        }
        encoded
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

    async fn read_up_to(&self, offset: i64, limit: Duration) -> Result<(), RegistryError> {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|progress| progress.applied >= offset);
        match tokio::time::timeout(limit, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(RegistryError::Store {
                message: "the topic is not read any more".to_owned(),
            }),
            Err(_) => Err(RegistryError::Timeout),
        }
    }

    async fn ready(&self) -> Result<(), RegistryError> {
        let mut session = self.session.lock().await;
        match *session {
            Session::Open(_) => Ok(()),
            Session::Closed => Err(fenced()),
            Session::Allowed => {
                *session = Session::Open(self.open().await?);
                Ok(())
            }
        }
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), RegistryError> {
        let mut session = self.session.lock().await;
        let Session::Open(producer) = &*session else {
            return Err(fenced());
        };
        let error = match self.write(producer, records).await {
            Ok(offset) => return self.read_up_to(offset, self.config.timeout).await,
            Err(Failed::Aborted(error)) => return Err(error),
            Err(Failed::Fenced) => {
                tracing::warn!("another instance writes now");
                discard(std::mem::replace(&mut *session, Session::Closed));
                self.deposed.notify_one();
                return Err(fenced());
            }
            Err(Failed::Unknown(error)) => error,
        };
        tracing::warn!(error = %error, "the outcome of a write is unknown; a new session will tell");
        discard(std::mem::replace(&mut *session, Session::Allowed));
        Err(error)
    }
}

impl Log for KafkaLog {
    fn ready(&self) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.ready().boxed()
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), RegistryError>> {
        self.append(records).boxed()
    }
}

/// A producer's last handle waits for its thread, which is no work for a thread that serves requests.
fn discard(session: Session) {
    if let Session::Open(producer) = session {
        drop(tokio::task::spawn_blocking(move || drop(producer)));
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
