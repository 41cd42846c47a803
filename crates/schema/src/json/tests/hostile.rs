//! What a stranger could send: everything ends, soon, as an error or an answer.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// Runs `work`, on a stack as small as a runtime thread's, and fails when it takes too long for a debug build on a
/// machine that others use as well.
fn soon<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let start = Instant::now();
    let result = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
    let took = start.elapsed();
    eprintln!("{what}: {took:?}");
    assert!(took < Duration::from_secs(300), "{what} took {took:?}");
    result
}

/// `levels` definitions, each of which is `keyword` over two references to the next.
fn doubling(keyword: &str, levels: usize, last: &str) -> String {
    let mut definitions: Vec<String> = (0..levels)
        .map(|at| {
            let next = at + 1;
            format!(r##""d{at}":{{"{keyword}":[{{"$ref":"#/definitions/d{next}"}},{{"title":"x","allOf":[{{"$ref":"#/definitions/d{next}"}}]}}]}}"##)
        })
        .collect();
    definitions.push(format!(r#""d{levels}":{last}"#));
    format!(
        r##"{{"$ref":"#/definitions/d0","definitions":{{{}}}}}"##,
        definitions.join(",")
    )
}

#[test]
fn nests_that_double_are_compared_in_polynomial_time() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        soon(keyword, move || {
            let old = new(&doubling(keyword, 100, r#"{"type":"string"}"#));
            let same = new(&doubling(keyword, 100, r#"{"type":"string"}"#));
            let other = new(&doubling(keyword, 100, r#"{"type":"integer"}"#));
            assert!(is_compatible(&old, &same, CompatibilityPolicy::Strict));
            assert!(!is_compatible(&old, &other, CompatibilityPolicy::Strict));
        });
    }
}

#[test]
fn nests_that_double_are_refused_before_data_is_validated() {
    soon("doubling", || {
        let schema = new(&doubling("allOf", 40, r#"{"type":"string"}"#));
        assert!(matches!(
            schema.validate(&json!("a")),
            Err(DataError::Schema(SchemaError::TooComplex { .. }))
        ));
    });
    soon("doubling with the value", || {
        // Each level of the value doubles the work of the one below.
        let schema = new(
            r##"{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}"##,
        );
        let mut value = json!({});
        for _ in 0..60 {
            value = json!({ "a": value });
        }
        assert!(matches!(
            schema.validate(&value),
            Err(DataError::Schema(SchemaError::TooComplex { .. }))
        ));
        schema.validate(&json!({"a": {"a": {}}})).unwrap();
    });
}

#[test]
fn references_in_circles_end() {
    for text in [
        r##"{"$ref":"#"}"##,
        r##"{"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}}}"##,
        r##"{"allOf":[{"$ref":"#"}]}"##,
        r##"{"not":{"$ref":"#"}}"##,
        r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$dynamicRef":"#x","$dynamicAnchor":"x"}"##,
    ] {
        soon(text, move || {
            let (old, same) = (new(text), new(text));
            old.reading(&same, CompatibilityPolicy::Strict).unwrap();
            // There is no right answer; there has to be one.
            old.validate(&json!({"a": 1})).ok();
        });
    }
}

#[test]
fn a_long_chain_of_references_is_followed_or_refused() {
    soon("chain", || {
        let count = 20_000;
        let definitions: Vec<String> = (0..count)
            .map(|at| {
                format!(
                    r##""d{at}":{{"properties":{{"a":{{"$ref":"#/definitions/d{}"}}}}}}"##,
                    (at + 1) % count
                )
            })
            .collect();
        let text = format!(
            r##"{{"$ref":"#/definitions/d0","definitions":{{{}}}}}"##,
            definitions.join(",")
        );
        let (old, same) = (new(&text), new(&text));
        assert!(matches!(
            old.reading(&same, CompatibilityPolicy::Strict),
            Err(SchemaError::TooComplex { .. })
        ));
    });
}

#[test]
fn deep_nesting_is_read_compared_and_validated() {
    soon("deep", || {
        for (open, close) in [
            ("{\"not\":", "}"),
            ("{\"allOf\":[", "]}"),
            ("{\"properties\":{\"a\":", "}}"),
        ] {
            let levels = 490 / open.matches(['{', '[']).count();
            let text = format!("{}{{}}{}", open.repeat(levels), close.repeat(levels));
            let (old, same) = (new(&text), new(&text));
            old.reading(&same, CompatibilityPolicy::Strict).unwrap();
            old.validate(&json!({"a": {"a": 1}})).ok();
            old.inline_tags();
        }
        let text = format!("{}{{}}{}", "{\"not\":".repeat(10_000), "}".repeat(10_000));
        assert!(matches!(
            with(&text, &[]),
            Err(SchemaError::TooComplex { .. })
        ));
    });
}

#[test]
fn definitions_that_all_refer_to_all_are_compared() {
    soon("all to all", || {
        let schema = |changed: &str| {
            let count = 16;
            let union: Vec<String> = (0..count)
                .map(|at| format!(r##"{{"$ref":"#/definitions/d{at}"}}"##))
                .collect();
            let union = format!(r#"{{"oneOf":[{}]}}"#, union.join(","));
            let definitions: Vec<String> = (0..count)
                .map(|at| {
                    let kind = if at == 0 { changed } else { "string" };
                    format!(r#""d{at}":{{"type":"object","properties":{{"k{at}":{{"type":"{kind}"}},"a":{union},"z":{union}}}}}"#)
                })
                .collect();
            new(&format!(
                r#"{{"properties":{{"root":{union}}},"definitions":{{{}}}}}"#,
                definitions.join(",")
            ))
        };
        assert!(is_compatible(
            &schema("string"),
            &schema("string"),
            CompatibilityPolicy::Strict
        ));
        assert!(!is_compatible(
            &schema("string"),
            &schema("integer"),
            CompatibilityPolicy::Strict
        ));
    });
}

#[test]
fn a_text_of_ten_megabytes_is_read_and_compared() {
    soon("10 MB", || {
        let field = |at: usize| {
            format!(
                r#""field{at}":{{"type":"string","description":"{}"}}"#,
                "x".repeat(200)
            )
        };
        let fields: Vec<String> = (0..40_000).map(field).collect();
        let text = format!(
            r#"{{"type":"object","additionalProperties":false,"properties":{{{}}}}}"#,
            fields.join(",")
        );
        assert!(text.len() > 9_000_000);
        let (old, same) = (new(&text), new(&text));
        assert!(is_compatible(&old, &same, CompatibilityPolicy::Strict));
        assert_eq!(old.canonical().len(), text.len());
    });
}

#[test]
fn wide_unions_end() {
    soon("wide", || {
        let union = |from: usize| {
            let members: Vec<String> = (from..from + 3_000)
                .map(|at| {
                    format!(r#"{{"type":"object","properties":{{"p{at}":{{"type":"string"}}}}}}"#)
                })
                .collect();
            new(&format!(r#"{{"oneOf":[{}]}}"#, members.join(",")))
        };
        let result = union(0).reading(&union(1), CompatibilityPolicy::Strict);
        assert!(
            matches!(result, Err(SchemaError::TooComplex { .. })),
            "{result:?}"
        );
    });
}

#[test]
fn regular_expressions_that_explode_do_not() {
    soon("regex", || {
        let text = "a".repeat(2_000);
        for pattern in [
            "^(a+)+$",
            "^(a|a)*b$",
            "(?=(a+)+$)(a+)+b",
            "(a{1000}){1000}",
            "(((((a{100}){100}){100}){100}){100})",
        ] {
            let schema = new(&json!({"type": "string", "pattern": pattern}).to_string());
            schema.validate(&json!(format!("{text}c"))).ok();
            let object =
                new(&json!({"patternProperties": {pattern: {"type": "string"}}}).to_string());
            object.validate(&json!({ text.clone(): 1 })).ok();
            let more = new(&json!({"properties": {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac": {"type": "string"}}, "patternProperties": {pattern: {"type": "string"}}}).to_string());
            more.reading(&object, CompatibilityPolicy::Strict).unwrap();
        }
    });
}

#[test]
fn nothing_is_fetched() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/schema.json", listener.local_addr().unwrap());
    for text in [
        json!({ "$ref": url }),
        json!({ "$schema": url, "type": "string" }),
        json!({ "$id": url, "type": "string", "definitions": { "unused": { "$ref": format!("{url}?2") } } }),
    ] {
        if let Ok(schema) = with(&text.to_string(), &[]) {
            schema.validate(&json!("a")).unwrap();
        }
    }
    assert!(listener.accept().is_err(), "somebody called");
}
