//! The tools of a cluster's administrator: features, quorum, reassignments, client metrics, groups' configs, levels
//! of loggers.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::configs::CONFIG_COMMAND;
use super::{Cases, Tools, eventually, expect, expect_not};

const FEATURE_COMMAND: &str = "org.apache.kafka.tools.FeatureCommand";
const QUORUM_COMMAND: &str = "org.apache.kafka.tools.MetadataQuorumCommand";
const REASSIGN_COMMAND: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
const CLIENT_METRICS_COMMAND: &str = "org.apache.kafka.tools.ClientMetricsCommand";

pub(super) const CASES: Cases = &[
    ("features-refused", features_refused),
    ("features-change", features_change),
    ("quorum-describe", quorum_describe),
    ("reassign-execute-verify", reassign_execute_verify),
    ("client-metrics-lifecycle", client_metrics_lifecycle),
    ("client-metrics-refused", client_metrics_refused),
    ("config-group", config_group),
    ("config-broker-loggers", config_broker_loggers),
];

fn features_refused(tools: &Tools<'_>) -> Result<()> {
    for (feature, reason) in [
        ("metadata.version=99", "Invalid update version 99"),
        ("no.such.version=1", "does not support this feature"),
    ] {
        let answer = tools.run(FEATURE_COMMAND, &["upgrade", "--feature", feature], "")?;
        ensure!(answer.exit == Some(1), "{feature} should fail: {answer:?}");
        expect(&answer.stdout, "Could not upgrade")?;
        expect(&answer.stdout, reason)?;
    }
    let dry = ["upgrade", "--feature", "metadata.version=99", "--dry-run"];
    let answer = tools.run(FEATURE_COMMAND, &dry, "")?;
    ensure!(
        answer.exit == Some(1),
        "a dry run should fail too: {answer:?}"
    );
    expect(&answer.stdout, "Can not upgrade metadata.version to 99")
}

fn features_change(tools: &Tools<'_>) -> Result<()> {
    let change = |direction: &str, level: &str| {
        let feature = format!("transaction.version={level}");
        let arguments = [direction, "--feature", &feature];
        let text = tools.output(FEATURE_COMMAND, &arguments, "")?;
        expect(
            &text,
            &format!("transaction.version was {direction}d to {level}."),
        )?;
        eventually(|| {
            let text = tools.output(FEATURE_COMMAND, &["describe"], "")?;
            let line = text
                .lines()
                .find(|line| line.contains("transaction.version"));
            let line = line.context("no transaction.version")?;
            expect(line, &format!("FinalizedVersionLevel: {level}"))
        })
    };
    change("downgrade", "1")?;
    change("upgrade", "2")
}

fn quorum_describe(tools: &Tools<'_>) -> Result<()> {
    let broker = tools.target.broker_id().to_string();
    let text = tools.output(QUORUM_COMMAND, &["describe", "--status"], "")?;
    let line = |name: &str| -> Result<String> {
        let line = text.lines().find(|line| line.starts_with(name));
        Ok(line
            .with_context(|| format!("no {name} in {text}"))?
            .to_owned())
    };
    ensure!(line("LeaderId:")?.ends_with(&broker), "{text}");
    ensure!(line("MaxFollowerLag:")?.ends_with('0'), "{text}");
    expect(&line("CurrentVoters:")?, &broker)?;
    expect(&line("CurrentObservers:")?, "[]")?;
    let text = tools.output(QUORUM_COMMAND, &["describe", "--replication"], "")?;
    expect(&text, "LogEndOffset")?;
    expect(&text, "Leader")
}

fn reassign_execute_verify(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-reassign";
    tools.create_topic(topic, "1")?;
    let broker = tools.target.broker_id();
    let plan = |replica: i32| {
        format!(
            "{{\"version\":1,\"partitions\":[{{\"topic\":\"{topic}\",\"partition\":0,\
             \"replicas\":[{replica}],\"log_dirs\":[\"any\"]}}]}}"
        )
    };
    let file = tools.target.scratch().join("reassign.json");
    let path = file.to_str().context("the scratch folder is no text")?;
    fs::write(&file, plan(broker))?;
    let plan_file = ["--reassignment-json-file", path];
    let text = tools.output(
        REASSIGN_COMMAND,
        &[&plan_file[..], &["--execute"]].concat(),
        "",
    )?;
    expect(&text, "Successfully started partition reassignment")?;
    eventually(|| {
        let arguments = [&plan_file[..], &["--verify"]].concat();
        let text = tools.output(REASSIGN_COMMAND, &arguments, "")?;
        expect(
            &text,
            &format!("Reassignment of partition {topic}-0 is completed"),
        )
    })?;
    fs::write(&file, plan(broker + 1))?;
    let arguments = [&plan_file[..], &["--execute"]].concat();
    let answer = tools.run(REASSIGN_COMMAND, &arguments, "")?;
    ensure!(answer.exit != Some(0), "a broker there is not: {answer:?}");
    Ok(())
}

fn client_metrics_lifecycle(tools: &Tools<'_>) -> Result<()> {
    let run = |arguments: &[&str]| tools.output(CLIENT_METRICS_COMMAND, arguments, "");
    let name = ["--name", "tools-metrics"];
    let change = [
        "--alter",
        "--metrics",
        "org.apache.kafka.producer.,org.apache.kafka.consumer.",
        "--interval",
        "30000",
        "--match",
        "client_software_name=apache-kafka-java,client_id=app.*",
    ];
    run(&[&name[..], &change].concat())?;
    eventually(|| expect(&run(&["--list"])?, "tools-metrics"))?;
    let text = run(&[&name[..], &["--describe"]].concat())?;
    expect(&text, "interval.ms=30000")?;
    expect(&text, "org.apache.kafka.producer.")?;
    expect(&text, "client_id=app.*")?;
    let entity = [
        "--entity-type",
        "client-metrics",
        "--entity-name",
        "tools-metrics",
    ];
    let text = tools.output(CONFIG_COMMAND, &[&entity[..], &["--describe"]].concat(), "")?;
    expect(&text, "interval.ms=30000")?;
    run(&[&name[..], &["--delete"]].concat())?;
    eventually(|| expect_not(&run(&["--list"])?, "tools-metrics"))
}

fn client_metrics_refused(tools: &Tools<'_>) -> Result<()> {
    let refused = |change: [&str; 2], exception: &str| {
        let arguments = [&["--alter", "--name", "tools-metrics-refused"], &change[..]].concat();
        tools.refused(CLIENT_METRICS_COMMAND, &arguments, exception)
    };
    refused(["--interval", "1"], "InvalidRequestException")?;
    refused(["--match", "client_id=("], "InvalidConfigurationException")?;
    refused(["--match", "colour=red"], "InvalidConfigurationException")
}

fn config_group(tools: &Tools<'_>) -> Result<()> {
    let entity = [
        "--entity-type",
        "groups",
        "--entity-name",
        "tools-group-config",
    ];
    let run = |change: &[&str]| tools.output(CONFIG_COMMAND, &[&entity[..], change].concat(), "");
    run(&[
        "--alter",
        "--add-config",
        "consumer.session.timeout.ms=50000",
    ])?;
    eventually(|| {
        let text = run(&["--describe"])?;
        expect(&text, "consumer.session.timeout.ms=50000")?;
        expect(
            &text,
            "DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000",
        )
    })?;
    let bad = ["--alter", "--add-config", "consumer.session.timeout.ms=1"];
    tools.refused(
        CONFIG_COMMAND,
        &[&entity[..], &bad].concat(),
        "InvalidConfigurationException",
    )?;
    run(&["--alter", "--delete-config", "consumer.session.timeout.ms"])?;
    eventually(|| expect_not(&run(&["--describe"])?, "DYNAMIC_GROUP_CONFIG"))
}

fn config_broker_loggers(tools: &Tools<'_>) -> Result<()> {
    let broker = tools.target.broker_id().to_string();
    let entity = ["--entity-type", "broker-loggers", "--entity-name", &broker];
    let run = |change: &[&str]| tools.output(CONFIG_COMMAND, &[&entity[..], change].concat(), "");
    let before = run(&["--describe"])?;
    expect(&before, "root=")?;
    run(&["--alter", "--add-config", "root=ERROR"])?;
    eventually(|| expect(&run(&["--describe"])?, "root=ERROR"))?;
    run(&["--alter", "--add-config", "root=INFO"])?;
    eventually(|| expect(&run(&["--describe"])?, "root=INFO"))?;
    let refused = |change: [&str; 2], exception: &str| {
        let arguments = [&entity[..], &["--alter"], &change].concat();
        tools.refused(CONFIG_COMMAND, &arguments, exception)
    };
    refused(
        ["--add-config", "root=LOUD"],
        "InvalidConfigurationException",
    )?;
    // The tool itself looks whether there is such a logger.
    refused(
        ["--add-config", "no.such.logger.at.all=INFO"],
        "Invalid broker logger(s)",
    )?;
    refused(["--delete-config", "root"], "InvalidRequestException")
}
