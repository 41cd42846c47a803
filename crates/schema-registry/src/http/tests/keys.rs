//! Keys over HTTP: the life of KEKs and DEKs, sharing, and what is refused.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use schema::encryption::{Algorithm, DataKey, SystemRandom};

use super::*;

const KEKS: &str = "/dek-registry/v1/keks";

async fn get(app: &Arc<App>, path: &str) -> (u16, Value) {
    call(app, "GET", &format!("{KEKS}{path}"), Value::Null).await
}

async fn post(app: &Arc<App>, path: &str, body: Value) -> (u16, Value) {
    call(app, "POST", &format!("{KEKS}{path}"), body).await
}

async fn put(app: &Arc<App>, path: &str, body: Value) -> (u16, Value) {
    call(app, "PUT", &format!("{KEKS}{path}"), body).await
}

async fn delete(app: &Arc<App>, path: &str) -> (u16, Value) {
    call(app, "DELETE", &format!("{KEKS}{path}"), Value::Null).await
}

/// The status, and the error code if there is one.
fn code((status, body): (u16, Value)) -> (u16, Option<u64>) {
    (status, body["error_code"].as_u64())
}

fn kek(name: &str, shared: bool) -> Value {
    json!({"name": name, "kmsType": "local-kms", "kmsKeyId": "id", "shared": shared,
        "kmsProps": {"secret": "s", "region": "here"}})
}

fn without_ts(mut entity: Value) -> Value {
    let ts = entity
        .as_object_mut()
        .and_then(|entity| entity.remove("ts"));
    assert!(ts.is_some_and(|ts| ts.is_i64()), "{entity}");
    entity
}

#[tokio::test]
async fn a_kek_lives_and_ends() {
    let (app, _leadership) = app();
    assert_eq!(get(&app, "").await, (200, json!([])));
    let (status, made) = post(&app, "", kek("one", false)).await;
    let expected = json!({"name": "one", "kmsType": "local-kms", "kmsKeyId": "id",
        "kmsProps": {"region": "here"}, "shared": false});
    assert_eq!((status, without_ts(made)), (200, expected.clone()));
    assert_eq!(without_ts(get(&app, "/one").await.1), expected);
    let again = post(&app, "", kek("one", false)).await;
    assert_eq!(
        again.1["message"],
        "Key 'one' already exists; use a different value"
    );
    assert_eq!(code(again), (409, Some(40971)));
    let hard = delete(&app, "/one?permanent=true").await;
    assert_eq!(code(hard), (404, Some(40471)));
    assert_eq!(delete(&app, "/one").await.0, 204);
    assert_eq!(delete(&app, "/one").await.0, 204);
    let gone = get(&app, "/one").await;
    assert_eq!(gone.1["message"], "Key 'one' not found");
    assert_eq!(code(gone), (404, Some(40470)));
    assert_eq!(code(put(&app, "/one", json!({})).await), (404, Some(40470)));
    assert_eq!(get(&app, "/one?deleted=true").await.1["deleted"], true);
    assert_eq!(get(&app, "").await.1, json!([]));
    assert_eq!(get(&app, "?deleted=true").await.1, json!(["one"]));
    let other = post(&app, "", kek("one", true)).await;
    assert_eq!(code(other), (409, Some(40971)));
    assert_eq!(post(&app, "", kek("one", false)).await.0, 200);
    assert_eq!(delete(&app, "/one").await.0, 204);
    assert_eq!(post(&app, "/one/undelete", json!({})).await.0, 204);
    assert_eq!(get(&app, "/one").await.0, 200);
    assert_eq!(delete(&app, "/one").await.0, 204);
    assert_eq!(delete(&app, "/one?permanent=true").await.0, 204);
    assert_eq!(get(&app, "/one?deleted=true").await.0, 404);
    assert_eq!(code(delete(&app, "/one").await), (404, Some(40470)));
}

#[tokio::test]
async fn what_a_key_must_have_is_asked_for() {
    let (app, _leadership) = app();
    let long = "n".repeat(65);
    for (field, bad) in [
        ("name", json!({"kmsType": "t", "kmsKeyId": "k"})),
        (
            "name",
            json!({"name": "1st", "kmsType": "t", "kmsKeyId": "k"}),
        ),
        (
            "name",
            json!({"name": "a b", "kmsType": "t", "kmsKeyId": "k"}),
        ),
        (
            "name",
            json!({"name": long, "kmsType": "t", "kmsKeyId": "k"}),
        ),
        ("kmsType", json!({"name": "a", "kmsKeyId": "k"})),
        (
            "kmsKeyId",
            json!({"name": "a", "kmsType": "t", "kmsKeyId": ""}),
        ),
    ] {
        let answer = post(&app, "", bad).await;
        let message = format!("Invalid or missing value for field '{field}' of key");
        assert_eq!(answer.1["message"], message);
        assert_eq!(code(answer), (422, Some(42271)));
    }
    assert_eq!(code(get(&app, "/1st").await), (422, Some(42271)));
    post(&app, "", kek("k", false)).await;
    let bad = [
        json!({"encryptedKeyMaterial": "eA=="}),
        json!({"subject": "", "encryptedKeyMaterial": "eA=="}),
        json!({"subject": "s"}),
    ];
    for bad in bad {
        assert_eq!(code(post(&app, "/k/deks", bad).await), (422, Some(42271)));
    }
    let other = json!({"subject": "t", "encryptedKeyMaterial": "eA=="});
    assert_eq!(
        code(post(&app, "/k/deks/s", other).await),
        (422, Some(42271))
    );
    let unknown = json!({"subject": "s", "algorithm": "ROT13"});
    assert_eq!(post(&app, "/k/deks", unknown).await.0, 422);
    assert_eq!(get(&app, "/k/deks/s?algorithm=ROT13").await.0, 404);
    let zero = get(&app, "/k/deks/s/versions/0").await;
    assert_eq!(code(zero), (422, Some(42202)));
    // A name that is none comes before a version that is none.
    for path in ["/1st/deks/s/versions/0", "/k/deks/%07/versions/0"] {
        assert_eq!(code(get(&app, path).await), (422, Some(42271)), "{path}");
        assert_eq!(code(delete(&app, path).await), (422, Some(42271)), "{path}");
    }
    for version in [0, -1] {
        let below = json!({"version": version, "encryptedKeyMaterial": "eA=="});
        let answer = post(&app, "/k/deks/s", below).await;
        let message = "Invalid or missing value for field 'version' of key";
        assert_eq!(answer.1["message"], message);
        assert_eq!(code(answer), (422, Some(42271)));
    }
    assert_eq!(code(get(&app, "/none/deks").await), (404, Some(40470)));
    assert_eq!(code(get(&app, "/k/deks/s").await), (404, Some(40470)));
    assert_eq!(put(&app, "", json!({})).await.0, 405);
}

#[tokio::test]
async fn a_dek_lives_and_ends() {
    let (app, _leadership) = app();
    post(&app, "", kek("k", false)).await;
    let body = json!({"subject": "s", "encryptedKeyMaterial": "eA=="});
    let (status, made) = post(&app, "/k/deks", body.clone()).await;
    let expected = json!({"kekName": "k", "subject": "s", "version": 1, "algorithm": "AES256_GCM",
        "encryptedKeyMaterial": "eA=="});
    assert_eq!((status, without_ts(made)), (200, expected.clone()));
    assert_eq!(without_ts(get(&app, "/k/deks/s").await.1), expected);
    assert_eq!(
        code(post(&app, "/k/deks/s", body.clone()).await),
        (409, Some(40971))
    );
    let next = json!({"version": 2, "encryptedKeyMaterial": "eQ=="});
    assert_eq!(post(&app, "/k/deks/s", next).await.0, 200);
    let siv = json!({"subject": "s", "algorithm": "AES256_SIV", "encryptedKeyMaterial": "eg=="});
    assert_eq!(post(&app, "/k/deks", siv).await.0, 200);
    let other = json!({"encryptedKeyMaterial": "eA=="});
    assert_eq!(post(&app, "/k/deks/foo", other).await.0, 200);
    assert_eq!(get(&app, "/k/deks").await.1, json!(["foo", "s"]));
    assert_eq!(get(&app, "/k/deks?offset=1&limit=1").await.1, json!(["s"]));
    assert_eq!(get(&app, "/k/deks/s/versions").await.1, json!([1, 2]));
    assert_eq!(get(&app, "/k/deks/s/versions?limit=1").await.1, json!([1]));
    let of_siv = get(&app, "/k/deks/s/versions?algorithm=AES256_SIV").await;
    assert_eq!(of_siv.1, json!([1]));
    for latest in ["latest", "-1", "2"] {
        let found = get(&app, &format!("/k/deks/s/versions/{latest}")).await;
        assert_eq!(found.1["encryptedKeyMaterial"], "eQ==");
    }
    assert_eq!(get(&app, "?subjectPrefix=fo").await.1, json!(["k"]));
    assert_eq!(
        get(&app, "?subjectPrefix=x&subjectPrefix=s").await.1,
        json!(["k"])
    );
    assert_eq!(get(&app, "?subjectPrefix=x").await.1, json!([]));
    let referred = delete(&app, "/k").await;
    assert_eq!(
        referred.1["message"],
        "One or more references exist to the key 'k'"
    );
    assert_eq!(code(referred), (422, Some(42272)));
    let hard = delete(&app, "/k/deks/s?permanent=true").await;
    assert_eq!(code(hard), (404, Some(40471)));
    assert_eq!(delete(&app, "/k/deks/s/versions/latest").await.0, 204);
    assert_eq!(get(&app, "/k/deks/s/versions").await.1, json!([1]));
    assert_eq!(
        get(&app, "/k/deks/s/versions?deleted=true").await.1,
        json!([1, 2])
    );
    assert_eq!(
        post(&app, "/k/deks/s/versions/2/undelete", json!({}))
            .await
            .0,
        204
    );
    assert_eq!(delete(&app, "/k/deks/s").await.0, 204);
    assert_eq!(get(&app, "/k/deks/s").await.0, 404);
    assert_eq!(get(&app, "/k/deks/s?deleted=true").await.1["deleted"], true);
    // Making it again takes it back.
    assert_eq!(post(&app, "/k/deks/s", body).await.0, 200);
    assert_eq!(get(&app, "/k/deks/s/versions").await.1, json!([1]));
}

#[tokio::test]
async fn a_dek_comes_back_after_its_kek() {
    let (app, _leadership) = app();
    post(&app, "", kek("k", false)).await;
    let body = json!({"subject": "s", "encryptedKeyMaterial": "eA=="});
    post(&app, "/k/deks", body).await;
    delete(&app, "/k/deks/s").await;
    assert_eq!(delete(&app, "/k").await.0, 204);
    assert_eq!(code(get(&app, "/k/deks").await), (404, Some(40470)));
    assert_eq!(get(&app, "/k/deks?deleted=true").await.1, json!(["s"]));
    let early = post(&app, "/k/deks/s/undelete", json!({})).await;
    assert_eq!(early.1["message"], "Key 'k' must be undeleted first");
    assert_eq!(code(early), (404, Some(40472)));
    let still = delete(&app, "/k?permanent=true").await;
    assert_eq!(code(still), (422, Some(42272)));
    assert_eq!(post(&app, "/k/undelete", json!({})).await.0, 204);
    assert_eq!(post(&app, "/k/deks/s/undelete", json!({})).await.0, 204);
    assert_eq!(get(&app, "/k/deks/s").await.0, 200);
    delete(&app, "/k/deks/s").await;
    assert_eq!(delete(&app, "/k/deks/s?permanent=true").await.0, 204);
    let gone = delete(&app, "/k/deks/s?permanent=true").await;
    assert_eq!(code(gone), (404, Some(40470)));
}

/// The key that an answer has in the clear.
fn key_of(dek: &Value, algorithm: Algorithm) -> DataKey {
    let material = BASE64.decode(dek["keyMaterial"].as_str().unwrap()).unwrap();
    DataKey::from_material(algorithm, &material).unwrap()
}

#[tokio::test]
async fn a_shared_kek_has_the_registry_make_and_open_deks() {
    let (app, _leadership) = app();
    post(&app, "", kek("k", true)).await;
    for algorithm in Algorithm::ALL {
        let body = json!({"algorithm": algorithm.name()});
        let (status, made) = post(&app, "/k/deks/s", body).await;
        assert_eq!(status, 200, "{made}");
        let path = format!("/k/deks/s?algorithm={}", algorithm.name());
        let found = get(&app, &path).await.1;
        let sealed = key_of(&made, algorithm)
            .encrypt(b"x", &SystemRandom::default())
            .unwrap();
        assert_eq!(key_of(&found, algorithm).decrypt(&sealed).unwrap(), b"x");
        let again = post(&app, "/k/deks/s", json!({"algorithm": algorithm.name()})).await;
        assert_eq!(code(again), (409, Some(40971)));
    }
    let old = get(&app, "/k/deks/s").await.1;
    let (status, rewrapped) = post(&app, "/k/deks/s?rewrap=true", json!({})).await;
    assert_eq!(status, 200, "{rewrapped}");
    assert_eq!(rewrapped["keyMaterial"], old["keyMaterial"]);
    assert_ne!(
        rewrapped["encryptedKeyMaterial"],
        old["encryptedKeyMaterial"]
    );
    assert_eq!(get(&app, "/k/deks/s/versions").await.1, json!([1]));
    // No longer shared, the key is nobody's business but the client's.
    put(&app, "/k", json!({"shared": false})).await;
    assert_eq!(get(&app, "/k/deks/s").await.1["keyMaterial"], Value::Null);
}

#[tokio::test]
async fn what_is_imported_is_not_opened() {
    let (app, _leadership) = app();
    post(&app, "", kek("k", true)).await;
    let import = json!({"mode": "IMPORT"});
    assert_eq!(call(&app, "PUT", "/mode", import).await.0, 200);
    let made = post(&app, "/k/deks/s", json!({})).await.1;
    assert!(made["encryptedKeyMaterial"].is_string(), "{made}");
    assert_eq!(made["keyMaterial"], Value::Null);
    let strange = json!({"encryptedKeyMaterial": "eA=="});
    assert_eq!(post(&app, "/k/deks/t", strange).await.0, 200);
    let unreadable = get(&app, "/k/deks/t").await;
    assert_eq!(code(unreadable), (422, Some(42271)));
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_the_requests_fault_and_a_service_that_is_away_is_not() {
    let (app, _leadership) = app();
    let told = |answer: (u16, Value)| {
        let message = answer.1["message"].as_str().unwrap_or_default().to_owned();
        (code(answer), message)
    };
    let mut unknown = kek("of-no-service", true);
    unknown["kmsType"] = json!("post-it");
    assert_eq!(post(&app, "", unknown.clone()).await.0, 200);
    for path in ["/of-no-service/deks/s", "/of-no-service/test"] {
        let (code, message) = told(post(&app, path, json!({})).await);
        assert_eq!(code, (422, Some(42271)), "{path}");
        assert!(message.contains("'kmsType'"), "{message}");
    }
    unknown["name"] = json!("k");
    let (refused, _) = told(post(&app, "?testSharing=true", unknown).await);
    assert_eq!(refused, (422, Some(42271)));
    post(&app, "", kek("k", true)).await;
    let strange = json!({"encryptedKeyMaterial": "bm90IG9mIHRoaXMga2V5LCBub3QgYXQgYWxsLCBubw=="});
    let (code_of, message) = told(post(&app, "/k/deks/s", strange).await);
    assert_eq!(code_of, (422, Some(42271)));
    assert!(message.contains("'encryptedKeyMaterial'"), "{message}");
    // Nobody listens there.
    let mut away = kek("away", true);
    away["kmsType"] = json!("hcvault");
    away["kmsKeyId"] = json!("http://127.0.0.1:1/transit/keys/k");
    away["kmsProps"] = json!({"token.id": "t"});
    assert_eq!(post(&app, "", away).await.0, 200);
    let failed = post(&app, "/away/deks/s", json!({})).await;
    assert_eq!(code(failed), (500, Some(50070)));
}

#[tokio::test]
async fn what_a_service_does_not_do_is_told_and_nothing_is_written() {
    let (app, _leadership) = app();
    let mut lost = kek("k", true);
    lost["kmsProps"] = json!({});
    assert_eq!(
        code(post(&app, "?testSharing=true", lost.clone()).await),
        (422, Some(42271))
    );
    assert_eq!(get(&app, "").await.1, json!([]));
    assert_eq!(post(&app, "", lost).await.0, 200);
    let failed = post(&app, "/k/deks/s", json!({})).await;
    let message = failed.1["message"].as_str().unwrap();
    assert!(
        message.contains("'kmsProps'")
            && message.contains("Could not generate encrypted dek for s: "),
        "{message}"
    );
    assert!(message.contains("LOCAL_SECRET"), "{message}");
    assert_eq!(code(failed), (422, Some(42271)));
    assert_eq!(get(&app, "/k/deks").await.1, json!([]));
    assert_eq!(
        code(post(&app, "/k/test", json!({})).await),
        (422, Some(42271))
    );
    let with_secret = json!({"kmsProps": {"secret": "s"}});
    assert_eq!(put(&app, "/k?testSharing=true", with_secret).await.0, 200);
    assert_eq!(post(&app, "/k/test", json!({})).await.0, 200);
    put(&app, "/k", json!({"shared": false})).await;
    assert_eq!(
        code(post(&app, "/k/test", json!({})).await),
        (422, Some(42271))
    );
}

#[tokio::test]
async fn a_secret_is_kept_and_never_told() {
    let (app, _leadership) = app();
    post(&app, "", kek("k", true)).await;
    let dek = post(&app, "/k/deks/s", json!({})).await.1;
    let seen = get(&app, "/k").await.1;
    assert_eq!(seen["kmsProps"], json!({"region": "here"}));
    // What was seen, sent back with a change.
    let change = json!({"kmsProps": {"region": "there"}, "doc": "d"});
    let changed = put(&app, "/k", change).await.1;
    assert_eq!(changed["kmsProps"], json!({"region": "there"}));
    assert_eq!(changed["doc"], "d");
    let hidden = json!({"kmsProps": {"secret": "[hidden]"}});
    put(&app, "/k", hidden).await;
    let found = get(&app, "/k/deks/s").await.1;
    assert_eq!(found["keyMaterial"], dek["keyMaterial"]);
    let gone = put(&app, "/k", json!({"kmsProps": null, "doc": null}))
        .await
        .1;
    assert_eq!(
        (&gone["kmsProps"], &gone["doc"]),
        (&json!({}), &Value::Null)
    );
    assert_eq!(code(get(&app, "/k/deks/s").await), (422, Some(42271)));
}

#[tokio::test]
async fn deks_follow_contexts_and_aliases() {
    let (app, _leadership) = app();
    post(&app, "", kek("k", false)).await;
    let body = json!({"encryptedKeyMaterial": "eA=="});
    let path = "/contexts/.c/dek-registry/v1/keks/k/deks/s";
    assert_eq!(
        call(&app, "POST", path, body.clone()).await.1["subject"],
        ":.c:s"
    );
    assert_eq!(get(&app, "/k/deks/:.c:s").await.0, 200);
    assert_eq!(get(&app, "/k/deks/s").await.0, 404);
    let keks = "/contexts/.c/dek-registry/v1/keks";
    assert_eq!(call(&app, "GET", keks, Value::Null).await.1, json!(["k"]));
    let empty = "/contexts/.d/dek-registry/v1/keks";
    assert_eq!(call(&app, "GET", empty, Value::Null).await.1, json!([]));
    let alias = json!({"aliasForDeks": "real"});
    assert_eq!(call(&app, "PUT", "/config/other", alias).await.0, 200);
    assert_eq!(post(&app, "/k/deks/other", body).await.1["subject"], "real");
    assert_eq!(get(&app, "/k/deks/other").await.1["subject"], "real");
}

#[tokio::test]
async fn an_order_about_keys_is_forwarded() {
    let (app, leadership) = app();
    post(&app, "", kek("k", false)).await;
    leadership.send_replace(Leadership::At("http://127.0.0.1:1".to_owned()));
    assert_eq!(
        code(post(&app, "", kek("j", false)).await),
        (500, Some(50003))
    );
    assert_eq!(code(delete(&app, "/k").await), (500, Some(50003)));
    assert_eq!(get(&app, "/k").await.0, 200);
}
