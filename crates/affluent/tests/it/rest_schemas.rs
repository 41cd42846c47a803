//! Records with schemas through the REST Proxy: the registry of the same process, both versions of the API.

use serde_json::{Value, json};

use crate::rest_proxy::Rest;
use crate::rest_v2::{Proxy, media};
use crate::server::Server;

const V2: &str = "application/vnd.kafka.v2+json";

fn start() -> (Server, Rest, Proxy) {
    let flags = [
        "--roles",
        "broker,schema-registry,rest-proxy",
        "--override",
        "schema.registry.listeners=http://127.0.0.1:0",
    ];
    let server = Server::start_with(&flags, &[]);
    let proxy = Proxy::of(&server);
    let rest = Rest::of(proxy.address.clone());
    let topic = json!({"topic_name": "users", "partitions_count": 1});
    assert_eq!(rest.call("POST", "/topics", &topic).0, 201);
    (server, rest, proxy)
}

fn user() -> String {
    let fields = json!([
        {"name": "name", "type": "string"},
        {"name": "email", "type": ["null", "string"]},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}},
    ]);
    json!({"type": "record", "name": "User", "namespace": "a", "fields": fields}).to_string()
}

fn alice() -> Value {
    json!({"name": "alice", "email": {"string": "a@b"}, "born": 7305})
}

/// Writes one value and gives the report.
fn write(rest: &Rest, value: Value) -> Value {
    let (status, report) = rest.call("POST", "/topics/users/records", &json!({ "value": value }));
    assert_eq!(status, 200, "{report}");
    report
}

#[test]
fn a_value_names_its_schema_by_text_id_version_or_not_at_all() {
    let (_server, rest, _proxy) = start();
    let by_text = write(
        &rest,
        json!({"type": "AVRO", "schema": user(), "data": alice()}),
    );
    assert_eq!(by_text["error_code"], 200, "{by_text}");
    let expected = json!({"type": "AVRO", "subject": "users-value", "schema_id": 1, "schema_version": 1, "size": 18});
    assert_eq!(by_text["value"], expected);
    for naming in [
        json!({"schema_id": 1}),
        json!({"schema_version": 1}),
        json!({}),
        json!({"subject": "users-value"}),
        json!({"subject_name_strategy": "TOPIC_NAME", "schema_id": 1}),
    ] {
        let mut value = naming.clone();
        value["data"] = alice();
        let report = write(&rest, value);
        assert_eq!(report["value"], expected, "{naming}: {report}");
    }
    let by_record = json!({"type": "AVRO", "schema": user(), "subject_name_strategy": "RECORD_NAME", "data": alice()});
    let report = write(&rest, by_record);
    assert_eq!(report["value"]["subject"], "a.User", "{report}");
    for (value, code, message) in [
        (
            json!({"schema_id": 1000, "data": {}}),
            42207,
            "Error serializing message. Error when fetching schema by id. schemaId = 1000\nSchema 1000 not found; error code: 40403",
        ),
        (
            json!({"schema_version": 9, "data": {}}),
            400,
            "Bad Request: Schema does not exist for subject: users-value, version: 9",
        ),
        (
            json!({"type": "AVRO", "schema": "{", "data": {}}),
            42205,
            "Invalid schema: Error when parsing raw schema. format = AVRO, schema = {",
        ),
        (
            json!({"type": "AVRO", "schema_id": 1, "data": {}}),
            400,
            "Bad Request: 'schema_id=1' cannot be used with 'serializer'.",
        ),
        (
            json!({"subject": "none", "data": {}}),
            42207,
            "Error serializing message. Error when fetching latest schema version. subject = none\nSubject 'none' not found.; error code: 40401",
        ),
        (
            json!({"schema_id": 1, "data": {"name": "x"}}),
            400,
            "Bad Request: at /: Expected field name not found: email",
        ),
    ] {
        let report = write(&rest, value.clone());
        assert_eq!(report["error_code"], code, "{value}: {report}");
        assert_eq!(report["message"], message, "{value}");
    }
}

#[test]
fn json_schema_and_protobuf_are_written_too() {
    let (_server, rest, _proxy) = start();
    let schema =
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let good = json!({"type": "JSONSCHEMA", "subject": "j", "schema": schema.to_string(), "data": {"n": 1}});
    let report = write(&rest, good);
    assert_eq!(report["value"]["type"], "JSONSCHEMA", "{report}");
    assert_eq!(report["value"]["size"], 12);
    let bad = write(&rest, json!({"subject": "j", "data": {"n": "x"}}));
    assert_eq!(bad["error_code"], 400, "{bad}");
    let schema = "syntax = \"proto3\"; message P { string s = 1; int64 n = 2; }";
    let good =
        json!({"type": "PROTOBUF", "subject": "p", "schema": schema, "data": {"s": "x", "n": "5"}});
    let report = write(&rest, good);
    assert_eq!(report["value"]["type"], "PROTOBUF", "{report}");
    // Magic, id, one byte for the first message, the message.
    assert_eq!(report["value"]["size"], 5 + 1 + 5);
}

#[test]
fn version_2_writes_and_reads_every_format_with_a_schema() {
    let (_server, rest, proxy) = start();
    let json_schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    for (format, schema, value) in [
        ("avro", user(), alice()),
        ("jsonschema", json_schema.to_string(), json!({"n": 1})),
        (
            "protobuf",
            "syntax = \"proto3\"; message P { string s = 1; }".to_owned(),
            json!({"s": "x"}),
        ),
    ] {
        let topic = json!({"topic_name": format, "partitions_count": 1});
        assert_eq!(rest.call("POST", "/topics", &topic).0, 201);
        let path = format!("/topics/{format}");
        let by_text =
            json!({"value_schema": schema, "records": [{"value": value}, {"value": null}]});
        let (status, answer) = proxy.send("POST", &path, &media(format), V2, &by_text);
        assert_eq!(status, 200, "{format}: {answer}");
        let id = answer["value_schema_id"].as_i64().unwrap();
        let by_id = json!({"value_schema_id": id, "records": [{"value": value}]});
        let (_, answer) = proxy.send("POST", &path, &media(format), V2, &by_id);
        assert_eq!(answer["offsets"][0]["offset"], 2, "{format}: {answer}");
        let instance = proxy.instance("g", format, json!({"format": format, "fetch.min.bytes": 1}));
        let topics = json!({"topics": [format]});
        assert_eq!(
            proxy.post(&format!("{instance}/subscription"), &topics).0,
            204
        );
        let mut records = Vec::new();
        while records.len() < 3 {
            let path = format!("{instance}/records");
            let (status, read) = proxy.send("GET", &path, V2, &media(format), &Value::Null);
            assert_eq!(status, 200, "{format}: {read}");
            records.extend(read.as_array().unwrap().clone());
        }
        let record = |offset, value: &Value| json!({"topic": format, "key": null, "value": value, "partition": 0, "offset": offset});
        let expected = [
            record(0, &value),
            record(1, &Value::Null),
            record(2, &value),
        ];
        assert_eq!(records, expected, "{format}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_named_and_passed_by_seeking() {
    let (_server, _rest, proxy) = start();
    let good = json!({"value_schema": user(), "records": [{"value": alice()}]});
    assert_eq!(
        proxy
            .send("POST", "/topics/users", &media("avro"), V2, &good)
            .0,
        200
    );
    proxy.produce("users", [json!("not avro")]);
    assert_eq!(
        proxy
            .send("POST", "/topics/users", &media("avro"), V2, &good)
            .0,
        200
    );
    let instance = proxy.instance("g", "i", json!({"format": "avro", "fetch.min.bytes": 1}));
    let partition = json!({"partitions": [{"topic": "users", "partition": 0}]});
    assert_eq!(
        proxy.post(&format!("{instance}/assignments"), &partition).0,
        204
    );
    let read = || {
        proxy.send(
            "GET",
            &format!("{instance}/records"),
            V2,
            &media("avro"),
            &Value::Null,
        )
    };
    let mut seen = Vec::new();
    let refused = loop {
        match read() {
            (200, records) => seen.extend(records.as_array().unwrap().clone()),
            (status, refused) => break (status, refused),
        }
    };
    assert_eq!(seen.len(), 1);
    assert_eq!(refused.0, 500, "{refused:?}");
    let message = refused.1["message"].as_str().unwrap();
    assert!(
        message.starts_with("Error deserializing VALUE for partition users-0 at offset 1."),
        "{message}"
    );
    let seek = json!({"offsets": [{"topic": "users", "partition": 0, "offset": 2}]});
    assert_eq!(proxy.post(&format!("{instance}/positions"), &seek).0, 204);
    let (status, records) = read();
    assert_eq!((status, &records[0]["offset"]), (200, &json!(2)));
}
