//! The API over a log in memory: paths, statuses, texts.

use std::sync::RwLock;

use axum::http::header;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::config::RegistryConfig;
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
    let registry = Registry::new(state, log, config, watched);
    let app = App {
        registry: Arc::new(registry),
        client: reqwest::Client::new(),
        cluster_id: "cluster".to_owned(),
    };
    (Arc::new(app), leadership)
}

async fn raw(app: &Arc<App>, request: Request<Body>) -> (u16, axum::http::HeaderMap, String) {
    let response = serve(State(Arc::clone(app)), request).await;
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
