//! Requests that a coordinator answers where they were read.
//!
//! A heartbeat takes a coordinator less time than a future for it takes to be made and moved about. So it is run before there is
//! one, if its turn has come and its coordinator is free; else it goes the way of all requests.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use coordinator::Response;
use wire::messages::{ConsumerGroupHeartbeatRequest, HeartbeatRequest};
use wire::{ApiKey, ErrorCode, Reader, Request};

use super::{answering, decode, encode};
use crate::connection::PendingReply;
use crate::coordination::Begun;
use crate::handlers::{consumer_group_heartbeat, heartbeat};
use crate::quota::Throttled;
use crate::request::RequestContext;
use crate::server::Server;

/// A request that the group coordinator mostly answers at once.
pub(crate) trait AtOnce: Request {
    /// Runs the request. None when that is not possible now; nothing was done then.
    ///
    /// # Errors
    /// Why it is refused.
    fn begin(
        server: &Arc<Server>,
        context: &RequestContext,
        request: &Self,
    ) -> Result<Option<Begun<Response>>, ErrorCode>;

    /// The answer of the coordinator, or the reason why there is none, as a response.
    fn respond(answer: Result<Response, ErrorCode>) -> Self::Response;
}

/// Takes up a request of one of these APIs. None for any other, and for one that something is in the way of.
///
/// # Errors
/// The reason to close the connection.
pub(super) fn at_once(
    server: &Arc<Server>,
    context: &RequestContext,
    reader: &mut Reader,
) -> Result<Option<PendingReply>, String> {
    let taken = match context.api_key {
        ApiKey::ConsumerGroupHeartbeat => {
            let request = decode::<ConsumerGroupHeartbeatRequest>(context, reader)?;
            run(server, context, request, consumer_group_heartbeat::handle)
        }
        ApiKey::Heartbeat => {
            let request = decode::<HeartbeatRequest>(context, reader)?;
            run(server, context, request, heartbeat::handle)
        }
        _ => return Ok(None),
    };
    Ok(Some(taken))
}

fn run<R, F>(
    server: &Arc<Server>,
    context: &RequestContext,
    request: R,
    handler: impl FnOnce(Arc<Server>, RequestContext, R) -> F,
) -> PendingReply
where
    R: AtOnce,
    R::Response: Send + Throttled,
    F: Future<Output = R::Response> + Send + 'static,
{
    let received = Instant::now();
    let begun = if server.quotas().limits_request_time() {
        // The time of a handler is taken by what polls it.
        Ok(None)
    } else {
        R::begin(server, context, &request)
    };
    let answer = match begun {
        Ok(None) => {
            let later = answering(server, context.clone(), request, handler);
            return PendingReply::Later(later);
        }
        Ok(Some(Begun::Waits(answer))) => {
            let (server, context) = (Arc::clone(server), context.clone());
            return PendingReply::Later(Box::pin(async move {
                let answer = answer.await.map_err(|_| ErrorCode::NotCoordinator);
                let metrics = server.request_metrics();
                metrics.answered(context.api_key, received.elapsed());
                encode(&context, &R::respond(answer))
            }));
        }
        Ok(Some(Begun::Answered(answer))) => Ok(answer),
        Err(code) => Err(code),
    };
    let metrics = server.request_metrics();
    metrics.answered(context.api_key, received.elapsed());
    PendingReply::Ready(encode(context, &R::respond(answer)))
}
