//! Reading the topic, for as long as the instance runs.
//!
//! One thread polls and applies: librdkafka's consumer blocks, and a record is applied in microseconds, so there is
//! nothing to gain from tasks. The consumer reads what is committed, and says when it has come to the end.
//!
//! **Lifecycle:** the thread ends when [`Reader`] is dropped, within one poll.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use base::ErrorChain;
use client::data::{
    BaseConsumer, ClientContext, Consumer, ConsumerContext, DataError, Message, Offset,
    TopicPartitionList,
};
use tokio::sync::watch;

use super::replay::Replay;
use crate::config::RegistryConfig;

/// How often the thread looks whether it is to end.
const POLL: Duration = Duration::from_millis(100);

/// librdkafka tells the end of a partition as an error, and its context would log it as one.
#[derive(Debug, Clone, Copy)]
struct Context;

impl ClientContext for Context {
    fn error(&self, error: DataError, reason: &str) {
        if !matches!(error, DataError::PartitionEOF(_)) && !reason.contains("end of partition") {
            tracing::warn!(error = %ErrorChain(&error), reason, "the reader of the topic");
        }
    }
}

impl ConsumerContext for Context {}

/// How far the reader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The offset of the last record applied; -1 before the first.
    pub applied: i64,
    /// Whether the end of the topic, as it was at the start, has been reached. While others write without a pause the
    /// end itself is never seen.
    pub caught_up: bool,
}

/// A running reader.
#[derive(Debug)]
pub struct Reader {
    progress: watch::Receiver<Progress>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Why the topic is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReaderError {
    /// The consumer's settings are refused.
    #[error("no consumer can be made for the topic '{topic}'")]
    Consumer {
        /// Its name.
        topic: String,
        /// Why.
        #[source]
        source: DataError,
    },
    /// The operating system has no thread left.
    #[error("no thread can be started")]
    Thread(#[source] io::Error),
}

impl Reader {
    /// Starts to read `topic`, which ends at the offset `end` now, into `state`; `watch` sees it after each record.
    ///
    /// # Errors
    /// [`ReaderError`]. Brokers that are not there are none: they are waited for.
    pub fn start<S: Replay>(
        config: &RegistryConfig,
        topic: &str,
        state: Arc<RwLock<S>>,
        end: i64,
        mut watch: impl FnMut(&S) + Send + 'static,
    ) -> Result<Self, ReaderError> {
        let failed = |source| ReaderError::Consumer {
            topic: topic.to_owned(),
            source,
        };
        let consumer: BaseConsumer<Context> = client::data::consumer_config(
            &config.bootstrap_servers,
            "schema-registry-reader",
            &config.group_id,
        )
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("fetch.error.backoff.ms", "50")
        .create_with_context(Context)
        .map_err(failed)?;
        let mut partitions = TopicPartitionList::new();
        partitions
            .add_partition_offset(topic, 0, Offset::Beginning)
            .map_err(failed)?;
        consumer.assign(&partitions).map_err(failed)?;
        let (progress, watched) = watch::channel(Progress {
            applied: -1,
            caught_up: end == 0,
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("registry-reader".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    step(&consumer, &state, &progress, end);
                    watch(&state.read().unwrap_or_else(PoisonError::into_inner));
                }
            })
            .map_err(ReaderError::Thread)?;
        Ok(Self {
            progress: watched,
            stop,
            thread: Some(thread),
        })
    }

    /// How far it has come, to be watched.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the reader of the topic panicked");
        }
    }
}

fn step<S: Replay>(
    consumer: &BaseConsumer<Context>,
    state: &RwLock<S>,
    progress: &watch::Sender<Progress>,
    end: i64,
) {
    match consumer.poll(POLL) {
        None => {}
        Some(Ok(message)) => {
            let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
            let offset = message.offset();
            if let Some(key) = message.key() {
                let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = state.replay(offset, key, message.payload(), timestamp_ms) {
                    tracing::warn!(offset, error = %ErrorChain(&error), "a record is passed over");
                }
            } else {
                tracing::warn!(offset, "a record without a key is passed over");
            }
            progress.send_modify(|progress| {
                progress.applied = offset;
                progress.caught_up |= offset.saturating_add(1) >= end;
            });
        }
        Some(Err(DataError::PartitionEOF(_))) => {
            progress.send_if_modified(|progress| !std::mem::replace(&mut progress.caught_up, true));
        }
        Some(Err(error)) => {
            tracing::warn!(error = %ErrorChain(&error), "reading the topic failed; trying again");
        }
    }
}
