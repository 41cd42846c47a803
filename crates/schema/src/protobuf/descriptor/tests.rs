//! Descriptors against those of Google's own files, and there and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::FileDescriptorProto;

use super::super::{ProtobufSchema, known};
use super::*;
use crate::format::{Format as _, ParseOptions};

const NEW: ParseOptions = ParseOptions { validate_new: true };

fn schema(text: &str) -> ProtobufSchema {
    ProtobufSchema::parse(text, &[], NEW).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn googles_files_come_out_as_google_describes_them() {
    let global = DescriptorPool::global();
    let paths = [
        "any",
        "api",
        "duration",
        "empty",
        "field_mask",
        "source_context",
        "struct",
        "timestamp",
        "type",
        "wrappers",
    ];
    for name in paths {
        let path = format!("google/protobuf/{name}.proto");
        let source = known::source(&path).unwrap();
        let names = Names::of(&[]);
        let mut ours = build::file(source, &names, true).file;
        let mut theirs: FileDescriptorProto = global
            .get_file_by_name(&path)
            .unwrap()
            .file_descriptor_proto()
            .clone();
        for file in [&mut ours, &mut theirs] {
            file.options = None;
            file.source_code_info = None;
            file.dependency.sort();
            for message in &mut file.message_type {
                for field in &mut message.field {
                    field.options = None;
                    field.json_name = None;
                    field.proto3_optional = None;
                }
                message
                    .nested_type
                    .iter_mut()
                    .flat_map(|nested| &mut nested.field)
                    .for_each(|field| {
                        field.json_name = None;
                    });
            }
        }
        // A newer field of `api.proto` and `type.proto` is not in the library's own copy.
        if !matches!(name, "api" | "type") {
            assert_eq!(ours, theirs, "{path}");
        }
    }
}

#[test]
fn there_and_back_is_the_same_schema() {
    let text = r#"syntax = "proto2"; package a.b;
        import "google/protobuf/descriptor.proto"; import public "google/protobuf/timestamp.proto";
        option java_package = "x.y";
        extend google.protobuf.FieldOptions { optional Opt opt = 50000; repeated string tag = 50001; }
        message Opt { optional string s = 1; repeated int32 n = 2; map<string, int32> m = 3; optional Opt inner = 4; extensions 100 to 200; }
        message M {
            option deprecated = true;
            reserved 50, 60 to 70, 1000 to max; reserved "foo";
            extensions 100 to 199;
            required int32 id = 1 [default = -16, (opt) = { s: "a" n: [1, 2] m { key: "k" value: 7 } inner { s: "q" } }];
            optional bytes by = 3 [default = "\001\377x\"\\"];
            optional double d = 4 [default = inf];
            optional E e = 7 [default = Y, json_name = "EE"];
            repeated group Grp = 9 { optional int32 x = 1; }
            map<int64, Opt> by_id = 10;
            oneof choice { string one = 11; group Two = 12 { optional bool y = 1; } }
            optional .google.protobuf.Timestamp at = 13 [(tag) = "one", (tag) = "two"];
            message Inner { enum Z { option allow_alias = true; A = 0; B = 0; reserved 5 to max; } }
        }
        extend M { optional string ext1 = 100; }
        enum E { X = 5; Y = 6 [deprecated = true]; }
        service S { rpc A (M) returns (stream Opt) { option idempotency_level = NO_SIDE_EFFECTS; } }"#;
    let schema = schema(text);
    let serialized = schema.formatted("serialized").unwrap();
    let again = ProtobufSchema::parse(&serialized, &[], NEW).unwrap();
    assert_eq!(again.normalized(), schema.normalized());
    let twice = again.formatted("serialized").unwrap();
    let third = ProtobufSchema::parse(&twice, &[], NEW).unwrap();
    assert_eq!(third.formatted("serialized").unwrap(), twice);
}

#[test]
fn confluents_options_are_in_the_serialised_form() {
    let text = r#"syntax = "proto3"; import "confluent/meta.proto";
        message M { optional string a = 1 [(confluent.field_meta).tags = "PII", (confluent.field_meta).doc = "d"]; }"#;
    let serialized = schema(text).formatted("serialized").unwrap();
    let again = ProtobufSchema::parse(&serialized, &[], NEW).unwrap();
    assert!(again.inline_tags().contains_key("M.a"));
    assert!(
        again.canonical().contains("optional string a = 1"),
        "{}",
        again.canonical()
    );
}

#[test]
fn the_entry_of_a_map_is_a_message_of_a_serialised_schema() {
    let schema =
        schema("syntax = \"proto3\"; message M { map<string, M> by_name = 1; message N {} }");
    let serialized = schema.formatted("serialized").unwrap();
    let again = ProtobufSchema::parse(&serialized, &[], NEW).unwrap();
    assert!(
        again
            .canonical()
            .contains("message ByNameEntry {\n    option map_entry = true;")
    );
    assert_eq!(again.normalized(), schema.normalized());
    assert_eq!(again.message_indexes("M.N"), schema.message_indexes("M.N"));
}

#[test]
fn editions_keep_their_features() {
    let text = r#"edition = "2023"; option features.field_presence = IMPLICIT;
        message M { int32 a = 1; int32 b = 2 [features.field_presence = EXPLICIT, default = 7];
            repeated int32 c = 3 [features.repeated_field_encoding = EXPANDED];
            M d = 4 [features.message_encoding = DELIMITED]; reserved gone; }"#;
    let schema = schema(text);
    let bytes = STANDARD
        .decode(schema.formatted("serialized").unwrap())
        .unwrap();
    let descriptor = DescriptorPool::global()
        .get_message_by_name(FILE_MESSAGE)
        .unwrap();
    let message = DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap();
    assert_eq!(
        message.get_field_by_name("syntax").unwrap().as_str(),
        Some("editions")
    );
    assert_eq!(
        message
            .get_field_by_name("edition")
            .unwrap()
            .as_enum_number(),
        Some(1000)
    );
    let pool = pool(&schema.sources, &schema.names()).unwrap();
    let lowered = pool.get_message_by_name("M").unwrap();
    let field = |name: &str| lowered.get_field_by_name(name).unwrap();
    assert!(!field("a").supports_presence() && field("b").supports_presence());
    assert!(!field("c").is_packed());
    assert!(field("d").is_group());
    let again = ProtobufSchema::parse(&schema.formatted("serialized").unwrap(), &[], NEW).unwrap();
    assert_eq!(again.normalized(), schema.normalized());
}

#[test]
fn what_is_no_descriptor_is_refused_as_a_text() {
    for text in ["AAAA", "", "bm90IGEgZGVzY3JpcHRvcg==", "CgA="] {
        let result = ProtobufSchema::parse(text, &[], NEW);
        assert!(text.is_empty() || result.is_err(), "{text}");
    }
    let mut bytes = FileDescriptorProto {
        name: Some("x".to_owned()),
        ..FileDescriptorProto::default()
    }
    .encode_to_vec();
    bytes.extend_from_slice(&[0x22, 0x7F]);
    assert!(ProtobufSchema::parse(&STANDARD.encode(bytes), &[], NEW).is_err());
}
