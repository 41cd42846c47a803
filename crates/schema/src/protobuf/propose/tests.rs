//! What is proposed; and that a proposal always passes.

use proptest::prelude::*;

use super::*;
use crate::format::ParseOptions;

fn parse(text: &str) -> ProtobufSchema {
    ProtobufSchema::parse(text, &[], ParseOptions { validate_new: true })
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn may_follow(new: &ProtobufSchema, old: &ProtobufSchema, level: CompatibilityLevel) -> bool {
    obstacles(new, &[old], level, CompatibilityPolicy::Strict).is_some_and(|left| left.is_empty())
}

fn proto3(body: &str) -> String {
    format!("syntax = \"proto3\";\npackage p;\n{body}")
}

/// The body of the message `M` of the proposal, in one line, and what is said of it.
fn proposed(new: &str, old: &str, level: CompatibilityLevel) -> (String, Vec<String>) {
    let (new, old) = (parse(new), parse(old));
    let proposal = new.propose(&[&old], level).unwrap();
    let schema = parse(&proposal.schema);
    assert!(may_follow(&schema, &old, level), "{proposal:?}");
    let text = proposal
        .schema
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let said = proposal
        .alterations
        .iter()
        .map(|alteration| format!("{}: {}", alteration.path, alteration.what))
        .collect();
    (text, said)
}

#[test]
fn what_may_follow_is_left_alone() {
    let old = proto3("message M { int32 a = 1; }");
    let new = proto3("message M { int64 a = 1; string b = 2; }");
    for level in CompatibilityLevel::ALL {
        assert!(proposed(&new, &old, level).1.is_empty(), "{level:?}");
    }
}

#[test]
fn the_nearest_change_is_proposed() {
    use CompatibilityLevel::{Backward, Forward, Full};
    let message = |body: &str| proto3(&format!("message M {{ {body} }}"));
    let proto2 = |body: &str| format!("syntax = \"proto2\"; message M {{ {body} }}");
    for (level, new, old, part, said) in [
        (
            Full,
            message("string a = 1;"),
            message("int32 a = 1; int32 b = 7;"),
            "reserved 1; string a = 8;",
            vec!["#/M/1: gave the new field the number 8, and reserved 1"],
        ),
        (
            Backward,
            proto2("required int32 a = 1;"),
            proto2(""),
            "optional int32 a = 1;",
            vec!["#/M/1: made it optional"],
        ),
        (
            Backward,
            proto2(""),
            proto2("required int32 a = 1;"),
            "required int32 a = 1;",
            vec!["#/M/1: kept the field as it was"],
        ),
        (
            Backward,
            message("oneof o { int32 a = 1; int32 b = 2; }"),
            message("int32 a = 1; int32 b = 2;"),
            "{ int32 a = 1; int32 b = 2; }",
            vec!["#/M/o: left the fields outside of the oneof"],
        ),
        (
            Backward,
            message("oneof o { int32 a = 1; }"),
            message("oneof o { int32 a = 1; int32 b = 2; }"),
            "oneof o { int32 a = 1; int32 b = 2; }",
            vec!["#/M/o/2: kept the field as it was"],
        ),
        (
            Backward,
            proto3("message M {}"),
            proto3("message N { message I {} } message M {}"),
            "message N { message I {} }",
            vec!["#/N: kept the message"],
        ),
        (
            Forward,
            proto3("message M {} message N {}"),
            proto3("message M {}"),
            "message M {}",
            vec!["#/N: left the message out"],
        ),
        (
            Backward,
            "syntax = \"proto3\"; package q; message M { .q.M m = 1; }".to_owned(),
            proto3("message M {}"),
            "message M {}",
            vec!["#/: kept the schema as it was"],
        ),
    ] {
        let (text, told) = proposed(&new, &old, level);
        assert!(text.contains(part), "{text}");
        assert_eq!(told, said, "{new}");
    }
}

/// A file of few names, so that two of them meet.
fn file() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec![
        "int32",
        "int64",
        "string",
        "bytes",
        "double",
        "E",
        "A",
        "B",
        "repeated int32",
        "repeated A",
        "map<string, A>",
    ]);
    let message = (
        prop::collection::btree_map(1..6_i32, kind, 0..4),
        prop::collection::btree_set(6..9_i32, 0..3),
    );
    (
        prop::sample::select(vec!["p", "q"]),
        prop::collection::btree_map(prop::sample::select(vec!["A", "B", "C"]), message, 0..4),
        prop::bool::ANY,
    )
        .prop_map(|(package, messages, is_sorted)| {
            let mut parts: Vec<String> = messages
                .iter()
                .map(|(name, body)| print(name, body))
                .collect();
            for name in ["A", "B"] {
                if !messages.contains_key(name) {
                    parts.push(format!("message {name} {{}}"));
                }
            }
            if !is_sorted {
                parts.reverse();
            }
            format!(
                "syntax = \"proto3\"; package {package}; enum E {{ ZERO = 0; }} {}",
                parts.join(" ")
            )
        })
}

fn print(
    name: &str,
    (fields, choice): &(std::collections::BTreeMap<i32, &str>, BTreeSet<i32>),
) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(number, kind)| format!("{kind} f{number} = {number};"))
        .collect();
    let choice: Vec<String> = choice
        .iter()
        .map(|number| format!("string c{number} = {number};"))
        .collect();
    let choice = match choice.as_slice() {
        [] => String::new(),
        some => format!("oneof o {{ {} }}", some.join(" ")),
    };
    format!("message {name} {{ {} {choice} }}", fields.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_proposal_passes_the_check(
        new in file(),
        old in file(),
        level in prop::sample::select(&CompatibilityLevel::ALL[..]),
    ) {
        let (new, old) = (parse(&new), parse(&old));
        let Some(proposal) = new.propose(&[&old], level) else {
            return Err(TestCaseError::fail(format!("{} {}", new.canonical(), old.canonical())));
        };
        let schema = parse(&proposal.schema);
        prop_assert!(may_follow(&schema, &old, level), "{}", proposal.schema);
        prop_assert_eq!(proposal.alterations.is_empty(), may_follow(&new, &old, level));
    }
}
