//! From a frame to the handler of its API.
//!
//! What Apache Kafka closes the connection for, this does too, with one log line: an API key or version that
//! is not advertised, a header or body that does not decode. The one exception is ApiVersions, which answers
//! any version (KIP-511).

mod at_once;
mod routes;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::ErrorChain;
use bytes::Bytes;
use wire::messages::*;
use wire::{API_SPECS, ApiKey, ApiSpec, Chunk, Message, Reader, Request};

use crate::api_versions;
use crate::connection::{PendingReply, ReplyFuture};
use crate::handlers;
use crate::quota::{QuotaManager, Throttled, timed};
use crate::request::{ConnectionInfo, Reply, RequestContext, read_header};
use crate::server::Server;
pub(crate) use at_once::AtOnce;
use at_once::at_once;

/// Takes up one request: decodes it, and for Produce validates and enqueues its records. The rest of the work
/// happens when the returned future is polled, but for what can be answered at once, if it is `first` in its connection's line.
///
/// # Errors
/// The reason to close the connection.
///
/// # Cancel safety
/// Not cancel safe: records may have been enqueued.
pub(crate) async fn begin(
    server: &Arc<Server>,
    connection: &Arc<ConnectionInfo>,
    frame: Bytes,
    first: bool,
) -> Result<PendingReply, String> {
    let frame_bytes = frame.len();
    let mut reader = Reader::new(frame);
    let (spec, version) = identify(&reader)?;
    if !api_versions::supports(spec, version) {
        if spec.key == ApiKey::ApiVersions {
            let reply = unsupported_api_versions(connection, &mut reader, version);
            return Ok(PendingReply::Ready(reply));
        }
        return Err(format!("{} version {version} is not supported", spec.name));
    }
    let header = read_header(&mut reader, spec)
        .map_err(|error| format!("{} version {version}: bad header: {error}", spec.name))?;
    let context = RequestContext {
        connection: Arc::clone(connection),
        api_key: spec.key,
        api_version: version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.unwrap_or_default(),
    };
    server.request_metrics().received(spec.key, frame_bytes);
    if first && let Some(begun) = at_once(server, &context, &mut reader)? {
        return Ok(begun);
    }
    let later = route(server, context, &mut reader, frame_bytes).await?;
    Ok(PendingReply::Later(later))
}

/// The API and version a frame names.
fn identify(reader: &Reader) -> Result<(&'static ApiSpec, i16), String> {
    let peek = |at| {
        let value = reader.peek_i16(at);
        value.map_err(|error| format!("bad request header: {error}"))
    };
    let (key, version) = (peek(0)?, peek(2)?);
    let spec = API_SPECS
        .iter()
        .find(|spec| spec.key as i16 == key)
        .ok_or_else(|| format!("unknown API key {key}"))?;
    Ok((spec, version))
}

fn unsupported_api_versions(
    connection: &Arc<ConnectionInfo>,
    reader: &mut Reader,
    version: i16,
) -> Reply {
    // Only the correlation id is read: what follows it depends on a version nobody here knows.
    let correlation_id = reader
        .i16()
        .and_then(|_| reader.i16())
        .and_then(|_| reader.i32());
    let context = RequestContext {
        connection: Arc::clone(connection),
        api_key: ApiKey::ApiVersions,
        api_version: version,
        correlation_id: correlation_id.unwrap_or_default(),
        client_id: String::new(),
    };
    let response = api_versions::unsupported_version_response();
    match (correlation_id, context.encode_as(&response, 0)) {
        (Ok(_), Ok(chunks)) => Reply::Send(chunks),
        _ => Reply::Close("bad ApiVersions request".to_owned()),
    }
}

fn decode<R: Request>(context: &RequestContext, reader: &mut Reader) -> Result<R, String> {
    R::decode(reader, context.api_version).map_err(|error| ErrorChain(&error).to_string())
}

fn encode<M: Message>(context: &RequestContext, response: &M) -> Reply {
    match context.encode(response) {
        Ok(chunks) => Reply::Send(chunks),
        Err(error) => {
            tracing::error!(api = ?context.api_key, version = context.api_version, %error,
                "response cannot be encoded");
            Reply::Close("internal error: response cannot be encoded".to_owned())
        }
    }
}

/// A handler that answers when its turn comes.
fn answer<R, F>(
    server: &Arc<Server>,
    context: RequestContext,
    reader: &mut Reader,
    handler: impl FnOnce(Arc<Server>, RequestContext, R) -> F,
) -> Result<ReplyFuture, String>
where
    R: Request,
    R::Response: Send + Throttled,
    F: Future<Output = R::Response> + Send + 'static,
{
    let request = decode::<R>(&context, reader)?;
    Ok(answering(server, context, request, handler))
}

/// As [`answer`], for a request that is decoded.
fn answering<R, F>(
    server: &Arc<Server>,
    context: RequestContext,
    request: R,
    handler: impl FnOnce(Arc<Server>, RequestContext, R) -> F,
) -> ReplyFuture
where
    R: Request,
    R::Response: Send + Throttled,
    F: Future<Output = R::Response> + Send + 'static,
{
    let metrics = server.request_metrics();
    let quotas = Arc::clone(server.quotas());
    let received = Instant::now();
    let answering = handler(Arc::clone(server), context.clone(), request);
    Box::pin(async move {
        let response = within_quota(&quotas, &context, answering).await;
        metrics.answered(context.api_key, received.elapsed());
        encode(&context, &response)
    })
}

/// Runs a handler, and holds its client back for as long as its response or the time it took says.
async fn within_quota<M: Throttled>(
    quotas: &QuotaManager,
    context: &RequestContext,
    answering: impl Future<Output = M>,
) -> M {
    if !quotas.limits_request_time() {
        let response = answering.await;
        hold(context, response.throttle_time_ms());
        return response;
    }
    let (mut response, busy) = timed(answering).await;
    let throttle_ms = quotas
        .handled(context, busy)
        .max(response.throttle_time_ms());
    response.set_throttle_time_ms(throttle_ms);
    hold(context, throttle_ms);
    response
}

/// Mutes the connection (KIP-219). The answer that says so goes out all the same.
fn hold(context: &RequestContext, throttle_ms: i32) {
    if let Ok(throttle_ms @ 1..) = u64::try_from(throttle_ms) {
        context.connection.mute.hold(throttle_ms);
    }
}

async fn fetch(
    server: &Arc<Server>,
    context: RequestContext,
    reader: &mut Reader,
) -> Result<ReplyFuture, String> {
    let request = decode::<FetchRequest>(&context, reader)?;
    let metrics = server.request_metrics();
    let quotas = Arc::clone(server.quotas());
    let received = Instant::now();
    let reading = handlers::fetch::handle(Arc::clone(server), context.clone(), request);
    Ok(Box::pin(async move {
        let (fetched, busy) = if quotas.limits_request_time() {
            timed(reading).await
        } else {
            (reading.await, Duration::ZERO)
        };
        metrics.answered(ApiKey::Fetch, received.elapsed());
        let reply = encode(&context, fetched.response());
        if !quotas.limits_fetch() {
            fetched.settle();
            return reply;
        }
        let Reply::Send(chunks) = &reply else {
            return reply;
        };
        let bytes = chunks.iter().map(Chunk::len).sum();
        let throttle_ms = quotas.fetched(&context, bytes, busy);
        if throttle_ms == 0 {
            fetched.settle();
            return reply;
        }
        hold(&context, throttle_ms);
        encode(&context, &fetched.throttle(throttle_ms))
    }))
}

async fn produce(
    server: &Arc<Server>,
    context: RequestContext,
    reader: &mut Reader,
    request_bytes: usize,
) -> Result<ReplyFuture, String> {
    let request = decode::<ProduceRequest>(&context, reader)?;
    let metrics = server.request_metrics();
    let quotas = Arc::clone(server.quotas());
    let received = Instant::now();
    let beginning = handlers::produce::begin(server, &context, request);
    let (pending, busy) = if quotas.limits_request_time() {
        timed(beginning).await
    } else {
        (beginning.await, Duration::ZERO)
    };
    let bytes_throttle_ms = quotas.produced(&context, request_bytes);
    hold(&context, bytes_throttle_ms);
    Ok(Box::pin(async move {
        let outcome = pending.finish().await;
        metrics.answered(ApiKey::Produce, received.elapsed());
        match outcome {
            handlers::produce::Outcome::Answer(mut response) => {
                let request_throttle_ms = quotas.handled(&context, busy);
                hold(&context, request_throttle_ms);
                response.throttle_time_ms = bytes_throttle_ms.max(request_throttle_ms);
                encode(&context, &response)
            }
            handlers::produce::Outcome::Silent => Reply::Nothing,
            handlers::produce::Outcome::Failed(reason) => Reply::Close(reason),
        }
    }))
}

async fn route(
    server: &Arc<Server>,
    context: RequestContext,
    reader: &mut Reader,
    request_bytes: usize,
) -> Result<ReplyFuture, String> {
    match context.api_key {
        ApiKey::Produce => produce(server, context, reader, request_bytes).await,
        ApiKey::Fetch => fetch(server, context, reader).await,
        _ => routes::route(server, context, reader),
    }
}
