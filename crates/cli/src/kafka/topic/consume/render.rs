//! One record as text or as a document.

use client::data::{BorrowedMessage, Headers, Message, Timestamp};
use serde::Serialize;

use super::ConsumeArgs;
use crate::base64;
use crate::failure::Outcome;
use crate::output::Printer;

/// What a line shows beside the value.
#[derive(Debug)]
pub(super) struct Style {
    key: bool,
    offset: bool,
    timestamp: bool,
    headers: bool,
    delimiter: String,
}

impl Style {
    pub(super) fn of(args: &ConsumeArgs) -> Style {
        Style {
            key: args.print_key,
            offset: args.print_offset,
            timestamp: args.timestamp,
            headers: args.full_header,
            delimiter: args.delimiter.clone(),
        }
    }

    /// Prints a record on one line, its bytes as they are. No key and no value print as `null`, as in
    /// Kafka's console consumer.
    pub(super) fn print(&self, printer: &mut Printer, message: &BorrowedMessage<'_>) -> Outcome {
        if self.timestamp {
            let timestamp_ms = message.timestamp().to_millis().unwrap_or(-1);
            printer.raw(format!("Timestamp:{timestamp_ms}\t").as_bytes())?;
        }
        if self.offset {
            let (partition, offset) = (message.partition(), message.offset());
            printer.raw(format!("Partition:{partition}\tOffset:{offset}\t").as_bytes())?;
        }
        if self.key {
            printer.raw(message.key().unwrap_or(b"null"))?;
            printer.raw(self.delimiter.as_bytes())?;
        }
        printer.raw(message.payload().unwrap_or(b"null"))?;
        printer.raw(b"\n")?;
        match message.headers() {
            Some(headers) if self.headers => printer.line(&header_line(headers)),
            _ => Ok(()),
        }
    }
}

fn header_line(headers: &impl Headers) -> String {
    let texts: Vec<String> = headers
        .iter()
        .map(|header| match header.value {
            Some(value) => format!("{}={:?}", header.key, String::from_utf8_lossy(value)),
            None => format!("{}=null", header.key),
        })
        .collect();
    format!("% Headers: [{}]", texts.join(" "))
}

/// A record as a document. Bytes that are not UTF-8 come in base64, in the field that says so.
#[derive(Debug, Serialize)]
pub(super) struct RecordDocument<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    timestamp_type: &'static str,
    #[serde(flatten)]
    key: Field<'a, KeyNames>,
    #[serde(flatten)]
    value: Field<'a, ValueNames>,
    headers: Vec<HeaderDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct HeaderDocument<'a> {
    key: &'a str,
    #[serde(flatten)]
    value: Field<'a, ValueNames>,
}

pub(super) fn document<'a>(message: &'a BorrowedMessage<'_>) -> RecordDocument<'a> {
    let (timestamp, timestamp_type) = match message.timestamp() {
        Timestamp::NotAvailable => (None, "NoTimestampType"),
        Timestamp::CreateTime(ms) => (Some(ms), "CreateTime"),
        Timestamp::LogAppendTime(ms) => (Some(ms), "LogAppendTime"),
    };
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    RecordDocument {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp,
        timestamp_type,
        key: Field::of(message.key()),
        value: Field::of(message.payload()),
        headers: headers
            .map(|header| HeaderDocument {
                key: header.key,
                value: Field::of(header.value),
            })
            .collect(),
    }
}

/// The names of a field's two forms.
trait Names {
    const TEXT: &'static str;
    const BASE64: &'static str;
}

#[derive(Debug)]
struct KeyNames;

impl Names for KeyNames {
    const TEXT: &'static str = "key";
    const BASE64: &'static str = "key_base64";
}

#[derive(Debug)]
struct ValueNames;

impl Names for ValueNames {
    const TEXT: &'static str = "value";
    const BASE64: &'static str = "value_base64";
}

/// Bytes under one of two names: as text, or in base64.
#[derive(Debug)]
struct Field<'a, N> {
    bytes: Option<&'a [u8]>,
    names: std::marker::PhantomData<N>,
}

impl<'a, N> Field<'a, N> {
    fn of(bytes: Option<&'a [u8]>) -> Field<'a, N> {
        Field {
            bytes,
            names: std::marker::PhantomData,
        }
    }
}

impl<N: Names> Serialize for Field<'_, N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match self
            .bytes
            .map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes))
        {
            None => map.serialize_entry(N::TEXT, &None::<&str>)?,
            Some(Ok(text)) => map.serialize_entry(N::TEXT, text)?,
            Some(Err(bytes)) => map.serialize_entry(N::BASE64, &base64::encode(bytes))?,
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_have_a_name_of_their_own() {
        let json = |bytes| serde_json::to_string(&Field::<ValueNames>::of(bytes)).unwrap();
        assert_eq!(json(None), r#"{"value":null}"#);
        assert_eq!(json(Some(b"a\"b")), r#"{"value":"a\"b"}"#);
        assert_eq!(json(Some(&[0xff, 0x00])), r#"{"value_base64":"/wA="}"#);
    }
}
