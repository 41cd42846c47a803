//! What is proposed for a schema that may not follow; and that a proposal always passes.

use serde_json::{Value, json};

use super::*;
use crate::compatibility::CompatibilityLevel;
use crate::propose::obstacles;

fn may_follow(new: &JsonSchema, old: &JsonSchema, level: CompatibilityLevel) -> bool {
    obstacles(new, &[old], level, CompatibilityPolicy::Strict).is_some_and(|left| left.is_empty())
}

fn proposed(new: &Value, old: &Value, level: CompatibilityLevel) -> (Value, Vec<String>) {
    let (new, old) = (super::new(&new.to_string()), super::new(&old.to_string()));
    let policy = CompatibilityPolicy::Strict;
    let proposal = new.propose(&[&old], level, policy).unwrap();
    assert!(
        may_follow(&super::new(&proposal.schema), &old, level),
        "{proposal:?}"
    );
    let said = proposal
        .alterations
        .iter()
        .map(|alteration| format!("{}: {}", alteration.path, alteration.what))
        .collect();
    (serde_json::from_str(&proposal.schema).unwrap(), said)
}

#[test]
fn what_may_follow_is_left_alone() {
    let old = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false});
    let new = json!({"type": "object", "properties": {"a": {"type": "number"}}, "additionalProperties": false});
    let level = CompatibilityLevel::Backward;
    assert_eq!(proposed(&new, &old, level), (new.clone(), vec![]));
}

#[test]
fn the_nearest_change_is_proposed() {
    use CompatibilityLevel::{Backward, Forward, Full};
    let object = |properties: Value, required: Value| {
        json!({"type": "object", "properties": properties, "required": required,
            "additionalProperties": false})
    };
    let integer = || json!({"type": "integer"});
    let string = || json!({"type": "string"});
    for (level, new, old, expected, said) in [
        (
            Backward,
            object(json!({"a": integer(), "b": string()}), json!(["a", "b"])),
            object(json!({"a": integer()}), json!(["a"])),
            object(json!({"a": integer(), "b": string()}), json!(["a"])),
            "#/properties/b: left it out of required",
        ),
        (
            Backward,
            object(json!({}), json!([])),
            object(json!({"a": integer()}), json!([])),
            object(json!({"a": integer()}), json!([])),
            "#/properties/a: kept what was there before",
        ),
        (
            Backward,
            object(json!({"a": string()}), json!([])),
            object(json!({"a": integer()}), json!([])),
            object(json!({"a": {"anyOf": [integer(), string()]}}), json!([])),
            "#/properties/a: allowed what was before as well",
        ),
        (
            Full,
            object(json!({"a": string()}), json!([])),
            object(json!({"a": integer()}), json!([])),
            object(json!({"a": integer()}), json!([])),
            "#/properties/a: kept what was there before",
        ),
        (
            Backward,
            json!({"type": "object", "properties": {"b": {"type": "string", "title": "B"}}}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"b": {"title": "B"}}}),
            "#/properties/b: let it hold any value",
        ),
        (
            Backward,
            json!({"$ref": "#/definitions/A", "definitions": {"A": {"type": "string", "maxLength": 3}}}),
            json!({"$ref": "#/definitions/A", "definitions": {"A": {"type": "string", "maxLength": 5}}}),
            json!({"$ref": "#/definitions/A", "definitions": {"A": {"type": "string", "maxLength": 5}}}),
            "#/maxLength: kept what was there before",
        ),
        (
            Forward,
            json!({"enum": ["A", "B"]}),
            json!({"enum": ["A"]}),
            json!({"enum": ["A"]}),
            "#/enum: kept what was there before",
        ),
    ] {
        let (schema, told) = proposed(&new, &old, level);
        assert_eq!(
            (schema, told),
            (expected, vec![said.to_owned()]),
            "{new} after {old}"
        );
    }
}
