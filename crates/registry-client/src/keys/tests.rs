//! Rules that encrypt, through a DEK registry that answers over HTTP.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use schema::encryption::{Algorithm, DataKey};
use schema::rules::{Passage, RuleError, RuleFailure, Rules, Shape};
use schema::{ParseOptions, ParsedSchema, RuleSet, SchemaType};
use serde_json::{Value, json};

use super::*;
use crate::client::ClientOptions;

/// A registry that keeps what it is given, by path.
#[derive(Debug, Default)]
struct Kept {
    answers: BTreeMap<String, Value>,
    /// What was asked, in turn.
    asked: Vec<String>,
    /// The subject belongs in the body.
    is_old: bool,
}

type Shelf = Arc<Mutex<Kept>>;

fn refusal(status: StatusCode, code: i64) -> Response {
    let body = json!({"error_code": code, "message": "no"}).to_string();
    (status, body).into_response()
}

async fn answer(State(shelf): State<Shelf>, method: Method, uri: Uri, body: Bytes) -> Response {
    let mut kept = shelf.lock().unwrap();
    kept.asked.push(format!("{method} {uri}"));
    let path = uri.path().to_owned();
    if method == Method::GET {
        let found = kept.answers.get(&path);
        return match found {
            Some(found) => found.to_string().into_response(),
            None => refusal(StatusCode::NOT_FOUND, 40470),
        };
    }
    let mut made: Value = serde_json::from_slice(&body).unwrap();
    let place = match (made["name"].as_str(), made["subject"].as_str()) {
        (Some(name), _) => format!("{path}/{name}"),
        (None, _) if kept.is_old && !path.ends_with("/deks") => {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, 405);
        }
        (None, subject) => {
            let kek = path.split("/deks").next().unwrap();
            let version = &made["version"];
            let subject = subject.unwrap().replace('/', "%2F");
            format!("{kek}/deks/{subject}/versions/{version}")
        }
    };
    made["ts"] = json!(0);
    if made["kmsType"].is_null() && made["encryptedKeyMaterial"].is_null() {
        // The KEK is shared: the registry makes the key.
        let key = DataKey::generate(Algorithm::Aes256Gcm, &SystemRandom::default()).unwrap();
        made["keyMaterial"] = json!(BASE64.encode(key.material()));
        made["encryptedKeyMaterial"] = json!("AAAA");
    }
    if kept.answers.contains_key(&place) {
        return refusal(StatusCode::CONFLICT, 40971);
    }
    kept.answers.insert(place, made.clone());
    made.to_string().into_response()
}

/// A registry, and its address.
async fn registry() -> (Shelf, String) {
    let shelf = Shelf::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(&shelf));
    // Ends with the test's runtime.
    tokio::spawn(async move { axum::serve(listener, router).await });
    (shelf, address)
}

fn keys(address: &str, secret: &str) -> Arc<RegistryKeys> {
    let client = RegistryClient::new(&ClientOptions::new(address)).unwrap();
    let variable = ("LOCAL_SECRET".to_owned(), secret.to_owned());
    let kms = Kms::new([variable].into_iter().collect()).unwrap();
    Arc::new(RegistryKeys::new(Arc::new(client), kms))
}

const TEXT: &str = r#"{"type":"record","name":"User","fields":[{"name":"name","type":"string","confluent:tags":["PII"]}]}"#;

async fn run(
    keys: &Arc<RegistryKeys>,
    passage: Passage,
    record: Value,
) -> Result<Value, RuleFailure> {
    let set: RuleSet = serde_json::from_value(json!({"domainRules": [{
        "name": "r", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT", "tags": ["PII"],
        "params": {"encrypt.kek.name": "k", "encrypt.kms.type": "local-kms", "encrypt.kms.key.id": "id"}
    }]}))
    .unwrap();
    let schema = ParsedSchema::parse(SchemaType::Avro, TEXT, &[], ParseOptions::default()).unwrap();
    let shape = Shape::of(&schema, None).unwrap();
    let keys = Arc::<RegistryKeys>::clone(keys);
    let rules = Rules::new(&set, None, &shape, passage).with_keys(keys, "users/value");
    tokio::task::spawn_blocking(move || rules.run(record))
        .await
        .unwrap()
}

#[tokio::test]
async fn keys_are_made_once_and_found_by_others() {
    let (shelf, address) = registry().await;
    let record = json!({"name": "Bo"});
    let writer = keys(&address, "s");
    let sealed = run(&writer, Passage::Write, record.clone()).await.unwrap();
    assert_ne!(sealed, record);
    let opened = run(&keys(&address, "s"), Passage::Read, sealed.clone()).await;
    assert_eq!(opened.unwrap(), record);
    let asked = shelf.lock().unwrap().asked.clone();
    let expected = [
        "GET /dek-registry/v1/keks/k",
        "POST /dek-registry/v1/keks",
        "GET /dek-registry/v1/keks/k/deks/users%2Fvalue/versions/1?algorithm=AES256_GCM",
        "POST /dek-registry/v1/keks/k/deks/users%2Fvalue",
        "GET /dek-registry/v1/keks/k?deleted=true",
    ];
    assert_eq!(asked.get(..5).unwrap(), expected);
    // Another secret is another KEK.
    let failure = run(&keys(&address, "t"), Passage::Read, sealed).await;
    let error = failure.unwrap_err().error;
    assert!(error.to_string().contains("local-kms"), "{error}");
}

#[tokio::test]
async fn an_old_registry_takes_the_subject_in_the_body() {
    let (shelf, address) = registry().await;
    shelf.lock().unwrap().is_old = true;
    let record = json!({"name": "Bo"});
    let sealed = run(&keys(&address, "s"), Passage::Write, record.clone()).await;
    let opened = run(&keys(&address, "s"), Passage::Read, sealed.unwrap()).await;
    assert_eq!(opened.unwrap(), record);
    let asked = shelf.lock().unwrap().asked.clone();
    assert!(asked.contains(&"POST /dek-registry/v1/keks/k/deks".to_owned()));
}

#[tokio::test]
async fn of_a_shared_kek_the_registry_makes_the_keys() {
    let (shelf, address) = registry().await;
    let kek = json!({"name": "k", "kmsType": "local-kms", "kmsKeyId": "id", "kmsProps": {"a": "b"}, "shared": true});
    shelf
        .lock()
        .unwrap()
        .answers
        .insert("/dek-registry/v1/keks/k".to_owned(), kek);
    let record = json!({"name": "Bo"});
    let sealed = run(&keys(&address, "s"), Passage::Write, record.clone())
        .await
        .unwrap();
    let opened = run(&keys(&address, "other"), Passage::Read, sealed).await;
    assert_eq!(opened.unwrap(), record);
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let nowhere = keys("127.0.0.1:1", "s");
    let failure = run(&nowhere, Passage::Write, json!({"name": "Bo"})).await;
    let error = failure.unwrap_err().error;
    assert!(matches!(error, RuleError::Encryption { .. }));
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let (_shelf, address) = registry().await;
    let failure = run(&keys(&address, "s"), Passage::Read, json!({"name": "Qm8="})).await;
    let error = failure.unwrap_err().error;
    assert_eq!(error.to_string(), "no kek found for k during consume");
    // Outside of a runtime nothing can be asked.
    let keys = keys(&address, "s");
    let asked = std::thread::spawn(move || keys.kek("k", false)).join();
    assert!(asked.unwrap().is_err());
}
