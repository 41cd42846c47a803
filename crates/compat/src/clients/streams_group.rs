//! Streams groups (KIP-1071) as their administrators see them: two instances of a Kafka Streams 4.3.1 application share
//! tasks and copies of state, one takes over from the other, and `StreamsGroupCommand` shows, resets and deletes.
//!
//! The application and its judge are those of [`super::streams`]; here the application has several instances, each with
//! a state directory of its own, and the word count has one subtopology that splits and one that counts, of two tasks
//! each.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::streams::{LIMIT, SHORT_SESSIONS, STOP_GRACE, await_process, number};
use crate::cache::Cache;
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::process::{self, Managed};
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};
use crate::target::Target;

const GROUP_COMMAND: &str = "org.apache.kafka.tools.streams.StreamsGroupCommand";
const TOPIC_COMMAND: &str = "org.apache.kafka.tools.TopicCommand";

/// The application, and so the group.
const GROUP: &str = "wc";

const TOPOLOGY: &str = "word-count";

/// The suite.
#[derive(Debug)]
pub struct StreamsGroup;

type Case = fn(&mut Bench<'_>) -> Result<()>;

const CASES: &[(&str, Case)] = &[
    ("takeover", takeover),
    ("internal-topics", internal_topics),
    ("commands", commands),
];

impl Suite for StreamsGroup {
    fn name(&self) -> &'static str {
        "streams-group"
    }

    fn client(&self) -> String {
        format!("Apache Kafka {KAFKA_VERSION} Streams and tools")
    }

    fn prepare(&self, _cache: &Cache, kafka: &Kafka, _tier: Tier) -> Result<bool> {
        kafka.compile_runner().map(|_| true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        for (case, body) in CASES {
            if session.selection.wants(case) {
                run_case(case, done, || run_alone(session, case, *body));
            }
        }
        Ok(())
    }
}

/// Runs a case with a broker of its own.
fn run_alone(session: &Session<'_>, case: &str, body: Case) -> Result<()> {
    let mut properties = SHORT_SESSIONS.to_vec();
    properties.push(("group.streams.num.standby.replicas", "1"));
    let broker = session.launcher.start(session.target.kind(), &properties)?;
    let mut bench = Bench {
        session,
        classes: session.kafka.compile_runner()?,
        bootstrap: broker.bootstrap(),
        broker,
        logs: Vec::new(),
    };
    let ended = body(&mut bench);
    for (name, path) in &bench.logs {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        session.keep_log(&format!("{case}-{name}"), &text);
    }
    session.keep_log(&format!("{case}-broker"), &bench.broker.log_text());
    ended?;
    let error = bench.broker.logged_error();
    ensure!(error.is_none(), "the broker logged: {error:?}");
    bench.broker.stop()
}

/// What a case has.
struct Bench<'a> {
    session: &'a Session<'a>,
    classes: PathBuf,
    bootstrap: String,
    broker: Target,
    logs: Vec<(String, PathBuf)>,
}

impl Bench<'_> {
    fn java(&self) -> Command {
        let options = ["-Xmx256M", "-XX:TieredStopAtLevel=1"];
        self.session.kafka.java_with(&[&self.classes], &options)
    }

    fn spawn(&mut self, name: &str, command: &mut Command) -> Result<Managed> {
        let log = self.broker.scratch().join(format!("{name}.log"));
        self.logs.push((name.to_owned(), log.clone()));
        Managed::spawn(name, command, &log)
    }

    /// Feeds the word count, once the source topic is there.
    fn feed(&mut self, records: u32, per_second: u32) -> Result<Managed> {
        let mut command = self.java();
        command
            .args(["affluent.compat.StreamsCheck", "feed", &self.bootstrap])
            .args([TOPOLOGY, GROUP])
            .args([records.to_string(), per_second.to_string()]);
        let mut feeder = self.spawn("feeder", &mut command)?;
        await_process(&mut feeder, "the topics", |log| {
            number(log, "total").is_some()
        })?;
        Ok(feeder)
    }

    /// An instance of two threads, which answers interactive queries under its name.
    fn instance(&mut self, name: &str) -> Result<Managed> {
        let mut command = self.java();
        command
            .args(["affluent.compat.StreamsApp", &self.bootstrap])
            .args([TOPOLOGY, GROUP])
            .arg(self.broker.scratch().join(format!("state-{name}")))
            .args(["group.protocol=streams", &format!("client.id={name}")])
            .arg(format!("application.server={name}:7070"));
        self.spawn(name, &mut command)
    }

    fn judge(&self, records: u32) -> Result<()> {
        let mut command = self.java();
        command
            .args(["affluent.compat.StreamsCheck", "judge", &self.bootstrap])
            .args([TOPOLOGY, &records.to_string()]);
        let finished = process::run(&mut command, b"", LIMIT)?;
        finished.ok().context("the output is not exact").map(drop)
    }

    fn tool(&self, main: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.java();
        command
            .args([main, "--bootstrap-server", &self.bootstrap])
            .args(arguments);
        let finished = process::run(&mut command, b"", LIMIT)?.ok()?;
        Ok(finished.stdout_text())
    }

    fn command(&self, arguments: &[&str]) -> Result<String> {
        self.tool(GROUP_COMMAND, arguments)
    }

    /// Asks until the answer is as wanted.
    fn until(
        &self,
        what: &str,
        arguments: &[&str],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            // The group may not be there yet.
            let said = self.command(arguments);
            let said = said.unwrap_or_else(|error| format!("{error:#}"));
            if wanted(&said) {
                return Ok(said);
            }
            ensure!(Instant::now() < deadline, "{what} did not come: {said}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until the group's members are as wanted: their assignments, sorted, by instance.
    fn members(&self, wanted: &[(&str, &str)]) -> Result<()> {
        let describe = ["--describe", "--members", "--group", GROUP];
        let wanted: Vec<(String, String)> = wanted
            .iter()
            .map(|(client, tasks)| ((*client).to_owned(), (*tasks).to_owned()))
            .collect();
        let what = format!("the assignment {wanted:?}");
        self.until(&what, &describe, |said| assignments(said) == wanted)
            .map(drop)
    }

    fn topics(&self) -> Result<Vec<String>> {
        let listed = self.tool(TOPIC_COMMAND, &["--list"])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }
}

/// Which instance has which tasks: `a0_1` for an active, `s1_0` for a standby one. Of a line such as
/// `wc member process one-StreamThread-1-consumer ACTIVE: 0:[0,1]; STANDBY: 1:[1];`.
fn assignments(described: &str) -> Vec<(String, String)> {
    let mut tasks: Vec<(String, String)> = Vec::new();
    for line in described.lines() {
        let Some((who, what)) = line
            .split_once(" ACTIVE:")
            .or_else(|| line.split_once(" STANDBY:"))
        else {
            continue;
        };
        let client = who.split_whitespace().last().unwrap_or_default();
        let client = client.split('-').next().unwrap_or_default();
        let mut role = if line.contains(" ACTIVE:") { "a" } else { "s" };
        for word in what.split_whitespace() {
            match word {
                "ACTIVE:" => role = "a",
                "STANDBY:" => role = "s",
                _ => {
                    tasks.extend(ids(word).map(|task| (client.to_owned(), format!("{role}{task}"))))
                }
            }
        }
    }
    let mut clients: Vec<String> = tasks.iter().map(|(client, _)| client.clone()).collect();
    clients.sort();
    clients.dedup();
    clients
        .into_iter()
        .map(|client| {
            let mut own: Vec<String> = tasks
                .iter()
                .filter(|(of, _)| *of == client)
                .map(|(_, task)| task.clone())
                .collect();
            own.sort();
            (client, own.join(" "))
        })
        .collect()
}

/// The tasks of `1:[0,1];`.
fn ids(word: &str) -> impl Iterator<Item = String> + '_ {
    let (subtopology, partitions) = word.split_once(':').unwrap_or_default();
    let partitions = partitions.trim_matches(|c| "[];,".contains(c)).split(',');
    partitions
        .filter(|partition| !partition.is_empty())
        .map(move |partition| format!("{subtopology}_{partition}"))
}

/// The value below a heading, of a table with one row.
fn cell(table: &str, heading: &str) -> Option<String> {
    let mut lines = table.lines();
    let at = lines.find_map(|line| line.find(heading))?;
    let value = lines.next()?.get(at..)?;
    value.split_whitespace().next().map(str::to_owned)
}

fn takeover(bench: &mut Bench<'_>) -> Result<()> {
    const RECORDS: u32 = 6000;
    let mut feeder = bench.feed(RECORDS, 200)?;
    let mut one = bench.instance("one")?;
    bench.members(&[("one", "a0_0 a0_1 a1_0 a1_1")])?;
    let two = bench.instance("two")?;
    // Each task is in one instance, and each copy of state in the other.
    let describe = ["--describe", "--members", "--group", GROUP];
    bench.until("an even assignment", &describe, |said| {
        let assigned = assignments(said);
        let even = |tasks: &String| {
            let active = tasks.split(' ').filter(|task| task.starts_with('a'));
            active.count() == 2
        };
        let all: Vec<&str> = assigned
            .iter()
            .flat_map(|(_, tasks)| tasks.split(' '))
            .collect();
        let copies = all.iter().filter(|task| task.starts_with('s')).count();
        assigned.len() == 2 && assigned.iter().all(|(_, tasks)| even(tasks)) && copies == 2
    })?;
    ensure!(
        !feeder.log_text().contains("complete"),
        "all output was there before the kill: the case proves nothing"
    );
    one.kill_and_wait()?;
    bench.members(&[("two", "a0_0 a0_1 a1_0 a1_1")])?;
    await_process(&mut feeder, "all output", |log| log.contains("complete"))?;
    two.stop(STOP_GRACE)?;
    bench.judge(RECORDS)
}

fn internal_topics(bench: &mut Bench<'_>) -> Result<()> {
    const RECORDS: u32 = 200;
    let mut feeder = bench.feed(RECORDS, 1000)?;
    let app = bench.instance("one")?;
    await_process(&mut feeder, "all output", |log| log.contains("complete"))?;
    app.stop(STOP_GRACE)?;
    bench.judge(RECORDS)?;
    for (topic, configs) in [
        (
            "wc-by-word-repartition",
            &["cleanup.policy=delete", "retention.ms=-1"][..],
        ),
        ("wc-counts-changelog", &["cleanup.policy=compact"][..]),
    ] {
        let described = bench.tool(TOPIC_COMMAND, &["--describe", "--topic", topic])?;
        ensure!(described.contains("PartitionCount: 2"), "{described}");
        for config in configs {
            ensure!(
                described.contains(config),
                "{topic} without {config}: {described}"
            );
        }
    }
    Ok(())
}

fn commands(bench: &mut Bench<'_>) -> Result<()> {
    const RECORDS: u32 = 200;
    let mut feeder = bench.feed(RECORDS, 1000)?;
    let app = bench.instance("one")?;
    await_process(&mut feeder, "all output", |log| log.contains("complete"))?;
    bench.members(&[("one", "a0_0 a0_1 a1_0 a1_1")])?;
    ensure!(bench.command(&["--list"])?.trim() == GROUP, "--list");
    let listed = bench.command(&["--list", "--state"])?;
    ensure!(
        cell(&listed, "STATE").as_deref() == Some("Stable"),
        "{listed}"
    );
    let state = ["--describe", "--state", "--verbose", "--group", GROUP];
    let described = bench.command(&state)?;
    ensure!(
        cell(&described, "STATE").as_deref() == Some("Stable"),
        "{described}"
    );
    ensure!(
        cell(&described, "#MEMBERS").as_deref() == Some("2"),
        "{described}"
    );
    let offsets = bench.command(&["--describe", "--group", GROUP])?;
    ensure!(offsets.contains("words-in"), "{offsets}");
    // A group with members is not deleted.
    let refused = bench.command(&["--delete", "--group", GROUP]);
    let refused = refused.unwrap_or_else(|error| format!("{error:#}"));
    ensure!(!refused.contains("was successful"), "{refused}");
    app.stop(STOP_GRACE)?;
    bench.until("an empty group", &state, |said| {
        cell(said, "STATE").as_deref() == Some("Empty")
    })?;
    let reset = [
        "--reset-offsets",
        "--group",
        GROUP,
        "--input-topic",
        "words-in",
        "--to-earliest",
        "--execute",
    ];
    let said = bench.command(&reset)?;
    ensure!(said.contains("words-in"), "{said}");
    let deleted = bench.command(&["--delete", "--group", GROUP])?;
    ensure!(deleted.contains("was successful"), "{deleted}");
    ensure!(bench.command(&["--list"])?.trim().is_empty(), "--list");
    let topics = bench.topics()?;
    ensure!(topics.iter().any(|topic| topic == "words-in"), "{topics:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_from_what_the_command_prints() {
        let said = "GROUP MEMBER PROCESS CLIENT-ID ASSIGNMENTS\n\
                    wc m1 p one-StreamThread-1-consumer ACTIVE: 0:[0,1]; STANDBY: 1:[1]; \n\
                    wc m2 p one-StreamThread-2-consumer ACTIVE: 1:[0]; \n\
                    wc m3 q two-StreamThread-1-consumer STANDBY: 1:[0]; \n";
        let expected = [("one", "a0_0 a0_1 a1_0 s1_1"), ("two", "s1_0")];
        let expected = expected.map(|(client, tasks)| (client.to_owned(), tasks.to_owned()));
        assert_eq!(assignments(said), expected);
    }

    #[test]
    fn a_cell_is_below_its_heading() {
        let table = "\nError: no members.\nGROUP    STATE    #MEMBERS\nwc       Stable   4\n";
        assert_eq!(cell(table, "STATE").as_deref(), Some("Stable"));
        assert_eq!(cell(table, "#MEMBERS").as_deref(), Some("4"));
    }
}
