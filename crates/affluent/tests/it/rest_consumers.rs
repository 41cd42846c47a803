//! Consumer instances of several proxies before one cluster: any of them serves any instance, also when the one that made
//! it is killed.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::wait::wait_for;

use crate::rest_proxy::Rest;
use crate::rest_v2::Proxy;
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(60);

fn alone(broker: &Server, settings: &[&str]) -> Server {
    let mut flags = vec![
        "--roles",
        "rest-proxy",
        "--bootstrap-server",
        broker.bootstrap(),
    ];
    for setting in settings {
        flags.extend(["--override", setting]);
    }
    Server::start_with(&flags, &[])
}

fn cluster(partitions: i32) -> Server {
    let broker = Server::start();
    let rest = Rest::of(Proxy::of(&broker).address);
    let topic = json!({"topic_name": "orders", "partitions_count": partitions});
    assert_eq!(rest.call("POST", "/topics", &topic).0, 201);
    broker
}

fn subscribe(proxy: &Proxy, instance: &str) {
    let topics = json!({"topics": ["orders"]});
    assert_eq!(
        proxy.post(&format!("{instance}/subscription"), &topics).0,
        204
    );
}

const SETTINGS: fn() -> Value = || json!({"fetch.min.bytes": 1, "auto.commit.enable": "false"});

fn sorted(mut values: Vec<Value>) -> Vec<i64> {
    values.sort_by_key(Value::as_i64);
    values.iter().map(|value| value.as_i64().unwrap()).collect()
}

#[test]
fn any_proxy_serves_any_instance_and_goes_on_when_its_owner_is_killed() {
    let broker = cluster(3);
    let (first, second) = (alone(&broker, &[]), alone(&broker, &[]));
    let (one, two) = (Proxy::of(&first), Proxy::of(&second));
    let instance = one.instance("readers", "shared", SETTINGS());
    // The other knows it at once, and what is done there holds here.
    subscribe(&two, &instance);
    assert_eq!(
        one.get(&format!("{instance}/subscription")).1,
        json!({"topics": ["orders"]})
    );
    let (status, refused) = two.post("/consumers/readers", &json!({"name": "shared"}));
    assert_eq!((status, &refused["error_code"]), (409, &json!(40902)));
    one.produce("orders", (0..100).map(Value::from));
    assert_eq!(
        sorted(two.read_values(&instance, 100)),
        (0..100).collect::<Vec<_>>()
    );
    one.produce("orders", (100..200).map(Value::from));
    assert_eq!(
        sorted(one.read_values(&instance, 100)),
        (100..200).collect::<Vec<_>>()
    );
    // Another request: what was read before counts as received, though nothing is committed.
    assert_eq!(two.get(&format!("{instance}/assignments")).0, 200);
    wait_for("the positions in the topic", LIMIT, || {
        let consumed = broker
            .run("kafka topic consume _affluent_rest_consumers -b --exit")
            .ok();
        let last = consumed.lines().last().unwrap_or_default().to_owned();
        let Ok(record) = serde_json::from_str::<Value>(&last) else {
            return Ok(None);
        };
        let positions = record["positions"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let sum: i64 = positions
            .iter()
            .filter_map(|position| position["offset"].as_i64())
            .sum();
        Ok((sum == 200).then_some(()))
    })
    .unwrap();
    drop(first);
    two.produce("orders", (200..300).map(Value::from));
    assert_eq!(
        sorted(two.read_values(&instance, 100)),
        (200..300).collect::<Vec<_>>()
    );
    // The member was taken over, not added: it has all partitions.
    let (_, assignments) = two.get(&format!("{instance}/assignments"));
    assert_eq!(assignments["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(
        two.post(&format!("{instance}/offsets"), &Value::Null).0,
        200
    );
    assert_eq!(two.delete(&instance).0, 204);
    assert_eq!(two.get(&format!("{instance}/assignments")).0, 404);
}

#[test]
fn assigned_partitions_and_positions_are_taken_over() {
    let broker = cluster(2);
    let (first, second) = (alone(&broker, &[]), alone(&broker, &[]));
    let (one, two) = (Proxy::of(&first), Proxy::of(&second));
    for partition in 0..2 {
        let records: Vec<Value> = (0..10)
            .map(|n| json!({"value": partition * 100 + n}))
            .collect();
        let path = format!("/topics/orders/partitions/{partition}");
        let content_type = crate::rest_v2::media("json");
        let body = json!({"records": records});
        assert_eq!(one.send("POST", &path, &content_type, "*/*", &body).0, 200);
    }
    let instance = one.instance("readers", "assigned", SETTINGS());
    let partitions = json!({"partitions": [{"topic": "orders", "partition": 1}]});
    assert_eq!(
        one.post(&format!("{instance}/assignments"), &partitions).0,
        204
    );
    assert_eq!(
        sorted(one.read_values(&instance, 10)),
        (100..110).collect::<Vec<_>>()
    );
    let seek = json!({"offsets": [{"topic": "orders", "partition": 1, "offset": 7}]});
    assert_eq!(one.post(&format!("{instance}/positions"), &seek).0, 204);
    drop(first);
    assert_eq!(two.get(&format!("{instance}/assignments")).1, partitions);
    assert_eq!(sorted(two.read_values(&instance, 3)), [107, 108, 109]);
}

#[test]
fn a_proxy_that_stops_hands_its_instances_over() {
    let broker = cluster(1);
    let (mut first, second) = (alone(&broker, &[]), alone(&broker, &[]));
    let (one, two) = (Proxy::of(&first), Proxy::of(&second));
    let instance = one.instance("readers", "moving", SETTINGS());
    subscribe(&one, &instance);
    one.produce("orders", (0..5).map(Value::from));
    assert_eq!(one.read_values(&instance, 5).len(), 5);
    assert_eq!(one.get(&format!("{instance}/assignments")).0, 200);
    assert_eq!(first.stop(), 0);
    two.produce("orders", [json!(5)]);
    assert_eq!(sorted(two.read_values(&instance, 1)), [5]);
}

#[test]
fn idle_instances_end_and_their_number_is_bounded() {
    let broker = cluster(1);
    let server = alone(
        &broker,
        &[
            "kafka.rest.consumer.instance.timeout.ms=5000",
            "kafka.rest.consumer.instances.max=2",
        ],
    );
    let proxy = Proxy::of(&server);
    let idle = proxy.instance("g", "idle", SETTINGS());
    let used = proxy.instance("g", "used", SETTINGS());
    let (status, refused) = proxy.post("/consumers/g", &json!({"name": "third"}));
    assert_eq!((status, &refused["error_code"]), (503, &json!(50301)));
    wait_for("the idle instance's end", LIMIT, || {
        assert_eq!(proxy.get(&format!("{used}/assignments")).0, 200);
        let (status, _) = proxy.post("/consumers/g", &json!({"name": "third"}));
        Ok((status == 200).then_some(()))
    })
    .unwrap();
    assert_eq!(proxy.get(&format!("{idle}/assignments")).0, 404);
}

#[test]
fn partitions_of_a_deleted_instance_go_to_others_at_once() {
    let broker = cluster(2);
    let proxy = Proxy::of(&broker);
    let one = proxy.instance("g", "one", SETTINGS());
    let two = proxy.instance("g", "two", SETTINGS());
    let assigned = |instance: &str| {
        let (_, answer) = proxy.get(&format!("{instance}/assignments"));
        answer["partitions"].as_array().map_or(0, Vec::len)
    };
    subscribe(&proxy, &one);
    subscribe(&proxy, &two);
    wait_for("one partition for each", LIMIT, || {
        Ok((assigned(&one) == 1 && assigned(&two) == 1).then_some(()))
    })
    .unwrap();
    // Nobody reads, and the group rebalances all the same.
    assert_eq!(proxy.delete(&one).0, 204);
    let begin = std::time::Instant::now();
    wait_for("both for the other", LIMIT, || {
        Ok((assigned(&two) == 2).then_some(()))
    })
    .unwrap();
    // Not only when the session of 45 s is over.
    assert!(begin.elapsed() < Duration::from_secs(30));
}
