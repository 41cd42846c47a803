//! What holds for any schema: texts survive, verdicts are sound, and do not depend on the way that leads to them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::compatibility::CompatibilityLevel;

/// Values of a small world, so that schemas and values meet.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        (-3_i64..4).prop_map(|value| json!(value)),
        (-3_i64..4).prop_map(|value| json!(0.5 + value as f64)),
        "[ab]{0,3}".prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[xyz]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Schemas of the keywords that the comparison looks at without exceptions: no defaults, no `not`, no `contains`.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!(false)),
        Just(json!({"type": "null"})),
        Just(json!({"type": "boolean"})),
        prop::collection::vec((-2_i64..3).prop_map(|value| json!(value)), 1..3)
            .prop_map(|values| json!({ "enum": values })),
        (
            any::<bool>(),
            prop::option::of(-2_i64..3),
            prop::option::of(-2_i64..3)
        )
            .prop_map(|(is_integer, minimum, maximum)| {
                let name = if is_integer { "integer" } else { "number" };
                limits(
                    json!({ "type": name }),
                    &[("minimum", minimum), ("maximum", maximum)],
                )
            }),
        (prop::option::of(0_i64..3), prop::option::of(0_i64..4)).prop_map(|(min, max)| {
            limits(
                json!({"type": "string"}),
                &[("minLength", min), ("maxLength", max)],
            )
        }),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let rest = prop_oneof![
            Just(None),
            Just(Some(json!(true))),
            Just(Some(json!(false))),
            inner.clone().prop_map(Some),
        ];
        prop_oneof![
            (
                inner.clone(),
                prop::option::of(0_i64..3),
                prop::option::of(0_i64..3)
            )
                .prop_map(|(items, min, max)| {
                    limits(
                        json!({"type": "array", "items": items}),
                        &[("minItems", min), ("maxItems", max)],
                    )
                }),
            (
                prop::collection::btree_map("[xyz]", inner.clone(), 0..3),
                prop::collection::btree_set("[xyz]", 0..2),
                rest,
            )
                .prop_map(|(properties, required, rest)| {
                    // Of a required name that is no property the comparison knows nothing, and it lets a property
                    // that demands nothing come whether it is required or not: the counterpart's exceptions.
                    let required: Vec<&String> = required
                        .iter()
                        .filter(|name| {
                            properties
                                .get(*name)
                                .is_some_and(|inner| *inner != json!(true))
                        })
                        .collect();
                    let mut schema =
                        json!({"type": "object", "properties": properties, "required": required});
                    if let Some(rest) = rest {
                        schema["additionalProperties"] = rest;
                    }
                    schema
                }),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|list| json!({ "anyOf": list })),
            prop::collection::vec(inner, 1..3).prop_map(|list| json!({ "allOf": list })),
        ]
    })
}

fn limits(mut schema: Value, limits: &[(&str, Option<i64>)]) -> Value {
    for (name, limit) in limits {
        if let Some(limit) = limit {
            schema[*name] = json!(limit);
        }
    }
    schema
}

/// Decisions that were drawn before, for code that is no strategy.
struct Choices(Vec<u8>, usize);

impl Choices {
    /// Less than `below`.
    fn next(&mut self, below: usize) -> usize {
        self.1 += 1;
        usize::from(self.0[self.1 % self.0.len()]) % below.max(1)
    }

    fn step(&mut self) -> i64 {
        [-1, 1, 0][self.next(3)]
    }
}

/// A schema and one that differs from it in one place, so that their verdict is not always no.
fn versions() -> impl Strategy<Value = (Value, Value)> {
    (schema(), schema(), prop::collection::vec(any::<u8>(), 24)).prop_map(
        |(old, other, choices)| {
            let mut choices = Choices(choices, 0);
            let mut places = Vec::new();
            subschemas_of(&old, String::new(), &mut places);
            let mut new_schema = old.clone();
            if let Some(inner) = new_schema.pointer_mut(&places[choices.next(places.len())]) {
                change(inner, other, &mut choices);
            }
            (old, new_schema)
        },
    )
}

/// Changes one thing about a schema.
fn change(schema: &mut Value, other: Value, choices: &mut Choices) {
    if choices.next(4) == 0 || !schema.is_object() {
        *schema = other;
        return;
    }
    if choices.next(6) == 0 {
        *schema = json!({"anyOf": [schema.clone(), other]});
        return;
    }
    for limit in [
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
    ] {
        if let Some(value) = schema.get(limit).and_then(Value::as_i64) {
            let lowest = if limit.ends_with("imum") { i64::MIN } else { 0 };
            schema[limit] = json!((value + choices.step()).max(lowest));
        }
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        if values.len() > 1 && choices.next(2) == 0 {
            values.remove(0);
        } else {
            values.push(json!(choices.step()));
        }
    }
    if let Some(name) = schema.get("type").and_then(Value::as_str) {
        let swapped = match name {
            "integer" => "number",
            "number" => "integer",
            same => same,
        };
        if choices.next(3) == 0 {
            schema["type"] = json!(swapped);
        }
    }
    if schema.get("properties").is_some() {
        change_object(schema, other, choices);
    }
    for keyword in ["anyOf", "allOf"] {
        if let Some(list) = schema.get_mut(keyword).and_then(Value::as_array_mut) {
            if list.len() > 1 && choices.next(2) == 0 {
                list.remove(0);
            } else {
                list.reverse();
            }
        }
    }
}

fn change_object(schema: &mut Value, other: Value, choices: &mut Choices) {
    let names: Vec<String> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let name = names.get(choices.next(names.len().max(1))).cloned();
    match (choices.next(4), name) {
        (0, Some(name)) if schema["properties"][&name] != json!(true) => {
            schema["required"] = json!([name]);
        }
        (1, Some(name)) => {
            schema["properties"].as_object_mut().unwrap().remove(&name);
            schema["required"] = json!([]);
        }
        (2, _) => schema["properties"]["w"] = other,
        _ => schema["additionalProperties"] = json!(choices.next(2) == 0),
    }
}

/// A value that has a good chance to follow the schema.
fn following(schema: &Value, choices: &mut Choices) -> Value {
    let limit = |name: &str| schema.get(name).and_then(Value::as_i64);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values[choices.next(values.len())].clone();
    }
    for keyword in ["anyOf", "allOf"] {
        if let Some(list) = schema.get(keyword).and_then(Value::as_array) {
            return following(&list[choices.next(list.len())], choices);
        }
    }
    let within = |low: Option<i64>, high: Option<i64>, choices: &mut Choices| {
        if choices.next(2) == 0 {
            low.or(high)
        } else {
            high.or(low)
        }
        .unwrap_or(choices.step())
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("null") => json!(null),
        Some("boolean") => json!(choices.next(2) == 0),
        Some("number") if choices.next(3) == 0 => json!(0.5),
        Some("integer" | "number") => json!(within(limit("minimum"), limit("maximum"), choices)),
        Some("string") => {
            let length = within(limit("minLength"), limit("maxLength"), choices);
            json!("a".repeat(usize::try_from(length).unwrap_or(0)))
        }
        Some("array") => {
            let length = within(limit("minItems"), limit("maxItems"), choices);
            (0..length)
                .map(|_| following(&schema["items"], choices))
                .collect()
        }
        Some("object") => {
            let mut members = serde_json::Map::new();
            for (name, inner) in schema["properties"].as_object().unwrap() {
                let is_required = schema["required"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(name));
                if is_required || choices.next(2) == 0 {
                    members.insert(name.clone(), following(inner, choices));
                }
            }
            if choices.next(2) == 0 {
                let rest = schema
                    .get("additionalProperties")
                    .cloned()
                    .unwrap_or(json!(true));
                members.insert("w".to_owned(), following(&rest, choices));
            }
            Value::Object(members)
        }
        _ => json!(choices.step()),
    }
}

fn subschemas_of(schema: &Value, pointer: String, places: &mut Vec<String>) {
    for keyword in ["properties", "anyOf", "allOf"] {
        match schema.get(keyword) {
            Some(Value::Object(members)) => {
                for (name, inner) in members {
                    subschemas_of(inner, format!("{pointer}/{keyword}/{name}"), places);
                }
            }
            Some(Value::Array(items)) => {
                for (index, inner) in items.iter().enumerate() {
                    subschemas_of(inner, format!("{pointer}/{keyword}/{index}"), places);
                }
            }
            _ => {}
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(keyword) {
            subschemas_of(inner, format!("{pointer}/{keyword}"), places);
        }
    }
    places.push(pointer);
}

/// A graph of objects that refer to each other: for each the type of its `value` and what its three properties hold.
type Graph = Vec<(bool, [(usize, bool); 3])>;

fn graph() -> impl Strategy<Value = Graph> {
    let edge = || (0_usize..4, any::<bool>());
    let node = (any::<bool>(), [edge(), edge(), edge()]);
    prop::collection::vec(node, 4)
}

/// The graph as a schema; `order` says by which names the properties go, and so in which order they are compared.
fn of_graph(graph: &Graph, changed: usize, order: [usize; 3]) -> JsonSchema {
    let mut definitions = serde_json::Map::new();
    for (at, (is_text, edges)) in graph.iter().enumerate() {
        let kind = if *is_text || at == changed {
            "string"
        } else {
            "integer"
        };
        let mut properties = json!({"value": {"type": kind}});
        for (edge, place) in edges.iter().zip(order) {
            let target = json!({"$ref": format!("#/definitions/n{}", edge.0)});
            properties[format!("p{place}")] = if edge.1 {
                json!({"oneOf": [{"type": "null"}, target]})
            } else {
                target
            };
        }
        definitions.insert(
            format!("n{at}"),
            json!({"type": "object", "properties": properties}),
        );
    }
    let union: Vec<Value> = (0..graph.len())
        .map(|at| json!({"$ref": format!("#/definitions/n{at}")}))
        .collect();
    new(&json!({"oneOf": union, "definitions": definitions}).to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn a_text_is_written_as_it_was_read(value in value()) {
        let text = json!({ "default": value }).to_string();
        let schema = new(&text);
        prop_assert_eq!(schema.canonical(), text);
        prop_assert_eq!(changes(&schema, &new(&schema.normalized())), Vec::<String>::new());
    }

    #[test]
    fn a_schema_is_compatible_with_itself(schema in schema()) {
        let schema = new(&schema.to_string());
        prop_assert!(is_compatible(&schema, &schema.clone(), CompatibilityPolicy::Strict));
    }

    #[test]
    fn what_was_valid_is_valid_under_a_compatible_schema(
        (old_text, new_text) in versions(),
        choices in prop::collection::vec(any::<u8>(), 64),
    ) {
        let (old, new_schema) = (new(&old_text.to_string()), new(&new_text.to_string()));
        if is_compatible(&old, &new_schema, CompatibilityPolicy::Strict) {
            let mut choices = Choices(choices, 0);
            for _ in 0..16 {
                let value = following(&old_text, &mut choices);
                prop_assert!(
                    old.validate(&value).is_err() || new_schema.validate(&value).is_ok(),
                    "{old_text} -> {new_text}: {value}"
                );
            }
        }
    }

    #[test]
    fn a_proposal_passes_the_check(
        (old, new_text) in versions(),
        level in prop::sample::select(&CompatibilityLevel::ALL[..]),
    ) {
        let (old, new_schema) = (new(&old.to_string()), new(&new_text.to_string()));
        let policy = CompatibilityPolicy::Strict;
        let Some(proposal) = new_schema.propose(&[&old], level, policy) else {
            return Err(TestCaseError::fail(format!("{new_schema:?} after {old:?}")));
        };
        let schema = new(&proposal.schema);
        let is_fine = |schema: &JsonSchema| {
            (!level.is_backward() || is_compatible(&old, schema, policy))
                && (!level.is_forward() || is_compatible(schema, &old, policy))
        };
        prop_assert!(is_fine(&schema), "{}", proposal.schema);
        prop_assert_eq!(proposal.alterations.is_empty(), is_fine(&new_schema));
    }

    #[test]
    fn a_verdict_does_not_depend_on_the_order_of_the_comparison(graph in graph(), changed in 0_usize..6) {
        let verdicts: Vec<bool> = [[0, 1, 2], [2, 1, 0], [1, 2, 0]]
            .into_iter()
            .map(|order| {
                let (old, new) = (of_graph(&graph, 9, order), of_graph(&graph, changed, order));
                is_compatible(&old, &new, CompatibilityPolicy::Strict)
            })
            .collect();
        prop_assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
    }
}
