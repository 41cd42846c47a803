//! Bytes that no client sends: the connection gets Apache Kafka's answer or is closed, the log gets at most a
//! line for it, memory stays bounded, and everyone else is served as before.
//!
//! What Apache Kafka does with each of these was tried against 4.3.1 with the same code
//! (`chaos frames --against PORT`).

mod bytes;
mod rude;

use std::time::Duration;

use ::bytes::Bytes;
use anyhow::{Context, Result, bail, ensure};
use testkit::calls::{self, Produced};
use testkit::connection::{Connection, Reaction, decode_response};
use testkit::{Server, ServerOptions};
use wire::ErrorCode;
use wire::messages::{ApiVersionsRequest, ProduceRequest};

use crate::report::Verdict;
use crate::scenario::Plan;
use crate::scenario::workload::quiet;

/// How long a peer may take to close a connection or to answer.
const REACTION_LIMIT: Duration = Duration::from_secs(10);
/// How much memory all of the bad input together may leave the broker with.
const GROWTH_BYTES_MAX: u64 = 128 << 20;
const TOPIC: &str = "frames";

/// What must become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// It is closed.
    Closed,
    /// It is answered with the ApiVersions error, in version 0.
    UnsupportedVersion,
    /// Produce is answered with this error.
    Produce(ErrorCode),
    /// Produce is answered with any error.
    ProduceRefused,
}

/// Bytes and what must become of the connection they come on.
#[derive(Clone, Debug)]
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
}

/// Every kind of bad input against our broker.
#[must_use]
pub fn run(plan: &Plan) -> Vec<Verdict> {
    match Server::start(ServerOptions::default().with("connections.max.idle.ms", 4_000)) {
        Ok(mut server) => run_all(plan, &mut server),
        Err(error) => vec![Verdict::of("start", Err(error))],
    }
}

fn run_all(plan: &Plan, server: &mut Server) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let port = server.port();
    let base = server.usage().map(|usage| usage.rss_bytes);
    verdicts.push(Verdict::of("a topic for the cases", prepare(port)));
    for case in bytes::cases().unwrap_or_default() {
        let before = server.log_text().lines().count();
        let result = one(port, &case).and_then(|text| {
            let lines = server.log_text().lines().count() - before;
            ensure!(
                lines <= 1,
                "the broker logged {lines} lines for one connection"
            );
            alive(port)?;
            Ok(text)
        });
        verdicts.push(Verdict::of(case.name, result));
    }
    verdicts.extend(rude::run(plan, server));
    verdicts.push(Verdict::of("memory after all of it", memory(server, base)));
    verdicts.push(Verdict::of(
        "no panic, no alarm in the log",
        quiet(server, &["listener"]).map(|()| "quiet".to_owned()),
    ));
    verdicts
}

/// The plain cases against any broker, such as Apache Kafka.
#[must_use]
pub fn run_against(port: u16) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::of("a topic for the cases", prepare(port))];
    for case in bytes::cases().unwrap_or_default() {
        verdicts.push(Verdict::of(case.name, one(port, &case)));
    }
    verdicts
}

fn prepare(port: u16) -> Result<String> {
    let mut connection = Connection::open(port)?;
    let topic = calls::describe_topic(&mut connection, TOPIC)?;
    if topic.error_code != 0 {
        calls::create_topic(&mut connection, TOPIC, 1, &[])?;
    }
    Ok("created".to_owned())
}

fn one(port: u16, case: &Case) -> Result<String> {
    let mut connection = Connection::open(port)?;
    // A peer that closes before it has read everything makes the rest of the write fail.
    connection.send_raw(&case.bytes).ok();
    let reaction = connection.reaction(REACTION_LIMIT)?;
    match (case.expect, reaction) {
        (Expect::Closed, Reaction::Closed) => Ok("closed".to_owned()),
        (Expect::UnsupportedVersion, Reaction::Answered(frame)) => unsupported_version(&frame),
        (Expect::Produce(expected), Reaction::Answered(frame)) => {
            let produced = produce_answer(frame)?;
            ensure!(
                produced.error == expected,
                "Produce answered {} ({}), not {}",
                produced.error.name(),
                produced.message,
                expected.name()
            );
            Ok(expected.name().to_owned())
        }
        (Expect::ProduceRefused, Reaction::Answered(frame)) => {
            let produced = produce_answer(frame)?;
            ensure!(produced.error != ErrorCode::None, "Produce took the batch");
            Ok(produced.error.name().to_owned())
        }
        (expected, reaction) => bail!("expected {expected:?}, got {reaction:?}"),
    }
}

/// ApiVersions version 0: correlation id, error code, then at least the range of ApiVersions itself.
fn unsupported_version(frame: &Bytes) -> Result<String> {
    let error = frame.get(4..6).context("the answer is cut short")?;
    ensure!(error == [0, 35], "the error code is {error:?}, not 35");
    let ranges = frame.get(6..).unwrap_or_default();
    let holds_api_versions = ranges.get(4..).is_some_and(|ranges| {
        ranges
            .chunks_exact(6)
            .any(|range| range.first_chunk() == Some(&[0, 18]))
    });
    ensure!(
        holds_api_versions,
        "the answer does not name the versions of ApiVersions"
    );
    Ok("UNSUPPORTED_VERSION in version 0".to_owned())
}

fn produce_answer(frame: Bytes) -> Result<Produced> {
    let (_, answer) = decode_response::<ProduceRequest>(calls::PRODUCE_VERSION, frame)?;
    calls::produced(answer)?
        .into_iter()
        .next()
        .context("an empty answer")
}

/// A well-behaved client is served at once.
fn alive(port: u16) -> Result<()> {
    let mut connection = Connection::open(port)?;
    connection.set_limit(Duration::from_secs(5))?;
    let request = ApiVersionsRequest {
        client_software_name: "chaos".to_owned(),
        client_software_version: "1".to_owned(),
        ..Default::default()
    };
    let answer = connection
        .call(3, &request)
        .context("a well-behaved client is not served")?;
    ensure!(
        answer.error_code == 0,
        "ApiVersions answered error {}",
        answer.error_code
    );
    Ok(())
}

fn memory(server: &Server, base: Result<u64>) -> Result<String> {
    let base = base?;
    let usage = server.usage()?;
    let grown = usage.rss_bytes.saturating_sub(base);
    let peak = usage.rss_peak_bytes >> 20;
    ensure!(
        grown <= GROWTH_BYTES_MAX,
        "resident memory grew by {} MiB, at most {} are right; the peak was {peak} MiB",
        grown >> 20,
        GROWTH_BYTES_MAX >> 20
    );
    Ok(format!("grew by {} MiB, peak {peak} MiB", grown >> 20))
}
