//! ConsumerGroupCommand and GroupsCommand: looking at groups and moving their offsets.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::runner::Runner;
use super::{Cases, Tools, eventually, expect, expect_not, lines};

const GROUP_COMMAND: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const VERIFIABLE_CONSUMER: &str = "org.apache.kafka.tools.VerifiableConsumer";

pub(super) const CASES: Cases = &[
    ("group-list-describe", list_and_describe),
    ("group-describe-active", describe_active),
    ("group-reset-offsets", reset_offsets),
    ("group-reset-from-file", reset_from_file),
    ("group-delete-offsets", delete_offsets),
    ("group-delete", delete),
];

/// A topic of one partition with 40 records, and a group that has read `read` of them and is empty again.
fn prepare(tools: &Tools<'_>, name: &str, read: &str) -> Result<()> {
    tools.create_topic(name, "1")?;
    tools.produce(name, &[], &lines("n", 40))?;
    let arguments = [
        "--topic",
        name,
        "--group",
        name,
        "--from-beginning",
        "--max-messages",
        read,
        "--timeout-ms",
        "30000",
    ];
    tools
        .output(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            &arguments,
            "",
        )
        .map(|_| ())?;
    eventually(|| expect(&describe(tools, name, &["--state"])?, "Empty"))
}

fn describe(tools: &Tools<'_>, group: &str, more: &[&str]) -> Result<String> {
    tools.output(
        GROUP_COMMAND,
        &[&["--describe", "--group", group], more].concat(),
        "",
    )
}

/// The fields of the listing's row that starts with the group and the topic.
fn row(listing: &str, group: &str) -> Result<Vec<String>> {
    listing
        .lines()
        .find(|line| line.starts_with(group))
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .with_context(|| format!("no row for {group} in {listing:?}"))
}

fn list_and_describe(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-group-list";
    prepare(tools, group, "10")?;
    expect(&tools.output(GROUP_COMMAND, &["--list"], "")?, group)?;
    let states = tools.output(GROUP_COMMAND, &["--list", "--state"], "")?;
    ensure!(
        row(&states, group)?
            .last()
            .is_some_and(|state| state == "Empty"),
        "the states are {states:?}"
    );
    expect(
        &tools.output(GROUP_COMMAND, &["--list", "--state", "Empty"], "")?,
        group,
    )?;
    expect_not(
        &tools.output(GROUP_COMMAND, &["--list", "--state", "Stable"], "")?,
        group,
    )?;
    let listing = tools.output("org.apache.kafka.tools.GroupsCommand", &["--list"], "")?;
    ensure!(
        row(&listing, group)?
            .get(1)
            .is_some_and(|kind| kind == "Classic"),
        "the listing is {listing:?}"
    );
    // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
    let fields = row(&describe(tools, group, &[])?, group)?;
    ensure!(
        fields[1..6] == [group, "0", "10", "40", "30"],
        "the row is {fields:?}"
    );
    // GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE #MEMBERS
    let state = describe(tools, group, &["--state"])?;
    expect(&state, "Empty")?;
    expect(&state, &format!("({})", tools.target.broker_id()))?;
    describe(tools, group, &["--members", "--verbose"])?;
    expect(
        &tools.output(GROUP_COMMAND, &["--describe", "--all-groups"], "")?,
        group,
    )?;
    tools.refused(
        GROUP_COMMAND,
        &["--describe", "--group", "tools-group-unknown"],
        "GroupIdNotFoundException",
    )
}

fn describe_active(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-group-active";
    prepare(tools, group, "10")?;
    let consume = [
        "--bootstrap-server",
        &tools.bootstrap,
        "--topic",
        group,
        "--group-id",
        group,
    ];
    let member = Runner::start(tools.kafka, tools.target.scratch())?
        .run_in_background(VERIFIABLE_CONSUMER, &consume)?;
    eventually(|| {
        let state = describe(tools, group, &["--state"])?;
        expect(&state, "Stable")?;
        expect(&state, "range")
    })?;
    // GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS ... ASSIGNMENT
    eventually(|| {
        let fields = row(&describe(tools, group, &["--members", "--verbose"])?, group)?;
        ensure!(
            fields.iter().any(|field| field == "/127.0.0.1"),
            "the member's host is missing: {fields:?}"
        );
        ensure!(
            fields
                .iter()
                .any(|field| field.starts_with(&format!("{group}:0"))
                    || field == &format!("{group}(0)")),
            "the member's assignment is missing: {fields:?}"
        );
        Ok(())
    })?;
    tools.refused(
        GROUP_COMMAND,
        &["--delete", "--group", group],
        "GroupNotEmptyException",
    )?;
    let reset = [
        "--reset-offsets",
        "--group",
        group,
        "--topic",
        group,
        "--to-earliest",
        "--execute",
    ];
    tools.refused(
        GROUP_COMMAND,
        &reset,
        "Assignments can only be reset if the group",
    )?;
    drop(member);
    Ok(())
}

/// Resets the offset of a group, which is also the topic's name, and returns what the tool announces.
fn reset(tools: &Tools<'_>, group: &str, how: &[&str], execute: bool) -> Result<i64> {
    let mode = if execute { "--execute" } else { "--dry-run" };
    let arguments = [
        &["--reset-offsets", "--group", group, "--topic", group],
        how,
        &[mode],
    ]
    .concat();
    let text = tools.output(GROUP_COMMAND, &arguments, "")?;
    let fields = row(&text, group)?;
    fields
        .get(3)
        .and_then(|offset| offset.parse().ok())
        .with_context(|| format!("the row is {fields:?}"))
}

fn reset_offsets(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-group-reset";
    prepare(tools, group, "10")?;
    ensure!(
        reset(tools, group, &["--to-earliest"], false)? == 0,
        "--to-earliest announces another offset"
    );
    let current = |tools: &Tools<'_>| -> Result<String> {
        Ok(row(&describe(tools, group, &[])?, group)?[3].clone())
    };
    ensure!(current(tools)? == "10", "a dry run moved the group");
    for (how, wanted) in [
        (&["--to-latest"][..], 40),
        (&["--to-earliest"], 0),
        (&["--to-offset", "25"], 25),
        (&["--shift-by", "-5"], 20),
        (&["--shift-by", "3"], 23),
        (&["--to-current"], 23),
        (&["--to-offset", "1000"], 40),
        (&["--to-datetime", "2020-01-01T00:00:00.000Z"], 0),
        (&["--by-duration", "PT0S"], 40),
        (&["--by-duration", "P1D"], 0),
    ] {
        let announced = reset(tools, group, how, true)?;
        ensure!(
            announced == wanted,
            "{how:?} announces offset {announced}, expected {wanted}"
        );
        let found = current(tools)?;
        ensure!(
            found == wanted.to_string(),
            "{how:?}: the group is at {found}, expected {wanted}"
        );
    }
    Ok(())
}

fn reset_from_file(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-group-file";
    prepare(tools, group, "10")?;
    let export = [
        "--reset-offsets",
        "--group",
        group,
        "--topic",
        group,
        "--to-offset",
        "7",
        "--export",
        "--dry-run",
    ];
    let csv = tools.output(GROUP_COMMAND, &export, "")?;
    let plan = csv
        .lines()
        .find(|line| line.contains(group))
        .with_context(|| format!("the export is {csv:?}"))?;
    let file = tools.target.scratch().join("reset.csv");
    fs::write(&file, format!("{plan}\n"))?;
    let path = file.to_str().context("the scratch path is not UTF-8")?;
    let import = [
        "--reset-offsets",
        "--group",
        group,
        "--from-file",
        path,
        "--execute",
    ];
    tools.output(GROUP_COMMAND, &import, "")?;
    let fields = row(&describe(tools, group, &[])?, group)?;
    ensure!(
        fields[3] == "7",
        "the file says 7, the group is at {}",
        fields[3]
    );
    Ok(())
}

fn delete_offsets(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-group-forgets";
    prepare(tools, group, "10")?;
    let text = tools.output(
        GROUP_COMMAND,
        &["--delete-offsets", "--group", group, "--topic", group],
        "",
    )?;
    expect(&text, "Successful")?;
    let text = describe(tools, group, &[]).unwrap_or_default();
    ensure!(
        row(&text, group).is_err(),
        "the group still has an offset: {text:?}"
    );
    Ok(())
}

fn delete(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-group-dies";
    prepare(tools, group, "10")?;
    let delete = ["--delete", "--group", group];
    expect(&tools.output(GROUP_COMMAND, &delete, "")?, "was successful")?;
    expect_not(&tools.output(GROUP_COMMAND, &["--list"], "")?, group)?;
    tools.refused(GROUP_COMMAND, &delete, "GroupIdNotFoundException")
}
