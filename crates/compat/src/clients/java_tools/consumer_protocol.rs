//! Groups of the consumer protocol (KIP-848), by the clients and the commands that know it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::runner::Runner;
use super::{Cases, Tools, expect, lines};

const CONSOLE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const GROUP_COMMAND: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const VERIFIABLE_CONSUMER: &str = "org.apache.kafka.tools.VerifiableConsumer";
const LIMIT: Duration = Duration::from_secs(60);

pub(super) const CASES: Cases = &[
    ("consumer-protocol-read", read),
    ("consumer-protocol-active", active),
    ("consumer-protocol-migration", migration),
];

fn read(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-consumer-protocol";
    tools.create_topic(group, "1")?;
    tools.produce(group, &[], &lines("n", 40))?;
    let consume = |count: &str| {
        let arguments = [
            "--topic",
            group,
            "--group",
            group,
            "--command-property",
            "group.protocol=consumer",
            "--command-property",
            "auto.offset.reset=earliest",
            "--max-messages",
            count,
            "--timeout-ms",
            "30000",
        ];
        tools.output(CONSOLE_CONSUMER, &arguments, "")
    };
    expect(&consume("10")?, "n-9")?;
    // It goes on where it stopped.
    let next = consume("5")?;
    ensure!(next.lines().count() == 5, "it read {next:?}");
    let listing = tools.output("org.apache.kafka.tools.GroupsCommand", &["--list"], "")?;
    let row = listing.lines().find(|line| line.starts_with(group));
    ensure!(
        row.is_some_and(|row| row.contains("Consumer")),
        "the listing is {listing:?}"
    );
    let describe = ["--describe", "--group", group];
    let rows = tools.output(GROUP_COMMAND, &describe, "")?;
    let row = rows.lines().find(|line| line.starts_with(group));
    let fields: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
    ensure!(
        fields.get(2..6) == Some(&["0", "15", "40", "25"]),
        "the row is {fields:?}"
    );
    let state = tools.output(GROUP_COMMAND, &[&describe[..], &["--state"]].concat(), "")?;
    expect(&state, "Empty")?;
    let delete = ["--delete", "--group", group];
    expect(&tools.output(GROUP_COMMAND, &delete, "")?, "was successful")
}

/// A consumer that stays in the group until it is dropped.
fn start(tools: &Tools<'_>, group: &str, protocol: &str) -> Result<Runner> {
    let consume = [
        "--bootstrap-server",
        &tools.bootstrap,
        "--topic",
        group,
        "--group-id",
        group,
        "--group-protocol",
        protocol,
    ];
    Runner::start(tools.kafka, tools.target.scratch())?
        .run_in_background(VERIFIABLE_CONSUMER, &consume)
}

/// Describes the group until what it prints has all of `wanted`.
fn wait_for(tools: &Tools<'_>, group: &str, view: &[&str], wanted: &[&str]) -> Result<String> {
    let deadline = Instant::now() + LIMIT;
    let arguments = [&["--describe", "--group", group], view].concat();
    loop {
        let printed = tools
            .output(GROUP_COMMAND, &arguments, "")
            .unwrap_or_default();
        if wanted.iter().all(|text| printed.contains(text)) {
            return Ok(printed);
        }
        if Instant::now() > deadline {
            bail!("the group does not show {wanted:?}: {printed:?}");
        }
    }
}

fn active(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-consumer-active";
    tools.create_topic(group, "4")?;
    tools.produce(group, &[], &lines("n", 40))?;
    let first = start(tools, group, "consumer")?;
    let second = start(tools, group, "consumer")?;
    // GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE #MEMBERS
    let state = wait_for(tools, group, &["--state"], &["Stable", "2"])?;
    expect(&state, "uniform")?;
    let members = wait_for(tools, group, &["--members", "--verbose"], &["/127.0.0.1"])?;
    let rows = members.lines().filter(|line| line.starts_with(group));
    ensure!(rows.count() == 2, "the members are {members:?}");
    tools.refused(
        GROUP_COMMAND,
        &["--delete", "--group", group],
        "GroupNotEmptyException",
    )?;
    drop((first, second));
    Ok(())
}

/// A consumer of the consumer protocol joins one of the classic protocol: the group goes over, with both in it.
fn migration(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-consumer-migration";
    tools.create_topic(group, "2")?;
    tools.produce(group, &[], &lines("n", 40))?;
    let classic = start(tools, group, "classic")?;
    let state = wait_for(tools, group, &["--state"], &["Stable"])?;
    expect(&state, "range")?;
    let modern = start(tools, group, "consumer")?;
    let state = wait_for(tools, group, &["--state"], &["Stable", "uniform"])?;
    let row = state.lines().find(|line| line.starts_with(group));
    ensure!(
        row.is_some_and(|row| row.split_whitespace().last() == Some("2")),
        "the group does not have both members: {state:?}"
    );
    drop((classic, modern));
    Ok(())
}
