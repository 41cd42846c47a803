//! Rules of each kind on records of each format, and expressions that are meant to hurt.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::format::ParseOptions;
use crate::model::SchemaType;
use crate::parsed::ParsedSchema;

pub(super) fn shape(schema_type: SchemaType, text: &str) -> Shape {
    let schema = ParsedSchema::parse(schema_type, text, &[], ParseOptions::default()).unwrap();
    Shape::of(&schema, None).unwrap()
}

fn avro() -> Shape {
    shape(
        SchemaType::Avro,
        r#"{"type":"record","name":"User","namespace":"a","fields":[
            {"name":"name","type":"string","confluent:tags":["PII"]},
            {"name":"age","type":"int"},
            {"name":"mail","type":["null","string"],"default":null,"confluent:tags":["PII"]},
            {"name":"home","type":{"type":"record","name":"Home","fields":[{"name":"city","type":"string","confluent:tags":["PII"]}]}},
            {"name":"tags","type":{"type":"array","items":"string"}},
            {"name":"next","type":["null","User"],"default":null}]}"#,
    )
}

fn set(rules: Value) -> RuleSet {
    serde_json::from_value(json!({ "domainRules": rules })).unwrap()
}

fn write(rules: Value, shape: &Shape, record: Value) -> Result<Value, RuleFailure> {
    Rules::new(&set(rules), None, shape, Passage::Write).run(record)
}

fn condition(expr: &str, record: Value) -> Result<Value, RuleFailure> {
    let rule =
        json!([{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": expr}]);
    write(rule, &avro(), record)
}

#[test]
fn a_condition_lets_a_record_pass_or_fails() {
    let record = json!({"name": "Bo", "age": 20, "tags": ["a"]});
    assert_eq!(
        condition(
            "message.age > 18 && size(message.tags) == 1",
            record.clone()
        ),
        Ok(record.clone())
    );
    let failure = condition("message.age > 30", record.clone()).unwrap_err();
    assert_eq!(
        (failure.rule.as_str(), failure.action.as_str()),
        ("r", "ERROR")
    );
    assert_eq!(failure.error.to_string(), "Expr failed: 'message.age > 30'");
    assert!(matches!(
        condition("message.age", record.clone()).unwrap_err().error,
        RuleError::Expression { .. }
    ));
    assert!(matches!(
        condition("message.nothing == 1", record.clone())
            .unwrap_err()
            .error,
        RuleError::Expression { .. }
    ));
    assert!(matches!(
        condition("1 +", record).unwrap_err().error,
        RuleError::Expression { .. }
    ));
}

#[test]
fn a_guard_decides_whether_a_rule_runs() {
    let record = json!({"name": "Bo", "age": 20});
    assert!(condition("message.name == 'Al' ; message.age > 30", record.clone()).is_ok());
    assert!(condition("message.name == 'Bo' ; message.age > 30", record).is_err());
}

#[test]
fn clients_functions_are_there() {
    let cases = [
        ("isEmail", "a.b@example.com", "a@b@c"),
        ("isHostname", "db-1.example.com", "-x.com"),
        ("isIpv4", "10.0.0.1", "10.0.0.256"),
        ("isIpv6", "::1", "1::2::3"),
        ("isUri", "https://a.b/c?d=e", "/c"),
        ("isUriRef", "./c?d=e", "a b"),
        ("isUuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810"),
    ];
    for (function, good, bad) in cases {
        let run =
            |text: &str| condition(&format!("message.name.{function}()"), json!({"name": text}));
        assert!(run(good).is_ok(), "{function} {good}: {:?}", run(good));
        assert!(run(bad).is_err(), "{function} {bad}");
    }
    assert!(condition("message.name.matches('^[0-9]+$')", json!({"name": "12"})).is_ok());
}

#[test]
fn fields_with_a_tag_are_changed() {
    let rule = json!([{"name": "mask", "kind": "TRANSFORM", "mode": "WRITE", "type": "CEL_FIELD", "tags": ["PII"],
        "expr": "typeName == 'STRING' ; value + '-' + name"}]);
    let record = json!({"name": "Bo", "age": 20, "mail": {"string": "b@c"}, "home": {"city": "X"}, "tags": ["t"],
        "next": {"a.User": {"name": "Al", "age": 1, "mail": null, "home": {"city": "Y"}, "tags": [], "next": null}}});
    assert_eq!(
        write(rule, &avro(), record).unwrap(),
        json!({"name": "Bo-name", "age": 20, "mail": {"string": "b@c-mail"}, "home": {"city": "X-city"}, "tags": ["t"],
            "next": {"a.User": {"name": "Al-name", "age": 1, "mail": null, "home": {"city": "Y-city"}, "tags": [], "next": null}}})
    );
}

#[test]
fn fields_are_judged_with_what_is_known_of_them() {
    let rule = |expr: &str| json!([{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL_FIELD", "expr": expr}]);
    let record = json!({"name": "Bo", "age": 20, "mail": null, "tags": ["t", "uu"]});
    let ok = "name != 'tags' ; value.size() == 1";
    assert!(
        write(
            rule("name == 'tags' ; value.size() > 0"),
            &avro(),
            record.clone()
        )
        .is_ok()
    );
    assert!(write(rule(ok), &avro(), record.clone()).is_err());
    let failure = write(
        rule("name == 'tags' ; value.size() == 1"),
        &avro(),
        record.clone(),
    )
    .unwrap_err();
    assert!(
        failure.error.to_string().ends_with(" at a.User.tags"),
        "{}",
        failure.error
    );
    let by_name =
        "fullName == 'a.User.age' ; value == message.age && typeName == 'INT' && size(tags) == 0";
    assert!(write(rule(by_name), &avro(), record).is_ok());
}

#[test]
fn metadata_gives_tags_by_path() {
    let rules = set(
        json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITE", "type": "CEL_FIELD", "tags": ["X"], "expr": "'*'"}]),
    );
    let metadata = |path: &str| -> Metadata {
        serde_json::from_value(json!({"tags": {path: ["X"]}})).unwrap()
    };
    let run = |path: &str| {
        let metadata = metadata(path);
        let shape = avro();
        let rules = Rules::new(&rules, Some(&metadata), &shape, Passage::Write);
        rules
            .run(json!({"name": "n", "home": {"city": "c"}}))
            .unwrap()
    };
    assert_eq!(
        run("a.User.name"),
        json!({"name": "*", "home": {"city": "c"}})
    );
    assert_eq!(run("a.*.city"), json!({"name": "n", "home": {"city": "*"}}));
    assert_eq!(run("**"), json!({"name": "*", "home": {"city": "*"}}));
    assert_eq!(run("*"), json!({"name": "n", "home": {"city": "c"}}));
}

#[test]
fn paths_match_as_in_confluents_clients() {
    for (name, pattern, expected) in [
        ("eve", "eve*", true),
        ("alice.bob.eve", "a*.bob.eve", true),
        ("alice.bob.eve", "a*.bob.e*", true),
        ("alice.bob.eve", "a*", false),
        ("alice.bob.eve", "a**", true),
        ("alice.bob.eve", "alice.bob*", false),
        ("alice.bob.eve", "alice.bob**", true),
        ("alice.bob.eve", "**.eve", true),
        ("alice", "alic?", true),
        ("a.b", "a?b", false),
        ("a+b", "a+b", true),
    ] {
        assert_eq!(walk::matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn json_schema_and_protobuf_have_fields_too() {
    let json_schema = shape(
        SchemaType::Json,
        r##"{"type":"object","properties":{"ssn":{"type":"string","confluent:tags":["PII"]},
            "home":{"$ref":"#/definitions/Home"},"any":{"oneOf":[{"type":"null"},{"type":"string","confluent:tags":["PII"]}]}},
            "definitions":{"Home":{"type":"object","properties":{"city":{"type":"string","confluent:tags":["PII"]},"next":{"$ref":"#/definitions/Home"}}}}}"##,
    );
    let rule = json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITE", "type": "CEL_FIELD", "tags": ["PII"], "expr": "fullName"}]);
    let record = json!({"ssn": "1", "home": {"city": "X", "next": {"city": "Y"}}, "other": 1});
    assert_eq!(
        write(rule.clone(), &json_schema, record).unwrap(),
        json!({"ssn": "$.ssn", "home": {"city": "$.home.city", "next": {"city": "$.home.city"}}, "other": 1})
    );
    let protobuf = shape(
        SchemaType::Protobuf,
        r#"syntax = "proto3"; package p; import "confluent/meta.proto";
            message M { string first_name = 1 [(confluent.field_meta).tags = "PII"]; repeated N n = 2; M m = 3; map<string, string> x = 4; }
            message N { string s = 1 [(confluent.field_meta) = { tags: ["PII"] }]; int64 i = 2; }"#,
    );
    let record = json!({"firstName": "a", "n": [{"s": "b", "i": "1"}], "m": {"first_name": "c"}, "x": {"k": "v"}});
    assert_eq!(
        write(rule, &protobuf, record).unwrap(),
        json!({"firstName": "p.M.first_name", "n": [{"s": "p.N.s", "i": "1"}], "m": {"first_name": "p.M.first_name"}, "x": {"k": "v"}})
    );
}

#[test]
fn records_migrate_by_jsonata_there_and_back() {
    let rules: RuleSet = serde_json::from_value(json!({"migrationRules": [
        {"name": "up", "kind": "TRANSFORM", "mode": "UPGRADE", "type": "JSONATA", "expr": "$merge([$sift($, function($v, $k) {$k != 'size'}), {'length': size}])"},
        {"name": "down", "kind": "TRANSFORM", "mode": "DOWNGRADE", "type": "JSONATA", "expr": "{'size': length}"}
    ]})).unwrap();
    let shape = avro();
    let up = Rules::new(&rules, None, &shape, Passage::Upgrade).run(json!({"a": 1, "size": 5}));
    assert_eq!(up.unwrap(), json!({"a": 1, "length": 5}));
    let down = Rules::new(&rules, None, &shape, Passage::Downgrade).run(json!({"length": 5}));
    assert_eq!(down.unwrap(), json!({"size": 5}));
    assert!(Rules::new(&rules, None, &shape, Passage::Write).is_empty());
}

#[test]
fn actions_say_what_a_failure_means() {
    let rule = |on_failure: &str| json!([{"name": "r", "kind": "CONDITION", "mode": "WRITEREAD", "type": "CEL", "expr": "false", "onFailure": on_failure}]);
    let record = json!({"name": "x"});
    assert_eq!(
        write(rule("NONE"), &avro(), record.clone()).unwrap(),
        record
    );
    assert_eq!(
        write(rule("DLQ"), &avro(), record.clone())
            .unwrap_err()
            .action,
        "DLQ"
    );
    assert_eq!(
        write(rule("DLQ,NONE"), &avro(), record.clone())
            .unwrap_err()
            .action,
        "DLQ"
    );
    let rules = set(rule("DLQ,NONE"));
    assert!(
        Rules::new(&rules, None, &avro(), Passage::Read)
            .run(record.clone())
            .is_ok()
    );
    let disabled = json!([{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "false", "disabled": true}]);
    assert!(write(disabled, &avro(), record.clone()).is_ok());
    let unknown = json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITE", "type": "ENCRYPT", "expr": "x"}]);
    assert!(matches!(
        write(unknown, &avro(), record).unwrap_err().error,
        RuleError::NoExecutor { .. }
    ));
}

#[test]
fn of_transforms_with_the_same_tags_one_runs() {
    let rule = |name: &str, expr: &str| json!({"name": name, "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "CEL_FIELD", "tags": ["PII"], "expr": expr});
    let rules = set(json!([
        rule("one", "value + '1'"),
        rule("two", "value + '2'")
    ]));
    let shape = avro();
    let written = Rules::new(&rules, None, &shape, Passage::Write).run(json!({"name": "n"}));
    assert_eq!(written.unwrap(), json!({"name": "n1"}));
    let read = Rules::new(&rules, None, &shape, Passage::Read).run(json!({"name": "n"}));
    assert_eq!(read.unwrap(), json!({"name": "n1"}));
}

#[test]
fn expressions_that_are_meant_to_hurt_end_soon() {
    let start = Instant::now();
    let numbers: Vec<i32> = (0..5_000).collect();
    let record = json!({"list": numbers});
    let nested = "message.list.all(a, message.list.all(b, message.list.all(c, a + b + c > -1)))";
    assert!(matches!(
        condition(nested, record.clone()).unwrap_err().error,
        RuleError::TooExpensive { .. }
    ));
    assert!(condition("message.list.all(a, a >= 0)", record).is_ok());
    let doubling = "[message.name].map(a, [a+a+a+a+a+a+a+a].map(b, [b+b+b+b+b+b+b+b].map(c, c+c+c+c+c+c+c+c+c))).size() > 0";
    let long = json!({"name": "x".repeat(1_000_000)});
    assert!(matches!(
        condition(doubling, long).unwrap_err().error,
        RuleError::TooExpensive { .. }
    ));
    let deep = format!("{}1{} == 1", "(".repeat(5_000), ")".repeat(5_000));
    assert!(condition(&deep, json!({})).is_err());
    for hurting in [
        "r'\\' + (",
        "'''a'b''' + (",
        "1+",
        "!",
        "-",
        "a.",
        "true ? true : ",
        "[",
        "{1:",
        "a in ",
        "x(",
    ] {
        let text = hurting.repeat(16_000 / hurting.len());
        assert!(condition(&text, json!({})).is_err(), "{hurting}");
    }
    for fine in [
        format!("{}1{} == 1", "(".repeat(20), ")".repeat(20)),
        format!("{}1 > 1", "1+".repeat(100)),
        format!("{}true", "true && ".repeat(1_000)),
    ] {
        assert!(condition(&fine, json!({})).is_ok(), "{fine}");
    }
    let mut record = json!(1);
    for _ in 0..500 {
        record = json!([record]);
    }
    assert!(condition("true", record).is_err());
    let looping = json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITE", "type": "JSONATA",
        "expr": "($f := function($n) { $n > 0 ? $f($n + 1) : 0 }; $f(1))"}]);
    assert!(write(looping, &avro(), json!({})).is_err());
    let wide = json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITE", "type": "JSONATA", "expr": "[1..9999999].($ * 2)"}]);
    assert!(write(wide, &avro(), json!({})).is_err());
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn expressions_see_no_names_of_branches() {
    let record = json!({"name": "Bo", "age": 20, "mail": {"string": "b@c"}, "home": {"city": "X"}, "tags": [],
        "next": {"a.User": {"name": "Al", "age": 1, "mail": null, "home": {"city": "Y"}, "tags": [], "next": null}}});
    let holds = "message.mail == 'b@c' && message.next.name == 'Al' && message.next.next == null";
    assert_eq!(condition(holds, record.clone()), Ok(record.clone()));
    // What is there without names of branches is seen in the same way.
    let plain = json!({"mail": "b@c", "next": {"name": "Al", "next": null}});
    assert_eq!(condition(holds, plain.clone()), Ok(plain));
    let of_field = json!([{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL_FIELD",
        "expr": "name == 'name' && value == 'Bo' ; message.mail == 'b@c'"}]);
    assert_eq!(write(of_field, &avro(), record.clone()), Ok(record));
}

#[test]
fn expressions_see_protobufs_names_and_numbers() {
    let proto = shape(
        SchemaType::Protobuf,
        "syntax = \"proto3\"; message M { int64 so_many = 1; M the_next = 2; repeated uint64 n = 3; }",
    );
    let record = json!({"soMany": "9007199254740993", "theNext": {"soMany": "2"}, "n": ["18446744073709551615"]});
    let rule = |expr: &str| json!([{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": expr}]);
    let holds =
        "message.so_many > 9007199254740992 && message.the_next.so_many == 2 && message.n[0] > 1u";
    assert_eq!(
        write(rule(holds), &proto, record.clone()),
        Ok(record.clone())
    );
    assert!(write(rule("message.so_many == 1"), &proto, record.clone()).is_err());
    let field = json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITE", "type": "CEL_FIELD",
        "expr": "typeName == 'LONG' && name == 'so_many' ; value + 1"}]);
    let changed = write(field, &proto, record).unwrap();
    assert_eq!(changed["soMany"], json!(9_007_199_254_740_994_i64));
    assert_eq!(changed["theNext"]["soMany"], json!(3));
}

#[test]
fn a_rule_may_have_an_action_on_success_too() {
    let rule = |on_success: &str| json!([{"name": "r", "kind": "CONDITION", "mode": "WRITEREAD", "type": "CEL", "expr": "true", "onSuccess": on_success}]);
    let record = json!({"name": "x"});
    for fine in ["NONE", "NONE,DLQ", ""] {
        assert!(write(rule(fine), &avro(), record.clone()).is_ok(), "{fine}");
    }
    let failure = write(rule("DLQ,NONE"), &avro(), record).unwrap_err();
    assert_eq!(
        (failure.action.as_str(), failure.error),
        ("DLQ", RuleError::Success)
    );
}

#[test]
fn a_rule_that_failed_before_can_be_left_out() {
    let rules = set(json!([
        {"name": "no", "kind": "CONDITION", "mode": "READ", "type": "CEL", "expr": "false", "params": {"dlq.topic": "d"}},
        {"name": "mask", "kind": "TRANSFORM", "mode": "READ", "type": "CEL_FIELD", "tags": ["PII"], "expr": "'*'"}
    ]));
    let rules = Rules::new(&rules, None, &avro(), Passage::Read);
    assert!(rules.run(json!({"name": "n"})).is_err());
    let left = rules.run_without(Some("no"), json!({"name": "n"}));
    assert_eq!(left.unwrap(), json!({"name": "*"}));
    assert_eq!(rules.parameter("no", "dlq.topic"), Some("d"));
    assert_eq!(rules.parameter("mask", "dlq.topic"), None);
}

#[test]
fn what_is_to_be_encrypted_is_not_shown() {
    let schema = shape(
        SchemaType::Avro,
        r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":["null","string"],"confluent:tags":["PII"]},
            {"name":"b","type":"bytes","confluent:tags":["PII"]},
            {"name":"n","type":"int","confluent:tags":["PII"]},
            {"name":"open","type":"string"}]}"#,
    );
    let rules = set(
        json!([{"name": "r", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT", "tags": ["PII"]}]),
    );
    let rules = Rules::new(&rules, None, &schema, Passage::Write);
    let record = json!({"a": {"string": "x"}, "b": "\u{1}", "n": 1, "open": "o"});
    assert_eq!(
        rules.redacted(record),
        json!({"a": {"string": "<REDACTED>"}, "b": "<REDACTED>", "n": 1, "open": "o"})
    );
    assert_eq!(rules.redacted(json!({"a": null})), json!({"a": null}));
}
