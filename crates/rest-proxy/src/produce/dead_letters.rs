//! Records that a rule refuses, kept in the topic that the rule names (`DlqAction` of Confluent's clients, 8.2).
//!
//! ```text
//! headers   those of the record, then __rule.name, __rule.mode, __rule.subject, __rule.topic, __rule.exception
//! key       as it was before the rules       value   likewise
//! ```
//! The record is refused all the same. A letter that cannot be written is an error in the log, and changes nothing of the
//! answer.
//!
//! Differs: whoever sent the record is answered once the letter is written, so that it is there to be looked at; the
//! counterpart does that only with `dlq.auto.flush`, and without writes it some time later.

use std::sync::Arc;
use std::time::Duration;

use base::ErrorChain;
use client::data::{Header, OwnedHeaders};

use super::encode::{NotEncoded, Unfit};
use super::lane::{Lane, Outcome};
use super::{Outgoing, send};
use crate::error::RestError;
use crate::proxy::Proxy;
use crate::schemas::DeadLetter;

/// The header that names the rule. Whoever reads the letter leaves that rule out, or could not read it either.
pub(crate) const RULE_HEADER: &str = "__rule.name";

/// How long an answer waits for a letter; it is written later then.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A record that is to be kept.
#[derive(Debug)]
pub(crate) struct Undelivered {
    /// Why, and where. Its body is in key or value.
    pub(crate) letter: Box<DeadLetter>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Undelivered {
    /// Writes the record, which was of `topic`, to its queue.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the letter unwritten.
    pub(crate) async fn keep(self, proxy: &Proxy, topic: &str, headers: Option<OwnedHeaders>) {
        let queue = self.letter.topic.clone();
        let rule = self.letter.rule.clone();
        let kept = tokio::time::timeout(WAIT_MAX, self.write(proxy, topic, headers)).await;
        let error = match kept {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => format!("it is not acknowledged within {} s", WAIT_MAX.as_secs()),
        };
        tracing::error!(rule, queue, error, "a dead letter is not written");
    }

    async fn write(
        self,
        proxy: &Proxy,
        topic: &str,
        headers: Option<OwnedHeaders>,
    ) -> Result<(), String> {
        let sink = proxy.producer().await;
        let sink = sink.map_err(|error| error.to_string())?;
        let lane = Arc::new(Lane::default());
        let record = Outgoing {
            headers: Some(self.letter.headers(topic, headers.unwrap_or_default())),
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            ..Outgoing::default()
        };
        send(sink, &self.letter.topic, record, lane.ticket()).await;
        match lane.finish().await.pop_front() {
            Some(Outcome::Failed(error)) => Err(ErrorChain(&error).to_string()),
            Some(Outcome::Written { .. }) | None => Ok(()),
        }
    }
}

impl NotEncoded {
    /// Keeps of the record, which was to go to `topic` with `headers`, what a rule wants kept, and gives its error: that of
    /// `unfit` for data that is not of its schema, else 422/42207.
    ///
    /// # Cancel safety
    /// As [`Undelivered::keep`].
    pub(crate) async fn settle(
        self,
        proxy: &Proxy,
        topic: &str,
        headers: Option<OwnedHeaders>,
        unfit: fn(Unfit) -> RestError,
    ) -> RestError {
        match self {
            Self::Unfit(error) => unfit(error),
            Self::Rule { what, undelivered } => {
                if let Some(undelivered) = undelivered {
                    undelivered.keep(proxy, topic, headers).await;
                }
                RestError::serialization(&what)
            }
        }
    }
}

impl DeadLetter {
    fn headers(&self, topic: &str, before: OwnedHeaders) -> OwnedHeaders {
        let headers = [
            (RULE_HEADER, Some(self.rule.as_str())),
            ("__rule.mode", Some(self.mode)),
            ("__rule.subject", Some(self.subject.as_str())),
            ("__rule.topic", Some(topic)),
            ("__rule.exception", self.exception.as_deref()),
        ];
        let given = headers
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        given.fold(before, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use client::data::Headers as _;

    use super::*;

    #[test]
    fn headers_say_which_rule_and_why() {
        let letter = DeadLetter {
            topic: "dead".to_owned(),
            rule: "adult".to_owned(),
            mode: "WRITE",
            subject: "users-value".to_owned(),
            exception: Some("Expr failed: 'message.age > 18'".to_owned()),
            body: Vec::new(),
        };
        let own = OwnedHeaders::new().insert(Header {
            key: "own",
            value: Some("x"),
        });
        let headers = letter.headers("users", own.clone());
        let texts: Vec<(&str, &str)> = headers
            .iter()
            .map(|header| {
                (
                    header.key,
                    std::str::from_utf8(header.value.unwrap()).unwrap(),
                )
            })
            .collect();
        let expected = [
            ("own", "x"),
            ("__rule.name", "adult"),
            ("__rule.mode", "WRITE"),
            ("__rule.subject", "users-value"),
            ("__rule.topic", "users"),
            ("__rule.exception", "Expr failed: 'message.age > 18'"),
        ];
        assert_eq!(texts, expected);
        let succeeded = DeadLetter {
            exception: None,
            ..letter
        };
        assert_eq!(succeeded.headers("users", own).count(), 5);
    }
}
