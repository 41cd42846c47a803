//! The REST Proxy as a script with `requests` uses it: both versions, every format, consumer instances behind two
//! proxies of which one is killed, and the groups of Java's share consumer and of Kafka Streams.
//!
//! The proxies are ours, with a Schema Registry beside each, before the broker under test; so the lane shows that they need
//! nothing of our broker.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::service::Service;
use super::streams::{await_process, number};
use crate::cache::{self, Cache};
use crate::kafka::Kafka;
use crate::process::{self, Managed};
use crate::python::Environment;
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};

const VERSION: &str = "2.34.2";
const SCRIPT: &str = include_str!("../../python/rest_proxy.py");

/// How long one case may take.
const LIMIT: Duration = Duration::from_secs(180);

/// The cases of the script.
const CASES: [&str; 9] = [
    "clusters",
    "topics",
    "stream",
    "v3-schemas",
    "v2-formats",
    "v2-errors",
    "consumer",
    "seek-and-commit",
    "two-proxies",
];

/// The case in which a proxy is killed.
const KILLED: &str = "owner-killed";

/// The cases whose groups have Java's members.
const SHARE: &str = "share-group";
const STREAMS: &str = "streams-group";

/// How long Java's members may take to leave.
const STOP_GRACE: Duration = Duration::from_secs(40);

type Case = fn(&Session<'_>, &[Service]) -> Result<()>;

/// The suite.
#[derive(Debug)]
pub struct RestProxy;

impl Suite for RestProxy {
    fn name(&self) -> &'static str {
        "rest-proxy"
    }

    fn client(&self) -> String {
        format!("Python requests {VERSION}")
    }

    fn prepare(&self, cache: &Cache, kafka: &Kafka, tier: Tier) -> Result<bool> {
        kafka.compile_runner()?;
        cache::install(cache, "requests", VERSION, tier, |directory| {
            let package = format!("requests=={VERSION}");
            Environment::install(directory, &[&package]).map(drop)
        })
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let proxies = [start(session, "proxy-1")?, start(session, "proxy-2")?];
        for case in CASES {
            if session.selection.wants(case) {
                run_case(case, done, || play(session, case, &proxies).map(drop));
            }
        }
        if session.selection.wants(KILLED) {
            run_case(KILLED, done, || kill_the_owner(session, &proxies));
        }
        for (case, body) in [(SHARE, share_group as Case), (STREAMS, streams_group)] {
            if session.selection.wants(case) {
                run_case(case, done, || body(session, &proxies));
            }
        }
        for (number, proxy) in proxies.iter().enumerate() {
            session.keep_log(&format!("proxy-{}", number + 1), &proxy.process.log_text());
        }
        Ok(())
    }
}

fn start(session: &Session<'_>, name: &str) -> Result<Service> {
    let settings = [
        "schema.registry.listeners=http://127.0.0.1:0".to_owned(),
        "kafka.rest.listeners=http://127.0.0.1:0".to_owned(),
    ];
    Service::start(session, name, "schema-registry,rest-proxy", &settings)
}

/// Runs one case of the script and gives what it printed.
fn play(session: &Session<'_>, case: &str, proxies: &[Service]) -> Result<String> {
    let script = session.target.scratch().join("rest_proxy.py");
    fs::write(&script, SCRIPT)?;
    let python = session.cache.directory("requests")?;
    let mut command = Command::new(python.join("venv/bin/python"));
    command.arg(&script).arg(case);
    for proxy in proxies {
        command.arg(format!("http://{}", proxy.address("rest-proxy")?));
    }
    let finished = process::run(&mut command, b"", LIMIT)?;
    session.keep_log(case, &finished.stderr_text());
    ensure!(
        finished.success(),
        "{}",
        process::tail(&finished.stderr_text(), 6)
    );
    Ok(finished.stdout_text())
}

/// A third proxy makes an instance and is killed; another goes on with it.
fn kill_the_owner(session: &Session<'_>, proxies: &[Service]) -> Result<()> {
    let [survivor, ..] = proxies else {
        return Ok(());
    };
    let mut owner = start(session, "proxy-3")?;
    let before = play(session, "before-the-kill", std::slice::from_ref(&owner))?;
    owner.process.kill_and_wait()?;
    session.keep_log("proxy-3", &owner.process.log_text());
    let after = play(session, "after-the-kill", std::slice::from_ref(survivor))?;
    ensure!(
        before.contains("half") && after.contains("whole"),
        "the script says {before:?}, then {after:?}"
    );
    Ok(())
}

/// Starts a Java program that joins a group.
fn member(session: &Session<'_>, name: &str, main: &str, arguments: &[&str]) -> Result<Managed> {
    let classes = session.kafka.compile_runner()?;
    let options = ["-Xmx256M", "-XX:TieredStopAtLevel=1"];
    let mut command = session.kafka.java_with(&[&classes], &options);
    command.arg(main).args(arguments);
    let log = session.target.scratch().join(format!("{name}.log"));
    Managed::spawn(name, &mut command, &log)
}

fn share_group(session: &Session<'_>, proxies: &[Service]) -> Result<()> {
    const GROUP: &str = "rest-share";
    play(session, "share-group-topic", proxies)?;
    let bootstrap = session.target.bootstrap();
    let consumer = member(
        session,
        "share-consumer",
        "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
        &[
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            GROUP,
            "--group",
            GROUP,
        ],
    )?;
    let shown = play(session, SHARE, proxies);
    session.keep_log("share-consumer", &consumer.log_text());
    shown?;
    consumer.stop(STOP_GRACE)?;
    play(session, "share-group-left", proxies).map(drop)
}

fn streams_group(session: &Session<'_>, proxies: &[Service]) -> Result<()> {
    const GROUP: &str = "rest-streams";
    const TOPOLOGY: &str = "word-count";
    let bootstrap = session.target.bootstrap();
    let feed = ["feed", &bootstrap, TOPOLOGY, GROUP, "10", "10"];
    let mut feeder = member(session, "feeder", "affluent.compat.StreamsCheck", &feed)?;
    await_process(&mut feeder, "the topics", |log| {
        number(log, "total").is_some()
    })?;
    let state = session.target.scratch().join("rest-streams-state");
    let state = state.to_string_lossy();
    let application = member(
        session,
        "application",
        "affluent.compat.StreamsApp",
        &[
            &bootstrap,
            TOPOLOGY,
            GROUP,
            &state,
            "group.protocol=streams",
        ],
    )?;
    let shown = play(session, STREAMS, proxies);
    session.keep_log("application", &application.log_text());
    shown?;
    application.stop(STOP_GRACE).map(drop)
}
