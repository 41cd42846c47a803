//! Heartbeat (key 12): a member is alive, and hears of rebalances.

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::coordination::Begun;
use crate::dispatch::AtOnce;
use crate::request::RequestContext;
use crate::server::Server;

impl AtOnce for HeartbeatRequest {
    fn begin(
        server: &Arc<Server>,
        context: &RequestContext,
        request: &HeartbeatRequest,
    ) -> Result<Option<Begun<Response>>, ErrorCode> {
        check(server, context, request)?;
        let run = |shard: &mut coordinator::Shard, token| shard.heartbeat(token, request);
        Ok(server.groups().request_now(&request.group_id, run))
    }

    fn respond(answer: Result<Response, ErrorCode>) -> HeartbeatResponse {
        let failed = |code: ErrorCode| HeartbeatResponse {
            error_code: code.code(),
            ..HeartbeatResponse::default()
        };
        match answer {
            Ok(Response::Heartbeat(response)) => response,
            Ok(_) => failed(ErrorCode::UnknownServerError),
            Err(code) => failed(code),
        }
    }
}

fn check(
    server: &Server,
    context: &RequestContext,
    request: &HeartbeatRequest,
) -> Result<(), ErrorCode> {
    let allowed = server.allows(
        context,
        Operation::Read,
        ResourceType::Group,
        &request.group_id,
    );
    allowed
        .then_some(())
        .ok_or(ErrorCode::GroupAuthorizationFailed)
}

/// Answers when the coordinator has time for it.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let answer = match check(&server, &context, &request) {
        Ok(()) => {
            let group_id = request.group_id.clone();
            let run = move |shard: &mut coordinator::Shard, token| shard.heartbeat(token, &request);
            server.groups().request(&group_id, run).await
        }
        Err(code) => Err(code),
    };
    HeartbeatRequest::respond(answer)
}
