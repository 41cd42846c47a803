//! What can go wrong between a client and a broker.
//!
//! [`ClientError`] tells conditions apart that a caller treats differently: the broker cannot be reached, the
//! connection ended (so whether the request took effect is unknown), the two sides share no version, or the
//! broker answered with an error code ([`KafkaError`]). Sources are never part of a message; print the chain
//! with [`base::ErrorChain`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wire::codec::{DecodeErrorKind, EncodeError};
use wire::{DecodeError, ErrorCode};

/// Why a request has no answer, or no good one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection could be made; nothing was sent.
    #[error("cannot connect to '{address}'")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A bootstrap address that is none.
    #[error(
        "'{value}' is not a bootstrap address: expected host:port, several separated by commas"
    )]
    InvalidAddress {
        /// The text given.
        value: String,
    },
    /// The connection ended before the answer came. Whether the request took effect is unknown.
    #[error("{api} to '{address}' was not answered")]
    Closed {
        /// The API's name.
        api: &'static str,
        /// `host:port`.
        address: String,
        /// Why the connection ended.
        #[source]
        reason: CloseReason,
    },
    /// The two sides share no version of the API.
    #[error("'{address}' does not support {api}: this client speaks versions {ours_min} to {ours_max}, {}", broker_range(*.theirs))]
    NotSupported {
        /// The API's name.
        api: &'static str,
        /// `host:port`.
        address: String,
        /// Our oldest version.
        ours_min: i16,
        /// Our newest version.
        ours_max: i16,
        /// The broker's range, or `None` when it does not have the API at all.
        theirs: Option<(i16, i16)>,
    },
    /// The request holds something that the chosen version cannot say.
    #[error("{api} cannot be sent")]
    Encode {
        /// The API's name.
        api: &'static str,
        /// What is wrong.
        #[source]
        source: EncodeError,
    },
    /// The answer is not what the protocol says it is.
    #[error("the answer of '{address}' cannot be read")]
    Decode {
        /// `host:port`.
        address: String,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
    /// The answer lacks what was asked for.
    #[error("the answer of '{address}' to {api} does not mention {subject}")]
    Incomplete {
        /// The API's name.
        api: &'static str,
        /// `host:port`.
        address: String,
        /// What is missing.
        subject: String,
    },
    /// The broker answered with an error code.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

fn broker_range(theirs: Option<(i16, i16)>) -> String {
    match theirs {
        Some((min, max)) => format!("the broker versions {min} to {max}"),
        None => "the broker has no such API".to_owned(),
    }
}

impl ClientError {
    /// The Kafka error code, when the broker sent one that Kafka 4.4 knows.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Kafka(error) => ErrorCode::from_code(error.code),
            _ => None,
        }
    }
}

/// A broker's answer that is an error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaError {
    /// The API's name, such as `CreateTopics`.
    pub api: &'static str,
    /// What the error is about, such as `topic 'orders'`.
    pub subject: String,
    /// The number on the wire.
    pub code: i16,
    /// The broker's own words, if it sent any.
    pub message: Option<String>,
}

impl KafkaError {
    /// Kafka's name for the code.
    #[must_use]
    pub fn name(&self) -> &'static str {
        ErrorCode::from_code(self.code).map_or("UNKNOWN_ERROR_CODE", ErrorCode::name)
    }
}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} for {}: {} ({})",
            self.api,
            self.subject,
            self.name(),
            self.code
        )?;
        match self.message.as_deref() {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for KafkaError {}

/// Why a connection ended. Every request that waits on it gets the same reason.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The broker closed it.
    #[error("the broker closed the connection")]
    Peer,
    /// Reading or writing failed.
    #[error("{0}")]
    Io(Arc<std::io::Error>),
    /// A request went without an answer for too long. The connection is given up, as in the Java client:
    /// answers come in order, so whatever follows would be late as well.
    #[error("no answer to {api} within {} ms", .after.as_millis())]
    TimedOut {
        /// The API's name.
        api: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// A frame that is longer than this client accepts, or negative.
    #[error("a response of {length} bytes: expected 4 to {max}")]
    FrameLength {
        /// The length on the wire.
        length: i32,
        /// The most this client accepts.
        max: usize,
    },
    /// A response to another request than the oldest that waits.
    #[error("a response to request {found}: expected {}", expected_correlation(*.expected))]
    OutOfOrder {
        /// The correlation id on the wire.
        found: i32,
        /// The oldest request that waits, if any.
        expected: Option<i32>,
    },
    /// A response header that cannot be read.
    #[error("a response header that cannot be read: {0}")]
    Header(DecodeErrorKind),
    /// The last handle of the connection was dropped.
    #[error("the connection was dropped")]
    Dropped,
}

fn expected_correlation(expected: Option<i32>) -> String {
    expected.map_or_else(
        || "no response at all".to_owned(),
        |id| format!("one to {id}"),
    )
}
