//! What each format's places are, and what is told of a change.

use crate::model::{RuleSet, SchemaType};
use crate::parsed::ParsedSchema;
use crate::{Metadata, ParseOptions};

use super::*;

fn parse(schema_type: SchemaType, text: &str) -> ParsedSchema {
    ParsedSchema::parse(schema_type, text, &[], ParseOptions::default()).unwrap()
}

fn told(changes: &[PlaceChange]) -> Vec<String> {
    changes
        .iter()
        .map(|change| {
            let traits: Vec<String> = change
                .traits
                .iter()
                .map(|each| {
                    let show = |value: &Option<String>| value.clone().unwrap_or("-".to_owned());
                    format!(
                        "{} {} -> {}",
                        each.name,
                        show(&each.before),
                        show(&each.after)
                    )
                })
                .collect();
            format!("{:?} {}: {}", change.change, change.path, traits.join("; "))
        })
        .collect()
}

fn between(schema_type: SchemaType, before: &str, after: &str) -> Vec<String> {
    let (before, after) = (parse(schema_type, before), parse(schema_type, after));
    told(&changes(
        &outline(&before).unwrap(),
        &outline(&after).unwrap(),
    ))
}

#[test]
fn avro_fields_are_told_by_their_path() {
    let before = r#"{"type":"record","name":"a.Order","fields":[
        {"name":"id","type":"int"},
        {"name":"note","type":"string"},
        {"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[
            {"name":"sku","type":"string"}]}}}]}"#;
    let after = r#"{"type":"record","name":"a.Order","doc":"An order.","fields":[
        {"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[
            {"name":"sku","type":["null","string"],"default":null},
            {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}}},
        {"name":"id","type":"long"},
        {"name":"email","type":"string","default":"","confluent:tags":["PII"]}]}"#;
    assert_eq!(
        between(SchemaType::Avro, before, after),
        [
            "Removed note: type string -> -",
            "Changed /: doc - -> An order.",
            "Changed items[].sku: type string -> null | string; default - -> null",
            "Added items[].at: type - -> long (timestamp-millis)",
            "Changed id: type int -> long",
            "Added email: type - -> string; default - -> \"\"; tags - -> PII",
        ]
    );
    assert!(between(SchemaType::Avro, after, after).is_empty());
}

#[test]
fn json_properties_are_told_by_their_path() {
    let before = r##"{"type":"object","properties":{"id":{"type":"integer"},
        "home":{"$ref":"#/$defs/Home"}},"required":["id"],"$defs":{"Home":{"type":"object","properties":{"zip":{"type":"string"}}}}}"##;
    let after = r##"{"type":"object","properties":{"id":{"type":["integer","string"]},
        "home":{"$ref":"#/$defs/Home"},"tags":{"type":"array","items":{"type":"string","minLength":1}}},
        "additionalProperties":false,
        "$defs":{"Home":{"type":"object","properties":{"zip":{"type":"string","pattern":"^[0-9]+$"}}}}}"##;
    assert_eq!(
        between(SchemaType::Json, before, after),
        [
            "Changed /: additionalProperties - -> false",
            "Changed id: type integer -> integer | string; required true -> -",
            "Added tags: type - -> array",
            "Added tags[]: type - -> string; minLength - -> 1",
            "Changed $defs.Home.zip: pattern - -> ^[0-9]+$",
        ]
    );
}

#[test]
fn protobuf_declarations_are_told_by_their_names() {
    let before = r#"syntax = "proto3"; package p;
        message A { int32 id = 1; oneof how { string text = 2; } message B { bool b = 1; } }
        enum E { ZERO = 0; }"#;
    let after = r#"syntax = "proto3"; package p;
        message A { int64 id = 1; repeated string list = 3; oneof how { string text = 2; } }
        enum E { ZERO = 0; ONE = 1; }
        service S { rpc Get (A) returns (stream A); }"#;
    assert_eq!(
        between(SchemaType::Protobuf, before, after),
        [
            "Removed A.B: type message -> -",
            "Removed A.B.b: type bool -> -; number 1 -> -",
            "Changed A.id: type int32 -> int64",
            "Added A.list: type - -> repeated string; number - -> 3",
            "Added E.ONE: number - -> 1",
            "Added S.Get: type - -> (A) returns (stream A)",
        ]
    );
}

#[test]
fn a_contract_has_places_too() {
    let metadata: Metadata = serde_json::from_str(
        r#"{"properties":{"owner":"a"},"tags":{"User.email":["pii"]},"sensitive":["key"]}"#,
    )
    .unwrap();
    let rules: RuleSet = serde_json::from_str(
        r#"{"domainRules":[{"name":"r","kind":"CONDITION","mode":"WRITE","type":"CEL","expr":"true"}]}"#,
    )
    .unwrap();
    let before = contract(None, None);
    let after = contract(Some(&metadata), Some(&rules));
    assert_eq!(
        told(&changes(&before, &after)),
        [
            "Added metadata.properties.owner: value - -> a",
            "Added metadata.tags.User.email: tags - -> pii",
            "Added metadata.sensitive.key: ",
            "Added domainRules.r: type - -> CEL; expr - -> true; kind - -> CONDITION; mode - -> WRITE",
        ]
    );
}

#[test]
fn what_nests_too_deep_is_an_error() {
    let deep = |levels: usize| {
        let open = r#"{"type":"array","items":"#.repeat(levels);
        parse(
            SchemaType::Avro,
            &format!("{open}\"int\"{}", "}".repeat(levels)),
        )
    };
    assert_eq!(outline(&deep(100)).unwrap().len(), 1);
    let error = outline(&deep(200)).unwrap_err();
    assert!(matches!(error, SchemaError::TooComplex { .. }), "{error}");
}
