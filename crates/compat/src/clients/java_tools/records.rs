//! The console and verifiable clients, and the tools that look at records: GetOffsetShell, DeleteRecordsCommand,
//! LogDirsCommand, ClientCompatibilityTest, TransactionsCommand's view of producers.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Cases, Tools, expect, lines};
use crate::target::Kind;

pub(super) const CONSOLE_PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
pub(super) const CONSOLE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
pub(super) const GET_OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";

pub(super) const CASES: Cases = &[
    ("console-round-trip", console_round_trip),
    ("console-keys-headers", console_keys_headers),
    ("console-codecs", console_codecs),
    ("console-offset-and-group", console_offset_and_group),
    ("verifiable-clients", verifiable_clients),
    ("get-offset-shell", get_offset_shell),
    ("delete-records", delete_records),
    ("log-dirs", log_dirs),
    ("describe-producers", describe_producers),
    ("client-compatibility-test", client_compatibility),
];

/// Consumes `count` records with the console consumer.
fn consume(tools: &Tools<'_>, topic: &str, count: &str, options: &[&str]) -> Result<String> {
    let arguments = [
        &[
            "--topic",
            topic,
            "--max-messages",
            count,
            "--timeout-ms",
            "30000",
        ],
        options,
    ]
    .concat();
    tools.output(CONSOLE_CONSUMER, &arguments, "")
}

fn console_round_trip(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-console";
    tools.create_topic(topic, "1")?;
    let input = lines("line", 300);
    tools.produce(topic, &[], &input)?;
    let found = consume(tools, topic, "300", &["--from-beginning"])?;
    ensure!(
        found == input,
        "the lines came back changed: {}",
        crate::process::tail(&found, 3)
    );
    Ok(())
}

fn console_keys_headers(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-console-headers";
    tools.create_topic(topic, "1")?;
    let mut options = vec![];
    for property in [
        "parse.key=true",
        "key.separator=:",
        "parse.headers=true",
        "headers.delimiter=|",
        "null.marker=NIL",
    ] {
        options.extend(["--reader-property", property]);
    }
    tools.produce(topic, &options, "a:1,b:2|k1:v1\nc:3|k2:NIL\n")?;
    let mut options = vec!["--from-beginning"];
    for property in [
        "print.key=true",
        "print.headers=true",
        "print.offset=true",
        "print.partition=true",
    ] {
        options.extend(["--formatter-property", property]);
    }
    let found = consume(tools, topic, "2", &options)?;
    expect(&found, "Partition:0\tOffset:0\ta:1,b:2\tk1\tv1")?;
    expect(&found, "Partition:0\tOffset:1\tc:3\tk2\tnull")
}

fn console_codecs(tools: &Tools<'_>) -> Result<()> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("tools-console-{codec}");
        let input = lines(
            "a line that compresses well, a line that compresses well",
            500,
        );
        tools.produce(
            &topic,
            &["--compression-codec", codec, "--sync"],
            &lines("first", 1),
        )?;
        tools.produce(&topic, &["--compression-codec", codec], &input)?;
        let found = consume(tools, &topic, "501", &["--from-beginning"])?;
        ensure!(
            found.lines().count() == 501,
            "{codec}: produced 501, consumed {}",
            found.lines().count()
        );
    }
    Ok(())
}

fn console_offset_and_group(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-console-group";
    tools.create_topic(topic, "1")?;
    tools.produce(topic, &[], &lines("n", 20))?;
    let found = consume(tools, topic, "3", &["--partition", "0", "--offset", "10"])?;
    ensure!(found == "n-10\nn-11\nn-12\n", "from offset 10: {found:?}");
    let group = ["--group", "tools-console", "--from-beginning"];
    ensure!(
        consume(tools, topic, "5", &group)?.starts_with("n-0\n"),
        "a new group starts at the beginning"
    );
    let resumed = consume(tools, topic, "5", &group)?;
    ensure!(
        resumed.starts_with("n-5\n"),
        "the group had read 5 records and resumes with {resumed:?}"
    );
    Ok(())
}

fn verifiable_clients(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-verifiable";
    tools.create_topic(topic, "3")?;
    let produce = ["--topic", topic, "--max-messages", "5000", "--acks", "-1"];
    let text = tools.output_alone("org.apache.kafka.tools.VerifiableProducer", &produce)?;
    expect(&text, "\"sent\":5000")?;
    expect(&text, "\"acked\":5000")?;
    let consume = [
        "--topic",
        topic,
        "--group-id",
        "tools-verifiable",
        "--max-messages",
        "5000",
        "--reset-policy",
        "earliest",
        "--enable-autocommit",
    ];
    let text = tools.output("org.apache.kafka.tools.VerifiableConsumer", &consume, "")?;
    let mut consumed = 0;
    for line in text.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("the line {line:?}"))?;
        if event["name"] == "records_consumed" {
            consumed += event["count"]
                .as_u64()
                .context("an event without a count")?;
        }
    }
    ensure!(
        consumed >= 5000,
        "5000 records were acknowledged, {consumed} consumed"
    );
    expect(&text, "partitions_assigned")
}

fn get_offset_shell(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-offsets";
    tools.create_topic(topic, "2")?;
    tools.produce(topic, &[], &lines("n", 40))?;
    let sum = |time: &str| -> Result<i64> {
        let text = tools.output(GET_OFFSETS, &["--topic", topic, "--time", time], "")?;
        text.lines().map(offset_of).sum()
    };
    for (time, wanted) in [
        ("-1", 40),
        ("latest", 40),
        ("-2", 0),
        ("earliest", 0),
        ("0", 0),
        ("-4", 0),
    ] {
        let found = sum(time)?;
        ensure!(
            found == wanted,
            "--time {time}: the offsets add up to {found}, expected {wanted}"
        );
    }
    // The record with the greatest timestamp is the last or among the last of its partition.
    let text = tools.output(
        GET_OFFSETS,
        &["--topic", topic, "--time", "max-timestamp"],
        "",
    )?;
    ensure!(
        text.lines().count() >= 1,
        "no partition has a greatest timestamp: {text:?}"
    );
    let text = tools.output(
        GET_OFFSETS,
        &["--topic-partitions", "tools-offsets:1", "--time", "-2"],
        "",
    )?;
    ensure!(
        text.trim() == "tools-offsets:1:0",
        "one partition was asked for: {text:?}"
    );
    Ok(())
}

/// The offset at the end of `topic:partition:offset`.
fn offset_of(line: &str) -> Result<i64> {
    let offset = line.rsplit(':').next().unwrap_or_default();
    offset.parse().with_context(|| format!("the line {line:?}"))
}

fn delete_records(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-deletes";
    tools.create_topic(topic, "1")?;
    tools.produce(topic, &[], &lines("n", 50))?;
    let file = tools.target.scratch().join("delete.json");
    let request =
        r#"{"partitions":[{"topic":"tools-deletes","partition":0,"offset":30}],"version":1}"#;
    fs::write(&file, request)?;
    let path = file.to_str().context("the scratch path is not UTF-8")?;
    let main = "org.apache.kafka.tools.DeleteRecordsCommand";
    let text = tools.output(main, &["--offset-json-file", path], "")?;
    expect(&text, "partition: tools-deletes-0\tlow_watermark: 30")?;
    let text = tools.output(GET_OFFSETS, &["--topic", topic, "--time", "-2"], "")?;
    ensure!(
        text.trim() == "tools-deletes:0:30",
        "the log start offset is {text:?}"
    );
    let found = consume(tools, topic, "20", &["--from-beginning"])?;
    ensure!(
        found.starts_with("n-30\n"),
        "the first record left is {:?}",
        found.lines().next()
    );
    fs::write(&file, request.replace("30", "51"))?;
    expect(
        &tools.output(main, &["--offset-json-file", path], "")?,
        "OffsetOutOfRangeException",
    )
}

fn log_dirs(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-logdirs";
    tools.create_topic(topic, "1")?;
    tools.produce(topic, &[], &lines("n", 100))?;
    let text = tools.output(
        "org.apache.kafka.tools.LogDirsCommand",
        &["--describe", "--topic-list", topic],
        "",
    )?;
    let json = text
        .lines()
        .find(|line| line.starts_with('{'))
        .with_context(|| format!("no JSON in {text:?}"))?;
    let answer: serde_json::Value = serde_json::from_str(json)?;
    let directory = &answer["brokers"][0]["logDirs"][0];
    ensure!(
        directory["error"].is_null(),
        "the log directory reports {}",
        directory["error"]
    );
    let partition = &directory["partitions"][0];
    ensure!(
        partition["partition"] == "tools-logdirs-0",
        "the partition is {partition}"
    );
    ensure!(
        partition["size"].as_i64().is_some_and(|size| size > 100),
        "the size is {}",
        partition["size"]
    );
    ensure!(
        partition["offsetLag"] == 0 && partition["isFuture"] == false,
        "the partition is {partition}"
    );
    Ok(())
}

fn describe_producers(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-producers";
    tools.create_topic(topic, "1")?;
    tools.produce(
        topic,
        &["--command-property", "enable.idempotence=true"],
        &lines("n", 10),
    )?;
    let arguments = [
        "--bootstrap-server",
        &tools.bootstrap,
        "describe-producers",
        "--topic",
        topic,
        "--partition",
        "0",
    ];
    let text = tools
        .run_plain("org.apache.kafka.tools.TransactionsCommand", &arguments, "")?
        .ok()?;
    let row = text
        .lines()
        .nth(1)
        .with_context(|| format!("no producer is listed: {text:?}"))?;
    let fields: Vec<&str> = row.split_whitespace().collect();
    // ProducerId, ProducerEpoch, LatestCoordinatorEpoch, LastSequence, LastTimestamp, CurrentTransactionStartOffset.
    ensure!(
        fields.len() == 6 && fields[1] == "0" && fields[3] == "9" && fields[5] == "None",
        "the producer is {row:?}"
    );
    Ok(())
}

fn client_compatibility(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-compatibility";
    tools.create_topic(topic, "1")?;
    let mut arguments = vec!["--topic", topic, "--num-cluster-nodes", "1"];
    for option in [
        "--offsets-for-times-supported",
        "--cluster-id-supported",
        "--create-topics-supported",
        "--describe-configs-supported",
        "--idempotent-producer-supported",
    ] {
        arguments.extend([option, "true"]);
    }
    arguments.extend(["--expect-record-too-large-exception", "false"]);
    // Apache Kafka answers that it has no authorizer; Affluent does not advertise the ACL APIs yet, and the tool
    // then wants its client to say so.
    let acls = match tools.target.kind() {
        Kind::Kafka => "true",
        Kind::Affluent => "false",
    };
    arguments.extend(["--describe-acls-supported", acls]);
    let text = tools.output(
        "org.apache.kafka.tools.ClientCompatibilityTest",
        &arguments,
        "",
    )?;
    expect(&text, "SUCCESS")
}
