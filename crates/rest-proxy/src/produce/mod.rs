//! Records on their way to the cluster, for both versions of the API.
//!
//! A request takes a [`Ticket`] for each record from its [`Lane`] and gives both to the producer; the producer's own
//! thread writes on the ticket what became of the record, and the lane hands that out in the order of the records. So a
//! record costs no future and no task of its own, and many acknowledgements that come together are one wake-up.
//!
//! **Invariants:** every ticket is answered once, also when the producer goes away; the order of outcomes is that of the
//! tickets.

mod compact;
mod data;
mod dead_letters;
mod encode;
mod lane;

use std::time::Duration;

use client::data::{
    BaseRecord, ClientContext, DataError, DeliveryResult, Message, OwnedHeaders, ProducerContext,
    RDKafkaErrorCode, ThreadedProducer,
};
use tokio::time::Instant;
use wire::ErrorCode;

use crate::config::Config;
use crate::error::RestError;
pub(crate) use data::{Data, Str};
pub(crate) use dead_letters::{RULE_HEADER, Undelivered};
pub(crate) use encode::{
    Encoded, NotEncoded, Source, Sources, Unfit, encode_all, encode_each, encode_one, with_schema,
};
pub(crate) use lane::{Lane, Outcome, Ticket};

/// The `client.id` that broker logs and quotas see.
pub(crate) const CLIENT_ID: &str = "affluent-rest-proxy";
/// How long a record waits for room in the producer's queue before it is refused.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often it looks.
const QUEUE_POLL: Duration = Duration::from_millis(2);

/// librdkafka's producer, which answers tickets.
pub(crate) type Sink = ThreadedProducer<Answering>;

/// Writes what became of a record on its ticket.
#[derive(Debug)]
pub(crate) struct Answering;

impl ClientContext for Answering {}

impl ProducerContext for Answering {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        ticket.answer(match result {
            Ok(message) => Outcome::Written {
                partition: message.partition(),
                offset: message.offset(),
                timestamp_ms: message.timestamp().to_millis(),
            },
            Err((error, _)) => Outcome::Failed(error.clone()),
        });
    }
}

/// A producer: idempotent, so `acks=all`; keys go to the partitions the Java client would choose.
///
/// # Errors
/// A setting librdkafka does not take.
pub(crate) fn sink(config: &Config) -> Result<Sink, DataError> {
    let mut settings = client::data::producer_config(&config.bootstrap_servers, CLIENT_ID);
    settings
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "0");
    for (name, value) in &config.producer {
        settings.set(name, value);
    }
    settings.create_with_context(Answering)
}

/// A record's parts as bytes.
#[derive(Debug, Default)]
pub(crate) struct Outgoing<'a> {
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) headers: Option<OwnedHeaders>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// Hands a record to the producer; the order of calls is the order of records in a partition. Waits while the
/// producer's queue is full. Whatever becomes of the record stands on the ticket.
pub(crate) async fn send(sink: &Sink, topic: &str, record: Outgoing<'_>, ticket: Ticket) {
    if topic.contains('\0') {
        // librdkafka takes names as C does, and no topic has such a one.
        let unknown = DataError::MessageProduction(RDKafkaErrorCode::UnknownTopic);
        ticket.answer(Outcome::Failed(unknown));
        return;
    }
    let mut record = BaseRecord {
        topic,
        partition: record.partition,
        payload: record.value,
        key: record.key,
        timestamp: record.timestamp_ms,
        headers: record.headers,
        delivery_opaque: Box::new(ticket),
    };
    let mut deadline = None;
    loop {
        let (error, back) = match sink.send(record) {
            Ok(()) => return,
            Err(refused) => refused,
        };
        let full = error == DataError::MessageProduction(RDKafkaErrorCode::QueueFull);
        let until = *deadline.get_or_insert_with(|| Instant::now() + QUEUE_WAIT_MAX);
        if !full || Instant::now() >= until {
            back.delivery_opaque.answer(Outcome::Failed(error));
            return;
        }
        record = back;
        tokio::time::sleep(QUEUE_POLL).await;
    }
}

/// What librdkafka's error means to who sent the record.
pub(crate) fn refusal(error: &DataError) -> RestError {
    let code = match error {
        DataError::MessageProduction(code) => *code,
        other => return RestError::internal(other.to_string()),
    };
    match code {
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition => {
            RestError::unknown_topic_or_partition()
        }
        RDKafkaErrorCode::MessageTimedOut => RestError::kafka(
            ErrorCode::RequestTimedOut,
            Some("the record was not acknowledged in time"),
        ),
        // Values from 0 are the broker's own codes; librdkafka's are negative.
        other => match kafka_code(other) {
            Some(code) => RestError::kafka(code, None),
            None => RestError::internal(other.to_string()),
        },
    }
}

/// The broker's own code, where librdkafka's error is one.
pub(crate) fn kafka_code(code: RDKafkaErrorCode) -> Option<ErrorCode> {
    i16::try_from(code as i32)
        .ok()
        .and_then(ErrorCode::from_code)
}
