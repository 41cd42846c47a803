//! What Java prints, refuses and compares, case by case; and what holds of any schema.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

pub(super) fn parse(text: &str) -> AvroSchema {
    AvroSchema::parse(text, &[], ParseOptions::default())
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(super) fn parse_new(text: &str) -> Result<AvroSchema, SchemaError> {
    AvroSchema::parse(text, &[], ParseOptions { validate_new: true })
}

fn reference(name: &str, schema: &str) -> ResolvedReference {
    ResolvedReference {
        name: name.to_owned(),
        schema: schema.to_owned(),
    }
}

/// What reading `writer` with `reader` says, as `RULE path`.
fn reading(reader: &str, writer: &str) -> Vec<String> {
    parse(reader)
        .reading(&parse(writer), CompatibilityPolicy::Strict)
        .unwrap()
        .iter()
        .map(|found| format!("{} {}", found.rule, found.path))
        .collect()
}

#[test]
fn the_canonical_text_is_what_java_prints() {
    for (text, canonical) in [
        (r#" "string" "#, r#""string""#),
        (r#"{"type":"string"}"#, r#""string""#),
        (
            r#"{"type":"string", "x":1, "logicalType":"uuid", "doc":"gone"}"#,
            r#"{"type":"string","x":1,"logicalType":"uuid"}"#,
        ),
        (
            r#"{"items":"int","type":"array","k":[1.0,{"b":1e9}]}"#,
            r#"{"type":"array","items":"int","k":[1.0,{"b":1.0E9}]}"#,
        ),
        (
            r#"{"name":"a.b.R","fields":[{"default":null,"name":"f","type":["null","a.b.E"],"order":"IGNORE","aliases":["g","g"],"doc":"d","p":true}, {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"],"default":"Y","aliases":["D","c.D"],"doc":""}}],"aliases":["Q"],"q":2,"type":"record"}"#,
            r#"{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"f","type":["null",{"type":"enum","name":"E","doc":"","symbols":["X","Y"],"default":"Y","aliases":["D","c.D"]}],"doc":"d","default":null,"order":"ignore","aliases":["g"],"p":true},{"name":"e","type":"E"}],"q":2,"aliases":["Q"]}"#,
        ),
        (
            r#"{"type":"record","name":"R","namespace":"a","fields":[{"name":"f","type":{"type":"fixed","name":"F","namespace":"","size":4}},{"name":"g","type":"F"},{"name":"r","type":["null","R"]}]}"#,
            r#"{"type":"record","name":"R","namespace":"a","fields":[{"name":"f","type":{"type":"fixed","name":"F","namespace":"","size":4}},{"name":"g","type":"F"},{"name":"r","type":["null","R"]}]}"#,
        ),
        (
            r#"{"type":"error","name":"E","fields":[{"name":"x","type":"float","default":"1.5"}]}"#,
            r#"{"type":"error","name":"E","fields":[{"name":"x","type":"float","default":1.5}]}"#,
        ),
    ] {
        assert_eq!(parse(text).canonical(), canonical, "{text}");
        assert_eq!(parse(canonical).canonical(), canonical);
    }
}

#[test]
fn what_a_reference_defines_is_named_and_in_the_resolved_text_defined() {
    let user = reference(
        "com.User",
        r#"{"type":"record","name":"User","namespace":"com","fields":[{"name":"id","type":{"type":"fixed","name":"Id","size":16}}]}"#,
    );
    let text = r#"{"type":"record","name":"Order","namespace":"com","fields":[{"name":"user","type":"User"}]}"#;
    let order = AvroSchema::parse(text, std::slice::from_ref(&user), ParseOptions::default());
    let order = order.unwrap();
    assert_eq!(order.canonical(), text);
    assert_eq!(order.formatted("").unwrap(), text);
    assert_eq!(order.formatted("whatever").unwrap(), text);
    let resolved = r#"{"type":"record","name":"Order","namespace":"com","fields":[{"name":"user","type":{"type":"record","name":"User","fields":[{"name":"id","type":{"type":"fixed","name":"Id","size":16}}]}}]}"#;
    assert_eq!(order.formatted("resolved").unwrap(), resolved);
    // The same definition twice is one.
    let twice = AvroSchema::parse(resolved, &[user], ParseOptions::default()).unwrap();
    assert_eq!(twice.canonical(), text);
    let missing = AvroSchema::parse(text, &[], ParseOptions::default()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        r#"Avro schema names "com.User" at /fields/0/type, which neither it nor its references define: add a reference whose name is "com.User""#
    );
}

#[test]
fn what_is_no_schema_is_told_by_path_and_rule() {
    for (text, told) in [
        ("{\n\"type\": }", "cannot be parsed at line 2 column 9"),
        ("5", "at /: 5 is no schema"),
        (r#"{"name":"R"}"#, "No type"),
        (r#"{"type":{"type":"string"}}"#, "No type"),
        (r#"{"type":"record","fields":[]}"#, "No name in schema"),
        (r#"{"type":"record","name":"R"}"#, "Record has no fields: R"),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
            "at /fields/1: Duplicate field a in record R",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a-b","type":"int"}]}"#,
            "at /fields/0/name: Illegal character in: a-b",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a"}]}"#,
            "at /fields/0: No field type",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"type":"int"}]}"#,
            "at /fields/0: No field name",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","order":"up"}]}"#,
            "order is",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"strin"}]}"#,
            r#"names "strin" at /fields/0/type"#,
        ),
        (
            r#"{"type":"record","name":"R","aliases":"Q","fields":[]}"#,
            "aliases not an array",
        ),
        (
            r#"{"type":"record","name":"int","fields":[]}"#,
            "named after primitives: int",
        ),
        (r#"{"type":"array"}"#, "No items type"),
        (r#"{"type":"map"}"#, "No values type"),
        (r#"{"type":"enum","name":"E"}"#, "Enum has no symbols"),
        (
            r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
            "at /symbols/1: Duplicate enum symbol: A",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#,
            "The Enum Default: B is not in the enum symbol set: [A]",
        ),
        (r#"{"type":"fixed","name":"F"}"#, "Invalid or no size"),
        (
            r#"{"type":"fixed","name":"F","size":-1}"#,
            "Invalid or no size",
        ),
        (r#"["int","int"]"#, "Duplicate in union: int"),
        (r#"["int",["null"]]"#, "Nested union"),
        (
            r#"[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":2}]"#,
            "at /1: Can't redefine: F",
        ),
    ] {
        let error = AvroSchema::parse(text, &[], ParseOptions::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(told), "{text}\n{error}");
    }
}

#[test]
fn a_new_schema_has_defaults_that_fit_and_a_proper_namespace() {
    let field = |kind: Value, default: Value| {
        json!({"type":"record","name":"R","fields":[{"name":"f","type":kind,"default":default}]})
            .to_string()
    };
    for (kind, default) in [
        (json!("int"), json!(1)),
        (json!("long"), json!(1_i64 << 40)),
        (json!("double"), json!(1)),
        (json!("bytes"), json!("\u{ff}")),
        (json!(["null", "string"]), json!("second branch")),
        (json!({"type":"map","values":"int"}), json!({"a":1})),
        (
            json!({"type":"record","name":"I","fields":[{"name":"x","type":"int","default":3}]}),
            json!({}),
        ),
    ] {
        let text = field(kind, default);
        assert!(parse_new(&text).is_ok(), "{text}");
    }
    for (kind, default) in [
        (json!("int"), json!("1")),
        (json!("int"), json!(1_i64 << 40)),
        (json!("string"), json!(null)),
        (json!(["null", "string"]), json!(1)),
        (json!({"type":"array","items":"int"}), json!([1, "a"])),
        (
            json!({"type":"record","name":"I","fields":[{"name":"x","type":"int"}]}),
            json!({}),
        ),
        (json!(["null", "R"]), json!({})),
    ] {
        let text = field(kind, default);
        let error = parse_new(&text).unwrap_err().to_string();
        assert!(
            error.contains("at /fields/0: Invalid default for field f: "),
            "{error}"
        );
        assert!(AvroSchema::parse(&text, &[], ParseOptions::default()).is_ok());
    }
    let dashed = r#"{"type":"record","name":"R","namespace":"a-b","fields":[]}"#;
    assert!(parse_new(dashed).is_err());
    assert_eq!(parse(dashed).canonical(), dashed);
}

#[test]
fn reading_is_judged_as_java_does() {
    let field = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let a = r#"{"name":"a","type":"int"}"#;
    for (reader, writer, said) in [
        (
            field(a),
            field(""),
            vec!["READER_FIELD_MISSING_DEFAULT_VALUE /fields/0"],
        ),
        (field(""), field(a), vec![]),
        (
            field(r#"{"name":"a","type":"int","default":1}"#),
            field(""),
            vec![],
        ),
        (
            field(r#"{"name":"b","type":"long","aliases":["a"]}"#),
            field(a),
            vec![],
        ),
        (
            field(r#"{"name":"a","type":"string"}"#),
            field(a),
            vec!["TYPE_MISMATCH /fields/0/type"],
        ),
        (
            field(r#"{"name":"a","type":["null","long"]}"#),
            field(a),
            vec![],
        ),
        (
            field(a),
            field(r#"{"name":"a","type":["int","null"]}"#),
            vec!["TYPE_MISMATCH /fields/0/type/1"],
        ),
        (
            field(r#"{"name":"a","type":["null","int"]}"#),
            field(r#"{"name":"a","type":["int","string"]}"#),
            vec!["MISSING_UNION_BRANCH /fields/0/type/1"],
        ),
        (
            field(
                r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["A"],"default":"A"}}"#,
            ),
            field(""),
            vec!["TYPE_MISMATCH /fields/0/type"],
        ),
    ] {
        assert_eq!(reading(&reader, &writer), said, "{reader} {writer}");
    }
    for (reader, writer, said) in [
        (r#""long""#, r#""int""#, vec![]),
        (r#""int""#, r#""long""#, vec!["TYPE_MISMATCH /"]),
        (r#""bytes""#, r#""string""#, vec![]),
        (r#""string""#, r#""bytes""#, vec![]),
        (
            r#"{"type":"enum","name":"E","symbols":["A"]}"#,
            r#"{"type":"enum","name":"E","symbols":["A","C","B"]}"#,
            vec!["MISSING_ENUM_SYMBOLS /symbols"],
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"A"}"#,
            r#"{"type":"enum","name":"E","symbols":["B"]}"#,
            vec![],
        ),
        (
            r#"{"type":"fixed","name":"a.F","size":1}"#,
            r#"{"type":"fixed","name":"b.F","size":2}"#,
            vec!["FIXED_SIZE_MISMATCH /size"],
        ),
        (
            r#"{"type":"fixed","name":"G","size":1}"#,
            r#"{"type":"fixed","name":"F","size":1}"#,
            vec!["NAME_MISMATCH /name"],
        ),
        (
            r#"{"type":"fixed","name":"n.G","size":1,"aliases":["m.F"]}"#,
            r#"{"type":"fixed","name":"m.F","size":1}"#,
            vec![],
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            r#"{"type":"array","items":"string"}"#,
            vec!["TYPE_MISMATCH /items"],
        ),
        (
            r#"{"type":"map","values":"int"}"#,
            r#"{"type":"map","values":"string"}"#,
            vec!["TYPE_MISMATCH /values"],
        ),
    ] {
        assert_eq!(reading(reader, writer), said, "{reader} {writer}");
    }
    let two = r#"{"name":"b","type":"int","aliases":["a"]}"#;
    let both = field(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#);
    let error = parse(&field(two))
        .reading(&parse(&both), CompatibilityPolicy::Strict)
        .unwrap_err();
    assert!(error.to_string().contains("matches multiple fields"));
}

#[test]
fn the_normalised_text_does_not_tell_how_it_was_written() {
    for (text, normalized) in [
        (
            r#"{"type":"record","name":"R","doc":"","aliases":["b","a"],"z":1,"y":{"d":1,"c":2},"fields":[{"name":"f","type":"double","default":1,"order":"ascending","q":1,"p":2,"aliases":["y","x"]}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"f","type":"double","default":1.0,"aliases":["x","y"],"p":2,"q":1}],"y":{"c":2,"d":1},"z":1,"aliases":["a","b"]}"#,
        ),
        (
            r#"{"type":"bytes","scale":2,"precision":4,"a":1,"logicalType":"decimal"}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2,"a":1}"#,
        ),
        (
            r#"{"type":"bytes","scale":0,"precision":4,"a":1,"logicalType":"decimal"}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":4,"a":1,"scale":0}"#,
        ),
        (
            r#"{"type":"string","logicalType":"decimal","a":1}"#,
            r#"{"type":"string","a":1,"logicalType":"decimal"}"#,
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"f","type":["null","float"],"default":null},{"name":"g","type":["float","null"],"default":0.1}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"f","type":["null","float"],"default":null},{"name":"g","type":["float","null"],"default":0.1}]}"#,
        ),
    ] {
        assert_eq!(parse(text).normalized(), normalized);
        assert_eq!(parse(normalized).normalized(), normalized);
    }
}

#[test]
fn tags_are_read_and_changed_by_path() {
    let text = r#"{"type":"record","name":"R","namespace":"a","fields":[{"name":"f","type":"string","confluent:tags":["PII"]},{"name":"g","type":{"type":"record","name":"S","fields":[{"name":"h","type":"int"}]}}],"confluent:tags":["T"]}"#;
    let schema = parse(text);
    let set = |tags: &[&str]| {
        tags.iter()
            .map(|&tag| tag.to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        schema.inline_tags(),
        BTreeMap::from([
            ("a.R".to_owned(), set(&["T"])),
            ("a.R.f".to_owned(), set(&["PII"])),
        ])
    );
    assert_eq!(schema.tagged_types(), set(&["a.R"]));
    let add = BTreeMap::from([
        ("a.R.f".to_owned(), set(&["EMAIL"])),
        ("S.h".to_owned(), set(&["X"])),
    ]);
    let remove = BTreeMap::from([
        ("a.R".to_owned(), set(&["T"])),
        ("a.R.f".to_owned(), set(&["PII"])),
    ]);
    assert_eq!(
        schema.with_tags(&add, &remove).unwrap(),
        r#"{"type":"record","name":"R","namespace":"a","fields":[{"name":"f","type":"string","confluent:tags":["EMAIL"]},{"name":"g","type":{"type":"record","name":"S","fields":[{"name":"h","type":"int","confluent:tags":["X"]}]}}]}"#
    );
    let nowhere = BTreeMap::from([("a.R.x".to_owned(), set(&["X"]))]);
    let error = schema.with_tags(&nowhere, &BTreeMap::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("No matching path 'a.R.x' found in the schema")
    );
}

#[test]
fn a_schema_has_the_name_and_the_fields_of_its_record() {
    let schema = parse(r#"{"type":"record","name":"a.R","fields":[{"name":"x","type":"int"}]}"#);
    assert_eq!(schema.name().as_deref(), Some("a.R"));
    assert_eq!(schema.top_level_fields(), ["x"]);
    let schema = parse(r#"{"type":"enum","name":"E","symbols":[]}"#);
    assert_eq!(schema.name(), None);
    assert!(schema.top_level_fields().is_empty());
}

#[test]
fn hostile_schemas_end_in_an_error() {
    let parse = |text: &str| AvroSchema::parse(text, &[], ParseOptions::default());
    assert!(parse(&"[".repeat(1 << 20)).is_err());
    assert!(matches!(
        parse(&format!(
            "\"{}\"",
            "a".repeat(crate::limits::SCHEMA_BYTES_MAX)
        )),
        Err(SchemaError::TooLarge { .. })
    ));
    // A chain of records, each naming the next before it is defined: flat in the text, deep in meaning.
    let chain: Vec<String> = (0..5_000)
        .map(|n| {
            format!(
                r#"{{"type":"record","name":"R{n}","fields":[{{"name":"f","type":"R{}"}}]}}"#,
                (n + 1) % 5_000
            )
        })
        .collect();
    assert!(matches!(
        parse(&format!("[{}]", chain.join(","))),
        Err(SchemaError::TooComplex { .. })
    ));
    // Many types in few bytes, and many names of one thing.
    let many = vec![r#""int""#; 1_000_000].join(",");
    assert!(matches!(
        parse(&format!("[{many}]")),
        Err(SchemaError::TooComplex { .. })
    ));
    let aliases: Vec<String> = (0..200_000).map(|n| format!("\"a{n}\"")).collect();
    let aliases = aliases.join(",");
    assert!(
        parse(&format!(
            r#"{{"type":"fixed","name":"F","size":1,"aliases":[{aliases}]}}"#
        ))
        .is_ok()
    );
    // A default that leaves all to itself.
    let circle = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"R","default":{}},{"name":"b","type":"R","default":{}}]}"#;
    assert!(parse_new(circle).is_err());
}

#[test]
fn a_comparison_is_bounded_in_depth_and_in_what_it_lists() {
    // Each level twice over, and one thing wrong at the bottom: two to the forty places to tell it.
    let layers = |last: &str| {
        let mut kind = format!("\"{last}\"");
        for n in 0..40 {
            kind = format!(
                r#"{{"type":"record","name":"R{n}","fields":[{{"name":"a","type":{kind}}},{{"name":"b","type":{}}}]}}"#,
                if n == 0 {
                    format!("\"{last}\"")
                } else {
                    format!("\"R{}\"", n - 1)
                }
            );
        }
        kind
    };
    let found = parse(&layers("int"))
        .reading(&parse(&layers("string")), CompatibilityPolicy::Strict)
        .unwrap();
    assert_eq!(found.len(), 1_000);
    // Two circles whose lengths have no divisor in common meet only after their product.
    let circle = |length: usize| {
        let mut kind = "\"R\"".to_owned();
        for _ in 1..length {
            kind = format!(r#"{{"type":"array","items":{kind}}}"#);
        }
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{kind}}}]}}"#)
    };
    let unequal = parse(&circle(150)).reading(&parse(&circle(150)), CompatibilityPolicy::Strict);
    assert_eq!(unequal.unwrap(), []);
}

/// A schema made of choices: the same bytes, the same schema.
pub(super) fn build(
    choices: &mut impl Iterator<Item = u8>,
    depth: usize,
    names: &mut Vec<String>,
) -> Value {
    let primitives = [
        "null", "boolean", "int", "long", "float", "double", "bytes", "string",
    ];
    let choice = choices.next().unwrap_or(0);
    let name = |names: &mut Vec<String>, choice: u8| {
        let space = ["a.", "a.b.", "c."][usize::from(choice) % 3];
        let name = format!("{space}N{}", names.len());
        names.push(name.clone());
        name
    };
    match choice % 16 {
        0..=4 => json!(primitives[usize::from(choice / 16) % 8]),
        5 => json!({"type": "long", "logicalType": "timestamp-millis", "x": [choice]}),
        6 => json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
        7 if depth < 4 => json!({"type": "array", "items": build(choices, depth + 1, names)}),
        8 if depth < 4 => {
            json!({"type": "map", "values": build(choices, depth + 1, names), "k": "v"})
        }
        9 => {
            let name = name(names, choice / 16);
            json!({"type": "enum", "name": name, "symbols": ["A", "B"], "default": "A", "aliases": ["Old", "x.Old"]})
        }
        10 => {
            json!({"type": "fixed", "name": name(names, choice / 16), "size": choice, "doc": "é\n"})
        }
        11 if depth < 4 => {
            let inner = build(choices, depth + 1, names);
            if inner.is_array() || inner == json!("null") {
                inner
            } else {
                json!(["null", inner])
            }
        }
        12 if !names.is_empty() => json!(names[usize::from(choice / 16) % names.len()]),
        13..=15 if depth < 4 => {
            let name = name(names, choice / 16);
            let count = choices.next().unwrap_or(0) % 4;
            let fields: Vec<Value> = (0..count)
                .map(|n| {
                    let kind = build(choices, depth + 1, names);
                    let mut field = json!({"name": format!("f{n}"), "type": kind, "aliases": [format!("o{n}")]});
                    if field["type"] == json!("string") {
                        field["default"] = json!("d");
                    }
                    field
                })
                .collect();
            json!({"type": "record", "name": name, "fields": fields, "doc": "d", "confluent:tags": ["T"]})
        }
        _ => json!("string"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_parsing_loses_nothing_and_a_schema_reads_its_own_data(choices in prop::collection::vec(any::<u8>(), 0..60)) {
        let text = build(&mut choices.into_iter(), 0, &mut Vec::new()).to_string();
        let schema = parse_new(&text).unwrap();
        let canonical = schema.canonical();
        let again = parse_new(&canonical).unwrap();
        prop_assert_eq!(&again.canonical(), &canonical);
        prop_assert_eq!(&again, &schema);
        prop_assert_eq!(&schema.formatted("resolved").unwrap(), &canonical);
        let normalized = schema.normalized();
        prop_assert_eq!(&parse_new(&normalized).unwrap().normalized(), &normalized);
        prop_assert_eq!(schema.reading(&again, CompatibilityPolicy::Strict).unwrap(), vec![]);
        // The text means the same to another implementation.
        let theirs = apache_avro::Schema::parse_str(&text);
        let ours = apache_avro::Schema::parse_str(&canonical);
        if let (Ok(theirs), Ok(ours)) = (theirs, ours) {
            prop_assert_eq!(theirs.canonical_form(), ours.canonical_form());
        }
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,\"a-z0-9 .-]{0,60}") {
        let _ignored = parse_new(&text).is_ok();
    }
}
