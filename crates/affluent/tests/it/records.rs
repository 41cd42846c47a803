//! `affluent kafka topic produce` and `consume`.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::expect::check;
use crate::server::Server;

fn lines(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("key-{n}:value-{n}\n").into_bytes())
        .collect()
}

#[test]
fn what_goes_in_comes_out() {
    let server = Server::start();
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        server
            .run(&format!("kafka topic create {compression} --partitions 3"))
            .ok();
        let flags = format!("--parse-key --compression {compression}");
        let produce = format!("kafka topic produce {compression} {flags}");
        let produced = server.run_with_input(&produce, &lines(1_000));
        let said = format!("Produced 1,000 records to topic \"{compression}\".\n");
        assert_eq!(produced.stderr, said);
        assert_eq!(produced.ok(), "");

        let flags = "-b --exit --print-key --delimiter :";
        let read = server
            .run(&format!("kafka topic consume {compression} {flags}"))
            .ok();
        let mut read: Vec<&str> = read.lines().collect();
        let sent = String::from_utf8(lines(1_000)).unwrap();
        let mut sent: Vec<&str> = sent.lines().collect();
        read.sort_unstable();
        sent.sort_unstable();
        assert!(
            read == sent,
            "{compression}: {} of {} records",
            read.len(),
            sent.len()
        );
    }
}

#[test]
fn records_as_documents() {
    let server = Server::start();
    server
        .run("kafka topic create documents --partitions 1")
        .ok();
    let produce = "kafka topic produce documents --parse-key --headers source:test,trace:1 -o json";
    check(
        "produce.json",
        &server.run_with_input(produce, b"k1:v1\nk2:\xff\n").ok(),
    );

    let read = server
        .run("kafka topic consume documents -b --exit -o json")
        .ok();
    let records: Vec<Value> = read
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2);
    let timestamp = records[0]["timestamp"].as_i64().unwrap();
    assert!(timestamp > 1_600_000_000_000);
    let stable = |text: &str| text.replace(&timestamp.to_string(), "{timestamp}");
    check("consume.json", &stable(read.lines().next().unwrap()));
    assert_eq!(records[1]["value_base64"], "/w==");

    let flags = "--timestamp --print-offset --print-key --full-header --max-messages 1";
    let read = server
        .run(&format!("kafka topic consume documents -b {flags}"))
        .ok();
    check("consume.txt", &stable(&read));
    let read = server
        .run("kafka topic consume documents -b --max-messages 1 -o yaml")
        .ok();
    check("consume.yaml", &stable(&read));
}

#[test]
fn one_partition_from_one_offset() {
    let server = Server::start();
    server.run("kafka topic create placed --partitions 2").ok();
    server
        .run_with_input("kafka topic produce placed --partition 1", b"a\nb\nc\n")
        .ok();
    let read = server
        .run("kafka topic consume placed --partition 1 --offset 1 --exit")
        .ok();
    assert_eq!(read, "b\nc\n");
    let read = server
        .run("kafka topic consume placed --partition 0 -b --exit")
        .ok();
    assert_eq!(read, "");
    let text = server
        .run("kafka topic consume placed --partition 2 --exit")
        .failed();
    assert_eq!(
        text,
        "Error: topic 'placed' has no partition 2: expected 0 to 1\n"
    );
    let text = server
        .run("kafka topic consume placed --partition 1 --offset 9 --exit")
        .failed();
    assert!(
        text.contains("topic 'placed' has no record at that offset"),
        "{text}"
    );
}

#[test]
fn what_was_sent_before_a_bad_line_is_delivered() {
    let server = Server::start();
    server.run("kafka topic create partly --partitions 1").ok();
    let run = server.run_with_input(
        "kafka topic produce partly --parse-key",
        b"k:v\nno key\nk:w\n",
    );
    let text = run.failed();
    assert!(
        text.contains("Error: line 2 has no delimiter \":\" after its key\n"),
        "{text}"
    );
    assert_eq!(
        server.run("kafka topic consume partly -b --exit").ok(),
        "v\n"
    );
}

#[test]
fn a_missing_topic_is_not_created_by_the_way() {
    let server = Server::start();
    for command in [
        "kafka topic produce nowhere",
        "kafka topic consume nowhere --exit",
    ] {
        let text = server.run(command).failed();
        assert!(text.contains("UNKNOWN_TOPIC_OR_PARTITION (3)"), "{text}");
    }
    assert_eq!(
        server.run("kafka topic list --exclude-internal").ok(),
        "None found.\n"
    );
}

/// `affluent kafka topic consume ... | head -1`: the reader goes, the command ends, nothing panics.
#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let server = Server::start();
    server.run("kafka topic create long --partitions 1").ok();
    server
        .run_with_input("kafka topic produce long", &lines(50_000))
        .ok();
    let mut child = server
        .command("kafka topic consume long -b")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 14];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(&first, b"key-0:value-0\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
