//! Version 2 of the REST Proxy: topics, records in the format of the content type, consumer instances.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http;
use crate::rest_proxy::{Rest, address};
use crate::server::Server;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);
const V2: &str = "application/vnd.kafka.v2+json";

/// The content type of a format.
pub(crate) fn media(format: &str) -> String {
    format!("application/vnd.kafka.{format}.v2+json")
}

/// A proxy's API of version 2.
pub(crate) struct Proxy {
    pub(crate) address: String,
}

impl Proxy {
    pub(crate) fn of(server: &Server) -> Proxy {
        Proxy {
            address: address(server),
        }
    }

    /// One request; a body that is null is none.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        accept: &str,
        body: &Value,
    ) -> (u16, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let headers = [("Content-Type", content_type), ("Accept", accept)];
        let answer = http::send(&self.address, method, path, &headers, &body, LIMIT).unwrap();
        let is_json =
            answer.body.is_empty() || answer.content_type.starts_with("application/vnd.kafka");
        assert!(is_json, "{answer:?}");
        let value = match answer.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body)),
        };
        (answer.status, value)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, V2, V2, body)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, V2, V2, &Value::Null)
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        self.send("DELETE", path, V2, V2, &Value::Null)
    }

    /// Writes values as JSON and gives the answer, which must be good.
    #[track_caller]
    pub(crate) fn produce(&self, topic: &str, values: impl IntoIterator<Item = Value>) -> Value {
        let records: Vec<_> = values
            .into_iter()
            .map(|value| json!({"value": value}))
            .collect();
        let body = json!({"records": records});
        let path = format!("/topics/{topic}");
        let (status, answer) = self.send("POST", &path, &media("json"), V2, &body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Makes an instance that reads JSON from the beginning, and gives its path.
    #[track_caller]
    pub(crate) fn instance(&self, group: &str, name: &str, settings: Value) -> String {
        let mut body = json!({"name": name, "format": "json", "auto.offset.reset": "earliest"});
        for (key, value) in settings.as_object().unwrap() {
            body[key] = value.clone();
        }
        let (status, made) = self.post(&format!("/consumers/{group}"), &body);
        assert_eq!(status, 200, "{made}");
        let path = format!("/consumers/{group}/instances/{name}");
        assert_eq!(made["instance_id"], name);
        assert_eq!(made["base_uri"], format!("http://{}{path}", self.address));
        path
    }

    /// One read of JSON.
    pub(crate) fn read(&self, instance: &str) -> (u16, Value) {
        let path = format!("{instance}/records");
        self.send("GET", &path, V2, &media("json"), &Value::Null)
    }

    /// Reads until so many records have come, and gives their values.
    #[track_caller]
    pub(crate) fn read_values(&self, instance: &str, count: usize) -> Vec<Value> {
        let mut values = Vec::new();
        for _ in 0..60 {
            let (status, records) = self.read(instance);
            assert_eq!(status, 200, "{records}");
            let records = records.as_array().unwrap();
            values.extend(records.iter().map(|record| record["value"].clone()));
            if values.len() >= count {
                break;
            }
        }
        values
    }
}

fn with_topic(partitions: i32) -> (Server, Proxy) {
    let server = Server::start();
    let proxy = Proxy::of(&server);
    let rest = Rest::of(proxy.address.clone());
    let topic = json!({"topic_name": "orders", "partitions_count": partitions});
    assert_eq!(rest.call("POST", "/topics", &topic).0, 201);
    (server, proxy)
}

#[test]
fn topics_partitions_and_brokers_are_shown() {
    let (_server, proxy) = with_topic(2);
    assert_eq!(proxy.get("/").1, json!({}));
    assert_eq!(proxy.get("/topics").1, json!(["orders"]));
    assert_eq!(proxy.get("/brokers").1, json!({"brokers": [1]}));
    let (_, topic) = proxy.get("/topics/orders");
    assert_eq!(topic["configs"]["cleanup.policy"], "delete");
    let second = json!({"partition": 1, "leader": 1, "replicas": [{"broker": 1, "leader": true, "in_sync": true}]});
    assert_eq!(topic["partitions"][1], second);
    assert_eq!(proxy.get("/topics/orders/partitions/1").1, second);
    proxy.produce("orders", [json!(1), json!(2), json!(3)]);
    let ends: Vec<i64> = (0..2)
        .map(|partition| {
            let path = format!("/topics/orders/partitions/{partition}/offsets");
            let (_, offsets) = proxy.get(&path);
            assert_eq!(offsets["beginning_offset"], 0);
            offsets["end_offset"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(ends.iter().sum::<i64>(), 3);
    for (path, code) in [
        ("/topics/none", 40401),
        ("/topics/none/partitions", 40401),
        ("/topics/orders/partitions/9", 40402),
        ("/topics/orders/partitions/9/offsets", 40402),
    ] {
        let (status, refused) = proxy.get(path);
        assert_eq!(
            (status, &refused["error_code"]),
            (404, &json!(code)),
            "{path}"
        );
    }
}

#[test]
fn records_are_written_in_the_format_of_the_content_type() {
    let (server, proxy) = with_topic(1);
    let write = |path: &str, content_type: &str, body: &Value| {
        proxy.send("POST", path, content_type, V2, body)
    };
    let records = json!({"records": [{"key": "a2V5", "value": "AQI="}, {"value": null}]});
    let (status, answer) = write("/topics/orders", &media("binary"), &records);
    let offset =
        |offset| json!({"partition": 0, "offset": offset, "error_code": null, "error": null});
    assert_eq!(
        (status, &answer),
        (
            200,
            &json!({"offsets": [offset(0), offset(1)], "key_schema_id": null, "value_schema_id": null})
        )
    );
    let (status, answer) = write(
        "/topics/orders/partitions/0",
        &media("json"),
        &json!({"records": [{"value": {"a": [1]}}]}),
    );
    assert_eq!((status, &answer["offsets"][0]), (200, &offset(2)));
    let consumed = server.run("kafka topic consume orders -b --exit").ok();
    assert!(consumed.contains("{\"a\":[1]}"), "{consumed}");
    for (path, content_type, body, code) in [
        (
            "/topics/orders",
            "application/json".to_owned(),
            records.clone(),
            415,
        ),
        (
            "/topics/orders",
            media("binary"),
            json!({"records": [{"value": "?"}]}),
            42203,
        ),
        ("/topics/orders", media("binary"), json!({}), 422),
        ("/topics/orders", media("binary"), Value::Null, 42206),
        (
            "/topics/orders",
            media("avro"),
            json!({"records": [{"value": 1}]}),
            42202,
        ),
        (
            "/topics/orders",
            media("avro"),
            json!({"records": [{"key": 1}]}),
            42201,
        ),
        (
            "/topics/orders/partitions/7",
            media("binary"),
            records.clone(),
            40402,
        ),
    ] {
        let (_, refused) = write(path, &content_type, &body);
        assert_eq!(
            refused["error_code"], code,
            "{path} {content_type} {body}: {refused}"
        );
    }
    let (status, refused) = proxy.send("GET", "/topics", V2, "text/html", &Value::Null);
    assert_eq!((status, &refused["error_code"]), (406, &json!(406)));
    let (_, answer) = write(
        "/topics/orders",
        &media("json"),
        &json!({"records": [{"partition": 9, "value": 1}]}),
    );
    assert_eq!(answer["offsets"][0]["error_code"], 50003);
}

#[test]
fn an_instance_subscribes_reads_commits_and_goes() {
    let (server, proxy) = with_topic(1);
    proxy.produce("orders", (0..5).map(Value::from));
    let fast = json!({"fetch.min.bytes": 1, "auto.commit.enable": "false"});
    let instance = proxy.instance("readers", "one", fast);
    let topics = json!({"topics": ["orders"]});
    assert_eq!(
        proxy.post(&format!("{instance}/subscription"), &topics).0,
        204
    );
    assert_eq!(proxy.get(&format!("{instance}/subscription")).1, topics);
    assert_eq!(
        proxy.read_values(&instance, 5),
        (0..5).map(Value::from).collect::<Vec<_>>()
    );
    let partition = json!({"partitions": [{"topic": "orders", "partition": 0}]});
    assert_eq!(proxy.get(&format!("{instance}/assignments")).1, partition);
    // What was read is committed, then an offset by name.
    let offsets = format!("{instance}/offsets");
    let committed = || {
        let (status, committed) = proxy.send("GET", &offsets, V2, V2, &partition);
        assert_eq!(status, 200, "{committed}");
        committed["offsets"].clone()
    };
    assert_eq!(committed(), json!([]));
    assert_eq!(proxy.post(&offsets, &Value::Null), (200, json!([])));
    assert_eq!(committed()[0]["offset"], 5);
    let by_name =
        json!({"offsets": [{"topic": "orders", "partition": 0, "offset": 2, "metadata": "m"}]});
    assert_eq!(proxy.post(&offsets, &by_name).0, 200);
    assert_eq!(
        committed(),
        json!([{"topic": "orders", "partition": 0, "offset": 3, "metadata": "m"}])
    );
    // It goes where it is told.
    let seek = json!({"offsets": [{"topic": "orders", "partition": 0, "offset": 3}]});
    assert_eq!(proxy.post(&format!("{instance}/positions"), &seek).0, 204);
    assert_eq!(proxy.read_values(&instance, 2), [json!(3), json!(4)]);
    let beginning = format!("{instance}/positions/beginning");
    assert_eq!(proxy.post(&beginning, &partition).0, 204);
    assert_eq!(proxy.read_values(&instance, 5)[0], json!(0));
    assert_eq!(
        proxy
            .post(&format!("{instance}/positions/end"), &partition)
            .0,
        204
    );
    proxy.produce("orders", [json!("new")]);
    assert_eq!(proxy.read_values(&instance, 1), [json!("new")]);
    // One way of reading at a time.
    let (status, refused) = proxy.post(&format!("{instance}/assignments"), &partition);
    assert_eq!((status, &refused["error_code"]), (409, &json!(40903)));
    assert_eq!(proxy.delete(&format!("{instance}/subscription")).0, 204);
    assert_eq!(
        proxy.post(&format!("{instance}/assignments"), &partition).0,
        204
    );
    assert_eq!(proxy.get(&format!("{instance}/assignments")).1, partition);
    assert_eq!(proxy.delete(&instance).0, 204);
    let (status, refused) = proxy.read(&instance);
    assert_eq!((status, &refused["error_code"]), (404, &json!(40403)));
    // The group has no member any more.
    let group = server.json("kafka consumer group describe readers");
    assert!(!group.to_string().contains("rest-proxy-one"), "{group}");
}

#[test]
fn what_an_instance_cannot_do_is_told() {
    let (_server, proxy) = with_topic(1);
    let instance = proxy.instance("g", "one", json!({"consumer.request.timeout.ms": 200}));
    let code = |(status, body): (u16, Value)| (status, body["error_code"].clone());
    let make = |settings: Value| code(proxy.post("/consumers/g", &settings));
    assert_eq!(make(json!({"name": "one"})), (409, json!(40902)));
    assert_eq!(make(json!({"auto.offset.reset": "x"})), (422, json!(42204)));
    assert_eq!(make(json!({"fetch.min.bytes": -2})), (422, json!(40001)));
    assert_eq!(make(json!({"format": "xml"})), (422, json!(422)));
    let binary = proxy.send("GET", &format!("{instance}/records"), V2, V2, &Value::Null);
    assert_eq!(code(binary), (406, json!(40601)));
    let (status, made) = proxy.post("/consumers/g", &Value::Null);
    assert_eq!(status, 200, "{made}");
    assert!(
        made["instance_id"]
            .as_str()
            .unwrap()
            .starts_with("rest-consumer-")
    );
    let seek = json!({"offsets": [{"topic": "orders", "partition": 0, "offset": 0}]});
    let (status, refused) = proxy.post(&format!("{instance}/positions"), &seek);
    assert_eq!(status, 409);
    assert_eq!(
        refused["message"],
        "Illegal state: No current assignment for partition orders-0"
    );
    let nul = json!({"topics": ["a\u{0}b"]});
    assert_eq!(
        code(proxy.post(&format!("{instance}/subscription"), &nul)),
        (422, json!(422))
    );
    assert_eq!(
        code(proxy.post(&format!("{instance}/subscription"), &Value::Null)),
        (422, json!(42206))
    );
    assert_eq!(
        code(proxy.get("/consumers/g/instances/none/subscription")),
        (404, json!(40403))
    );
}

#[test]
fn a_pattern_and_a_limit_of_bytes_are_kept_to() {
    let (_server, proxy) = with_topic(1);
    proxy.produce("orders", (0..10).map(|n| json!(format!("{n:0>100}"))));
    let instance = proxy.instance("g", "one", json!({"fetch.min.bytes": 1}));
    let pattern = json!({"topic_pattern": "ord.*"});
    assert_eq!(
        proxy.post(&format!("{instance}/subscription"), &pattern).0,
        204
    );
    let path = format!("{instance}/records?max_bytes=250");
    let mut seen = Vec::new();
    for _ in 0..100 {
        let (status, records) = proxy.send("GET", &path, V2, &media("json"), &Value::Null);
        assert_eq!(status, 200, "{records}");
        let records = records.as_array().unwrap().clone();
        // Two of 102 bytes are below 250, three are not.
        assert!(records.len() <= 2, "{records:?}");
        seen.extend(
            records
                .iter()
                .map(|record| record["offset"].as_i64().unwrap()),
        );
        if seen.len() >= 10 {
            break;
        }
    }
    assert_eq!(seen, (0..10).collect::<Vec<i64>>());
    assert_eq!(
        proxy.get(&format!("{instance}/subscription")).1,
        json!({"topics": ["orders"]})
    );
}

#[test]
fn an_instance_that_unsubscribes_may_read_and_commit_on_its_own() {
    let (_server, proxy) = with_topic(1);
    let instance = proxy.instance("readers", "one", json!({"fetch.min.bytes": 1}));
    proxy.produce("orders", [json!(1), json!(2)]);
    let topics = json!({"topics": ["orders"]});
    let subscription = format!("{instance}/subscription");
    assert_eq!(proxy.post(&subscription, &topics).0, 204);
    assert_eq!(proxy.read_values(&instance, 2), [1, 2]);
    assert_eq!(proxy.delete(&subscription).0, 204);
    // A group that has members takes no commits from others.
    let place = json!({"topic": "orders", "partition": 0});
    let assignment = json!({"partitions": [place]});
    let path = format!("{instance}/assignments");
    assert_eq!(proxy.post(&path, &assignment).0, 204);
    let offsets = json!({"offsets": [{"topic": "orders", "partition": 0, "offset": 0}]});
    let path = format!("{instance}/offsets");
    let (status, refused) = proxy.post(&path, &offsets);
    assert_eq!(status, 200, "{refused}");
    let (status, committed) = proxy.send("GET", &path, V2, V2, &assignment);
    assert_eq!(
        (status, &committed["offsets"][0]["offset"]),
        (200, &json!(1))
    );
}
