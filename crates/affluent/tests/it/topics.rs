//! `affluent kafka topic`, administration.

use crate::expect::check;
use crate::server::{Run, Server, affluent};

#[test]
fn a_topic_from_creation_to_deletion() {
    let server = Server::start();
    let created = server
        .run("kafka topic create orders --partitions 2 --config cleanup.policy=compact,delete")
        .ok();
    assert_eq!(created, "Created topic \"orders\".\n");

    check("topic-list.txt", &server.run("kafka topic list").ok());
    check(
        "topic-list.json",
        &server.run("kafka topic list -o json").ok(),
    );
    check(
        "topic-list.yaml",
        &server.run("kafka topic list -o yaml").ok(),
    );

    let topic = server.json("kafka topic describe orders");
    let topic_id = topic["topic_id"].as_str().unwrap();
    assert_eq!(topic_id.len(), 22);
    let stable = |text: String| text.replace(topic_id, "{topic-id--22--letters");
    check(
        "topic-describe.txt",
        &stable(server.run("kafka topic describe orders").ok()),
    );
    check(
        "topic-describe.json",
        &stable(server.run("kafka topic describe orders -o json").ok()),
    );

    let updated = server.run(
        "kafka topic update orders --config retention.ms=86400000 --delete-config cleanup.policy",
    );
    check("topic-update.txt", &updated.ok());
    let configs = server.run("kafka topic describe orders").ok();
    assert!(configs.contains(" retention.ms | 86400000\n"), "{configs}");

    assert_eq!(
        server.run("kafka topic delete orders --force").ok(),
        "Deleted topic \"orders\".\n"
    );
    let left = server.run("kafka topic list --exclude-internal").ok();
    assert_eq!(left, "None found.\n");
    assert_eq!(
        server
            .run("kafka topic list --exclude-internal -o json")
            .ok(),
        "[]\n"
    );
}

#[test]
fn creating_what_exists() {
    let server = Server::start();
    let json = server
        .run("kafka topic create once --partitions 1 -o json")
        .ok();
    check("topic-create.json", &json);
    check(
        "topic-exists.txt",
        &server.run("kafka topic create once").failed(),
    );
    let again = server.run("kafka topic create once --if-not-exists").ok();
    assert_eq!(again, "There is already a topic \"once\".\n");
    let dry = server.run("kafka topic create twice --dry-run").ok();
    assert_eq!(dry, "Topic \"twice\" can be created.\n");
    let unknown = server.run("kafka topic describe twice").failed();
    check("topic-unknown.txt", &unknown);
}

#[test]
fn refusals_carry_the_brokers_words() {
    let server = Server::start();
    let text = server.run("kafka topic create a/b").failed();
    assert!(text.contains("INVALID_TOPIC_EXCEPTION (17)"), "{text}");
    let text = server
        .run("kafka topic create a --config no.such.key=1")
        .failed();
    assert!(
        text.contains("INVALID_CONFIG (40)") && text.contains("no.such.key"),
        "{text}"
    );
    let text = server
        .run("kafka topic create a --replication-factor 3")
        .failed();
    assert!(text.contains("INVALID_REPLICATION_FACTOR (38)"), "{text}");
    let text = server
        .run("kafka topic create a --config retention")
        .failed();
    assert!(
        text.contains("'retention' is not of the form key=value"),
        "{text}"
    );
    let text = server.run("kafka topic delete a").failed();
    assert!(text.contains("UNKNOWN_TOPIC_OR_PARTITION (3)"), "{text}");
    server.run("kafka topic create a").ok();
    let text = server.run("kafka topic delete a").failed();
    assert!(
        text.contains("needs a confirmation") && text.contains("Try: pass --force"),
        "{text}"
    );
}

#[test]
fn without_a_broker_the_remedy_is_to_start_one() {
    let port = testkit::port::free_port().unwrap();
    let run = |bootstrap: &str| {
        let mut command = affluent();
        // Kafka's word for it, where the Confluent CLI says `--bootstrap`.
        command.args(["kafka", "topic", "list", "--bootstrap-server", bootstrap]);
        Run::of(command.output().unwrap()).failed()
    };
    let bootstrap = format!("127.0.0.1:{port}");
    check(
        "unreachable.txt",
        &run(&bootstrap).replace(&bootstrap, "{bootstrap}"),
    );
    let text = run("localhost");
    assert!(
        text.contains("'localhost' is not a bootstrap address: expected host:port"),
        "{text}"
    );
}

#[test]
fn wrong_usage_is_told_apart_by_its_exit_code() {
    let usage = |arguments: &[&str]| affluent().args(arguments).output().unwrap();
    for wrong in [
        &["kafka", "topic", "create"][..],
        &["kafka", "topic", "list", "-o", "xml"],
    ] {
        assert_eq!(usage(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(usage(&["--version"]).status.code(), Some(0));
}
