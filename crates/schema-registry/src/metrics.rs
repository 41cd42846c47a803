//! What the registry counts, for `/metrics`: Confluent's names where its registry has one (`MetricsContainer`, as JMX
//! exporters show them to Prometheus), its own for requests.
//!
//! | metric | what |
//! |---|---|
//! | `kafka_schema_registry_master_slave_role` | 1 where this instance writes |
//! | `kafka_schema_registry_node_count` | instances, as the group's leader counts them |
//! | `kafka_schema_registry_registered_count`, `.._deleted_count` | versions made and deleted |
//! | `kafka_schema_registry_schemas_created`, `.._schemas_deleted` | the same by `schema_type` |
//! | `kafka_schema_registry_api_success_count`, `.._api_failure_count` | requests by how they went |
//! | `affluent_schema_registry_schemas` | versions that are there and not soft deleted, by `schema_type` |
//! | `affluent_schema_registry_keks`, `.._deks` | keys that are there, soft deleted ones too |
//! | `affluent_schema_registry_catalog_definitions` | definitions of the catalog, by `category` |
//! | `affluent_schema_registry_catalog_entities` | entities with tags, metadata or attributes that users set |
//! | `affluent_schema_registry_exporters` | exporters by `state` |
//! | `affluent_schema_registry_requests_total` | requests by `method`, `route`, `status` |
//! | `affluent_schema_registry_request_duration_seconds` | how long they took, by `method`, `route` |

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use axum::http::Method;
use metrics::{Counter, Gauge, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::catalog::CatalogState;
use crate::catalog::model::DefinitionKind;
use crate::dek::Keys;
use crate::http::paths::{self, Route};
use crate::service::exporters::ExporterState;
use crate::state::SchemaCounts;

const ROLE: &str = "kafka_schema_registry_master_slave_role";
const NODES: &str = "kafka_schema_registry_node_count";
const REGISTERED: &str = "kafka_schema_registry_registered_count";
const DELETED: &str = "kafka_schema_registry_deleted_count";
const CREATED_BY_TYPE: &str = "kafka_schema_registry_schemas_created";
const DELETED_BY_TYPE: &str = "kafka_schema_registry_schemas_deleted";
const SUCCESSES: &str = "kafka_schema_registry_api_success_count";
const FAILURES: &str = "kafka_schema_registry_api_failure_count";
const SCHEMAS: &str = "affluent_schema_registry_schemas";
const KEKS: &str = "affluent_schema_registry_keks";
const DEKS: &str = "affluent_schema_registry_deks";
const DEFINITIONS: &str = "affluent_schema_registry_catalog_definitions";
const ENTITIES: &str = "affluent_schema_registry_catalog_entities";
const EXPORTERS: &str = "affluent_schema_registry_exporters";
const REQUESTS: &str = "affluent_schema_registry_requests_total";
const DURATION: &str = "affluent_schema_registry_request_duration_seconds";

/// Tells what the metrics are, and shows those that are known before anything happens.
pub(crate) fn describe() {
    describe_gauge!(ROLE, "Whether this instance writes to the registry's topic");
    describe_gauge!(
        NODES,
        "Instances of the registry, as the leader of their group counts them"
    );
    describe_counter!(REGISTERED, "Versions that were registered");
    describe_counter!(DELETED, "Versions that were deleted");
    describe_counter!(CREATED_BY_TYPE, "Versions that were registered, by type");
    describe_counter!(DELETED_BY_TYPE, "Versions that were deleted, by type");
    describe_counter!(
        SUCCESSES,
        "Requests that were answered with a status below 400"
    );
    describe_counter!(
        FAILURES,
        "Requests that were answered with a status from 400 on"
    );
    describe_gauge!(SCHEMAS, "Versions that are there and not soft deleted");
    describe_gauge!(KEKS, "Key encryption keys, soft deleted ones too");
    describe_gauge!(DEKS, "Data encryption keys, soft deleted ones too");
    describe_gauge!(DEFINITIONS, "Definitions of the catalog, by category");
    describe_gauge!(
        ENTITIES,
        "Entities with tags, metadata or attributes that users set"
    );
    describe_gauge!(EXPORTERS, "Exporters, by what they do");
    describe_counter!(REQUESTS, "Requests to the registry");
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "How long requests to the registry took"
    );
    gauge!(ROLE).set(0.0);
    counter!(SUCCESSES).absolute(0);
    counter!(FAILURES).absolute(0);
}

/// Whether this instance writes.
pub(crate) fn leads(is_leader: bool) {
    gauge!(ROLE).set(if is_leader { 1.0 } else { 0.0 });
}

/// How many instances there are.
pub(crate) fn nodes(count: usize) {
    gauge!(NODES).set(number(count));
}

/// How many exporters do what.
pub(crate) fn exporters(counts: [(ExporterState, usize); 4]) {
    for (state, count) in counts {
        gauge!(EXPORTERS, "state" => state.name()).set(number(count));
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The gauges of keys, found once: they are told after every record.
pub(crate) struct KeyMetrics {
    keks: Gauge,
    deks: Gauge,
}

impl KeyMetrics {
    pub(crate) fn new() -> Self {
        Self {
            keks: gauge!(KEKS),
            deks: gauge!(DEKS),
        }
    }

    pub(crate) fn tell(&self, keys: &Keys) {
        self.keks.set(number(keys.kek_count()));
        self.deks.set(number(keys.dek_count()));
    }
}

/// The gauges of the catalog, found once.
pub(crate) struct CatalogMetrics {
    definitions: [(DefinitionKind, Gauge); 2],
    entities: Gauge,
}

impl CatalogMetrics {
    pub(crate) fn new() -> Self {
        let kinds = [DefinitionKind::Tag, DefinitionKind::BusinessMetadata];
        Self {
            definitions: kinds
                .map(|kind| (kind, gauge!(DEFINITIONS, "category" => kind.category()))),
            entities: gauge!(ENTITIES),
        }
    }

    pub(crate) fn tell(&self, state: &CatalogState) {
        for (kind, gauge) in &self.definitions {
            gauge.set(number(state.definition_count(*kind)));
        }
        self.entities.set(number(state.overlay_count()));
    }
}

/// Methods by which requests are counted.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "HEAD", "other"];

/// What is counted of most requests, found once for each path and method: to find a metric by its labels takes longer than
/// to count.
struct Handles {
    /// Those with the status 200.
    answered: Counter,
    duration: Histogram,
}

/// By path, then by method.
static HANDLES: LazyLock<Vec<[OnceLock<Handles>; METHODS.len()]>> = LazyLock::new(|| {
    std::iter::repeat_with(<[OnceLock<Handles>; METHODS.len()]>::default)
        .take(paths::PATHS.len() + 1)
        .collect()
});

static SUCCEEDED: LazyLock<Counter> = LazyLock::new(|| counter!(SUCCESSES));
static FAILED: LazyLock<Counter> = LazyLock::new(|| counter!(FAILURES));

/// A request was answered.
pub(crate) fn answered(method: &Method, route: Route, status: u16, took: Duration) {
    let outcome = if status < 400 { &SUCCEEDED } else { &FAILED };
    outcome.increment(1);
    let last = METHODS.len() - 1;
    let known = METHODS.iter().position(|name| *name == method.as_str());
    let at = known.unwrap_or(last);
    let name = METHODS.get(at).copied().unwrap_or_default();
    let Some(place) = HANDLES
        .get(route.index())
        .and_then(|of_route| of_route.get(at))
    else {
        return;
    };
    let handles = place.get_or_init(|| Handles {
        answered: counter!(REQUESTS, "method" => name, "route" => route.name(), "status" => "200"),
        duration: histogram!(DURATION, "method" => name, "route" => route.name()),
    });
    handles.duration.record(took.as_secs_f64());
    if status == 200 {
        handles.answered.increment(1);
    } else {
        let status = status.to_string();
        counter!(REQUESTS, "method" => name, "route" => route.name(), "status" => status)
            .increment(1);
    }
}

/// The counters of schemas, found once: they are told after every record.
pub(crate) struct SchemaMetrics {
    registered: Counter,
    deleted: Counter,
    by_type: [(Counter, Counter, Gauge); 3],
    told: Option<SchemaCounts>,
}

impl std::fmt::Debug for SchemaMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchemaMetrics").finish_non_exhaustive()
    }
}

impl SchemaMetrics {
    pub(crate) fn new() -> Self {
        let by_type = SchemaCounts::default().by_type().map(|(name, _)| {
            (
                counter!(CREATED_BY_TYPE, "schema_type" => name),
                counter!(DELETED_BY_TYPE, "schema_type" => name),
                gauge!(SCHEMAS, "schema_type" => name),
            )
        });
        Self {
            registered: counter!(REGISTERED),
            deleted: counter!(DELETED),
            by_type,
            told: None,
        }
    }

    /// Tells the numbers, if they are others than before.
    pub(crate) fn tell(&mut self, counts: SchemaCounts) {
        if self.told == Some(counts) {
            return;
        }
        self.told = Some(counts);
        let (mut registered, mut deleted) = (0, 0);
        for ((_, counts), (created, gone, live)) in counts.by_type().iter().zip(&self.by_type) {
            created.absolute(counts.created);
            gone.absolute(counts.deleted);
            live.set(f64::from(u32::try_from(counts.live).unwrap_or(u32::MAX)));
            registered += counts.created;
            deleted += counts.deleted;
        }
        self.registered.absolute(registered);
        self.deleted.absolute(deleted);
    }
}
