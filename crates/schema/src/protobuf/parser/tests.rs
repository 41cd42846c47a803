//! What the parser takes and refuses.

use super::super::ast::{FieldType, ImportKind, Scalar, Span, Syntax, Value};
use super::*;

fn refused(text: &str) -> (String, String) {
    let fault = parse(text).expect_err(text);
    (fault.at.to_string(), fault.what)
}

#[test]
fn a_file_of_everything_parses() {
    let text = r#"
        edition = "2024";
        package a.b;
        import public "x.proto";
        import weak 'y.proto';
        import option "z.proto";
        option java_package = "a" "b";
        option (a.file) = { name: "n" list: [1, -2.5e3] inner < x: true > [a.ext] { } };
        export message M {
            map<string, .a.b.E> by_name = 1 [deprecated = true];
            repeated int32 many = 2 [packed = false, (a.f).g.(h.i) = FAST];
            oneof one { string s = 3; M m = 4; }
            reserved 5, 7 to 9, 1000 to max;
            reserved old, "older";
            extensions 100 to 199 [verification = UNVERIFIED];
            local enum E { option allow_alias = true; ZERO = 0; NULL = 0; MINUS = -1; }
            extend Other { bool flag = 126; }
        }
        service S {
            option deprecated = true;
            rpc Call (stream M) returns (.a.b.M) { option idempotency_level = IDEMPOTENT; }
            rpc Other (M) returns (stream M);
        };
    "#;
    let file = parse(text).unwrap();
    assert_eq!(file.syntax(), Syntax::Edition(2024));
    assert_eq!(file.package(), "a.b");
    let kinds: Vec<ImportKind> = file.imports.iter().map(|import| import.kind).collect();
    assert_eq!(
        kinds,
        [ImportKind::Public, ImportKind::Weak, ImportKind::Option]
    );
    assert_eq!(
        file.options.first().unwrap().value,
        Value::Str(b"ab".to_vec())
    );
    let message = file.messages().next().unwrap();
    assert_eq!(message.visibility, Some("export"));
    let map = FieldType::Map(
        Scalar::String,
        Box::new(FieldType::Named(".a.b.E".to_owned())),
    );
    assert_eq!(message.fields.first().unwrap().kind, map);
    let reserved = &message.reserved.first().unwrap().spans;
    assert_eq!(
        *reserved,
        [
            Span::Number(5),
            Span::Range(7, 9),
            Span::Range(1000, FIELD_NUMBER_MAX)
        ]
    );
    let rpcs = &file.services.first().unwrap().rpcs;
    assert!(rpcs.first().unwrap().request_streams && rpcs.get(1).unwrap().response_streams);
}

#[test]
fn proto2_has_labels_groups_and_defaults() {
    let text = "message M { optional int32 a = 1 [default = -7]; required group G = 2 { repeated string b = 1; } map<int32, bool> m = 3; }";
    let file = parse(text).unwrap();
    let message = file.messages().next().unwrap();
    assert_eq!(message.groups.first().unwrap().body.name, "G");
    assert_eq!(file.syntax, None);
    assert_eq!(file.syntax(), Syntax::Proto2);
}

#[test]
fn words_of_the_language_are_names_too() {
    let text = r#"syntax = "proto3"; message message { string option = 1; int32 stream = 2; bool oneof_ = 3; string package = 4; }
        message stream { } service service { rpc rpc (stream stream) returns (stream); }"#;
    let file = parse(text).unwrap();
    assert_eq!(file.messages().count(), 2);
    let rpc = file.services.first().unwrap().rpcs.first().unwrap();
    assert_eq!((rpc.request_streams, rpc.response_streams), (true, false));
    assert_eq!(
        (rpc.request.as_str(), rpc.response.as_str()),
        ("stream", "stream")
    );
}

#[test]
fn what_is_refused_is_told_with_its_place() {
    let cases = [
        ("this is not valid protobuf", "1:1", "unexpected \"this\""),
        ("syntax = \"proto4\";", "1:10", "unexpected syntax"),
        (
            "syntax = \"proto3\";\nmessage A {\n  required string a = 1;\n}",
            "3:3",
            "forbidden in proto3",
        ),
        ("message A { string a = 1; }", "1:13", "unexpected label"),
        (
            "syntax = \"proto3\"; message A { string a = 1 }",
            "1:45",
            "expected ';'",
        ),
        (
            "syntax = \"proto3\"; message A { string = 1; }",
            "1:39",
            "the name of the field",
        ),
        (
            "syntax = \"proto3\"; message A { string a = 99999999999; }",
            "1:43",
            "32 bits",
        ),
        (
            "syntax = \"proto3\"; message A { oneof o { repeated string a = 1; } }",
            "1:42",
            "no label",
        ),
        (
            "syntax = \"proto3\"; message A { repeated map<string, string> a = 1; }",
            "1:41",
            "no label",
        ),
        (
            "syntax = \"proto3\"; message A { map<B, string> a = 1; }",
            "1:36",
            "scalar type",
        ),
        (
            "syntax = \"proto3\"; package a; package b;",
            "1:31",
            "the second",
        ),
        (
            "package a; syntax = \"proto3\";",
            "1:12",
            "first declaration",
        ),
        (
            "edition = \"2023\"; message A { optional string a = 1; }",
            "1:31",
            "features.field_presence",
        ),
        (
            "message A { optional group g = 1 {} }",
            "1:28",
            "capital letter",
        ),
        (
            "syntax = \"proto3\"; message A {",
            "1:31",
            "the end of the text",
        ),
        ("option a = ;", "1:12", "the value of the option"),
        ("option a = 0x1g;", "1:12", "no number"),
    ];
    for (text, place, what) in cases {
        let (at, message) = refused(text);
        assert_eq!(at, place, "{text}: {message}");
        assert!(message.contains(what), "{text}: {message}");
    }
}

#[test]
fn nesting_has_a_bound() {
    let deep = |levels: usize| {
        format!(
            "syntax = \"proto3\";{}{}",
            "message M {".repeat(levels),
            "}".repeat(levels)
        )
    };
    assert!(parse(&deep(NESTING_MAX)).is_ok());
    assert!(refused(&deep(100_000)).1.contains("deeper than"));
    let value = format!(
        "option a = {}1{};",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(refused(&value).1.contains("deeper than"));
    let value = format!(
        "option a = {}{};",
        "{ a ".repeat(100_000),
        "}".repeat(100_000)
    );
    assert!(refused(&value).1.contains("deeper than"));
}
