//! Files of rules, and what the conditions say of records when an engine runs them.

use cel::{Context, Program, Value};
use serde_json::json;

use super::*;
use crate::ParseOptions;
use crate::model::{RuleMode, SchemaType};

const FILE: &str = r#"
# What the team of users promises.
topic: users
data_quality_rules:
  - name: email-format
    doc: An address has one @.
    field: email
    type: regex
    pattern: '^[^@\s]+@[^@\s]+\.[a-z]{2,}$'
    dlq_topic: users-dlq
  - field: age
    rule: range
    min: 0
    max: 150
    optional: true
    nullable: true
    mode: WRITEREAD
    on_failure: ERROR,NONE
  - field: home.zip
    type: length
    min: 5
    max: 5
  - field: first-name
    type: required
  - field: country
    type: enum
    values: [DE, "FR", 'US"A']
  - field: ratio
    type: range
    min: 0
    exclusive_min: true
    max: 1.0
  - field: total
    type: cel
    expr: message.total == message.net + message.tax
    disabled: true
"#;

/// What the condition of `rule` says of a record.
fn says(rules: &QualityRules, rule: &str, message: &serde_json::Value) -> Result<bool, String> {
    let rule = rules.rules.iter().find(|other| other.name == rule).unwrap();
    let program =
        Program::compile(rule.expr.as_deref().unwrap()).map_err(|error| error.to_string())?;
    let mut context = Context::default();
    context.add_variable("message", message.clone()).unwrap();
    match program.execute(&context) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn entries_become_conditions_that_an_engine_runs() {
    let rules = QualityRules::parse(FILE).unwrap();
    assert_eq!(rules.subject.as_deref(), Some("users-value"));
    for (rule, message, expected) in [
        ("email-format", json!({"email": "a@b.org"}), true),
        ("email-format", json!({"email": "a@@b.org"}), false),
        ("age_range", json!({"age": 150}), true),
        ("age_range", json!({"age": 151}), false),
        ("age_range", json!({"age": -1}), false),
        ("age_range", json!({"age": null}), true),
        ("age_range", json!({}), true),
        ("home_zip_length", json!({"home": {"zip": "12345"}}), true),
        ("home_zip_length", json!({"home": {"zip": "1234"}}), false),
        ("first_name_required", json!({"first-name": "A"}), true),
        ("first_name_required", json!({}), false),
        ("country_enum", json!({"country": "US\"A"}), true),
        ("country_enum", json!({"country": "XX"}), false),
        ("ratio_range", json!({"ratio": 1}), true),
        ("ratio_range", json!({"ratio": 0.5}), true),
        ("ratio_range", json!({"ratio": 0}), false),
    ] {
        assert_eq!(
            says(&rules, rule, &message),
            Ok(expected),
            "{rule} {message}"
        );
    }
}

#[test]
fn a_rule_carries_what_its_entry_says() {
    let rules = QualityRules::parse(FILE).unwrap();
    let [email, age, ..] = rules.rules.as_slice() else {
        panic!()
    };
    assert_eq!(email.kind, Some(RuleKind::Condition));
    assert_eq!(email.mode, Some(RuleMode::Write));
    assert_eq!(email.on_failure.as_deref(), Some("DLQ"));
    let params = email.params.as_ref().unwrap();
    assert_eq!(params["dlq.topic"], "users-dlq");
    assert_eq!(params[FIELD_PARAM], "email");
    assert_eq!(age.mode, Some(RuleMode::WriteRead));
    assert_eq!(age.on_failure.as_deref(), Some("ERROR,NONE"));
    assert_eq!(
        age.expr.as_deref(),
        Some(
            "!has(message.age) || message.age == null || (message.age >= 0 && message.age <= 150)"
        )
    );
    assert!(rules.rules.last().unwrap().disabled);
}

#[test]
fn a_file_can_be_applied_again() {
    let rules = QualityRules::parse(FILE).unwrap();
    let mut by_hand = rules.rules[0].clone();
    by_hand.name = "by-hand".to_owned();
    by_hand.params = None;
    let before = RuleSet {
        domain_rules: Some(vec![by_hand.clone()]),
        encoding_rules: Some(vec![by_hand.clone()]),
        ..RuleSet::default()
    };
    let once = rules.apply_to(Some(&before));
    assert_eq!(once.domain_rules.as_ref().unwrap().len(), 8);
    assert_eq!(once.encoding_rules, before.encoding_rules);
    assert_eq!(rules.apply_to(Some(&once)), once);
    // A rule that the file has no more goes; what was written by hand stays.
    let fewer = QualityRules::parse("data_quality_rules:\n- {field: a, type: required}").unwrap();
    let names: Vec<String> = fewer
        .apply_to(Some(&once))
        .domain_rules
        .unwrap()
        .into_iter()
        .map(|rule| rule.name)
        .collect();
    assert_eq!(names, ["by-hand", "a_required"]);
}

fn refused(text: &str) -> String {
    QualityRules::parse(text).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let entry = |body: &str| {
        format!(
            "subject: a\ndata_quality_rules:\n  - field: ok\n    type: required\n  - field: b\n{body}"
        )
    };
    for (body, part) in [
        ("    type: regex\n", "a rule of type regex needs a pattern"),
        (
            "    type: regex\n    pattern: '('\n",
            "is not an expression that CEL's matches takes (RE2)",
        ),
        ("    type: regex\n    pattern: '(?=a)'\n", "look-around"),
        ("    type: range\n", "a rule of type range needs min or max"),
        (
            "    type: range\n    min: 3\n    max: 2\n",
            "nothing lies between min 3 and max 2",
        ),
        (
            "    type: range\n    min: 2\n    max: 2\n    exclusive_max: true\n",
            "nothing lies between",
        ),
        (
            "    type: range\n    min: 2\n    pattern: a\n",
            "pattern belongs to a rule of type regex, this is one of type range",
        ),
        (
            "    type: length\n    min: -1\n",
            "a length is a whole number",
        ),
        ("    type: enum\n", "needs values"),
        ("    type: cel\n", "needs an expr"),
        (
            "    type: required\n    optional: true\n",
            "neither optional nor nullable",
        ),
        (
            "    type: required\n    dlq_topic: d\n    on_failure: ERROR\n",
            "make it DLQ",
        ),
        ("    type: rnage\n", "unknown variant `rnage`"),
        ("    type: range\n    mni: 3\n", "unknown field `mni`"),
        ("    type: range\n    min: three\n", "min"),
    ] {
        let told = refused(&entry(body));
        assert!(told.contains(part), "{body}: {told}");
        let line: usize = told
            .strip_prefix("line ")
            .unwrap_or_else(|| panic!("{told}"))
            .split(',')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((5..=8).contains(&line), "{told}");
    }
    assert!(
        refused("data_quality_rules:\n  - {field: a.., type: required}")
            .contains("without characters")
    );
    assert!(refused("data_quality_rules: [\n").starts_with("line "));
    assert!(refused("{}").contains("missing field `data_quality_rules`"));
    assert!(
        refused("subject: a\ntopic: b\ndata_quality_rules: []")
            .contains("both a subject and a topic")
    );
    assert_eq!(
        refused("data_quality_rules:\n- {field: a, type: required}\n- {field: a, type: required}"),
        "the rules cannot be registered: Found rule with duplicate name 'a_required'"
    );
}

#[test]
fn hostile_files_end_as_errors() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..20 {
        let list = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    QualityRules::parse(&bomb).unwrap_err();
    QualityRules::parse(&"[".repeat(100_000)).unwrap_err();
    assert!(refused(&" ".repeat(2 * 1024 * 1024)).contains("the limit is 1048576"));
    let many = format!(
        "data_quality_rules:\n{}",
        "- {field: a, type: required}\n".repeat(2_000)
    );
    assert!(refused(&many).contains("2000 rules, the limit is 1000"));
}

/// The name of the rule about this field that the schema does not have.
fn lost(schema_type: SchemaType, text: &str, field: &str) -> Option<String> {
    let schema = ParsedSchema::parse(schema_type, text, &[], ParseOptions::default()).unwrap();
    let file = format!("data_quality_rules:\n  - {{name: r, field: {field}, type: range, min: 0}}");
    let rules = QualityRules::parse(&file).unwrap();
    let found = rules.without_field(&schema).unwrap();
    found.map(|rule| rule.name.clone())
}

#[test]
fn a_rule_about_a_field_that_is_not_there_is_found() {
    let avro = r#"{"type":"record","name":"User","fields":[{"name":"age","type":"int"},
        {"name":"home","type":["null",{"type":"record","name":"Home","fields":[
            {"name":"zip","type":"int"},{"name":"next","type":["null","Home"]}]}]},
        {"name":"by_name","type":{"type":"map","values":"Home"}},
        {"name":"list","type":{"type":"array","items":"Home"}}]}"#;
    let proto = r#"syntax = "proto3"; package p;
        message A { int32 id = 1; message B { int32 inner_size = 1; } } message C { map<string, A> all = 1; }"#;
    for (field, avro_has, proto_has) in [
        ("age", true, false),
        ("home.zip", true, false),
        ("home.next.next.next.zip", true, false),
        ("by_name.any.zip", true, false),
        ("list", true, false),
        ("list.zip", true, false),
        ("age.zip", false, false),
        ("nope", false, false),
        ("home.nope", false, false),
        ("id", false, true),
        ("inner_size", false, true),
        ("innerSize", false, true),
        ("all.any.id", false, true),
        ("all.any.nope", false, true),
    ] {
        for (schema_type, text, has) in [
            (SchemaType::Avro, avro, avro_has),
            (SchemaType::Protobuf, proto, proto_has),
        ] {
            let found = lost(schema_type, text, field);
            assert_eq!(found.is_none(), has, "{schema_type:?} {field}");
        }
    }
    // A record of a JSON Schema may have more than it says.
    let json = r#"{"type":"object","properties":{"age":{"type":"integer"}}}"#;
    assert_eq!(lost(SchemaType::Json, json, "nope"), None);
    // An expression says itself what it reads.
    let avro = ParsedSchema::parse(SchemaType::Avro, avro, &[], ParseOptions::default()).unwrap();
    let file = "data_quality_rules:\n  - {field: whole, type: cel, expr: 'message.age > 0'}";
    let rules = QualityRules::parse(file).unwrap();
    assert_eq!(rules.without_field(&avro).unwrap(), None);
}
