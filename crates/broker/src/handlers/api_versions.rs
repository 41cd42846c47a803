//! ApiVersions (key 18): what the broker speaks; the first request of every connection.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::api_versions;
use crate::request::RequestContext;
use crate::server::Server;

/// Answers with the supported ranges.
///
/// From version 5 a client may say whom it means to talk to: another cluster or node than this one is told to
/// bootstrap again (KIP-1242).
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    let answer = || {
        let image = server.metadata().image();
        api_versions::response(context.api_version, image.features())
    };
    let error = |code: ErrorCode| ApiVersionsResponse {
        error_code: code.code(),
        ..answer()
    };
    if context.api_version >= 3 {
        let (name, version) = (
            request.client_software_name,
            request.client_software_version,
        );
        if !is_software_word(&name) || !is_software_word(&version) {
            return ApiVersionsResponse {
                error_code: ErrorCode::InvalidRequest.code(),
                ..ApiVersionsResponse::default()
            };
        }
        tracing::debug!(peer = %context.connection.peer, name, version, "client software");
        if let Ok(mut software) = context.connection.software.write() {
            *software = Some((name, version));
        }
    }
    let other_cluster = request
        .cluster_id
        .is_some_and(|id| id != server.cluster_id());
    let other_node = request.node_id >= 0 && request.node_id != server.node_id().0;
    if context.api_version >= 5 && (other_cluster || other_node) {
        return error(ErrorCode::RebootstrapRequired);
    }
    answer()
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`, as `ApiVersionsRequest.isValid` demands.
fn is_software_word(text: &str) -> bool {
    let edges = [text.bytes().next(), text.bytes().last()];
    edges
        .iter()
        .all(|edge| edge.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_words_are_kafkas() {
        for good in ["librdkafka", "2.0.2", "apache-kafka-java", "a"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "é"] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }
}
