//! `affluent start`: what it prints, serves and leaves behind.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::expect::check;
use crate::server::{Run, Server, affluent};

#[test]
fn the_first_start_greets_and_the_ready_file_goes_with_the_broker() {
    let mut server = Server::start();
    assert_eq!(server.ready()["listeners"][0]["name"], "PLAINTEXT");
    assert!(
        !server.bootstrap().ends_with(":0"),
        "the bound port, not the one asked for"
    );

    let log = server.log();
    let greeting: String = log
        .lines()
        .filter(|line| line.is_empty() || line.starts_with("  "))
        .map(|line| format!("{line}\n"))
        .collect();
    check("greeting.txt", &server.stable(&greeting));

    assert!(server.ready_file().exists());
    assert_eq!(server.stop(), 0, "{}", server.log());
    assert!(!server.ready_file().exists());
    assert!(server.log().contains("stopped"));
}

/// SIGSTOP holds both signals back, so that the second is there as soon as the first was taken.
#[test]
fn a_second_signal_ends_at_once_and_nothing_acknowledged_is_lost() {
    let mut server = Server::start();
    server.run("kafka topic create kept --partitions 1").ok();
    server
        .run_with_input("kafka topic produce kept", b"one\n")
        .ok();
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        server.signal(signal);
    }
    let code = server.wait();
    assert!(matches!(code, 130 | 143), "{code}: {}", server.log());
    assert!(server.log().contains("ending at once"), "{}", server.log());

    let server = server.start_again();
    assert_eq!(
        server.run("kafka topic consume kept -b --exit").ok(),
        "one\n"
    );
}

#[test]
fn metrics_and_health_are_served() {
    let server = Server::start();
    let (status, body) = server.get("/healthz");
    assert_eq!(
        (status.as_str(), body.as_str()),
        ("HTTP/1.1 200 OK", "serving\n")
    );

    server.run("kafka topic create counted").ok();
    server
        .run_with_input("kafka topic produce counted", b"a\nb\n")
        .ok();
    let (status, body) = server.get("/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let value = |name: &str| -> f64 {
        let line = body
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| {
                panic!("no {name} in\n{body}");
            });
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("affluent_requests_total{api=\"Produce\"}") >= 1.0);
    assert!(value("affluent_storage_appended_batches_total") >= 1.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    for line in body
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (_, number) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(number.parse::<f64>().is_ok(), "{line}");
    }
    assert_eq!(server.get("/nothing").0, "HTTP/1.1 404 Not Found");
}

#[test]
fn acknowledged_records_are_there_after_a_restart() {
    let server = Server::start();
    server.run("kafka topic create kept --partitions 2").ok();
    server
        .run_with_input("kafka topic produce kept --partition 1", b"one\ntwo\n")
        .ok();
    let cluster_id = server.ready()["cluster_id"].clone();

    let server = server.restart();
    assert_eq!(server.ready()["cluster_id"], cluster_id);
    assert!(!server.log().contains("(new)"));
    let read = server
        .run("kafka topic consume kept -b --exit --print-offset")
        .ok();
    assert_eq!(
        read,
        "Partition:1\tOffset:0\tone\nPartition:1\tOffset:1\ttwo\n"
    );
}

#[test]
fn settings_reach_the_broker_by_precedence() {
    let directory = tempfile::tempdir().unwrap();
    let properties = directory.path().join("server.properties");
    fs::write(
        &properties,
        "log.retention.ms=1000001\nlog.segment.bytes=2000002\n",
    )
    .unwrap();
    let toml = directory.path().join("affluent.toml");
    fs::write(
        &toml,
        "[log.segment]\nbytes = 2000003\n[log.retention]\nbytes = 1000004\n",
    )
    .unwrap();

    let server = Server::start_with(
        &[
            "--properties",
            properties.to_str().unwrap(),
            "--config",
            toml.to_str().unwrap(),
        ],
        &[
            ("AFFLUENT_LOG_RETENTION_BYTES", "1000005"),
            ("AFFLUENT_NUM_PARTITIONS", "3"),
        ],
    );
    server.run("kafka topic create configured").ok();
    let configs = server.json("kafka topic configuration list configured");
    let value = |name: &str| {
        let of_name = |config: &&Value| config["name"] == name;
        configs.as_array().unwrap().iter().find(of_name).unwrap()["value"].clone()
    };
    assert_eq!(value("retention.ms"), "1000001", "from the properties file");
    assert_eq!(
        value("segment.bytes"),
        "2000003",
        "TOML wins over the properties file"
    );
    assert_eq!(
        value("retention.bytes"),
        "1000005",
        "the environment wins over TOML"
    );
    let topic = server.json("kafka topic describe configured");
    assert_eq!(topic["partition_count"], 3);
}

#[test]
fn json_logs_are_objects_and_come_without_a_greeting() {
    let mut server = Server::start_with(&["--log-format", "json"], &[]);
    assert_eq!(server.stop(), 0);
    let log = server.log();
    let records: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let serving = records
        .iter()
        .find(|record| record["message"] == "serving")
        .unwrap();
    assert_eq!(serving["level"], "INFO");
    assert_eq!(serving["cluster_id"], server.ready()["cluster_id"]);
}

#[test]
fn a_listener_that_is_taken_is_named_with_the_remedy() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let second = affluent()
        .args([
            "start",
            "--admin-listener",
            "none",
            "--listener",
            server.bootstrap(),
        ])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let text = server.stable(&Run::of(second).failed());
    assert!(text.contains("cannot bind {bootstrap}"), "{text}");
    assert!(
        text.contains("Try: stop what runs there, or choose another address"),
        "{text}"
    );
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let server = Server::start();
    let second = affluent()
        .args([
            "start",
            "--admin-listener",
            "none",
            "--listener",
            "127.0.0.1:0",
        ])
        .args(["--data-dir", "data"])
        .current_dir(server.directory())
        .output()
        .unwrap();
    let text = Run::of(second).failed();
    assert!(text.contains("Error: ") && text.contains("data"), "{text}");
}

#[test]
fn a_bad_setting_stops_the_start_and_says_where_it_was_set() {
    let directory = tempfile::tempdir().unwrap();
    let start = |flags: &[&str]| {
        let mut command = affluent();
        command.args([
            "start",
            "--listener",
            "127.0.0.1:0",
            "--admin-listener",
            "none",
        ]);
        let output = command
            .args(flags)
            .current_dir(directory.path())
            .output()
            .unwrap();
        Run::of(output).failed()
    };
    let text = start(&["--override", "log.retention.ms=soon"]);
    assert!(
        text.contains("soon") && text.contains("log.retention.ms"),
        "{text}"
    );
    assert!(text.contains("set by --override"), "{text}");
    let text = start(&["--log-level", "a=b=c"]);
    assert!(text.contains("a=b=c"), "{text}");
    assert!(
        !directory.path().join("affluent-data").exists(),
        "nothing was begun"
    );
}
