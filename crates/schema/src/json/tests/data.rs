//! Values against schemas.

use serde_json::json;

use super::*;

fn violations(schema: &JsonSchema, value: &serde_json::Value) -> Vec<String> {
    match schema.validate(value) {
        Ok(()) => Vec::new(),
        Err(DataError::Violations(violations)) => {
            violations.iter().map(ToString::to_string).collect()
        }
        Err(DataError::Schema(error)) => panic!("{error}"),
    }
}

#[test]
fn a_violation_names_path_and_rule_and_not_the_value() {
    let schema = new(
        r#"{"type":"object","properties":{"age":{"type":"integer","minimum":0},"ssn":{"type":"string","maxLength":3}},"required":["name"]}"#,
    );
    schema.validate(&json!({"name": 1, "age": 3})).unwrap();
    let told = violations(&schema, &json!({"age": -1, "ssn": "123-45"}));
    assert_eq!(told.len(), 3);
    assert!(
        told.iter()
            .any(|one| one.starts_with("#/age: ")
                && one.ends_with("(rule #/properties/age/minimum)")),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|one| one.contains("\"name\" is a required property")),
        "{told:?}"
    );
    assert!(!told.iter().any(|one| one.contains("123-45")), "{told:?}");
}

#[test]
fn every_draft_validates_by_its_own_rules() {
    let exclusive = new(
        r#"{"$schema":"http://json-schema.org/draft-04/schema#","minimum":5,"exclusiveMinimum":true}"#,
    );
    assert_eq!(violations(&exclusive, &json!(5)).len(), 1);
    let tuple = new(r#"{"items":[{"type":"string"}],"additionalItems":false}"#);
    assert_eq!(violations(&tuple, &json!(["a", 1])).len(), 1);
    let prefix = new(
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"string"}],"items":false}"#,
    );
    assert_eq!(violations(&prefix, &json!(["a", 1])).len(), 1);
    prefix.validate(&json!(["a"])).unwrap();
    let unevaluated = new(
        r#"{"$schema":"https://json-schema.org/draft/2019-09/schema","allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}"#,
    );
    unevaluated.validate(&json!({"a": 1})).unwrap();
    assert_eq!(violations(&unevaluated, &json!({"b": 1})).len(), 1);
}

#[test]
fn references_are_followed() {
    let schema = with(
        r#"{"properties":{"home":{"$ref":"my address.json#/definitions/A b"}}}"#,
        &[("my address.json", r#"{"definitions":{"A b":{"required":["zip"],"properties":{"zip":{"type":"string"}}}}}"#)],
    )
    .unwrap();
    schema.validate(&json!({"home": {"zip": "1"}})).unwrap();
    assert_eq!(violations(&schema, &json!({"home": {}})).len(), 1);
}

#[test]
fn a_pattern_of_ecma_is_matched_and_one_of_nobody_is_left_out() {
    let ahead = new(r#"{"pattern":"^(?!foo)"}"#);
    ahead.validate(&json!("bar")).unwrap();
    assert_eq!(violations(&ahead, &json!("foobar")).len(), 1);
    let nobodys =
        new(r#"{"pattern":"[","maxLength":2,"patternProperties":{"(":{"type":"string"}}}"#);
    nobodys.validate(&json!("ab")).unwrap();
    assert_eq!(violations(&nobodys, &json!("abc")).len(), 1);
}

#[test]
fn a_recursive_schema_follows_the_value() {
    let tree = new(
        r##"{"type":"object","properties":{"value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["value"]}"##,
    );
    tree.validate(&json!({"value": 1, "children": [{"value": 2, "children": []}]}))
        .unwrap();
    assert_eq!(
        violations(
            &tree,
            &json!({"value": 1, "children": [{"children": [{"value": "x"}]}]})
        )
        .len(),
        2
    );
}
