//! TransactionsCommand on transactions that are open, and TransactionalMessageCopier, whose broker may be killed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::performance::PRODUCER_PERFORMANCE;
use super::records::{CONSOLE_CONSUMER, GET_OFFSETS};
use super::runner::Runner;
use super::{Cases, Tools, eventually, expect, lines};
use crate::process::Managed;
use crate::target::{Kind, Target};

const TRANSACTIONS_COMMAND: &str = "org.apache.kafka.tools.TransactionsCommand";
const COPIER: &str = "org.apache.kafka.tools.TransactionalMessageCopier";

/// How long the copier may take over all its transactions and both kills.
const COPY_LIMIT: Duration = Duration::from_secs(120);

pub(super) const CASES: Cases = &[
    ("transactions-list", list),
    ("transactions-describe", describe),
    ("transactions-abort", abort),
    ("transactions-terminate", terminate),
    ("transactional-copier", copier),
    ("transactional-copier-killed", copier_killed),
];

fn run(tools: &Tools<'_>, arguments: &[&str]) -> Result<String> {
    tools.output(TRANSACTIONS_COMMAND, arguments, "")
}

/// The fields of the row that starts with this word.
fn row<'a>(printed: &'a str, first: &str) -> Option<Vec<&'a str>> {
    printed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&first))
}

/// A producer in a transaction that it keeps open, until it is dropped, which kills it.
///
/// The topic and the transactional id are one name.
fn open_transaction(tools: &Tools<'_>, name: &str) -> Result<Runner> {
    tools.create_topic(name, "1")?;
    let arguments = [
        "--bootstrap-server",
        &tools.bootstrap,
        "--topic",
        name,
        "--transactional-id",
        name,
        "--transaction-duration-ms",
        "600000",
        "--num-records",
        "100000",
        "--record-size",
        "10",
        "--throughput",
        "20",
    ];
    let producer = Runner::start(tools.kafka, tools.target.scratch())?
        .run_in_background(PRODUCER_PERFORMANCE, &arguments)?;
    eventually(|| {
        let fields = producer_row(tools, name)?;
        ensure!(
            fields.last().is_some_and(|offset| offset == "0"),
            "the transaction is not open: {fields:?}"
        );
        Ok(())
    })?;
    Ok(producer)
}

/// ProducerId, ProducerEpoch, LatestCoordinatorEpoch, LastSequence, LastTimestamp, CurrentTransactionStartOffset.
fn producer_row(tools: &Tools<'_>, topic: &str) -> Result<Vec<String>> {
    let arguments = ["describe-producers", "--topic", topic, "--partition", "0"];
    let printed = run(tools, &arguments)?;
    let row = printed
        .lines()
        .nth(1)
        .with_context(|| format!("no producer in {printed:?}"))?;
    Ok(row.split_whitespace().map(str::to_owned).collect())
}

fn awaits_no_transaction(tools: &Tools<'_>, topic: &str) -> Result<()> {
    eventually(|| {
        let fields = producer_row(tools, topic)?;
        ensure!(
            fields.last().is_some_and(|offset| offset == "None"),
            "the transaction is still open: {fields:?}"
        );
        Ok(())
    })
}

fn list(tools: &Tools<'_>) -> Result<()> {
    expect(&run(tools, &["list"])?, "TransactionalId")
}

fn describe(tools: &Tools<'_>) -> Result<()> {
    let name = "tools-txn-open";
    let producer = open_transaction(tools, name)?;
    // TransactionalId, Coordinator, ProducerId, TransactionState.
    let listing = run(tools, &["list"])?;
    ensure!(
        row(&listing, name).is_some_and(|row| row.last() == Some(&"Ongoing")),
        "the listing is {listing:?}"
    );
    let listing = run(tools, &["list", "--duration-filter", "3600000"])?;
    ensure!(
        row(&listing, name).is_none(),
        "it is not an hour old: {listing:?}"
    );
    // CoordinatorId, TransactionalId, ProducerId, ProducerEpoch, TransactionState, TransactionTimeoutMs,
    // CurrentTransactionStartTimeMs, TransactionDurationMs, TopicPartitions.
    let printed = run(tools, &["describe", "--transactional-id", name])?;
    for wanted in ["Ongoing", &format!("{name}-0")] {
        expect(&printed, wanted)?;
    }
    // Its coordinator knows it, so it does not hang.
    let hanging = [
        "find-hanging",
        "--topic",
        name,
        "--max-transaction-timeout",
        "0",
    ];
    let printed = run(tools, &hanging)?;
    ensure!(
        !printed.contains(name),
        "a live transaction hangs: {printed:?}"
    );
    drop(producer);
    tools.refused(
        TRANSACTIONS_COMMAND,
        &["describe", "--transactional-id", "tools-txn-nobody"],
        "could not be found",
    )
}

/// Ends a transaction in one partition by a marker, past its coordinator.
fn abort(tools: &Tools<'_>) -> Result<()> {
    let name = "tools-txn-abort";
    drop(open_transaction(tools, name)?);
    let at = |offset: &'static str| {
        [
            "abort",
            "--topic",
            name,
            "--partition",
            "0",
            "--start-offset",
            offset,
        ]
    };
    // There is none that starts there.
    let answer = tools.run(TRANSACTIONS_COMMAND, &at("1"), "")?;
    ensure!(
        answer.exit != Some(0),
        "no transaction starts at 1: {answer:?}"
    );
    run(tools, &at("0"))?;
    awaits_no_transaction(tools, name)
}

fn terminate(tools: &Tools<'_>) -> Result<()> {
    let name = "tools-txn-terminate";
    drop(open_transaction(tools, name)?);
    run(
        tools,
        &["forceTerminateTransaction", "--transactionalId", name],
    )?;
    awaits_no_transaction(tools, name)?;
    eventually(|| {
        let listing = run(tools, &["list"])?;
        ensure!(
            row(&listing, name).is_some_and(|row| row.last() != Some(&"Ongoing")),
            "the listing is {listing:?}"
        );
        Ok(())
    })
}

/// The arguments of a copier from partition 0 of one topic to another, with the offsets in a group of its name.
fn copier_arguments<'a>(bootstrap: &'a str, input: &'a str, output: &'a str) -> Vec<&'a str> {
    vec![
        "--broker-list",
        bootstrap,
        "--input-topic",
        input,
        "--input-partition",
        "0",
        "--output-topic",
        output,
        "--consumer-group",
        input,
        "--transactional-id",
        input,
        "--transaction-size",
        "50",
        // What a killed copier leaves open holds back its offsets for this long at most; its consumer waits a minute.
        "--transaction-timeout",
        "10000",
        "--enable-random-aborts",
        "--use-group-metadata",
    ]
}

/// All committed records of a topic, in order, which must be those that were produced.
fn expect_copied(tools: &Tools<'_>, topic: &str, wanted: &str) -> Result<()> {
    let count = wanted.lines().count().to_string();
    let read = [
        "--topic",
        topic,
        "--from-beginning",
        "--isolation-level",
        "read_committed",
        "--timeout-ms",
        "3000",
    ];
    // Reads to the end, so that a copy too many shows; the tool ends when nothing came for its timeout.
    let answer = tools.run(CONSOLE_CONSUMER, &read, "")?;
    ensure!(
        answer.stdout == wanted,
        "of {count} records the copy holds {} and ends with {:?}",
        answer.stdout.lines().count(),
        answer.stdout.lines().last()
    );
    Ok(())
}

fn copier(tools: &Tools<'_>) -> Result<()> {
    let (input, output) = ("tools-copy-in", "tools-copy-out");
    tools.create_topic(input, "1")?;
    tools.create_topic(output, "1")?;
    let records = lines("n", 1000);
    tools.produce(input, &[], &records)?;
    let arguments = copier_arguments(&tools.bootstrap, input, output);
    let printed = tools.run_alone(COPIER, &arguments)?;
    expect(&printed, "\"remaining\":0")?;
    expect_copied(tools, output, &records)?;
    // Committed and aborted records and the markers of both lie in the log: more than was copied.
    let end = tools.output(GET_OFFSETS, &["--topic", output, "--time", "-1"], "")?;
    let end: u64 = end
        .trim()
        .rsplit(':')
        .next()
        .and_then(|offset| offset.parse().ok())
        .with_context(|| format!("the end is {end:?}"))?;
    ensure!(
        end >= 1020,
        "20 transactions leave 20 markers, the end is {end}"
    );
    Ok(())
}

/// The copier is killed, and the broker under it, while it copies; the copy is exact all the same.
///
/// Apache Kafka is left alive: the copier does not ride out its restart.
fn copier_killed(tools: &Tools<'_>) -> Result<()> {
    let (input, output) = ("tools-copy-in", "tools-copy-out");
    let mut broker = tools.launcher.start(tools.target.kind(), &[])?;
    let bootstrap = broker.bootstrap();
    let scratch = broker.scratch().to_owned();
    let records = lines("n", 20_000);
    let there = Tools::new(&broker, tools.launcher, tools.kafka);
    there.create_topic(input, "1")?;
    there.create_topic(output, "1")?;
    there.produce(input, &[], &records)?;
    drop(there);
    // Each copier has a log of its own, since each counts from zero.
    let start = |round: u32| {
        let mut command = tools.kafka.java(&["-Xmx256M", "-XX:TieredStopAtLevel=1"]);
        command.arg(COPIER);
        command.args(copier_arguments(&bootstrap, input, output));
        let log = scratch.join(format!("copier-{round}.log"));
        Managed::spawn("the copier", &mut command, &log)
    };
    let mut copier = start(0)?;
    let mut reached = 1000;
    for round in 1..4 {
        await_copied(&mut copier, reached)?;
        if round != 2 && broker.kind() == Kind::Affluent {
            broker = broker.kill_and_start(tools.launcher)?;
            reached += 1000;
        } else {
            copier.kill_and_wait()?;
            copier = start(round)?;
            reached = 1000;
        }
    }
    await_ended(&mut copier)?;
    let there = Tools::new(&broker, tools.launcher, tools.kafka);
    expect_copied(&there, output, &records)?;
    drop(there);
    finish(broker)
}

fn finish(broker: Target) -> Result<()> {
    if let Some(error) = broker.logged_error() {
        bail!("the broker logged: {error}");
    }
    broker.stop()
}

/// How many records the copier that now runs says it has consumed: `{"consumed":n,...}`, a line each.
fn copied(log: &str) -> u64 {
    let last = log.lines().rev().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        event["consumed"].as_u64()
    });
    last.unwrap_or(0)
}

fn await_copied(copier: &mut Managed, count: u64) -> Result<()> {
    let deadline = Instant::now() + COPY_LIMIT;
    loop {
        let log = copier.log_text();
        if copied(&log) >= count {
            return Ok(());
        }
        if let Some(status) = copier.exited()? {
            bail!(
                "the copier ended with {status} after {} records, before it was to be disturbed: {}",
                copied(&log),
                crate::process::tail(&log, 4)
            );
        }
        if Instant::now() > deadline {
            bail!(
                "the copier did not get to {count}: {}",
                crate::process::tail(&log, 4)
            );
        }
        // A file has no event to wait for.
        thread::sleep(Duration::from_millis(5));
    }
}

fn await_ended(copier: &mut Managed) -> Result<()> {
    let deadline = Instant::now() + COPY_LIMIT;
    loop {
        match copier.exited()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!(
                "the copier ended with {status}: {}",
                crate::process::tail(&copier.log_text(), 6)
            ),
            None if Instant::now() > deadline => bail!(
                "the copier did not end: {}",
                crate::process::tail(&copier.log_text(), 4)
            ),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_status_counts() {
        let log = "{\"consumed\":50,\"remaining\":7}\nWARN\n{\"consumed\":100}\n{\"other\":1}\n";
        assert_eq!(copied(log), 100);
        assert_eq!(copied("nothing"), 0);
    }
}
