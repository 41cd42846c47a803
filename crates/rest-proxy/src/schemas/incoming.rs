//! Reading the keys and values of records that name their schema.

use schema::model::SchemaType;
use schema::rules::Passage;
use schema::serde::Frame;
use schema::serde::subject::{Named, RecordPart, SubjectError};
use serde_json::Value;

use super::codec::CodecError;
use super::contract::{DeadLetter, Refused, RuleRefusal};
use super::registered::{Schemas, Unusable};
use super::runner::Ended;

/// A key or value of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'r> {
    pub(crate) topic: &'r str,
    pub(crate) part: RecordPart,
    /// The header of its schema, where the record has one.
    pub(crate) header: Option<&'r [u8]>,
    pub(crate) bytes: &'r [u8],
    /// The rule that the record failed before: it is from a dead letter queue.
    pub(crate) failed_rule: Option<&'r str>,
}

/// Why bytes are not shown as JSON.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// They name no schema.
    #[error(transparent)]
    Frame(#[from] schema::serde::FramingError),
    /// Their schema is not to be had.
    #[error(transparent)]
    Schema(#[from] Unusable),
    /// They are of a schema of another type than the consumer reads.
    #[error("the record is of type {found}, the consumer reads {expected}")]
    Type {
        /// As found.
        found: &'static str,
        /// As the consumer was made.
        expected: &'static str,
    },
    /// Its subject has no name.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// They are not of the schema.
    #[error(transparent)]
    Data(#[from] CodecError),
    /// A rule of the schema refuses them.
    #[error(transparent)]
    Rule(#[from] RuleRefusal),
    /// Its rules were not run.
    #[error(transparent)]
    Ended(#[from] Ended),
}

impl DecodeError {
    /// What a dead letter queue is to have of the record.
    pub(crate) fn into_dead_letter(self) -> Option<Box<DeadLetter>> {
        match self {
            Self::Rule(refusal) => refusal.dead_letter,
            _ => None,
        }
    }
}

impl From<Refused> for DecodeError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unfit(error) => Self::Data(error),
            Refused::Rule(refusal) => Self::Rule(refusal),
        }
    }
}

impl Schemas {
    /// The data of a key or value, as the rules of its schema leave it.
    ///
    /// Which keys encrypt it follows from its subject, which is named as the proxy's settings say.
    ///
    /// # Errors
    /// Bytes that name no schema, a schema the registry has not, bytes that are not of it, a rule that refuses them.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn decode(
        &self,
        incoming: Incoming<'_>,
        expected: SchemaType,
    ) -> Result<Value, DecodeError> {
        let Incoming { header, bytes, .. } = incoming;
        let (frame, payload) = Frame::read_dual(header, bytes, expected)?;
        let known = self.by_schema_id(frame.schema).await?;
        let codec = &known.codec;
        if codec.schema_type() != expected {
            return Err(DecodeError::Type {
                found: codec.schema_type().name(),
                expected: expected.name(),
            });
        }
        if known.terms.is_none() {
            return Ok(codec.decode(&frame.message_indexes, payload)?);
        }
        let record = codec.record_name(&frame.message_indexes);
        let named = Named {
            topic: incoming.topic,
            part: incoming.part,
            record: record.as_deref(),
            associated: None,
        };
        let subject = self.strategy(incoming.part).subject(&named)?;
        let of = (subject.as_str(), Passage::Read);
        let indexes = &frame.message_indexes;
        let contract = self.contract(frame.schema, &known, indexes, of).await?;
        let Some(contract) = contract else {
            return Ok(codec.decode(indexes, payload)?);
        };
        let (whole, head) = (bytes.to_vec(), bytes.len() - payload.len());
        let failed_rule = incoming.failed_rule.map(str::to_owned);
        let read = self.run(move || {
            let payload = whole.get(head..).unwrap_or_default();
            let of_record = (whole.as_slice(), failed_rule.as_deref());
            contract.read(&known.codec, &frame.message_indexes, payload, of_record)
        });
        Ok(read.await??)
    }
}
