//! The bytes of a key or value.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::data::Data;
use crate::format::Format;
use crate::schemas::Registered;

/// Values longer than this are validated and encoded where nobody else waits.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Data that is not what its format or schema says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unfit(String);

/// The bytes of data in a format without schemas; none for null.
///
/// # Errors
/// Data that is not what the format says.
pub(crate) fn plain(format: Format, data: Data<'_>) -> Result<Option<Cow<'_, [u8]>>, Unfit> {
    let bytes = match (format, data) {
        (_, Data::Null) => return Ok(None),
        (Format::Json, data) => Cow::Owned(data.into_json()),
        (Format::Text, Data::Text(Cow::Borrowed(text))) => Cow::Borrowed(text.as_bytes()),
        (Format::Text, Data::Text(Cow::Owned(text))) => Cow::Owned(text.into_bytes()),
        (Format::Text, other) => return Err(Unfit(format!("data={other} is not a string."))),
        (_, Data::Text(text)) => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Cow::Owned(bytes),
            Err(_) => return Err(Unfit(format!("data={text} is not a base64 string."))),
        },
        (_, other) => return Err(Unfit(format!("data={other} is not a base64 string."))),
    };
    Ok(Some(bytes))
}

/// The framed bytes of data that has a schema; none for null.
///
/// # Errors
/// Data that is not what the schema says.
pub(crate) async fn with_schema(
    schema: &Arc<Registered>,
    data: Data<'_>,
) -> Result<Option<Vec<u8>>, Unfit> {
    if data == Data::Null {
        return Ok(None);
    }
    let json = data.into_json();
    let encode = |schema: &Registered, json: &[u8]| {
        let value = serde_json::from_slice(json).map_err(|error| Unfit(error.to_string()))?;
        schema
            .encode(&value)
            .map_err(|error| Unfit(error.to_string()))
    };
    if json.len() <= INLINE_BYTES_MAX {
        return encode(schema, &json).map(Some);
    }
    let schema = Arc::clone(schema);
    match tokio::task::spawn_blocking(move || encode(&schema, &json)).await {
        Ok(bytes) => bytes.map(Some),
        Err(ended) => Err(Unfit(format!("the encoder ended: {ended}"))),
    }
}
