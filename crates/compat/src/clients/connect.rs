//! The Connect runtime 4.3.1 in distributed mode, with the file connectors of Kafka's quick start, over its REST
//! interface: a file, through a topic, to another file.
//!
//! The source is exactly-once (KIP-618: `exactly.once.source.support=enabled`, and the connector requires it), so the
//! topic must hold each line once and in order, whatever was killed. A sink is at-least-once: what it writes after a
//! kill may come twice, and no line may be missing.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::probe;
use crate::process::{self, Managed};
use crate::rest::Rest;
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};
use crate::target::Target;

const LIMIT: Duration = Duration::from_secs(120);
const STOP_GRACE: Duration = Duration::from_secs(40);
const TOPIC: &str = "connect-lines";
const TOPIC_COMMAND: &str = "org.apache.kafka.tools.TopicCommand";

/// The three topics in which Connect keeps what it must not forget.
const INTERNAL_TOPICS: [&str; 3] = ["connect-offsets", "connect-configs", "connect-status"];

/// How many lines are written before each fault, and after the last.
const CHUNK_LINES: usize = 4000;

/// Lines behind the last that counts. The source reads a file buffer by buffer, takes a batch out of what it has, and
/// leaves the rest of the last buffer alone until the file grows: these are that rest, and may or may not come.
const TAIL_LINES: usize = 300;

type Case = fn(&mut Stage<'_>) -> Result<()>;

/// The suite.
#[derive(Debug)]
pub struct Connect;

impl Suite for Connect {
    fn name(&self) -> &'static str {
        "connect"
    }

    fn client(&self) -> String {
        format!("Apache Kafka {KAFKA_VERSION} Connect runtime")
    }

    fn prepare(&self, _cache: &Cache, _kafka: &Kafka, _tier: Tier) -> Result<bool> {
        Ok(true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let cases: [(&str, Case); 2] = [
            ("connector-lifecycle", lifecycle),
            ("file-to-file-killed", file_to_file_killed),
        ];
        for (case, body) in cases {
            if session.selection.wants(case) {
                run_case(case, done, || {
                    let mut stage = Stage::set(session)?;
                    let ended = body(&mut stage);
                    session.keep_log(&format!("{case}-worker"), &stage.worker.log_text());
                    if let Some(broker) = &stage.broker {
                        session.keep_log(&format!("{case}-broker"), &broker.log_text());
                    }
                    ended?;
                    stage.close()
                });
            }
        }
        Ok(())
    }
}

/// A broker and a worker, both of this case alone.
struct Stage<'a> {
    session: &'a Session<'a>,
    /// `None` only while it is killed and started.
    broker: Option<Target>,
    worker: Managed,
    rest: Rest,
    scratch: PathBuf,
    bootstrap: String,
}

impl<'a> Stage<'a> {
    fn set(session: &'a Session<'a>) -> Result<Self> {
        let broker = session.launcher.start(session.target.kind(), &[])?;
        let [port] = probe::free_ports()?;
        let scratch = broker.scratch().to_owned();
        let bootstrap = broker.bootstrap();
        fs::write(
            scratch.join("worker.properties"),
            worker_properties(&bootstrap, port),
        )?;
        let worker = start_worker(session, &scratch)?;
        let mut stage = Self {
            session,
            broker: Some(broker),
            worker,
            rest: Rest { port },
            scratch,
            bootstrap,
        };
        // One partition, so that the lines have one order.
        let create = ["--create", "--topic", TOPIC, "--partitions", "1"];
        stage.tool(TOPIC_COMMAND, &create)?;
        stage.await_worker()?;
        Ok(stage)
    }

    /// Waits until the worker has joined its group: only then does it answer for connectors.
    fn await_worker(&mut self) -> Result<()> {
        let rest = self.rest;
        self.eventually(|_| rest.ok("GET", "/connectors", None).map(drop))
    }

    /// Repeats a check until it holds, while the worker must stay alive.
    fn eventually(&mut self, check: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let error = match check(self) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if let Some(status) = self.worker.exited()? {
                let log = process::tail(&self.worker.log_text(), 6);
                return Err(error.context(format!("the worker ended with {status}: {log}")));
            }
            if Instant::now() > deadline {
                return Err(error);
            }
            // Neither a file nor a worker tells when it has changed.
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sets a connector's configuration; a worker in a rebalance answers that it cannot just now.
    fn configure(&mut self, name: &str, config: &Value) -> Result<()> {
        let (rest, path) = (self.rest, format!("/connectors/{name}/config"));
        self.eventually(|_| rest.ok("PUT", &path, Some(config)).map(drop))
    }

    /// Waits until a connector and its one task are in this state.
    fn await_state(&mut self, name: &str, wanted: &str) -> Result<()> {
        let (rest, path) = (self.rest, format!("/connectors/{name}/status"));
        self.eventually(|_| {
            let status = rest.ok("GET", &path, None)?;
            ensure!(
                status["connector"]["state"] == wanted && status["tasks"][0]["state"] == wanted,
                "{name} should be {wanted}: {status}"
            );
            Ok(())
        })
    }

    fn configure_both(&mut self) -> Result<()> {
        let (source, sink) = (self.file("source.txt"), self.file("sink.txt"));
        let shared = |class: &str, file: &Path| {
            json!({
                "connector.class": format!("org.apache.kafka.connect.file.{class}"),
                "tasks.max": "1",
                "file": file,
            })
        };
        let mut config = shared("FileStreamSourceConnector", &source);
        config["topic"] = TOPIC.into();
        // Few lines a transaction, so that there are many.
        config["batch.size"] = "50".into();
        config["exactly.once.support"] = "required".into();
        self.configure("source", &config)?;
        let mut config = shared("FileStreamSinkConnector", &sink);
        config["topics"] = TOPIC.into();
        self.configure("sink", &config)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Adds text to the source file.
    fn write(&self, text: &str) -> Result<()> {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.file("source.txt"))?;
        file.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Waits until the sink file holds a line.
    fn await_sink(&mut self, line: &str) -> Result<()> {
        let sink = self.file("sink.txt");
        self.eventually(|stage| {
            let text = fs::read_to_string(&sink).unwrap_or_default();
            if text.contains(line) {
                return Ok(());
            }
            let status = ["source", "sink"].map(|name| {
                let path = format!("/connectors/{name}/status");
                stage.rest.ok("GET", &path, None).unwrap_or_default()
            });
            bail!(
                "the sink has {} lines and not {line}: {}, {}",
                text.lines().count(),
                status[0],
                status[1]
            )
        })
    }

    /// Runs one of Apache Kafka's tools and returns what it printed.
    fn tool(&self, main: &str, arguments: &[&str]) -> Result<String> {
        let options = ["-Xmx256M", "-XX:TieredStopAtLevel=1"];
        let mut command = self.session.kafka.java(&options);
        command
            .args([main, "--bootstrap-server", &self.bootstrap])
            .args(arguments);
        Ok(process::run(&mut command, b"", LIMIT)?.ok()?.stdout_text())
    }

    /// What the topic holds for a reader of committed records, in order.
    fn committed_lines(&self) -> Result<String> {
        let arguments = [
            "--topic",
            TOPIC,
            "--from-beginning",
            "--isolation-level",
            "read_committed",
            "--timeout-ms",
            "4000",
        ];
        self.tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            &arguments,
        )
    }

    /// Stops the worker as an operator would, then the broker.
    fn close(self) -> Result<()> {
        self.worker.stop(STOP_GRACE)?;
        let broker = self.broker.context("there is no broker")?;
        if let Some(error) = broker.logged_error() {
            bail!("the broker logged: {error}");
        }
        broker.stop()
    }
}

fn start_worker(session: &Session<'_>, scratch: &Path) -> Result<Managed> {
    let options = ["-Xmx384M", "-XX:TieredStopAtLevel=1"];
    let mut command = session.kafka.java(&options);
    command
        .arg("org.apache.kafka.connect.cli.ConnectDistributed")
        .arg(scratch.join("worker.properties"));
    Managed::spawn("the worker", &mut command, &scratch.join("worker.log"))
}

fn worker_properties(bootstrap: &str, port: u16) -> String {
    let mut lines = vec![
        format!("bootstrap.servers={bootstrap}"),
        format!("listeners=http://127.0.0.1:{port}"),
        "group.id=connect-workers".to_owned(),
        "exactly.once.source.support=enabled".to_owned(),
        "offset.flush.interval.ms=500".to_owned(),
        // Only plugins that say so in their jar: looking into every class takes seconds.
        "plugin.discovery=service_load".to_owned(),
        // A worker that was killed is missed soon, and its work given away at once.
        "session.timeout.ms=6000".to_owned(),
        "heartbeat.interval.ms=1000".to_owned(),
        "scheduled.rebalance.max.delay.ms=0".to_owned(),
        // So is the consumer of its sink, whose partition nobody else gets as long as its session lasts.
        "consumer.session.timeout.ms=6000".to_owned(),
        "consumer.heartbeat.interval.ms=1000".to_owned(),
        "offset.storage.partitions=3".to_owned(),
        "status.storage.partitions=3".to_owned(),
    ];
    for kind in ["key", "value"] {
        lines.push(format!(
            "{kind}.converter=org.apache.kafka.connect.storage.StringConverter"
        ));
    }
    for (kind, topic) in ["offset", "config", "status"].iter().zip(INTERNAL_TOPICS) {
        lines.push(format!("{kind}.storage.topic={topic}"));
        lines.push(format!("{kind}.storage.replication.factor=1"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The name of a line; the brackets tell a line that a kill cut off.
fn line(chunk: usize, index: usize) -> String {
    format!("<{chunk}-{index}>")
}

fn chunk_text(chunk: usize) -> String {
    (0..CHUNK_LINES)
        .map(|index| line(chunk, index) + "\n")
        .collect()
}

fn tail_text() -> String {
    (0..TAIL_LINES)
        .map(|index| format!("<tail-{index}>\n"))
        .collect()
}

/// Fails unless the topic holds these lines once and in order, and behind them nothing but lines of the tail.
fn expect_lines(wanted: &str, found: &str) -> Result<()> {
    let all = format!("{wanted}{}", tail_text());
    ensure!(
        found.len() >= wanted.len() && all.starts_with(found),
        "the topic holds {} lines, of {} that count: {}",
        found.lines().count(),
        wanted.lines().count(),
        difference(&all, found)
    );
    Ok(())
}

/// A connector from its creation to its end, and the topics that remember it.
fn lifecycle(stage: &mut Stage<'_>) -> Result<()> {
    let rest = stage.rest;
    stage.write(&(chunk_text(0) + &tail_text()))?;
    stage.configure_both()?;
    stage.await_state("source", "RUNNING")?;
    stage.await_state("sink", "RUNNING")?;
    stage.await_sink(&line(0, CHUNK_LINES - 1))?;
    for topic in INTERNAL_TOPICS {
        let described = stage.tool(TOPIC_COMMAND, &["--describe", "--topic", topic])?;
        ensure!(
            described.contains("cleanup.policy=compact"),
            "{topic} is not compacted: {described}"
        );
    }
    // The offsets of the source are in their topic when the transaction that carried the last line has ended.
    let length = chunk_text(0).len() as u64;
    stage.eventually(|_| {
        let offsets = rest.ok("GET", "/connectors/source/offsets", None)?;
        let position = offsets["offsets"][0]["offset"]["position"].as_u64();
        ensure!(
            position.is_some_and(|position| position >= length),
            "the source has not read {length} bytes: {offsets}"
        );
        Ok(())
    })?;
    stage.eventually(|_| {
        let offsets = rest.ok("GET", "/connectors/sink/offsets", None)?;
        let offset = offsets["offsets"][0]["offset"]["kafka_offset"].as_u64();
        ensure!(
            offset.is_some_and(|offset| offset >= CHUNK_LINES as u64),
            "the sink has not committed all lines: {offsets}"
        );
        Ok(())
    })?;
    rest.ok("PUT", "/connectors/source/pause", None)?;
    stage.await_state("source", "PAUSED")?;
    rest.ok("PUT", "/connectors/source/resume", None)?;
    stage.await_state("source", "RUNNING")?;
    // A sink that is stopped has left its group, so that its offsets can be deleted; it then reads all again.
    rest.ok("PUT", "/connectors/sink/stop", None)?;
    stage.eventually(|_| {
        rest.ok("DELETE", "/connectors/sink/offsets", None)
            .map(drop)
    })?;
    fs::remove_file(stage.file("sink.txt"))?;
    rest.ok("PUT", "/connectors/sink/resume", None)?;
    stage.await_sink(&line(0, CHUNK_LINES - 1))?;
    stage.eventually(|_| rest.ok("DELETE", "/connectors/source", None).map(drop))?;
    stage.eventually(|_| rest.ok("DELETE", "/connectors/sink", None).map(drop))?;
    let gone = rest.ask("GET", "/connectors/source", None)?;
    ensure!(gone.status == 404, "a deleted connector answers {gone:?}");
    expect_lines(&chunk_text(0), &stage.committed_lines()?)
}

/// The worker, the broker, and both are killed while lines are on their way.
fn file_to_file_killed(stage: &mut Stage<'_>) -> Result<()> {
    stage.configure_both()?;
    for chunk in 0..3 {
        stage.write(&chunk_text(chunk))?;
        // A few of its lines have come through; most have not.
        stage.await_sink(&line(chunk, 10))?;
        if chunk != 1 {
            stage.worker.kill_and_wait()?;
        }
        if chunk != 0 {
            let broker = stage.broker.take().context("there is no broker to kill")?;
            stage.broker = Some(broker.kill_and_start(stage.session.launcher)?);
        }
        if chunk != 1 {
            stage.worker = start_worker(stage.session, &stage.scratch)?;
        }
    }
    stage.write(&(chunk_text(3) + &tail_text()))?;
    // The connectors come back by themselves: their configuration lies in a topic.
    stage.await_sink(&line(3, CHUNK_LINES - 1))?;
    let wanted: String = (0..4).map(chunk_text).collect();
    expect_lines(&wanted, &stage.committed_lines()?)?;
    let sink = fs::read_to_string(stage.file("sink.txt"))?;
    let missing = wanted.lines().find(|line| !sink.contains(line));
    ensure!(missing.is_none(), "the sink never got {missing:?}");
    Ok(())
}

/// Where two texts part.
fn difference(wanted: &str, found: &str) -> String {
    let (mut wanted, mut found) = (wanted.lines(), found.lines());
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return "they are the same".to_owned(),
            (one, other) if one == other => {}
            (one, other) => return format!("{one:?} should come, {other:?} did"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_part_at_a_line() {
        assert!(expect_lines("a\n", "a\n").is_ok());
        assert!(expect_lines("a\n", "a\n<tail-0>\n").is_ok());
        for found in ["", "a\na\n", "a\n<tail-1>\n"] {
            assert!(expect_lines("a\n", found).is_err(), "{found:?}");
        }
        assert!(difference("a\nb\n", "a\nc\n").contains("Some(\"b\") should come"));
        assert!(difference("a\n", "a\nc\n").starts_with("None should come"));
        assert_eq!(difference("a\n", "a\n"), "they are the same");
    }

    #[test]
    fn a_worker_knows_its_broker_and_its_topics() {
        let text = worker_properties("h:1", 2);
        for wanted in [
            "bootstrap.servers=h:1\n",
            "http://127.0.0.1:2\n",
            "offset.storage.topic=connect-offsets\n",
            "status.storage.replication.factor=1\n",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
    }
}
