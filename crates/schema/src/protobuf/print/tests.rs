//! The layout of each form, and that print and parse undo each other.

use proptest::prelude::*;

use super::super::ast::{Label, Place, Scalar, Value};
use super::super::names::Source;
use super::super::parser;
use super::*;

fn shown(text: &str, style: Style) -> String {
    let file = parser::parse(text).unwrap();
    let sources = [Source {
        path: String::new(),
        file,
    }];
    print(&sources[0].file, &Names::of(&sources), style)
}

fn canonical(text: &str) -> String {
    shown(text, Style::default())
}

fn normalized(text: &str) -> String {
    shown(
        text,
        Style {
            normalize: true,
            ..Style::default()
        },
    )
}

#[test]
fn the_canonical_form_has_the_counterparts_sections() {
    let text = "syntax=\"proto3\"; package a.b; // gone\n import \"z.proto\"; import public \"y.proto\"; import \"x.proto\";
        option java_multiple_files=true; option java_package = 'p';
        enum E { A=0; reserved 5; }
        message M { message N {} string b=2 [json_name='c', deprecated=true]; enum F { B=0; } int32 a=1; oneof o { string s=3; } reserved 9 to max, 7; map<string,N> m=4; }
        service S { rpc R (M) returns (stream M) { option deprecated=true; } }";
    let expected = r#"syntax = "proto3";
package a.b;

import "z.proto";
import "x.proto";
import public "y.proto";

option java_multiple_files = true;
option java_package = "p";

message M {
  reserved 9 to max, 7;

  string b = 2 [
    deprecated = true,
    json_name = "c"
  ];
  int32 a = 1;
  map<string, N> m = 4;

  oneof o {
    string s = 3;
  }

  message N {}
  enum F {
    B = 0;
  }
}
enum E {
  reserved 5;
  A = 0;
}

service S {
  rpc R (M) returns (stream M) {
    option deprecated = true;
  };
}
"#;
    assert_eq!(canonical(text), expected);
}

#[test]
fn a_blank_line_in_a_nested_body_is_indented() {
    let text = "message A { message B { optional int32 a = 1; reserved 2; } }";
    assert_eq!(
        canonical(text),
        "\nmessage A {\n  message B {\n    reserved 2;\n  \n    optional int32 a = 1;\n  }\n}\n"
    );
}

#[test]
fn normalised_is_sorted_resolved_and_merged() {
    let text = r#"syntax = "proto3"; package p;
        import "confluent/meta.proto"; import "a.proto"; import "a.proto";
        message M {
            N n = 2 [(confluent.field_meta).tags = "PII", (confluent.field_meta).doc = "d", deprecated = true];
            string s = 1 [(confluent.field_meta) = { tags: ["x"] tags: "y" }];
            map<string, N> m = 3;
            oneof b { int32 i = 9; int32 h = 8; }
            oneof a { int32 g = 7; }
            reserved 20 to 20, "x", 10 to 12;
            message N { enum E { Z = 0; B = 2; A = 1; } }
        }"#;
    let expected = r#"syntax = "proto3";
package p;

import "a.proto";
import "confluent/meta.proto";

message M {
  reserved 10 to 12;
  reserved 20;
  reserved "x";

  string s = 1 [(confluent.field_meta) = {
    tags: [
      "x",
      "y"
    ]
  }];
  .p.M.N n = 2 [
    (confluent.field_meta) = {
      doc: "d",
      tags: "PII"
    },
    deprecated = true
  ];
  map<string, .p.M.N> m = 3;

  oneof a {
    int32 g = 7;
  }
  oneof b {
    int32 h = 8;
    int32 i = 9;
  }

  message N {
    enum E {
      Z = 0;
      A = 1;
      B = 2;
    }
  }
}
"#;
    assert_eq!(normalized(text), expected);
    assert_eq!(normalized(expected), expected);
}

#[test]
fn a_map_entry_written_out_is_a_map_when_normalised() {
    let text = r#"syntax = "proto3"; message M {
        repeated MEntry m = 1;
        message MEntry { option map_entry = true; string key = 1; int64 value = 2; }
    }"#;
    assert_eq!(
        normalized(text),
        "syntax = \"proto3\";\n\nmessage M {\n  map<string, int64> m = 1;\n}\n"
    );
    assert!(
        canonical(text)
            .contains("  message MEntry {\n    option map_entry = true;\n  \n    string key = 1;")
    );
}

#[test]
fn proto2_keeps_what_only_it_has() {
    let text = r#"syntax = "proto2";
        message M { extensions 100 to 199, 500; optional string s = 1 [default = "a\"b\x01\377"];
            repeated group G = 2 { optional double d = 3 [default = -inf]; } }
        extend M { optional int32 x = 101; } extend .M { optional int32 w = 100; }"#;
    let expected = "syntax = \"proto2\";\n\nmessage M {\n  optional string s = 1 [default = \"a\\\"b\u{1}\\377\"];\n\n  repeated group G = 2 {\n    optional double d = 3 [default = -inf];\n  }\n\n  extensions 100 to 199, 500;\n}\n\nextend M {\n  optional int32 x = 101;\n}\nextend .M {\n  optional int32 w = 100;\n}\n";
    assert_eq!(canonical(text), expected);
    let normal = normalized(text);
    assert!(!normal.contains("syntax"));
    assert!(
        normal.contains("extend .M {\n  optional int32 w = 100;\n  optional int32 x = 101;\n}")
    );
    assert!(normal.contains("  extensions 100 to 199;\n  extensions 500;\n"));
}

#[test]
fn extensions_can_be_left_out() {
    let text = r#"syntax = "proto2"; import "google/protobuf/descriptor.proto";
        extend google.protobuf.FieldOptions { optional string my = 50000; }
        message M { extensions 100; optional string s = 1 [(my) = "x", (confluent.field_meta).tags = "PII", deprecated = true]; }"#;
    let style = Style {
        ignore_extensions: true,
        ..Style::default()
    };
    assert_eq!(
        shown(text, style),
        "syntax = \"proto2\";\n\nimport \"google/protobuf/descriptor.proto\";\n\nmessage M {\n  optional string s = 1 [\n    (confluent.field_meta).tags = \"PII\",\n    deprecated = true\n  ];\n}\n"
    );
}

#[test]
fn numbers_are_plain_when_normalised() {
    let text = "option (x) = { a: 0x10 b: 1.50 c: 1e3 d: -0 e: inf f: -2.5f };";
    let shown = normalized(text);
    for line in [
        "a: 16,",
        "b: 1.5,",
        "c: 1000,",
        "d: 0,",
        "e: inf,",
        "f: -2.5\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_]{0,6}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::Str),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(|number| Value::Number(number.to_string())),
        "[A-Z]{2,5}".prop_map(Value::Word),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Value::List),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

fn options() -> impl Strategy<Value = Vec<OptionDecl>> {
    prop::collection::btree_map((name(), any::<bool>()), value(), 0..3).prop_map(|options| {
        let option = |((name, extension), value)| OptionDecl {
            name: vec![super::super::ast::NamePart { name, extension }],
            value,
            at: Place::default(),
        };
        options.into_iter().map(option).collect()
    })
}

fn field() -> impl Strategy<Value = Field> {
    let kind = prop_oneof![
        Just(FieldType::Scalar(Scalar::Sfixed64)),
        Just(FieldType::Scalar(Scalar::String)),
        Just(FieldType::Map(
            Scalar::Int32,
            Box::new(FieldType::Scalar(Scalar::Bytes))
        )),
        Just(FieldType::Named("Other.Type".to_owned())),
        Just(FieldType::Named(".full.Type".to_owned())),
    ];
    (name(), 1..FIELD_NUMBER_MAX, any::<bool>(), kind, options()).prop_map(
        |(name, number, repeated, kind, options)| Field {
            name,
            number,
            label: (repeated && !matches!(kind, FieldType::Map(..))).then_some(Label::Repeated),
            kind,
            options,
            at: Place::default(),
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let leaf = (name(), options(), prop::collection::vec(field(), 0..5)).prop_map(
        |(name, options, fields)| Message {
            name,
            options,
            fields,
            ..Message::default()
        },
    );
    leaf.prop_recursive(3, 8, 3, |inner| {
        (
            inner.clone(),
            prop::collection::vec(inner, 0..3),
            prop::collection::vec(field(), 1..3),
            prop::collection::vec((name(), any::<i32>()), 1..3),
            1..1000i32,
        )
            .prop_map(|(mut message, nested, members, constants, start)| {
                message.types = nested.into_iter().map(Type::Message).collect();
                message.types.push(Type::Enum(Enum {
                    name: "E".to_owned(),
                    at: Place::default(),
                    visibility: None,
                    options: Vec::new(),
                    constants: constants
                        .into_iter()
                        .map(|(name, number)| Constant {
                            name,
                            number,
                            options: Vec::new(),
                            at: Place::default(),
                        })
                        .collect(),
                    reserved: Vec::new(),
                }));
                let fields = members.into_iter().map(|mut field| {
                    field.label = None;
                    field.kind = FieldType::Scalar(Scalar::Bool);
                    field
                });
                message.oneofs = vec![Oneof {
                    name: "one".to_owned(),
                    options: Vec::new(),
                    fields: fields.collect(),
                    groups: Vec::new(),
                    at: Place::default(),
                }];
                message.reserved = vec![Reserved {
                    spans: vec![Span::Range(start, start + 5), Span::Name("gone".to_owned())],
                    at: Place::default(),
                }];
                message
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_to_what_prints_the_same(messages in prop::collection::vec(message(), 0..4), options in options()) {
        let file = File {
            syntax: Some(Syntax::Proto3),
            package: Some("a.b".to_owned()),
            options,
            types: messages.into_iter().map(Type::Message).collect(),
            ..File::default()
        };
        let names = Names::default();
        let text = print(&file, &names, Style::default());
        let again = parser::parse(&text).map_err(|fault| TestCaseError::fail(format!("{fault:?}\n{text}")))?;
        prop_assert_eq!(&print(&again, &names, Style::default()), &text);
        let style = Style { normalize: true, ..Style::default() };
        let normal = print(&file, &names, style);
        let again = parser::parse(&normal).map_err(|fault| TestCaseError::fail(format!("{fault:?}\n{normal}")))?;
        prop_assert_eq!(print(&again, &names, style), normal);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _outcome = parser::parse(&text).is_ok();
    }

    #[test]
    fn no_tokens_make_the_parser_panic(words in prop::collection::vec(prop_oneof![
        Just("message"), Just("{"), Just("}"), Just("="), Just("1"), Just(";"), Just("["), Just("]"), Just("("), Just(")"),
        Just("a"), Just("."), Just("\"s\""), Just("enum"), Just("oneof"), Just("map"), Just("<"), Just(">"), Just(","),
        Just("reserved"), Just("to"), Just("max"), Just("option"), Just("-"), Just("extend"), Just("group"), Just("optional"),
    ], 0..60)) {
        let text = words.join(" ");
        if let Ok(file) = parser::parse(&text) {
            let names = Names::default();
            let printed = print(&file, &names, Style::default());
            prop_assert!(parser::parse(&printed).is_ok(), "{} printed as {}", text, printed);
        }
    }
}
