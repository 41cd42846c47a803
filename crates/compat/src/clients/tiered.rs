//! Tiered storage on servers of objects, with stock clients: kcat produces and consumes, Apache Kafka's tools create, ask for
//! offsets and delete. What is in the store is seen through the server's own listing, not through the broker. Each case runs on
//! each protocol: S3 of a real server (SeaweedFS), Azure of its emulator.
//!
//! Apache Kafka has no store of its own, so there is no oracle here: what must hold is that a client sees one log.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::object_server::{ObjectServer, Protocol};
use crate::process::{self, Finished};
use crate::suite::{CaseResult, Outcome, Session, Suite, Tier, run_case};
use crate::target::{Kind, Target};

const RUN_LIMIT: Duration = Duration::from_secs(90);
/// Nothing that is waited for takes so long.
const PATIENCE: Duration = Duration::from_secs(90);
const TOPIC_COMMAND: &str = "org.apache.kafka.tools.TopicCommand";
const OFFSETS_COMMAND: &str = "org.apache.kafka.tools.GetOffsetShell";
const DELETE_COMMAND: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
const TOPIC: &str = "tiered";
/// Bytes of a record's value; a segment of 1 MiB holds some thousand.
const VALUE_BYTES: usize = 1_000;
const RECORDS: usize = 12_000;

type Case = fn(&mut Stage<'_>) -> Result<()>;

const CASES: [(&str, Case); 6] = [
    ("one-log", one_log),
    ("large-segments", large_segments),
    ("deleted-records", deleted_records),
    ("killed-while-copying", killed_while_copying),
    ("compacted", compacted),
    ("deleted-topic", deleted_topic),
];

/// The suite.
#[derive(Debug)]
pub struct Tiered;

impl Suite for Tiered {
    fn name(&self) -> &'static str {
        "tiered"
    }

    fn client(&self) -> String {
        let servers = Protocol::ALL.map(Protocol::server).join(", ");
        format!("kcat and Apache Kafka {KAFKA_VERSION} tools; stores: {servers}")
    }

    /// The quick tier has S3 alone.
    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        ensure!(
            process::exists("kcat", "-V"),
            "kcat is not installed; on Debian: apt-get install kcat"
        );
        let needed: &[Protocol] = match tier {
            Tier::Quick => &[Protocol::S3],
            Tier::Full => &Protocol::ALL,
        };
        let mut ready = true;
        for protocol in needed {
            ready &= protocol.prepare(cache, tier)?;
        }
        Ok(ready)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        for protocol in Protocol::ALL {
            let named = CASES.map(|(case, body)| (format!("{}/{case}", protocol.name()), body));
            let wanted = named.into_iter();
            let wanted: Vec<(String, Case)> = wanted
                .filter(|(case, _)| session.selection.wants(case))
                .collect();
            if session.target.kind() == Kind::Kafka {
                wanted.into_iter().for_each(|(case, _)| done(skipped(case)));
            } else if !wanted.is_empty() {
                run_on(protocol, session, &wanted, done)?;
            }
        }
        Ok(())
    }
}

fn skipped(case: String) -> CaseResult {
    let reason = "Apache Kafka brings no remote store".to_owned();
    CaseResult {
        case,
        outcome: Outcome::Skip(reason),
        seconds: 0.0,
    }
}

fn run_on(
    protocol: Protocol,
    session: &Session<'_>,
    cases: &[(String, Case)],
    done: &mut dyn FnMut(CaseResult),
) -> Result<()> {
    protocol.prepare(session.cache, Tier::Full)?;
    let store = protocol.start(session.cache, session.target.scratch())?;
    for (case, body) in cases {
        run_case(case, done, || {
            let mut stage = Stage::open(session, &*store, case)?;
            let outcome = body(&mut stage);
            if let Some(target) = &stage.target {
                session.keep_log(case, &target.log_text());
            }
            outcome?;
            stage.close()
        });
    }
    session.keep_log(protocol.name(), &store.log_text());
    Ok(())
}

/// A broker of a case's own, with its part of the store.
struct Stage<'a> {
    session: &'a Session<'a>,
    store: &'a dyn ObjectServer,
    prefix: &'a str,
    /// `None` only while it is being killed.
    target: Option<Target>,
}

impl<'a> Stage<'a> {
    fn open(
        session: &'a Session<'a>,
        store: &'a dyn ObjectServer,
        case: &'a str,
    ) -> Result<Stage<'a>> {
        let quick = [
            ("remote.log.manager.task.interval.ms", "200"),
            ("log.retention.check.interval.ms", "200"),
            ("journal.checkpoint.interval.ms", "300"),
            ("log.cleaner.backoff.ms", "300"),
        ];
        let place = store.properties(case);
        let place = place
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let overrides: Vec<(&str, &str)> = place.chain(quick).collect();
        let target = session.launcher.start(session.target.kind(), &overrides)?;
        Ok(Stage {
            session,
            store,
            prefix: case,
            target: Some(target),
        })
    }

    fn target(&self) -> Result<&Target> {
        self.target.as_ref().context("the broker did not come back")
    }

    fn close(mut self) -> Result<()> {
        self.target
            .take()
            .context("the broker did not come back")?
            .stop()
    }

    fn kill_and_start(&mut self) -> Result<()> {
        let target = self.target.take().context("the broker did not come back")?;
        self.target = Some(target.kill_and_start(self.session.launcher)?);
        Ok(())
    }

    fn create(&self, configs: &[&str]) -> Result<()> {
        let mut arguments = vec!["--create", "--topic", TOPIC, "--partitions", "1"];
        let all = [
            "remote.storage.enable=true",
            "segment.bytes=1048576",
            "retention.ms=-1",
            "local.retention.bytes=1048576",
            "file.delete.delay.ms=0",
        ];
        for config in all.iter().chain(configs) {
            arguments.extend(["--config", config]);
        }
        self.tool(TOPIC_COMMAND, &arguments).map(drop)
    }

    /// Runs one of Apache Kafka's tools, which must succeed, and returns what it printed.
    fn tool(&self, main: &str, arguments: &[&str]) -> Result<String> {
        let bootstrap = self.target()?.bootstrap();
        let mut command = self
            .session
            .kafka
            .java(&["-Xmx128M", "-XX:TieredStopAtLevel=1"]);
        command
            .arg(main)
            .args(["--bootstrap-server", &bootstrap])
            .args(arguments);
        let finished = process::run(&mut command, b"", RUN_LIMIT)?.ok();
        let finished = finished.with_context(|| format!("{main} {}", arguments.join(" ")))?;
        Ok(finished.stdout_text())
    }

    fn kcat(&self, arguments: &[&str], input: &[u8]) -> Result<Finished> {
        let bootstrap = self.target()?.bootstrap();
        let mut command = Command::new("kcat");
        command
            .args(["-b", &bootstrap, "-t", TOPIC, "-p", "0"])
            .args(arguments);
        let finished = process::run(&mut command, input, RUN_LIMIT)?.ok();
        finished.with_context(|| format!("kcat {}", arguments.join(" ")))
    }

    /// Produces the records with these numbers.
    fn produce(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let lines: String = numbers.map(|number| value(number) + "\n").collect();
        self.kcat(&["-P"], lines.as_bytes()).map(drop)
    }

    /// The offsets and values from an offset to the end.
    fn consume(&self, from: usize) -> Result<Vec<(usize, String)>> {
        let from = from.to_string();
        let arguments = ["-C", "-o", &from, "-e", "-q", "-f", "%o %s\n"];
        let printed = self.kcat(&arguments, b"")?.stdout_text();
        let record = |line: &str| {
            let (offset, value) = line.split_once(' ')?;
            Some((offset.parse().ok()?, value.to_owned()))
        };
        let records = printed
            .lines()
            .map(|line| record(line).context("a line of kcat"));
        records.collect()
    }

    /// Consumes from an offset, which must give each number from there on once, in order.
    fn check(&self, from: usize, end: usize) -> Result<()> {
        let records = self.consume(from)?;
        let first = records.first().map(|(offset, _)| *offset);
        ensure!(
            first == Some(from),
            "the first offset is {first:?}, not {from}"
        );
        ensure!(
            records.len() == end - from,
            "{} records from {from} on, not {}",
            records.len(),
            end - from
        );
        for (number, (offset, found)) in (from..).zip(&records) {
            ensure!(
                (number, value(number).as_str()) == (*offset, found),
                "another record at offset {offset}: {:.20}",
                found
            );
        }
        Ok(())
    }

    /// An offset by its name: `earliest`, `earliest-local`, `latest-tiered`, `latest`.
    fn offset(&self, time: &str) -> Result<i64> {
        let printed = self.tool(OFFSETS_COMMAND, &["--topic", TOPIC, "--time", time])?;
        let offset = printed.trim().rsplit(':').next().unwrap_or_default();
        offset
            .parse()
            .with_context(|| format!("GetOffsetShell --time {time} printed {printed:?}"))
    }

    /// Waits until nothing that is copied has to be, and local retention has taken it.
    fn wait_tiered(&self, local_records: i64) -> Result<()> {
        self.wait("copies and local retention", || {
            Ok(self.offset("latest")? - self.offset("earliest-local")? <= local_records)
        })
    }

    fn wait(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !holds()? {
            if Instant::now() > until {
                bail!("{what} did not come");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn objects(&self) -> Result<Vec<(String, u64)>> {
        self.store.objects(self.prefix)
    }

    /// Each object's other half is there, and their number is that of as many segments as hold what is remote.
    fn check_objects(&self) -> Result<()> {
        let objects = self.objects()?;
        let mut halves: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, _) in &objects {
            let stem = name
                .strip_suffix(".log")
                .or_else(|| name.strip_suffix(".indexes"));
            let stem = stem.with_context(|| format!("an object {name}"))?;
            *halves.entry(stem).or_default() += 1;
        }
        let half = halves.iter().find(|(_, count)| **count != 2);
        ensure!(half.is_none(), "a segment with one object: {half:?}");
        // Two copies of the same offsets would begin at the same one.
        let mut bases: Vec<&str> = halves.keys().map(|stem| base_of(stem)).collect();
        bases.dedup();
        ensure!(
            bases.len() == halves.len(),
            "two copies of a segment: {halves:?}"
        );
        Ok(())
    }
}

/// The digits of the base offset in an object's name.
fn base_of(stem: &str) -> &str {
    let file = stem.rsplit('/').next().unwrap_or_default();
    file.split('-').next().unwrap_or_default()
}

fn value(number: usize) -> String {
    let mut value = format!("{number:08}-");
    // Something else in each, so that no record can stand for another.
    let letter = char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    value.extend(std::iter::repeat_n(letter, VALUE_BYTES - value.len()));
    value
}

fn one_log(stage: &mut Stage<'_>) -> Result<()> {
    stage.create(&[])?;
    stage.produce(0..RECORDS)?;
    stage.wait_tiered(2_500)?;
    let local = stage.offset("earliest-local")?;
    ensure!(stage.offset("earliest")? == 0, "the log begins at 0");
    ensure!(
        stage.offset("latest-tiered")? >= local - 1,
        "what is not local is remote"
    );
    stage.check(0, RECORDS)?;
    let seam = usize::try_from(local)?;
    for from in [seam - 1, seam, 5_000] {
        stage.check(from, RECORDS)?;
    }
    stage.kill_and_start()?;
    stage.check(0, RECORDS)?;
    stage.produce(RECORDS..RECORDS + 100)?;
    stage.check(RECORDS - 10, RECORDS + 100)?;
    stage.check_objects()
}

/// Segments of several parts of an upload.
fn large_segments(stage: &mut Stage<'_>) -> Result<()> {
    const SEGMENT_BYTES: u64 = 20 << 20;
    let end = 60_000;
    stage.create(&["segment.bytes=20971520"])?;
    stage.produce(0..end)?;
    stage.wait_tiered(22_000)?;
    let objects = stage.objects()?;
    let largest = objects.iter().map(|(_, bytes)| *bytes).max();
    ensure!(
        largest.is_some_and(|bytes| bytes > SEGMENT_BYTES * 9 / 10),
        "the largest object has {largest:?} bytes"
    );
    stage.check(0, end)?;
    stage.kill_and_start()?;
    stage.check(end / 2, end)?;
    stage.check_objects()?;
    drop_topic(stage)
}

fn deleted_records(stage: &mut Stage<'_>) -> Result<()> {
    stage.create(&[])?;
    stage.produce(0..RECORDS)?;
    stage.wait_tiered(2_500)?;
    let before = stage.objects()?.len();
    let file = stage.target()?.scratch().join("delete.json");
    let half = RECORDS / 2;
    let text = format!(
        "{{\"version\":1,\"partitions\":[{{\"topic\":\"{TOPIC}\",\"partition\":0,\"offset\":{half}}}]}}"
    );
    std::fs::write(&file, text)?;
    let file = file.display().to_string();
    stage.tool(DELETE_COMMAND, &["--offset-json-file", &file])?;
    ensure!(
        stage.offset("earliest")? == i64::try_from(half)?,
        "the log start"
    );
    stage.check(half, RECORDS)?;
    stage.wait("deletion in the store", || {
        Ok(stage.objects()?.len() <= before / 2 + 2)
    })?;
    stage.check(half, RECORDS)?;
    stage.check_objects()
}

fn killed_while_copying(stage: &mut Stage<'_>) -> Result<()> {
    stage.create(&[])?;
    let part = RECORDS / 6;
    for round in 0..6 {
        stage.produce(round * part..(round + 1) * part)?;
        // Two segments are closed now, and their copies begin within 0.3 s.
        std::thread::sleep(Duration::from_millis(100 * u64::try_from(round)?));
        stage.kill_and_start()?;
    }
    stage.check(0, RECORDS)?;
    stage.wait_tiered(2_500)?;
    stage.check(0, RECORDS)?;
    stage.wait("the end of what was left behind", || {
        Ok(stage.check_objects().is_ok())
    })?;
    drop_topic(stage)
}

/// Deletes the topic, after which nothing may be left.
fn drop_topic(stage: &Stage<'_>) -> Result<()> {
    stage.tool(TOPIC_COMMAND, &["--delete", "--topic", TOPIC])?;
    stage.wait("deletion with the topic", || {
        Ok(stage.objects()?.is_empty())
    })
}

fn deleted_topic(stage: &mut Stage<'_>) -> Result<()> {
    stage.create(&[])?;
    stage.produce(0..RECORDS / 2)?;
    stage.wait_tiered(2_500)?;
    ensure!(!stage.objects()?.is_empty(), "something is in the store");
    // The next process finishes what this one has only promised.
    stage.tool(TOPIC_COMMAND, &["--delete", "--topic", TOPIC])?;
    stage.kill_and_start()?;
    stage.wait("deletion with the topic", || {
        Ok(stage.objects()?.is_empty())
    })
}

fn compacted(stage: &mut Stage<'_>) -> Result<()> {
    const KEYS: usize = 3_000;
    stage.create(&["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.3"])?;
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let mut largest = 0;
    for round in 0..10 {
        let mut lines = String::new();
        for index in 0..2_400 {
            let number = round * 2_400 + index;
            let key = format!("key-{}", (index * 7 + round * 331) % KEYS);
            lines += &format!("{key}:{}\n", value(number));
            last.insert(key, value(number));
        }
        stage.kcat(&["-P", "-K:"], lines.as_bytes())?;
        if round % 4 == 3 {
            stage.kill_and_start()?;
        }
        let stored: u64 = stage.objects()?.iter().map(|(_, bytes)| bytes).sum();
        largest = largest.max(stored);
    }
    // The active segment and what is not worth a pass stays here.
    stage.wait("something in the store", || {
        Ok(!stage.objects()?.is_empty())
    })?;
    let arguments = ["-C", "-o", "beginning", "-e", "-q", "-f", "%k:%s\n"];
    let printed = stage.kcat(&arguments, b"")?.stdout_text();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for line in printed.lines() {
        let (key, value) = line.split_once(':').context("a line of kcat")?;
        let before = found.insert(key.to_owned(), value.to_owned());
        ensure!(
            before.is_none_or(|before| before.as_str() < value),
            "an older value of {key} came after a newer one"
        );
    }
    ensure!(found == last, "a consumer ends up with another table");
    stage.wait("the end of what was replaced", || {
        Ok(stage.check_objects().is_ok())
    })?;
    // 24 MB were appended, of which 3 MB are left; in between there is as much again, and what is about to go.
    ensure!(largest < 15_000_000, "the store grew to {largest} bytes");
    drop_topic(stage)
}
