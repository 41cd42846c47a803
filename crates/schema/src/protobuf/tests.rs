//! The schema as a registry uses it: indexes, tags, compatibility, and texts that are meant to hurt.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::*;

const NEW: ParseOptions = ParseOptions { validate_new: true };

fn schema(text: &str) -> ProtobufSchema {
    ProtobufSchema::parse(text, &[], NEW).unwrap_or_else(|error| panic!("{error}"))
}

fn tags(path: &str, tags: &[&str]) -> FieldTags {
    let tags: BTreeSet<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    FieldTags::from([(path.to_owned(), tags)])
}

#[test]
fn messages_have_indexes_and_names() {
    let schema = schema(
        "syntax = \"proto3\"; package a.b; enum E { X = 0; } message M { enum F { Y = 0; } message N {} message O { message P {} } } message Q {}",
    );
    for (name, indexes) in [
        ("a.b.M", &[0][..]),
        ("a.b.M.N", &[0, 0]),
        ("a.b.M.O.P", &[0, 1, 0]),
        ("a.b.Q", &[1]),
    ] {
        assert_eq!(schema.message_indexes(name).as_deref(), Some(indexes));
        assert_eq!(schema.message_name(indexes).as_deref(), Some(name));
    }
    assert_eq!(schema.message_indexes("M"), None);
    assert_eq!(schema.message_indexes("a.b.E"), None);
    assert_eq!(schema.message_name(&[2]), None);
    assert_eq!(schema.message_name(&[-1]), None);
    assert_eq!(schema.message_name(&[]), None);
    assert_eq!(schema.name().as_deref(), Some("a.b.M"));
}

#[test]
fn the_name_is_the_first_messages_or_else_the_first_enums() {
    assert_eq!(
        schema("enum E { X = 0; } message M {}").name().as_deref(),
        Some("M")
    );
    assert_eq!(
        schema("package p; enum E { X = 0; }").name().as_deref(),
        Some("p.E")
    );
    assert_eq!(schema("syntax = \"proto3\";").name(), None);
}

#[test]
fn tags_are_found_added_and_removed() {
    let text = r#"syntax = "proto3"; package p; import "confluent/meta.proto";
        message M {
            option (confluent.message_meta).tags = "SENSITIVE";
            string ssn = 1 [(confluent.field_meta) = { doc: "d", tags: ["PII", "PRIVATE"] }];
            oneof o { string mail = 2 [(confluent.field_meta).tags = "PII"]; }
            message N { int32 a = 1; }
        }"#;
    let schema = schema(text);
    let found = schema.inline_tags();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["M", "M.mail", "M.ssn"]);
    assert_eq!(found["M.ssn"].len(), 2);
    assert_eq!(schema.tagged_types(), BTreeSet::from(["M".to_owned()]));

    let added = schema
        .with_tags(&tags("M.N.a", &["X"]), &tags("M.ssn", &["PII"]))
        .unwrap();
    let changed = self::schema(&added);
    assert_eq!(
        changed.inline_tags()["M.N.a"],
        BTreeSet::from(["X".to_owned()])
    );
    assert_eq!(
        changed.inline_tags()["M.ssn"],
        BTreeSet::from(["PRIVATE".to_owned()])
    );
    assert!(added.contains("doc: \"d\""));

    let gone = schema
        .with_tags(&FieldTags::new(), &tags(".p.M.mail", &["PII"]))
        .unwrap();
    assert!(gone.contains("    string mail = 2;\n"), "{gone}");
    assert!(
        schema
            .with_tags(&tags("M.nothing", &["X"]), &FieldTags::new())
            .is_err()
    );
}

#[test]
fn a_first_tag_brings_its_import() {
    let text = schema("syntax = \"proto3\"; message M { string a = 1; }")
        .with_tags(&tags("M.a", &["PII"]), &FieldTags::new())
        .unwrap();
    assert!(text.contains("import \"confluent/meta.proto\";"));
    assert_eq!(schema(&text).inline_tags(), tags("M.a", &["PII"]));
}

#[test]
fn what_is_incompatible_is_told_with_its_path() {
    let writer = schema("syntax = \"proto3\"; message M { int32 a = 1; }");
    let reader = schema("syntax = \"proto3\"; message M { string a = 1; int32 b = 2; }");
    let found = reader
        .reading(&writer, CompatibilityPolicy::Strict)
        .unwrap();
    assert_eq!(found.len(), 1);
    let found = found.first().unwrap();
    assert_eq!(found.rule, "FIELD_SCALAR_KIND_CHANGED");
    assert_eq!(found.path, "#/M/1");
    assert_eq!(
        found.description,
        "The kind of a SCALAR field at path '#/M/1' in the {reader} schema does not match its kind in the {writer} schema"
    );
}

#[test]
fn references_are_imported_by_their_name() {
    let reference = ResolvedReference {
        name: "a/address.proto".to_owned(),
        schema: "syntax = \"proto3\"; package a; message Address {}".to_owned(),
    };
    let text = "syntax = \"proto3\"; package b; import \"a/address.proto\"; message M { a.Address at = 1; }";
    assert!(ProtobufSchema::parse(text, std::slice::from_ref(&reference), NEW).is_ok());
    let error = ProtobufSchema::parse(text, &[], NEW).unwrap_err();
    assert!(matches!(error, SchemaError::Unresolved { .. }), "{error}");
    let broken = ResolvedReference {
        schema: "syntax".to_owned(),
        ..reference
    };
    let error = ProtobufSchema::parse(text, &[broken], NEW)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a/address.proto:1:7"), "{error}");
}

#[test]
fn top_level_fields_are_those_of_the_first_message() {
    let schema = schema(
        "syntax = \"proto3\"; message M { int32 a = 1; oneof o { int32 b = 2; } } message N { int32 c = 1; }",
    );
    assert_eq!(schema.top_level_fields(), ["a", "b"]);
}

#[test]
fn texts_that_are_meant_to_hurt_end_soon() {
    let start = Instant::now();
    let large = format!(
        "syntax = \"proto3\"; message M {{ {} }}",
        "int32 a = 1; ".repeat(800_000)
    );
    assert!(large.len() > 10_000_000);
    assert!(ProtobufSchema::parse(&large, &[], NEW).is_err());
    let blank = format!("syntax = \"proto3\";{}", " ".repeat(17 * 1024 * 1024));
    let error = ProtobufSchema::parse(&blank, &[], NEW).unwrap_err();
    assert!(matches!(error, SchemaError::TooLarge { .. }), "{error}");
    let comment = format!("/*{}", "*".repeat(1_000_000));
    assert!(ProtobufSchema::parse(&comment, &[], NEW).is_err());
    let mut fields = String::new();
    for number in 1..=18_000 {
        fields.push_str(&format!(
            "M f{number} = {number} [(a.b.c.d) = {{ x: {number} }}];\n"
        ));
    }
    let wide = schema(&format!("syntax = \"proto3\"; message M {{ {fields} }}"));
    let normal = schema(&wide.normalized());
    assert!(
        normal
            .reading(&wide, CompatibilityPolicy::Strict)
            .unwrap()
            .is_empty()
    );
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}
