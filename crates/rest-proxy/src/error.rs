//! What a request gets that cannot be served: an HTTP status and `{"error_code": .., "message": ..}`.
//!
//! The codes are those of Confluent's proxy (`KafkaExceptionMapper` of rest-utils 8, `Errors` of kafka-rest): a code
//! of three digits is the status itself, one of five says more. The exhaustive match from Kafka's errors is here and
//! nowhere else.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use client::ClientError;
use serde::Serialize;
use wire::ErrorCode;

/// A request's failure, as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (error code {code})")]
pub struct RestError {
    /// The HTTP status.
    pub status: StatusCode,
    /// `error_code`.
    pub code: i32,
    /// `message`: what is wrong, with the value.
    pub message: String,
}

/// The body of a failure.
#[derive(Debug, Serialize)]
struct ErrorBody<'a> {
    error_code: i32,
    message: &'a str,
}

impl RestError {
    fn new(status: StatusCode, code: i32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// 400 with the plain code, for a body or parameter that cannot be read.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 400, message)
    }

    /// 404 with the plain code, for a resource of the proxy.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, 404, message)
    }

    /// 404 for an address at which there is nothing.
    pub fn no_such_path() -> Self {
        Self::not_found("HTTP 404 Not Found")
    }

    /// 404/40403: no such topic or partition.
    pub fn unknown_topic_or_partition() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            40403,
            "This server does not host this topic-partition.",
        )
    }

    /// 404/40401: version 2's word for a topic that is not there.
    pub fn topic_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 40401, "Topic not found.")
    }

    /// 404/40402: version 2's word for a partition that is not there.
    pub fn partition_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 40402, "Partition not found.")
    }

    /// 404/40403: no such consumer instance, or no more.
    pub fn consumer_instance_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 40403, "Consumer instance not found.")
    }

    /// 403/40301.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, 40301, message)
    }

    /// 406: nothing of what the client accepts is what there is.
    pub fn not_acceptable() -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, 406, "HTTP 406 Not Acceptable")
    }

    /// 406/40601: records are asked for in another format than the instance was made for.
    pub fn consumer_format_mismatch() -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            40601,
            "The requested embedded data format does not match the deserializer for this consumer instance",
        )
    }

    /// 408/40801: the cluster took too long.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, 40801, message)
    }

    /// 408 with the plain code: a stream of records that has lasted as long as it may.
    pub fn stream_too_long() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            408,
            "Streaming connection open for longer than allowed: Connection will be closed.",
        )
    }

    /// 409/40902: an instance of that name is there.
    pub fn consumer_already_exists() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            40902,
            "Consumer with specified consumer ID already exists in the specified consumer group.",
        )
    }

    /// 409/40903: what is asked for does not go with what was asked for before.
    pub fn illegal_state(what: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            40903,
            format!("Illegal state: {what}"),
        )
    }

    /// 422/42201: keys, and no schema for them.
    pub fn key_schema_missing() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42201,
            "Request includes keys but does not include key schema",
        )
    }

    /// 422/42202: values, and no schema for them.
    pub fn value_schema_missing() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42202,
            "Request includes values but does not include value schema",
        )
    }

    /// 422/42203: data that does not fit its schema or format.
    pub fn json_conversion(what: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42203,
            format!("Conversion of JSON to Object failed: {what}"),
        )
    }

    /// 422/42204: a setting of an instance that is not usable.
    pub fn invalid_consumer_config(what: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42204,
            format!("Invalid consumer configuration: {what}"),
        )
    }

    /// 422/40001: a setting of an instance that is out of its range. The status is Confluent's own, which does not go
    /// with the code.
    pub fn consumer_config_constraint(what: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            40001,
            format!("Invalid consumer configuration. It does not abide by the constraints: {what}"),
        )
    }

    /// 422/42205: a text that is no schema.
    pub fn invalid_schema(what: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42205,
            format!("Invalid schema: {what}"),
        )
    }

    /// 422/42206: a body that is none.
    pub fn invalid_payload(what: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42206,
            format!("Payload error. {what}"),
        )
    }

    /// 422/42207: a record cannot be made with the schema it names.
    pub fn serialization(what: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42207,
            format!("Error serializing message. {what}"),
        )
    }

    /// 503/50301: as many instances as there may be.
    pub fn too_many_instances(max: usize) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            50301,
            format!(
                "This proxy has {max} consumer instances, the most it may have: delete one, or raise consumer.instances.max"
            ),
        )
    }

    /// 503/50302: an instance is on its way from one proxy to another.
    pub fn instance_is_moving() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            50302,
            "The consumer instance is moving between proxies: try again",
        )
    }

    /// 421: the instance is not this proxy's, said to the proxy that thought so.
    pub fn misdirected() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            421,
            "The consumer instance is not on this proxy",
        )
    }

    /// 405: the path is known, the method is not.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            405,
            "HTTP 405 Method Not Allowed",
        )
    }

    /// 413: a record's JSON above the limit.
    pub fn too_large(bytes: usize, max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            413,
            format!(
                "Produce request size is larger than allowed threshold: {bytes} bytes, the limit is {max}"
            ),
        )
    }

    /// 415: the body is not JSON.
    pub fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            415,
            "HTTP 415 Unsupported Media Type",
        )
    }

    /// 422/42208: a batch of records that is none.
    pub fn produce_batch(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, 42208, message)
    }

    /// 422 with the plain code, for a body that makes no sense.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, 422, message)
    }

    /// Whether the cluster says that there is no such group.
    pub(crate) fn is_unknown_group(error: &ClientError) -> bool {
        error.error_code() == Some(ErrorCode::GroupIdNotFound)
    }

    /// 500/50002: the proxy's own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 50002, message)
    }

    /// The answer to a Kafka error code, with the broker's words, or else Kafka's own for the code.
    pub fn kafka(code: ErrorCode, message: Option<&str>) -> Self {
        let (status, rest_code) = status_of(code);
        let message = match message {
            Some(message) if !message.is_empty() => message,
            _ => words_of(code),
        };
        Self::new(status, rest_code, message)
    }
}

/// Status and error code of a Kafka error, as `KafkaExceptionMapper` maps the exception of that error.
fn status_of(code: ErrorCode) -> (StatusCode, i32) {
    match code {
        ErrorCode::SaslAuthenticationFailed
        | ErrorCode::UnsupportedSaslMechanism
        | ErrorCode::IllegalSaslState => (StatusCode::UNAUTHORIZED, 40101),
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed
        | ErrorCode::DelegationTokenAuthorizationFailed => (StatusCode::FORBIDDEN, 40301),
        ErrorCode::UnknownTopicOrPartition => (StatusCode::NOT_FOUND, 40403),
        ErrorCode::GroupIdNotFound => (StatusCode::NOT_FOUND, 404),
        ErrorCode::BrokerNotAvailable => (StatusCode::SERVICE_UNAVAILABLE, 50302),
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, 413)
        }
        ErrorCode::InvalidReplicationFactor
        | ErrorCode::InvalidReplicaAssignment
        | ErrorCode::SecurityDisabled
        | ErrorCode::UnsupportedVersion
        | ErrorCode::InvalidPartitions
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidTopicException
        | ErrorCode::InvalidRecord
        | ErrorCode::InvalidTimestamp
        | ErrorCode::UnknownServerError
        | ErrorCode::PolicyViolation
        | ErrorCode::TopicAlreadyExists
        | ErrorCode::InvalidConfig => (StatusCode::BAD_REQUEST, 40002),
        retriable if retriable.is_retriable() => (StatusCode::INTERNAL_SERVER_ERROR, 50003),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, 50002),
    }
}

/// What Kafka says of an error when the broker sends no message (`Errors`); of one that no request here can have, its name.
fn words_of(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UnknownServerError => {
            "The server experienced an unexpected error when processing the request."
        }
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.",
        ErrorCode::InvalidTopicException => {
            "The request attempted to perform an operation on an invalid topic."
        }
        ErrorCode::TopicAlreadyExists => "Topic with this name already exists.",
        ErrorCode::TopicDeletionDisabled => "Topic deletion is disabled.",
        ErrorCode::InvalidPartitions => "Number of partitions is below 1.",
        ErrorCode::InvalidReplicationFactor => {
            "Replication factor is below 1 or larger than the number of available brokers."
        }
        ErrorCode::InvalidReplicaAssignment => "Replica assignment is invalid.",
        ErrorCode::InvalidConfig => "Configuration is invalid.",
        ErrorCode::PolicyViolation => "Request parameters do not satisfy the configured policy.",
        ErrorCode::UnsupportedVersion => "The version of API is not supported.",
        ErrorCode::NotController => "This is not the correct controller for this cluster.",
        ErrorCode::LeaderNotAvailable => {
            "There is no leader for this topic-partition as we are in the middle of a leadership election."
        }
        ErrorCode::RequestTimedOut => "The request timed out.",
        ErrorCode::BrokerNotAvailable => "The broker is not available.",
        ErrorCode::CoordinatorLoadInProgress => {
            "The coordinator is loading and hence can't process requests."
        }
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
        ErrorCode::NotCoordinator => "This is not the correct coordinator.",
        ErrorCode::NotEnoughReplicas => {
            "Messages are rejected since there are fewer in-sync replicas than required."
        }
        ErrorCode::NotEnoughReplicasAfterAppend => {
            "Messages are written to the log, but to fewer in-sync replicas than required."
        }
        ErrorCode::InvalidTimestamp => "The timestamp of the message is out of acceptable range.",
        ErrorCode::UnknownMemberId => "The coordinator is not aware of this member.",
        ErrorCode::IllegalGeneration => "Specified group generation id is not valid.",
        ErrorCode::RebalanceInProgress => "The group is rebalancing, so a rejoin is needed.",
        ErrorCode::ThrottlingQuotaExceeded => "The throttling quota has been exceeded.",
        ErrorCode::MessageTooLarge => {
            "The request included a message larger than the maximum message size the server can accept."
        }
        ErrorCode::RecordListTooLarge => {
            "The request included message batch larger than the configured segment size on the server."
        }
        ErrorCode::TopicAuthorizationFailed => "Topic authorization failed.",
        ErrorCode::GroupAuthorizationFailed => "Group authorization failed.",
        ErrorCode::ClusterAuthorizationFailed => "Cluster authorization failed.",
        ErrorCode::SecurityDisabled => "Security features are disabled.",
        ErrorCode::InvalidRecord => {
            "This record has failed the validation on the broker and hence will be rejected."
        }
        ErrorCode::GroupIdNotFound => "The group id does not exist.",
        ErrorCode::NonEmptyGroup => "The group is not empty.",
        other => other.name(),
    }
}

impl From<ClientError> for RestError {
    fn from(error: ClientError) -> Self {
        if let ClientError::Kafka(kafka) = &error {
            let code = error.error_code().unwrap_or(ErrorCode::UnknownServerError);
            return Self::kafka(code, kafka.message.as_deref());
        }
        let message = base::ErrorChain(&error).to_string();
        match error {
            ClientError::NotSupported { .. } => Self::new(StatusCode::BAD_REQUEST, 40002, message),
            ClientError::Unreachable { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, 50302, message)
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, 50002, message),
        }
    }
}

impl From<BytesRejection> for RestError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                413,
                "HTTP 413 Request Entity Too Large",
            )
        } else {
            Self::bad_request(rejection.body_text())
        }
    }
}

impl From<QueryRejection> for RestError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error_code: self.code,
            message: &self.message,
        };
        (self.status, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_first_three_digits_of_the_code() {
        for number in 0..=200 {
            let Some(code) = ErrorCode::from_code(number) else {
                continue;
            };
            let error = RestError::kafka(code, None);
            let digits = error.code.to_string();
            assert_eq!(digits.get(..3), Some(error.status.as_str()), "{code:?}");
            assert!(!error.message.is_empty());
        }
    }

    #[test]
    fn the_brokers_words_come_first() {
        let error = RestError::kafka(
            ErrorCode::TopicAlreadyExists,
            Some("Topic 'a' already exists."),
        );
        assert_eq!((error.status, error.code), (StatusCode::BAD_REQUEST, 40002));
        assert_eq!(error.message, "Topic 'a' already exists.");
    }
}
