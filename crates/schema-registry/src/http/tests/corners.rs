//! Corners of the API that clients seldom go to, held to what Confluent's registry answers there (8.2).

use super::*;

async fn get(app: &Arc<App>, path: &str) -> (u16, Value) {
    call(app, "GET", path, Value::Null).await
}

async fn code(app: &Arc<App>, method: &str, path: &str, body: Value) -> Value {
    call(app, method, path, body).await.1["error_code"].clone()
}

#[tokio::test]
async fn the_default_context_is_everybody() {
    let (app, _leadership) = app();
    let full = json!({"compatibility": "FULL"});
    assert_eq!(call(&app, "PUT", "/config/:.:", full).await.0, 200);
    assert_eq!(get(&app, "/config").await.1["compatibilityLevel"], "FULL");
    assert_eq!(
        get(&app, "/config/:.:").await.1,
        get(&app, "/config").await.1
    );
    let imports = json!({"mode": "IMPORT"});
    assert_eq!(call(&app, "PUT", "/mode/:.:", imports).await.0, 200);
    assert_eq!(get(&app, "/mode").await.1["mode"], "IMPORT");
    assert_eq!(
        call(&app, "DELETE", "/config/:.:", Value::Null).await.0,
        200
    );
    let left = get(&app, "/config").await.1;
    assert_eq!(left["compatibilityLevel"], "BACKWARD");
}

#[tokio::test]
async fn what_is_no_subject_has_no_settings() {
    let (app, _leadership) = app();
    for name in ["a%01b", "__GLOBAL", "__EMPTY", ":.c:__EMPTY"] {
        let config = format!("/config/{name}");
        let level = json!({"compatibility": "FULL"});
        assert_eq!(code(&app, "PUT", &config, level).await, 42208, "{name}");
        let mode = format!("/mode/{name}");
        let read_only = json!({"mode": "READONLY"});
        assert_eq!(code(&app, "PUT", &mode, read_only).await, 42208, "{name}");
    }
    let level = json!({"compatibility": "FULL"});
    assert_eq!(call(&app, "PUT", "/config/:.__GLOBAL:", level).await.0, 200);
}

#[tokio::test]
async fn iceberg_is_never_forward() {
    let (app, _leadership) = app();
    let both = json!({"compatibility": "FORWARD", "compatibilityPolicy": "LOGICAL"});
    let (status, body) = call(&app, "PUT", "/config/s", both).await;
    assert_eq!((status, &body["error_code"]), (422, &json!(42203)));
    assert_eq!(
        body["message"],
        "compatibilityPolicy=LOGICAL cannot be combined with compatibilityLevel=FORWARD: Iceberg only supports backward-compatible schema evolution"
    );
    let logical = json!({"compatibilityPolicy": "LOGICAL"});
    assert_eq!(call(&app, "PUT", "/config", logical).await.0, 200);
    let forward = json!({"compatibility": "FORWARD_TRANSITIVE"});
    assert_eq!(code(&app, "PUT", "/config/s", forward).await, 42203);
    let full = json!({"compatibility": "FULL"});
    assert_eq!(call(&app, "PUT", "/config/s", full).await.0, 200);
}

#[tokio::test]
async fn the_override_of_all_is_the_mode_of_each() {
    let (app, _leadership) = app();
    let mode = |name: &str| json!({"mode": name});
    assert_eq!(get(&app, "/mode/s").await.1["error_code"], 40409);
    call(&app, "PUT", "/mode/s", mode("READWRITE")).await;
    call(&app, "PUT", "/mode", mode("READONLY_OVERRIDE")).await;
    assert_eq!(get(&app, "/mode/s").await.1["mode"], "READONLY_OVERRIDE");
    assert_eq!(get(&app, "/mode/t").await.1["mode"], "READONLY_OVERRIDE");
}

#[tokio::test]
async fn a_schema_is_looked_for_in_its_normal_form_too() {
    let (app, _leadership) = app();
    let schema = |text: &str| json!({"schema": text});
    let registered =
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}"#;
    let path = "/subjects/s/versions?normalize=true";
    assert_eq!(call(&app, "POST", path, schema(registered)).await.0, 200);
    let other =
        r#"{"name":"R","fields":[{"default":0,"type":{"type":"int"},"name":"a"}],"type":"record"}"#;
    let (status, body) = call(&app, "POST", "/subjects/s", schema(other)).await;
    assert_eq!((status, &body["version"]), (200, &json!(1)), "{body}");
    // What is no schema is told before what is no subject.
    let broken = schema(r#"{"type":"nothing"}"#);
    assert_eq!(code(&app, "POST", "/subjects/nobody", broken).await, 42201);
    assert_eq!(code(&app, "POST", "/subjects/nobody", int()).await, 40401);
    assert_eq!(code(&app, "POST", "/subjects/s", int()).await, 40403);
}

#[tokio::test]
async fn a_version_is_named_in_several_ways() {
    let (app, _leadership) = app();
    call(&app, "POST", "/subjects/s/versions", int()).await;
    for version in [
        "latest",
        "LATEST",
        "Latest",
        "%20latest%20",
        "-1",
        "+1",
        "%201",
    ] {
        let path = format!("/subjects/s/versions/{version}");
        assert_eq!(get(&app, &path).await.1["version"], 1, "{version}");
    }
    let (_, refused) = get(&app, "/subjects/s/versions/newest").await;
    assert_eq!(refused["error_code"], 42202);
}

#[tokio::test]
async fn an_alias_stands_for_its_subject_beside_an_id() {
    let (app, _leadership) = app();
    call(&app, "POST", "/subjects/s/versions", int()).await;
    call(&app, "PUT", "/config/nick", json!({"alias": "s"})).await;
    let (_, body) = get(&app, "/schemas/ids/1?subject=nick").await;
    assert_eq!(
        (&body["subject"], &body["version"]),
        (&json!("s"), &json!(1))
    );
}

#[tokio::test]
async fn a_context_has_no_colon() {
    let (app, _leadership) = app();
    for path in ["/contexts/.a:b/subjects", "/contexts/:.a:b:/config"] {
        let (status, body) = get(&app, path).await;
        assert_eq!((status, &body["error_code"]), (400, &json!(400)), "{path}");
        assert_eq!(body["message"], "Context name cannot contain a colon");
    }
    assert_eq!(get(&app, "/contexts/:.a:/subjects").await.0, 200);
}

#[tokio::test]
async fn an_import_of_an_older_version_again_is_answered_with_it() {
    let (app, _leadership) = app();
    call(&app, "PUT", "/mode", json!({"mode": "IMPORT"})).await;
    let import = |version: Value| json!({"schema": "\"int\"", "id": 7, "version": version});
    let path = "/subjects/s/versions";
    for version in [json!(1), json!("2"), json!(1)] {
        let (status, body) = call(&app, "POST", path, import(version.clone())).await;
        assert_eq!((status, &body["id"]), (200, &json!(7)), "{body}");
        let number = if version == json!(1) { 1 } else { 2 };
        assert_eq!(body["version"], number, "{body}");
    }
    assert_eq!(get(&app, path).await.1, json!([1, 2]));
}

#[tokio::test]
async fn rules_are_given_whole_or_as_a_difference() {
    let (app, _leadership) = app();
    call(&app, "POST", "/subjects/s/versions", int()).await;
    let rules = json!({"domainRules": [{"name": "a", "type": "CEL", "expr": "true"}]});
    let path = "/subjects/s/versions/1/tags";
    let twice = json!({"ruleSet": rules, "rulesToRemove": ["a"]});
    let (status, body) = call(&app, "POST", path, twice).await;
    assert_eq!((status, &body["error_code"]), (422, &json!(42210)));
    assert_eq!(
        body["message"],
        "ruleSet should be omitted if specifying rulesToMerge or rulesToRemove"
    );
    let (status, body) = call(&app, "POST", path, json!({"rulesToMerge": rules})).await;
    assert_eq!((status, &body["version"]), (200, &json!(2)), "{body}");
    // The number of the new version is in its metadata, asked for or not.
    let properties = &body["metadata"]["properties"];
    assert_eq!(properties["confluent:version"], "2", "{body}");
}
