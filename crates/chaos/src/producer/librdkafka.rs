//! The producer of librdkafka, idempotent, with its delivery reports written down.
//!
//! A report of success is an acknowledgement. A report of failure is only *info*: librdkafka gives up on a
//! message whose answer it never saw, which says nothing of the log. A fatal error of the idempotent producer
//! means that the broker contradicted itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use client::data::{
    BaseRecord, ClientContext, DataError, DeliveryResult, Message as _, Producer as _,
    ProducerContext, RDKafkaErrorCode, ThreadedProducer, producer_config,
};

use crate::history::{Outcome, RecordId, Send};
use crate::producer::Signals;

/// How long the last messages may take after the stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// Messages that wait in the client; a full queue makes the producer wait.
const QUEUE_MESSAGES: usize = 500;

/// Where and what to produce.
#[derive(Clone, Debug)]
pub struct LibrdkafkaOptions {
    /// `host:port` of the broker.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// Its partitions, which are written to in turn.
    pub partitions: i32,
    /// The producer's number in the history.
    pub producer: u32,
    /// The length of a record's value.
    pub value_bytes: usize,
}

#[derive(Debug, Default)]
struct Reports {
    sends: Vec<Send>,
    fatal: Option<String>,
}

#[derive(Clone, Debug)]
struct Context {
    reports: Arc<Mutex<Reports>>,
    signals: Signals,
}

impl ClientContext for Context {
    // Lost connections are the purpose of the exercise.
    fn log(&self, _: client::data::RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: DataError, reason: &str) {
        if matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal)) {
            let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
            reports
                .fatal
                .get_or_insert_with(|| format!("{error}: {reason}"));
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<RecordId>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<RecordId>) {
        let outcome = match result {
            Ok(message) => Outcome::Ok(Some(message.offset()).filter(|offset| *offset >= 0)),
            Err(_) => Outcome::Info,
        };
        if matches!(outcome, Outcome::Ok(_)) {
            self.signals.add_acknowledged(1);
        }
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.sends.push(Send { id: *id, outcome });
    }
}

/// Produces until `signals` say stop, then waits for the last reports.
///
/// # Errors
/// When librdkafka reports a fatal error, or cannot be set up.
pub fn run(options: &LibrdkafkaOptions, signals: Signals) -> Result<Vec<Send>> {
    let reports = Arc::new(Mutex::new(Reports::default()));
    let context = Context {
        reports: Arc::clone(&reports),
        signals: signals.clone(),
    };
    let producer: ThreadedProducer<Context> = producer_config(&options.bootstrap, "chaos")
        .set("linger.ms", "1")
        .set("batch.num.messages", "50")
        .set("queue.buffering.max.messages", QUEUE_MESSAGES.to_string())
        .set("message.timeout.ms", "120000")
        .set("retry.backoff.ms", "10")
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        .create_with_context(context)
        .context("librdkafka refused its configuration")?;
    let mut counters = vec![0_u64; usize::try_from(options.partitions)?];
    let mut sent = 0_usize;
    while !signals.is_stopped() {
        let index = sent % counters.len();
        let id = RecordId {
            producer: options.producer,
            partition: i32::try_from(index)?,
            counter: counters[index],
        };
        if enqueue(&producer, options, id)? {
            counters[index] += 1;
            sent += 1;
        }
        check_fatal(&reports)?;
    }
    let deadline = Instant::now() + DRAIN_LIMIT;
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        producer.flush(Duration::from_millis(100)).ok();
        check_fatal(&reports)?;
    }
    drop(producer);
    let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
    let reported = reports.sends.len();
    ensure!(
        reported == sent,
        "librdkafka reported {reported} of {sent} messages"
    );
    Ok(std::mem::take(&mut reports.sends))
}

/// Whether the message was taken; not when the queue is full, after a moment's wait.
fn enqueue(
    producer: &ThreadedProducer<Context>,
    options: &LibrdkafkaOptions,
    id: RecordId,
) -> Result<bool> {
    let value = id.to_value(options.value_bytes);
    let record: BaseRecord<'_, (), [u8], Box<RecordId>> =
        BaseRecord::with_opaque_to(&options.topic, Box::new(id))
            .partition(id.partition)
            .payload(&value);
    match producer.send(record) {
        Ok(()) => Ok(true),
        Err((DataError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(false)
        }
        Err((error, _)) => bail!("librdkafka did not take record {id}: {error}"),
    }
}

fn check_fatal(reports: &Mutex<Reports>) -> Result<()> {
    let reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
    match &reports.fatal {
        Some(reason) => bail!("librdkafka's idempotent producer gave up: {reason}"),
        None => Ok(()),
    }
}
