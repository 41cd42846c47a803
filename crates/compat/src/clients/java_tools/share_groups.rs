//! ShareGroupCommand and ConsoleShareConsumer: share groups (KIP-932) and their administration.

use anyhow::{Context, Result, ensure};

use super::configs::CONFIG_COMMAND;
use super::runner::Runner;
use super::{Cases, Tools, eventually, expect, expect_not, lines};

const SHARE_GROUP_COMMAND: &str = "org.apache.kafka.tools.consumer.group.ShareGroupCommand";
const SHARE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";

pub(super) const CASES: Cases = &[
    ("share-group-offsets", offsets),
    ("share-group-active", active),
    ("share-consumer-read", read),
];

fn describe(tools: &Tools<'_>, group: &str, more: &[&str]) -> Result<String> {
    let arguments = [&["--describe", "--group", group], more].concat();
    tools.output(SHARE_GROUP_COMMAND, &arguments, "")
}

/// The fields of the listing's row that starts with the group.
fn row(listing: &str, group: &str) -> Result<Vec<String>> {
    listing
        .lines()
        .find(|line| line.starts_with(group))
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .with_context(|| format!("no row for {group} in {listing:?}"))
}

/// A topic of one partition with 20 records, and a group of the same name that begins at the first.
fn prepare(tools: &Tools<'_>, name: &str) -> Result<()> {
    tools.create_topic(name, "1")?;
    tools.produce(name, &[], &lines("s", 20))?;
    let alter = [
        "--alter",
        "--entity-type",
        "groups",
        "--entity-name",
        name,
        "--add-config",
        "share.auto.offset.reset=earliest",
    ];
    tools.output(CONFIG_COMMAND, &alter, "").map(|_| ())
}

/// Offsets are moved, described and deleted while nobody reads, and the group goes.
fn offsets(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-share-offsets";
    prepare(tools, group)?;
    let reset = |to: &str| {
        let arguments = [
            "--reset-offsets",
            "--group",
            group,
            "--topic",
            group,
            to,
            "--execute",
        ];
        tools.output(SHARE_GROUP_COMMAND, &arguments, "")
    };
    reset("--to-latest")?;
    eventually(|| {
        // GROUP TOPIC PARTITION START-OFFSET LAG
        let fields = row(&describe(tools, group, &["--offsets"])?, group)?;
        ensure!(fields[1..4] == [group, "0", "20"], "the row is {fields:?}");
        Ok(())
    })?;
    reset("--to-earliest")?;
    eventually(|| {
        let fields = row(&describe(tools, group, &["--offsets"])?, group)?;
        ensure!(fields[1..4] == [group, "0", "0"], "the row is {fields:?}");
        Ok(())
    })?;
    expect(&tools.output(SHARE_GROUP_COMMAND, &["--list"], "")?, group)?;
    let states = tools.output(SHARE_GROUP_COMMAND, &["--list", "--state"], "")?;
    ensure!(
        row(&states, group)?
            .last()
            .is_some_and(|state| state == "Empty"),
        "the states are {states:?}"
    );
    expect(&describe(tools, group, &["--state"])?, "Empty")?;
    let listing = tools.output("org.apache.kafka.tools.GroupsCommand", &["--list"], "")?;
    ensure!(
        row(&listing, group)?
            .get(1)
            .is_some_and(|kind| kind == "Share"),
        "the listing is {listing:?}"
    );
    let delete = ["--delete-offsets", "--group", group, "--topic", group];
    expect(&tools.output(SHARE_GROUP_COMMAND, &delete, "")?, group)?;
    eventually(|| expect_not(&describe(tools, group, &["--offsets"])?, "0 "))?;
    let delete = ["--delete", "--group", group];
    tools.output(SHARE_GROUP_COMMAND, &delete, "")?;
    expect_not(&tools.output(SHARE_GROUP_COMMAND, &["--list"], "")?, group)?;
    tools.refused(
        SHARE_GROUP_COMMAND,
        &["--describe", "--group", group],
        "GroupIdNotFoundException",
    )
}

/// A group with a member is described, and is not reset or deleted.
fn active(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-share-active";
    prepare(tools, group)?;
    let arguments = [
        "--bootstrap-server",
        &tools.bootstrap,
        "--topic",
        group,
        "--group",
        group,
    ];
    let member = Runner::start(tools.kafka, tools.target.scratch())?
        .run_in_background(SHARE_CONSUMER, &arguments)?;
    eventually(|| {
        // GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS ASSIGNMENT
        let fields = row(&describe(tools, group, &["--members"])?, group)?;
        ensure!(
            fields
                .last()
                .is_some_and(|assigned| assigned.contains(group)),
            "the row is {fields:?}"
        );
        Ok(())
    })?;
    expect(&describe(tools, group, &["--state"])?, "Stable")?;
    describe(tools, group, &["--state", "--verbose"])?;
    let delete = ["--delete", "--group", group];
    tools.refused(SHARE_GROUP_COMMAND, &delete, "not EMPTY")?;
    drop(member);
    Ok(())
}

/// A share consumer reads a topic to its end, after which nothing is left to do. Where the group starts may lag
/// behind that: it is written down with a later acknowledgement.
fn read(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-share-read";
    prepare(tools, group)?;
    let arguments = [
        "--topic",
        group,
        "--group",
        group,
        "--timeout-ms",
        "30000",
        "--max-messages",
        "20",
    ];
    let said = tools.output(SHARE_CONSUMER, &arguments, "")?;
    for line in lines("s", 20).lines() {
        expect(&said, line)?;
    }
    eventually(|| {
        let fields = row(&describe(tools, group, &["--offsets"])?, group)?;
        ensure!(fields[4] == "0", "the row is {fields:?}");
        Ok(())
    })
}
