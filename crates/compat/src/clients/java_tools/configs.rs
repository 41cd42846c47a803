//! ConfigCommand: the configuration of topics and of the broker, read and changed.

use anyhow::{Context, Result, ensure};

use super::{Cases, Tools, eventually, expect, expect_not};

/// In 4.3 the class is still in the core artifact.
pub(super) const CONFIG_COMMAND: &str = "kafka.admin.ConfigCommand";

pub(super) const CASES: Cases = &[
    ("config-topic-describe-all", topic_describe_all),
    ("config-topic-alter", topic_alter),
    ("config-topic-refused", topic_refused),
    ("config-broker-describe-all", broker_describe_all),
    ("config-broker-alter", broker_alter),
    ("config-broker-default", broker_default),
    ("config-broker-refused", broker_refused),
];

fn describe(tools: &Tools<'_>, kind: &str, name: &str, more: &[&str]) -> Result<String> {
    let arguments = [
        &["--describe", "--entity-type", kind, "--entity-name", name],
        more,
    ]
    .concat();
    tools.output(CONFIG_COMMAND, &arguments, "")
}

fn alter(tools: &Tools<'_>, kind: &str, name: &str, change: &[&str]) -> Result<String> {
    let arguments = [
        &["--alter", "--entity-type", kind, "--entity-name", name],
        change,
    ]
    .concat();
    tools.output(CONFIG_COMMAND, &arguments, "")
}

/// The value of a key in the tool's listing: `  key=value sensitive=... synonyms={...}`.
fn value<'a>(listing: &'a str, key: &str) -> Result<&'a str> {
    let prefix = format!("{key}=");
    listing
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(&prefix))
        .and_then(|rest| rest.split(' ').next())
        .with_context(|| format!("{key} is not in the listing"))
}

fn topic_describe_all(tools: &Tools<'_>) -> Result<()> {
    tools.create_topic("tools-config-all", "1")?;
    let text = describe(tools, "topics", "tools-config-all", &["--all"])?;
    // Apache Kafka's defaults, from TopicConfig and LogConfig of 4.3.
    for (key, wanted) in [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("delete.retention.ms", "86400000"),
        ("file.delete.delay.ms", "60000"),
        ("flush.messages", "9223372036854775807"),
        ("index.interval.bytes", "4096"),
        ("local.retention.bytes", "-2"),
        ("max.compaction.lag.ms", "9223372036854775807"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.after.max.ms", "3600000"),
        ("message.timestamp.type", "CreateTime"),
        ("min.cleanable.dirty.ratio", "0.5"),
        ("min.insync.replicas", "1"),
        ("preallocate", "false"),
        ("remote.storage.enable", "false"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
        ("segment.bytes", "1073741824"),
        ("segment.index.bytes", "10485760"),
        ("segment.jitter.ms", "0"),
        ("segment.ms", "604800000"),
        ("unclean.leader.election.enable", "false"),
    ] {
        let found = value(&text, key)?;
        ensure!(
            found == wanted,
            "{key} is {found:?}, Apache Kafka's default is {wanted:?}"
        );
    }
    Ok(())
}

fn topic_alter(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-config-alter";
    tools.create_topic(topic, "1")?;
    alter(
        tools,
        "topics",
        topic,
        &[
            "--add-config",
            "retention.ms=7200000,cleanup.policy=[compact,delete]",
        ],
    )?;
    eventually(|| {
        let text = describe(tools, "topics", topic, &[])?;
        expect(&text, "DYNAMIC_TOPIC_CONFIG:retention.ms=7200000")?;
        expect(&text, "cleanup.policy=compact,delete")
    })?;
    alter(tools, "topics", topic, &["--delete-config", "retention.ms"])?;
    eventually(|| {
        let text = describe(tools, "topics", topic, &[])?;
        expect_not(&text, "retention.ms=")?;
        expect(&text, "cleanup.policy=compact,delete")
    })?;
    let text = describe(tools, "topics", topic, &["--all"])?;
    let found = value(&text, "retention.ms")?;
    ensure!(
        found == "604800000",
        "retention.ms did not return to its default but to {found}"
    );
    Ok(())
}

fn topic_refused(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-config-refused";
    tools.create_topic(topic, "1")?;
    let refused = |change: &str, exception: &str| {
        let arguments = [
            "--alter",
            "--entity-type",
            "topics",
            "--entity-name",
            topic,
            "--add-config",
            change,
        ];
        tools.refused(CONFIG_COMMAND, &arguments, exception)
    };
    refused("retention.ms=yesterday", "InvalidConfigurationException")?;
    refused("cleanup.policy=shred", "InvalidConfigurationException")?;
    refused("no.such.key=1", "InvalidConfigurationException")?;
    let unknown = [
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        "tools-nowhere",
        "--add-config",
        "retention.ms=1",
    ];
    tools.refused(CONFIG_COMMAND, &unknown, "UnknownTopicOrPartitionException")
}

fn broker_describe_all(tools: &Tools<'_>) -> Result<()> {
    let broker = tools.target.broker_id().to_string();
    let text = describe(tools, "brokers", &broker, &["--all"])?;
    for (key, wanted) in [
        ("auto.create.topics.enable", "true"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("log.retention.hours", "168"),
        ("log.segment.bytes", "1073741824"),
        ("message.max.bytes", "1048588"),
        ("num.partitions", "4"),
        ("offsets.retention.minutes", "10080"),
        ("socket.request.max.bytes", "104857600"),
    ] {
        let found = value(&text, key)?;
        ensure!(found == wanted, "{key} is {found:?}, expected {wanted:?}");
    }
    expect(&text, "STATIC_BROKER_CONFIG:num.partitions=4")?;
    expect(&text, "DEFAULT_CONFIG:log.retention.hours=168")
}

fn broker_alter(tools: &Tools<'_>) -> Result<()> {
    let broker = tools.target.broker_id().to_string();
    alter(
        tools,
        "brokers",
        &broker,
        &["--add-config", "log.retention.ms=86400000"],
    )?;
    let described = || describe(tools, "brokers", &broker, &[]);
    eventually(|| {
        expect(
            &described()?,
            "DYNAMIC_BROKER_CONFIG:log.retention.ms=86400000",
        )
    })?;
    // A topic that does not set retention.ms follows the broker.
    let topic = "tools-config-follows";
    tools.create_topic(topic, "1")?;
    eventually(|| {
        let text = describe(tools, "topics", topic, &["--all"])?;
        let found = value(&text, "retention.ms")?;
        ensure!(
            found == "86400000",
            "the topic does not follow the broker: retention.ms is {found}"
        );
        Ok(())
    })?;
    alter(
        tools,
        "brokers",
        &broker,
        &["--delete-config", "log.retention.ms"],
    )?;
    eventually(|| expect_not(&described()?, "log.retention.ms="))
}

fn broker_default(tools: &Tools<'_>) -> Result<()> {
    let entity = ["--entity-type", "brokers", "--entity-default"];
    let run = |change: &[&str]| tools.output(CONFIG_COMMAND, &[&entity[..], change].concat(), "");
    run(&["--alter", "--add-config", "log.segment.bytes=536870912"])?;
    let default = "DYNAMIC_DEFAULT_BROKER_CONFIG:log.segment.bytes=536870912";
    eventually(|| expect(&run(&["--describe"])?, default))?;
    let broker = tools.target.broker_id().to_string();
    eventually(|| {
        let text = describe(tools, "brokers", &broker, &["--all"])?;
        let found = value(&text, "log.segment.bytes")?;
        ensure!(
            found == "536870912",
            "the broker does not follow the cluster-wide default: it has {found}"
        );
        Ok(())
    })?;
    run(&["--alter", "--delete-config", "log.segment.bytes"])?;
    eventually(|| expect_not(&run(&["--describe"])?, "log.segment.bytes="))
}

fn broker_refused(tools: &Tools<'_>) -> Result<()> {
    let broker = tools.target.broker_id().to_string();
    let refused = |change: &str| {
        let arguments = [
            "--alter",
            "--entity-type",
            "brokers",
            "--entity-name",
            &broker,
            "--add-config",
            change,
        ];
        tools.refused(CONFIG_COMMAND, &arguments, "InvalidRequestException")
    };
    // Not dynamic at all, and dynamic with a value that is no number.
    refused("broker.id=7")?;
    refused("log.retention.ms=soon")
}
