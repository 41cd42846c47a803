//! What went wrong, for a person: the thing, its value, what was expected, and what to do.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use base::ErrorChain;
use client::ClientError;
use client::data::{DataError, RDKafkaErrorCode};
use wire::ErrorCode;

/// What a command ends with.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A failed command: one line that says what is wrong, and, where there is one, the remedy.
#[derive(Debug)]
pub struct Failure {
    message: String,
    remedy: Option<String>,
    broken_pipe: bool,
}

impl Failure {
    /// A failure in one sentence that names the thing, its value and what was expected.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            remedy: None,
            broken_pipe: false,
        }
    }

    /// A failure with all of its causes.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Failure {
        Failure::new(ErrorChain(error).to_string())
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Failure {
        self.remedy = Some(remedy.into());
        self
    }

    /// Says before the failure what it made impossible.
    #[must_use]
    pub fn within(mut self, what: &str) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The sentence, without the remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether nobody reads the output any more, which is no failure at all.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    /// Prints the failure to standard error. When even that is closed, the exit code has to do.
    pub fn report(&self) {
        drop(writeln!(io::stderr(), "{self}"));
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error: {}", self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\nTry: {remedy}"),
            None => Ok(()),
        }
    }
}

/// Standard output failed. A reader that went away is told apart: see [`Failure::is_broken_pipe`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure {
            message: format!("cannot write to standard output: {error}"),
            remedy: None,
            broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let failure = Failure::of(&error);
        match remedy_of(&error) {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

/// librdkafka's errors name their cause themselves, so the chain is not walked.
impl From<DataError> for Failure {
    fn from(error: DataError) -> Failure {
        match &error {
            DataError::ClientConfig(_, reason, key, value) => Failure::new(format!(
                "config '{key}' = '{value}' is not usable: {reason}"
            ))
            .remedy("librdkafka's CONFIGURATION.md lists every setting"),
            DataError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) => Failure::new(
                error.to_string(),
            )
            .remedy("raise the topic's max.message.bytes, and here --config message.max.bytes=..."),
            _ => Failure::new(error.to_string()),
        }
    }
}

fn remedy_of(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::Unreachable { .. } => Some(
            "start a broker with `affluent start`, or name one that runs with --bootstrap host:port",
        ),
        ClientError::InvalidAddress { .. } => Some("--bootstrap localhost:9092"),
        ClientError::Closed { .. } => Some(
            "check that the address is a Kafka listener without TLS, then look at the broker's log",
        ),
        ClientError::NotSupported { .. } => Some("a broker of Apache Kafka 3.0 or newer"),
        _ => error.error_code().and_then(remedy_of_code),
    }
}

/// What to do about a broker's refusal, where its own message does not say.
fn remedy_of_code(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::UnknownTopicOrPartition => Some(
            "`affluent kafka topic list` shows the topics there are; \
             `affluent kafka topic create` makes one",
        ),
        ErrorCode::TopicAlreadyExists => {
            Some("pass --if-not-exists to accept the topic as it is, or choose another name")
        }
        ErrorCode::GroupIdNotFound => {
            Some("`affluent kafka consumer group list` shows the groups there are")
        }
        ErrorCode::InvalidReplicationFactor => Some(
            "a replication factor from 1 to the number of brokers; leave the flag out for the broker's default",
        ),
        ErrorCode::InvalidTopicException => {
            Some("1 to 249 characters of a-z, A-Z, 0-9, '.', '_' and '-', and not '.' or '..'")
        }
        ErrorCode::InvalidConfig => {
            Some("`affluent kafka topic configuration list` shows each key with its value")
        }
        ErrorCode::KafkaStorageError => {
            Some("look at the broker's log: its disk failed or is full")
        }
        _ => None,
    }
}

/// A line on standard error, if anybody listens: prompts, warnings, what was done.
pub fn note(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_cause_and_the_remedy() {
        let refused = ClientError::Unreachable {
            address: "localhost:9".to_owned(),
            source: io::Error::from(io::ErrorKind::ConnectionRefused),
        };
        let text = Failure::from(refused).to_string();
        assert_eq!(
            text,
            "Error: cannot connect to 'localhost:9': connection refused\n\
             Try: start a broker with `affluent start`, or name one that runs with --bootstrap host:port"
        );
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_broken_pipe());
        assert!(!Failure::from(io::Error::from(io::ErrorKind::StorageFull)).is_broken_pipe());
    }
}
