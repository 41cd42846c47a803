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

#[tokio::test]
async fn a_normal_form_has_no_order_of_references_and_no_bad_default() {
    let (app, _leadership) = app();
    for name in ["A", "B"] {
        let text = format!(r#"{{"type":"record","name":"{name}","fields":[]}}"#);
        let path = format!("/subjects/{name}/versions");
        call(&app, "POST", &path, json!({"schema": text})).await;
    }
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"A"},{"name":"b","type":"B"}]}"#;
    let of = |name: &str| json!({"name": name, "subject": name, "version": 1});
    let request = |first, second| json!({"schema": text, "references": [of(first), of(second)]});
    let path = "/subjects/s/versions?normalize=true";
    let (_, first) = call(&app, "POST", path, request("B", "A")).await;
    let (_, second) = call(&app, "POST", path, request("A", "B")).await;
    assert_eq!(first["id"], second["id"]);
    let found = call(
        &app,
        "POST",
        "/subjects/s?normalize=true",
        request("B", "A"),
    )
    .await;
    assert_eq!(found.1["version"], 1);
    let bad = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#;
    let bad = json!({"schema": bad});
    assert_eq!(
        call(&app, "POST", "/subjects/t/versions", bad.clone())
            .await
            .0,
        200
    );
    assert_eq!(
        code(&app, "POST", "/subjects/u/versions?normalize=true", bad).await,
        42201
    );
}

#[tokio::test]
async fn a_prefix_without_a_context_is_of_the_default_one() {
    let (app, _leadership) = app();
    for subject in ["s", ":.c:s"] {
        let path = format!("/subjects/{subject}/versions");
        call(&app, "POST", &path, int()).await;
    }
    assert_eq!(get(&app, "/subjects").await.1, json!([":.c:s", "s"]));
    for path in ["/subjects?subjectPrefix=", "/contexts/:.:/subjects"] {
        assert_eq!(get(&app, path).await.1, json!(["s"]), "{path}");
    }
    let schemas = |found: Value| found.as_array().map(Vec::len);
    assert_eq!(schemas(get(&app, "/schemas").await.1), Some(1));
    assert_eq!(
        schemas(get(&app, "/schemas?subjectPrefix=:*:").await.1),
        Some(2)
    );
}

#[tokio::test]
async fn a_verbose_check_tells_what_is_no_schema() {
    let (app, _leadership) = app();
    let broken = json!({"schema": r#"{"type":"nonsense"}"#});
    let path = "/compatibility/subjects/s/versions";
    assert_eq!(code(&app, "POST", path, broken.clone()).await, 42201);
    let (status, body) = call(&app, "POST", &format!("{path}?verbose=true"), broken).await;
    assert_eq!((status, &body["is_compatible"]), (200, &json!(false)));
    let message = body["messages"][0].as_str().unwrap_or_default();
    assert!(message.contains("Invalid schema"), "{body}");
}

#[tokio::test]
async fn a_config_is_answered_as_it_was_set() {
    let (app, _leadership) = app();
    let alias = json!({"alias": "t"});
    assert_eq!(call(&app, "PUT", "/config/s", alias.clone()).await.1, alias);
    // Nothing but an object is a config, and a list changes nothing.
    for wrong in [json!(["FULL"]), json!("FULL"), json!({"alias": {}})] {
        let (status, body) = call(&app, "PUT", "/config/s", wrong).await;
        assert_eq!((status, &body["error_code"]), (400, &json!(400)), "{body}");
    }
    assert_eq!(get(&app, "/config/s").await.1, alias);
}

#[tokio::test]
async fn the_number_of_a_version_is_metadata_that_need_not_be_there() {
    let (app, _leadership) = app();
    let path = "/subjects/s/versions";
    call(&app, "POST", path, int()).await;
    let numbered = |number: &str| json!({"schema": "\"int\"", "metadata": {"properties": {"confluent:version": number}}});
    let (_, found) = call(&app, "POST", "/subjects/s", numbered("1")).await;
    assert_eq!(
        (&found["version"], &found["metadata"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(
        code(&app, "POST", "/subjects/s", numbered("2")).await,
        40403
    );
    let empty = json!({"schema": "\"int\"", "metadata": {"properties": {}}});
    call(&app, "POST", path, empty).await;
    assert_eq!(get(&app, path).await.1, json!([1]));
}

#[tokio::test]
async fn a_reference_is_told_by_its_whole_name_on_request() {
    let (app, _leadership) = app();
    let record = json!({"schema": r#"{"type":"record","name":"A","fields":[]}"#});
    call(&app, "POST", "/subjects/:.c:a/versions", record).await;
    let refers =
        json!({"schema": "\"A\"", "references": [{"name": "A", "subject": "a", "version": 1}]});
    call(&app, "POST", "/subjects/:.c:b/versions", refers).await;
    for path in ["/subjects/:.c:b/versions/1", "/schemas/ids/2?subject=:.c:b"] {
        let mark = if path.contains('?') { '&' } else { '?' };
        let (_, plain) = get(&app, path).await;
        assert_eq!(plain["references"][0]["subject"], "a");
        let (_, whole) = get(&app, &format!("{path}{mark}referenceFormat=qualified")).await;
        assert_eq!(whole["references"][0]["subject"], ":.c:a");
    }
    let (_, by_id) = get(&app, "/schemas/ids/2?subject=:.c:b").await;
    assert_eq!(by_id["deleted"], false);
    assert!(by_id["ts"].is_i64(), "{by_id}");
}

#[tokio::test]
async fn a_body_may_come_in_other_encodings() {
    let (app, _leadership) = app();
    let text = r#"{"schema":"\"int\""}"#;
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = |mark: &[u8], body: &[u8]| [mark, body].concat();
    let bodies = [
        marked(&[0xEF, 0xBB, 0xBF], text.as_bytes()),
        marked(&[0xFF, 0xFE], &little),
        marked(&[0xFE, 0xFF], &big),
        little,
        big,
    ];
    for body in bodies {
        let request = Request::builder()
            .method("POST")
            .uri("/subjects/s/versions");
        let request = request.body(Body::from(body)).unwrap();
        assert_eq!(raw(&app, request).await.0, 200);
    }
    let odd = Request::builder().method("PUT").uri("/config");
    let odd = odd.body(Body::from(vec![0xFF, 0xFE, 0x7B])).unwrap();
    assert_eq!(raw(&app, odd).await.0, 400);
}

#[tokio::test]
async fn metadata_that_say_nothing_are_not_those_of_the_version_before() {
    let (app, _leadership) = app();
    let path = "/subjects/s/versions";
    let group = json!({"compatibilityGroup": "major"});
    call(&app, "PUT", "/config", group).await;
    let of = |kind: &str, properties: Value| {
        let text =
            format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":"{kind}"}}]}}"#);
        json!({"schema": text, "metadata": {"properties": properties}})
    };
    for (kind, properties) in [
        ("int", json!({})),
        ("string", json!({"major": "2"})),
        ("long", json!({})),
    ] {
        let (status, body) = call(&app, "POST", path, of(kind, properties)).await;
        assert_eq!(status, 200, "{body}");
    }
    let latest = get(&app, "/subjects/s/versions/latest").await.1;
    assert_eq!(
        (&latest["version"], &latest["metadata"]),
        (&json!(3), &Value::Null)
    );
}
