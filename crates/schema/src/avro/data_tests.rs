//! Data: what is read, refused and resolved, case by case; and against another implementation for any schema.

use apache_avro::types::Value as Theirs;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::model::{Kind, Primitive, TypeId};
use super::tests::{build, parse, parse_new};
use super::*;

const ORDER: &str = r#"{"type":"record","name":"a.Order","fields":[
    {"name":"id","type":"long"},
    {"name":"note","type":["null","string"],"default":null},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["NEW","OLD"]}},
    {"name":"hash","type":{"type":"fixed","name":"Hash","size":2}},
    {"name":"raw","type":"bytes"},
    {"name":"rate","type":"float"},
    {"name":"tags","type":{"type":"array","items":"string"}},
    {"name":"more","type":{"type":"map","values":["int","a.Kind"]}}
]}"#;

fn order() -> Json {
    json!({"id": 1, "note": {"string": "hi"}, "kind": "OLD", "hash": "\u{0}\u{ff}", "raw": "é", "rate": 0.1,
        "tags": ["a", "b"], "more": {"x": {"int": -1}, "y": {"a.Kind": "NEW"}}})
}

#[test]
fn without_a_name_a_value_is_of_the_first_branch_that_takes_it() {
    let schema = parse(
        r#"["null","int",{"type":"record","name":"R","fields":[{"name":"next","type":["null","R","string"]}]}]"#,
    );
    let read = |json| schema.value_from_plain_json(&json);
    let names = |json: serde_json::Value| schema.value_to_json(&read(json).unwrap()).unwrap();
    assert_eq!(names(json!(null)), json!(null));
    assert_eq!(names(json!(1)), json!({"int": 1}));
    let nested = json!({"next": {"next": "x"}});
    let named = json!({"R": {"next": {"R": {"next": {"string": "x"}}}}});
    assert_eq!(names(nested), named);
    assert_eq!(names(named.clone()), named);
    let error = read(json!({"next": {"next": 1.5}})).unwrap_err();
    assert!(error.to_string().contains("no branch"), "{error}");
}

#[test]
fn json_becomes_the_bytes_of_the_specification_and_back() {
    let schema = parse(ORDER);
    let value = schema.value_from_json(&order()).unwrap();
    let bytes = schema.encode(&value).unwrap();
    let mut expected = vec![2, 2, 4, b'h', b'i', 2, 0, 0xff, 2, 0xe9];
    expected.extend_from_slice(&0.1_f32.to_le_bytes());
    expected.extend_from_slice(&[4, 2, b'a', 2, b'b', 0]);
    expected.extend_from_slice(&[4, 2, b'x', 0, 1, 2, b'y', 2, 0, 0]);
    assert_eq!(bytes, expected);
    assert_eq!(schema.decode(&bytes).unwrap(), value);
    assert_eq!(schema.value_to_json(&value).unwrap(), order());
    let plain = schema.value_to_plain_json(&value).unwrap();
    assert_eq!(schema.value_from_plain_json(&plain).unwrap(), value);
    assert_eq!(schema.value_from_plain_json(&order()).unwrap(), value);
    assert_eq!(
        (&plain["note"], &plain["more"]["x"]),
        (&json!("hi"), &json!(-1))
    );
    assert_eq!(value.get("note").and_then(Value::as_str), Some("hi"));
    assert_eq!(
        value
            .get("more")
            .and_then(|more| more.get("x"))
            .and_then(Value::as_i64),
        Some(-1)
    );
}

#[test]
fn json_that_does_not_fit_is_told_by_path() {
    let schema = parse(ORDER);
    for (path, json, told) in [
        ("id", json!("1"), "at /id: Expected long. Got \"1\""),
        ("id", json!(1.5), "at /id: Expected long"),
        ("note", json!("hi"), "at /note: Expected start-union"),
        (
            "note",
            json!({"int": 1}),
            "at /note: Unknown union branch int; the union has [null, string]",
        ),
        ("kind", json!("ANY"), "at /kind: Unknown symbol in enum ANY"),
        (
            "hash",
            json!("a"),
            "at /hash: Expected fixed length 2, but got 1",
        ),
        ("raw", json!("\u{100}"), "at /raw: bytes are a string"),
        (
            "tags",
            json!(["a", 1]),
            "at /tags/1: Expected string. Got 1",
        ),
        (
            "more",
            json!({"x": {"a.Kind": 1}}),
            "at /more/x/a.Kind: Expected a.Kind",
        ),
        ("extra", json!(1), "at /: Unknown fields: [extra]"),
    ] {
        let mut data = order();
        data[path] = json;
        let error = schema.value_from_json(&data).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
    let mut data = order();
    data.as_object_mut().unwrap().remove("note");
    let error = schema.value_from_json(&data).unwrap_err().to_string();
    assert_eq!(error, "at /: Expected field name not found: note");
}

#[test]
fn numbers_that_json_does_not_have_are_strings() {
    let schema = parse(r#""double""#);
    for text in ["NaN", "Infinity", "-Infinity"] {
        let value = schema.value_from_json(&json!(text)).unwrap();
        assert_eq!(schema.value_to_json(&value).unwrap(), json!(text));
    }
    assert!(schema.value_from_json(&json!("1")).is_err());
}

/// What `reader` makes of `json` that `writer` wrote.
fn resolve(reader: &str, writer: &str, json: &Json) -> Result<Json, String> {
    let (reader, writer) = (parse(reader), parse(writer));
    let bytes = writer
        .encode(&writer.value_from_json(json).unwrap())
        .unwrap();
    let value = reader
        .decode_from(&writer, &bytes)
        .map_err(|error| error.to_string())?;
    Ok(reader.value_to_json(&value).unwrap())
}

#[test]
fn data_is_resolved_to_the_readers_schema() {
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    for (reader, writer, data, result) in [
        (r#""double""#.to_owned(), r#""int""#.to_owned(), json!(3), json!(3.0)),
        (r#""string""#.to_owned(), r#""bytes""#.to_owned(), json!("a"), json!("a")),
        (r#"["null","long"]"#.to_owned(), r#""int""#.to_owned(), json!(3), json!({"long": 3})),
        (r#"["double","int"]"#.to_owned(), r#""int""#.to_owned(), json!(3), json!({"int": 3})),
        (r#""int""#.to_owned(), r#"["null","int"]"#.to_owned(), json!({"int": 3}), json!(3)),
        (
            record(r#"{"name":"b","type":"long","aliases":["a"]},{"name":"c","type":{"type":"array","items":["null","int"]},"default":[1,null]}"#),
            record(r#"{"name":"x","type":{"type":"map","values":"string"}},{"name":"a","type":"int"}"#),
            json!({"x": {"k": "v"}, "a": 7}),
            json!({"b": 7, "c": [{"int": 1}, null]}),
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","Z"],"default":"Z"}"#.to_owned(),
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#.to_owned(),
            json!("B"),
            json!("Z"),
        ),
        (
            r#"["null",{"type":"record","name":"n.A","fields":[]},{"type":"record","name":"m.A","fields":[]}]"#.to_owned(),
            r#"{"type":"record","name":"m.A","fields":[{"name":"x","type":"int"}]}"#.to_owned(),
            json!({"x": 1}),
            json!({"m.A": {}}),
        ),
    ] {
        assert_eq!(resolve(&reader, &writer, &data), Ok(result), "{reader} {writer}");
    }
    for (reader, writer, data, told) in [
        (
            r#""int""#,
            r#""long""#,
            json!(3),
            "at /: the reader's schema cannot take long as int",
        ),
        (r#""int""#, r#"["int","null"]"#, json!(null), "null as int"),
        (
            r#"["null","int"]"#,
            r#""string""#,
            json!("a"),
            "no branch of the union reads it",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"]}"#,
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            json!("B"),
            "the symbol B",
        ),
    ] {
        let error = resolve(reader, writer, &data).unwrap_err();
        let is_told =
            error.contains(told) || told.contains("take 3") && error.contains("cannot take");
        assert!(is_told, "{error}");
    }
    let error = resolve(
        &record(r#"{"name":"a","type":"int"}"#),
        &record(""),
        &json!({}),
    );
    assert!(
        error
            .unwrap_err()
            .contains("without the field a, which has no default")
    );
}

#[test]
fn hostile_bytes_end_in_an_error() {
    let nulls = parse(r#"{"type":"array","items":"null"}"#);
    // A block of 2^62 nulls.
    let many = [
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0,
    ];
    assert!(matches!(
        nulls.decode(&many),
        Err(DataError::TooComplex { .. })
    ));
    let text = parse(r#""string""#);
    for bytes in [
        &[][..],
        &[0xff],
        &[0x80; 11],
        &[1],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[2, 0xff],
        &[2, b'a', b'b'],
    ] {
        assert!(
            matches!(text.decode(bytes), Err(DataError::Bytes { .. })),
            "{bytes:?}"
        );
    }
    let list =
        parse(r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#);
    assert!(matches!(
        list.decode(&[2; 100_000]),
        Err(DataError::TooComplex { .. })
    ));
    // Defaults that have each other, twice each.
    let circle = parse(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"R","default":{}},{"name":"b","type":"R","default":{}}]}"#,
    );
    let empty = parse(r#"{"type":"record","name":"R","fields":[]}"#);
    assert!(matches!(
        circle.decode_from(&empty, &[]),
        Err(DataError::TooComplex { .. })
    ));
}

#[test]
fn rules_see_fields_with_their_tags_and_change_them() {
    let schema = parse(
        r#"{"type":"record","name":"a.R","fields":[
            {"name":"ssn","type":["null","string"],"confluent:tags":["PII"]},
            {"name":"list","type":{"type":"array","items":"string"}},
            {"name":"in","type":{"type":"record","name":"I","fields":[{"name":"n","type":"int"}]}}
        ]}"#,
    );
    let data = json!({"ssn": {"string": "1"}, "list": ["a"], "in": {"n": 4}});
    let value = schema.value_from_json(&data).unwrap();
    let mut seen = Vec::new();
    let changed = schema.transform(value.clone(), &mut |field: &FieldContext, value| {
        let tags: Vec<&str> = field.tags.iter().map(String::as_str).collect();
        seen.push(format!(
            "{} {} {tags:?}",
            field.full_name,
            field.field_type.name()
        ));
        Ok::<_, String>(match value {
            Value::String(text) => Value::String(format!("<{text}>")),
            other => other,
        })
    });
    let changed = schema.value_to_json(&changed.unwrap()).unwrap();
    assert_eq!(
        changed,
        json!({"ssn": {"string": "<1>"}, "list": ["<a>"], "in": {"n": 4}})
    );
    assert_eq!(
        seen,
        [
            "a.R.ssn STRING [\"PII\"]",
            "a.R.list STRING []",
            "a.I.n INT []"
        ]
    );
    // A value that fits another branch goes there.
    let erased = schema.transform(value.clone(), &mut |field: &FieldContext, value| {
        Ok::<_, String>(if field.tags.is_empty() {
            value
        } else {
            Value::Null
        })
    });
    assert_eq!(
        schema.value_to_json(&erased.unwrap()).unwrap()["ssn"],
        json!(null)
    );
    let refused = schema.transform(value, &mut |field: &FieldContext, _| {
        Err(field.name.clone())
    });
    assert_eq!(refused, Err("ssn".to_owned()));
}

/// Some value of a type; none where only endless ones are.
fn sample(
    schema: &AvroSchema,
    id: TypeId,
    choices: &mut impl Iterator<Item = u8>,
    depth: usize,
) -> Option<Value> {
    if depth > 8 {
        return None;
    }
    let choice = choices.next().unwrap_or(0);
    let number = i32::from(choice)
        * if choice.is_multiple_of(2) {
            1
        } else {
            -8_000_000
        };
    let depth = depth + 1;
    Some(match &schema.model.get(id).kind {
        Kind::Primitive(primitive) => match primitive {
            Primitive::Null => Value::Null,
            Primitive::Boolean => Value::Boolean(choice.is_multiple_of(2)),
            Primitive::Int => Value::Int(number),
            Primitive::Long => Value::Long(i64::from(number) * 1_000_000_007),
            Primitive::Float => Value::Float(f32::from(choice) / 3.0),
            Primitive::Double => Value::Double(f64::from(number) / 7.0),
            Primitive::Bytes => Value::Bytes(vec![choice; usize::from(choice % 5)]),
            Primitive::String => Value::String("é".repeat(usize::from(choice % 4))),
        },
        Kind::Enum(enumeration) => {
            let at = usize::from(choice) % enumeration.symbols.len();
            Value::Enum(enumeration.symbols[at].clone())
        }
        Kind::Fixed(fixed) => Value::Fixed(vec![choice; fixed.size as usize]),
        Kind::Array(inner) => Value::Array(
            (0..choice % 3)
                .map(|_| sample(schema, *inner, choices, depth))
                .collect::<Option<_>>()?,
        ),
        // One entry at most: the other implementation does not keep the order.
        Kind::Map(inner) => Value::Map(
            (0..choice % 2)
                .map(|n| Some((format!("k{n}"), sample(schema, *inner, choices, depth)?)))
                .collect::<Option<_>>()?,
        ),
        Kind::Union(branches) => {
            let at = usize::from(choice) % branches.len();
            Value::Union(at, Box::new(sample(schema, branches[at], choices, depth)?))
        }
        Kind::Record(record) => Value::Record(
            record
                .fields
                .iter()
                .map(|field| {
                    let value = sample(schema, field.type_id, choices, depth)?;
                    Some((field.name.clone(), value))
                })
                .collect::<Option<_>>()?,
        ),
        Kind::Forward => return None,
    })
}

/// The schema as a later version might have it; often one that can read it.
pub(super) fn evolve(json: &mut Json, choices: &mut impl Iterator<Item = u8>) {
    let choice = choices.next().unwrap_or(0);
    match json {
        Json::String(name) if choice.is_multiple_of(3) => {
            let promoted = match name.as_str() {
                "int" => "long",
                "long" => "double",
                "float" => "double",
                "string" => "bytes",
                "bytes" => "string",
                _ => return,
            };
            *json = json!(promoted);
        }
        Json::String(name) if choice % 3 == 1 && name != "null" => *json = json!(["null", name]),
        Json::Array(branches) => {
            for branch in branches.iter_mut().filter(|branch| branch.is_object()) {
                evolve(branch, choices);
            }
            if choice.is_multiple_of(4) && !branches.contains(&json!("boolean")) {
                branches.insert(0, json!("boolean"));
            }
        }
        Json::Object(map) => {
            for key in ["items", "values"] {
                if let Some(inner) = map.get_mut(key) {
                    evolve(inner, choices);
                }
            }
            if let Some(Json::Array(symbols)) = map.get_mut("symbols")
                && choice.is_multiple_of(2)
            {
                symbols.remove(1);
            }
            if let Some(Json::Array(fields)) = map.get_mut("fields") {
                for field in fields.iter_mut() {
                    match choices.next().unwrap_or(0) % 6 {
                        0 => {
                            let old = field["name"].clone();
                            field["name"] = json!(format!("new_{}", old.as_str().unwrap()));
                            field["aliases"] = json!([old]);
                        }
                        1..=3 => {
                            evolve(&mut field["type"], choices);
                            field.as_object_mut().unwrap().remove("default");
                        }
                        _ => {}
                    }
                }
                if choice.is_multiple_of(5) {
                    fields.pop();
                }
                if choice.is_multiple_of(3) {
                    fields.insert(
                        0,
                        json!({"name": "added", "type": ["null", "string"], "default": null}),
                    );
                }
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn data_comes_back_from_bytes_and_json_and_another_implementation_reads_it(
        choices in prop::collection::vec(any::<u8>(), 0..60),
        data in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let text = build(&mut choices.into_iter(), 0, &mut Vec::new()).to_string();
        let schema = parse_new(&text).unwrap();
        let Some(value) = sample(&schema, schema.model.root, &mut data.into_iter(), 0) else {
            return Ok(());
        };
        let bytes = schema.encode(&value).unwrap();
        prop_assert_eq!(&schema.decode(&bytes).unwrap(), &value);
        prop_assert_eq!(&schema.decode_from(&schema, &bytes).unwrap(), &value);
        let json = schema.value_to_json(&value).unwrap();
        prop_assert_eq!(&schema.value_from_json(&json).unwrap(), &value);
        if let Ok(theirs) = apache_avro::Schema::parse_str(&text) {
            let read = apache_avro::from_avro_datum(&theirs, &mut &bytes[..], None);
            match read.and_then(|read| apache_avro::to_avro_datum(&theirs, read)) {
                Ok(written) => prop_assert_eq!(written, bytes),
                // It takes no bytes for no decimal, which they are not.
                Err(error) => prop_assert!(error.to_string().contains("decimal"), "{}", error),
            }
        }
    }

    #[test]
    fn what_a_check_lets_pass_is_decoded(
        choices in prop::collection::vec(any::<u8>(), 0..60),
        changes in prop::collection::vec(any::<u8>(), 0..30),
        data in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut json = build(&mut choices.into_iter(), 0, &mut Vec::new());
        let writer = parse(&json.to_string());
        evolve(&mut json, &mut changes.into_iter());
        let Ok(reader) = AvroSchema::parse(&json.to_string(), &[], ParseOptions::default()) else {
            return Ok(());
        };
        let Ok(found) = reader.reading(&writer, CompatibilityPolicy::Strict) else {
            return Ok(());
        };
        let Some(value) = sample(&writer, writer.model.root, &mut data.into_iter(), 0) else {
            return Ok(());
        };
        let bytes = writer.encode(&value).unwrap();
        let result = reader.decode_from(&writer, &bytes);
        if !found.is_empty() {
            // It may still be readable, but never silently wrong: then the value is one of the reader's.
            if let Ok(value) = result {
                prop_assert!(reader.encode(&value).is_ok());
            }
            return Ok(());
        }
        // Bytes need not be text, which no check of schemas can know.
        let value = match result {
            Err(DataError::Unresolved { what, .. }) if what.contains("not UTF-8") => return Ok(()),
            other => other.map_err(|error| TestCaseError::fail(error.to_string()))?,
        };
        let ours = reader.encode(&value).unwrap();
        let theirs = (
            apache_avro::Schema::parse_str(&writer.canonical()),
            apache_avro::Schema::parse_str(&reader.canonical()),
        );
        if let (Ok(wrote), Ok(reads)) = theirs
            && let Ok(value) = apache_avro::from_avro_datum(&wrote, &mut &bytes[..], Some(&reads))
            && !has_first_fit(&value)
            // It does not know the aliases of fields that have defaults.
            && !reader.canonical().contains("new_")
            && let Ok(theirs) = apache_avro::to_avro_datum(&reads, value)
        {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn no_bytes_panic(choices in prop::collection::vec(any::<u8>(), 0..40), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = build(&mut choices.into_iter(), 0, &mut Vec::new()).to_string();
        let schema = parse(&text);
        if let Ok(value) = schema.decode(&bytes) {
            prop_assert!(schema.encode(&value).is_ok());
        }
    }
}

/// Whether a value has a union in it: the other implementation takes the first branch that fits, not the best.
fn has_first_fit(value: &Theirs) -> bool {
    match value {
        Theirs::Union(..) => true,
        Theirs::Array(items) => items.iter().any(has_first_fit),
        Theirs::Map(map) => map.values().any(has_first_fit),
        Theirs::Record(fields) => fields.iter().any(|(_, value)| has_first_fit(value)),
        _ => false,
    }
}
