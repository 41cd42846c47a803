//! The bytes of each malformed frame, and what Apache Kafka 4.3.1 does with it.

use anyhow::Result;
use testkit::calls::{PRODUCE_VERSION, batch_of, produce_request};
use testkit::connection::encode_request;
use wire::ErrorCode;
use wire::messages::MetadataRequest;
use wire::record_data::BatchOptions;

use super::{Case, Expect, TOPIC};

/// Where the fields of a record batch lie (`wire::record_batch`).
const BATCH_LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const RECORD_COUNT_AT: usize = 57;

/// Every case.
pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = lengths();
    cases.extend(headers());
    cases.extend(bodies()?);
    cases.extend(batches()?);
    Ok(cases)
}

fn closed(name: &'static str, bytes: Vec<u8>) -> Case {
    Case {
        name,
        bytes,
        expect: Expect::Closed,
    }
}

/// Frame lengths that cannot be.
fn lengths() -> Vec<Case> {
    let length = |length: i32| [&length.to_be_bytes()[..], &[0; 16]].concat();
    vec![
        closed("frame of length -1", length(-1)),
        closed("frame of length -2147483648", length(i32::MIN)),
        closed("frame of length 2147483647", length(i32::MAX)),
        closed(
            "frame of one byte more than socket.request.max.bytes",
            length(104_857_601),
        ),
        closed("frame of length 0", 0i32.to_be_bytes().to_vec()),
        closed("frame too short for a header", frame(&[0, 18, 0])),
        closed(
            "HTTP request",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        closed(
            "TLS handshake",
            [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 600]].concat(),
        ),
    ]
}

/// Requests that do not exist.
fn headers() -> Vec<Case> {
    let request = |key: i16, version: i16| {
        let mut body = Vec::new();
        body.extend_from_slice(&key.to_be_bytes());
        body.extend_from_slice(&version.to_be_bytes());
        body.extend_from_slice(&[0, 0, 0, 1, 0, 1, b'x', 0, 0, 0, 0, 0, 0]);
        frame(&body)
    };
    vec![
        closed("API key 9999", request(9_999, 0)),
        closed("API key -1", request(-1, 0)),
        closed("Produce version 99", request(0, 99)),
        closed(
            "Produce version 2, which Kafka 4 no longer has",
            request(0, 2),
        ),
        closed("Fetch version -1", request(1, -1)),
        closed("inter-broker request LeaderAndIsr", request(4, 7)),
        Case {
            name: "ApiVersions version 99",
            bytes: request(18, 99),
            expect: Expect::UnsupportedVersion,
        },
    ]
}

/// Requests whose body is not what the header says.
fn bodies() -> Result<Vec<Case>> {
    let metadata = encode_request(12, 1, &MetadataRequest::default())?;
    let batch = batch_of(BatchOptions::default(), 1_700_000_000_000, &[b"v"])?;
    let produce = encode_request(
        PRODUCE_VERSION,
        1,
        &produce_request(TOPIC, vec![(0, batch)]),
    )?;
    let cut = |request: &[u8], keep: usize| frame(request.get(4..keep).unwrap_or_default());
    // Metadata version 1: header version 1 with client id "x", then an array with 2^31 - 1 topics.
    let absurd = frame(&[
        0, 3, 0, 1, 0, 0, 0, 1, 0, 1, b'x', 0x7f, 0xff, 0xff, 0xff, 0, 1, b'a',
    ]);
    // Metadata version 9: a compact array with 2^32 - 2 topics.
    let compact = frame(&[
        0, 3, 0, 9, 0, 0, 0, 1, 0, 1, b'x', 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 2, b'a', 0,
    ]);
    let unending = frame(&[
        0, 3, 0, 9, 0, 0, 0, 1, 0, 1, b'x', 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ]);
    Ok(vec![
        closed("Metadata cut short", cut(&metadata, metadata.len() - 2)),
        closed(
            "Produce cut inside the records",
            cut(&produce, produce.len() - 20),
        ),
        closed("array of 2147483647 topics", absurd),
        closed("compact array of 4294967294 topics", compact),
        closed("varint without an end", unending),
    ])
}

/// Produce requests with a batch that is not one.
fn batches() -> Result<Vec<Case>> {
    let batch = batch_of(
        BatchOptions::default(),
        1_700_000_000_000,
        &[b"value", b"other"],
    )?;
    let with =
        |name: &'static str, error: ErrorCode, edit: &dyn Fn(&mut Vec<u8>)| -> Result<Case> {
            let mut bytes = batch.to_vec();
            edit(&mut bytes);
            let request = produce_request(TOPIC, vec![(0, bytes.into())]);
            let bytes = encode_request(PRODUCE_VERSION, 1, &request)?;
            Ok(Case {
                name,
                bytes,
                expect: Expect::Produce(error),
            })
        };
    let put = |bytes: &mut Vec<u8>, at: usize, value: &[u8]| {
        if let Some(field) = bytes.get_mut(at..at + value.len()) {
            field.copy_from_slice(value);
        }
    };
    let mut endless = with(
        "batch longer than the records field",
        ErrorCode::None,
        &|b| {
            put(b, BATCH_LENGTH_AT, &[0x7f, 0xff, 0xff, 0xff]);
        },
    )?;
    // Apache Kafka answers UNKNOWN_SERVER_ERROR, the name of an exception nobody foresaw.
    endless.expect = Expect::ProduceRefused;
    Ok(vec![
        endless,
        with("batch with a wrong CRC", ErrorCode::CorruptMessage, &|b| {
            put(b, CRC_AT, &[1, 2, 3, 4])
        })?,
        with(
            "batch with a flipped byte in a record",
            ErrorCode::CorruptMessage,
            &|b| {
                if let Some(last) = b.last_mut() {
                    *last ^= 0x55;
                }
            },
        )?,
        with("batch of magic 1", ErrorCode::InvalidRecord, &|b| {
            put(b, MAGIC_AT, &[1])
        })?,
        with(
            "two batches for one partition",
            ErrorCode::InvalidRecord,
            &|b| b.extend_from_within(..),
        )?,
        with(
            "batch that counts more records than it holds",
            ErrorCode::InvalidRecord,
            &|b| {
                put(b, RECORD_COUNT_AT, &[0x7f, 0xff, 0xff, 0xff]);
                reseal(b);
            },
        )?,
    ])
}

/// Makes the CRC right again, so that only the edit is wrong.
fn reseal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(batch.get(CRC_AT + 4..).unwrap_or_default());
    if let Some(field) = batch.get_mut(CRC_AT..CRC_AT + 4) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}

/// `body` behind its length.
pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).unwrap_or(i32::MAX);
    [&length.to_be_bytes()[..], body].concat()
}
