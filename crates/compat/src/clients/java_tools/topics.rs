//! TopicCommand, BrokerApiVersionsCommand, ClusterTool, and the two commands that move leaders and replicas.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Cases, Tools, eventually, expect, expect_not};

pub(super) const TOPIC_COMMAND: &str = "org.apache.kafka.tools.TopicCommand";

pub(super) const CASES: Cases = &[
    ("broker-api-versions", broker_api_versions),
    ("cluster-id", cluster_id),
    ("features-describe", features_describe),
    ("topic-create-list-describe", create_list_describe),
    ("topic-create-refused", create_refused),
    ("topic-describe-filters", describe_filters),
    ("topic-add-partitions", add_partitions),
    ("topic-delete", delete),
    ("leader-election", leader_election),
    ("reassign-list", reassign_list),
];

fn broker_api_versions(tools: &Tools<'_>) -> Result<()> {
    let text = tools.output("org.apache.kafka.tools.BrokerApiVersionsCommand", &[], "")?;
    expect(
        &text,
        &format!(
            "{} (id: {} rack: null isFenced: false) -> (",
            tools.bootstrap,
            tools.target.broker_id()
        ),
    )?;
    // The ranges clients infer features from; Apache Kafka 4.3 and 4.4 agree on these minima.
    for range in [
        "Produce(0): 0 to ",
        "Fetch(1): 4 to ",
        "Metadata(3): 0 to ",
        "FindCoordinator(10): 0 to ",
    ] {
        expect(&text, range)?;
    }
    for key in [
        "ListOffsets(2)",
        "OffsetCommit(8)",
        "JoinGroup(11)",
        "CreateTopics(19)",
        "DescribeConfigs(32)",
    ] {
        let line = text
            .lines()
            .find(|line| line.contains(key))
            .with_context(|| format!("no line for {key}"))?;
        ensure!(line.contains("[usable: "), "{key} is not usable: {line}");
    }
    Ok(())
}

fn cluster_id(tools: &Tools<'_>) -> Result<()> {
    let arguments = ["cluster-id", "--bootstrap-server", &tools.bootstrap];
    let text = tools
        .run_plain("org.apache.kafka.tools.ClusterTool", &arguments, "")?
        .ok()?;
    let id = text
        .trim()
        .strip_prefix("Cluster ID: ")
        .with_context(|| format!("the answer {text:?}"))?;
    ensure!(
        id.len() == 22,
        "a cluster id is a UUID in 22 characters of base64, not {id:?}"
    );
    let arguments = ["list-endpoints", "--bootstrap-server", &tools.bootstrap];
    let text = tools
        .run_plain("org.apache.kafka.tools.ClusterTool", &arguments, "")?
        .ok()?;
    expect(&text, "127.0.0.1")
}

fn features_describe(tools: &Tools<'_>) -> Result<()> {
    let arguments = ["--bootstrap-server", &tools.bootstrap, "describe"];
    let text = tools
        .run_plain("org.apache.kafka.tools.FeatureCommand", &arguments, "")?
        .ok()?;
    expect(&text, "Feature: metadata.version")?;
    expect(&text, "FinalizedVersionLevel: ")
}

fn create_list_describe(tools: &Tools<'_>) -> Result<()> {
    let create = [
        "--create",
        "--topic",
        "tools-orders",
        "--partitions",
        "6",
        "--replication-factor",
        "1",
        "--config",
        "retention.ms=3600000",
        "--config",
        "cleanup.policy=compact,delete",
    ];
    let text = tools.output(TOPIC_COMMAND, &create, "")?;
    expect(&text, "Created topic tools-orders.")?;
    eventually(|| {
        let listed = tools.output(TOPIC_COMMAND, &["--list"], "")?;
        ensure!(
            listed.lines().any(|line| line == "tools-orders"),
            "--list does not name the topic: {listed:?}"
        );
        Ok(())
    })?;
    let text = tools.output(
        TOPIC_COMMAND,
        &["--describe", "--topic", "tools-orders"],
        "",
    )?;
    for wanted in [
        "PartitionCount: 6",
        "ReplicationFactor: 1",
        "retention.ms=3600000",
        "cleanup.policy=compact,delete",
    ] {
        expect(&text, wanted)?;
    }
    let broker = tools.target.broker_id();
    for partition in 0..6 {
        let line =
            format!("Partition: {partition}\tLeader: {broker}\tReplicas: {broker}\tIsr: {broker}");
        expect(&text, &line)?;
    }
    Ok(())
}

fn create_refused(tools: &Tools<'_>) -> Result<()> {
    tools.create_topic("tools-once", "1")?;
    fn create<'a>(topic: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["--create", "--topic", topic], more].concat()
    }
    tools.refused(
        TOPIC_COMMAND,
        &create("tools-once", &[]),
        "TopicExistsException",
    )?;
    tools.output(
        TOPIC_COMMAND,
        &create("tools-once", &["--if-not-exists"]),
        "",
    )?;
    for (options, exception) in [
        (
            &["--replication-factor", "3"][..],
            "InvalidReplicationFactorException",
        ),
        (&["--config", "retention.ms=soon"], "ConfigException"),
        (&["--config", "segment.bytes=-1"], "ConfigException"),
        (
            &["--replica-assignment", "77"],
            "InvalidReplicaAssignmentException",
        ),
    ] {
        tools.refused(TOPIC_COMMAND, &create("tools-never", options), exception)?;
    }
    expect_not(
        &tools.output(TOPIC_COMMAND, &["--list"], "")?,
        "tools-never",
    )
}

fn describe_filters(tools: &Tools<'_>) -> Result<()> {
    tools.create_topic("tools-plain", "2")?;
    for filter in [
        "--under-replicated-partitions",
        "--unavailable-partitions",
        "--under-min-isr-partitions",
        "--at-min-isr-partitions",
    ] {
        let text = tools.output(
            TOPIC_COMMAND,
            &["--describe", "--topic", "tools-plain", filter],
            "",
        )?;
        // One replica is at the minimum of one; nothing is below it.
        let lines = if filter == "--at-min-isr-partitions" {
            2
        } else {
            0
        };
        ensure!(text.lines().count() == lines, "{filter}: {text:?}");
    }
    let create = [
        "--create",
        "--topic",
        "tools-overridden",
        "--config",
        "max.message.bytes=100000",
    ];
    tools.output(TOPIC_COMMAND, &create, "")?;
    // Apache Kafka lists more than this one: it counts what its cluster-wide defaults set.
    eventually(|| {
        let text = tools.output(
            TOPIC_COMMAND,
            &["--describe", "--topics-with-overrides"],
            "",
        )?;
        expect(&text, "tools-overridden")
    })
}

fn add_partitions(tools: &Tools<'_>) -> Result<()> {
    tools.create_topic("tools-grows", "2")?;
    let alter = |partitions| {
        [
            "--alter",
            "--topic",
            "tools-grows",
            "--partitions",
            partitions,
        ]
    };
    tools.output(TOPIC_COMMAND, &alter("5"), "")?;
    let describe = || tools.output(TOPIC_COMMAND, &["--describe", "--topic", "tools-grows"], "");
    eventually(|| expect(&describe()?, "PartitionCount: 5"))?;
    tools.refused(TOPIC_COMMAND, &alter("3"), "InvalidPartitionsException")?;
    expect(&describe()?, "PartitionCount: 5")
}

fn delete(tools: &Tools<'_>) -> Result<()> {
    tools.create_topic("tools-goes", "2")?;
    tools.output(TOPIC_COMMAND, &["--delete", "--topic", "tools-goes"], "")?;
    eventually(|| expect_not(&tools.output(TOPIC_COMMAND, &["--list"], "")?, "tools-goes"))?;
    let again = ["--delete", "--topic", "tools-goes"];
    tools.refused(TOPIC_COMMAND, &again, "does not exist as expected")?;
    // The name is free again at once.
    tools.create_topic("tools-goes", "3")?;
    let text = tools.output(TOPIC_COMMAND, &["--describe", "--topic", "tools-goes"], "")?;
    expect(&text, "PartitionCount: 3")
}

fn leader_election(tools: &Tools<'_>) -> Result<()> {
    tools.create_topic("tools-elects", "2")?;
    let main = "org.apache.kafka.tools.LeaderElectionCommand";
    let one = [
        "--election-type",
        "preferred",
        "--topic",
        "tools-elects",
        "--partition",
        "0",
    ];
    expect(
        &tools.output(main, &one, "")?,
        "Valid replica already elected for partitions tools-elects-0",
    )?;
    tools.output(
        main,
        &["--election-type", "preferred", "--all-topic-partitions"],
        "",
    )?;
    let unknown = [
        "--election-type",
        "preferred",
        "--topic",
        "tools-unknown",
        "--partition",
        "0",
    ];
    tools.refused(main, &unknown, "UnknownTopicOrPartition")
}

fn reassign_list(tools: &Tools<'_>) -> Result<()> {
    let main = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    expect(
        &tools.output(main, &["--list"], "")?,
        "No partition reassignments found.",
    )?;
    tools.create_topic("tools-moves", "1")?;
    let file = tools.target.scratch().join("move.json");
    fs::write(&file, r#"{"topics":[{"topic":"tools-moves"}],"version":1}"#)?;
    let broker = tools.target.broker_id().to_string();
    let path = file.to_str().context("the scratch path is not UTF-8")?;
    let generate = [
        "--generate",
        "--topics-to-move-json-file",
        path,
        "--broker-list",
        &broker,
    ];
    expect(
        &tools.output(main, &generate, "")?,
        "Proposed partition reassignment configuration",
    )
}
