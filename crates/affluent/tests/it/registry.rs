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
    let address = |server: &Server| {
        let services = server.ready()["services"].as_array().unwrap();
        let is_registry = |service: &&Value| service["role"] == "schema-registry";
        let registry = services.iter().find(is_registry).unwrap();
        registry["address"].as_str().unwrap().to_owned()
    };
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

    let server = server.restart();
    let registry = address(&server);
    let (status, found) = request(&registry, "GET", "/schemas/ids/1", None).unwrap();
    assert_eq!((status, &found["schema"]), (200, &first["schema"]));
    assert_eq!(register(&registry, "A").1["id"], 1);
    assert_eq!(register(&registry, "C").1["id"], 3);
    let (status, refused) = request(&registry, "GET", "/subjects/none/versions", None).unwrap();
    assert_eq!((status, &refused["error_code"]), (404, &json!(40401)));
}

/// Requests whose clients hang up at once. Each once left the writer in the middle of a transaction that nobody ended, and
/// every registration after it failed until the instance was started anew.
#[test]
fn clients_that_hang_up_do_not_keep_others_from_registering() {
    let listener = "schema.registry.listeners=http://127.0.0.1:0";
    let flags = ["--roles", "broker,schema-registry", "--override", listener];
    let server = Server::start_with(&flags, &[]);
    let services = server.ready()["services"].as_array().unwrap();
    let address = services[0]["address"].as_str().unwrap();
    let mut ids = std::collections::HashSet::new();
    for n in 0..30 {
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
    for n in 0..30 {
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
struct Instance {
    process: Process,
    address: String,
}

impl Instance {
    fn start(directory: &Path, bootstrap: &str, port: u16) -> Instance {
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

/// Registers schemas of its own at all instances in turn, deletes some of them for good, and keeps what was acknowledged.
fn work(worker: usize, addresses: &[String], stop: &AtomicBool, given: &Mutex<Vec<(i64, String)>>) {
    for n in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let name = format!("W{worker}N{n}");
        let path = format!("/subjects/{name}");
        let address = &addresses[(worker + n) % addresses.len()];
        let versions = format!("{path}/versions");
        let Some((200, answer)) = request(address, "POST", &versions, Some(&record(&name))) else {
            continue;
        };
        given
            .lock()
            .unwrap()
            .push((answer["id"].as_i64().unwrap(), name));
        if n % 3 == 0 {
            for query in ["", "?permanent=true"] {
                drop(request(address, "DELETE", &format!("{path}{query}"), None));
            }
        }
    }
}

#[test]
fn no_id_is_given_twice_while_instances_are_killed() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let ports = [(); 3].map(|()| free_port().unwrap());
    let start = |port| Instance::start(directory.path(), server.bootstrap(), port);
    let mut instances: Vec<Instance> = ports.map(start).into();
    let addresses: Vec<String> = instances.iter().map(|one| one.address.clone()).collect();
    let (stop, given) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        // Also when this thread panics, or the scope would wait for ever.
        let _stopping = Stopping(&stop);
        for worker in 0..3 {
            let (addresses, stop, given) = (&addresses, &stop, &given);
            scope.spawn(move || work(worker, addresses, stop, given));
        }
        for round in 0..4 {
            let before = given.lock().unwrap().len();
            wait_for("registrations to go on", LIMIT, || {
                Ok((given.lock().unwrap().len() > before + 10).then_some(()))
            })
            .unwrap();
            // The one that writes, and between its kills another.
            let victim = round % instances.len();
            instances[victim].process.kill().unwrap();
            instances[victim] = start(ports[victim]);
        }
    });

    let given = given.into_inner().unwrap();
    let mut by_id: HashMap<i64, &str> = HashMap::new();
    for (id, name) in &given {
        if let Some(other) = by_id.insert(*id, name) {
            panic!("id {id} was given to {other} and to {name}");
        }
    }
    // All instances know the same in the end, and what was acknowledged and not deleted is there.
    let deadline = Instant::now() + LIMIT;
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
