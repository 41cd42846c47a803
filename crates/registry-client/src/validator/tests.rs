//! Records judged by a registry that answers from a table.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use serde_json::Value as Json;

use super::*;
use crate::client::ClientOptions;

const GUID: &str = "a3f1c2d4-0b5e-4f60-8a7b-9c0d1e2f3a4b";
const NOT_FOUND: &str = r#"{"error_code":40403,"message":"Schema not found"}"#;

/// A registry that knows some answers, and counts how often it is asked.
struct Fake {
    validator: Validator,
    asked: Arc<AtomicUsize>,
}

async fn fake(answers: &[(&str, String)]) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let answers: HashMap<String, String> = answers
        .iter()
        .map(|(path, answer)| ((*path).to_owned(), answer.clone()))
        .collect();
    let (answers, count) = (Arc::new(answers), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answers, count) = (Arc::clone(&answers), Arc::clone(&count));
            tokio::spawn(async move { drop(serve(stream, &answers, &count).await) });
        }
    });
    let client = RegistryClient::new(&ClientOptions::new(&address.to_string())).unwrap();
    Fake {
        validator: Validator::new(client),
        asked,
    }
}

async fn serve(
    stream: tokio::net::TcpStream,
    answers: &HashMap<String, String>,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        stream.read_line(&mut head).await?;
        let Some(path) = head.split(' ').nth(1).map(str::to_owned) else {
            return Ok(());
        };
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 || line == "\r\n" {
                break;
            }
        }
        asked.fetch_add(1, Ordering::Relaxed);
        let (status, body) = match answers.get(&path) {
            Some(answer) => ("200 OK", answer.as_str()),
            None => ("404 Not Found", NOT_FOUND),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn versions(subjects: &[&str]) -> String {
    let versions: Vec<Json> = subjects
        .iter()
        .map(|subject| serde_json::json!({"subject": subject, "version": 1}))
        .collect();
    Json::from(versions).to_string()
}

fn expected(strategy: SubjectNameStrategy) -> Expectation<'static> {
    Expectation {
        topic: "orders",
        part: RecordPart::Value,
        strategy,
        rules: false,
    }
}

fn judged(bytes: &[u8]) -> Judged<'_> {
    Judged {
        index: 0,
        bytes,
        header: None,
    }
}

fn reasons(rejections: &[Rejection]) -> Vec<(i32, &str)> {
    rejections
        .iter()
        .map(|rejection| (rejection.index, rejection.reason.as_str()))
        .collect()
}

#[tokio::test]
async fn an_id_has_to_be_of_the_subject() {
    let fake = fake(&[
        (
            "/schemas/ids/1/versions",
            versions(&["other", "orders-value"]),
        ),
        ("/schemas/ids/2/versions", versions(&["other"])),
    ])
    .await;
    let records: [&[u8]; 6] = [
        &[0, 0, 0, 0, 1, 7],
        &[0, 0, 0, 0, 2, 7],
        &[0, 0, 0, 0, 3],
        b"text of a record",
        &[0, 0],
        &[0, 0, 0, 0, 1],
    ];
    let records: Vec<Judged<'_>> = (0..)
        .zip(records)
        .map(|(index, bytes)| Judged {
            index,
            ..judged(bytes)
        })
        .collect();
    let strategy = SubjectNameStrategy::TopicName;
    let found = fake
        .validator
        .judge(&expected(strategy), &records)
        .await
        .unwrap();
    assert_eq!(
        reasons(&found),
        [
            (1, "schema ID 2 is not of subject orders-value"),
            (2, "schema ID 3 is unknown"),
            (
                3,
                "Unknown magic byte! 116 (0 and 1 are known): is this record written with a schema?"
            ),
            (
                4,
                "2 bytes are too few to name a schema: is this record written with a schema?"
            ),
        ]
    );
}

#[tokio::test]
async fn a_yes_is_kept_and_a_no_is_asked_again() {
    let fake = fake(&[("/schemas/ids/1/versions", versions(&["orders-value"]))]).await;
    let strategy = SubjectNameStrategy::TopicName;
    let ask = async |bytes: &[u8]| {
        let found = fake
            .validator
            .judge(&expected(strategy), &[judged(bytes)])
            .await;
        found.unwrap().is_empty()
    };
    for _ in 0..5 {
        assert!(ask(&[0, 0, 0, 0, 1]).await);
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), 1);
    assert!(!ask(&[0, 0, 0, 0, 9]).await);
    let before = fake.asked.load(Ordering::Relaxed);
    assert!(!ask(&[0, 0, 0, 0, 9]).await);
    assert_eq!(fake.asked.load(Ordering::Relaxed), before);
    // The clock stands but for this.
    tokio::time::pause();
    tokio::time::advance(NO_HOLDS).await;
    tokio::time::resume();
    assert!(!ask(&[0, 0, 0, 0, 9]).await);
    assert!(fake.asked.load(Ordering::Relaxed) > before);
}

#[tokio::test]
async fn an_alias_leads_to_its_subject() {
    let latest = r#"{"subject":"sales","version":1,"id":1,"schema":"\"int\""}"#;
    let fake = fake(&[
        ("/schemas/ids/1/versions", versions(&["sales"])),
        ("/subjects/orders-value/versions/latest", latest.to_owned()),
    ])
    .await;
    let strategy = SubjectNameStrategy::TopicName;
    let records = [judged(&[0, 0, 0, 0, 1])];
    let found = fake.validator.judge(&expected(strategy), &records).await;
    assert!(found.unwrap().is_empty());
}

#[tokio::test]
async fn a_guid_stands_in_the_header() {
    let ids = r#"[{"context":".other","id":5},{"context":".","id":1}]"#;
    let path = format!("/schemas/guids/{GUID}/ids");
    let fake = fake(&[
        (&path, ids.to_owned()),
        ("/schemas/ids/1/versions", versions(&["orders-value"])),
    ])
    .await;
    let mut header = Vec::new();
    Frame::new(SchemaId::Guid(GUID.parse().unwrap())).write(&mut header);
    let record = Judged {
        header: Some(&header),
        ..judged(b"payload alone")
    };
    let strategy = SubjectNameStrategy::TopicName;
    let found = fake.validator.judge(&expected(strategy), &[record]).await;
    assert!(found.unwrap().is_empty());
    let found = fake
        .validator
        .judge(&expected(strategy), &[judged(b"payload alone")])
        .await;
    assert_eq!(found.unwrap().len(), 1);
}

#[tokio::test]
async fn a_subject_may_be_named_after_the_type() {
    let avro = serde_json::json!({"schema": r#"{"type":"record","name":"a.Order","fields":[]}"#});
    let proto = serde_json::json!({"schemaType": "PROTOBUF",
        "schema": "syntax = \"proto3\"; package p; message A {} message B {}"});
    let fake = fake(&[
        ("/schemas/ids/1", avro.to_string()),
        (
            "/schemas/ids/1/versions",
            versions(&["a.Order", "orders-a.Order"]),
        ),
        ("/schemas/ids/2", proto.to_string()),
        ("/schemas/ids/2/versions", versions(&["p.B", "orders-p.B"])),
    ])
    .await;
    for strategy in [
        SubjectNameStrategy::RecordName,
        SubjectNameStrategy::TopicRecordName,
    ] {
        for (bytes, passes) in [
            (&[0, 0, 0, 0, 1][..], true),
            (&[0, 0, 0, 0, 2, 2, 2], true),
            (&[0, 0, 0, 0, 2, 0], false),
            (&[0, 0, 0, 0, 3], false),
        ] {
            let records = [judged(bytes)];
            let found = fake.validator.judge(&expected(strategy), &records).await;
            assert_eq!(found.unwrap().is_empty(), passes, "{bytes:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_rules_are_run_where_they_are_asked_for() {
    let schema = r#"{"type":"record","name":"Order","fields":[{"name":"total","type":"long"}]}"#;
    let contract = serde_json::json!({"schema": schema, "ruleSet": {"domainRules": [
        {"name": "positive", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "message.total > 0"}]}});
    let fake = fake(&[
        ("/schemas/ids/1", contract.to_string()),
        ("/schemas/ids/1/versions", versions(&["orders-value"])),
    ])
    .await;
    // Zigzag: 1, -1, and no number at all.
    let records: [&[u8]; 3] = [&[0, 0, 0, 0, 1, 2], &[0, 0, 0, 0, 1, 1], &[0, 0, 0, 0, 1]];
    let records: Vec<Judged<'_>> = (0..)
        .zip(records)
        .map(|(index, bytes)| Judged {
            index,
            ..judged(bytes)
        })
        .collect();
    let mut expected = expected(SubjectNameStrategy::TopicName);
    let found = fake.validator.judge(&expected, &records).await.unwrap();
    assert_eq!(reasons(&found), []);
    expected.rules = true;
    let found = fake.validator.judge(&expected, &records).await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        reasons(&found)[0],
        (1, "rule positive failed: Expr failed: 'message.total > 0'")
    );
    assert_eq!(found[1].index, 2);
}

#[tokio::test]
async fn a_registry_that_is_away_says_nothing_of_records() {
    let client = RegistryClient::new(&ClientOptions::new("127.0.0.1:1")).unwrap();
    let validator = Validator::new(client);
    let strategy = SubjectNameStrategy::TopicName;
    let records = [judged(&[0, 0, 0, 0, 1])];
    let error = validator.judge(&expected(strategy), &records).await;
    assert!(matches!(error, Err(ClientError::Unreachable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_cannot_be_read_is_no_reason_to_try_again() {
    let strange = serde_json::json!({"schemaType": "PROTOBUF", "schema": "no schema at all"});
    let fake = fake(&[
        ("/schemas/ids/1", strange.to_string()),
        ("/schemas/ids/1/versions", versions(&["orders-value"])),
    ])
    .await;
    let records = [judged(&[0, 0, 0, 0, 1, 0])];
    let mut expected = expected(SubjectNameStrategy::TopicName);
    let judge = async |expected: &Expectation<'_>| {
        let found = fake.validator.judge(expected, &records).await;
        found.unwrap()
    };
    assert_eq!(judge(&expected).await, []);
    expected.rules = true;
    let found = judge(&expected).await;
    assert!(
        found[0].reason.starts_with("schema ID 1 cannot be read: "),
        "{found:?}"
    );
    expected.strategy = SubjectNameStrategy::RecordName;
    assert_eq!(judge(&expected).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_refused_asks_for_no_more_schemas() {
    let fake = fake(&[]).await;
    let values: Vec<Vec<u8>> = (1..1_000_u32)
        .map(|id| [&[0], id.to_be_bytes().as_slice()].concat())
        .collect();
    let records: Vec<Judged<'_>> = (0..)
        .zip(&values)
        .map(|(index, bytes)| Judged {
            index,
            ..judged(bytes)
        })
        .collect();
    let mut expected = expected(SubjectNameStrategy::TopicName);
    expected.rules = true;
    let found = fake.validator.judge(&expected, &records).await.unwrap();
    assert_eq!(found.len(), SCHEMAS_ASKED_MAX);
    let asked = fake.asked.load(Ordering::Relaxed);
    assert!(asked <= 2 * SCHEMAS_ASKED_MAX, "{asked}");
}
