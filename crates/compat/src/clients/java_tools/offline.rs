//! DumpLogSegments: Apache Kafka's own reader of segment files, pointed at the broker's data directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Cases, Tools, expect, lines};

const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";

/// How long a record may take from its acknowledgement to its segment file: the journal comes first, and the
/// segment follows when it is written back.
const SEGMENT_LIMIT: Duration = Duration::from_secs(45);

pub(super) const CASES: Cases = &[
    ("dump-log-segments", dump_log),
    ("dump-indexes", dump_indexes),
    ("dump-consumer-offsets", dump_offsets),
];

/// The files of a partition's directory with the given suffix, oldest first.
fn files(tools: &Tools<'_>, partition: &str, suffix: &str) -> Result<Vec<PathBuf>> {
    let folder = tools.target.log_directory().join(partition);
    let mut files = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))?
    {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == suffix)
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn dump(tools: &Tools<'_>, file: &Path, options: &[&str]) -> Result<String> {
    let path = file.to_str().context("the path is not UTF-8")?;
    tools
        .run_plain(DUMP, &[&["--files", path], options].concat(), "")?
        .ok()
}

/// Dumps the log files of a partition until they hold what `complete` wants.
fn dump_until(
    tools: &Tools<'_>,
    partition: &str,
    options: &[&str],
    complete: impl Fn(&str) -> bool,
) -> Result<String> {
    let deadline = Instant::now() + SEGMENT_LIMIT;
    loop {
        let mut text = String::new();
        for file in files(tools, partition, "log")? {
            text.push_str(&dump(tools, &file, options)?);
        }
        if complete(&text) {
            return Ok(text);
        }
        if Instant::now() > deadline {
            bail!(
                "the segments of {partition} do not hold all records: {}",
                crate::process::tail(&text, 6)
            );
        }
    }
}

/// A topic with many small segments, so that there are closed ones and indexes with entries.
fn segmented_topic(tools: &Tools<'_>, topic: &str) -> Result<()> {
    let create = [
        "--create",
        "--topic",
        topic,
        "--partitions",
        "1",
        "--config",
        "segment.bytes=1048576",
        "--config",
        "index.interval.bytes=1024",
    ];
    tools.output(super::topics::TOPIC_COMMAND, &create, "")?;
    let payload = "x".repeat(200);
    tools.produce(topic, &["--batch-size", "4096"], &lines(&payload, 8000))
}

fn dump_log(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-dump";
    segmented_topic(tools, topic)?;
    let records = |text: &str| text.matches("| offset: ").count();
    let options = ["--print-data-log", "--deep-iteration"];
    let text = dump_until(tools, "tools-dump-0", &options, |text| {
        records(text) >= 8000
    })?;
    ensure!(
        records(&text) == 8000,
        "8000 records were produced, the segments hold {}",
        records(&text)
    );
    ensure!(
        !text.contains("isvalid: false"),
        "a batch has a bad checksum: {}",
        crate::process::tail(&text, 4)
    );
    expect(&text, "baseOffset: 0 ")?;
    expect(&text, "magic: 2")?;
    let segments = files(tools, "tools-dump-0", "log")?.len();
    ensure!(
        segments >= 2,
        "1.7 MB in segments of 1 MiB make two files, there are {segments}"
    );
    Ok(())
}

fn dump_indexes(tools: &Tools<'_>) -> Result<()> {
    let topic = "tools-dump-index";
    segmented_topic(tools, topic)?;
    let partition = "tools-dump-index-0";
    dump_until(tools, partition, &[], |text| {
        text.contains("lastOffset: 7999 ")
    })?;
    for (suffix, entry) in [("index", "offset: "), ("timeindex", "timestamp: ")] {
        let indexes = files(tools, partition, suffix)?;
        let first = indexes
            .first()
            .with_context(|| format!("there is no .{suffix} file"))?;
        let sane = dump(tools, first, &["--index-sanity-check"])?;
        expect(&sane, "passed sanity check.")?;
        // Compares each entry with the log itself; a mismatch is printed.
        let text = dump(tools, first, &[])?;
        expect(&text, entry)?;
        ensure!(
            !text.contains("Mismatches in"),
            "the .{suffix} disagrees with the log: {text:?}"
        );
        ensure!(
            !text.contains("out of order"),
            "the .{suffix} is out of order: {text:?}"
        );
    }
    Ok(())
}

fn dump_offsets(tools: &Tools<'_>) -> Result<()> {
    let name = "tools-dump-group";
    tools.create_topic(name, "1")?;
    tools.produce(name, &[], &lines("n", 5))?;
    let consume = [
        "--topic",
        name,
        "--group",
        name,
        "--from-beginning",
        "--max-messages",
        "5",
        "--timeout-ms",
        "30000",
    ];
    tools.output(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &consume,
        "",
    )?;
    // Which partition of __consumer_offsets holds the group follows from Java's hash of its name.
    let partitions = partition_count(tools, "__consumer_offsets")?;
    let home = java_hash(name).unsigned_abs() % partitions;
    let folder = format!("__consumer_offsets-{home}");
    let wanted = format!("\"group\":\"{name}\",\"topic\":\"{name}\",\"partition\":0");
    let text = dump_until(tools, &folder, &["--offsets-decoder"], |text| {
        text.contains(&wanted)
    })?;
    expect(&text, "\"offset\":5")
}

fn partition_count(tools: &Tools<'_>, topic: &str) -> Result<u32> {
    let text = tools.output(
        super::topics::TOPIC_COMMAND,
        &["--describe", "--topic", topic],
        "",
    )?;
    text.split("PartitionCount: ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|count| count.parse().ok())
        .with_context(|| format!("the description is {text:?}"))
}

/// `String.hashCode` for ASCII; Kafka takes its absolute value (`Utils.abs`).
fn java_hash(text: &str) -> i32 {
    text.bytes().fold(0i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(i32::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_javas() {
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash(""), 0);
    }
}
