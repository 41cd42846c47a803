//! What is read, what is written back, what is refused; references; tags.

use super::*;

fn refused(text: &str) -> String {
    with(text, &[]).unwrap_err().to_string()
}

#[test]
fn the_canonical_text_is_the_text_without_white_space() {
    let schema = new("{\n  \"type\": \"number\",\n  \"maximum\": 1.50,\n  \"title\": \"é\"\n}");
    assert_eq!(
        schema.canonical(),
        r#"{"type":"number","maximum":1.50,"title":"é"}"#
    );
    assert_eq!(
        schema.normalized(),
        r#"{"maximum":1.50,"title":"é","type":"number"}"#
    );
    assert_eq!(schema.formatted("").unwrap(), schema.canonical());
    assert_eq!(schema.name().as_deref(), Some("é"));
    assert_eq!(
        schema.formatted("resolved").unwrap_err().to_string(),
        "a JSON schema has no format \"resolved\"; it has only the one without a name"
    );
}

#[test]
fn reading_the_canonical_text_again_changes_nothing() {
    for text in [
        r#"{"enum":[1,1.0,1E+3,null,true,"a\u0000"],"default":-0}"#,
        r#"{"b":{"a":[{},[]]},"$id":"http://example.com/x"}"#,
        "true",
    ] {
        let once = JsonSchema::parse(text, &[], ParseOptions::default()).unwrap();
        let twice = new(&once.canonical());
        assert_eq!(once.canonical(), twice.canonical());
        assert_eq!(new(&once.normalized()).normalized(), once.normalized());
    }
}

#[test]
fn a_schema_is_an_object_or_a_boolean() {
    assert_eq!(new("true").canonical(), "true");
    assert_eq!(new("false").name(), None);
    for text in ["3", "\"a\"", "[]", "null"] {
        assert!(
            refused(text).contains("a schema is an object or a boolean"),
            "{text}"
        );
    }
}

#[test]
fn what_the_meta_schema_refuses_is_told_with_path_and_rule() {
    let told = refused(r#"{"type":"object","properties":{"age":{"type":"integre"}}}"#);
    assert!(
        told.starts_with(
            "JSON schema is invalid at #/properties/age/type: \"integre\" is not valid"
        ),
        "{told}"
    );
    assert!(told.contains("(rule /"), "{told}");
    for text in [
        r#"{"type":"bad-object"}"#,
        r#"{"minLength":-1}"#,
        r#"{"minLength":"3"}"#,
        r#"{"required":true}"#,
        r#"{"properties":[]}"#,
        r#"{"exclusiveMinimum":true}"#,
        r#"{"multipleOf":0}"#,
        r#"{"items":3}"#,
        r#"{"allOf":[]}"#,
        r#"{"allOf":{}}"#,
        r#"{"pattern":1}"#,
        r#"{"$ref":1}"#,
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","items":[{}]}"#,
        r#"{"$schema":"http://json-schema.org/draft-04/schema#","exclusiveMinimum":3,"minimum":3}"#,
    ] {
        assert!(
            refused(text).contains("invalid at #"),
            "{text}: {}",
            refused(text)
        );
    }
}

#[test]
fn a_schema_that_a_registry_has_held_for_long_is_not_judged_again() {
    let old = JsonSchema::parse(r#"{"type":"bad"}"#, &[], ParseOptions::default()).unwrap();
    assert_eq!(old.canonical(), r#"{"type":"bad"}"#);
    // What cannot be compared is an error then, not a verdict.
    let error = new("{}")
        .reading(&old, CompatibilityPolicy::Strict)
        .unwrap_err();
    assert!(error.to_string().contains("\"bad\" is no type"), "{error}");
}

#[test]
fn what_people_write_beyond_the_letter_is_accepted() {
    new(r#"{"definitions":{"My Type":{"type":"string"}},"properties":{"a":{"$ref":"\#/definitions/My Type"}}}"#.replace("\\#", "#").as_str());
    new(r#"{"pattern":"^(?!foo)(?<year>\\d{4})\\k<year>$"}"#);
    new(r#"{"pattern":"[","x-own":{"deep":[1]}}"#);
    new(r#"{"$schema":"http://example.com/own-dialect","type":"string"}"#);
    new(r#"{"definitions":{"unused":{"$ref":"nowhere.json"}},"type":"string"}"#);
}

#[test]
fn references_are_found_by_name_by_uri_and_by_anchor() {
    let address = r#"{"type":"object","properties":{"zip":{"type":"string"}},"definitions":{"city":{"type":"string"}}}"#;
    for (text, name) in [
        (r#"{"$ref":"address.json"}"#, "address.json"),
        (r#"{"$ref":"./address.json"}"#, "address.json"),
        (
            r#"{"$ref":"address.json#/definitions/city"}"#,
            "address.json",
        ),
        (
            r#"{"$id":"http://example.com/order.json","$ref2":1,"properties":{"a":{"$ref":"address.json"}}}"#,
            "address.json",
        ),
        (
            r#"{"$id":"http://example.com/order.json","properties":{"a":{"$ref":"address.json"}}}"#,
            "http://example.com/address.json",
        ),
        (
            r#"{"properties":{"a":{"$ref":"http://example.com/address.json#/properties/zip"}}}"#,
            "http://example.com/address.json",
        ),
        (
            r#"{"properties":{"a":{"$ref":"com.example.Address"}}}"#,
            "com.example.Address",
        ),
        (
            r#"{"properties":{"a":{"$ref":"my address.json"}}}"#,
            "my address.json",
        ),
    ] {
        let schema =
            with(text, &[(name, address)]).unwrap_or_else(|error| panic!("{text}: {error}"));
        schema.validate(&serde_json::json!({})).ok();
        assert!(
            !matches!(
                schema.validate(&serde_json::json!(3)),
                Err(DataError::Schema(_))
            ),
            "{text}"
        );
    }
    for text in [
        r##"{"$ref":"#/definitions/a","definitions":{"a":{"type":"string"}}}"##,
        r##"{"$ref":"#a","definitions":{"a":{"$id":"#a","type":"string"}}}"##,
        r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#a","$defs":{"a":{"$anchor":"a","type":"string"}}}"##,
        r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"other","$defs":{"a":{"$id":"other","type":"string"}}}"##,
        r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$dynamicRef":"#a","$defs":{"a":{"$dynamicAnchor":"a","type":"string"}}}"##,
        r##"{"$schema":"http://json-schema.org/draft-04/schema#","id":"http://x/y","$ref":"http://x/y#/definitions/a","definitions":{"a":{"type":"string"}}}"##,
        r##"{"$ref":"#/definitions/a~1b%25","definitions":{"a/b%":{"type":"string"}}}"##,
        r##"{"$ref":"#/x-own/list/1","x-own":{"list":[1,{"type":"string"}]}}"##,
    ] {
        // Whatever the way, a string is found at its end.
        let mut found = changes(&new(text), &new(r#"{"type":"string"}"#));
        found.retain(|change| change != "ID_CHANGED #/");
        assert!(found.is_empty(), "{text}: {found:?}");
    }
    new(r#"{"$ref":"http://json-schema.org/draft-07/schema#"}"#);
}

#[test]
fn references_may_need_each_other() {
    let schema = with(
        r#"{"properties":{"a":{"$ref":"a.json"}}}"#,
        &[
            (
                "b.json",
                r##"{"properties":{"back":{"$ref":"a.json"},"self":{"$ref":"#"}}}"##,
            ),
            (
                "a.json",
                r#"{"properties":{"next":{"$ref":"b.json"}},"required":["next"]}"#,
            ),
        ],
    )
    .unwrap();
    schema
        .validate(&serde_json::json!({"a":{"next":{"back":{"next":{}}}}}))
        .unwrap();
    schema
        .validate(&serde_json::json!({"a":{"next":{"back":{}}}}))
        .unwrap_err();
}

#[test]
fn what_nothing_defines_is_told_with_its_name() {
    assert_eq!(
        refused(r#"{"properties":{"a":{"$ref":"nowhere.json"}}}"#),
        "JSON schema names \"nowhere.json\" at #/properties/a/$ref, which neither it nor its references define: add a reference whose name is \"nowhere.json\""
    );
    for text in [
        r##"{"$ref":"#/definitions/a"}"##,
        r##"{"$ref":"#a"}"##,
        r#"{"$ref":"http://127.0.0.1:1/schema.json"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
    ] {
        assert!(
            matches!(with(text, &[]), Err(SchemaError::Unresolved { .. })),
            "{text}"
        );
    }
}

fn tags(pairs: &[(&str, &str)]) -> FieldTags {
    let mut tags = FieldTags::new();
    for (path, tag) in pairs {
        tags.entry((*path).to_owned())
            .or_default()
            .insert((*tag).to_owned());
    }
    tags
}

#[test]
fn tags_are_read_and_written_where_they_belong() {
    let text = r#"{
        "type": "object", "confluent:tags": ["RECORD"],
        "properties": {
            "ssn": {"type": "string", "confluent:tags": ["PII", "SECRET"]},
            "home.address": {"type": "object", "properties": {"zip": {"confluent:tags": ["PII"], "type": "string"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string", "confluent:tags": ["X"]}}}},
            "maybe": {"type": ["null", "object"], "properties": {"y": {"type": "string", "confluent:tags": ["Y"]}}},
            "one": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"z": {"type": "string", "confluent:tags": ["Z"]}}}]}
        },
        "definitions": {"D": {"type": "object", "properties": {"d": {"type": "string", "confluent:tags": ["D"]}}}}
    }"#;
    let schema = new(text);
    let expected = tags(&[
        ("object", "RECORD"),
        ("object.ssn", "PII"),
        ("object.ssn", "SECRET"),
        ("object.home.address.object.zip", "PII"),
        ("object.list.array.object.x", "X"),
        ("object.maybe.anyof.1.object.y", "Y"),
        ("object.one.oneof.0.object.z", "Z"),
        ("object.definitions.D.object.d", "D"),
    ]);
    assert_eq!(schema.inline_tags(), expected);
    assert_eq!(
        schema.tagged_types().into_iter().collect::<Vec<_>>(),
        ["object"]
    );

    let all: Vec<(&str, &str)> = expected.keys().map(|path| (path.as_str(), "NEW")).collect();
    let changed = schema.with_tags(&tags(&all), &expected).unwrap();
    assert_eq!(new(&changed).inline_tags(), tags(&all));
    // The rest is as it was: taking the new tags away as well leaves the schema without any.
    let without = schema.with_tags(&FieldTags::new(), &expected).unwrap();
    assert!(!without.contains("confluent:tags"));
    assert_eq!(
        new(&changed)
            .with_tags(&FieldTags::new(), &tags(&all))
            .unwrap(),
        without
    );
    // A property that is an object may be meant as a field or as a record.
    let as_field = schema.with_tags(&tags(&[("object.home.address", "H")]), &FieldTags::new());
    let as_record = schema.with_tags(
        &tags(&[("object.home.address.object", "H")]),
        &FieldTags::new(),
    );
    assert_eq!(as_field.unwrap(), as_record.unwrap());
    let error = schema
        .with_tags(&tags(&[("object.none", "A")]), &FieldTags::new())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("No matching path 'object.none' found in the schema"),
        "{error}"
    );
}

#[test]
fn the_fields_at_the_top_are_the_properties() {
    assert_eq!(
        new(r#"{"properties":{"b":{},"a":{}}}"#).top_level_fields(),
        ["b", "a"]
    );
    assert!(new("true").top_level_fields().is_empty());
}
