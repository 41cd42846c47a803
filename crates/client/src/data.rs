//! Records in and out: librdkafka's producer and consumer, with this project's defaults.
//!
//! The types are `rdkafka`'s own, so its documentation holds and every librdkafka setting can be given. What
//! is added is only where a default would surprise: the bootstrap servers, a client id that broker logs can
//! show, and idempotence for producers, since a retry must not write a record twice.

pub use rdkafka::ClientConfig;
pub use rdkafka::TopicPartitionList;
pub use rdkafka::client::ClientContext;
pub use rdkafka::config::RDKafkaLogLevel;
pub use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance,
    RebalanceProtocol, StreamConsumer,
};
pub use rdkafka::error::{KafkaError as DataError, RDKafkaErrorCode};
pub use rdkafka::message::{
    BorrowedMessage, Header, Headers, Message, OwnedHeaders, OwnedMessage, Timestamp,
};
pub use rdkafka::producer::future_producer::DeliveryFuture;
pub use rdkafka::producer::{BaseRecord, DeliveryResult, FutureProducer, FutureRecord, Producer};
pub use rdkafka::producer::{ProducerContext, ThreadedProducer};
pub use rdkafka::topic_partition_list::TopicPartitionListElem;
pub use rdkafka::types::RDKafkaRespErr;
pub use rdkafka::{Offset, util::Timeout};

use std::time::{Duration, Instant};

/// Between two looks whether a producer still counts a record that it has delivered.
const LOOK: Duration = Duration::from_micros(50);

/// Settings every librdkafka client of this project starts from.
#[must_use]
pub fn client_config(bootstrap: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", client_id);
    config
}

/// Settings of a producer: idempotent (KIP-98), hence `acks=all`.
#[must_use]
pub fn producer_config(bootstrap: &str, client_id: &str) -> ClientConfig {
    let mut config = client_config(bootstrap, client_id);
    config.set("enable.idempotence", "true");
    config
}

/// Settings of a consumer in group `group`. librdkafka demands a group id even of a consumer that is given
/// its partitions; such a one neither joins the group nor commits.
///
/// librdkafka stops fetching while 100,000 messages wait (`queued.min.messages`) and looks again only after
/// `fetch.queue.backoff.ms`, by default a whole second, however fast they are taken: a consumer of small
/// records stands still most of the time (600,000 records took 3.4 s, with this setting 1.8 s).
#[must_use]
pub fn consumer_config(bootstrap: &str, client_id: &str, group: &str) -> ClientConfig {
    let mut config = client_config(bootstrap, client_id);
    config
        .set("group.id", group)
        .set("fetch.queue.backoff.ms", "10");
    config
}

/// Commits the transaction of a producer that was told of the delivery of all its records. Blocks, for `timeout` at most.
///
/// rust-rdkafka's own call begins with a flush, and that polls for 100 ms whenever a record is still counted as on its way.
/// The producer's thread takes a record off the count a moment *after* it has told of its delivery; what is committed
/// right then waits for the whole 100 ms, because the poll finds nothing. So the count is awaited first.
///
/// # Errors
/// As [`Producer::commit_transaction`].
pub fn commit_transaction(producer: &FutureProducer, timeout: Duration) -> Result<(), DataError> {
    let until = Instant::now() + timeout;
    while producer.in_flight_count() > 0 && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
    producer.commit_transaction(until.saturating_duration_since(Instant::now()))
}
