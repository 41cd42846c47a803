//! The rules of a schema on keys and values of records: domain rules on the data, encoding rules on the bytes
//! (`AbstractKafkaSchemaSerDe.executeRules` of Confluent's serialisers, 8.2).
//!
//! ```text
//!   write   data ─▶ domain rules ─▶ payload ─▶ encoding rules ─▶ record
//!   read    record ─▶ encoding rules, the last first ─▶ data ─▶ domain rules, the last first ─▶ data
//! ```
//!
//! A rule that fails refuses the record, unless its action is `NONE`; with `DLQ` the record goes to another topic besides
//! ([`DeadLetter`]). Everything here blocks: [`Schemas::run`](super::Schemas::run) has it run where that is allowed.
//!
//! **Invariants:** a schema without rules has no contract, and costs nothing. What a dead letter has of a record that was
//! not encrypted is without the fields that would have been.

use std::sync::Arc;

use schema::rules::execute::encrypt::DekRegistry;
use schema::rules::{Passage, RuleError, RuleFailure, Rules};
use schema::{Metadata, RuleSet, SchemaError};
use serde_json::Value;

use super::codec::{Codec, CodecError, Origin};
use crate::config::RulesConfig;

/// A parameter of a rule, or a property of its contract: the topic of its dead letters.
const DEAD_LETTERS: &str = "dlq.topic";

/// What a registry says of a schema besides its text.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) rule_set: RuleSet,
    pub(super) metadata: Option<Metadata>,
}

/// Who runs rules, and with which keys.
#[derive(Debug, Clone)]
pub(super) struct Executor {
    pub(super) config: Arc<RulesConfig>,
    pub(super) keys: Arc<dyn DekRegistry>,
}

/// The rules of a schema for one way of its records.
#[derive(Debug)]
pub(crate) struct Contract {
    subject: String,
    passage: Passage,
    domain: Rules,
    encoding: Rules,
    /// Where dead letters go, whatever a rule says.
    dead_letters: Option<String>,
}

/// Why a key or value does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is not of its schema.
    #[error(transparent)]
    Unfit(#[from] CodecError),
    /// A rule refuses it.
    #[error(transparent)]
    Rule(#[from] RuleRefusal),
}

/// A rule's refusal (`ErrorAction`, `DlqAction`).
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct RuleRefusal {
    what: String,
    /// The record is to be kept elsewhere.
    pub(crate) dead_letter: Option<Box<DeadLetter>>,
}

/// What a dead letter queue is to have of a record, without the part of it that the rules have not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) topic: String,
    pub(crate) rule: String,
    /// `WRITE` or `READ`.
    pub(crate) mode: &'static str,
    pub(crate) subject: String,
    /// Why, unless the rule asked for it on success.
    pub(crate) exception: Option<String>,
    /// The key or value at hand, as it was before the rules.
    pub(crate) body: Vec<u8>,
}

impl Contract {
    /// The rules of `terms` for `passage`; none where there are none to run.
    ///
    /// # Errors
    /// The schema cannot be taken apart.
    pub(super) fn new(
        terms: &Terms,
        codec: &Codec,
        message_indexes: &[i32],
        (subject, passage): (&str, Passage),
        executor: &Executor,
    ) -> Result<Option<Self>, SchemaError> {
        let rule_set = executor.config.apply(&terms.rule_set);
        let metadata = terms.metadata.as_ref();
        let shape = codec.shape(message_indexes)?;
        let with_keys = |rules: Rules| rules.with_keys(Arc::clone(&executor.keys), subject);
        let contract = Self {
            subject: subject.to_owned(),
            passage,
            domain: with_keys(Rules::new(&rule_set, metadata, &shape, passage)),
            encoding: with_keys(Rules::of_payload(&rule_set, metadata, passage)),
            dead_letters: executor.config.dead_letters.clone(),
        };
        let is_empty = contract.domain.is_empty() && contract.encoding.is_empty();
        Ok((!is_empty).then_some(contract))
    }

    /// The framed bytes of data.
    ///
    /// # Errors
    /// What does not fit, or the rule that fails.
    pub(super) fn write(&self, codec: &Codec, id: i32, data: Value) -> Result<Vec<u8>, Refused> {
        let checked = codec.checked(data)?;
        let ruled = if self.domain.is_empty() {
            checked
        } else {
            let run = self.domain.run(checked.clone());
            run.map_err(|failure| {
                let body = || self.dead_body(codec, checked);
                self.refusal(&self.domain, failure, body)
            })?
        };
        let mut bytes = codec.head(id);
        if self.encoding.is_empty() {
            codec.append(&mut bytes, &ruled, Origin::Rules)?;
            return Ok(bytes);
        }
        let mut payload = Vec::new();
        codec.append(&mut payload, &ruled, Origin::Rules)?;
        bytes.extend(self.open_or_seal(None, &payload, &payload)?);
        Ok(bytes)
    }

    /// The data of a payload; `whole` is what the record has, and `left_out` the rule that it failed before.
    ///
    /// # Errors
    /// Bytes that are not of the schema, or the rule that fails.
    pub(super) fn read(
        &self,
        codec: &Codec,
        message_indexes: &[i32],
        payload: &[u8],
        (whole, left_out): (&[u8], Option<&str>),
    ) -> Result<Value, Refused> {
        let opened;
        let payload = if self.encoding.is_empty() {
            payload
        } else {
            opened = self.open_or_seal(left_out, payload, whole)?;
            opened.as_slice()
        };
        let data = codec.decode(message_indexes, payload)?;
        if self.domain.is_empty() {
            return Ok(data);
        }
        let ruled = self.domain.run_without(left_out, data);
        let ruled = ruled.map_err(|failure| {
            let body = || whole.to_vec();
            self.refusal(&self.domain, failure, body)
        })?;
        Ok(codec.settled(message_indexes, ruled)?)
    }

    fn open_or_seal(
        &self,
        left_out: Option<&str>,
        payload: &[u8],
        original: &[u8],
    ) -> Result<Vec<u8>, RuleRefusal> {
        let run = self.encoding.run_payload(left_out, payload.to_vec());
        run.map_err(|failure| self.refusal(&self.encoding, failure, || original.to_vec()))
    }

    /// Data as a dead letter has it.
    pub(super) fn dead_body(&self, codec: &Codec, data: Value) -> Vec<u8> {
        codec.loose(&self.domain.redacted(data))
    }

    fn refusal(
        &self,
        rules: &Rules,
        failure: RuleFailure,
        body: impl FnOnce() -> Vec<u8>,
    ) -> RuleRefusal {
        let exception = (failure.error != RuleError::Success).then(|| failure.error.to_string());
        let mut refusal = RuleRefusal {
            what: match &exception {
                Some(why) => format!("Rule failed: {}: {why}", failure.rule),
                None => format!("Rule failed: {}", failure.rule),
            },
            dead_letter: None,
        };
        match failure.action.as_str() {
            "ERROR" => {}
            "DLQ" => {
                let of_rule = rules.parameter(&failure.rule, DEAD_LETTERS);
                let topic = self.dead_letters.as_deref().or(of_rule);
                match topic.filter(|topic| !topic.is_empty()) {
                    None => {
                        refusal.what = "Could not send to DLQ as no topic is configured".to_owned();
                    }
                    Some(topic) => {
                        refusal.dead_letter = Some(Box::new(DeadLetter {
                            topic: topic.to_owned(),
                            mode: self.passage.name(),
                            subject: self.subject.clone(),
                            exception,
                            body: body(),
                            rule: failure.rule,
                        }));
                    }
                }
            }
            other => refusal.what = format!("Could not find rule action of type {other}"),
        }
        refusal
    }
}

#[cfg(test)]
mod tests;
