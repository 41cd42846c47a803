//! What is mended and how; and that a proposal always passes.

use proptest::prelude::*;

use super::*;
use crate::avro::data_tests::evolve;
use crate::avro::tests::{build, parse};

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// The schema that is proposed for `new` after `old`, and what is said of it.
fn proposed(new: &str, old: &str, level: CompatibilityLevel) -> (String, Vec<String>) {
    let (new, old) = (parse(new), parse(old));
    let proposal = new.propose(&[&old], level).unwrap();
    assert!(
        may_follow(&parse(&proposal.schema), &old, level),
        "{proposal:?}"
    );
    let said = proposal
        .alterations
        .iter()
        .map(|alteration| format!("{}: {}", alteration.path, alteration.what))
        .collect();
    (proposal.schema, said)
}

#[test]
fn what_may_follow_is_left_alone() {
    let old = record("");
    let new = record(r#"{"name":"a","type":"int","default":1}"#);
    for level in CompatibilityLevel::ALL {
        assert_eq!(proposed(&new, &old, level), (new.clone(), vec![]));
    }
}

#[test]
fn the_nearest_change_is_proposed() {
    use CompatibilityLevel::{Backward, Forward, Full};
    let e = |symbols: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#);
    let f = |kind: &str| record(&format!(r#"{{"name":"a","type":{kind}}}"#));
    for (level, new, old, expected, said) in [
        (
            Backward,
            record(r#"{"name":"a","type":"string"},{"name":"b","type":"int"}"#),
            record(r#"{"name":"a","type":"string"}"#),
            record(
                r#"{"name":"a","type":"string"},{"name":"b","type":["null","int"],"default":null}"#,
            ),
            vec!["R.b: made it optional, with null as default"],
        ),
        (
            Full,
            record(""),
            record(r#"{"name":"a","type":"string"}"#),
            record(r#"{"name":"a","type":"string"}"#),
            vec!["R.a: kept the field"],
        ),
        (
            Backward,
            record(r#"{"name":"b","type":"string"}"#),
            record(r#"{"name":"a","type":"string"}"#),
            record(r#"{"name":"b","type":"string","aliases":["a"]}"#),
            vec!["R.b: added the alias a"],
        ),
        (
            Backward,
            f(r#""int""#),
            f(r#""long""#),
            f(r#""long""#),
            vec!["R.a: kept long, not int"],
        ),
        (
            Backward,
            f(r#""string""#),
            f(r#""int""#),
            f(r#"["int","string"]"#),
            vec!["R.a: made it a union of int and string"],
        ),
        (
            Full,
            f(r#""string""#),
            f(r#""int""#),
            f(r#""int""#),
            vec!["R.a: kept int, not string"],
        ),
        (
            Backward,
            f(r#""int""#),
            f(r#"["null","int"]"#),
            f(r#"["null","int"]"#),
            vec!["R.a: kept the union"],
        ),
        (
            Forward,
            f(r#"["null","int"]"#),
            f(r#""int""#),
            f(r#""int""#),
            vec!["R.a: kept int, not a union"],
        ),
        (
            Backward,
            e(r#""A""#),
            e(r#""A","B""#),
            e(r#""A","B""#),
            vec!["E: kept the symbol B"],
        ),
        (
            Forward,
            e(r#""A","B""#),
            e(r#""A""#),
            e(r#""A""#),
            vec!["E: left the symbol B out"],
        ),
        (
            Backward,
            r#"{"type":"fixed","name":"G","size":2}"#.to_owned(),
            r#"{"type":"fixed","name":"F","size":1}"#.to_owned(),
            r#"{"type":"fixed","name":"G","size":1,"aliases":["F"]}"#.to_owned(),
            vec!["G: added the alias F", "G: kept the size 1"],
        ),
        (
            Full,
            record(r#"{"name":"b","type":"string","aliases":["a","c"]}"#),
            record(r#"{"name":"a","type":"string"}"#),
            record(r#"{"name":"a","type":"string","aliases":["c"]}"#),
            vec!["R.b: kept the name a"],
        ),
        (
            Full,
            f(&format!(r#"["null",{}]"#, e(r#""A","C""#))),
            f(&format!(r#"["null",{}]"#, e(r#""A","B""#))),
            f(&format!(r#"["null",{}]"#, e(r#""A","B""#))),
            vec!["E: kept the symbol B", "E: left the symbol C out"],
        ),
    ] {
        let (schema, told) = proposed(&new, &old, level);
        assert_eq!(
            (schema.as_str(), told),
            (
                expected.as_str(),
                said.iter().map(|&s| s.to_owned()).collect()
            ),
            "{new} {old}"
        );
    }
}

#[test]
fn all_versions_are_minded_where_the_level_says_so() {
    let (one, two) = (
        record(r#"{"name":"a","type":"long"}"#),
        record(r#"{"name":"a","type":"double"}"#),
    );
    let new = parse(&record(r#"{"name":"a","type":"int"}"#));
    let level = CompatibilityLevel::BackwardTransitive;
    let proposal = new.propose(&[&parse(&one), &parse(&two)], level).unwrap();
    assert_eq!(proposal.schema, two);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_proposal_passes_the_check(
        choices in prop::collection::vec(any::<u8>(), 0..60),
        changes in prop::collection::vec(any::<u8>(), 0..30),
        level in prop::sample::select(&CompatibilityLevel::ALL[..]),
    ) {
        let mut json = build(&mut choices.into_iter(), 0, &mut Vec::new());
        let old = parse(&json.to_string());
        evolve(&mut json, &mut changes.into_iter());
        let Ok(new) = AvroSchema::parse(&json.to_string(), &[], ParseOptions::default()) else {
            return Ok(());
        };
        let proposal = new.propose(&[&old], level);
        let Some(proposal) = proposal else {
            return Err(TestCaseError::fail(format!("{} {}", new.canonical(), old.canonical())));
        };
        let schema = parse(&proposal.schema);
        prop_assert!(may_follow(&schema, &old, level));
        let is_same = may_follow(&new, &old, level);
        prop_assert_eq!(proposal.alterations.is_empty(), is_same);
    }
}
