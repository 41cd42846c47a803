//! What a broker makes of a damaged directory.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use testkit::calls::{self, Partition, ReadPartition, ReadStop};
use testkit::log::{is_alarm, is_panic};
use testkit::wait::retry;
use testkit::{Connection, Server};
use wire::ErrorCode;

use super::image::{COMMITTED, Expected, GROUP, Image, PARTITIONS, TOPIC, options};

const CLIENT_REFUSES: &str = "the client refuses a batch";
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// What a case may end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Every record is served and every partition takes new ones.
    Served,
    /// That, or a partition that says it is offline, or a broker that says why it does not start.
    OrOffline,
}

/// Starts a broker on the copy and compares what it serves with what it must.
pub(super) fn judge(image: &Image, copy: &TempDir, allowed: Allowed) -> Result<String> {
    let mut server = Server::prepare(options(copy.path()))?;
    let found = look(image, &mut server, allowed).with_context(|| {
        let log = server.log_text();
        let alarms: Vec<&str> = log.lines().filter(|line| is_alarm(line)).take(3).collect();
        format!("alarms in the log: {}", alarms.join(" / "))
    });
    // The copy is gone when the verdict is read.
    found.map(|text| text.replace(&format!("{}/", copy.path().display()), ""))
}

fn look(image: &Image, server: &mut Server, allowed: Allowed) -> Result<String> {
    let started = server.restart();
    let log = server.log_text();
    if let Some(line) = log.lines().find(|line| is_panic(line)) {
        bail!("the broker panicked: {line}");
    }
    if let Err(error) = started {
        let reason = log
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default()
            .to_owned();
        ensure!(
            allowed == Allowed::OrOffline,
            "the broker did not start: {reason}"
        );
        ensure!(
            !reason.is_empty(),
            "the broker did not start and says nothing: {error:#}"
        );
        return Ok(format!("does not start: {reason}"));
    }
    let mut served = Vec::new();
    let mut offline = Vec::new();
    for (index, expected) in &image.partitions {
        let partition = Partition {
            topic: TOPIC,
            index: *index,
        };
        match serve(server, partition, expected)? {
            None => served.push(*index),
            Some(reason) => offline.push(format!("{index} ({reason})")),
        }
    }
    let group = committed(server)?;
    let log = server.log_text();
    if let Some(line) = log.lines().find(|line| is_panic(line)) {
        bail!("the broker panicked: {line}");
    }
    if offline.is_empty() && group.is_none() {
        return Ok(format!("all {PARTITIONS} partitions served whole"));
    }
    let alarm = log.lines().find(|line| is_alarm(line));
    let text = format!(
        "{} partitions served whole, offline: {}{}",
        served.len(),
        if offline.is_empty() {
            "none".to_owned()
        } else {
            offline.join(", ")
        },
        group
            .map(|error| format!(", group answers {error}"))
            .unwrap_or_default(),
    );
    // Segments go to the socket without passing through the broker, as in Apache Kafka: the client is the one
    // who sees that a batch is damaged, and its error is the message.
    if group.is_none() && offline.iter().all(|reason| reason.contains(CLIENT_REFUSES)) {
        ensure!(allowed == Allowed::OrOffline, "{text}");
        return Ok(text);
    }
    let Some(alarm) = alarm else {
        bail!("{text}; no line in the log says why")
    };
    let text = format!("{text}; the log says: {alarm}");
    ensure!(allowed == Allowed::OrOffline, "{text}");
    Ok(text)
}

/// Reads a partition whole, from the middle, and writes to it. `None` when all is right; the reason when it is
/// offline; an error when the broker gives less than it must, or something else.
fn serve(server: &Server, partition: Partition<'_>, expected: &Expected) -> Result<Option<String>> {
    let mut connection = server.connect()?;
    let topic = calls::describe_topic(&mut connection, partition.topic)?;
    if topic.error_code != 0 {
        bail!(
            "the topic is gone: Metadata answers error {}",
            topic.error_code
        );
    }
    let read = calls::read_partition(&mut connection, partition, 0)?;
    if let Some(reason) = compare(partition, expected, 0, &read)? {
        return Ok(Some(reason));
    }
    // An index that lies shows only when reading begins in the middle.
    let count = expected.values.len();
    for share in 1..8 {
        let offset = count * share / 8;
        let read = calls::read_partition(&mut connection, partition, i64::try_from(offset)?)?;
        if let Some(reason) = compare(partition, expected, offset, &read)? {
            return Ok(Some(reason));
        }
    }
    idempotent(&mut connection, partition, expected)
}

/// Compares the records from `offset` on.
fn compare(
    partition: Partition<'_>,
    expected: &Expected,
    offset: usize,
    read: &ReadPartition,
) -> Result<Option<String>> {
    let rest = expected.values.get(offset..).unwrap_or_default();
    for (index, (record, value)) in read.records.iter().zip(rest).enumerate() {
        let right = i64::try_from(offset + index)?;
        ensure!(
            record.offset == right,
            "{partition} gives offset {} for {right}",
            record.offset
        );
        let same = record.value.as_ref() == Some(value);
        ensure!(same, "{partition} gives another record at offset {right}");
    }
    match &read.stop {
        ReadStop::Complete if read.records.len() < rest.len() => bail!(
            "{partition} silently serves {} of {} records from offset {offset}",
            read.records.len(),
            rest.len()
        ),
        ReadStop::Complete => Ok(None),
        ReadStop::Error(error) => Ok(Some(error.name().to_owned())),
        ReadStop::BadBatch(why) => Ok(Some(format!("{CLIENT_REFUSES}: {why}"))),
        ReadStop::Stuck => bail!("{partition} has nothing below its own high watermark"),
    }
}

/// The producer's last batch, sent again, must not be there twice.
fn idempotent(
    connection: &mut Connection,
    partition: Partition<'_>,
    expected: &Expected,
) -> Result<Option<String>> {
    let produced = calls::produce(connection, partition, expected.last_batch.clone())?;
    match produced.error {
        ErrorCode::DuplicateSequenceNumber => {}
        ErrorCode::None => ensure!(
            produced.base_offset == expected.last_base_offset,
            "{partition} took the last batch again, at offset {}",
            produced.base_offset
        ),
        error => {
            return Ok(Some(format!(
                "the last batch again answers {}",
                error.name()
            )));
        }
    }
    let batch = calls::batch_of(Default::default(), 1_700_000_000_000, &[b"new"])?;
    let produced = calls::produce(connection, partition, batch)?;
    if produced.error != ErrorCode::None {
        return Ok(Some(format!(
            "a new batch answers {}",
            produced.error.name()
        )));
    }
    let end = i64::try_from(expected.values.len())?;
    ensure!(
        produced.base_offset >= end,
        "a new batch was given offset {}",
        produced.base_offset
    );
    Ok(None)
}

/// `None` when the group's offset is what was committed, the error when its partition is offline.
fn committed(server: &Server) -> Result<Option<&'static str>> {
    let mut connection = server.connect()?;
    let partition = Partition {
        topic: TOPIC,
        index: 0,
    };
    let found = retry("the group's coordinator to load", SETTLE_LIMIT, || {
        let (error, offset) = calls::committed_offset(&mut connection, GROUP, partition)?;
        ensure!(
            error != ErrorCode::CoordinatorLoadInProgress,
            "it still loads"
        );
        Ok((error, offset))
    });
    let (error, offset) = found.context("OffsetFetch")?;
    if error != ErrorCode::None {
        return Ok(Some(error.name()));
    }
    ensure!(
        offset == COMMITTED,
        "the committed offset is {offset}, not {COMMITTED}"
    );
    Ok(None)
}
