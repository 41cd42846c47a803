//! Proposals from records: what they say, that the records fit them, that they stay bounded.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::avro::AvroSchema;
use crate::format::{Format, ParseOptions};
use crate::parsed::ParsedSchema;

fn inference(records: &[Json]) -> Inference {
    let mut inference = Inference::new("orders", Some("com.example"));
    for record in records {
        inference.add(record);
    }
    inference
}

fn orders() -> Vec<Json> {
    vec![
        json!({"id": 1, "email": "anna@example.com", "total": 9.5, "paid": true, "at": "2026-11-27T01:02:03Z",
            "items": [{"sku": "a", "count": 2}], "created_at": 1_780_000_000_000_i64, "by-sku": {"x-1": 2}}),
        json!({"id": 2, "email": "bob@example.org", "total": 10, "paid": null, "at": "2026-11-27T01:02:04Z",
            "items": [{"sku": 7}], "created_at": 1_780_000_000_001_i64, "by-sku": {}, "note": "hi"}),
    ]
}

#[test]
fn an_avro_schema_says_what_was_seen() {
    let proposal = inference(&orders()).propose(SchemaType::Avro).unwrap();
    let expected = json!({"type": "record", "name": "Orders", "fields": [
        {"name": "id", "type": "long"},
        {"name": "email", "type": "string", "confluent:tags": ["PII", "EMAIL"]},
        {"name": "total", "type": "double"},
        {"name": "paid", "type": ["null", "boolean"], "default": null},
        {"name": "at", "type": "string"},
        {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Items", "fields": [
            {"name": "sku", "type": ["long", "string"]},
            {"name": "count", "type": ["null", "long"], "default": null},
        ]}}},
        {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "by_sku", "type": {"type": "map", "values": "long"}, "source": "by-sku"},
        {"name": "note", "type": ["null", "string"], "default": null},
    ], "namespace": "com.example"});
    assert_eq!(
        serde_json::from_str::<Json>(&proposal.schema).unwrap(),
        expected
    );
    let options = ParseOptions { validate_new: true };
    assert!(AvroSchema::parse(&proposal.schema, &[], options).is_ok());
}

#[test]
fn a_report_has_shares_extremes_and_masked_examples() {
    let proposal = inference(&orders()).propose(SchemaType::Avro).unwrap();
    assert_eq!(proposal.records, 2);
    let of = |path: &str| {
        proposal
            .fields
            .iter()
            .find(|field| field.path == path)
            .unwrap()
    };
    let email = of("email");
    assert_eq!(
        email.examples,
        [json!("a***@*******.***"), json!("b**@*******.***")]
    );
    assert_eq!(
        email.tags[1].why,
        "100 % of its strings look like e-mail addresses"
    );
    assert_eq!((email.distinct, email.lengths), (2, Some((15, 16))));
    assert_eq!(of("total").range, Some((9.5, 10.0)));
    assert_eq!(of("paid").null_share, 0.5);
    assert_eq!(of("note").absent_share, 0.5);
    assert_eq!(of("items[].sku").kinds, [("integer", 1), ("string", 1)]);
    assert_eq!(of("by-sku{}").values, 1);
}

#[test]
fn a_json_schema_says_what_was_seen() {
    let proposal = inference(&orders()).propose(SchemaType::Json).unwrap();
    let schema: Json = serde_json::from_str(&proposal.schema).unwrap();
    assert_eq!(schema["title"], json!("Orders"));
    assert_eq!(
        schema["properties"]["at"],
        json!({"type": "string", "format": "date-time"})
    );
    assert_eq!(
        schema["properties"]["paid"],
        json!({"oneOf": [{"type": "null"}, {"type": "boolean"}]})
    );
    assert_eq!(
        schema["required"],
        json!([
            "id",
            "email",
            "total",
            "paid",
            "at",
            "items",
            "created_at",
            "by-sku"
        ])
    );
}

#[test]
fn a_protobuf_schema_says_what_was_seen() {
    let proposal = inference(&orders()).propose(SchemaType::Protobuf).unwrap();
    assert_eq!(
        proposal.schema,
        r#"syntax = "proto3";
package com.example;

import "confluent/meta.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";

message Orders {
  optional int64 id = 1;
  optional string email = 2 [(confluent.field_meta) = { tags: ["PII", "EMAIL"] }];
  optional double total = 3;
  optional bool paid = 4;
  google.protobuf.Timestamp at = 5;
  message Items {
    google.protobuf.Value sku = 1;
    optional int64 count = 2;
  }
  repeated Items items = 6;
  optional int64 created_at = 7;
  map<string, int64> by_sku = 8 [json_name = "by-sku"];
  optional string note = 9;
}
"#
    );
    let numbers = inference(&[json!(1)]);
    assert_eq!(
        numbers.propose(SchemaType::Protobuf),
        Err(InferError::NotObjects)
    );
    assert_eq!(
        numbers.propose(SchemaType::Avro).unwrap().schema,
        r#""long""#
    );
}

#[test]
fn nothing_is_proposed_from_nothing() {
    let empty = inference(&[]);
    assert_eq!(empty.propose(SchemaType::Avro), Err(InferError::NoRecords));
}

#[test]
fn many_names_of_which_few_occur_are_a_map() {
    let records: Vec<Json> = (0..100)
        .map(|n| json!({"scores": {format!("player{n}"): n}}))
        .collect();
    let proposal = inference(&records).propose(SchemaType::Avro).unwrap();
    assert!(
        proposal
            .schema
            .contains(r#"{"type":"map","values":"long"}"#),
        "{}",
        proposal.schema
    );
}

#[test]
fn hostile_records_stay_within_bounds() {
    let mut inference = Inference::new("", None);
    let many: serde_json::Map<String, Json> =
        (0..100_000).map(|n| (format!("k{n}"), json!(1))).collect();
    inference.add(&Json::Object(many));
    let proposal = inference.propose(SchemaType::Avro).unwrap();
    assert!(proposal.is_cut);
    assert_eq!(proposal.fields.len(), PROFILES_MAX);
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({ "a": [deep] });
    }
    let mut inference = Inference::new("deep", None);
    inference.add(&deep);
    for schema_type in [SchemaType::Avro, SchemaType::Json, SchemaType::Protobuf] {
        assert!(inference.propose(schema_type).is_ok());
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1.0e9..1.0e9_f64).prop_map(Json::from),
        "[a-zA-Z0-9@.-]{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-c1-]{1,2}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_proposal_is_a_schema_with_a_report(records in prop::collection::vec(any_json(), 1..6)) {
        let inference = inference(&records);
        let proposal = inference.propose(SchemaType::Avro).unwrap();
        let options = ParseOptions { validate_new: true };
        let schema = AvroSchema::parse(&proposal.schema, &[], options);
        prop_assert!(schema.is_ok(), "{:?} {}", schema, proposal.schema);
        prop_assert_eq!(proposal.records, u64::try_from(records.len()).unwrap());
        for schema_type in [SchemaType::Json, SchemaType::Protobuf] {
            let Ok(proposal) = inference.propose(schema_type) else {
                prop_assert_eq!(schema_type, SchemaType::Protobuf);
                continue;
            };
            let schema = ParsedSchema::parse(schema_type, &proposal.schema, &[], options);
            prop_assert!(schema.is_ok(), "{:?} {}", schema, proposal.schema);
        }
    }
}
