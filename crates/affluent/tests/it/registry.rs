//! The schema registry's role: beside a broker, alone, and three of them while one after the other is killed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::port::free_port;
use testkit::process::Process;
use testkit::wait::wait_for;

use crate::http;
use crate::server::{Server, affluent};

const LIMIT: Duration = Duration::from_secs(180);
const KEKS: &str = "/dek-registry/v1/keks";
/// How long a client waits for one answer. A request may be on its way to a leader that is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request; none when the instance went away under it.
fn request(address: &str, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let (status, body) = http::call(address, method, path, &body, PATIENCE)?;
    Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

fn record(name: &str) -> Value {
    let schema = json!({"type": "record", "name": name, "fields": []});
    json!({"schema": schema.to_string()})
}

#[test]
fn the_registry_is_beside_the_broker_and_outlives_it() {
    let listener = "schema.registry.listeners=http://127.0.0.1:0";
    let flags = ["--roles", "broker,schema-registry", "--override", listener];
    let server = Server::start_with(&flags, &[]);
    let address = |server: &Server| server.service("schema-registry");
    let registry = address(&server);
    let register = |registry: &str, name| {
        let path = "/subjects/users-value/versions";
        request(registry, "POST", path, Some(&record(name))).unwrap()
    };
    let config = json!({"compatibility": "NONE"});
    assert_eq!(
        request(&registry, "PUT", "/config", Some(&config))
            .unwrap()
            .0,
        200
    );
    let (status, first) = register(&registry, "A");
    assert_eq!(
        (status, &first["id"], &first["version"]),
        (200, &json!(1), &json!(1))
    );
    assert_eq!(register(&registry, "B").1["id"], 2);
    let expected = [
        "kafka_schema_registry_master_slave_role 1\n",
        "kafka_schema_registry_node_count 1\n",
        "kafka_schema_registry_registered_count 2\n",
        "kafka_schema_registry_schemas_created{schema_type=\"avro\"} 2\n",
        "affluent_schema_registry_schemas{schema_type=\"json\"} 0\n",
        "affluent_schema_registry_exporters{state=\"PAUSED\"} 0\n",
        "affluent_schema_registry_requests_total{method=\"POST\",route=\"/subjects/{subject}/versions\",status=\"200\"} 2\n",
        "affluent_schema_registry_request_duration_seconds_count{method=\"PUT\",route=\"/config\"} 1\n",
    ];
    wait_for("the registry's metrics", LIMIT, || {
        let (_, metrics) = server.get("/metrics");
        Ok(expected
            .iter()
            .all(|line| metrics.contains(line))
            .then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", server.get("/metrics").1));

    let kek = json!({"name": "k", "kmsType": "local-kms", "kmsKeyId": "k", "shared": true, "kmsProps": {"secret": "s"}});
    assert_eq!(request(&registry, "POST", KEKS, Some(&kek)).unwrap().0, 200);
    let dek = format!("{KEKS}/k/deks/users-value");
    let (status, key) = request(&registry, "POST", &dek, Some(&json!({}))).unwrap();
    assert!(status == 200 && key["keyMaterial"].is_string(), "{key}");
    wait_for("the keys to be counted", LIMIT, || {
        let (_, metrics) = server.get("/metrics");
        let has = |line: &str| metrics.contains(line);
        let counted =
            has("affluent_schema_registry_keks 1\n") && has("affluent_schema_registry_deks 1\n");
        Ok(counted.then_some(()))
    })
    .unwrap();
    wait_for("a change to be logged", LIMIT, || {
        let log = server.log();
        let line = "schema_registry::requests: changed method=\"PUT\" uri=\"/config\" status=200";
        Ok(log.contains(line).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
    assert!(
        !server.log().contains("requests: asked"),
        "{}",
        server.log()
    );

    let server = server.restart();
    let registry = address(&server);
    let (status, found) = request(&registry, "GET", "/schemas/ids/1", None).unwrap();
    assert_eq!((status, &found["schema"]), (200, &first["schema"]));
    assert_eq!(register(&registry, "A").1["id"], 1);
    assert_eq!(register(&registry, "C").1["id"], 3);
    assert_eq!(request(&registry, "GET", &dek, None).unwrap(), (200, key));
    let (status, refused) = request(&registry, "GET", "/subjects/none/versions", None).unwrap();
    assert_eq!((status, &refused["error_code"]), (404, &json!(40401)));
}

/// Requests whose clients hang up at once. Each once left the writer in the middle of a transaction that nobody ended, and
/// every registration after it failed until the instance was started anew.
#[test]
fn clients_that_hang_up_do_not_keep_others_from_registering() {
    // One in some twenty hung up at the wrong moment.
    const CLIENTS: usize = 200;
    let listener = "schema.registry.listeners=http://127.0.0.1:0";
    let flags = ["--roles", "broker,schema-registry", "--override", listener];
    let server = Server::start_with(&flags, &[]);
    let services = server.ready()["services"].as_array().unwrap();
    let address = services[0]["address"].as_str().unwrap();
    let mut ids = std::collections::HashSet::new();
    for n in 0..CLIENTS {
        let body = record(&format!("Gone{n}"));
        http::hang_up(
            address,
            "POST",
            &format!("/subjects/g{n}/versions"),
            &body.to_string(),
        );
        let stays = record(&format!("Stays{n}"));
        let path = format!("/subjects/s{n}/versions");
        let answer = request(address, "POST", &path, Some(&stays));
        let (status, answer) = answer.expect("an answer within the time a client waits");
        assert_eq!(status, 200, "{answer}");
        assert!(ids.insert(answer["id"].as_i64().unwrap()), "{answer}");
    }
    for n in 0..CLIENTS {
        // Whatever became of them, they share no id with another.
        let path = format!("/subjects/g{n}/versions/1");
        let (status, found) = request(address, "GET", &path, None).unwrap();
        if status == 200 {
            assert!(ids.insert(found["id"].as_i64().unwrap()), "{found}");
        }
    }
}

#[test]
fn a_registry_alone_says_what_it_lacks() {
    let output = affluent()
        .args(["start", "--roles", "schema-registry"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("--bootstrap-server host:port"), "{text}");
}

/// An instance of the registry that can be killed.
pub(crate) struct Instance {
    process: Process,
    pub(crate) address: String,
}

impl Instance {
    pub(crate) fn start(directory: &Path, bootstrap: &str, port: u16) -> Instance {
        Instance::start_with(directory, bootstrap, port, &[])
    }

    fn start_with(directory: &Path, bootstrap: &str, port: u16, settings: &[&str]) -> Instance {
        let mut command = affluent();
        command
            .args([
                "start",
                "--roles",
                "schema-registry",
                "--admin-listener",
                "none",
            ])
            .args(["--bootstrap-server", bootstrap, "--override"])
            .arg(format!("schema.registry.listeners=http://127.0.0.1:{port}"))
            .current_dir(directory);
        for setting in settings {
            command.args(["--override", setting]);
        }
        let log = directory.join(format!("registry-{port}.log"));
        let mut process = Process::spawn("registry", &mut command, &log).unwrap();
        let address = format!("127.0.0.1:{port}");
        wait_for("an answer of the registry", LIMIT, || {
            if let Some(status) = process.exited()? {
                panic!("the registry ended with {status}: {}", process.log_text());
            }
            Ok(request(&address, "GET", "/subjects", None).map(drop))
        })
        .unwrap();
        Instance { process, address }
    }
}

/// What was acknowledged: schemas by their ids, and the names of keys.
#[derive(Default)]
struct Given {
    schemas: Mutex<Vec<(i64, String)>>,
    keks: Mutex<Vec<String>>,
}

/// Registers schemas and keys of its own at all instances in turn, deletes some of the schemas for good, and keeps what
/// was acknowledged.
fn work(worker: usize, addresses: &[String], stop: &AtomicBool, given: &Given) {
    for n in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let name = format!("W{worker}N{n}");
        let path = format!("/subjects/{name}");
        let address = &addresses[(worker + n) % addresses.len()];
        let kek = json!({"name": name, "kmsType": "local-kms", "kmsKeyId": "k"});
        if let Some((200, _)) = request(address, "POST", KEKS, Some(&kek)) {
            given.keks.lock().unwrap().push(name.clone());
        }
        let versions = format!("{path}/versions");
        let Some((200, answer)) = request(address, "POST", &versions, Some(&record(&name))) else {
            continue;
        };
        let id = answer["id"].as_i64().unwrap();
        given.schemas.lock().unwrap().push((id, name));
        if n % 3 == 0 {
            for query in ["", "?permanent=true"] {
                drop(request(address, "DELETE", &format!("{path}{query}"), None));
            }
        }
    }
}

#[test]
fn nothing_is_lost_and_no_id_given_twice_while_instances_are_killed() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let ports = [(); 3].map(|()| free_port().unwrap());
    let start = |port| Instance::start(directory.path(), server.bootstrap(), port);
    let mut instances: Vec<Instance> = ports.map(start).into();
    let addresses: Vec<String> = instances.iter().map(|one| one.address.clone()).collect();
    let (stop, given) = (AtomicBool::new(false), Given::default());
    std::thread::scope(|scope| {
        // Also when this thread panics, or the scope would wait for ever.
        let _stopping = Stopping(&stop);
        for worker in 0..3 {
            let (addresses, stop, given) = (&addresses, &stop, &given);
            scope.spawn(move || work(worker, addresses, stop, given));
        }
        for round in 0..4 {
            let count = || {
                let schemas = given.schemas.lock().unwrap().len();
                (schemas, given.keks.lock().unwrap().len())
            };
            let before = count();
            wait_for("registrations to go on", LIMIT, || {
                let now = count();
                Ok((now.0 > before.0 + 10 && now.1 > before.1 + 10).then_some(()))
            })
            .unwrap();
            // The one that writes, and between its kills another.
            let victim = round % instances.len();
            instances[victim].process.kill().unwrap();
            instances[victim] = start(ports[victim]);
        }
    });

    let Given { schemas, keks } = given;
    let given = schemas.into_inner().unwrap();
    let mut by_id: HashMap<i64, &str> = HashMap::new();
    for (id, name) in &given {
        if let Some(other) = by_id.insert(*id, name) {
            panic!("id {id} was given to {other} and to {name}");
        }
    }
    // All instances know the same in the end, and what was acknowledged and not deleted is there.
    let deadline = Instant::now() + LIMIT;
    for name in keks.into_inner().unwrap() {
        for address in &addresses {
            let path = format!("{KEKS}/{name}");
            wait_for("an acknowledged key", deadline - Instant::now(), || {
                let found = request(address, "GET", &path, None);
                Ok(found.filter(|(status, _)| *status == 200).map(drop))
            })
            .unwrap();
        }
    }
    for (id, name) in given.iter().filter(|(_, name)| !is_deleted(name)) {
        for address in &addresses {
            let path = format!("/schemas/ids/{id}");
            wait_for("an acknowledged schema", deadline - Instant::now(), || {
                let found = request(address, "GET", &path, None);
                let schema = found.and_then(|(_, body)| Some(body["schema"].as_str()?.to_owned()));
                Ok(schema.filter(|schema| schema.contains(&format!("\"{name}\""))))
            })
            .unwrap();
        }
    }
}

/// What makes another registry of one on the same broker.
const FAR: [&str; 4] = [
    "kafkastore.topic=_far",
    "dek.registry.topic=_far_keys",
    "catalog.topic=_far_catalog",
    "schema.registry.group.id=far",
];

/// A registry beside a broker, and another that it exports to.
struct Mirrored {
    near: Server,
    far: Instance,
    _directory: tempfile::TempDir,
}

impl Mirrored {
    fn start() -> Mirrored {
        let listener = "schema.registry.listeners=http://127.0.0.1:0";
        let flags = ["--roles", "broker,schema-registry", "--override", listener];
        let near = Server::start_with(&flags, &[]);
        let directory = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let settings = FAR;
        let far = Instance::start_with(directory.path(), near.bootstrap(), port, &settings);
        Mirrored {
            near,
            far,
            _directory: directory,
        }
    }

    fn near(&self) -> String {
        let services = self.near.ready()["services"].as_array().unwrap();
        services[0]["address"].as_str().unwrap().to_owned()
    }

    /// An order to the registry near, which has to be done.
    fn order(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = request(&self.near(), method, path, body).unwrap();
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// Waits until the registry far answers as expected.
    fn wait_far(&self, path: &str, expected: &Value) {
        let mut last = Value::Null;
        let found = wait_for("what was exported", LIMIT, || {
            last = request(&self.far.address, "GET", path, None).map_or(Value::Null, |(_, it)| it);
            Ok((last == *expected).then_some(()))
        });
        let status = self.order("GET", "/exporters/e/status", None);
        assert!(
            found.is_ok(),
            "{path}: {last} in place of {expected}; {status}"
        );
    }

    fn wait_state(&self, state: &str) -> Value {
        wait_for("a state of the exporter", LIMIT, || {
            let status = self.order("GET", "/exporters/e/status", None);
            Ok((status["state"] == state).then_some(status))
        })
        .unwrap()
    }
}

fn evolving(fields: usize) -> Value {
    let field = |n| json!({"name": format!("f{n}"), "type": "int", "default": 0});
    let fields: Vec<Value> = (0..fields).map(field).collect();
    json!({"schema": json!({"type": "record", "name": "R", "fields": fields}).to_string()})
}

#[test]
fn subjects_are_mirrored_with_ids_versions_references_deletes_and_configs() {
    let both = Mirrored::start();
    let versions = "/subjects/orders-value/versions";
    both.order("POST", versions, Some(&evolving(1)));
    both.order("POST", versions, Some(&evolving(2)));
    both.order("POST", "/subjects/left-out/versions", Some(&record("L")));
    both.order(
        "POST",
        "/subjects/:.c:in-context/versions",
        Some(&record("C")),
    );
    let referring = json!({
        "schema": r#"{"type":"record","name":"O","fields":[{"name":"r","type":"R"}]}"#,
        "references": [{"name": "R", "subject": "orders-value", "version": 2}],
    });
    both.order("POST", "/subjects/orders-ref/versions", Some(&referring));
    let full = json!({"compatibility": "FULL"});
    both.order("PUT", "/config/orders-value", Some(&full));
    let url = format!("http://{}", both.far.address);
    let exporter = json!({
        "name": "e",
        "contextType": "CUSTOM",
        "context": "far",
        "subjects": ["orders-*", ":.c:*"],
        "config": {"schema.registry.url": url},
    });
    both.order("POST", "/exporters", Some(&exporter));

    both.wait_far("/subjects/:.far:orders-value/versions", &json!([1, 2]));
    both.wait_far("/subjects/:.far:orders-ref/versions", &json!([1]));
    both.wait_far("/subjects/:.far.c:in-context/versions", &json!([1]));
    let near = both.order("GET", "/subjects/orders-ref/versions/1", None);
    let path = "/subjects/:.far:orders-ref/versions/1";
    let (_, found) = request(&both.far.address, "GET", path, None).unwrap();
    for field in ["id", "version", "schema", "guid", "references"] {
        assert_eq!(near[field], found[field], "{field}: {found}");
    }
    let left_out = "/subjects/:.far:left-out/versions";
    let (status, _) = request(&both.far.address, "GET", left_out, None).unwrap();
    assert_eq!(status, 404);
    let level = |path: &str| {
        let (_, config) = request(&both.far.address, "GET", path, None).unwrap();
        config["compatibilityLevel"].clone()
    };
    let config = "/config/:.far:orders-value";
    wait_for("the config", LIMIT, || {
        Ok((level(config) == "FULL").then_some(()))
    })
    .unwrap();
    // What is registered over there now would not know which ids are free.
    let own = request(&both.far.address, "POST", left_out, Some(&record("X"))).unwrap();
    assert_eq!((own.0, &own.1["error_code"]), (422, &json!(42205)));

    // It goes on: new versions, deleted ones, a config that is taken away.
    both.order("POST", versions, Some(&evolving(3)));
    both.wait_far("/subjects/:.far:orders-value/versions", &json!([1, 2, 3]));
    both.order("DELETE", &format!("{versions}/1"), None);
    both.wait_far("/subjects/:.far:orders-value/versions", &json!([2, 3]));
    both.order("DELETE", "/subjects/orders-ref", None);
    both.wait_far(
        "/subjects?subjectPrefix=:.far:",
        &json!([":.far:orders-value"]),
    );
    both.order("DELETE", "/config/orders-value", None);
    wait_for("the config to go", LIMIT, || {
        let (status, _) = request(&both.far.address, "GET", config, None).unwrap();
        Ok((status == 404).then_some(()))
    })
    .unwrap();
    let status = both.wait_state("RUNNING");
    assert!(status["offset"].as_i64().unwrap() > 0, "{status}");
}

#[test]
fn the_keys_of_subjects_are_mirrored_with_them() {
    let both = Mirrored::start();
    let kek = |name, shared| {
        json!({"name": name, "kmsType": "local-kms", "kmsKeyId": "k", "shared": shared,
            "kmsProps": {"secret": "s", "region": "here"}})
    };
    both.order("POST", KEKS, Some(&kek("own", false)));
    both.order("POST", KEKS, Some(&kek("shared", true)));
    let own = format!("{KEKS}/own/deks/orders-value");
    both.order("POST", &own, Some(&json!({"encryptedKeyMaterial": "eA=="})));
    let shared = format!("{KEKS}/shared/deks/orders-value");
    let made = both.order("POST", &shared, Some(&json!({"algorithm": "AES256_SIV"})));
    let other = format!("{KEKS}/own/deks/left-out");
    both.order(
        "POST",
        &other,
        Some(&json!({"encryptedKeyMaterial": "eA=="})),
    );
    let mut schema = evolving(1);
    schema["ruleSet"] = json!({"domainRules": [{"name": "e", "kind": "TRANSFORM", "type": "ENCRYPT",
        "mode": "WRITEREAD", "tags": ["PII"], "params": {"encrypt.kek.name": "own"}}]});
    both.order("POST", "/subjects/orders-value/versions", Some(&schema));
    let exporter = json!({
        "name": "e",
        "contextType": "CUSTOM",
        "context": "far",
        "subjects": ["orders-*"],
        "kekRenameFormat": "dc_${kek}",
        "config": {"schema.registry.url": format!("http://{}", both.far.address)},
    });
    both.order("POST", "/exporters", Some(&exporter));

    both.wait_far(KEKS, &json!(["dc_own", "dc_shared"]));
    let far = |path: &str| request(&both.far.address, "GET", path, None).unwrap().1;
    both.wait_far(
        &format!("{KEKS}/dc_own/deks"),
        &json!([":.far:orders-value"]),
    );
    both.wait_far(
        &format!("{KEKS}/dc_shared/deks"),
        &json!([":.far:orders-value"]),
    );
    let found = far(&format!("{KEKS}/dc_own"));
    assert_eq!(found["kmsProps"], json!({"region": "here"}));
    let dek = format!("{KEKS}/dc_own/deks/:.far:orders-value");
    assert_eq!(far(&dek)["encryptedKeyMaterial"], "eA==");
    // It is opened with the secret that the other registry has itself, as one that is the same key.
    let with_secret = json!({"kmsProps": {"secret": "s"}});
    let put = request(
        &both.far.address,
        "PUT",
        &format!("{KEKS}/dc_shared"),
        Some(&with_secret),
    );
    assert_eq!(put.unwrap().0, 200);
    let siv = format!("{KEKS}/dc_shared/deks/:.far:orders-value?algorithm=AES256_SIV");
    assert_eq!(far(&siv)["keyMaterial"], made["keyMaterial"]);
    let rules = far("/subjects/:.far:orders-value/versions/1");
    let named = &rules["ruleSet"]["domainRules"][0]["params"]["encrypt.kek.name"];
    assert_eq!(named, "dc_own", "{rules}");

    // It goes on: new versions, deletions, keys that are taken back or encrypted anew.
    both.order(
        "POST",
        &own,
        Some(&json!({"version": 2, "encryptedKeyMaterial": "eQ=="})),
    );
    both.wait_far(&format!("{dek}/versions"), &json!([1, 2]));
    both.order("DELETE", &format!("{own}/versions/2"), None);
    both.wait_far(&format!("{dek}/versions"), &json!([1]));
    both.order(
        "POST",
        &format!("{own}/versions/2/undelete"),
        Some(&json!({})),
    );
    both.wait_far(&format!("{dek}/versions"), &json!([1, 2]));
    let anew = json!({"encryptedKeyMaterial": "eg=="});
    both.order("POST", &format!("{own}?rewrap=true"), Some(&anew));
    wait_for("the key to be put in place", LIMIT, || {
        Ok((far(&dek)["encryptedKeyMaterial"] == "eg==").then_some(()))
    })
    .unwrap();
    both.order("DELETE", &format!("{shared}?algorithm=AES256_SIV"), None);
    both.wait_far(&format!("{KEKS}/dc_shared/deks"), &json!([]));
    both.order(
        "POST",
        &format!("{shared}/undelete?algorithm=AES256_SIV"),
        Some(&json!({})),
    );
    both.wait_far(
        &format!("{KEKS}/dc_shared/deks"),
        &json!([":.far:orders-value"]),
    );
    both.wait_state("RUNNING");
    assert_eq!(far(KEKS), json!(["dc_own", "dc_shared"]));
}

#[test]
fn an_exporter_rests_fails_recovers_and_remembers_over_a_restart() {
    let mut both = Mirrored::start();
    let exporter = json!({
        "name": "e",
        "contextType": "NONE",
        "subjectRenameFormat": "dc_${subject}",
        "config": {"schema.registry.url": format!("http://{}", both.far.address)},
    });
    both.order("POST", "/exporters", Some(&exporter));
    both.order("POST", "/subjects/s/versions", Some(&evolving(1)));
    both.wait_far("/subjects/dc_s/versions", &json!([1]));
    both.order("PUT", "/exporters/e/pause", None);
    both.wait_state("PAUSED");
    both.order("POST", "/subjects/s/versions", Some(&evolving(2)));
    // Nobody listens there.
    let nowhere =
        json!({"schema.registry.url": format!("http://127.0.0.1:{}", free_port().unwrap())});
    both.order("PUT", "/exporters/e/config", Some(&nowhere));
    both.order("PUT", "/exporters/e/resume", None);
    let failed = both.wait_state("ERROR");
    let trace = failed["trace"].as_str().unwrap();
    assert!(trace.contains("got no answer"), "{trace}");
    let before = failed["offset"].as_i64().unwrap();
    assert_eq!(
        both.order("GET", "/subjects/s/versions", None),
        json!([1, 2])
    );

    both.near = both.near.restart();
    both.far.process.kill().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let settings = FAR;
    both.far = Instance::start_with(directory.path(), both.near.bootstrap(), port, &settings);
    let again = both.wait_state("ERROR");
    assert_eq!(again["offset"].as_i64(), Some(before));
    both.order("PUT", "/exporters/e/pause", None);
    let there = json!({"schema.registry.url": format!("http://{}", both.far.address)});
    both.order("PUT", "/exporters/e/config", Some(&there));
    both.order("PUT", "/exporters/e/resume", None);
    both.wait_far("/subjects/dc_s/versions", &json!([1, 2]));
    let status = both.wait_state("RUNNING");
    assert_eq!(status["trace"], "");
    // From the beginning once more: all of it is there already.
    both.order("PUT", "/exporters/e/pause", None);
    both.order("PUT", "/exporters/e/reset", None);
    both.order("PUT", "/exporters/e/resume", None);
    both.wait_state("RUNNING");
    both.wait_far("/subjects/dc_s/versions", &json!([1, 2]));
    both.order("DELETE", "/exporters/e", None);
    assert_eq!(both.order("GET", "/exporters", None), json!([]));
}

/// Tells the workers to stop when dropped.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn is_deleted(name: &str) -> bool {
    let number = name
        .split_once('N')
        .and_then(|(_, number)| number.parse::<usize>().ok());
    number.is_some_and(|number| number % 3 == 0)
}
