//! From a request to an acknowledged record.

use std::time::Duration;

use client::data::{
    DataError, FutureProducer, FutureRecord, Header, OwnedHeaders, RDKafkaErrorCode,
};
use tokio::time::Instant;
use wire::ErrorCode;

use super::data::{ProduceRequest, Serialized};
use super::report::{Place, Report, Size, timestamp};
use crate::error::RestError;

/// How long a record waits for room in the producer's queue before it is refused.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often it looks.
const QUEUE_POLL: Duration = Duration::from_millis(2);

/// Where the records of one request go.
pub(super) struct Target {
    pub(super) producer: FutureProducer,
    pub(super) cluster_id: String,
    pub(super) topic_name: String,
}

/// A record on its way, or why it is not.
pub(super) enum Written {
    Refused(RestError),
    Waiting {
        delivery: client::data::DeliveryFuture,
        place: Place,
    },
}

impl Target {
    /// Hands a record to the producer; the order of calls is the order of records in a partition. Waits while the
    /// producer's queue is full.
    pub(super) async fn enqueue(&self, request: Result<ProduceRequest, RestError>) -> Written {
        let prepared = request.and_then(Prepared::of);
        match prepared {
            Ok(prepared) => self.send(prepared).await.unwrap_or_else(Written::Refused),
            Err(error) => Written::Refused(error),
        }
    }

    async fn send(&self, prepared: Prepared) -> Result<Written, RestError> {
        let deadline = Instant::now() + QUEUE_WAIT_MAX;
        let mut record = prepared.record(&self.topic_name);
        loop {
            match self.producer.send_result(record) {
                Ok(delivery) => {
                    let place = self.place(&prepared);
                    return Ok(Written::Waiting { delivery, place });
                }
                Err((DataError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    tokio::time::sleep(QUEUE_POLL).await;
                }
                Err((error, _)) => return Err(refusal(&error)),
            }
        }
    }

    fn place(&self, prepared: &Prepared) -> Place {
        let size = |part: &Option<Serialized>| {
            part.as_ref().map(|part| {
                let size = part.bytes.as_ref().map_or(0, Vec::len);
                Size::of(part.format, size)
            })
        };
        Place {
            cluster_id: self.cluster_id.clone(),
            topic_name: self.topic_name.clone(),
            partition_id: -1,
            offset: -1,
            timestamp: None,
            key: size(&prepared.key),
            value: size(&prepared.value),
        }
    }
}

impl Written {
    /// Waits for the acknowledgement.
    pub(super) async fn report(self) -> Report {
        match self {
            Self::Refused(error) => error.into(),
            Self::Waiting {
                delivery,
                mut place,
            } => match delivery.await {
                Ok(Ok(delivered)) => {
                    place.partition_id = delivered.partition;
                    place.offset = delivered.offset;
                    place.timestamp = delivered.timestamp.to_millis().and_then(timestamp);
                    Report::written(place)
                }
                Ok(Err((error, _))) => refusal(&error).into(),
                Err(_) => RestError::internal("the producer was closed").into(),
            },
        }
    }
}

/// A record's parts as bytes.
struct Prepared {
    partition: Option<i32>,
    timestamp_ms: Option<i64>,
    headers: Option<OwnedHeaders>,
    key: Option<Serialized>,
    value: Option<Serialized>,
}

impl Prepared {
    fn of(request: ProduceRequest) -> Result<Self, RestError> {
        if let Some(partition) = request.partition_id.filter(|partition| *partition < 0) {
            return Err(RestError::bad_request(format!(
                "partition_id {partition} is negative"
            )));
        }
        let mut headers = None;
        for header in &request.headers {
            let value = header.bytes()?;
            let known: OwnedHeaders = headers.take().unwrap_or_default();
            headers = Some(known.insert(Header {
                key: &header.name,
                value: value.as_deref(),
            }));
        }
        Ok(Self {
            partition: request.partition_id,
            timestamp_ms: request.timestamp.map(|time| time.0),
            headers,
            key: request.key.map(super::data::Datum::serialize).transpose()?,
            value: request
                .value
                .map(super::data::Datum::serialize)
                .transpose()?,
        })
    }

    fn record<'a>(&'a self, topic: &'a str) -> FutureRecord<'a, [u8], [u8]> {
        let mut record = FutureRecord::to(topic);
        record.partition = self.partition;
        record.timestamp = self.timestamp_ms;
        record.headers = self.headers.clone();
        record.key = self.key.as_ref().and_then(|key| key.bytes.as_deref());
        record.payload = self.value.as_ref().and_then(|value| value.bytes.as_deref());
        record
    }
}

/// What librdkafka's error means to who sent the record.
fn refusal(error: &DataError) -> RestError {
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
        other => match i16::try_from(other as i32)
            .ok()
            .and_then(ErrorCode::from_code)
        {
            Some(code) => RestError::kafka(code, None),
            None => RestError::internal(other.to_string()),
        },
    }
}
