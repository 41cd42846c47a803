//! Each rule, broken once.

use super::super::parser;
use super::*;

fn outcome(text: &str, references: &[(&str, &str)]) -> Result<(), SchemaError> {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        file: parser::parse(text).unwrap_or_else(|fault| panic!("{fault:?} in {text}")),
    };
    let mut all: Vec<Source> = references
        .iter()
        .map(|(path, text)| source(path, text))
        .collect();
    all.push(source("", text));
    let names = Names::of(&all);
    resolve(&all, &names)?;
    check(&all, &names)
}

fn refused(text: &str, words: &str) {
    match outcome(text, &[]) {
        Ok(()) => panic!("taken: {text}"),
        Err(error) => assert!(error.to_string().contains(words), "{text}: {error}"),
    }
}

fn taken(text: &str) {
    if let Err(error) = outcome(text, &[]) {
        panic!("{text}: {error}");
    }
}

#[test]
fn proto3_rules() {
    let cases = [
        (
            "message A { int32 a = 1; int32 b = 1; }",
            "the number 1 is used by \"a\"",
        ),
        (
            "message A { int32 a = 1; string a = 2; }",
            "\"A.a\" is already defined at 1:32",
        ),
        ("message A { int32 a = 0; }", "from 1 to 536870911"),
        ("message A { int32 a = 536870912; }", "from 1 to 536870911"),
        ("message A { int32 a = 19500; }", "Protobuf's own"),
        (
            "message A { reserved 1 to 5; int32 a = 3; }",
            "the number 3 is reserved",
        ),
        (
            "message A { reserved \"a\"; int32 a = 3; }",
            "the name \"a\" is reserved",
        ),
        ("message A { reserved 1 to 5, 5; }", "overlap"),
        ("message A { reserved 5 to 1; }", "ends before it starts"),
        ("message A { reserved 0; }", "is not within"),
        ("message A { reserved \"a\", \"a\"; }", "reserved twice"),
        ("message A { oneof o { } }", "no field"),
        ("message A { B b = 1; }", "names \"B\""),
        ("message A { map<float, string> a = 1; }", "cannot be float"),
        (
            "message A { oneof o { map<string, string> a = 1; } }",
            "in a oneof",
        ),
        (
            "message A { int32 a = 1 [default = 1]; }",
            "not allowed in proto3",
        ),
        ("message A { extensions 5; }", "not allowed in proto3"),
        (
            "message A { int32 a_b = 1; int32 aB = 2; }",
            "its name in JSON",
        ),
        ("message A { string a = 1 [packed = true]; }", "packed"),
        ("enum E { }", "at least one value"),
        ("enum E { A = 1; }", "the first value of an open enum is 0"),
        ("enum E { A = 0; B = 0; }", "allow_alias = true"),
        (
            "enum E { option allow_alias = true; A = 0; B = 1; }",
            "take the option away",
        ),
        (
            "enum E { A = 0; reserved 1 to max; B = 7; }",
            "the number 7 of B is reserved",
        ),
        (
            "enum E { A = 0; } enum F { A = 0; }",
            "\"A\" is already defined",
        ),
        ("message A {} message A {}", "\"A\" is already defined"),
        (
            "message A {} service S { rpc R (A) returns (B); }",
            "names \"B\"",
        ),
        (
            "enum E { A = 0; } service S { rpc R (E) returns (E); }",
            "is an enum",
        ),
        (
            "message A {} extend A { int32 a = 1; }",
            "proto3 extends the options",
        ),
        (
            "import \"nowhere.proto\";",
            "no reference is named \"nowhere.proto\"",
        ),
        (
            "import \"google/protobuf/any.proto\"; import \"google/protobuf/any.proto\";",
            "imported twice",
        ),
        (
            "message A { google.protobuf.Any a = 1; }",
            "add import \"google/protobuf/any.proto\"",
        ),
    ];
    for (text, words) in cases {
        refused(&format!("syntax = \"proto3\"; {text}"), words);
    }
}

#[test]
fn proto2_rules() {
    let cases = [
        (
            "message A { optional int32 a = 1 [default = \"x\"]; }",
            "no int32",
        ),
        (
            "message A { optional uint32 a = 1 [default = -1]; }",
            "no uint32",
        ),
        (
            "message A { optional int32 a = 1 [default = 2147483648]; }",
            "no int32",
        ),
        (
            "message A { repeated int32 a = 1 [default = 1]; }",
            "a repeated field",
        ),
        (
            "message A { optional A a = 1 [default = 1]; }",
            "a message cannot",
        ),
        (
            "enum E { X = 1; } message A { optional E a = 1 [default = Y]; }",
            "no value of the enum",
        ),
        (
            "message A { extensions 5 to 9; optional int32 a = 7; }",
            "kept for extensions",
        ),
        (
            "message A { extensions 5 to 9; } extend A { optional int32 a = 10; }",
            "does not keep the number 10",
        ),
        (
            "message A { optional group G = 1 {} optional int32 g = 2; }",
            "\"A.g\" is already defined",
        ),
    ];
    for (text, words) in cases {
        refused(&format!("syntax = \"proto2\"; {text}"), words);
    }
}

#[test]
fn what_the_rules_allow() {
    taken(
        "syntax = \"proto2\"; enum E { X = 1; } message A { extensions 5 to 9; optional E e = 1 [default = X]; optional double d = 2 [default = inf]; repeated group G = 3 { optional A a = 1; } } extend A { optional int32 a = 5; }",
    );
    taken(
        "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\"; extend google.protobuf.FieldOptions { string s = 50000; } message A { string a = 1 [(s) = \"x\"]; optional int32 b = 2; }",
    );
    taken(
        "syntax = \"proto3\"; package a.b.c; import \"google/protobuf/timestamp.proto\"; message A { google.protobuf.Timestamp at = 1; B b = 2; A.C c = 3; message C {} } message B { repeated A a = 1 [deprecated = true]; }",
    );
    taken(
        "edition = \"2023\"; enum E { option features.enum_type = CLOSED; X = 1; } message A { E e = 1 [default = X, features.field_presence = EXPLICIT]; }",
    );
    refused("edition = \"2023\"; enum E { X = 1; }", "open enum");
    refused(
        "edition = \"2023\"; message A { group G = 1 {} }",
        "proto2 only",
    );
}

#[test]
fn an_import_is_seen_through_public_imports_only() {
    let inner = ("inner.proto", "syntax = \"proto3\"; message Inner {}");
    let public = (
        "outer.proto",
        "syntax = \"proto3\"; import public \"inner.proto\";",
    );
    let private = (
        "outer.proto",
        "syntax = \"proto3\"; import \"inner.proto\";",
    );
    let main = "syntax = \"proto3\"; import \"outer.proto\"; message M { Inner i = 1; }";
    assert!(outcome(main, &[inner, public]).is_ok());
    let error = outcome(main, &[inner, private]).unwrap_err().to_string();
    assert!(error.contains("add import \"inner.proto\""), "{error}");
}

#[test]
fn a_closed_enum_is_not_for_proto3() {
    let closed = ("e.proto", "syntax = \"proto2\"; enum E { A = 0; }");
    let main = "syntax = \"proto3\"; import \"e.proto\"; message M { E e = 1; }";
    let error = outcome(main, &[closed]).unwrap_err().to_string();
    assert!(error.contains("closed enum"), "{error}");
}

#[test]
fn a_cycle_of_imports_is_told() {
    let one = ("a.proto", "syntax = \"proto3\"; import \"b.proto\";");
    let two = ("b.proto", "syntax = \"proto3\"; import \"a.proto\";");
    let error = outcome("syntax = \"proto3\"; import \"a.proto\";", &[one, two]).unwrap_err();
    assert!(error.to_string().contains("lead back"), "{error}");
}
