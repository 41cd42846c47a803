//! Records as an instance of version 2 reads them: `BinaryConsumerRecord`, `JsonConsumerRecord`, `SchemaConsumerRecord`.
//!
//! Some are decoded together, because the rules of their schemas are run together ([`crate::schemas::Schemas::decode_all`]).

use client::data::{Headers as _, Message as _, OwnedMessage};
use schema::SchemaType;
use schema::serde::framing::{KEY_HEADER, VALUE_HEADER};
use schema::serde::subject::RecordPart;
use serde::Serialize;
use serde_json::Value;

use crate::error::RestError;
use crate::format::Format;
use crate::produce::{RULE_HEADER, Undelivered};
use crate::proxy::Proxy;
use crate::schemas::{DeadLetter, DecodeError, Incoming};

/// How many records are decoded together, and of how many bytes; more only where one record has them.
const TOGETHER_MAX: usize = 64;
const TOGETHER_BYTES_MAX: usize = 1024 * 1024;

/// A record that is not given to a client.
pub(super) struct Unreadable {
    pub(super) error: RestError,
    /// What is to be kept of it, if anything.
    pub(super) undelivered: Option<Undelivered>,
}

/// Why a key or value is not shown.
struct Undecoded {
    what: String,
    dead_letter: Option<Box<DeadLetter>>,
}

impl Undecoded {
    fn of(error: impl ToString) -> Self {
        Self {
            what: error.to_string(),
            dead_letter: None,
        }
    }
}

impl From<DecodeError> for Undecoded {
    fn from(error: DecodeError) -> Self {
        Self {
            what: base::ErrorChain(&error).to_string(),
            dead_letter: error.into_dead_letter(),
        }
    }
}

/// The data of keys and values that have a schema, in the order in which they are written; none for the other formats.
type Decoded = std::vec::IntoIter<Result<Value, DecodeError>>;

/// Writes records, with commas between, up to the first that cannot be read; gives how many those are, and what is wrong
/// with that one.
pub(super) async fn write_all(
    proxy: &Proxy,
    format: Format,
    messages: &[OwnedMessage],
    out: &mut Vec<u8>,
) -> (usize, Option<Unreadable>) {
    let mut written = 0;
    let mut rest = messages;
    while !rest.is_empty() {
        let together;
        (together, rest) = rest.split_at(count_together(rest));
        let mut decoded = match format.schema_type() {
            None => Vec::new().into_iter(),
            Some(schema_type) => decode(proxy, together, schema_type).await,
        };
        for message in together {
            let before = out.len();
            if written > 0 {
                out.push(b',');
            }
            if let Err(unreadable) = write_record(format, message, &mut decoded, out) {
                out.truncate(before);
                return (written, Some(unreadable));
            }
            written += 1;
        }
    }
    (written, None)
}

/// How many of the records are decoded together.
fn count_together(messages: &[OwnedMessage]) -> usize {
    let mut bytes = 0_usize;
    let fits = |message: &&OwnedMessage| {
        let parts = parts(message).map(|(_, part)| part.map_or(0, <[u8]>::len));
        bytes = bytes.saturating_add(parts.iter().sum());
        bytes <= TOGETHER_BYTES_MAX
    };
    let count = messages.iter().take(TOGETHER_MAX).take_while(fits).count();
    count.max(1).min(messages.len())
}

async fn decode(proxy: &Proxy, messages: &[OwnedMessage], schema_type: SchemaType) -> Decoded {
    let mut incoming = Vec::with_capacity(messages.len().saturating_mul(2));
    for message in messages {
        let failed_rule = header_of(message, RULE_HEADER);
        let failed_rule = failed_rule.and_then(|name| std::str::from_utf8(name).ok());
        for (part, bytes) in parts(message) {
            let Some(bytes) = bytes else {
                continue;
            };
            let schema_header = match part {
                RecordPart::Key => KEY_HEADER,
                RecordPart::Value => VALUE_HEADER,
            };
            incoming.push(Incoming {
                topic: message.topic(),
                part,
                header: header_of(message, schema_header),
                bytes,
                failed_rule,
            });
        }
    }
    let decoded = proxy.schemas().decode_all(&incoming, schema_type).await;
    decoded.into_iter()
}

fn parts(message: &OwnedMessage) -> [(RecordPart, Option<&[u8]>); 2] {
    [
        (RecordPart::Key, message.key()),
        (RecordPart::Value, message.payload()),
    ]
}

fn write_record(
    format: Format,
    message: &OwnedMessage,
    decoded: &mut Decoded,
    out: &mut Vec<u8>,
) -> Result<(), Unreadable> {
    out.extend_from_slice(b"{\"topic\":");
    write_json(out, message.topic());
    for (part, bytes) in parts(message) {
        let name = part.name();
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let written = match bytes {
            None => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            Some(bytes) => write_data(format, bytes, decoded, out),
        };
        written.map_err(|Undecoded { what, dead_letter }| Unreadable {
            error: RestError::internal(format!(
                "Error deserializing {} for partition {}-{} at offset {}. If needed, please seek past the record to continue consumption. {what}",
                name.to_ascii_uppercase(),
                message.topic(),
                message.partition(),
                message.offset()
            )),
            undelivered: dead_letter.map(|letter| Undelivered {
                letter,
                key: message.key().map(<[u8]>::to_vec),
                // The value has not been looked at, and a dead letter is without it.
                value: bytes.filter(|_| part == RecordPart::Value).map(<[u8]>::to_vec),
            }),
        })?;
    }
    let (partition, offset) = (message.partition(), message.offset());
    out.extend_from_slice(format!(",\"partition\":{partition},\"offset\":{offset}}}").as_bytes());
    Ok(())
}

fn write_data(
    format: Format,
    bytes: &[u8],
    decoded: &mut Decoded,
    out: &mut Vec<u8>,
) -> Result<(), Undecoded> {
    match format {
        Format::Json => {
            let text = std::str::from_utf8(bytes).map_err(Undecoded::of)?;
            // Checked, and given as it is.
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(Undecoded::of)?;
            out.extend_from_slice(text.trim().as_bytes());
        }
        Format::Binary | Format::Text => {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            write_json(out, &text);
        }
        Format::Avro | Format::JsonSchema | Format::Protobuf => {
            let data = decoded.next();
            let data = data.ok_or_else(|| Undecoded::of("it was not decoded"))??;
            write_json(out, &data);
        }
    }
    Ok(())
}

/// The last header of that name.
fn header_of<'m>(message: &'m OwnedMessage, name: &str) -> Option<&'m [u8]> {
    let headers = message.headers()?.iter();
    headers.filter(|header| header.key == name).last()?.value
}

fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value)
        .expect("strings and JSON are JSON, and memory takes what is written");
}

#[cfg(test)]
mod tests {
    use client::data::Timestamp;

    use super::*;

    fn message(offset: i64, value: &[u8]) -> OwnedMessage {
        let (value, topic) = (Some(value.to_vec()), "t".to_owned());
        OwnedMessage::new(value, None, topic, Timestamp::NotAvailable, 0, offset, None)
    }

    #[test]
    fn records_that_are_decoded_together_are_few_or_small() {
        let count = |sizes: &[usize]| {
            let messages = sizes.iter().map(|size| message(0, &vec![0; *size]));
            count_together(&messages.collect::<Vec<_>>())
        };
        assert_eq!(count(&[1; 100]), TOGETHER_MAX);
        assert_eq!(count(&[600_000, 500_000]), 1);
        assert_eq!(count(&[2_000_000, 1]), 1);
        assert_eq!(count(&[0, 0]), 2);
    }

    #[tokio::test]
    async fn what_comes_before_a_bad_record_is_written() {
        let config = crate::config::Config::new("127.0.0.1:1");
        let proxy = Proxy::new(config, String::new()).unwrap();
        let mut messages: Vec<OwnedMessage> = (0..100).map(|n| message(n, b"1")).collect();
        messages.push(message(100, b"no JSON"));
        messages.push(message(101, b"1"));
        let mut out = Vec::new();
        let (written, failed) = write_all(&proxy, Format::Json, &messages, &mut out).await;
        assert_eq!(written, 100);
        let json = [b"[".as_slice(), &out, b"]"].concat();
        let records: Vec<Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!((records.len(), &records[99]["offset"]), (100, &99.into()));
        let error = failed.unwrap().error.to_string();
        assert!(error.contains("t-0 at offset 100"), "{error}");
        // Without a registry nothing that has a schema can be read, and nothing is written.
        let mut out = Vec::new();
        let (written, failed) = write_all(&proxy, Format::Avro, &messages, &mut out).await;
        assert!(written == 0 && out.is_empty() && failed.is_some());
    }
}
