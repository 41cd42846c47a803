//! What the REST Proxy refuses, with the counterpart's status, code and words, and how it speaks HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::rest_proxy::{Rest, address};
use crate::rest_v2::{Proxy, media};
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(60);

fn start() -> (Server, Rest) {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    let topic = json!({"topic_name": "orders", "partitions_count": 1});
    assert_eq!(rest.call("POST", "/topics", &topic).0, 201);
    (server, rest)
}

/// Status, code and message of a request that is refused.
#[track_caller]
fn refusal(rest: &Rest, method: &str, path: &str, body: &Value) -> (u16, i64, String) {
    let (status, answer) = rest.call(method, path, body);
    let code = answer["error_code"].as_i64();
    let message = answer["message"].as_str().unwrap_or_default().to_owned();
    (
        status,
        code.unwrap_or_else(|| panic!("{method} {path}: {status} {answer}")),
        message,
    )
}

/// A request with headers of its own.
fn send(rest: &Rest, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let path = format!("/v3/clusters/{}{path}", rest.cluster);
    http::send(&rest.address, method, &path, headers, body, LIMIT).unwrap()
}

#[test]
fn what_is_no_config_cannot_be_changed() {
    let (_server, rest) = start();
    let not_found = |owner: &str, name: &str| {
        let cluster = &rest.cluster;
        format!("Config {name} cannot be found for {owner} in cluster {cluster}.")
    };
    let alter = json!({"data": [{"name": "retention.ms", "value": 9}, {"name": "no.config", "value": "1"}]});
    for (owner, path) in [
        ("TOPIC orders", "/topics/orders"),
        ("BROKER 1", "/brokers/1"),
    ] {
        let name = if owner.starts_with('T') {
            "no.config"
        } else {
            "retention.ms"
        };
        let found = refusal(&rest, "POST", &format!("{path}/configs:alter"), &alter);
        assert_eq!(found, (404, 404, not_found(owner, name)));
        let one = format!("{path}/configs/no.config");
        let expected = (404, 404, not_found(owner, "no.config"));
        assert_eq!(
            refusal(&rest, "PUT", &one, &json!({"value": "1"})),
            expected
        );
        assert_eq!(refusal(&rest, "DELETE", &one, &Value::Null), expected);
        assert_eq!(refusal(&rest, "GET", &one, &Value::Null), expected);
    }
    // Nothing of the batch was done.
    let retention = rest.get("/topics/orders/configs/retention.ms");
    assert_eq!(retention["is_default"], true);
    let unknown = refusal(&rest, "POST", "/topics/none/configs:alter", &alter);
    assert_eq!((unknown.0, unknown.1), (404, 40403));
    // A value need not be in quotes.
    let alter = json!({"data": [{"name": "retention.ms", "value": 9}]});
    assert_eq!(
        rest.call("POST", "/topics/orders/configs:alter", &alter).0,
        204
    );
    let retention = rest.get("/topics/orders/configs/retention.ms");
    assert_eq!(retention["value"], "9");
}

#[test]
fn an_answer_is_json_and_so_is_a_body() {
    let (_server, rest) = start();
    let accept = |accept| send(&rest, "GET", "/topics", &[("Accept", accept)], "");
    for good in ["application/json", "*/*", "text/html, application/*;q=0.2"] {
        assert_eq!(accept(good).status, 200, "{good}");
    }
    let refused = accept("text/html");
    assert_eq!(
        (
            refused.status,
            refused.content_type.as_str(),
            refused.body.as_str()
        ),
        (
            406,
            "application/json",
            r#"{"error_code":406,"message":"HTTP 406 Not Acceptable"}"#
        )
    );
    let records = r#"{"value":{"type":"STRING","data":"a"}}"#;
    for (path, body) in [
        ("/topics", r#"{"topic_name":"other"}"#),
        ("/topics/orders/records", records),
        ("/topics/orders/records:batch", "{}"),
        ("/topics/orders/configs:alter", "{}"),
    ] {
        for content_type in ["text/plain", "application/vnd.kafka.json.v2+json"] {
            let refused = send(&rest, "POST", path, &[("Content-Type", content_type)], body);
            assert_eq!(refused.status, 415, "{path} {content_type}: {refused:?}");
            assert_eq!(
                refused.body,
                r#"{"error_code":415,"message":"HTTP 415 Unsupported Media Type"}"#
            );
        }
    }
    let charset = [("Content-Type", "application/json; charset=UTF-8")];
    let sent = send(&rest, "POST", "/topics/orders/records", &charset, records);
    assert_eq!(sent.status, 200, "{sent:?}");
    // Where there is nothing to accept: path and method come first.
    let accept = [("Accept", "text/html")];
    assert_eq!(send(&rest, "GET", "/nothing", &accept, "").status, 404);
    assert_eq!(send(&rest, "PUT", "/topics", &accept, "").status, 405);
}

#[test]
fn a_body_says_what_is_asked_for_and_nothing_else() {
    let (_server, rest) = start();
    let bodies = [
        ("POST", "/topics", r#"{"topic_name":"a","colour":1}"#),
        (
            "PATCH",
            "/topics/orders",
            r#"{"partitions_count":2,"colour":1}"#,
        ),
        (
            "PUT",
            "/topics/orders/configs/retention.ms",
            r#"{"value":"9","colour":1}"#,
        ),
        (
            "POST",
            "/topics/orders/configs:alter",
            r#"{"data":[{"name":"retention.ms","colour":1}]}"#,
        ),
        ("POST", "/acls", r#"{"resource_type":"TOPIC","colour":1}"#),
        (
            "POST",
            "/topics/orders/records:batch",
            r#"{"entries":[{"id":"a","colour":1}]}"#,
        ),
    ];
    let json = [("Content-Type", "application/json")];
    for (method, path, body) in bodies {
        let refused = send(&rest, method, path, &json, body);
        assert_eq!(
            (refused.status, refused.body.as_str()),
            (
                422,
                r#"{"error_code":422,"message":"Unrecognized field: colour"}"#
            ),
            "{path}"
        );
        for broken in ["{", "[]", "7", r#"{"topic_name":{}}"#] {
            let refused = send(&rest, method, path, &json, broken);
            let known = refused.body.contains("Unrecognized field: topic_name");
            let expected = if known { 422 } else { 400 };
            assert_eq!(refused.status, expected, "{path} {broken}: {refused:?}");
        }
        let code = if path.ends_with(":batch") {
            42208
        } else {
            42206
        };
        for nothing in ["", " ", "null"] {
            let refused = send(&rest, method, path, &json, nothing);
            let answer: Value = serde_json::from_str(&refused.body).unwrap();
            assert_eq!(
                (refused.status, &answer["error_code"]),
                (422, &json!(code)),
                "{path}"
            );
            let message = answer["message"].as_str().unwrap();
            assert!(
                message.ends_with("Request body is empty. Data is required."),
                "{message}"
            );
        }
    }
    // Of a stream each record is judged alone.
    let records = r#"{"colour":1} {"partition_id":-1} {"value":{"type":"STRING","data":"a"}}"#;
    let reports = send(&rest, "POST", "/topics/orders/records", &json, records);
    let codes: Vec<Value> = reports
        .body
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["error_code"].clone())
        .collect();
    assert_eq!(codes, [json!(400), json!(40402), json!(200)]);
    let created = send(
        &rest,
        "POST",
        "/topics",
        &json,
        r#"{"topic_name":"b","partitions_count":"3"}"#,
    );
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(rest.get("/topics/b")["partitions_count"], 3);
}

#[test]
fn version_2_refuses_fields_it_does_not_know() {
    let (server, _) = start();
    let proxy = Proxy::of(&server);
    let v2 = "application/vnd.kafka.v2+json";
    let body = json!({"records": [{"value": 1, "timestamp": 5}]});
    let (status, refused) = proxy.send("POST", "/topics/orders", &media("json"), v2, &body);
    assert_eq!(status, 422, "{refused}");
    assert_eq!(refused["message"], "Unrecognized field: timestamp");
    let (status, refused) = proxy.post("/consumers/readers", &json!({"colour": 1}));
    assert_eq!((status, &refused["error_code"]), (422, &json!(422)));
}

#[test]
fn a_batch_of_records_has_ids() {
    let (_server, rest) = start();
    let batch = |entries: Value| {
        refusal(
            &rest,
            "POST",
            "/topics/orders/records:batch",
            &json!({ "entries": entries }),
        )
    };
    let refused = |message: &str| (422, 42208, message.to_owned());
    assert_eq!(batch(json!([])), refused("Empty batch."));
    let invalid = refused("Batch entry identifier is not a valid string.");
    assert_eq!(batch(json!([{"id": 1}])), invalid);
    assert_eq!(batch(json!([{"id": ""}])), invalid);
    let twice = json!([{"id": "a"}, {"id": "a"}]);
    assert_eq!(batch(twice), refused("Batch entry IDs are not distinct."));
    let many: Vec<Value> = (0..11).map(|id| json!({"id": id.to_string()})).collect();
    assert_eq!(batch(json!(many)), refused("Too many entries in batch."));
}

#[test]
fn a_path_leads_somewhere_or_nowhere() {
    let (server, rest) = start();
    let get = |address: &str, path: &str| http::send(address, "GET", path, &[], "", LIMIT).unwrap();
    let v3 = format!("/v3/clusters/{}", rest.cluster);
    for path in [
        "/v3/nothing".to_owned(),
        "/consumers/readers/nothing/".to_owned(),
        "/topics/orders/partitions/zero".to_owned(),
        format!("{v3}/topics/orders/partitions/zero"),
        format!("{v3}/brokers/99999999999/configs"),
        format!("{v3}/topics/%ff"),
    ] {
        let refused = get(&rest.address, &path);
        assert_eq!(
            (refused.status, refused.body.as_str()),
            (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#),
            "{path}"
        );
        assert!(
            refused.content_type.starts_with("application/"),
            "{refused:?}"
        );
    }
    // A slash at the end is nothing.
    let platform = server.ready()["admin"].as_str().unwrap();
    for (address, prefix) in [(rest.address.as_str(), ""), (platform, "/kafka")] {
        for path in ["/v3/clusters/", "/topics/", "/v3/clusters/?page=1"] {
            let found = get(address, &format!("{prefix}{path}"));
            assert_eq!(found.status, 200, "{prefix}{path}: {found:?}");
        }
    }
    let with = get(&rest.address, &format!("{v3}/topics/orders/"));
    let without = get(&rest.address, &format!("{v3}/topics/orders"));
    assert_eq!(with.body, without.body);
    let options = send(&rest, "OPTIONS", "/topics", &[], "");
    assert_eq!((options.status, options.body.as_str()), (200, ""));
    let unnamed = refusal(&rest, "GET", "/topics/a%20b", &Value::Null);
    let words = "The request attempted to perform an operation on an invalid topic.";
    assert_eq!(unnamed, (400, 40002, words.to_owned()));
}

#[test]
fn a_long_answer_is_compressed_for_who_takes_that() {
    let (_server, rest) = start();
    let head_of = |path: &str, encoding: &str| {
        let mut stream = TcpStream::connect(&rest.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(
            stream,
            "GET /v3/clusters/{}{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
             Accept-Encoding: {encoding}\r\n\r\n",
            rest.cluster
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let body = answer.split_off(end.unwrap() + 4);
        (
            String::from_utf8(answer).unwrap().to_ascii_lowercase(),
            body,
        )
    };
    let (head, plain) = head_of("/topics/orders/configs", "identity");
    assert!(!head.contains("content-encoding"), "{head}");
    let (head, small) = head_of("/topics/orders/configs", "gzip, deflate, br");
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", small.len())),
        "{head}"
    );
    assert!(small.starts_with(&[0x1f, 0x8b]) && small.len() < plain.len() / 4);
    let (head, _) = head_of("/topics/orders", "gzip");
    assert!(!head.contains("content-encoding"), "{head}");
}
