//! The bytes of keys and values.
//!
//! Most are made where the request is read. Those whose schema has rules wait for the whole record, or the whole request, and
//! are made together where rules may block ([`encode_all`]).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::data::Data;
use super::dead_letters::Undelivered;
use crate::format::Format;
use crate::schemas::{CodecError, Ended, Refused, Registered, Schemas};

/// Values longer than this are validated and encoded where nobody else waits.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// How long the rules of records that are independent of each other run before what is done goes on. A key management service
/// that does not answer is waited for longer.
const MOMENT: Duration = Duration::from_millis(100);

/// Base64 as the counterpart reads it (Guava): padding may be left out, and bits that are over do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Data that is not what its format or schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unfit(String);

/// The bytes of data in a format without schemas; none for null.
///
/// # Errors
/// Data that is not what the format says.
fn plain(format: Format, data: Data<'_>) -> Result<Option<Cow<'_, [u8]>>, Unfit> {
    let bytes = match (format, data) {
        (_, Data::Null) => return Ok(None),
        (Format::Json, data) => data.into_json(),
        (Format::Text, Data::Text(Cow::Borrowed(text))) => Cow::Borrowed(text.as_bytes()),
        (Format::Text, Data::Text(Cow::Owned(text))) => Cow::Owned(text.into_bytes()),
        (Format::Text, other) => return Err(Unfit(format!("data={other} is not a string."))),
        (_, Data::Text(text)) => match BASE64.decode(text.as_bytes()) {
            Ok(bytes) => Cow::Owned(bytes),
            Err(_) => return Err(Unfit(format!("data={text} is not a base64 string."))),
        },
        (_, other) => return Err(Unfit(format!("data={other} is not a base64 string."))),
    };
    Ok(Some(bytes))
}

/// A key or value on its way to its bytes.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// It has them; none for null.
    Ready(Option<Cow<'a, [u8]>>),
    /// It has them, and its data is at hand too.
    Encoded {
        schema: Arc<Registered>,
        json: Vec<u8>,
        bytes: Vec<u8>,
    },
    /// Rules of its schema are to be run first.
    Ruled {
        schema: Arc<Registered>,
        json: Vec<u8>,
    },
}

/// Key and value of a record.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) key: Source<'a>,
    pub(crate) value: Source<'a>,
}

/// Key and value of a record as bytes.
#[derive(Debug, Default)]
pub(crate) struct Encoded<'a> {
    pub(crate) key: Option<Cow<'a, [u8]>>,
    pub(crate) value: Option<Cow<'a, [u8]>>,
}

/// Why a record is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEncoded {
    /// Data that is not what its schema says.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A rule of its schema refuses it, or was not run.
    #[error("{what}")]
    Rule {
        what: String,
        /// What is to be kept of it, if anything.
        undelivered: Option<Box<Undelivered>>,
    },
}

/// Data that has a schema, as bytes unless there are rules to be run; `keep` keeps the data at hand.
///
/// # Errors
/// Data that is not what the schema says.
pub(crate) async fn with_schema<'a>(
    schema: &Arc<Registered>,
    data: Data<'_>,
    keep: bool,
) -> Result<Source<'a>, Unfit> {
    if data == Data::Null {
        return Ok(Source::Ready(None));
    }
    let json = data.into_json().into_owned();
    let schema = Arc::clone(schema);
    if schema.has_rules() {
        return Ok(Source::Ruled { schema, json });
    }
    let is_short = json.len() <= INLINE_BYTES_MAX;
    let encode = move || match encode(&schema, &json) {
        Ok(bytes) if keep => Ok(Source::Encoded {
            schema,
            json,
            bytes,
        }),
        Ok(bytes) => Ok(Source::Ready(Some(Cow::Owned(bytes)))),
        Err(refused) => Err(Unfit(refused.to_string())),
    };
    if is_short {
        return encode();
    }
    match tokio::task::spawn_blocking(encode).await {
        Ok(encoded) => encoded,
        Err(ended) => Err(Unfit(format!("the encoder ended: {ended}"))),
    }
}

/// The bytes of records, which are there already or come from the rules of their schemas, one record after the other; no
/// rule runs on a record after one that is refused.
///
/// # Errors
/// The first record that is refused.
///
/// # Cancel safety
/// Cancel safe.
pub(crate) async fn encode_all<'a>(
    schemas: &Schemas,
    records: Vec<Sources<'a>>,
) -> Result<Vec<Encoded<'a>>, NotEncoded> {
    if records.iter().all(Sources::is_ready) {
        return records.into_iter().map(Sources::encode).collect();
    }
    let records: Vec<Sources<'static>> = records.into_iter().map(Sources::into_owned).collect();
    let encode = move || records.into_iter().map(Sources::encode).collect();
    match schemas.run(encode).await {
        Ok(encoded) => encoded,
        Err(ended) => Err(NotEncoded::ended(&ended)),
    }
}

/// The bytes of records that are independent of each other: of as many as a moment suffices for, at least of the first. Gives
/// the others back.
///
/// # Cancel safety
/// Cancel safe.
pub(crate) async fn encode_each(
    schemas: &Schemas,
    records: Vec<Sources<'static>>,
) -> (
    Vec<Result<Encoded<'static>, NotEncoded>>,
    Vec<Sources<'static>>,
) {
    let count = records.len();
    let encode = move || {
        let end = Instant::now() + MOMENT;
        let mut encoded = Vec::with_capacity(records.len());
        let mut records = records.into_iter();
        for record in records.by_ref() {
            encoded.push(record.encode());
            if Instant::now() >= end {
                break;
            }
        }
        (encoded, records.collect())
    };
    match schemas.run(encode).await {
        Ok(done) => done,
        Err(ended) => {
            let errors = (0..count).map(|_| Err(NotEncoded::ended(&ended)));
            (errors.collect(), Vec::new())
        }
    }
}

/// The bytes of one record.
///
/// # Errors
/// The record is refused.
///
/// # Cancel safety
/// Cancel safe.
pub(crate) async fn encode_one<'a>(
    schemas: &Schemas,
    record: Sources<'a>,
) -> Result<Encoded<'a>, NotEncoded> {
    if record.is_ready() {
        return record.encode();
    }
    let mut encoded = encode_all(schemas, vec![record]).await?;
    Ok(encoded.pop().unwrap_or_default())
}

fn encode(schema: &Registered, json: &[u8]) -> Result<Vec<u8>, Refused> {
    schema.encode(read(json)?)
}

fn read(json: &[u8]) -> Result<Value, CodecError> {
    serde_json::from_slice(json).map_err(CodecError::of)
}

impl<'a> Source<'a> {
    /// A key or value that has no schema.
    ///
    /// # Errors
    /// Data that is not what the format says.
    pub(crate) fn plain(format: Format, data: Data<'a>) -> Result<Self, Unfit> {
        plain(format, data).map(Self::Ready)
    }

    fn is_ready(&self) -> bool {
        !matches!(self, Self::Ruled { .. })
    }

    fn into_owned(self) -> Source<'static> {
        match self {
            Self::Ready(bytes) => Source::Ready(bytes.map(|bytes| bytes.into_owned().into())),
            Self::Encoded {
                schema,
                json,
                bytes,
            } => Source::Encoded {
                schema,
                json,
                bytes,
            },
            Self::Ruled { schema, json } => Source::Ruled { schema, json },
        }
    }

    /// The bytes that rules leave, if there are any to run; it blocks while they do.
    fn run_rules(&self) -> Result<Option<Vec<u8>>, Refused> {
        match self {
            Self::Ready(_) | Self::Encoded { .. } => Ok(None),
            Self::Ruled { schema, json } => encode(schema, json).map(Some),
        }
    }

    /// The bytes; `ruled` are those of [`Source::run_rules`].
    fn bytes(self, ruled: Option<Vec<u8>>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Ready(bytes) => bytes,
            Self::Encoded { bytes, .. } => Some(bytes.into()),
            Self::Ruled { .. } => ruled.map(Cow::Owned),
        }
    }

    /// As a dead letter queue has it.
    fn dead_body(self) -> Option<Vec<u8>> {
        match self {
            Self::Ready(bytes) => bytes.map(Cow::into_owned),
            Self::Encoded { schema, json, .. } | Self::Ruled { schema, json } => {
                let data = read(&json).ok()?;
                Some(schema.dead_body(data))
            }
        }
    }
}

impl<'a> Sources<'a> {
    /// Whether there are no rules to be run.
    pub(crate) fn is_ready(&self) -> bool {
        self.key.is_ready() && self.value.is_ready()
    }

    /// The same, without what it borrows from the request.
    pub(crate) fn into_owned(self) -> Sources<'static> {
        Sources {
            key: self.key.into_owned(),
            value: self.value.into_owned(),
        }
    }

    /// The bytes; it blocks while rules run.
    fn encode(self) -> Result<Encoded<'a>, NotEncoded> {
        let key = self.key.run_rules().map_err(|refused| {
            // The value is not looked at any more, so a dead letter has none.
            NotEncoded::of(refused, |body| (Some(body), None))
        })?;
        let value = match self.value.run_rules() {
            Ok(value) => value,
            Err(refused) => {
                let key = self.key;
                return Err(NotEncoded::of(refused, |body| {
                    (key.dead_body(), Some(body))
                }));
            }
        };
        Ok(Encoded {
            key: self.key.bytes(key),
            value: self.value.bytes(value),
        })
    }
}

impl NotEncoded {
    fn ended(ended: &Ended) -> Self {
        Self::Rule {
            what: ended.to_string(),
            undelivered: None,
        }
    }

    fn of(
        refused: Refused,
        place: impl FnOnce(Vec<u8>) -> (Option<Vec<u8>>, Option<Vec<u8>>),
    ) -> Self {
        let refusal = match refused {
            Refused::Unfit(error) => return Self::Unfit(Unfit(error.to_string())),
            Refused::Rule(refusal) => refusal,
        };
        let what = refusal.to_string();
        let undelivered = refusal.dead_letter.map(|mut letter| {
            let (key, value) = place(std::mem::take(&mut letter.body));
            Box::new(Undelivered { letter, key, value })
        });
        Self::Rule { what, undelivered }
    }
}
