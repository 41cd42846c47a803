//! From one version to the next: what changed, and whether it may.

use super::*;
use crate::json::change::ChangeKind;

/// Old schema, new schema, changes.
type Case = (&'static str, &'static str, &'static [&'static str]);

const DRAFT_2020: &str = "https://json-schema.org/draft/2020-12/schema";

const CASES: &[Case] = &[
    // Whole schemas.
    (r#"{"type":"string"}"#, "{}", &[]),
    (r#"{"type":"string"}"#, "true", &[]),
    ("false", r#"{"type":"string"}"#, &[]),
    ("{}", r#"{"type":"string"}"#, &["TYPE_CHANGED #/"]),
    (
        r#"{"type":"boolean"}"#,
        r#"{"type":"null"}"#,
        &["TYPE_CHANGED #/"],
    ),
    (
        r#"{"type":"integer"}"#,
        r#"{"type":"number"}"#,
        &["TYPE_EXTENDED #/"],
    ),
    (
        r#"{"type":"number"}"#,
        r#"{"type":"integer"}"#,
        &["TYPE_NARROWED #/"],
    ),
    (
        r#"{"type":"string","connect.type":"bytes"}"#,
        r#"{"type":"number","connect.type":"bytes"}"#,
        &[],
    ),
    (
        r#"{"$id":"a","title":"a","description":"a","default":1,"type":"integer"}"#,
        r#"{"$id":"b","title":"b","description":"b","default":2,"type":"integer"}"#,
        &[
            "DEFAULT_CHANGED #/",
            "DESCRIPTION_CHANGED #/",
            "ID_CHANGED #/",
            "TITLE_CHANGED #/",
        ],
    ),
    (
        r#"{"type":"integer","default":1}"#,
        r#"{"type":"integer","default":1.0}"#,
        &[],
    ),
    // Strings and numbers.
    (
        r#"{"type":"string"}"#,
        r#"{"type":"string","minLength":1,"maxLength":2,"pattern":"a"}"#,
        &[
            "MAX_LENGTH_ADDED #/maxLength",
            "MIN_LENGTH_ADDED #/minLength",
            "PATTERN_ADDED #/pattern",
        ],
    ),
    (
        r#"{"maxLength":5}"#,
        r#"{"maxLength":6}"#,
        &["MAX_LENGTH_INCREASED #/maxLength"],
    ),
    (
        r#"{"type":"number","minimum":1,"maximum":9,"exclusiveMinimum":0,"exclusiveMaximum":10}"#,
        r#"{"type":"number","minimum":2,"maximum":8,"exclusiveMinimum":1,"exclusiveMaximum":9}"#,
        &[
            "EXCLUSIVE_MAXIMUM_DECREASED #/exclusiveMaximum",
            "EXCLUSIVE_MINIMUM_INCREASED #/exclusiveMinimum",
            "MAXIMUM_DECREASED #/maximum",
            "MINIMUM_INCREASED #/minimum",
        ],
    ),
    (
        r#"{"type":"number"}"#,
        r#"{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":10,"multipleOf":2}"#,
        &[
            "EXCLUSIVE_MAXIMUM_ADDED #/exclusiveMaximum",
            "EXCLUSIVE_MINIMUM_ADDED #/exclusiveMinimum",
            "MULTIPLE_OF_ADDED #/multipleOf",
        ],
    ),
    (
        r#"{"type":"number","multipleOf":0.1}"#,
        r#"{"type":"number","multipleOf":0.01}"#,
        &["MULTIPLE_OF_REDUCED #/multipleOf"],
    ),
    (
        r#"{"type":"number","multipleOf":0.1}"#,
        r#"{"type":"number","multipleOf":0.5}"#,
        &["MULTIPLE_OF_EXPANDED #/multipleOf"],
    ),
    (
        r#"{"type":"number","multipleOf":2}"#,
        r#"{"type":"number","multipleOf":2.0}"#,
        &[],
    ),
    (
        r#"{"type":"number","multipleOf":2}"#,
        r#"{"type":"number","multipleOf":3}"#,
        &["MULTIPLE_OF_CHANGED #/multipleOf"],
    ),
    (
        r#"{"$schema":"http://json-schema.org/draft-04/schema#","type":"number","maximum":5}"#,
        r#"{"$schema":"http://json-schema.org/draft-04/schema#","type":"number","maximum":5,"exclusiveMaximum":true}"#,
        &["EXCLUSIVE_MAXIMUM_ADDED #/exclusiveMaximum"],
    ),
    // Values.
    (r#"{"enum":[1,2]}"#, r#"{"enum":[2,1.0]}"#, &[]),
    (
        r#"{"enum":[1,2]}"#,
        r#"{"enum":[1]}"#,
        &["ENUM_ARRAY_NARROWED #/enum"],
    ),
    (
        r#"{"const":{"a":1,"b":2}}"#,
        r#"{"const":{"b":2,"a":1}}"#,
        &[],
    ),
    // Objects: open, closed, partially open.
    (
        r#"{"type":"object","properties":{"a":{"type":"string"}}}"#,
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string","default":""},"c":{"type":"string"}},"required":["b","c"]}"#,
        &[
            "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/c",
            "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL #/properties/b",
        ],
    ),
    (
        r#"{"type":"object","additionalProperties":false}"#,
        r#"{"type":"object","properties":{"b":{"type":"string","default":""},"c":{"type":"string"}},"required":["b","c"],"additionalProperties":false}"#,
        &[
            "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/c",
            "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/b",
        ],
    ),
    (
        r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#,
        r#"{"type":"object","additionalProperties":false}"#,
        &["PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/a"],
    ),
    (
        r#"{"properties":{"a":{"type":"string"},"b":{}}}"#,
        r#"{"properties":{"a":{"type":"string","default":"x"},"b":{}},"required":["a","b"]}"#,
        &[
            "DEFAULT_CHANGED #/properties/a",
            "REQUIRED_ATTRIBUTE_ADDED #/required/b",
            "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED #/required/a",
        ],
    ),
    (
        r#"{"additionalProperties":{"type":"integer"}}"#,
        r#"{"additionalProperties":true}"#,
        &["ADDITIONAL_PROPERTIES_EXTENDED #/additionalProperties"],
    ),
    (
        r#"{"dependencies":{"a":["b","c"],"d":["e"],"f":["g"]}}"#,
        r#"{"dependencies":{"a":["b"],"d":["e","x"],"f":["h"]}}"#,
        &[
            "DEPENDENCY_ARRAY_CHANGED #/dependencies/f",
            "DEPENDENCY_ARRAY_EXTENDED #/dependencies/d",
            "DEPENDENCY_ARRAY_NARROWED #/dependencies/a",
        ],
    ),
    (
        "{\"properties\":{}}",
        r#"{"properties":{},"minProperties":1,"maxProperties":2}"#,
        &[
            "MAX_PROPERTIES_ADDED #/maxProperties",
            "MIN_PROPERTIES_ADDED #/minProperties",
        ],
    ),
    // Arrays.
    (
        r#"{"type":"array"}"#,
        r#"{"type":"array","minItems":1,"maxItems":2,"uniqueItems":true,"items":{"type":"string"}}"#,
        &[
            "MAX_ITEMS_ADDED #/maxItems",
            "MIN_ITEMS_ADDED #/minItems",
            "SCHEMA_ADDED #/items",
            "UNIQUE_ITEMS_ADDED #/uniqueItems",
        ],
    ),
    (
        r#"{"items":[{"type":"string"}]}"#,
        r#"{"items":[{"type":"string"},{"type":"string"}]}"#,
        &["ITEM_ADDED_TO_OPEN_CONTENT_MODEL #/items/1"],
    ),
    (
        r#"{"items":[{"type":"string"},{"type":"string"}],"additionalItems":false}"#,
        r#"{"items":[{"type":"string"}],"additionalItems":false}"#,
        &["ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL #/items/1"],
    ),
    (
        r#"{"items":[{}],"additionalItems":true}"#,
        r#"{"items":[{}],"additionalItems":{"type":"string"}}"#,
        &["ADDITIONAL_ITEMS_NARROWED #/additionalItems"],
    ),
    // Combinations.
    (
        r#"{"type":"string"}"#,
        r#"{"type":["string","null"]}"#,
        &["SUM_TYPE_EXTENDED #/"],
    ),
    (
        r#"{"type":["string","null"]}"#,
        r#"{"type":"string"}"#,
        &["TYPE_CHANGED #/"],
    ),
    (
        r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
        r#"{"anyOf":[{"type":"null"}]}"#,
        &["SUM_TYPE_NARROWED #/"],
    ),
    (
        r#"{"allOf":[{"type":"string"}]}"#,
        r#"{"allOf":[{"type":"string"},{"maxLength":3}]}"#,
        &["PRODUCT_TYPE_EXTENDED #/"],
    ),
    (
        r#"{"oneOf":[{"type":"string"},{"type":"number"}]}"#,
        r#"{"allOf":[{"type":"string"},{"type":"number"}]}"#,
        &["COMBINED_TYPE_CHANGED #/"],
    ),
    (
        r#"{"allOf":[{"type":"string"},{"type":"string"}]}"#,
        r#"{"allOf":[{"type":"string"}]}"#,
        &[],
    ),
    (
        r#"{"not":{"type":"integer"}}"#,
        r#"{"not":{"type":"number"}}"#,
        &["NOT_TYPE_EXTENDED #/not"],
    ),
];

const CASES_2020: &[Case] = &[
    (
        r#"{"properties":{},"maxProperties":1}"#,
        r#"{"properties":{}}"#,
        &[],
    ),
    (
        r#"{"properties":{}}"#,
        r#"{"properties":{"a":{}}}"#,
        &["TYPE_CHANGED #/"],
    ),
    (
        r#"{"items":true}"#,
        r#"{"items":false}"#,
        &["ADDITIONAL_ITEMS_REMOVED #/additionalItems"],
    ),
    (
        r#"{"prefixItems":[{"type":"string"}],"items":false}"#,
        r#"{"prefixItems":[{"type":"string"},{"type":"integer"}],"items":false}"#,
        &["ITEM_ADDED_TO_CLOSED_CONTENT_MODEL #/items/1"],
    ),
    (
        r#"{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}"#,
        r#"{"prefixItems":[{"type":"string"},{"type":"number"}],"items":{"type":"integer"}}"#,
        &[
            "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/items/1",
            "TYPE_EXTENDED #/items/1",
        ],
    ),
    (
        r#"{"items":{"type":"integer"}}"#,
        r#"{"items":{"type":"number"}}"#,
        &["TYPE_EXTENDED #/items"],
    ),
    (
        r#"{"dependentRequired":{"a":["b"]},"dependentSchemas":{"c":{"type":"object"}}}"#,
        r#"{"dependentRequired":{"x":["b"]},"dependentSchemas":{"y":{"type":"object"}}}"#,
        &[
            "DEPENDENCY_ARRAY_ADDED #/dependencies/x",
            "DEPENDENCY_ARRAY_REMOVED #/dependencies/a",
            "DEPENDENCY_SCHEMA_ADDED #/dependencies/y",
            "DEPENDENCY_SCHEMA_REMOVED #/dependencies/c",
        ],
    ),
    (
        r#"{"type":"object","properties":{"a":{}},"unevaluatedProperties":false}"#,
        r#"{"type":"object","properties":{"a":{},"b":{"type":"string"}},"unevaluatedProperties":false}"#,
        &["OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/b"],
    ),
    (
        r#"{"type":"object","unevaluatedProperties":false}"#,
        r#"{"type":"object"}"#,
        &["UNEVALUATED_PROPERTIES_ADDED #/unevaluatedProperties"],
    ),
    (
        r#"{"type":"object"}"#,
        r#"{"type":"object","unevaluatedProperties":{"type":"string"}}"#,
        &["UNEVALUATED_PROPERTIES_NARROWED #/unevaluatedProperties"],
    ),
    (
        r#"{"type":"array","unevaluatedItems":{"type":"string"}}"#,
        r#"{"type":"array","unevaluatedItems":false}"#,
        &["UNEVALUATED_ITEMS_REMOVED #/unevaluatedItems"],
    ),
    (
        r#"{"type":"array","unevaluatedItems":{"type":"string"}}"#,
        r#"{"type":"array"}"#,
        &["UNEVALUATED_ITEMS_EXTENDED #/unevaluatedItems"],
    ),
    (
        r#"{"type":"array"}"#,
        r#"{"type":"array","unevaluatedItems":true}"#,
        &[],
    ),
    (
        r#"{"contains":{"type":"string"},"minContains":2,"maxContains":3}"#,
        r#"{"contains":{"type":"string"},"maxContains":2}"#,
        &[
            "MAX_CONTAINS_DECREASED #/maxContains",
            "MIN_CONTAINS_DECREASED #/minContains",
        ],
    ),
    (
        r##"{"$ref":"#/$defs/a","maxLength":3,"$defs":{"a":{"type":"string"}}}"##,
        r##"{"$ref":"#/$defs/a","maxLength":5,"$defs":{"a":{"type":"string"}}}"##,
        &["MAX_LENGTH_INCREASED #/allOf/1/maxLength"],
    ),
];

fn check(old: &str, new_text: &str, expected: &[&str]) {
    assert_eq!(
        changes(&new(old), &new(new_text)),
        expected,
        "{old} -> {new_text}"
    );
}

#[test]
fn changes_are_found_and_named() {
    for (old, new, expected) in CASES {
        check(old, new, expected);
        check(
            old,
            old,
            if old.contains("\"not\"") {
                &["NOT_TYPE_NARROWED #/not"]
            } else {
                &[]
            },
        );
    }
}

#[test]
fn changes_of_2020_12_are_found_and_named() {
    let dialect = |text: &str| text.replacen('{', &format!("{{\"$schema\":\"{DRAFT_2020}\","), 1);
    for (old, new, expected) in CASES_2020 {
        check(&dialect(old), &dialect(new), expected);
    }
}

#[test]
fn drafts_can_be_compared_with_each_other() {
    check(
        r#"{"items":[{"type":"string"}],"additionalItems":false}"#,
        &format!(
            r#"{{"$schema":"{DRAFT_2020}","prefixItems":[{{"type":"string"}}],"items":false}}"#
        ),
        &[],
    );
}

#[test]
fn lenient_lets_optional_properties_come_and_go() {
    let open = new(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#);
    let more =
        new(r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}"#);
    let demanding = new(
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["b"]}"#,
    );
    assert!(!is_compatible(&open, &more, CompatibilityPolicy::Strict));
    assert!(is_compatible(&open, &more, CompatibilityPolicy::Lenient));
    assert!(!is_compatible(&open, &more, CompatibilityPolicy::Logical));
    // The policy holds within combinations as well.
    let within = |schema: &JsonSchema| {
        new(&format!(
            r#"{{"oneOf":[{{"type":"null"}},{}]}}"#,
            schema.canonical()
        ))
    };
    assert!(!is_compatible(
        &within(&open),
        &within(&more),
        CompatibilityPolicy::Strict
    ));
    assert!(is_compatible(
        &within(&open),
        &within(&more),
        CompatibilityPolicy::Lenient
    ));
    assert!(!is_compatible(
        &open,
        &demanding,
        CompatibilityPolicy::Lenient
    ));
    let closed = new(
        r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#,
    );
    let closed_more = new(
        r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"additionalProperties":false}"#,
    );
    assert!(!is_compatible(
        &closed_more,
        &closed,
        CompatibilityPolicy::Strict
    ));
    assert!(is_compatible(
        &closed_more,
        &closed,
        CompatibilityPolicy::Lenient
    ));
}

#[test]
fn what_stands_in_the_way_is_told_with_path_rule_and_remedy() {
    let old = new(
        r#"{"type":"object","properties":{"x":{"type":"string"}},"additionalProperties":false}"#,
    );
    let newer = new(r#"{"type":"object","additionalProperties":false}"#);
    let told = newer.reading(&old, CompatibilityPolicy::Strict).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].rule,
        ChangeKind::PropertyRemovedFromClosedContentModel.name()
    );
    assert_eq!(told[0].path, "#/properties/x");
    assert!(
        told[0]
            .description
            .contains("at path '#/properties/x' in the {writer} schema")
    );
    assert!(
        told[0]
            .remedy
            .starts_with("Keep the property, open the content model")
    );
}

#[test]
fn a_change_deep_in_a_recursive_schema_is_found() {
    let tree = |kind: &str| {
        new(&format!(
            r##"{{"$ref":"#/definitions/node","definitions":{{"node":{{"type":"object","properties":{{"value":{{"type":"{kind}"}},"left":{{"$ref":"#/definitions/node"}},"right":{{"$ref":"#/definitions/node"}}}}}}}}}}"##
        ))
    };
    assert_eq!(
        changes(&tree("string"), &tree("string")),
        Vec::<String>::new()
    );
    assert_eq!(
        changes(&tree("integer"), &tree("string")),
        ["TYPE_CHANGED #/properties/value"]
    );
    assert_eq!(
        changes(&tree("integer"), &tree("number")),
        ["TYPE_EXTENDED #/properties/value"]
    );
}

#[test]
fn an_assumption_that_fails_takes_with_it_what_rested_on_it() {
    // `a` refers to `b`, `b` back to `a`. Reached through `a` first, the pair of `b` is compared under the assumption
    // that the pair of `a` is compatible. It is not, so the union that only needs `b` must not stay compatible.
    let schema = |kind: &str| {
        new(&format!(
            r##"{{"properties":{{"first":{{"oneOf":[{{"$ref":"#/definitions/a"}},{{"type":"null"}}]}},"second":{{"oneOf":[{{"$ref":"#/definitions/b"}},{{"type":"null"}}]}}}},
            "definitions":{{"a":{{"type":"object","properties":{{"b":{{"$ref":"#/definitions/b"}},"value":{{"type":"{kind}"}}}}}},
            "b":{{"type":"object","properties":{{"a":{{"$ref":"#/definitions/a"}}}}}}}}}}"##
        ))
    };
    assert_eq!(
        changes(&schema("string"), &schema("integer")),
        [
            "COMBINED_TYPE_SUBSCHEMAS_CHANGED #/properties/first",
            "COMBINED_TYPE_SUBSCHEMAS_CHANGED #/properties/second",
        ]
    );
    assert_eq!(
        changes(&schema("string"), &schema("string")),
        Vec::<String>::new()
    );
}

#[test]
fn schemas_that_recurse_at_different_lengths_are_compared_to_the_end() {
    let ring = |length: usize, last: &str| {
        let links: Vec<String> = (0..length)
            .map(|at| {
                format!(
                    r##""n{at}":{{"type":"object","properties":{{"next":{{"$ref":"#/definitions/n{}"}},"v":{{"type":"{}"}}}}}}"##,
                    (at + 1) % length,
                    if at == length - 1 { last } else { "string" }
                )
            })
            .collect();
        new(&format!(
            r##"{{"$ref":"#/definitions/n0","definitions":{{{}}}}}"##,
            links.join(",")
        ))
    };
    assert!(is_compatible(
        &ring(3, "string"),
        &ring(5, "string"),
        CompatibilityPolicy::Strict
    ));
    assert!(!is_compatible(
        &ring(3, "string"),
        &ring(5, "integer"),
        CompatibilityPolicy::Strict
    ));
}

#[test]
fn five_hundred_fields_against_a_hundred_versions() {
    let schema = |kind: &str| {
        let fields: Vec<String> = (0..500)
            .map(|at| format!(r#""field{at}":{{"type":"{kind}","description":"number {at}","minLength":{at}}}"#))
            .collect();
        new(&format!(
            r#"{{"type":"object","additionalProperties":false,"properties":{{{}}}}}"#,
            fields.join(",")
        ))
    };
    let versions: Vec<JsonSchema> = (0..100).map(|_| schema("string")).collect();
    let newest = schema("string");
    newest
        .reading(&versions[0], CompatibilityPolicy::Strict)
        .unwrap();
    let start = std::time::Instant::now();
    for old in &versions {
        assert!(is_compatible(old, &newest, CompatibilityPolicy::Strict));
    }
    eprintln!("100 versions of 500 fields: {:?}", start.elapsed());
}
