//! Rules on data of each format, without a registry: what they leave, what they refuse, and what is kept of it.

use std::collections::BTreeMap;

use kms::{Environment, Kms};
use registry_client::{ClientOptions, RegistryClient, RegistryKeys};
use schema::serde::Frame;
use schema::{ParseOptions, ParsedSchema, SchemaType};
use serde_json::json;

use super::*;
use crate::config::Config;

/// Keys of a registry that nobody reaches.
fn executor(config: RulesConfig) -> Executor {
    let client = RegistryClient::new(&ClientOptions::new("127.0.0.1:1")).unwrap();
    let kms = Kms::new(Environment::default()).unwrap();
    let keys = RegistryKeys::new(Arc::new(client), kms);
    Executor {
        config: Arc::new(config),
        keys: Arc::new(keys),
    }
}

struct Case {
    codec: Codec,
    terms: Terms,
    executor: Executor,
}

fn case(schema_type: SchemaType, text: &str, rule_set: Value) -> Case {
    let options = ParseOptions { validate_new: true };
    let parsed = ParsedSchema::parse(schema_type, text, &[], options).unwrap();
    Case {
        codec: Codec::new(parsed).unwrap(),
        terms: Terms {
            rule_set: serde_json::from_value(rule_set).unwrap(),
            metadata: None,
        },
        executor: executor(RulesConfig::default()),
    }
}

impl Case {
    fn contract(&self, passage: Passage) -> Option<Contract> {
        let of = ("users-value", passage);
        Contract::new(&self.terms, &self.codec, &[0], of, &self.executor).unwrap()
    }

    fn write(&self, data: Value) -> Result<Vec<u8>, Refused> {
        let contract = self.contract(Passage::Write).unwrap();
        contract.write(&self.codec, 7, data)
    }

    fn read(&self, bytes: &[u8], left_out: Option<&str>) -> Result<Value, Refused> {
        let (frame, payload) = Frame::read(bytes, self.codec.schema_type()).unwrap();
        let contract = self.contract(Passage::Read).unwrap();
        let indexes = &frame.message_indexes;
        contract.read(&self.codec, indexes, payload, (bytes, left_out))
    }
}

fn refusal(result: Result<impl std::fmt::Debug, Refused>) -> RuleRefusal {
    match result.unwrap_err() {
        Refused::Rule(refusal) => refusal,
        Refused::Unfit(error) => panic!("{error}"),
    }
}

const USER: &str = r#"{"type":"record","name":"User","fields":[
    {"name":"name","type":"string","confluent:tags":["PII"]},
    {"name":"mail","type":["null","string"]},
    {"name":"age","type":"int"}]}"#;

fn alice(age: i32) -> Value {
    json!({"name": "alice", "mail": {"string": "a@b"}, "age": age})
}

fn condition(mode: &str, more: Value) -> Value {
    let mut rule = json!({"name": "adult", "kind": "CONDITION", "mode": mode, "type": "CEL", "expr": "message.age > 18 && message.mail == 'a@b'"});
    for (name, value) in more.as_object().unwrap() {
        rule[name] = value.clone();
    }
    rule
}

#[test]
fn without_rules_there_is_no_contract() {
    let disabled = condition("WRITE", json!({"disabled": true}));
    for rules in [
        json!([]),
        json!([disabled]),
        json!([condition("READ", json!({}))]),
    ] {
        let case = case(SchemaType::Avro, USER, json!({"domainRules": rules}));
        assert!(case.contract(Passage::Write).is_none());
    }
}

#[test]
fn a_condition_lets_a_record_pass_as_it_is_or_refuses_it() {
    let rules = json!({"domainRules": [condition("WRITEREAD", json!({}))]});
    let case = case(SchemaType::Avro, USER, rules);
    let bytes = case.write(alice(20)).unwrap();
    assert_eq!(bytes, case.codec.encode(7, &alice(20)).unwrap());
    assert_eq!(case.read(&bytes, None).unwrap(), alice(20));
    let refused = refusal(case.write(alice(10)));
    assert_eq!(
        refused.to_string(),
        "Rule failed: adult: Expr failed: 'message.age > 18 && message.mail == 'a@b''"
    );
    assert!(refused.dead_letter.is_none());
    let young = case.codec.encode(7, &alice(10)).unwrap();
    assert!(case.read(&young, None).is_err());
    assert_eq!(case.read(&young, Some("adult")).unwrap(), alice(10));
    // What is not of the schema is that, whatever rules say.
    let unfit = case.write(json!({"name": "x", "mail": "a@b", "age": 1}));
    assert!(matches!(unfit, Err(Refused::Unfit(_))));
}

#[test]
fn a_dead_letter_has_the_record_without_its_secrets() {
    let rules = json!({"domainRules": [
        condition("WRITE", json!({"onFailure": "DLQ", "params": {"dlq.topic": "dead"}})),
        {"name": "hide", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT", "tags": ["PII"]},
    ]});
    let mut case = case(SchemaType::Avro, USER, rules);
    let refused = refusal(case.write(alice(10)));
    let letter = *refused.dead_letter.unwrap();
    let body: Value = serde_json::from_slice(&letter.body).unwrap();
    let expected = json!({"name": "<REDACTED>", "mail": {"string": "a@b"}, "age": 10});
    assert_eq!(body, expected);
    assert_eq!(
        (letter.topic.as_str(), letter.rule.as_str(), letter.mode),
        ("dead", "adult", "WRITE")
    );
    assert_eq!(letter.subject, "users-value");
    assert!(letter.exception.unwrap().starts_with("Expr failed: "));
    let topic = "rule.actions._default_.param.topic".to_owned();
    let settings = BTreeMap::from([(topic, "everybodys".to_owned())]);
    let config = Config::from_properties(&settings, "h:1").unwrap();
    case.executor = executor(config.rules);
    let refused = refusal(case.write(alice(10)));
    assert_eq!(refused.dead_letter.unwrap().topic, "everybodys");
}

#[test]
fn a_dead_letter_of_a_read_is_the_record_itself() {
    let rules = json!({"domainRules": [
        condition("READ", json!({"onFailure": "DLQ", "params": {"dlq.topic": "dead"}})),
    ]});
    let case = case(SchemaType::Avro, USER, rules);
    let bytes = case.codec.encode(7, &alice(10)).unwrap();
    let letter = refusal(case.read(&bytes, None)).dead_letter.unwrap();
    assert_eq!((letter.mode, &letter.body), ("READ", &bytes));
}

#[test]
fn actions_that_lead_nowhere_are_told() {
    for (action, told) in [
        ("DLQ", "Could not send to DLQ as no topic is configured"),
        ("PAGE", "Could not find rule action of type PAGE"),
    ] {
        let rules = json!({"domainRules": [condition("WRITE", json!({"onFailure": action}))]});
        let case = case(SchemaType::Avro, USER, rules);
        assert_eq!(refusal(case.write(alice(1))).to_string(), told);
    }
    let success = json!({"onSuccess": "ERROR"});
    let rules = json!({"domainRules": [condition("WRITE", success)]});
    let case = case(SchemaType::Avro, USER, rules);
    assert_eq!(
        refusal(case.write(alice(20))).to_string(),
        "Rule failed: adult"
    );
}

#[test]
fn transforms_may_forget_the_names_of_branches() {
    let rules = json!({"domainRules": [
        {"name": "t", "kind": "TRANSFORM", "mode": "WRITE", "type": "CEL",
         "expr": "{'name': message.name + '!', 'mail': message.mail, 'age': message.age + 1}"}]});
    let case = case(SchemaType::Avro, USER, rules);
    let bytes = case.write(alice(20)).unwrap();
    let mut expected = alice(21);
    expected["name"] = json!("alice!");
    assert_eq!(bytes, case.codec.encode(7, &expected).unwrap());
}

#[test]
fn json_and_protobuf_have_rules_too() {
    let mask = json!({"domainRules": [{"name": "m", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "CEL_FIELD", "tags": ["PII"],
        "expr": "typeName == 'STRING' ; value + '-masked'"}]});
    let text = r#"{"type":"object","properties":{"name":{"type":"string","maxLength":5,"confluent:tags":["PII"]}}}"#;
    let json_case = case(SchemaType::Json, text, mask.clone());
    // What a rule makes may be longer than the schema lets a request be.
    let bytes = json_case.write(json!({"name": "alice"})).unwrap();
    let read = json_case.read(&bytes, None).unwrap();
    assert_eq!(read, json!({"name": "alice-masked-masked"}));
    let unfit = json_case.write(json!({"name": "much too long"}));
    assert!(matches!(unfit, Err(Refused::Unfit(_))));
    let text = r#"syntax = "proto3"; import "confluent/meta.proto";
        message User { string full_name = 1 [(confluent.field_meta) = { tags: "PII" }]; int64 id = 2; }"#;
    let proto = case(SchemaType::Protobuf, text, mask);
    let bytes = proto.write(json!({"full_name": "al", "id": 5})).unwrap();
    let read = proto.read(&bytes, None).unwrap();
    assert_eq!(read, json!({"fullName": "al-masked-masked", "id": "5"}));
}

#[test]
fn what_is_one_value_is_kept_as_that() {
    let loose = |text: &str, data: Value| {
        let case = case(SchemaType::Avro, text, json!({}));
        case.codec.loose(&data)
    };
    assert_eq!(loose("\"string\"", json!("x")), b"x");
    assert_eq!(loose("\"bytes\"", json!("\u{1}\u{ff}")), [1, 0xff]);
    assert_eq!(loose("\"int\"", json!(1)), [0, 0, 0, 1]);
    assert_eq!(loose("\"long\"", json!(1)), [0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(loose("\"boolean\"", json!(true)), b"true");
}
