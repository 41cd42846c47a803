//! librdkafka's own test-suite, built from the source that travels in the crate `rdkafka-sys`.
//!
//! It is configured and made in the cache, with `tests/test.conf` as `tests/README.md` says and
//! `TEST_KAFKA_VERSION=4.2.0`, in its quick mode (`-Q`, what its own CI runs: fewer messages, the same checks). Each
//! test number is a process of its own, so that one that hangs or crashes does not take the others along; some run
//! side by side, since most of their time is waiting (the suite's own default is five threads in one process).
//!
//! The scenario `default` runs twice, with consumer groups of the classic protocol and with those of KIP-848.
//!
//! The crate's release knows no share groups. The tests of those come with a newer release, which travels in an npm
//! package ([`Edition::Share`]); of that only they are run, and not in quick mode, which leaves out nearly all that they
//! do. All of them consist of subtests, of which one at least must be seen to pass.
//!
//! Adapted (see [`ADAPTATIONS`] and [`SHARE_ADAPTATIONS`]): three replicas, which one broker cannot hold, become one, a
//! segment size that Apache Kafka 4.0 and later refuse becomes the least it takes, and a test that did not wait for what
//! it presumes does. What the tests check stays the same.
//!
//! Left out: tests that need no broker (`TEST_F_LOCAL`, and those on librdkafka's mock cluster), and manual ones.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::registry;
use crate::cache::{Cache, once};
use crate::kafka::Kafka;
use crate::npm;
use crate::process;
use crate::suite::{CaseResult, Outcome, Session, Suite, Tier, seconds};

/// The broker version the suite is told: it decides which tests apply.
const BROKER_VERSION: &str = "4.2.0";

/// How many tests run at a time.
const WORKERS: usize = 3;

/// The same for the tests of share consumers, which do little but wait.
const SHARE_WORKERS: usize = 7;

/// How long one test number may take; the longest healthy one needs about two minutes in quick mode.
const TEST_LIMIT: Duration = Duration::from_secs(300);

/// The same for the tests of share consumers, whose groups take seconds to settle in each of up to forty subtests.
const SHARE_TEST_LIMIT: Duration = Duration::from_secs(900);

const BUILD_LIMIT: Duration = Duration::from_secs(2400);

/// The test of the admin API stops at its first failing subtest, and ACLs come early: so each subtest runs alone.
const SPLIT_TEST: &str = "0081_admin";
const SPLIT_SOURCE: &str = "0081-admin.c";

/// Functions of that source that only call or count.
const NO_SUBTESTS: [&str; 2] = ["apis", "acls_count"];

/// The npm package whose library has share consumers: librdkafka 2.15.1.
pub const SHARE_PACKAGE: &str = "@confluentinc/kafka-javascript@1.10.1";

/// What is changed in a test's source: its file, the text and what stands in its place.
type Adaptation = (&'static str, &'static str, &'static str);

/// The changes in the tests of share consumers: 0170 wants what it writes "after both groups have joined" to reach both,
/// but waits only for one group to join, and then only for the other to read. It must go on until both have.
const SHARE_ADAPTATIONS: [Adaptation; 2] = [
    (
        "0170-share_consumer_subscription.c",
        "while (attempts-- > 0 && countA < 5) {",
        "while (attempts-- > 0 && (countA < 5 || attempts > 24)) {",
    ),
    (
        "0170-share_consumer_subscription.c",
        "while (attempts-- > 0 && countB < 3) {",
        "while (attempts-- > 0 && (countA < 8 || countB < 3)) {",
    ),
];

/// Broker properties for the tests of share consumers. Locks that last three seconds are waited for: the minimum is what
/// librdkafka's own `tests/cluster_testing.py` sets.
///
/// The heartbeats' interval must not divide the times that the tests themselves wait for. Two subtests of 0180 do
/// something five seconds after they subscribed, the default interval, and with that run into faults of the library
/// (2.15.1), with Apache Kafka as well:
/// - A heartbeat that is due when `connections.max.idle.ms` of the coordinator's connection has passed is queued on the
///   connection that the library then closes. If that is open again before its main thread looks, the next heartbeat is
///   sent after another interval, to meet the same end: no assignment ever comes.
/// - A close while the metadata of the first assignment are asked for hangs: the assignment is taken up after it.
const SHARE_SETTINGS: [(&str, &str); 3] = [
    ("group.share.min.record.lock.duration.ms", "1000"),
    ("group.share.min.heartbeat.interval.ms", "1700"),
    ("group.share.heartbeat.interval.ms", "1700"),
];

/// The changes in the tests of the crate's release.
const ADAPTATIONS: [Adaptation; 5] = [
    ("0098-consumer-txn.cpp", ", 3, 5000)", ", 1, 5000)"),
    ("0103-transactions.c", ", 3, 5000)", ", 1, 5000)"),
    ("0107-topic_recreate.c", ", 3, 5000)", ", 1, 5000)"),
    ("0111-delay_create_topics.cpp", "(), 1, 3)", "(), 1, 1)"),
    (
        "0129-fetch_aborted_msgs.c",
        "\"segment.bytes\", \"20000\"",
        "\"segment.bytes\", \"1048576\"",
    ),
];

/// The group protocol of the consumers that the tests make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The protocol of JoinGroup and SyncGroup.
    Classic,
    /// KIP-848: `TEST_CONSUMER_GROUP_PROTOCOL=consumer`.
    Consumer,
}

/// Which release of the library, and so which tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// The one in the crate `rdkafka-sys`: all its tests.
    Crate,
    /// The newer one in [`SHARE_PACKAGE`]: its tests of share consumers.
    Share,
}

/// The suite, in one of the cluster configurations ("scenarios") its tests ask for.
#[derive(Debug)]
pub struct Librdkafka {
    /// `default` or `noautocreate`.
    pub scenario: &'static str,
    /// The group protocol.
    pub group_protocol: GroupProtocol,
    /// The release.
    pub edition: Edition,
}

/// One entry of the table in `tests/test.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Test {
    name: String,
    number: String,
    scenarios: Vec<String>,
    needs_broker: bool,
}

/// A test's part of the report that the test runner writes.
#[derive(Debug, Deserialize)]
struct Report {
    tests: BTreeMap<String, ReportedTest>,
}

#[derive(Debug, Deserialize)]
struct ReportedTest {
    state: String,
}

impl Suite for Librdkafka {
    fn name(&self) -> &'static str {
        match (self.edition, self.scenario, self.group_protocol) {
            (Edition::Share, ..) => "librdkafka-share",
            (_, "default", GroupProtocol::Classic) => "librdkafka",
            (_, "default", GroupProtocol::Consumer) => "librdkafka-consumer",
            _ => "librdkafka-noautocreate",
        }
    }

    fn client(&self) -> String {
        let protocol = match self.group_protocol {
            GroupProtocol::Classic => "",
            GroupProtocol::Consumer => ", group.protocol=consumer",
        };
        match self.edition {
            Edition::Crate => format!(
                "librdkafka's own test-suite, scenario {}{protocol}, from rdkafka-sys",
                self.scenario
            ),
            Edition::Share => {
                format!("librdkafka's own tests of share consumers, from {SHARE_PACKAGE}")
            }
        }
    }

    fn overrides(&self) -> Vec<(&'static str, &'static str)> {
        if self.edition == Edition::Share {
            SHARE_SETTINGS.to_vec()
        } else if self.scenario == "default" {
            vec![]
        } else {
            vec![("auto.create.topics.enable", "false")]
        }
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        let directory = cache.directory(self.directory())?;
        let stamp = match self.edition {
            Edition::Crate => registry::source("rdkafka-sys")?.display().to_string(),
            Edition::Share => SHARE_PACKAGE.to_owned(),
        };
        let built = fs::read_to_string(directory.join("built")).is_ok_and(|found| found == stamp);
        if tier == Tier::Quick && !built {
            return Ok(false);
        }
        let (source, adaptations) = self.source(&directory)?;
        once(&directory, "built", &stamp, || build(&source, &directory))?;
        let stamp = format!("{stamp}\n{adaptations:?}");
        once(&directory, "adapted", &stamp, || {
            adapt(&source, &directory, adaptations)
        })?;
        Ok(true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let tests = session
            .cache
            .directory(self.directory())?
            .join("source")
            .join("tests");
        let bench = Bench::prepare(session, tests, self)?;
        let queue = Mutex::new(bench.jobs(session)?);
        let (sender, results) = channel();
        let workers = match self.edition {
            Edition::Crate => WORKERS,
            Edition::Share => SHARE_WORKERS,
        };
        thread::scope(|scope| {
            for _ in 0..workers {
                let (sender, queue, bench) = (sender.clone(), &queue, &bench);
                scope.spawn(move || {
                    while let Some(job) = next(queue) {
                        for result in bench.run(&job) {
                            // The receiver lives as long as this scope.
                            sender.send(result).ok();
                        }
                    }
                });
            }
            drop(sender);
            for result in results {
                done(result);
            }
        });
        Ok(())
    }
}

impl Librdkafka {
    /// The folder in the cache.
    fn directory(&self) -> &'static str {
        match self.edition {
            Edition::Crate => "librdkafka",
            Edition::Share => "librdkafka-share",
        }
    }

    /// Where the source is, fetched if need be, and what is changed in its tests.
    fn source(&self, directory: &Path) -> Result<(PathBuf, &'static [Adaptation])> {
        Ok(match self.edition {
            Edition::Crate => {
                let source = registry::source("rdkafka-sys")?.join("librdkafka");
                (source, &ADAPTATIONS)
            }
            Edition::Share => {
                once(directory, "fetched", SHARE_PACKAGE, || {
                    npm::fetch(SHARE_PACKAGE, directory)
                })?;
                let source = directory.join("package").join("deps").join("librdkafka");
                (source, &SHARE_ADAPTATIONS)
            }
        })
    }

    /// Whether it is for this suite to run the test.
    fn has(&self, test: &Test) -> bool {
        let of_edition = self.edition == Edition::Crate || test.name.contains("_share_");
        of_edition && test.needs_broker && test.scenarios.iter().any(|name| name == self.scenario)
    }
}

fn next(queue: &Mutex<VecDeque<Job>>) -> Option<Job> {
    queue.lock().ok()?.pop_front()
}

/// One process of the test runner: all tests of a number, or one subtest of a test.
#[derive(Debug)]
struct Job {
    number: String,
    tests: Vec<String>,
    subtest: Option<String>,
    /// Whether its tests consist of subtests.
    has_subtests: bool,
}

impl Job {
    /// Whether the test has done anything. One whose subtests are all left out passes too; that proves nothing.
    fn has_worked(&self, test: &str, printed: &str) -> bool {
        let passed_subtest = |line: &str| {
            let rest = line
                .strip_prefix('[')
                .and_then(|line| line.strip_prefix(test));
            rest.is_some_and(|rest| rest.trim_start().starts_with('/') && rest.contains(": PASS ("))
        };
        match &self.subtest {
            Some(subtest) => printed.contains(&format!("[ do_test_{subtest}:")),
            None => !self.has_subtests || printed.lines().any(passed_subtest),
        }
    }

    /// The case's name: the test's, and the subtest's behind it.
    fn case(&self, test: &str) -> String {
        match &self.subtest {
            Some(subtest) => format!("{test}/{subtest}"),
            None => test.to_owned(),
        }
    }
}

/// All that the jobs of a run share.
struct Bench<'a> {
    session: &'a Session<'a>,
    suite: &'a Librdkafka,
    tests: PathBuf,
    configuration: PathBuf,
    bootstrap: String,
    kafka_path: PathBuf,
}

impl<'a> Bench<'a> {
    fn prepare(session: &'a Session<'a>, tests: PathBuf, suite: &'a Librdkafka) -> Result<Self> {
        let configuration = session.target.scratch().join("test.conf");
        let bootstrap = session.target.bootstrap();
        // Twice the timeouts: they are set for a machine with nothing else to do.
        let settings = format!(
            "metadata.broker.list={bootstrap}\ntest.timeout.multiplier=2\ntest.topic.random=true\n"
        );
        fs::write(&configuration, settings)?;
        Ok(Self {
            session,
            suite,
            tests,
            configuration,
            bootstrap,
            kafka_path: session.kafka.shell_scripts()?,
        })
    }

    fn jobs(&self, session: &Session<'_>) -> Result<VecDeque<Job>> {
        let table =
            fs::read_to_string(self.tests.join("test.c")).context("could not read tests/test.c")?;
        let wanted = parse_table(&table)
            .into_iter()
            .filter(|test| self.suite.has(test));
        let mut by_number: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut jobs = VecDeque::new();
        for test in wanted {
            if test.name == SPLIT_TEST {
                let source = fs::read_to_string(self.tests.join(SPLIT_SOURCE))
                    .context("could not read the source")?;
                for subtest in subtests(&source) {
                    let (number, tests) = (test.number.clone(), vec![test.name.clone()]);
                    let job = Job {
                        number,
                        tests,
                        subtest: Some(subtest),
                        has_subtests: true,
                    };
                    if session.selection.wants(&job.case(&test.name)) {
                        jobs.push_back(job);
                    }
                }
            } else if session.selection.wants(&test.name) {
                by_number.entry(test.number).or_default().push(test.name);
            }
        }
        jobs.extend(by_number.into_iter().map(|(number, tests)| Job {
            number,
            tests,
            subtest: None,
            has_subtests: self.suite.edition == Edition::Share,
        }));
        Ok(jobs)
    }

    /// Runs the job and reads how each of its tests ended.
    fn run(&self, job: &Job) -> Vec<CaseResult> {
        let started = Instant::now();
        let ended = self.run_process(job);
        let elapsed = started.elapsed();
        let result = |test: &String| match &ended {
            Ok((report, printed)) => result_of(job, test, report.as_ref(), printed, elapsed),
            Err(error) => CaseResult {
                case: job.case(test),
                outcome: Outcome::Fail(format!("{error:#}")),
                seconds: seconds(elapsed),
            },
        };
        job.tests.iter().map(result).collect()
    }

    /// The report, if the runner lived to write one, and what it printed.
    fn run_process(&self, job: &Job) -> Result<(Option<Report>, String)> {
        let scratch = tempfile::tempdir()?;
        let report = scratch.path().join("report.json");
        let mut command = Command::new("./test-runner");
        if self.suite.edition == Edition::Crate {
            command.arg("-Q");
        }
        command
            .args(["-p1", "-L", "-s", self.suite.scenario])
            .current_dir(&self.tests)
            .env("LD_LIBRARY_PATH", "../src:../src-cpp")
            .env("TESTS", &job.number)
            .env("TEST_KAFKA_VERSION", BROKER_VERSION)
            .env("TEST_REPORT", &report)
            .env("RDKAFKA_TEST_CONF", &self.configuration)
            .env("KAFKA_PATH", &self.kafka_path)
            .env("BROKERS", &self.bootstrap)
            .env_remove("CI")
            .env_remove("TEST_CONSUMER_GROUP_PROTOCOL");
        if self.suite.group_protocol == GroupProtocol::Consumer {
            command.env("TEST_CONSUMER_GROUP_PROTOCOL", "consumer");
        }
        if let Some(subtest) = &job.subtest {
            // The colon ends the name, so that no longer name matches as well.
            command.env("SUBTESTS", format!("do_test_{subtest}:"));
        }
        let limit = match self.suite.edition {
            Edition::Crate => TEST_LIMIT,
            Edition::Share => SHARE_TEST_LIMIT,
        };
        let finished = process::run(&mut command, b"", limit)?;
        let printed = without_colours(&format!(
            "{}\n{}",
            finished.stdout_text(),
            finished.stderr_text()
        ));
        self.session.keep_log(&job.case(&job.number), &printed);
        let parsed = match fs::read_to_string(&report) {
            Ok(text) => {
                Some(serde_json::from_str(&text).context("the runner's report is no JSON")?)
            }
            Err(_) => None,
        };
        let printed = match finished.status {
            Some(status) => format!("{printed}\nthe runner ended with {status}"),
            None => format!(
                "{printed}\nthe runner was killed after {} s",
                finished.elapsed.as_secs()
            ),
        };
        Ok((parsed, printed))
    }
}

/// Configures and makes the library in `directory`.
fn build(source: &Path, directory: &Path) -> Result<()> {
    eprintln!(
        "building librdkafka and its tests in {}: a few minutes",
        directory.display()
    );
    let copy = directory.join("source");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    registry::copy(source, &copy)?;
    // TLS and SASL are not what is tested here, and without them the build needs no more than zlib and zstd.
    build_step(
        &copy,
        "./configure",
        &["--disable-ssl", "--disable-gssapi", "--disable-curl"],
    )?;
    build_step(&copy, "make", &["-j2", "libs"])
}

fn build_step(folder: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("nice");
    command.arg(program).args(arguments).current_dir(folder);
    process::run(&mut command, b"", BUILD_LIMIT)?
        .ok()
        .with_context(|| format!("{program} failed"))?;
    Ok(())
}

/// Writes the adapted sources over those in the cache, and makes the test runner of them.
fn adapt(source: &Path, directory: &Path, adaptations: &[Adaptation]) -> Result<()> {
    let tests = directory.join("source").join("tests");
    let mut adapted: BTreeMap<&str, String> = BTreeMap::new();
    for (file, text, instead) in adaptations {
        let before = match adapted.get(file) {
            Some(before) => before.clone(),
            None => fs::read_to_string(source.join("tests").join(file))
                .with_context(|| format!("could not read {file}"))?,
        };
        ensure!(before.contains(text), "{file} does not say {text:?}");
        adapted.insert(file, before.replace(text, instead));
    }
    for (file, text) in &adapted {
        fs::write(tests.join(file), text)?;
    }
    build_step(&tests, "make", &["-j2", "build"])?;
    ensure!(
        tests.join("test-runner").is_file(),
        "make reported success, but there is no test-runner"
    );
    Ok(())
}

fn result_of(
    job: &Job,
    test: &str,
    report: Option<&Report>,
    printed: &str,
    elapsed: Duration,
) -> CaseResult {
    let reported = report.and_then(|report| report.tests.get(test));
    let outcome = match reported.map(|reported| reported.state.as_str()) {
        Some("PASSED") if job.has_worked(test, printed) => Outcome::Pass,
        Some("PASSED") => Outcome::Skip("none of its subtests ran".to_owned()),
        Some("SKIPPED") => Outcome::Skip(reason(test, printed)),
        _ => Outcome::Fail(reason(test, printed)),
    };
    CaseResult {
        case: job.case(test),
        outcome,
        seconds: seconds(elapsed),
    }
}

/// What the runner said of a test: at its failure, or behind its name in the summary table, or at the very end.
fn reason(name: &str, printed: &str) -> String {
    let headline = format!("### Test \"{name}");
    if let Some((_, rest)) = printed.split_once(&headline) {
        let lines = rest
            .lines()
            .map(|line| line.trim_matches(['#', ' ', '"']))
            .filter(|line| !line.is_empty());
        return lines.take(2).collect::<Vec<_>>().join(" | ");
    }
    let row = printed
        .lines()
        .find(|line| line.starts_with('|') && line.contains(&format!(" {name} ")));
    match row.and_then(|row| row.split('|').nth(4)).map(str::trim) {
        Some(reason) if !reason.is_empty() => reason.to_owned(),
        _ => process::tail(printed, 4),
    }
}

/// The names behind `do_test_` of the functions that a test's source defines, helpers left out.
fn subtests(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in source.lines() {
        let definition = line.strip_prefix("static void ").unwrap_or(line);
        let Some((name, _)) = definition
            .strip_prefix("do_test_")
            .and_then(|rest| rest.split_once('('))
        else {
            continue;
        };
        if !NO_SUBTESTS.contains(&name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Removes terminal colours: an escape, a bracket, and everything to the letter `m`.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// Reads the table of tests: `_TEST(0001_multiobj, flags, ...)`.
fn parse_table(source: &str) -> Vec<Test> {
    let table = source
        .split_once("struct test tests[]")
        .map_or("", |(_, rest)| rest);
    let table = table.split_once("{NULL}").map_or(table, |(table, _)| table);
    table
        .split("_TEST(")
        .skip(1)
        .filter_map(parse_entry)
        .collect()
}

fn parse_entry(entry: &str) -> Option<Test> {
    let (name, rest) = entry.split_once(',').or_else(|| entry.split_once(')'))?;
    let name = name.trim();
    let (number, _) = name.split_once('_')?;
    // Flags reach to the next comma or to the end of the entry.
    let flags = rest.split([',', ')']).next().unwrap_or_default();
    let scenarios = match rest
        .split_once(".scenario = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
    {
        Some((names, _)) => names.split(',').map(str::to_owned).collect(),
        None => vec!["default".to_owned()],
    };
    let needs_broker = !flags.contains("TEST_F_LOCAL")
        && !flags.contains("TEST_F_MANUAL")
        && !name.ends_with("_mock");
    Some(Test {
        name: name.to_owned(),
        number: number.to_owned(),
        scenarios,
        needs_broker,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"struct test tests[] = {
    {.name = "<MAIN>", .flags = TEST_F_LOCAL},
    _TEST(0000_unittests,
          TEST_F_LOCAL,
          _THRES(.ucpu = 100.0)),
    _TEST(0001_multiobj, 0),
    _TEST(0028_long_topicnames,
          TEST_F_KNOWN_ISSUE,
          TEST_BRKVER(0, 9, 0, 0)),
    _TEST(0034_offset_reset_mock, 0),
    _TEST(0103_transactions, 0, TEST_BRKVER(0, 11, 0, 0), .scenario = "default,ak23"),
    _TEST(0107_topic_recreate, 0, .scenario = "noautocreate"),
    _TEST(8000_idle, TEST_F_MANUAL),
    {NULL}};
    _TEST(9999_after_the_table, 0),
"#;

    #[test]
    fn the_table_of_tests_is_read_with_flags_and_scenarios() {
        let tests = parse_table(TABLE);
        let broker: Vec<&str> = tests
            .iter()
            .filter(|test| test.needs_broker)
            .map(|test| test.name.as_str())
            .collect();
        assert_eq!(
            broker,
            [
                "0001_multiobj",
                "0028_long_topicnames",
                "0103_transactions",
                "0107_topic_recreate"
            ]
        );
        let scenarios: Vec<&[String]> =
            tests.iter().map(|test| test.scenarios.as_slice()).collect();
        assert_eq!(scenarios[4], ["default", "ak23"]);
        assert_eq!(scenarios[5], ["noautocreate"]);
        assert_eq!(tests[1].number, "0001");
    }

    #[test]
    fn the_reason_comes_from_the_failure_or_the_summary_row() {
        let row = "noise\n|\u{1b}[31m 0001_multiobj        |     FAILED |   1.000s \u{1b}[0m|\u{1b}[31m it broke\u{1b}[0m\n";
        assert_eq!(reason("0001_multiobj", &without_colours(row)), "it broke");
        let failure = "### Test \"0001_multiobj\" failed at test.c:1 at Mon: ###\nKAFKA_PATH must be set\nmore\n";
        assert_eq!(
            reason("0001_multiobj", failure),
            "failed at test.c:1 at Mon: | KAFKA_PATH must be set"
        );
        assert_eq!(reason("0002_unkpart", "one\ntwo\n"), "one | two");
    }

    #[test]
    fn a_test_without_a_subtest_that_passed_has_done_nothing() {
        let job = Job {
            number: "0173".to_owned(),
            tests: vec!["0173_a".to_owned(), "0173_a_local".to_owned()],
            subtest: None,
            has_subtests: true,
        };
        let printed =
            "[0173_a_local      /  0.1s] [ do_test_x:1: PASS (0.10s) ]\n[0173_a  /  0.1s] done\n";
        assert!(!job.has_worked("0173_a", printed));
        assert!(job.has_worked("0173_a_local", printed));
    }

    #[test]
    fn subtests_are_the_functions_a_source_defines() {
        let source = "static void do_test_CreateTopics(const char *what,\n\ndo_test_CreateAcls(rd_kafka_t *rk\n        do_test_inner(1);\nstatic void do_test_apis(int x) {\n";
        assert_eq!(subtests(source), ["CreateTopics", "CreateAcls"]);
    }
}
