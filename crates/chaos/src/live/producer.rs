//! Producers: plain and idempotent, and transactional.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use client::data::{
    BaseRecord, ClientContext, DataError, DeliveryResult, Message as _, Producer as _,
    ProducerContext, RDKafkaErrorCode, ThreadedProducer, producer_config,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{INPUT, MIX, Shared};
use crate::checker::events::value_of;
use crate::checker::{Event, Outcome, Place, Source, TxnOutcome};

/// How long one step of a transaction is tried.
const STEP_LIMIT: Duration = Duration::from_secs(90);
const CALL: Duration = Duration::from_secs(5);

/// A record on its way.
#[derive(Debug)]
pub(crate) struct Sent {
    place: Place,
    value: u64,
    txn: Option<u64>,
    source: Option<Source>,
}

/// Writes delivery reports down.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    shared: Shared,
}

impl ClientContext for Context {
    // Lost connections are the purpose of the exercise.
    fn log(&self, _: client::data::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: DataError, _: &str) {}
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let outcome = match result {
            Ok(message) => Outcome::Ok(Some(message.offset()).filter(|offset| *offset >= 0)),
            Err(_) => Outcome::Unknown,
        };
        self.shared.recorder.record(Event::Send {
            place: sent.place,
            value: sent.value,
            txn: sent.txn,
            source: sent.source,
            key: None,
            outcome,
        });
    }
}

type Inner = ThreadedProducer<Context>;

fn create(shared: &Shared, transactional_id: Option<&str>) -> Result<Inner> {
    let mut config = producer_config(&shared.bootstrap, "chaos");
    config
        .set("linger.ms", "1")
        .set("retry.backoff.ms", "10")
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        .set("topic.metadata.refresh.interval.ms", "500");
    match transactional_id {
        Some(id) => config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", "10000"),
        None => config.set("message.timeout.ms", "120000"),
    };
    let context = Context {
        shared: shared.clone(),
    };
    config
        .create_with_context(context)
        .context("librdkafka refused its configuration")
}

fn enqueue(producer: &Inner, sent: Sent) -> bool {
    let value = sent.value.to_string();
    let (topic, partition) = (sent.place.topic.clone(), sent.place.partition);
    let record: BaseRecord<'_, (), [u8], Box<Sent>> =
        BaseRecord::with_opaque_to(&topic, Box::new(sent))
            .partition(partition)
            .payload(value.as_bytes());
    match producer.send(record) {
        Ok(()) => true,
        Err((DataError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
            std::thread::sleep(Duration::from_millis(1));
            false
        }
        Err(_) => false,
    }
}

/// One of the partitions there are; the producer may not have heard of the newest yet, and then does not take the record.
fn place(random: &mut SmallRng, shared: &Shared, topic: &str) -> Place {
    let partitions = shared.growth.partitions(topic).max(1);
    Place::new(topic, random.random_range(0..partitions))
}

/// An idempotent producer without transactions.
///
/// # Errors
/// When librdkafka cannot be set up, or does not deliver what it took.
pub(super) fn run_plain(shared: &Shared, number: u32) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(u64::from(number));
    let producer = create(shared, None)?;
    let mut counter = 0;
    while !shared.is_stopped() {
        let sent = Sent {
            place: place(&mut random, shared, INPUT),
            value: value_of(number, counter),
            txn: None,
            source: None,
        };
        if enqueue(&producer, sent) {
            counter += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let deadline = Instant::now() + STEP_LIMIT;
    while producer.in_flight_count() > 0 {
        if Instant::now() > deadline {
            bail!("{} records have no report", producer.in_flight_count());
        }
        producer.flush(Duration::from_millis(100)).ok();
    }
    Ok(())
}

/// What is left to do with a transaction when a step of it failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It must be aborted.
    Abort,
    /// The producer is of no more use.
    Fatal,
}

/// Tries a step until it succeeds or says what must be done.
fn step(mut run: impl FnMut() -> Result<(), DataError>) -> Result<(), Trouble> {
    let deadline = Instant::now() + STEP_LIMIT;
    loop {
        match run() {
            Ok(()) => return Ok(()),
            Err(DataError::Transaction(error)) if error.txn_requires_abort() => {
                return Err(Trouble::Abort);
            }
            Err(DataError::Transaction(error))
                if error.is_retriable() && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(_) => return Err(Trouble::Fatal),
        }
    }
}

/// A transactional producer and its open transaction.
pub(crate) struct Transactional {
    shared: Shared,
    number: u32,
    id: String,
    producer: Inner,
    counter: u64,
    txn: u64,
    random: SmallRng,
}

impl Transactional {
    /// A producer that is ready to begin.
    ///
    /// # Errors
    /// When the coordinator does not take it.
    pub(crate) fn new(shared: &Shared, number: u32, seed: u64) -> Result<Transactional> {
        let id = format!("live-{number}");
        let mut new = Transactional {
            producer: create(shared, Some(&id))?,
            shared: shared.clone(),
            number,
            id,
            counter: 0,
            txn: 0,
            random: SmallRng::seed_from_u64(seed ^ u64::from(number)),
        };
        new.init()?;
        Ok(new)
    }

    fn init(&mut self) -> Result<()> {
        for _ in 0..10 {
            if step(|| self.producer.init_transactions(CALL)).is_ok() {
                return Ok(());
            }
            self.producer = create(&self.shared, Some(&self.id))?;
        }
        bail!("{} cannot be initialised", self.id)
    }

    /// Begins anew, as a process that was restarted.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.producer = create(&self.shared, Some(&self.id))?;
        self.init()
    }

    /// Begins a transaction and says its number.
    pub(crate) fn begin(&mut self) -> Result<u64> {
        self.txn = self.shared.new_txn();
        if self.producer.begin_transaction().is_err() {
            self.restart()?;
            self.producer.begin_transaction()?;
        }
        Ok(self.txn)
    }

    /// Sends one record to some partition of `topic`. `false` when librdkafka takes it for none.
    pub(crate) fn send(&mut self, topic: &str, source: Option<Source>) -> bool {
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let sent = Sent {
                place: place(&mut self.random, &self.shared, topic),
                value: value_of(self.number, self.counter),
                txn: Some(self.txn),
                source: source.clone(),
            };
            if enqueue(&self.producer, sent) {
                self.counter += 1;
                return true;
            }
        }
        false
    }

    /// Commits consumed offsets in the transaction.
    pub(crate) fn send_offsets(
        &self,
        offsets: &client::data::TopicPartitionList,
        group: &client::data::ConsumerGroupMetadata,
    ) -> Result<(), Trouble> {
        step(|| {
            self.producer
                .send_offsets_to_transaction(offsets, group, CALL)
        })
    }

    /// Commits or aborts; says what became of it. After anything but a clear end the producer begins anew.
    ///
    /// # Errors
    /// When it cannot begin anew.
    pub(crate) fn end(&mut self, commit: bool) -> Result<TxnOutcome> {
        let txn = self.txn;
        let done = if commit {
            self.shared.recorder.record(Event::CommitAsked { txn });
            step(|| self.producer.commit_transaction(CALL))
        } else {
            Err(Trouble::Abort)
        };
        let (outcome, is_sound) = match done {
            Ok(()) => {
                self.shared.advance();
                (TxnOutcome::Committed, true)
            }
            Err(Trouble::Abort) => {
                let aborted = step(|| self.producer.abort_transaction(CALL)).is_ok();
                let outcome = if aborted || !commit {
                    TxnOutcome::Aborted
                } else {
                    TxnOutcome::Unknown
                };
                (outcome, aborted)
            }
            Err(Trouble::Fatal) => (TxnOutcome::Unknown, false),
        };
        self.shared.recorder.record(Event::Ended { txn, outcome });
        if !is_sound {
            self.restart()?;
        }
        Ok(outcome)
    }
}

/// Transactions over the partitions of [`MIX`], some aborted, some left open by a restart.
///
/// # Errors
/// When the producer cannot go on.
pub(super) fn run_mix(shared: &Shared, number: u32, seed: u64) -> Result<()> {
    let mut producer = Transactional::new(shared, number, seed)?;
    while !shared.is_stopped() {
        let txn = producer.begin()?;
        for _ in 0..producer.random.random_range(1..6) {
            // One that is not taken is not part of the transaction.
            let _ = producer.send(MIX, None);
        }
        if producer.random.random_bool(0.02) {
            let outcome = TxnOutcome::Aborted;
            shared.recorder.record(Event::Ended { txn, outcome });
            producer.restart()?;
            continue;
        }
        let commit = producer.random.random_bool(0.8);
        producer.end(commit)?;
    }
    Ok(())
}
