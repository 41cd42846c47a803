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
    let printed = tools.output(GROUP_COMMAND, &describe, "")?;
    let found = rows(&printed, group);
    ensure!(
        matches!(&found[..], [row] if row.get(2..6) == Some(&["0", "15", "40", "25"])),
        "the rows are {found:?}"
    );
    wait_for(
        tools,
        group,
        &["--state"],
        "no member",
        |rows| matches!(rows, [row] if row.contains(&"Empty")),
    )?;
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

/// Describes the group until `settled` holds of the rows that it prints, each cut into its fields.
///
/// A group converges: a member may be there alone first, and its epoch says how often the group has changed since.
fn wait_for(
    tools: &Tools<'_>,
    group: &str,
    view: &[&str],
    wanted: &str,
    settled: impl Fn(&[Vec<&str>]) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let arguments = [&["--describe", "--group", group], view].concat();
    loop {
        // Until the first member has joined, the group is not there and the tool fails.
        let printed = tools
            .output(GROUP_COMMAND, &arguments, "")
            .unwrap_or_default();
        if settled(&rows(&printed, group)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the group does not show {wanted}: {printed:?}");
        }
    }
}

/// The rows that are about the group, cut into their fields.
fn rows<'a>(printed: &'a str, group: &str) -> Vec<Vec<&'a str>> {
    printed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.first() == Some(&group))
        .collect()
}

/// Whether the only row of `--state` shows a stable group with this assignor and this many members.
///
/// Its columns: GROUP, COORDINATOR, (ID), ASSIGNMENT-STRATEGY, STATE, #MEMBERS.
fn stable(rows: &[Vec<&str>], assignor: &str, members: &str) -> bool {
    let [row] = rows else { return false };
    row.ends_with(&[assignor, "Stable", members])
}

fn active(tools: &Tools<'_>) -> Result<()> {
    let group = "tools-consumer-active";
    tools.create_topic(group, "4")?;
    tools.produce(group, &[], &lines("n", 40))?;
    let first = start(tools, group, "consumer")?;
    let second = start(tools, group, "consumer")?;
    wait_for(tools, group, &["--state"], "two members, stable", |rows| {
        stable(rows, "uniform", "2")
    })?;
    // GROUP, CONSUMER-ID, HOST, CLIENT-ID, #PARTITIONS, CURRENT-EPOCH, CURRENT-ASSIGNMENT, TARGET-EPOCH,
    // TARGET-ASSIGNMENT. Which epoch it is depends on when the members came; that both are the same does not.
    wait_for(
        tools,
        group,
        &["--members", "--verbose"],
        "two members with two partitions each, on their way nowhere",
        |rows| {
            rows.len() == 2
                && rows.iter().all(|row| {
                    row.contains(&"/127.0.0.1")
                        && matches!(row[..], [.., "2", current, assigned, target, wanted]
                            if current == target && assigned == wanted)
                })
        },
    )?;
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
    wait_for(
        tools,
        group,
        &["--state"],
        "one member of the classic protocol, stable",
        |rows| stable(rows, "range", "1"),
    )?;
    let modern = start(tools, group, "consumer")?;
    wait_for(tools, group, &["--state"], "both members, stable", |rows| {
        stable(rows, "uniform", "2")
    })?;
    drop((classic, modern));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "\nGROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY STATE #MEMBERS\n\
                         g 127.0.0.1:2222 (1) uniform Stable 1\n";

    #[test]
    fn a_digit_of_the_port_is_no_number_of_members() {
        let rows = rows(STATE, "g");
        assert!(stable(&rows, "uniform", "1"));
        assert!(!stable(&rows, "uniform", "2"));
        assert!(!stable(&rows, "range", "1"));
        assert!(!stable(&[], "uniform", "1"));
    }
}
