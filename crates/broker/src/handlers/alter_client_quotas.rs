//! AlterClientQuotas (key 49, KIP-546): sets and removes quotas; in force when this is answered.
//!
//! Each entity of the request succeeds or fails for itself. Differs: an entity that is named twice is altered
//! by neither, where Kafka alters it once and still answers with an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use metastore::QuotaChange;
use metastore::quota::QuotaEntity;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::alter_client_quotas_request::EntryData as Wanted;
use wire::messages::alter_client_quotas_response::{EntityData, EntryData};
use wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use crate::controller::{blocking, store_failed};
use crate::quota::{EntityPart, QuotaOp, entity_of, validated_change};
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// What is wanted of one entity.
type Checked = Result<(QuotaEntity, QuotaChange), ApiError>;

/// Answers one result per entity.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let operation = Operation::AlterConfigs;
    let allowed = server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME);
    let mut results: Vec<(Vec<EntityPart>, Checked)> = request
        .entries
        .into_iter()
        .map(|wanted| check(wanted, allowed))
        .collect();
    refuse_repeated(&mut results);
    if !request.validate_only {
        store(&server, &mut results).await;
    }
    AlterClientQuotasResponse {
        entries: results
            .into_iter()
            .map(|(parts, result)| entry(parts, result.err()))
            .collect(),
        ..AlterClientQuotasResponse::default()
    }
}

fn check(wanted: Wanted, allowed: bool) -> (Vec<EntityPart>, Checked) {
    let mut parts: Vec<EntityPart> = Vec::with_capacity(wanted.entity.len());
    for part in wanted.entity {
        // Kafka makes a map of them: of two of one type the later counts.
        parts.retain(|(kind, _)| *kind != part.entity_type);
        parts.push((part.entity_type, part.entity_name));
    }
    if !allowed {
        let code = ErrorCode::ClusterAuthorizationFailed;
        return (
            parts,
            Err(ApiError::new(code, "Cluster authorization failed.")),
        );
    }
    let ops: Vec<QuotaOp> = wanted
        .ops
        .into_iter()
        .map(|op| (op.key, (!op.remove).then_some(op.value)))
        .collect();
    let checked = entity_of(&parts).and_then(|entity| {
        let change = validated_change(&entity, &ops)?;
        Ok((entity, change))
    });
    (parts, checked)
}

fn refuse_repeated(results: &mut Vec<(Vec<EntityPart>, Checked)>) {
    let mut times: BTreeMap<QuotaEntity, usize> = BTreeMap::new();
    for (entity, _) in results
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok())
    {
        *times.entry(entity.clone()).or_default() += 1;
    }
    times.retain(|_, times| *times > 1);
    results.retain_mut(|(parts, result)| {
        let Some(count) = result
            .as_ref()
            .ok()
            .and_then(|(entity, _)| times.get_mut(entity))
        else {
            return true;
        };
        // Answered once, however often it was named.
        let first = *count > 0;
        *count = 0;
        *result = Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("Ignoring duplicate entity {parts:?}"),
        ));
        first
    });
}

/// Commits the changes and puts them in force.
async fn store(server: &Arc<Server>, results: &mut [(Vec<EntityPart>, Checked)]) {
    let changes: BTreeMap<QuotaEntity, QuotaChange> = results
        .iter()
        .filter_map(|(_, result)| result.as_ref().ok())
        .cloned()
        .collect();
    if changes.is_empty() {
        return;
    }
    let _changing = server.changing.lock().await;
    let owned = Arc::clone(server);
    let stored = blocking(move || {
        let stored = owned.metadata().alter_client_quotas(&changes);
        stored.map_err(|error| store_failed(&error))
    })
    .await;
    // What an earlier transaction of a failed change stored is in force too.
    server
        .quotas()
        .update(server.metadata().image().client_quotas());
    if let Err(error) = stored {
        for (_, result) in results.iter_mut().filter(|(_, result)| result.is_ok()) {
            *result = Err(error.clone());
        }
    }
}

fn entry(parts: Vec<EntityPart>, error: Option<ApiError>) -> EntryData {
    EntryData {
        error_code: error.as_ref().map_or(0, |error| error.code.code()),
        error_message: error.map(|error| error.message),
        entity: parts
            .into_iter()
            .map(|(entity_type, entity_name)| EntityData {
                entity_type,
                entity_name,
            })
            .collect(),
    }
}
