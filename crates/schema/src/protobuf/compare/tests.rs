//! Each kind of change, and the bounds.

use super::super::parser;
use super::*;

fn sources(text: &str, references: &[(&str, &str)]) -> Vec<Source> {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        file: parser::parse(text).unwrap(),
    };
    let mut all: Vec<Source> = references
        .iter()
        .map(|(path, text)| source(path, text))
        .collect();
    all.push(source("", text));
    all
}

fn changes(before: &str, after: &str) -> Vec<String> {
    across((before, &[]), (after, &[]))
}

fn across(before: (&str, &[(&str, &str)]), after: (&str, &[(&str, &str)])) -> Vec<String> {
    let found = differences(&sources(before.0, before.1), &sources(after.0, after.1)).unwrap();
    let told = found
        .iter()
        .map(|each| format!("{} {}", each.change.name(), each.path));
    told.collect()
}

fn body(before: &str, after: &str) -> Vec<String> {
    let wrap = |body: &str| {
        format!(
            "syntax = \"proto3\"; message M {{ {body} }} enum E {{ A = 0; }} message T {{}} message U {{}}"
        )
    };
    changes(&wrap(before), &wrap(after))
}

#[test]
fn fields_come_go_and_change() {
    assert!(body("int32 a = 1;", "int32 a = 1;").is_empty());
    assert_eq!(body("", "int32 a = 1;"), ["FIELD_ADDED #/M/1"]);
    assert_eq!(body("int32 a = 1;", ""), ["FIELD_REMOVED #/M/1"]);
    assert_eq!(
        body("int32 a = 1;", "int32 b = 1;"),
        ["FIELD_NAME_CHANGED #/M/1"]
    );
    assert_eq!(
        body("int32 a = 1;", "string a = 1;"),
        ["FIELD_SCALAR_KIND_CHANGED #/M/1"]
    );
    assert_eq!(
        body("int32 a = 1;", "T a = 1;"),
        ["FIELD_KIND_CHANGED #/M/1"]
    );
    assert_eq!(
        body("T a = 1;", "U a = 1;"),
        ["FIELD_NAMED_TYPE_CHANGED #/M/1"]
    );
    assert_eq!(
        body("optional int32 a = 1;", "repeated int32 a = 1;"),
        ["FIELD_NUMERIC_LABEL_CHANGED #/M/1"]
    );
    assert_eq!(
        body("optional bytes a = 1;", "repeated bytes a = 1;"),
        ["FIELD_STRING_OR_BYTES_LABEL_CHANGED #/M/1"]
    );
    assert!(body("optional T a = 1;", "repeated T a = 1;").is_empty());
    assert!(body("int32 a = 1;", "repeated int32 a = 1;").is_empty());
}

#[test]
fn scalars_fall_into_groups() {
    let groups: [&[&str]; 7] = [
        &["int32", "int64", "uint32", "uint64", "bool", "E"],
        &["sint32", "sint64"],
        &["string", "bytes"],
        &["fixed32", "sfixed32"],
        &["fixed64", "sfixed64"],
        &["float"],
        &["double"],
    ];
    let all: Vec<(usize, &str)> = groups
        .iter()
        .enumerate()
        .flat_map(|(group, names)| names.iter().map(move |name| (group, *name)))
        .collect();
    for (group, name) in &all {
        for (other, another) in &all {
            let found = body(&format!("{name} a = 1;"), &format!("{another} a = 1;"));
            assert_eq!(
                found.is_empty(),
                group == other,
                "{name} and {another}: {found:?}"
            );
        }
    }
}

#[test]
fn a_map_is_its_entry_written_out() {
    let written = "repeated AEntry a = 1; message AEntry { option map_entry = true; string key = 1; T value = 2; }";
    assert!(body("map<string, T> a = 1;", written).is_empty());
    assert!(body(written, "map<string, T> a = 1;").is_empty());
    assert_eq!(
        body("map<string, int32> a = 1;", "map<int32, string> a = 1;"),
        [
            "FIELD_SCALAR_KIND_CHANGED #/M/1",
            "FIELD_SCALAR_KIND_CHANGED #/M/1"
        ]
    );
    assert_eq!(
        body("map<string, T> a = 1;", "string a = 1;"),
        ["FIELD_KIND_CHANGED #/M/1"]
    );
}

#[test]
fn oneofs_may_grow_but_not_bind_what_was_free() {
    assert_eq!(
        body(
            "oneof o { int32 a = 1; }",
            "oneof o { int32 a = 1; int32 b = 2; }"
        ),
        ["ONEOF_FIELD_ADDED #/M/o/2"]
    );
    assert_eq!(
        body(
            "oneof o { int32 a = 1; int32 b = 2; }",
            "oneof o { int32 a = 1; }"
        ),
        ["ONEOF_FIELD_REMOVED #/M/o/2"]
    );
    assert_eq!(
        body("oneof o { int32 a = 1; }", ""),
        ["ONEOF_REMOVED #/M/o"]
    );
    assert_eq!(
        body(
            "int32 a = 1; int32 b = 2;",
            "oneof o { int32 a = 1; int32 b = 2; }"
        ),
        ["MULTIPLE_FIELDS_MOVED_TO_ONEOF #/M/o", "ONEOF_ADDED #/M/o"]
    );
    assert_eq!(
        body(
            "int32 a = 1; oneof o { int32 b = 2; }",
            "oneof o { int32 a = 1; int32 b = 2; }"
        ),
        ["FIELD_MOVED_TO_EXISTING_ONEOF #/M/o"]
    );
    assert_eq!(
        body(
            "oneof o { int32 a = 1; int32 b = 2; }",
            "oneof o { int32 a = 1; } string b = 2;"
        ),
        [
            "ONEOF_FIELD_MOVED_TO_TOP_LEVEL #/M/2",
            "FIELD_SCALAR_KIND_CHANGED #/M/2"
        ]
    );
}

#[test]
fn messages_and_enums_come_go_and_move() {
    let before =
        "syntax = \"proto3\"; message A { message N {} } message B {} enum E { X = 0; Y = 1; }";
    let after =
        "syntax = \"proto3\"; package p; message B {} message A {} message C {} enum F { Z = 0; }";
    assert_eq!(
        changes(before, after),
        [
            "PACKAGE_CHANGED #/",
            "MESSAGE_REMOVED #/A/N",
            "MESSAGE_MOVED #/A",
            "MESSAGE_MOVED #/B",
            "MESSAGE_ADDED #/C",
            "ENUM_REMOVED #/E",
            "ENUM_ADDED #/F"
        ]
    );
    assert_eq!(
        changes(
            "enum E { X = 0; Y = 1; }",
            "enum E { X = 0; Z = 1; W = 2; }"
        ),
        ["ENUM_CONST_CHANGED #/E/1", "ENUM_CONST_ADDED #/E/2"]
    );
    assert_eq!(
        changes("enum E { X = 0; Y = 1; }", "enum E { X = 0; }"),
        ["ENUM_CONST_REMOVED #/E/1"]
    );
}

#[test]
fn required_fields_and_groups_of_proto2() {
    assert_eq!(
        changes("message M {}", "message M { required int32 a = 1; }"),
        ["REQUIRED_FIELD_ADDED #/M/1"]
    );
    assert_eq!(
        changes("message M { required int32 a = 1; }", "message M {}"),
        ["REQUIRED_FIELD_REMOVED #/M/1"]
    );
    assert_eq!(
        changes(
            "message M { optional group G = 1 {} }",
            "message M { optional int32 g = 1; }"
        ),
        ["FIELD_KIND_CHANGED #/M/1"]
    );
}

#[test]
fn types_of_other_files_are_compared_as_a_whole() {
    let main = |file: &str, name: &str| {
        format!(
            "syntax = \"proto3\"; import \"{file}\"; message M {{ {name} a = 1; {name} b = 2; }}"
        )
    };
    let one = "syntax = \"proto3\"; package one; message T { int32 a = 1; T again = 2; message N { bool b = 1; } }";
    let same = "syntax = \"proto3\"; package two; message T { int64 a = 1; T again = 2; message N { bool b = 1; } }";
    let other = "syntax = \"proto3\"; package two; message T { string a = 1; T again = 2; }";
    let before = main("one.proto", "one.T");
    let after = main("two.proto", "two.T");
    assert!(
        across(
            (&before, &[("one.proto", one)]),
            (&after, &[("two.proto", same)])
        )
        .is_empty()
    );
    assert_eq!(
        across(
            (&before, &[("one.proto", one)]),
            (&after, &[("two.proto", other)])
        ),
        [
            "FIELD_SCALAR_KIND_CHANGED #/T/1",
            "MESSAGE_REMOVED #/T/N",
            "FIELD_NAMED_TYPE_CHANGED #/M/1",
            "FIELD_NAMED_TYPE_CHANGED #/M/2"
        ]
    );
}

#[test]
fn files_that_refer_to_each_other_in_many_ways_end() {
    // Each of 200 types has two fields of the next: 2^200 paths from the first to the last.
    let chain = |end: &str| {
        let mut text = "syntax = \"proto3\"; package c;".to_owned();
        for index in 0..200 {
            text.push_str(&format!(
                "message T{index} {{ T{0} a = 1; T{0} b = 2; }}",
                index + 1
            ));
        }
        text.push_str(&format!("message T200 {{ {end} a = 1; T0 back = 2; }}"));
        text
    };
    let main = "syntax = \"proto3\"; import \"c.proto\"; message M { c.T0 a = 1; }";
    let found = across(
        (main, &[("c.proto", &chain("int32"))]),
        (main, &[("c.proto", &chain("string"))]),
    );
    assert!(found.contains(&"FIELD_SCALAR_KIND_CHANGED #/T200/1".to_owned()));
    assert_eq!(found.last().unwrap(), "FIELD_NAMED_TYPE_CHANGED #/M/1");
}

#[test]
fn every_incompatible_change_is_told_and_has_a_remedy() {
    let all = [
        Change::PackageChanged,
        Change::MessageRemoved,
        Change::FieldKindChanged,
        Change::FieldScalarKindChanged,
        Change::FieldNamedTypeChanged,
        Change::FieldNumericLabelChanged,
        Change::RequiredFieldAdded,
        Change::RequiredFieldRemoved,
        Change::OneofFieldRemoved,
        Change::MultipleFieldsMovedToOneof,
        Change::FieldMovedToExistingOneof,
    ];
    for change in all {
        assert!(!change.is_compatible());
        assert!(change.description("#/M/1").contains("'#/M/1'"));
        assert!(!change.remedy().is_empty());
    }
    assert!(Change::MessageMoved.is_compatible() && Change::MessageMoved.remedy().is_empty());
}
