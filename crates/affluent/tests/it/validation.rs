//! Topics that ask for the schemas of their records, the registry beside the broker, and librdkafka as producer.

use std::time::Duration;

use testkit::calls::{self, Partition, Produced};
use testkit::connection::Connection;
use testkit::wait::wait_for;
use wire::ErrorCode;
use wire::record_data::{BatchOptions, RecordBatchBuilder, RecordHeader};

use crate::contracts::{Setup, setup};
use crate::http;
use crate::server::{Run, Server};

const LIMIT: Duration = Duration::from_secs(30);

/// A value that names a schema.
fn framed(id: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, id], payload].concat()
}

fn produce(setup: &Setup, topic: &str, value: &[u8]) -> Run {
    let line = [value, b"\n"].concat();
    setup
        .server
        .run_with_input(&format!("kafka topic produce {topic}"), &line)
}

/// Two schemas: 1 is of `users-value`, 2 of `other`.
fn two_schemas(setup: &Setup) {
    let record = |name: &str| {
        format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"age","type":"long"}}]}}"#)
    };
    setup.file("user.avsc", &record("User"));
    setup.file("other.avsc", &record("Other"));
    setup
        .run("schema create --subject users-value --schema user.avsc")
        .ok();
    setup
        .run("schema create --subject other --schema other.avsc")
        .ok();
}

#[test]
fn a_value_has_to_name_a_schema_of_its_subject() {
    let setup = setup();
    two_schemas(&setup);
    let asking = "--config confluent.value.schema.validation=true";
    setup
        .server
        .run(&format!("kafka topic create users --partitions 1 {asking}"))
        .ok();
    for (value, passes) in [
        (framed(1, b"x"), true),
        (b"no schema at all".to_vec(), false),
        (framed(9, b"x"), false),
        (framed(2, b"x"), false),
    ] {
        let run = produce(&setup, "users", &value);
        assert_eq!(run.code == 0, passes, "{value:?} {run:?}");
        if !passes {
            assert!(
                run.stderr.contains("INVALID_RECORD") || run.stderr.contains("validate record"),
                "{run:?}"
            );
        }
    }
    let lag = setup.server.json("kafka topic describe users");
    assert!(
        lag.to_string()
            .contains("confluent.value.schema.validation"),
        "{lag}"
    );

    // Once it is registered there, it passes.
    setup
        .run("config update --subject users-value --compatibility none")
        .ok();
    setup
        .run("schema create --subject users-value --schema other.avsc")
        .ok();
    wait_for("the schema to pass", LIMIT, || {
        Ok((produce(&setup, "users", &framed(2, b"x")).code == 0).then_some(()))
    })
    .unwrap();
    // What asks for nothing takes everything.
    setup.server.run("kafka topic create free").ok();
    produce(&setup, "free", b"no schema at all").ok();
    setup
        .server
        .run("kafka topic update users --config confluent.value.schema.validation=false")
        .ok();
    produce(&setup, "users", b"no schema at all").ok();
}

/// Produces a value with a header that names its schema, as a client does that writes GUIDs.
fn produce_with_header(setup: &Setup, topic: &str, header: &[u8]) -> Produced {
    produce_with_headers(setup, topic, &[header])
}

fn produce_with_headers(setup: &Setup, topic: &str, headers: &[&[u8]]) -> Produced {
    let port = setup.server.bootstrap().rsplit_once(':').unwrap().1;
    let mut connection = Connection::open(port.parse().unwrap()).unwrap();
    let mut batch = RecordBatchBuilder::new(BatchOptions::default());
    let headers: Vec<RecordHeader> = headers
        .iter()
        .map(|header| RecordHeader::new("__value_schema_id", Some(header)))
        .collect();
    let now_ms = 1_700_000_000_000;
    // Zigzag: 3.
    batch.append(now_ms, None, Some(&[6]), &headers).unwrap();
    let batch = batch.finish().unwrap();
    calls::produce(&mut connection, Partition { topic, index: 0 }, batch).unwrap()
}

/// The GUID of a schema as it stands in a header: its version, and 16 bytes.
fn guid_header(setup: &Setup, id: u32) -> Vec<u8> {
    let registry = setup.server.service("schema-registry");
    let path = format!("/schemas/ids/{id}");
    let (status, body) = http::call(&registry, "GET", &path, "", LIMIT).unwrap();
    assert_eq!(status, 200, "{body}");
    let schema: serde_json::Value = serde_json::from_str(&body).unwrap();
    let digits = schema["guid"].as_str().unwrap().replace('-', "");
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes = digits.as_bytes().chunks(2).map(byte);
    [1].into_iter().chain(bytes).collect()
}

#[test]
fn a_guid_in_the_header_names_the_schema_too() {
    let setup = setup();
    two_schemas(&setup);
    let asking = "--config confluent.value.schema.validation=true,schema.rules.validation=true";
    setup
        .server
        .run(&format!("kafka topic create users --partitions 1 {asking}"))
        .ok();
    let own = guid_header(&setup, 1);
    let produced = produce_with_header(&setup, "users", &own);
    assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, 0));
    let unknown = [&[1][..], &[7; 16]].concat();
    // That of another subject, one that nobody has, half of one; and an id, which headers have as well.
    for (header, passes) in [
        (guid_header(&setup, 2), false),
        (unknown, false),
        (own[..9].to_vec(), false),
        (framed(1, b""), true),
        (framed(2, b""), false),
    ] {
        let produced = produce_with_header(&setup, "users", &header);
        let expected = if passes {
            ErrorCode::None
        } else {
            ErrorCode::InvalidRecord
        };
        assert_eq!(produced.error, expected, "{header:?}: {produced:?}");
    }
    // Whoever reads a record takes the last of them.
    let other = guid_header(&setup, 2);
    let produced = produce_with_headers(&setup, "users", &[&other, &own]);
    assert_eq!(produced.error, ErrorCode::None, "{produced:?}");
    let produced = produce_with_headers(&setup, "users", &[&own, &other]);
    assert_eq!(produced.error, ErrorCode::InvalidRecord, "{produced:?}");
}

#[test]
fn the_type_may_name_the_subject() {
    let setup = setup();
    two_schemas(&setup);
    let strategy = "io.confluent.kafka.serializers.subject.RecordNameStrategy";
    setup
        .server
        .run(&format!(
            "kafka topic create any --config confluent.value.schema.validation=true,confluent.value.subject.name.strategy={strategy}"
        ))
        .ok();
    assert_eq!(produce(&setup, "any", &framed(1, b"x")).code, 1);
    setup
        .run("schema create --subject User --schema user.avsc")
        .ok();
    wait_for("the schema to pass", LIMIT, || {
        Ok((produce(&setup, "any", &framed(1, b"x")).code == 0).then_some(()))
    })
    .unwrap();
}

#[test]
fn domain_rules_hold_where_they_are_asked_for() {
    let setup = setup();
    two_schemas(&setup);
    setup.file(
        "rules.yaml",
        "topic: users\ndata_quality_rules:\n  - {field: age, type: range, min: 0}\n",
    );
    let applied = setup.json("quality apply -f rules.yaml");
    let id = u8::try_from(applied["id"].as_u64().unwrap()).unwrap();
    let create = "kafka topic create users --config confluent.value.schema.validation=true,schema.rules.validation=true";
    setup.server.run(create).ok();
    // Zigzag: 3 and -3.
    produce(&setup, "users", &framed(id, &[6])).ok();
    assert_eq!(produce(&setup, "users", &framed(id, &[5])).code, 1);
    // The first version has no rules.
    produce(&setup, "users", &framed(1, &[5])).ok();
}

#[test]
fn a_producer_waits_for_a_registry_that_is_away() {
    let url = "confluent.schema.registry.url=http://127.0.0.1:1";
    let server = Server::start_with(&["--override", url], &[]);
    server
        .run("kafka topic create users --config confluent.value.schema.validation=true")
        .ok();
    let run = server.run_with_input(
        "kafka topic produce users --config message.timeout.ms=1500",
        &[&framed(1, b"x")[..], b"\n"].concat(),
    );
    assert_eq!(run.code, 1);
    assert!(run.stderr.to_lowercase().contains("timed out"), "{run:?}");
    assert!(
        server.log().contains("records cannot be validated"),
        "{}",
        server.log()
    );
}
