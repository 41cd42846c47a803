//! Reading the keys and values of records that name their schema.

use std::sync::Arc;

use schema::model::SchemaType;
use schema::rules::Passage;
use schema::serde::Frame;
use schema::serde::subject::{Named, RecordPart, SubjectError};
use serde_json::Value;

use super::codec::CodecError;
use super::contract::{Contract, DeadLetter, Refused, RuleRefusal};
use super::registered::{Known, Schemas, Unusable};
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

/// A key or value on its way to its data.
enum Prepared {
    /// It has it.
    Data(Value),
    /// Rules of its schema are to be run first.
    Ruled(Ruled),
}

struct Ruled {
    contract: Arc<Contract>,
    known: Arc<Known>,
    message_indexes: Vec<i32>,
    /// Its bytes, and how many of them come before the payload.
    whole: Vec<u8>,
    head_bytes: usize,
    failed_rule: Option<String>,
}

impl Ruled {
    /// The data; it blocks.
    fn read(&self) -> Result<Value, Refused> {
        let payload = self.whole.get(self.head_bytes..).unwrap_or_default();
        let of_record = (self.whole.as_slice(), self.failed_rule.as_deref());
        let codec = &self.known.codec;
        self.contract
            .read(codec, &self.message_indexes, payload, of_record)
    }
}

impl Schemas {
    /// The data of keys and values, as the rules of their schemas leave it, up to the first that is refused: nothing after
    /// it is looked at.
    ///
    /// Which keys encrypt them follows from their subjects, which are named as the proxy's settings say.
    ///
    /// The last result may be an error: bytes that name no schema, a schema the registry has not, bytes that are not of
    /// it, a rule that refuses them.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn decode_all(
        &self,
        incoming: &[Incoming<'_>],
        expected: SchemaType,
    ) -> Vec<Result<Value, DecodeError>> {
        let mut decoded = Vec::with_capacity(incoming.len());
        let mut ruled = Vec::new();
        for (at, one) in incoming.iter().enumerate() {
            let prepared = self.prepare(one, expected).await;
            let is_over = prepared.is_err();
            decoded.push(prepared.map(|prepared| match prepared {
                Prepared::Data(data) => data,
                Prepared::Ruled(one) => {
                    ruled.push((at, one));
                    Value::Null
                }
            }));
            if is_over {
                break;
            }
        }
        let Some((first, _)) = ruled.first() else {
            return decoded;
        };
        let first = *first;
        let read = self.run(move || {
            let mut read = Vec::with_capacity(ruled.len());
            for (at, one) in ruled {
                let data = one.read();
                let is_over = data.is_err();
                read.push((at, data));
                if is_over {
                    break;
                }
            }
            read
        });
        match read.await {
            Err(ended) => {
                decoded.truncate(first);
                decoded.push(Err(DecodeError::Ended(ended)));
            }
            Ok(read) => {
                for (at, data) in read {
                    if data.is_err() {
                        decoded.truncate(at + 1);
                    }
                    if let Some(place) = decoded.get_mut(at) {
                        *place = data.map_err(DecodeError::from);
                    }
                }
            }
        }
        decoded
    }

    async fn prepare(
        &self,
        incoming: &Incoming<'_>,
        expected: SchemaType,
    ) -> Result<Prepared, DecodeError> {
        let Incoming { header, bytes, .. } = *incoming;
        let (frame, payload) = Frame::read_dual(header, bytes, expected)?;
        let known = self.by_schema_id(frame.schema).await?;
        let codec = &known.codec;
        if codec.schema_type() != expected {
            return Err(DecodeError::Type {
                found: codec.schema_type().name(),
                expected: expected.name(),
            });
        }
        let indexes = &frame.message_indexes;
        let contract = match &known.terms {
            None => None,
            Some(_) => {
                let record = codec.record_name(indexes);
                let named = Named {
                    topic: incoming.topic,
                    part: incoming.part,
                    record: record.as_deref(),
                    associated: None,
                };
                let subject = self.strategy(incoming.part).subject(&named)?;
                let of = (subject.as_str(), Passage::Read);
                self.contract(frame.schema, &known, indexes, of).await?
            }
        };
        match contract {
            None => Ok(Prepared::Data(codec.decode(indexes, payload)?)),
            Some(contract) => Ok(Prepared::Ruled(Ruled {
                contract,
                whole: bytes.to_vec(),
                head_bytes: bytes.len() - payload.len(),
                failed_rule: incoming.failed_rule.map(str::to_owned),
                message_indexes: frame.message_indexes,
                known,
            })),
        }
    }
}
