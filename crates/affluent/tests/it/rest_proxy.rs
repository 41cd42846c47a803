//! The REST Proxy of the binary, beside its broker and alone.

use std::collections::BTreeSet;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http;
use crate::server::Server;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A service's address from the ready file.
pub(crate) fn address(server: &Server) -> String {
    let services = server.ready()["services"].as_array().unwrap();
    let proxy = services
        .iter()
        .find(|service| service["role"] == "rest-proxy")
        .unwrap();
    proxy["address"].as_str().unwrap().to_owned()
}

/// Sends one request and gives the status and the body.
pub(crate) fn call(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    http::call(address, method, path, body, LIMIT).unwrap()
}

/// A proxy's API of version 3.
pub(crate) struct Rest {
    pub(crate) address: String,
    pub(crate) cluster: String,
}

impl Rest {
    pub(crate) fn of(address: String) -> Rest {
        let (status, body) = call(&address, "GET", "/v3/clusters", "");
        assert_eq!(status, 200, "{body}");
        let clusters: Value = serde_json::from_str(&body).unwrap();
        let cluster = clusters["data"][0]["cluster_id"].as_str().unwrap();
        Rest {
            cluster: cluster.to_owned(),
            address,
        }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/v3/clusters/{}{path}", self.cluster);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, text) = call(&self.address, method, &path, &body);
        let value = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        (status, value)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The error code of a request that is refused with this status.
    pub(crate) fn refused(&self, status: u16, method: &str, path: &str) -> Value {
        let (found, body) = self.call(method, path, &Value::Null);
        assert_eq!(found, status, "{path}: {body}");
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{body}"
        );
        body["error_code"].clone()
    }

    /// Follows every link from a path of the API and gives the addresses that were seen.
    pub(crate) fn follow(&self, path: &str) -> BTreeSet<String> {
        let mut todo = vec![format!("http://{}{path}", self.address)];
        let mut seen = BTreeSet::new();
        while let Some(url) = todo.pop() {
            if !seen.insert(url.clone()) {
                continue;
            }
            let path = url
                .strip_prefix(&format!("http://{}", self.address))
                .unwrap();
            let (status, body) = call(&self.address, "GET", path, "");
            // Nobody moves partitions here, and access control lists need an authorizer.
            let expected: &[u16] = match path {
                path if path.ends_with("/reassignment") => &[200, 404],
                path if path.ends_with("/acls") => &[400],
                _ => &[200],
            };
            assert!(expected.contains(&status), "{path}: {status} {body}");
            if !path.contains("/configs/") {
                links_in(&serde_json::from_str(&body).unwrap(), &mut todo);
            }
        }
        seen
    }
}

#[test]
fn topics_and_their_configs_are_made_changed_and_deleted() {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    let topic = json!({"topic_name": "orders", "partitions_count": 2, "configs": [{"name": "retention.ms", "value": "9"}]});
    let (status, created) = rest.call("POST", "/topics", &topic);
    assert_eq!((status, &created["partitions_count"]), (201, &json!(2)));
    let (status, refused) = rest.call("POST", "/topics", &topic);
    assert_eq!((status, &refused["error_code"]), (400, &json!(40002)));
    assert_eq!(
        rest.get("/topics/orders/configs/retention.ms")["value"],
        "9"
    );
    let change = json!({"data": [{"name": "retention.ms", "operation": "DELETE"}, {"name": "cleanup.policy", "value": "compact"}]});
    assert_eq!(
        rest.call("POST", "/topics/orders/configs:alter", &change).0,
        204
    );
    assert_eq!(
        rest.get("/topics/orders/configs/cleanup.policy")["value"],
        "compact"
    );
    assert_eq!(
        rest.get("/topics/orders/configs/retention.ms")["is_default"],
        true
    );
    assert_eq!(
        rest.call("PATCH", "/topics/orders", &json!({"partitions_count": 3}))
            .0,
        200
    );
    assert_eq!(
        rest.get("/topics/orders/partitions")["data"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(rest.call("DELETE", "/topics/orders", &Value::Null).0, 204);
    let (status, gone) = rest.call("GET", "/topics/orders", &Value::Null);
    assert_eq!((status, &gone["error_code"]), (404, &json!(40403)));
}

#[test]
fn a_topic_that_does_not_exist_has_default_configs() {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    let listed = rest.get("/topics/orders/default-configs");
    assert_eq!(listed["kind"], "KafkaTopicConfigList");
    let configs = listed["data"].as_array().unwrap();
    let retention = configs
        .iter()
        .find(|config| config["name"] == "retention.ms")
        .unwrap();
    assert_eq!(
        (&retention["value"], &retention["source"]),
        (&json!("604800000"), &json!("DEFAULT_CONFIG"))
    );
    assert_eq!(rest.refused(404, "GET", "/topics/orders"), 40403);
    let topic = json!({"topic_name": "orders"});
    assert_eq!(rest.call("POST", "/topics", &topic).0, 201);
    let existing = rest.refused(400, "GET", "/topics/orders/default-configs");
    assert_eq!(existing, 40002);
}

#[test]
fn assignments_say_how_many_partitions_there_are() {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    let topic = json!({"topic_name": "orders", "partitions_count": 7, "replication_factor": 3,
        "replicas_assignments": {"0": [1], "1": [1]}, "validate_only": true});
    let (status, planned) = rest.call("POST", "/topics", &topic);
    assert_eq!((status, &planned["partitions_count"]), (200, &json!(2)));
    assert_eq!(rest.refused(404, "GET", "/topics/orders"), 40403);
    let mut topic = topic;
    topic["validate_only"] = json!(false);
    let (status, created) = rest.call("POST", "/topics", &topic);
    assert_eq!(status, 201, "{created}");
    assert_eq!(
        (&created["partitions_count"], &created["replication_factor"]),
        (&json!(2), &json!(1))
    );
}

#[test]
fn links_lead_where_they_say() {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    assert_eq!(
        rest.call("POST", "/topics", &json!({"topic_name": "a"})).0,
        201
    );
    let seen = rest.follow("/v3/clusters");
    assert!(seen.len() > 12, "{seen:?}");
}

fn links_in(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(url) if name == "related" || name == "self" => {
                        found.push(url.clone())
                    }
                    other => links_in(other, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| links_in(value, found)),
        _ => {}
    }
}

#[test]
fn a_stream_of_records_is_reported_while_it_is_sent() {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    assert_eq!(
        rest.call(
            "POST",
            "/topics",
            &json!({"topic_name": "orders", "partitions_count": 1})
        )
        .0,
        201
    );
    let mut stream = TcpStream::connect(&rest.address).unwrap();
    write!(
        stream,
        "POST /v3/clusters/{}/topics/orders/records HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        rest.cluster
    )
    .unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut reports = String::new();
    for number in 0..3 {
        let record =
            format!("{{\"value\":{{\"type\":\"JSON\",\"data\":{{\"number\":{number}}}}}}}");
        write!(stream, "{:x}\r\n{record}\r\n", record.len()).unwrap();
        if number == 0 {
            assert_eq!(http::read_head(&mut reader), Some((200, true)));
        }
        // The report of each comes before the next is sent.
        reports.push_str(&http::read_chunk(&mut reader).unwrap());
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(http::read_chunk(&mut reader).as_deref(), Some(""));
    let offsets: Vec<Value> = reports
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["offset"].clone())
        .collect();
    assert_eq!(offsets, [json!(0), json!(1), json!(2)]);
    let consumed = server.run("kafka topic consume orders -b --exit").ok();
    assert!(consumed.contains("{\"number\":2}"), "{consumed}");
}

#[test]
fn a_batch_says_what_went_well_and_what_did_not() {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    assert_eq!(
        rest.call("POST", "/topics", &json!({"topic_name": "orders"}))
            .0,
        201
    );
    let batch = json!({"entries": [
        {"id": "a", "value": {"type": "BINARY", "data": "AQI="}},
        {"id": "b", "value": {"type": "BINARY", "data": "?"}},
        {"id": "c", "partition_id": 7, "value": {"type": "STRING", "data": "x"}},
    ]});
    let (status, answer) = rest.call("POST", "/topics/orders/records:batch", &batch);
    assert_eq!(status, 207, "{answer}");
    assert_eq!(answer["successes"][0]["id"], "a");
    assert_eq!(
        answer["successes"][0]["value"],
        json!({"type": "BINARY", "size": 2})
    );
    let codes: Vec<_> = answer["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["error_code"].clone())
        .collect();
    assert_eq!(codes, [json!(400), json!(40403)]);
}

#[test]
fn it_runs_alone_against_a_broker_elsewhere() {
    let broker = Server::start_with(&["--roles", "broker"], &[]);
    assert_eq!(broker.ready()["services"], json!([]));
    let alone = Server::start_with(
        &[
            "--roles",
            "rest-proxy",
            "--bootstrap-server",
            broker.bootstrap(),
        ],
        &[],
    );
    assert_eq!(alone.ready()["listeners"], json!([]));
    let rest = Rest::of(address(&alone));
    assert_eq!(rest.cluster, broker.ready()["cluster_id"].as_str().unwrap());
    assert_eq!(
        rest.get("/brokers/1")["port"].to_string(),
        broker.bootstrap().rsplit(':').next().unwrap()
    );
}

#[test]
fn the_platform_serves_it_under_kafka_too_over_both_versions_of_http() {
    let server = Server::start();
    let rest = Rest::of(address(&server));
    let platform = server.ready()["admin"].as_str().unwrap();
    let (status, clusters) = call(platform, "GET", "/kafka/v3/clusters", "");
    assert_eq!(status, 200, "{clusters}");
    let clusters: Value = serde_json::from_str(&clusters).unwrap();
    let own = format!("http://{platform}/kafka/v3/clusters/{}", rest.cluster);
    assert_eq!(clusters["data"][0]["metadata"]["self"], own);
    assert_eq!(call(platform, "GET", "/kafka/topics", "").1, "[]");
    assert_eq!(call(platform, "GET", "/kafka/nonsense", "").0, 404);
    assert!(call(platform, "GET", "/metrics", "").1.contains("affluent"));
    for address in [platform, &rest.address] {
        assert_eq!(h2_status(address, "/kafka/v3/clusters"), Some(0x88));
    }
}

/// One request over HTTP/2 without TLS, by prior knowledge (RFC 9113, 3.3): the first byte of the answer's header block,
/// which is 0x88 for status 200 (RFC 7541, appendix A).
fn h2_status(address: &str, path: &str) -> Option<u8> {
    use std::io::Read;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(0x04, path), (0x01, address)] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.bytes());
    }
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    // Its headers and its end on stream 1.
    stream
        .write_all(&[0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1])
        .unwrap();
    stream.write_all(&block).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).ok()?;
        if head[3] == 1 {
            return payload.first().copied();
        }
    }
}
