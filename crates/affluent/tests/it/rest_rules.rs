//! Data contracts through the REST Proxy: conditions, transforms and encryption on the way in and out, and records that are
//! refused and kept.

use serde_json::{Value, json};

use crate::http;
use crate::rest_proxy::Rest;
use crate::rest_v2::{Proxy, media};
use crate::server::Server;

const V2: &str = "application/vnd.kafka.v2+json";

struct Setup {
    server: Server,
    rest: Rest,
    proxy: Proxy,
}

/// A broker, a registry and a proxy, which has the secret of its keys from one place or the other.
fn setup(flags: &[&str], environment: &[(&str, &str)]) -> Setup {
    let roles = [
        "--roles",
        "broker,schema-registry,rest-proxy",
        "--override",
        "schema.registry.listeners=http://127.0.0.1:0",
    ];
    let server = Server::start_with(&[&roles, flags].concat(), environment);
    let proxy = Proxy::of(&server);
    let rest = Rest::of(proxy.address.clone());
    for name in ["users", "dead"] {
        let topic = json!({"topic_name": name, "partitions_count": 1});
        assert_eq!(rest.call("POST", "/topics", &topic).0, 201);
    }
    Setup {
        server,
        rest,
        proxy,
    }
}

impl Setup {
    fn registry(&self, method: &str, path: &str, body: &Value) -> Value {
        let address = self.server.service("schema-registry");
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let limit = std::time::Duration::from_secs(60);
        let (status, answer) = http::call(&address, method, path, &body, limit).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Registers a schema with rules, and gives its id.
    fn register(&self, subject: &str, schema_type: &str, schema: &str, rules: Value) -> i64 {
        let body = json!({"schemaType": schema_type, "schema": schema, "ruleSet": rules});
        let path = format!("/subjects/{subject}/versions");
        self.registry("POST", &path, &body)["id"].as_i64().unwrap()
    }

    /// Writes values by version 2.
    fn write(&self, format: &str, id: i64, values: &[Value]) -> (u16, Value) {
        let records: Vec<Value> = values.iter().map(|value| json!({"value": value})).collect();
        let body = json!({"value_schema_id": id, "records": records});
        self.proxy
            .send("POST", "/topics/users", &media(format), V2, &body)
    }

    /// A new instance that reads a topic from its beginning.
    fn instance(&self, name: &str, format: &str, topic: &str) -> String {
        let settings = json!({"format": format, "fetch.min.bytes": 1});
        let instance = self.proxy.instance("readers", name, settings);
        let partition = json!({"partitions": [{"topic": topic, "partition": 0}]});
        let path = format!("{instance}/assignments");
        assert_eq!(self.proxy.post(&path, &partition).0, 204);
        instance
    }

    fn read_once(&self, instance: &str, format: &str) -> (u16, Value) {
        let path = format!("{instance}/records");
        self.proxy
            .send("GET", &path, V2, &media(format), &Value::Null)
    }

    /// The values of a topic as an instance of that format reads them, until there are so many.
    fn read(&self, name: &str, format: &str, topic: &str, count: usize) -> Vec<Value> {
        let instance = self.instance(name, format, topic);
        let mut values = Vec::new();
        while values.len() < count {
            let (status, records) = self.read_once(&instance, format);
            assert_eq!(status, 200, "{records}");
            let records = records.as_array().unwrap();
            values.extend(records.iter().map(|record| record["value"].clone()));
        }
        values
    }

    /// What stands in a topic, with nobody's rules run.
    fn raw(&self, topic: &str) -> Vec<Value> {
        let read = format!("kafka topic consume {topic} -b --exit --full-header -o json");
        let read = self.server.run(&read).ok();
        read.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn user() -> String {
    let fields = json!([
        {"name": "name", "type": "string"},
        {"name": "email", "type": ["null", "string"], "confluent:tags": ["PII"]},
        {"name": "city", "type": "string", "confluent:tags": ["PLACE"]},
        {"name": "age", "type": "int"},
    ]);
    json!({"type": "record", "name": "User", "fields": fields}).to_string()
}

fn alice(age: i32) -> Value {
    json!({"name": "alice", "email": {"string": "alice@example.com"}, "city": "bern", "age": age})
}

/// A condition, a transform, and encryption under a KEK of that name.
fn rules(kek: &str) -> Value {
    json!({"domainRules": [
        {"name": "adult", "kind": "CONDITION", "mode": "WRITE", "type": "CEL",
         "expr": "message.age >= 18 && message.email.endsWith('.com')"},
        {"name": "old", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "message.age < 100",
         "onFailure": "DLQ", "params": {"dlq.topic": "dead"}},
        {"name": "where", "kind": "TRANSFORM", "mode": "WRITE", "type": "CEL_FIELD", "tags": ["PLACE"],
         "expr": "typeName == 'STRING' ; value + ', CH'"},
        {"name": "secret", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT", "tags": ["PII"], "onFailure": "ERROR,NONE",
         "params": {"encrypt.kek.name": kek, "encrypt.kms.type": "local-kms", "encrypt.kms.key.id": "key-1"}},
    ]})
}

#[test]
fn a_contract_is_kept_on_the_way_in_and_out() {
    let setup = setup(&[], &[("LOCAL_SECRET", "hush")]);
    let id = setup.register("users-value", "AVRO", &user(), rules("k"));
    let (status, answer) = setup.write("avro", id, &[alice(20)]);
    assert_eq!(status, 200, "{answer}");
    // Version 3 names it by nothing at all, by its id, and by its text.
    for naming in [
        json!({}),
        json!({"schema_id": id}),
        json!({"type": "AVRO", "schema": user()}),
    ] {
        let mut value = naming.clone();
        value["data"] = alice(21);
        let value = json!({"value": value});
        let (_, report) = setup.rest.call("POST", "/topics/users/records", &value);
        assert_eq!(report["error_code"], 200, "{naming}: {report}");
    }
    // A reader without keys sees what is in the topic.
    let raw = setup.raw("users");
    assert_eq!(raw.len(), 4);
    for record in &raw {
        let text = record.to_string();
        assert!(!text.contains("alice@example.com"), "{text}");
    }
    let read = setup.read("reader", "avro", "users", 4);
    for (value, age) in read.iter().zip([20, 21, 21, 21]) {
        let mut expected = alice(age);
        expected["city"] = json!("bern, CH");
        assert_eq!(value, &expected);
    }
    // The keys are in the registry, for others to find.
    let kek = setup.registry("GET", "/dek-registry/v1/keks/k", &Value::Null);
    assert_eq!(kek["kmsType"], "local-kms");
    let deks = setup.registry("GET", "/dek-registry/v1/keks/k/deks", &Value::Null);
    assert_eq!(deks, json!(["users-value"]));
}

#[test]
fn a_record_that_breaks_the_contract_is_refused_and_told_why() {
    let setup = setup(&[], &[("LOCAL_SECRET", "hush")]);
    let id = setup.register("users-value", "AVRO", &user(), rules("k"));
    let told = "Error serializing message. Rule failed: adult: Expr failed: 'message.age >= 18 && message.email.endsWith('.com')'";
    // Of version 2 all records are refused together.
    let (status, answer) = setup.write("avro", id, &[alice(20), alice(10)]);
    assert_eq!((status, &answer["error_code"]), (422, &json!(42207)));
    assert_eq!(answer["message"], told);
    let value = json!({"value": {"schema_id": id, "data": alice(10)}});
    let (_, report) = setup.rest.call("POST", "/topics/users/records", &value);
    assert_eq!(
        (&report["error_code"], &report["message"]),
        (&json!(42207), &json!(told))
    );
    let entries = json!({"entries": [{"id": "1", "value": {"schema_id": id, "data": alice(20)}}, {"id": "2", "value": {"schema_id": id, "data": alice(10)}}]});
    let (status, report) = setup
        .rest
        .call("POST", "/topics/users/records:batch", &entries);
    assert_eq!(status, 207, "{report}");
    assert_eq!(report["successes"][0]["id"], "1", "{report}");
    assert_eq!(report["failures"][0]["message"], told, "{report}");
    assert_eq!(setup.raw("users").len(), 1);
    // Data that is not of the schema is that first.
    let (_, answer) = setup.write("avro", id, &[json!({"name": "x"})]);
    assert_eq!(answer["error_code"], 42203, "{answer}");
}

#[test]
fn a_dead_letter_is_kept_without_its_secrets_and_can_be_read() {
    let setup = setup(&[], &[("LOCAL_SECRET", "hush")]);
    let id = setup.register("users-value", "AVRO", &user(), rules("k"));
    let (status, answer) = setup.write("avro", id, &[alice(120)]);
    assert_eq!((status, &answer["error_code"]), (422, &json!(42207)));
    let record = json!({"key": {"type": "STRING", "data": "k1"}, "headers": [{"name": "own", "value": "eA=="}],
        "value": {"schema_id": id, "data": alice(130)}});
    let (_, report) = setup.rest.call("POST", "/topics/users/records", &record);
    assert_eq!(
        report["message"],
        "Error serializing message. Rule failed: old: Expr failed: 'message.age < 100'"
    );
    let dead = setup.raw("dead");
    assert_eq!(dead.len(), 2, "{dead:?}");
    let mut expected = alice(130);
    expected["email"] = json!({"string": "<REDACTED>"});
    assert_eq!(dead[1]["key"], "k1", "{dead:?}");
    let value: Value = serde_json::from_str(dead[1]["value"].as_str().unwrap()).unwrap();
    assert_eq!(value, expected);
    let text = dead[1].to_string();
    for header in [
        "own",
        "__rule.name",
        "__rule.mode",
        "WRITE",
        "__rule.subject",
        "users-value",
        "__rule.topic",
        "__rule.exception",
        "message.age < 100",
    ] {
        assert!(text.contains(header), "{header}: {text}");
    }
    assert_eq!(setup.raw("users").len(), 0);
}

#[test]
fn rules_of_reading_refuse_too_and_keep_the_record_as_it_was() {
    let setup = setup(&[], &[]);
    let rules = json!({"domainRules": [
        {"name": "young", "kind": "CONDITION", "mode": "READ", "type": "CEL", "expr": "message.age < 30",
         "onFailure": "DLQ", "params": {"dlq.topic": "dead"}}]});
    let id = setup.register("users-value", "AVRO", &user(), rules);
    let (status, answer) = setup.write("avro", id, &[alice(20), alice(40)]);
    assert_eq!(status, 200, "{answer}");
    let instance = setup.instance("reader", "avro", "users");
    let mut seen = Vec::new();
    let refused = loop {
        match setup.read_once(&instance, "avro") {
            (200, records) => seen.extend(records.as_array().unwrap().clone()),
            (_, refused) => break refused,
        }
    };
    assert_eq!(seen.len(), 1);
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.starts_with("Error deserializing VALUE for partition users-0 at offset 1."),
        "{message}"
    );
    assert!(
        message.ends_with("Rule failed: young: Expr failed: 'message.age < 30'"),
        "{message}"
    );
    // One letter, written when the client was told; with what was in the topic, so that it can be read.
    let dead = setup.raw("dead");
    assert_eq!(dead.len(), 1);
    let written = &setup.raw("users")[1];
    for form in ["value", "value_base64"] {
        assert_eq!(dead[0][form], written[form]);
    }
    let read = setup.read("undertaker", "avro", "dead", 1);
    assert_eq!(read, [alice(40)]);
}

#[test]
fn payloads_are_encrypted_whole_and_settings_have_the_secret() {
    let flags = [
        "--override",
        "kafka.rest.schema.registry.rule.executors._default_.param.secret=hush",
        "--override",
        "kafka.rest.rule.executors.nosy.disabled=true",
    ];
    let setup = setup(&flags, &[]);
    let params = json!({"encrypt.kek.name": "p", "encrypt.kms.type": "local-kms", "encrypt.kms.key.id": "k", "encrypt.dek.expiry.days": "1"});
    let rules = json!({
        "domainRules": [{"name": "nosy", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "false"}],
        "encodingRules": [{"name": "whole", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT_PAYLOAD", "params": params}]});
    for (format, schema, value) in [
        ("avro", user(), alice(20)),
        (
            "jsonschema",
            json!({"type": "object", "properties": {"name": {"type": "string"}}}).to_string(),
            json!({"name": "alice"}),
        ),
        (
            "protobuf",
            "syntax = \"proto3\"; message P { string name = 1; }".to_owned(),
            json!({"name": "alice"}),
        ),
    ] {
        let schema_type = match format {
            "jsonschema" => "JSON".to_owned(),
            other => other.to_uppercase(),
        };
        let topic = json!({"topic_name": format, "partitions_count": 1});
        assert_eq!(setup.rest.call("POST", "/topics", &topic).0, 201);
        let subject = format!("{format}-value");
        let id = setup.register(&subject, &schema_type, &schema, rules.clone());
        let body = json!({"value_schema_id": id, "records": [{"value": value}]});
        let path = format!("/topics/{format}");
        let (status, answer) = setup.proxy.send("POST", &path, &media(format), V2, &body);
        assert_eq!(status, 200, "{format}: {answer}");
        let raw = setup.raw(format)[0].to_string();
        assert!(!raw.contains("alice"), "{raw}");
        assert_eq!(setup.read(format, format, format, 1), [value], "{format}");
    }
}

#[test]
fn keys_of_records_have_contracts_of_their_own() {
    let setup = setup(&[], &[("LOCAL_SECRET", "hush")]);
    let rules = json!({"domainRules": [
        {"name": "secret", "kind": "TRANSFORM", "mode": "WRITEREAD", "type": "ENCRYPT", "tags": ["PII"],
         "params": {"encrypt.kek.name": "k", "encrypt.kms.type": "local-kms", "encrypt.kms.key.id": "key-1", "encrypt.dek.algorithm": "AES256_SIV"}},
    ]});
    let schema = json!({"type": "record", "name": "Key", "fields": [{"name": "ssn", "type": "string", "confluent:tags": ["PII"]}]}).to_string();
    let key_id = setup.register("users-key", "AVRO", &schema, rules);
    let value_id = setup.register("users-value", "AVRO", &user(), json!({}));
    let key = json!({"ssn": "078-05-1120"});
    let record = json!({"key": key, "value": alice(20)});
    let body =
        json!({"key_schema_id": key_id, "value_schema_id": value_id, "records": [record, record]});
    let (status, answer) = setup
        .proxy
        .send("POST", "/topics/users", &media("avro"), V2, &body);
    assert_eq!(status, 200, "{answer}");
    let raw = setup.raw("users");
    // Deterministic, so that equal keys stay together.
    assert_eq!(raw[0]["key"], raw[1]["key"]);
    assert!(!raw[0].to_string().contains("078-05-1120"), "{raw:?}");
    let instance = setup.instance("reader", "avro", "users");
    let (_, records) = setup.read_once(&instance, "avro");
    assert_eq!(records[0]["key"], key, "{records}");
}

#[test]
fn who_lacks_the_secret_writes_nothing() {
    let setup = setup(&[], &[("LOCAL_SECRET", "")]);
    let id = setup.register("users-value", "AVRO", &user(), rules("k"));
    let (status, answer) = setup.write("avro", id, &[alice(20)]);
    assert_eq!((status, &answer["error_code"]), (422, &json!(42207)));
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("Rule failed: secret"), "{message}");
    assert!(message.contains("LOCAL_SECRET"), "{message}");
    assert_eq!(setup.raw("users").len(), 0);
}

#[test]
fn a_subject_may_be_named_after_the_record() {
    let strategy = "kafka.rest.schema.registry.value.subject.name.strategy=io.confluent.kafka.serializers.subject.RecordNameStrategy";
    let setup = setup(&["--override", strategy], &[("LOCAL_SECRET", "hush")]);
    let id = setup.register("User", "AVRO", &user(), rules("k"));
    let (status, answer) = setup.write("avro", id, &[alice(20)]);
    assert_eq!(status, 200, "{answer}");
    let value = json!({"value": {"schema_id": id, "data": alice(20)}});
    let (_, report) = setup.rest.call("POST", "/topics/users/records", &value);
    assert_eq!(report["value"]["subject"], "User", "{report}");
    let deks = setup.registry("GET", "/dek-registry/v1/keks/k/deks", &Value::Null);
    assert_eq!(deks, json!(["User"]));
    let mut expected = alice(20);
    expected["city"] = json!("bern, CH");
    let read = setup.read("reader", "avro", "users", 2);
    assert_eq!(read, [expected.clone(), expected]);
}

#[test]
fn a_stream_of_records_is_judged_one_by_one_and_reported_in_order() {
    let setup = setup(&[], &[("LOCAL_SECRET", "hush")]);
    let id = setup.register("users-value", "AVRO", &user(), rules("k"));
    // Among records with rules there are such without, and some that cannot be read at all.
    let body: String = (0..400)
        .map(|n| match n % 10 {
            3 => json!({"value": {"type": "BINARY", "data": n}}),
            4 => json!({"value": {"type": "STRING", "data": n.to_string()}}),
            5 => json!({"value": {"schema_id": id, "data": alice(10)}}),
            _ => json!({"value": {"schema_id": id, "data": alice(20 + n % 70)}}),
        })
        .map(|record| record.to_string())
        .collect();
    let cluster = &setup.rest.cluster;
    let path = format!("/v3/clusters/{cluster}/topics/users/records");
    let headers = [("Content-Type", "application/json")];
    let limit = std::time::Duration::from_secs(60);
    let answer = http::send(&setup.proxy.address, "POST", &path, &headers, &body, limit).unwrap();
    let reports: Vec<Value> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 400);
    let mut offset = 0;
    for (n, report) in reports.iter().enumerate() {
        match n % 10 {
            3 => {
                let message = report["message"].as_str().unwrap();
                assert!(message.contains(&format!("data={n} ")), "{n}: {report}");
            }
            5 => assert_eq!(report["error_code"], 42207, "{n}: {report}"),
            kind => {
                assert_eq!(report["error_code"], 200, "{n}: {report}");
                assert_eq!(report["offset"], offset, "{n}: {report}");
                let format = if kind == 4 { "STRING" } else { "AVRO" };
                assert_eq!(report["value"]["type"], format, "{n}: {report}");
                offset += 1;
            }
        }
    }
    assert_eq!(offset, 320);
}
