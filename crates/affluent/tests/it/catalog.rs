//! The Stream Catalog beside a broker: what is set on a field and on a topic is there after a restart, and can be taken away.

use std::time::Duration;

use serde_json::{Value, json};

use testkit::port::free_port;
use testkit::wait::wait_for;

use crate::http;
use crate::registry::Instance;
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// The registry's own topic is a topic like others.
const TOPIC: &str = "_schemas";

struct Registry(String);

impl Registry {
    fn of(server: &Server) -> Self {
        Self(server.service("schema-registry"))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let (status, answer) = http::call(&self.0, method, path, &body, PATIENCE).unwrap();
        (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// An order whose one item is done.
    fn done(&self, method: &str, path: &str, item: Value) {
        let (status, answer) = self.ask(method, path, &json!([item]));
        assert!(
            status == 200 && answer[0].get("error").is_none(),
            "{path}: {answer}"
        );
    }

    fn delete(&self, path: &str) -> u16 {
        self.ask("DELETE", path, &Value::Null).0
    }
}

#[test]
fn what_the_catalog_was_told_outlives_the_process() {
    let listener = "schema.registry.listeners=http://127.0.0.1:0";
    let flags = ["--roles", "broker,schema-registry", "--override", listener];
    let server = Server::start_with(&flags, &[]);
    let registry = Registry::of(&server);
    let schema = json!({"type": "record", "name": "User", "fields": [
        {"name": "mail", "type": "string", "confluent:tags": ["PII"]}]});
    let schema = json!({"schema": schema.to_string()});
    assert_eq!(
        registry
            .ask("POST", "/subjects/users-value/versions", &schema)
            .0,
        200
    );
    let topic = topic(&registry);
    assert!(topic.ends_with(&format!(":{TOPIC}")), "{topic}");

    let level = json!({"name": "level", "typeName": "int", "isOptional": true});
    registry.done(
        "POST",
        "/catalog/v1/types/tagdefs",
        json!({"name": "Hot", "attributeDefs": [level]}),
    );
    let owner = json!({"name": "owner", "typeName": "string"});
    registry.done(
        "POST",
        "/catalog/v1/types/businessmetadatadefs",
        json!({"name": "Team", "attributeDefs": [owner]}),
    );
    let field = "schema-registry:.:1:User.mail";
    let hot = |of: &str, name: &str| json!({"entityType": of, "entityName": name, "typeName": "Hot", "attributes": {"level": 1}});
    registry.done("POST", "/catalog/v1/entity/tags", hot("sr_field", field));
    registry.done(
        "POST",
        "/catalog/v1/entity/tags",
        hot("kafka_topic", &topic),
    );
    let team = json!({"entityType": "kafka_topic", "entityName": topic, "typeName": "Team", "attributes": {"owner": "me"}});
    registry.done("POST", "/catalog/v1/entity/businessmetadata", team);
    let described = json!({"entity": {"typeName": "kafka_topic",
        "attributes": {"qualifiedName": topic, "description": "schemas"}}});
    assert_eq!(registry.ask("PUT", "/catalog/v1/entity", &described).0, 200);
    let expected = [
        "affluent_schema_registry_catalog_definitions{category=\"CLASSIFICATION\"} 1\n",
        "affluent_schema_registry_catalog_definitions{category=\"BUSINESS_METADATA\"} 1\n",
        "affluent_schema_registry_catalog_entities 2\n",
    ];
    wait_for("the catalog's metrics", PATIENCE, || {
        let (_, metrics) = server.get("/metrics");
        let has = |line: &&str| metrics.contains(*line);
        Ok(expected.iter().all(has).then_some(()))
    })
    .unwrap();
    let nothing = json!([hot("kafka_topic", &format!("{topic}-none"))]);
    let (status, refused) = registry.ask("POST", "/catalog/v1/entity/tags", &nothing);
    assert_eq!(
        (status, &refused[0]["error"]["error_code"]),
        (200, &json!(4_040_009))
    );

    let all = |registry: &Registry| {
        let of_topic = format!("/catalog/v1/entity/type/kafka_topic/name/{topic}");
        [
            registry.get("/catalog/v1/types/tagdefs"),
            registry.get("/catalog/v1/types/businessmetadatadefs"),
            registry.get(&format!("/catalog/v1/entity/type/sr_field/name/{field}")),
            registry.get(&of_topic),
            registry.get(&format!("{of_topic}/businessmetadata")),
            registry.get("/catalog/v1/search/basic?tag=Hot&sortBy=name"),
        ]
    };
    let before = all(&registry);
    assert_eq!(before[3]["entity"]["attributes"]["description"], "schemas");
    assert_eq!(before[5]["entities"].as_array().unwrap().len(), 2);
    let server = server.restart();
    let registry = Registry::of(&server);
    assert_eq!(all(&registry), before);

    assert_eq!(registry.delete("/catalog/v1/types/tagdefs/Hot"), 409);
    for (of, name) in [("sr_field", field), ("kafka_topic", &topic)] {
        let path = format!("/catalog/v1/entity/type/{of}/name/{name}/tags/Hot");
        assert_eq!((registry.delete(&path), registry.delete(&path)), (204, 404));
    }
    assert_eq!(registry.delete("/catalog/v1/types/tagdefs/Hot"), 204);
    let server = server.restart();
    let registry = Registry::of(&server);
    assert_eq!(registry.get("/catalog/v1/types/tagdefs"), json!([]));
    assert_eq!(
        registry.get("/catalog/v1/search/basic?tag=Hot")["entities"],
        json!([])
    );
    let tagged = registry.get("/catalog/v1/search/basic?tag=PII");
    assert_eq!(tagged["entities"][0]["attributes"]["qualifiedName"], field);
}

#[test]
fn whichever_instance_is_told_all_of_them_know() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let instances = [(); 2]
        .map(|()| Instance::start(directory.path(), server.bootstrap(), free_port().unwrap()));
    let registries = instances
        .each_ref()
        .map(|instance| Registry(instance.address.clone()));
    for (registry, name) in registries.iter().zip(["A", "B"]) {
        registry.done("POST", "/catalog/v1/types/tagdefs", json!({"name": name}));
        let tag =
            json!({"entityType": "kafka_topic", "entityName": topic(registry), "typeName": name});
        registry.done("POST", "/catalog/v1/entity/tags", tag);
    }
    for registry in &registries {
        let path = format!(
            "/catalog/v1/entity/type/kafka_topic/name/{}/tags",
            topic(registry)
        );
        // The one that was not told, and did not write, reads it from the topic.
        wait_for("both tags", PATIENCE, || {
            let tags = registry.get(&path);
            Ok((tags.as_array().unwrap().len() == 2).then_some(()))
        })
        .unwrap();
    }
    for (registry, name) in registries.iter().rev().zip(["A", "B"]) {
        let path = format!(
            "/catalog/v1/entity/type/kafka_topic/name/{}/tags/{name}",
            topic(registry)
        );
        assert_eq!(registry.delete(&path), 204);
        assert_eq!(
            registry.delete(&format!("/catalog/v1/types/tagdefs/{name}")),
            204
        );
    }
}

/// The qualified name of a topic that there is.
fn topic(registry: &Registry) -> String {
    let found = registry.get("/catalog/v1/search/basic?type=kafka_topic&query=_schemas");
    let name = &found["entities"][0]["attributes"]["qualifiedName"];
    name.as_str().unwrap().to_owned()
}
