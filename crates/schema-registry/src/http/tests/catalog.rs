//! The catalog over a log in memory: each operation, its statuses and shapes.

use super::*;

const TAGDEFS: &str = "/catalog/v1/types/tagdefs";
const BMDEFS: &str = "/catalog/v1/types/businessmetadatadefs";
const TAGS: &str = "/catalog/v1/entity/tags";
const METADATA: &str = "/catalog/v1/entity/businessmetadata";
const ORDERS: &str = "schema-registry:cluster:orders";
const FIELD: &str = "schema-registry:.:1:a.User.mail";

async fn get(app: &Arc<App>, path: &str) -> (u16, Value) {
    call(app, "GET", path, Value::Null).await
}

async fn delete(app: &Arc<App>, path: &str) -> (u16, Value) {
    call(app, "DELETE", path, Value::Null).await
}

fn entity(of: &str, name: &str, rest: &str) -> String {
    format!("/catalog/v1/entity/type/{of}/name/{name}{rest}")
}

/// A schema with a tag of its own, and one by its metadata.
async fn register(app: &Arc<App>) {
    let schema = json!({"type": "record", "name": "User", "namespace": "a", "fields": [
        {"name": "mail", "type": "string", "confluent:tags": ["PII"]},
        {"name": "phone", "type": "string"},
        {"name": "home", "type": {"type": "record", "name": "Home", "fields": [{"name": "zip", "type": "string"}]}}]});
    let body =
        json!({"schema": schema.to_string(), "metadata": {"tags": {"a.User.phone": ["Private"]}}});
    let (status, made) = call(app, "POST", "/subjects/users-value/versions", body).await;
    assert_eq!((status, &made["id"]), (200, &json!(1)), "{made}");
}

async fn define(app: &Arc<App>, definition: Value) -> Value {
    let (status, made) = call(app, "POST", TAGDEFS, json!([definition])).await;
    assert_eq!(status, 200);
    made[0].clone()
}

fn tag(of: &str, name: &str, tag: &str) -> Value {
    json!({"entityType": of, "entityName": name, "typeName": tag})
}

#[tokio::test]
async fn a_tag_definition_lives_and_ends() {
    let (app, _leadership) = app();
    let new = json!([
        {"name": "PII", "description": "personal", "entityTypes": ["cf_entity"], "color": "red",
         "attributeDefs": [{"name": "level", "typeName": "int", "isOptional": "true", "cardinality": "SINGLE"}]},
        {"name": "1PII"},
        {"name": "PII", "guid": null},
        {"name": "X", "entityTypes": ["hive_table"]},
        {"name": "X", "attributeDefs": [{"name": "a", "typeName": "integer"}]},
        {"name": "X", "attributeDefs": [{"name": "a", "typeName": "int", "cardinality": "LIST"}]},
        {"name": "X", "superTypes": ["none"]},
        {"name": "sr_field"},
    ]);
    let (status, made) = call(&app, "POST", TAGDEFS, new).await;
    assert_eq!(status, 200);
    let first = &made[0];
    for (field, value) in [
        ("category", json!("CLASSIFICATION")),
        ("version", json!(1)),
        ("typeVersion", json!("1.0")),
        ("name", json!("PII")),
        ("entityTypes", json!(["cf_entity"])),
        ("superTypes", json!([])),
        ("color", json!("red")),
        ("createTime", json!(1)),
    ] {
        assert_eq!(first[field], value, "{first}");
    }
    assert_eq!(first["attributeDefs"][0]["isOptional"], true, "{first}");
    assert!(first["guid"].is_string() && first.get("error").is_none());
    let codes: Vec<&Value> = made.as_array().unwrap()[1..]
        .iter()
        .map(|made| &made["error"]["error_code"])
        .collect();
    let expected = [
        4_000_025, 4_090_001, 4_000_082, 4_000_001, 4_000_018, 4_040_001, 4_090_001,
    ];
    assert_eq!(
        codes,
        expected.map(|code| json!(code)).iter().collect::<Vec<_>>()
    );
    assert!(made[2].get("guid").is_none(), "what is null is left out");

    assert_eq!(
        get(&app, &format!("{TAGDEFS}/PII")).await,
        (200, first.clone())
    );
    let (status, missing) = get(&app, &format!("{TAGDEFS}/NONE")).await;
    assert_eq!(
        (status, missing),
        (
            404,
            json!({"error_code": 4_040_001, "message": "Given typename NONE was invalid"})
        )
    );
    define(&app, json!({"name": "Mail", "superTypes": ["PII"]})).await;
    assert_eq!(
        get(&app, &format!("{TAGDEFS}/PII")).await.1["subTypes"],
        json!(["Mail"])
    );
    assert_eq!(get(&app, TAGDEFS).await.1.as_array().unwrap().len(), 2);
    let prefixed = get(&app, &format!("{TAGDEFS}?prefix=Ma")).await.1;
    assert_eq!(prefixed[0]["name"], "Mail");
    let (status, used) = delete(&app, &format!("{TAGDEFS}/PII")).await;
    assert_eq!((status, &used["error_code"]), (409, &json!(4_090_002)));
    assert_eq!(delete(&app, &format!("{TAGDEFS}/Mail")).await.0, 204);
    assert_eq!(delete(&app, &format!("{TAGDEFS}/PII")).await.0, 204);
    assert_eq!(delete(&app, &format!("{TAGDEFS}/PII")).await.0, 404);
}

#[tokio::test]
async fn an_update_of_a_definition_takes_nothing_away() {
    let (app, _leadership) = app();
    let level = json!({"name": "level", "typeName": "int", "isOptional": true});
    define(&app, json!({"name": "T", "attributeDefs": [level]})).await;
    let update = |definition: Value| call(&app, "PUT", TAGDEFS, json!([definition]));
    let more = json!({"name": "more", "typeName": "string", "isOptional": true});
    let (status, updated) = update(json!({"name": "T", "attributeDefs": [level, more]})).await;
    assert_eq!(
        (status, &updated[0]["version"]),
        (200, &json!(2)),
        "{updated}"
    );
    let strict = json!({"name": "strict", "typeName": "string"});
    let other = json!({"name": "level", "typeName": "string", "isOptional": true});
    for (definition, code) in [
        (json!({"name": "T", "attributeDefs": [level]}), 4_000_013),
        (
            json!({"name": "T", "attributeDefs": [other, more]}),
            4_000_039,
        ),
        (
            json!({"name": "T", "attributeDefs": [level, more, strict]}),
            4_000_012,
        ),
        (
            json!({"name": "T", "attributeDefs": [level, more], "entityTypes": ["sr_field"]}),
            4_000_081,
        ),
        (
            json!({"name": "T", "attributeDefs": [level, more], "superTypes": ["T"]}),
            4_000_002,
        ),
        (json!({"name": "NONE"}), 4_040_001),
    ] {
        let (status, refused) = update(definition).await;
        assert_eq!(
            (status, &refused[0]["error"]["error_code"]),
            (200, &json!(code)),
            "{refused}"
        );
    }
    assert_eq!(get(&app, &format!("{TAGDEFS}/T")).await.1["version"], 2);
}

#[tokio::test]
async fn an_entity_is_tagged() {
    let (app, _leadership) = app();
    register(&app).await;
    let level = json!({"name": "level", "typeName": "int", "defaultValue": "1"});
    define(&app, json!({"name": "Level", "attributeDefs": [level]})).await;
    define(
        &app,
        json!({"name": "Topics", "entityTypes": ["kafka_topic"]}),
    )
    .await;
    let mut with_level = tag("sr_field", FIELD, "Level");
    with_level["attributes"] = json!({"level": "3"});
    let mut wrong = tag("kafka_topic", ORDERS, "Level");
    wrong["attributes"] = json!({"level": "high"});
    let items = json!([
        with_level,
        tag("sr_field", FIELD, "Level"),
        tag("sr_field", FIELD, "Topics"),
        tag("sr_field", FIELD, "None"),
        tag("sr_field", "schema-registry:.:1:a.User.none", "Level"),
        tag("nothing", FIELD, "Level"),
        {"typeName": "Level"},
        wrong,
        tag("kafka_topic", ORDERS, "Topics"),
        tag("kafka_topic", "cluster:users", "Topics"),
        tag("kafka_logical_cluster", "cluster", "Level"),
        tag("sr_subject_version", "schema-registry:.:users-value:1", "Level"),
        tag("sr_schema", "schema-registry:.:1", "Level"),
        tag("sr_record", "schema-registry:.:1:a.Home", "Level"),
    ]);
    let (status, set) = call(&app, "POST", TAGS, items).await;
    assert_eq!(status, 200);
    let codes: Vec<Value> = set
        .as_array()
        .unwrap()
        .iter()
        .map(|set| set["error"]["error_code"].clone())
        .collect();
    let failed = |code: i32| json!(code);
    let expected = [
        Value::Null,
        failed(4_000_027),
        failed(4_000_085),
        failed(4_000_070),
        failed(4_040_009),
        failed(4_000_020),
        failed(4_000_020),
        failed(4_000_040),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
    ];
    assert_eq!(codes, expected, "{set}");
    let first = &set[0];
    for (field, value) in [
        ("typeName", json!("Level")),
        ("attributes", json!({"level": 3})),
        ("entityStatus", json!("ACTIVE")),
        ("propagate", json!(false)),
        ("removePropagationsOnEntityDelete", json!(false)),
        ("entityType", json!("sr_field")),
        ("entityName", json!(FIELD)),
    ] {
        assert_eq!(first[field], value, "{first}");
    }
    assert_eq!(set[9]["entityName"], "schema-registry:cluster:users");
    assert_eq!(set[10]["attributes"], json!({"level": 1}));

    let tags = get(&app, &entity("sr_field", FIELD, "/tags")).await;
    let names: Vec<&Value> = tags
        .1
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["typeName"])
        .collect();
    assert_eq!((tags.0, names), (200, vec![&json!("Level"), &json!("PII")]));
    let mut update = tag("sr_field", FIELD, "Level");
    update["attributes"] = json!({"level": 4});
    let items = json!([update, tag("kafka_topic", ORDERS, "Level")]);
    let (status, set) = call(&app, "PUT", TAGS, items).await;
    assert_eq!((status, &set[0]["attributes"]["level"]), (200, &json!(4)));
    assert_eq!(set[1]["error"]["error_code"], 4_000_109);
    assert_eq!(delete(&app, &format!("{TAGDEFS}/Level")).await.0, 409);

    let path = |tag: &str| entity("sr_field", FIELD, &format!("/tags/{tag}"));
    assert_eq!(delete(&app, &path("Level")).await.0, 204);
    let (status, refused) = delete(&app, &path("Level")).await;
    assert_eq!((status, &refused["error_code"]), (404, &json!(4_040_008)));
    let (status, refused) = delete(&app, &path("PII")).await;
    assert_eq!((status, &refused["error_code"]), (400, &json!(4_000_108)));
    let missing = entity("sr_field", "schema-registry:.:2:x.y", "/tags");
    let (status, refused) = get(&app, &missing).await;
    assert_eq!((status, &refused["error_code"]), (404, &json!(4_040_009)));
}

#[tokio::test]
async fn business_metadata_lives_and_ends() {
    let (app, _leadership) = app();
    register(&app).await;
    let team = json!({"name": "Team", "attributeDefs": [
        {"name": "owner", "typeName": "string"},
        {"name": "since", "typeName": "date", "isOptional": true},
        {"name": "shards", "typeName": "int", "isOptional": true,
         "options": {"applicableEntityTypes": "[\"kafka_topic\"]"}}]});
    let (status, made) = call(&app, "POST", BMDEFS, json!([team, {"name": "Team"}])).await;
    assert_eq!(
        (status, &made[0]["category"]),
        (200, &json!("BUSINESS_METADATA"))
    );
    assert_eq!(made[1]["error"]["error_code"], 4_090_001);
    assert!(made[0].get("entityTypes").is_none());
    let taken = define(&app, json!({"name": "Team"})).await;
    assert_eq!(taken["error"]["error_code"], 4_090_001, "one name for both");
    assert_eq!(
        get(&app, &format!("{BMDEFS}/Team")).await,
        (200, made[0].clone())
    );
    assert_eq!(get(&app, BMDEFS).await.1.as_array().unwrap().len(), 1);

    let item = |of: &str, name: &str, attributes: Value| json!({"typeName": "Team", "entityType": of, "entityName": name, "attributes": attributes});
    let items = json!([
        item("kafka_topic", ORDERS, json!({"owner": "me", "shards": "3"})),
        item("kafka_topic", ORDERS, json!({"owner": "you"})),
        item("sr_field", FIELD, json!({"owner": "me", "shards": 3})),
        item("sr_field", FIELD, json!({})),
        item(
            "sr_field",
            FIELD,
            json!({"owner": "me", "since": "yesterday"})
        ),
        item(
            "kafka_topic",
            "schema-registry:cluster:none",
            json!({"owner": "me"})
        ),
    ]);
    let (status, set) = call(&app, "POST", METADATA, items).await;
    assert_eq!(
        (status, &set[0]["attributes"], &set[0]["entityName"]),
        (200, &json!({"owner": "me", "shards": 3}), &json!(ORDERS))
    );
    for (at, code) in [
        (1, 4_090_003),
        (2, 4_000_035),
        (3, 4_000_043),
        (4, 4_000_040),
        (5, 4_040_009),
    ] {
        assert_eq!(set[at]["error"]["error_code"], code, "{}", set[at]);
    }
    let items = json!([
        item("kafka_topic", ORDERS, json!({"owner": "you"})),
        item("sr_field", FIELD, json!({"owner": "you"})),
    ]);
    let (_, set) = call(&app, "PUT", METADATA, items).await;
    assert_eq!(set[0]["attributes"], json!({"owner": "you"}));
    assert_eq!(set[1]["error"]["error_code"], 4_040_004);
    let of_orders = entity("kafka_topic", ORDERS, "/businessmetadata");
    let expected = json!([{"typeName": "Team", "attributes": {"owner": "you"},
        "entityType": "kafka_topic", "entityName": ORDERS}]);
    assert_eq!(get(&app, &of_orders).await, (200, expected));
    let found = get(
        &app,
        "/catalog/v1/search/attribute?attrName=Team.owner&attrValuePrefix=yo&attr=Team.owner",
    )
    .await
    .1;
    assert_eq!(
        found["entities"][0]["attributes"]["Team.owner"], "you",
        "{found}"
    );

    assert_eq!(delete(&app, &format!("{BMDEFS}/Team")).await.0, 409);
    assert_eq!(delete(&app, &format!("{of_orders}/Team")).await.0, 204);
    assert_eq!(delete(&app, &format!("{of_orders}/Team")).await.0, 404);
    let updated =
        json!([{"name": "Team", "description": "d", "attributeDefs": team["attributeDefs"]}]);
    let (_, updated) = call(&app, "PUT", BMDEFS, updated).await;
    assert_eq!(
        (&updated[0]["version"], &updated[0]["description"]),
        (&json!(2), &json!("d"))
    );
    assert_eq!(delete(&app, &format!("{BMDEFS}/Team")).await.0, 204);
    assert_eq!(get(&app, &format!("{BMDEFS}/Team")).await.0, 404);
}

#[tokio::test]
async fn an_entity_is_shown_and_described() {
    let (app, _leadership) = app();
    register(&app).await;
    let put = |entity: Value| call(&app, "PUT", "/catalog/v1/entity", json!({"entity": entity}));
    let attributes = json!({"qualifiedName": ORDERS, "owner": "me", "ownerEmail": "me@x.org", "description": "d", "partitionsCount": 6});
    let (status, updated) = put(json!({"typeName": "kafka_topic", "attributes": attributes})).await;
    assert_eq!(status, 200, "{updated}");
    let updated = &updated["mutatedEntities"]["UPDATE"][0];
    assert_eq!(
        (&updated["attributes"]["owner"], &updated["status"]),
        (&json!("me"), &json!("ACTIVE"))
    );
    let (status, shown) = get(&app, &entity("kafka_topic", ORDERS, "")).await;
    assert_eq!(status, 200);
    let shown = &shown["entity"];
    assert_eq!(shown["guid"], updated["guid"]);
    assert_eq!(shown["attributes"]["partitionsCount"], 6);
    assert_eq!(shown["attributes"]["ownerEmail"], "me@x.org");
    let cluster = &shown["relationshipAttributes"]["logical_cluster"];
    assert_eq!(cluster["typeName"], "kafka_logical_cluster");
    put(json!({"typeName": "kafka_topic", "attributes": {"qualifiedName": ORDERS, "owner": null}}))
        .await;
    let shown = get(
        &app,
        &entity("kafka_topic", ORDERS, "?ignoreRelationships=true"),
    )
    .await
    .1;
    assert!(
        shown["entity"]["attributes"].get("owner").is_none(),
        "{shown}"
    );
    assert!(shown["entity"].get("relationshipAttributes").is_none());

    for (of, name, relation) in [
        ("sr_field", FIELD, "record"),
        ("sr_record", "schema-registry:.:1:a.User", "fields"),
        ("sr_schema", "schema-registry:.:1", "types"),
        ("sr_schema", "schema-registry:.:1", "subject_versions"),
        (
            "sr_subject_version",
            "schema-registry:.:users-value:1",
            "schema",
        ),
    ] {
        let (status, shown) = get(&app, &entity(of, name, "?minExtInfo=true")).await;
        let related = &shown["entity"]["relationshipAttributes"][relation];
        assert!(
            status == 200 && !related.is_null() && *related != json!([]),
            "{of} {relation} {shown}"
        );
    }
    let field = get(&app, &entity("sr_field", FIELD, "")).await.1;
    assert_eq!(field["entity"]["classifications"][0]["typeName"], "PII");

    let of = |attributes: Value| json!({"typeName": "kafka_topic", "attributes": attributes});
    for (entity, status, code) in [
        (of(json!({})), 400, 4_000_115),
        (
            of(json!({"qualifiedName": ORDERS, "nothing": "x"})),
            400,
            4_000_035,
        ),
        (
            of(json!({"qualifiedName": ORDERS, "name": "x"})),
            400,
            4_000_039,
        ),
        (
            of(json!({"qualifiedName": ORDERS, "owner": 1})),
            400,
            4_000_040,
        ),
        (
            of(json!({"qualifiedName": "schema-registry:cluster:none"})),
            404,
            4_040_009,
        ),
        (json!({"typeName": "nothing"}), 400, 4_000_020),
        (json!({}), 400, 4_000_020),
        (Value::Null, 400, 4_000_041),
    ] {
        let (found, refused) = put(entity.clone()).await;
        assert_eq!(
            (found, &refused["error_code"]),
            (status, &json!(code)),
            "{entity}"
        );
    }
    for bad in [
        "lsrc:.:1",
        "schema-registry:.:01",
        "schema-registry:.:+1",
        "schema-registry:.:9",
        "schema-registry:.c:1",
        "schema-registry:.:1:a.User",
        "",
        "x",
    ] {
        let (status, _) = get(&app, &entity("sr_schema", bad, "/tags")).await;
        assert_eq!(status, 404, "{bad}");
    }
}

#[tokio::test]
async fn entities_are_searched_for() {
    let (app, _leadership) = app();
    register(&app).await;
    define(&app, json!({"name": "Hot"})).await;
    call(
        &app,
        "POST",
        TAGS,
        json!([tag("kafka_topic", ORDERS, "Hot")]),
    )
    .await;
    let names = |path: String| {
        let app = Arc::clone(&app);
        async move {
            let (status, found) = get(&app, &format!("/catalog/v1/search/{path}")).await;
            assert_eq!(status, 200, "{path} {found}");
            let entities = found["entities"].as_array().unwrap();
            entities
                .iter()
                .map(|entity| entity["displayText"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    let basic = |query: &str| names(format!("basic?{query}"));
    assert_eq!(basic("").await.len(), 11);
    assert_eq!(basic("type=kafka_topic").await, ["orders", "users"]);
    assert_eq!(basic("types=sr_field&query=mail").await, ["mail"]);
    assert_eq!(
        basic("type=sr_record&type=sr_schema").await,
        ["1", "User", "Home"]
    );
    assert_eq!(basic("type=sr_field&query=p*").await, ["phone"]);
    assert_eq!(
        basic("type=sr_field&sortBy=name&sortOrder=DESCENDING").await,
        ["zip", "phone", "mail", "home"]
    );
    assert_eq!(
        basic("type=sr_field&sortBy=name&limit=2&offset=1").await,
        ["mail", "phone"]
    );
    assert_eq!(basic("type=sr_field&limit=1&offset=2").await, ["home"]);
    assert_eq!(basic("tag=PII").await, ["mail"]);
    assert_eq!(basic("tag=Private").await, ["phone"]);
    assert_eq!(basic("tag=Hot").await, ["orders"]);
    assert_eq!(basic("limit=0").await, Vec::<String>::new());
    let attribute = |query: &str| names(format!("attribute?{query}"));
    let prefix = "attrName=qualifiedName&attrValuePrefix=schema-registry:.:1:a.H";
    assert_eq!(attribute(prefix).await, ["Home", "zip"]);
    assert_eq!(
        attribute("type=kafka_topic&attrName=name&attrValuePrefix=or").await,
        ["orders"]
    );
    assert_eq!(
        attribute("type=kafka_topic&attrName=none&attrValuePrefix=").await,
        Vec::<String>::new()
    );

    let (_, found) = get(
        &app,
        "/catalog/v1/search/basic?type=kafka_topic&tag=Hot&attr=partitionsCount",
    )
    .await;
    assert_eq!(
        found["searchParameters"],
        json!({"includeDeleted": false, "limit": 100, "offset": 0})
    );
    let header = &found["entities"][0];
    assert_eq!(header["attributes"]["partitionsCount"], 6);
    assert_eq!(header["attributes"]["qualifiedName"], ORDERS);
    assert_eq!(
        (&header["classificationNames"], &header["status"]),
        (&json!(["Hot"]), &json!("ACTIVE"))
    );

    for bad in [
        "limit=501",
        "limit=x",
        "limit=-1",
        "offset=x",
        "offset=9999999",
        "sortBy=name&offset=10001",
        "sortOrder=UP",
        "deleted=maybe",
    ] {
        let (status, refused) = get(&app, &format!("/catalog/v1/search/basic?{bad}")).await;
        assert_eq!(
            (status, &refused["error_code"]),
            (400, &json!(4_000_026)),
            "{bad}"
        );
    }
    let unpaired = "/catalog/v1/search/attribute?attrName=name";
    assert_eq!(get(&app, unpaired).await.0, 400);
    assert_eq!(
        get(&app, "/catalog/v1/search/basic?type=nothing").await.0,
        400
    );
}

#[tokio::test]
async fn what_is_deleted_is_found_when_it_is_asked_for() {
    let (app, _leadership) = app();
    register(&app).await;
    define(&app, json!({"name": "Hot"})).await;
    call(&app, "POST", TAGS, json!([tag("sr_field", FIELD, "Hot")])).await;
    let search = |query: &'static str| {
        let app = Arc::clone(&app);
        async move {
            let found = get(
                &app,
                &format!("/catalog/v1/search/basic?type=sr_field&{query}"),
            )
            .await
            .1;
            found["entities"].as_array().unwrap().clone()
        }
    };
    delete(&app, "/subjects/users-value").await;
    assert!(search("").await.is_empty());
    let found = search("deleted=true&tag=Hot").await;
    assert_eq!((found.len(), &found[0]["status"]), (1, &json!("DELETED")));
    assert_eq!(search("deleted=true").await.len(), 4);
    assert_eq!(get(&app, &entity("sr_field", FIELD, "")).await.0, 404);
    delete(&app, "/subjects/users-value?permanent=true").await;
    let found = search("deleted=true").await;
    assert_eq!(
        (found.len(), &found[0]["attributes"]["qualifiedName"]),
        (1, &json!(FIELD))
    );
    // What is left of it can be taken away.
    assert_eq!(delete(&app, &format!("{TAGDEFS}/Hot")).await.0, 409);
    assert_eq!(
        delete(&app, &entity("sr_field", FIELD, "/tags/Hot"))
            .await
            .0,
        204
    );
    assert!(search("deleted=true").await.is_empty());
    assert_eq!(delete(&app, &format!("{TAGDEFS}/Hot")).await.0, 204);
}

#[tokio::test]
async fn a_body_that_is_no_list_of_items_is_refused() {
    let (app, leadership) = app();
    for path in [TAGDEFS, BMDEFS, TAGS, METADATA] {
        for bad in [
            json!({}),
            json!([1]),
            json!([null]),
            json!([[]]),
            json!([{"typeName": 1, "name": 1}]),
            json!(vec![json!({}); 1_001]),
        ] {
            for method in ["POST", "PUT"] {
                let (status, refused) = call(&app, method, path, bad.clone()).await;
                assert!(
                    status == 400 && refused["error_code"].is_u64(),
                    "{method} {path} {refused}"
                );
            }
        }
        assert_eq!(call(&app, "POST", path, json!([])).await, (200, json!([])));
    }
    assert_eq!(
        call(&app, "PUT", "/catalog/v1/entity", json!([])).await.0,
        400
    );
    assert_eq!(delete(&app, TAGDEFS).await.0, 405);
    assert_eq!(get(&app, "/catalog/v1/nothing").await.0, 404);
    leadership.send(Leadership::Unknown).unwrap();
    let (status, refused) = call(&app, "POST", TAGDEFS, json!([{"name": "T"}])).await;
    assert_eq!((status, &refused["error_code"]), (500, &json!(50004)));
    assert_eq!(get(&app, TAGDEFS).await, (200, json!([])));
}
