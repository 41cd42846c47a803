//! The API over a log in memory: paths, statuses, texts.

use std::sync::RwLock;

use axum::http::header;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::catalog::CatalogState;
use crate::catalog::cluster::{FixedCluster, Topic};
use crate::config::RegistryConfig;
use crate::dek::Keys;
use crate::log::MemoryLog;
use crate::service::Leadership;
use crate::state::State as RegistryState;

fn app() -> (Arc<App>, watch::Sender<Leadership>) {
    let state = Arc::new(RwLock::new(RegistryState::default()));
    let log = Arc::new(MemoryLog::new(Arc::clone(&state)));
    let (leadership, watched) = watch::channel(Leadership::Here);
    let config = RegistryConfig {
        timeout: std::time::Duration::from_millis(100),
        ..RegistryConfig::default()
    };
    let registry = Arc::new(Registry::new(state, log, config, watched.clone()));
    let keys = Arc::new(RwLock::new(Keys::default()));
    let keys = DekRegistry::new(
        Arc::clone(&registry),
        Arc::clone(&keys),
        Arc::new(MemoryLog::new(keys)),
        watched.clone(),
        kms::Kms::new(kms::Environment::default()).unwrap(),
    );
    let state = Arc::new(RwLock::new(CatalogState::default()));
    let log = Arc::new(MemoryLog::new(Arc::clone(&state)));
    let cluster = FixedCluster(Arc::new(topics()));
    let catalog = Catalog::new(
        Arc::clone(&registry),
        state,
        log,
        watched,
        Arc::new(cluster),
        "cluster",
    );
    let app = App {
        registry,
        keys: Arc::new(keys),
        catalog: Arc::new(catalog),
        client: reqwest::Client::new(),
        cluster_id: "cluster".to_owned(),
    };
    (Arc::new(app), leadership)
}

fn topics() -> std::collections::BTreeMap<String, Topic> {
    let topic = |name: &str, partitions| Topic {
        name: name.to_owned(),
        id: "id".to_owned(),
        partitions,
        replication_factor: 1,
        is_internal: false,
    };
    [topic("orders", 6), topic("users", 2)]
        .map(|topic| (topic.name.clone(), topic))
        .into()
}

async fn raw(app: &Arc<App>, request: Request<Body>) -> (u16, axum::http::HeaderMap, String) {
    let response = answer(State(Arc::clone(app)), request).await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (parts.status.as_u16(), parts.headers, text)
}

async fn call(app: &Arc<App>, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let (status, _, text) = raw(app, request).await;
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

mod catalog;
mod corners;
mod keys;

fn int() -> Value {
    json!({"schema": "\"int\""})
}

#[tokio::test]
async fn what_is_not_there_is_answered_as_jersey_does() {
    let (app, _leadership) = app();
    let plain = |method: &str, path: &str, name, value| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(name, value);
        request.body(Body::empty()).unwrap()
    };
    let accept = header::ACCEPT;
    let (status, _, text) = raw(&app, plain("GET", "/nowhere", accept.clone(), "*/*")).await;
    assert_eq!(
        (status, text.as_str()),
        (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#)
    );
    let (status, headers, _) = raw(&app, plain("PUT", "/subjects/s", accept.clone(), "*/*")).await;
    assert_eq!(
        (status, &headers[header::ALLOW]),
        (405, &"POST, DELETE".parse().unwrap())
    );
    let (status, _, _) = raw(&app, plain("GET", "/subjects", accept, "text/html")).await;
    assert_eq!(status, 406);
    let xml = plain("POST", "/subjects/s", header::CONTENT_TYPE, "text/xml");
    assert_eq!(raw(&app, xml).await.0, 415);
    assert_eq!(
        call(&app, "GET", "/schemas/ids/one", Value::Null).await.0,
        404
    );
    let (status, headers, text) = raw(
        &app,
        plain("HEAD", "/subjects", header::ACCEPT, "application/json"),
    )
    .await;
    assert_eq!((status, text.as_str()), (200, ""));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    let (app, _leadership) = app();
    let broken = Request::builder()
        .method("POST")
        .uri("/subjects/s/versions");
    let (status, _, text) = raw(&app, broken.body(Body::from("{\"schema\":")).unwrap()).await;
    assert!(
        status == 400 && text.contains("\"error_code\":400"),
        "{text}"
    );
    let (status, body) = call(&app, "POST", "/subjects/s/versions", json!({"schema": 1})).await;
    assert_eq!((status, &body["error_code"]), (422, &json!(42201)));
    let (status, body) = call(&app, "PUT", "/config", json!({"compatibility": "X"})).await;
    assert_eq!((status, &body["error_code"]), (422, &json!(42203)));
    let (status, body) = call(&app, "PUT", "/mode", json!({"mode": "X"})).await;
    assert_eq!((status, &body["error_code"]), (422, &json!(42204)));
    let (status, body) = call(&app, "GET", "/subjects/s/versions/0", Value::Null).await;
    assert_eq!((status, &body["error_code"]), (422, &json!(42202)));
}

#[tokio::test]
async fn a_context_can_stand_before_any_path() {
    let (app, _leadership) = app();
    let path = "/contexts/.c/subjects/s/versions";
    assert_eq!(call(&app, "POST", path, int()).await.0, 200);
    let get = |path: &'static str| call(&app, "GET", path, Value::Null);
    assert_eq!(get("/subjects").await.1, json!([":.c:s"]));
    assert_eq!(get("/contexts/c/subjects").await.1, json!([":.c:s"]));
    assert_eq!(get("/contexts/:.c:/schemas/ids/1").await.0, 200);
    assert_eq!(get("/schemas/ids/1").await.0, 404);
    assert_eq!(
        get("/schemas/ids/1?subject=:.c:s").await.1["subject"],
        ":.c:s"
    );
    assert_eq!(get("/contexts").await.1, json!([".", ".c"]));
    let full = json!({"compatibility": "FULL"});
    assert_eq!(call(&app, "PUT", "/contexts/c/config", full).await.0, 200);
    assert_eq!(get("/config").await.1["compatibilityLevel"], "BACKWARD");
    let in_scope = get("/config/:.c:s?defaultToGlobal=true").await.1;
    assert_eq!(in_scope["compatibilityLevel"], "FULL");
}

#[tokio::test]
async fn a_subject_lives_and_ends() {
    let (app, _leadership) = app();
    let (status, made) = call(&app, "POST", "/subjects/s/versions", int()).await;
    assert_eq!(
        (status, &made["id"], &made["version"]),
        (200, &json!(1), &json!(1))
    );
    let guid = made["guid"].as_str().unwrap();
    let ids = call(
        &app,
        "GET",
        &format!("/schemas/guids/{guid}/ids"),
        Value::Null,
    )
    .await
    .1;
    assert_eq!(ids, json!([{"context": ".", "id": 1}]));
    let found = call(&app, "POST", "/subjects/s", int()).await.1;
    assert_eq!(
        (&found["version"], &found["schemaType"]),
        (&json!(1), &json!("AVRO"))
    );
    let raw_text = call(&app, "GET", "/subjects/s/versions/1/schema", Value::Null)
        .await
        .1;
    assert_eq!(raw_text, json!("int"));
    let check = "/compatibility/subjects/s/versions/latest?verbose=true";
    let (_, verdict) = call(&app, "POST", check, json!({"schema": "\"string\""})).await;
    assert_eq!(verdict["is_compatible"], json!(false));
    assert!(
        verdict["messages"][0]
            .as_str()
            .unwrap()
            .contains("TYPE_MISMATCH"),
        "{verdict}"
    );
    let delete = |path: &'static str| call(&app, "DELETE", path, Value::Null);
    assert_eq!(
        delete("/subjects/s?permanent=true").await.1["error_code"],
        40405
    );
    assert_eq!(delete("/subjects/s").await.1, json!([1]));
    assert_eq!(delete("/subjects/s").await.1["error_code"], 40404);
    assert_eq!(delete("/subjects/s?permanent=true").await.1, json!([1]));
    assert_eq!(delete("/subjects/s").await.1["error_code"], 40401);
}

#[tokio::test]
async fn an_order_that_was_forwarded_is_not_forwarded_again() {
    let (app, leadership) = app();
    leadership.send_replace(Leadership::At("http://127.0.0.1:1".to_owned()));
    let (status, body) = call(&app, "POST", "/subjects/s/versions", int()).await;
    assert_eq!((status, &body["error_code"]), (500, &json!(50003)));
    let request = Request::builder()
        .method("POST")
        .uri("/subjects/s/versions")
        .header("X-Forward", "true")
        .body(Body::from(int().to_string()))
        .unwrap();
    let (status, _, text) = raw(&app, request).await;
    assert!(status == 500 && text.contains("50004"), "{text}");
}

#[tokio::test]
async fn the_router_has_the_paths_of_the_table_and_their_methods_only() {
    let (app, _leadership) = app();
    for (path, methods) in paths::PATHS {
        let target = path
            .replace("{version}", "1")
            .replace("{id}", "1")
            .replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let (status, body) = call(&app, method, &target, json!({})).await;
            let told = format!("{method} {path}: {status} {body}");
            if methods.contains(&method) {
                let unknown = status == 404 && body["error_code"] == 404;
                assert!(status != 405 && !unknown, "{told}");
            } else {
                assert_eq!(status, 405, "{told}");
            }
        }
    }
}

/// The operations of Confluent Platform's and Confluent Cloud's registry.
const OPERATIONS: [&str; 98] = [
    "GET /",
    "POST /",
    "POST /associations",
    "GET /associations/resources/{resourceId}",
    "PUT /associations/resources/{resourceId}",
    "DELETE /associations/resources/{resourceId}",
    "GET /associations/resources/{resourceNamespace}/{resourceName}",
    "GET /associations/subjects/{subject}",
    "POST /associations:batch",
    "GET /clusterconfig",
    "POST /compatibility/subjects/{subject}/versions",
    "POST /compatibility/subjects/{subject}/versions/{version}",
    "GET /config",
    "PUT /config",
    "DELETE /config",
    "GET /config/{subject}",
    "PUT /config/{subject}",
    "DELETE /config/{subject}",
    "GET /contexts",
    "DELETE /contexts/{context}",
    "GET /exporters",
    "POST /exporters",
    "GET /exporters/{name}",
    "PUT /exporters/{name}",
    "DELETE /exporters/{name}",
    "GET /exporters/{name}/config",
    "PUT /exporters/{name}/config",
    "PUT /exporters/{name}/pause",
    "PUT /exporters/{name}/reset",
    "PUT /exporters/{name}/resume",
    "GET /exporters/{name}/status",
    "GET /mode",
    "PUT /mode",
    "DELETE /mode",
    "GET /mode/{subject}",
    "PUT /mode/{subject}",
    "DELETE /mode/{subject}",
    "GET /schemas",
    "GET /schemas/guids/{guid}",
    "GET /schemas/guids/{guid}/ids",
    "GET /schemas/ids/{id}",
    "GET /schemas/ids/{id}/schema",
    "GET /schemas/ids/{id}/subjects",
    "GET /schemas/ids/{id}/versions",
    "GET /schemas/types",
    "GET /subjects",
    "POST /subjects/{subject}",
    "DELETE /subjects/{subject}",
    "GET /subjects/{subject}/metadata",
    "GET /subjects/{subject}/versions",
    "POST /subjects/{subject}/versions",
    "GET /subjects/{subject}/versions/{version}",
    "DELETE /subjects/{subject}/versions/{version}",
    "GET /subjects/{subject}/versions/{version}/referencedby",
    "GET /subjects/{subject}/versions/{version}/schema",
    "POST /subjects/{subject}/versions/{version}/tags",
    "GET /v1/metadata/deployment",
    "GET /v1/metadata/id",
    "GET /v1/metadata/version",
    "GET /dek-registry/v1/keks",
    "POST /dek-registry/v1/keks",
    "GET /dek-registry/v1/keks/{name}",
    "PUT /dek-registry/v1/keks/{name}",
    "DELETE /dek-registry/v1/keks/{name}",
    "GET /dek-registry/v1/keks/{name}/deks",
    "POST /dek-registry/v1/keks/{name}/deks",
    "GET /dek-registry/v1/keks/{name}/deks/{subject}",
    "POST /dek-registry/v1/keks/{name}/deks/{subject}",
    "DELETE /dek-registry/v1/keks/{name}/deks/{subject}",
    "POST /dek-registry/v1/keks/{name}/deks/{subject}/undelete",
    "GET /dek-registry/v1/keks/{name}/deks/{subject}/versions",
    "GET /dek-registry/v1/keks/{name}/deks/{subject}/versions/{version}",
    "DELETE /dek-registry/v1/keks/{name}/deks/{subject}/versions/{version}",
    "POST /dek-registry/v1/keks/{name}/deks/{subject}/versions/{version}/undelete",
    "POST /dek-registry/v1/keks/{name}/test",
    "POST /dek-registry/v1/keks/{name}/undelete",
    "PUT /catalog/v1/entity",
    "POST /catalog/v1/entity/businessmetadata",
    "PUT /catalog/v1/entity/businessmetadata",
    "POST /catalog/v1/entity/tags",
    "PUT /catalog/v1/entity/tags",
    "GET /catalog/v1/entity/type/{typeName}/name/{qualifiedName}",
    "GET /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/businessmetadata",
    "DELETE /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/businessmetadata/{bmName}",
    "GET /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/tags",
    "DELETE /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/tags/{tagName}",
    "GET /catalog/v1/search/attribute",
    "GET /catalog/v1/search/basic",
    "GET /catalog/v1/types/businessmetadatadefs",
    "POST /catalog/v1/types/businessmetadatadefs",
    "PUT /catalog/v1/types/businessmetadatadefs",
    "GET /catalog/v1/types/businessmetadatadefs/{bmName}",
    "DELETE /catalog/v1/types/businessmetadatadefs/{bmName}",
    "GET /catalog/v1/types/tagdefs",
    "POST /catalog/v1/types/tagdefs",
    "PUT /catalog/v1/types/tagdefs",
    "GET /catalog/v1/types/tagdefs/{tagName}",
    "DELETE /catalog/v1/types/tagdefs/{tagName}",
];

#[test]
fn the_table_has_every_operation_of_the_specifications() {
    let has = |operation: &str| {
        let (method, path) = operation.split_once(' ').unwrap();
        let found = paths::PATHS.iter().find(|(known, _)| *known == path);
        found.is_some_and(|(_, methods)| methods.contains(&method))
    };
    for operation in OPERATIONS {
        assert!(has(operation), "{operation}");
    }
    // Newer names of one of them, and its counterpart for reading.
    let count: usize = paths::PATHS.iter().map(|(_, methods)| methods.len()).sum();
    assert_eq!(count, OPERATIONS.len() + 2);
}

/// A resource `t` in the name space `n` with one association.
fn resource(id: &str, association: Value) -> Value {
    json!({
        "resourceName": format!("topic-{id}"),
        "resourceNamespace": "n",
        "resourceId": id,
        "associations": [association],
    })
}

async fn refused(app: &Arc<App>, method: &str, path: &str, body: Value) -> (u16, u64) {
    let (status, body) = call(app, method, path, body).await;
    (status, body["error_code"].as_u64().unwrap_or_default())
}

#[tokio::test]
async fn a_resource_is_associated_with_subjects() {
    let (app, _leadership) = app();
    let get = |path: &'static str| call(&app, "GET", path, Value::Null);
    let order = json!({
        "resourceName": "orders",
        "resourceNamespace": "lkc-1",
        "resourceId": "id-1",
        "resourceType": "topic",
        "associations": [
            {"subject": "k", "associationType": "key", "lifecycle": "WEAK", "schema": int()},
            {"subject": "v", "lifecycle": "STRONG", "schema": {"schema": "\"long\""}},
        ],
    });
    let (status, looked) = call(&app, "POST", "/associations?dryRun=true", order.clone()).await;
    assert_eq!((status, &looked["associations"]), (200, &Value::Null));
    assert_eq!(get("/subjects").await.1, json!([]));

    let (status, made) = call(&app, "POST", "/associations", order.clone()).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["associations"][0]["lifecycle"], "WEAK");
    assert_eq!(made["associations"][1]["associationType"], "value");
    assert_eq!(made["associations"][1]["schema"]["schema"], "\"long\"");
    // The same again is no change.
    let (status, again) = call(&app, "POST", "/associations", order).await;
    assert_eq!((status, &again["associations"]), (200, &Value::Null));

    let of_id = get("/associations/resources/id-1").await.1;
    assert_eq!(of_id.as_array().unwrap().len(), 2);
    assert_eq!(of_id[0]["associationType"], "key");
    assert!(of_id[0]["createTs"].is_i64() && of_id[0]["guid"].is_string());
    let strong = get("/associations/resources/id-1?lifecycle=STRONG").await.1;
    assert_eq!(strong[0]["subject"], "v");
    for path in [
        "/associations/resources/lkc-1/orders?associationType=value",
        "/associations/resources/-/orders?associationType=value",
        "/associations/subjects/v",
    ] {
        let found = get(path).await.1;
        assert_eq!(found[0]["guid"], strong[0]["guid"], "{path}");
    }
    assert_eq!(
        get("/associations/resources/other/orders").await.1,
        json!([])
    );
    let listed = get("/schemas?resourceType=topic").await.1;
    assert_eq!(listed[1]["associations"][0]["resourceName"], "orders");
    assert_eq!(get("/associations/subjects/v?lifecycle=BOTH").await.0, 404);
}

#[tokio::test]
async fn associations_that_cannot_be_are_refused() {
    let (app, _leadership) = app();
    let path = "/associations";
    let subjects = ["a", "b", "c"];
    for subject in subjects {
        let path = format!("/subjects/{subject}/versions");
        assert_eq!(call(&app, "POST", &path, int()).await.0, 200);
    }
    let post = |body| refused(&app, "POST", path, body);
    assert_eq!(post(json!({})).await, (422, 42212));
    for (association, code) in [
        (json!({"subject": "none"}), (409, 40907)),
        (
            json!({"subject": "a", "associationType": "header"}),
            (422, 42212),
        ),
        (json!({"subject": "a", "lifecycle": "LOOSE"}), (422, 42212)),
        (
            json!({"subject": "a", "lifecycle": "WEAK", "frozen": true}),
            (422, 42212),
        ),
        (
            json!({"subject": "a", "lifecycle": "STRONG", "frozen": true}),
            (422, 42212),
        ),
        (json!({"lifecycle": "WEAK"}), (422, 42212)),
        (
            json!({"subject": "a", "schema": {"schema": "\"string\""}}),
            (409, 409),
        ),
    ] {
        assert_eq!(
            post(resource("1", association.clone())).await,
            code,
            "{association}"
        );
    }
    let weak = |subject| json!({"subject": subject, "lifecycle": "WEAK"});
    let strong = |subject| json!({"subject": subject, "lifecycle": "STRONG"});
    assert_eq!(post(resource("1", weak("a"))).await.0, 200);
    assert_eq!(post(resource("1", strong("a"))).await, (409, 40903));
    assert_eq!(post(resource("1", weak("b"))).await, (409, 40903));
    assert_eq!(post(resource("2", weak("a"))).await.0, 200);
    assert_eq!(post(resource("3", strong("a"))).await, (409, 40904));
    assert_eq!(post(resource("4", strong("b"))).await.0, 200);
    assert_eq!(post(resource("5", weak("b"))).await, (409, 40905));
    let of = "/associations/resources/1";
    for id in ["1", "9"] {
        let other = resource(id, weak("c"));
        assert_eq!(refused(&app, "PUT", of, other).await, (422, 42212));
    }
    // Weak becomes strong once nobody else uses the subject.
    let stronger = resource("1", strong("a"));
    assert_eq!(
        refused(&app, "PUT", of, stronger.clone()).await,
        (409, 40904)
    );
    let other = "/associations/resources/2";
    assert_eq!(call(&app, "DELETE", other, Value::Null).await.0, 204);
    assert_eq!(
        refused(&app, "DELETE", other, Value::Null).await,
        (404, 40410)
    );
    let (status, changed) = call(&app, "PUT", of, stronger).await;
    assert_eq!(
        (status, &changed["associations"][0]["lifecycle"]),
        (200, &json!("STRONG"))
    );
}

#[tokio::test]
async fn a_frozen_association_goes_with_its_subject_only() {
    let (app, _leadership) = app();
    let frozen = json!({"lifecycle": "STRONG", "frozen": true, "schema": int()});
    let (status, made) = call(&app, "POST", "/associations", resource("1", frozen)).await;
    assert_eq!(
        (status, &made["associations"][0]["subject"]),
        (200, &json!(":.n:topic-1-value"))
    );
    let of = "/associations/resources/1";
    let thawed = resource("1", json!({"lifecycle": "STRONG", "frozen": false}));
    assert_eq!(refused(&app, "PUT", of, thawed).await, (422, 42212));
    assert_eq!(refused(&app, "DELETE", of, Value::Null).await, (409, 40908));
    let dry = format!("{of}?cascadeLifecycle=true&dryRun=true");
    assert_eq!(call(&app, "DELETE", &dry, Value::Null).await.0, 204);
    let all = format!("{of}?cascadeLifecycle=true");
    assert_eq!(call(&app, "DELETE", &all, Value::Null).await.0, 204);
    let subjects = call(&app, "GET", "/subjects?deleted=true", Value::Null)
        .await
        .1;
    assert_eq!(subjects, json!([]));
    assert_eq!(call(&app, "GET", of, Value::Null).await.1, json!([]));
}

#[tokio::test]
async fn a_batch_tells_of_each_resource_what_became_of_it() {
    let (app, _leadership) = app();
    assert_eq!(
        call(&app, "POST", "/subjects/s/versions", int()).await.0,
        200
    );
    let create = |id, subject| {
        resource(
            id,
            json!({"opType": "CREATE", "subject": subject, "associationType": "value"}),
        )
    };
    let requests = json!({"requests": [create("1", "s"), create("2", "none"), create("3", "s")]});
    let (status, answer) = call(&app, "POST", "/associations:batch", requests).await;
    assert_eq!(status, 207, "{answer}");
    let results = &answer["results"];
    assert_eq!(results[0]["result"]["associations"][0]["subject"], "s");
    assert_eq!(results[1]["error"]["error_code"], 40907);
    assert_eq!(results[2]["result"]["resourceId"], "3");

    let mut remove = create("3", "s");
    remove["associations"] = json!([{"opType": "DELETE", "associationType": "value"}]);
    let mut upsert = create("1", "s");
    upsert["associations"][0]["opType"] = json!("UPSERT");
    let (_, answer) = call(
        &app,
        "POST",
        "/associations:batchMutate",
        json!({"requests": [remove, upsert]}),
    )
    .await;
    assert_eq!(answer["results"][0]["result"]["associations"], Value::Null);
    assert_eq!(answer["results"][1]["error"], Value::Null, "{answer}");
    let ask = json!({"requests": [{"resourceId": "1"}, {"resourceName": "topic-3"}, {}]});
    let path = "/associations:batchGet?includeSchemas=true";
    let (status, answer) = call(&app, "POST", path, ask).await;
    let results = &answer["results"];
    assert_eq!(status, 207);
    assert_eq!(
        results[0]["result"]["associations"][0]["schema"]["version"],
        1
    );
    assert_eq!(results[1]["result"]["associations"], Value::Null);
    assert_eq!(results[2]["error"]["error_code"], 42212);
    let empty = json!({"requests": []});
    assert_eq!(
        refused(&app, "POST", "/associations:batch", empty).await,
        (422, 42212)
    );
}

#[tokio::test]
async fn an_exporter_is_ordered_changed_and_ended() {
    let (app, _leadership) = app();
    let get = |path: &'static str| call(&app, "GET", path, Value::Null);
    let put = |path: &'static str, body| call(&app, "PUT", path, body);
    let config = json!({"schema.registry.url": "http://far:8081", "basic.auth.user.info": "u:p"});
    let order = json!({"name": "e", "contextType": "CUSTOM", "context": "far", "subjects": ["a*"], "config": config});
    for (field, value, code) in [
        ("name", json!(""), 40950),
        ("name", json!("a/b"), 40950),
        ("config", json!({}), 40951),
        ("contextType", json!("SIDEWAYS"), 40951),
        ("context", json!(""), 40951),
        ("subjects", json!(["a*b"]), 40952),
    ] {
        let mut bad = order.clone();
        bad[field] = value;
        assert_eq!(
            refused(&app, "POST", "/exporters", bad).await,
            (409, code),
            "{field}"
        );
    }
    let made = call(&app, "POST", "/exporters", order.clone()).await;
    assert_eq!(made, (200, json!({"name": "e"})));
    assert_eq!(
        refused(&app, "POST", "/exporters", order).await,
        (409, 40960)
    );
    assert_eq!(get("/exporters").await.1, json!(["e"]));
    let shown = get("/exporters/e").await.1;
    assert_eq!(
        (&shown["context"], &shown["contextType"]),
        (&json!("far"), &json!("CUSTOM"))
    );
    assert_eq!(shown["config"]["basic.auth.user.info"], "[hidden]");
    let status = get("/exporters/e/status").await.1;
    let starting = json!({"name": "e", "state": "STARTING", "offset": 0, "ts": 0, "trace": ""});
    assert_eq!(status, starting);

    let change = json!({"subjects": ["b"]});
    assert_eq!(
        refused(&app, "PUT", "/exporters/e", change.clone()).await,
        (409, 40963)
    );
    assert_eq!(
        refused(&app, "PUT", "/exporters/e/reset", json!({})).await,
        (409, 40963)
    );
    assert_eq!(
        refused(&app, "PUT", "/exporters/e/resume", json!({})).await,
        (409, 40961)
    );
    assert_eq!(put("/exporters/e/pause", Value::Null).await.0, 200);
    assert_eq!(get("/exporters/e/status").await.1["state"], "PAUSED");
    assert_eq!(put("/exporters/e", change).await.0, 200);
    // What was shown can be sent back: the secret is still the one that nobody was shown.
    let config = get("/exporters/e/config").await.1;
    assert_eq!(
        put("/exporters/e/config", json!({"config": config}))
            .await
            .0,
        200
    );
    let kept = app.registry.exporter("e").unwrap().value;
    assert_eq!(kept.config["basic.auth.user.info"], "u:p");
    assert_eq!(kept.subjects, ["b"]);
    assert_eq!(put("/exporters/e/reset", Value::Null).await.0, 200);
    assert_eq!(put("/exporters/e/resume", Value::Null).await.0, 200);
    assert_eq!(
        call(&app, "DELETE", "/exporters/e", Value::Null).await.0,
        204
    );
    for path in ["/exporters/e", "/exporters/e/status", "/exporters/e/config"] {
        assert_eq!(refused(&app, "GET", path, Value::Null).await, (404, 40450));
    }
}

#[tokio::test]
async fn what_is_no_schema_is_refused_whatever_its_format() {
    let (app, _leadership) = app();
    for (schema_type, text) in [
        ("JSON", r#"{"type":"bad-object"}"#),
        (
            "PROTOBUF",
            "syntax = \"proto3\"; message M { int32 a = 1; int32 b = 1; }",
        ),
        ("AVRO", r#"{"type":"bad-object"}"#),
    ] {
        let body = json!({"schema": text, "schemaType": schema_type});
        let found = refused(&app, "POST", "/subjects/s/versions", body).await;
        assert_eq!(found, (422, 42201), "{schema_type}");
    }
}

#[tokio::test]
async fn tags_are_told_with_the_kind_of_what_has_them() {
    let (app, _leadership) = app();
    let text = r#"{"type":"record","name":"R","fields":[{"name":"f","type":"string","confluent:tags":["PII"]}],"confluent:tags":["PII"]}"#;
    let body = json!({"schema": text});
    assert_eq!(
        call(&app, "POST", "/subjects/s/versions", body).await.0,
        200
    );
    let found = call(&app, "GET", "/schemas/ids/1?findTags=PII", Value::Null)
        .await
        .1;
    let kind = |path: &str| {
        let tags = found["schemaTags"].as_array().unwrap();
        let entity = tags
            .iter()
            .find(|tag| tag["schemaEntity"]["entityPath"] == path);
        entity.unwrap()["schemaEntity"]["entityType"].clone()
    };
    assert_eq!(
        (kind("R"), kind("R.f")),
        (json!("sr_record"), json!("sr_field"))
    );
}
