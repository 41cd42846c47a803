//! Request frames out, response headers in.
//!
//! The header versions follow from the body's: a flexible request has header version 2, its response header
//! version 1 (KIP-482). `ApiVersions` is the exception: its response header stays at 0, since the client
//! that reads it does not yet know what the broker speaks (KIP-511).

use bytes::Bytes;
use wire::codec::{DecodeErrorKind, EncodeError};
use wire::messages::{RequestHeader, ResponseHeader};
use wire::{ApiKey, Chunk, Message, Reader, Request, Writer};

/// One request as a frame, in pieces.
pub(super) fn encode<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Vec<Bytes>, EncodeError> {
    let header = RequestHeader {
        request_api_key: R::API_KEY,
        request_api_version: version,
        correlation_id,
        client_id: Some(client_id.to_owned()),
    };
    let mut writer = Writer::with_capacity(256);
    header.encode(&mut writer, if is_flexible::<R>(version) { 2 } else { 1 })?;
    request.encode(&mut writer, version)?;
    Ok(writer
        .finish_frame()?
        .into_iter()
        .filter_map(in_memory)
        .collect())
}

/// Requests carry records in memory; only a broker's fetch response names files.
fn in_memory(chunk: Chunk) -> Option<Bytes> {
    match chunk {
        Chunk::Bytes(bytes) => Some(bytes),
        Chunk::File(_) => None,
    }
}

/// The response's body: what follows its header.
pub(super) fn response_body<R: Request>(
    frame: Bytes,
    version: i16,
) -> Result<Reader, DecodeErrorKind> {
    let mut reader = Reader::new(frame);
    let stays_at_zero = R::API_KEY == ApiKey::ApiVersions as i16;
    let header_version = i16::from(is_flexible::<R>(version) && !stays_at_zero);
    ResponseHeader::read(&mut reader, header_version)?;
    Ok(reader)
}

fn is_flexible<R: Request>(version: i16) -> bool {
    version >= R::FIRST_FLEXIBLE_VERSION
}
