//! Peers that are well-formed byte by byte and rude as a whole: they claim and do not send, ask and do not
//! listen, drip, vanish, or pack a desert into a suitcase.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use testkit::calls::{self, FetchLimit, PRODUCE_VERSION, Partition};
use testkit::connection::{Connection, Reaction, encode_request};
use testkit::wait::wait_for;
use testkit::{Server, Usage};
use wire::messages::{InitProducerIdRequest, ListOffsetsRequest, MetadataRequest};
use wire::record_batch::Compression;
use wire::record_data::BatchOptions;

use super::bytes::frame;
use super::{REACTION_LIMIT, TOPIC, alive};
use crate::report::Verdict;
use crate::scenario::Plan;

/// What one case may add to the broker's memory while it lasts.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

/// Every case, one after the other.
pub(super) fn run(plan: &Plan, server: &mut Server) -> Vec<Verdict> {
    let port = server.port();
    let mut verdicts = Vec::new();
    let claims = plan.size(200, 40);
    let name = format!("{claims} connections that claim 100 MB each and send 1 kB");
    verdicts.push(Verdict::of(name, bounded(server, || claim(port, claims))));
    let requests = plan.size(200_000, 20_000);
    let name = format!("{requests} Metadata requests by a client that reads no answer");
    verdicts.push(Verdict::of(name, bounded(server, || deaf(port, requests))));
    let bombs = plan.size(8, 2);
    let name = format!("{bombs} zstd batches of some kB that unpack to 256 MiB each");
    verdicts.push(Verdict::of(name, bounded(server, || bomb(port, bombs))));
    let garbage = plan.size(100 << 20, 8 << 20);
    let name = format!("{} MiB of random bytes", garbage >> 20);
    verdicts.push(Verdict::of(
        name,
        bounded(server, || noise(port, plan.seed, garbage)),
    ));
    verdicts.push(Verdict::of("a request at one byte every 5 ms", drip(port)));
    let gone = plan.size(1_000, 100);
    let name = format!("{gone} clients that vanish inside a frame");
    verdicts.push(Verdict::of(name, vanish(server, gone)));
    let mutants = plan.size(20_000, 1_500);
    let name = format!("{mutants} valid requests with a few bytes changed");
    verdicts.push(Verdict::of(
        name,
        bounded(server, || mutate(port, plan.seed, mutants)),
    ));
    verdicts.push(Verdict::of(
        "a connection idle beyond connections.max.idle.ms",
        idle(port),
    ));
    verdicts
}

/// Runs a case and looks at the broker's memory at its end, while the case's connections are still open, and at
/// whether others are served.
fn bounded<T>(server: &Server, case: impl FnOnce() -> Result<(String, T)>) -> Result<String> {
    let before = server.usage()?;
    let (text, held) = case()?;
    let after: Usage = server.usage().context("the broker is gone")?;
    alive(server.port())?;
    drop(held);
    let grown = after.rss_bytes.saturating_sub(before.rss_bytes);
    ensure!(
        grown <= GROWTH_BYTES_MAX,
        "{text}; but resident memory grew by {} MiB, at most {} are right",
        grown >> 20,
        GROWTH_BYTES_MAX >> 20
    );
    Ok(format!("{text}; memory grew by {} MiB", grown >> 20))
}

/// The length is a promise: memory is to be given for what came, not for what was promised.
fn claim(port: u16, count: usize) -> Result<(String, Vec<Connection>)> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(port)?;
        connection.send_raw(&104_857_600i32.to_be_bytes())?;
        connection.send_raw(&[0; 1_000])?;
        held.push(connection);
    }
    Ok((format!("{count} connections held"), held))
}

/// Answers that nobody reads must stop the reading of requests, not fill memory.
fn deaf(port: u16, count: usize) -> Result<(String, Connection)> {
    let request = encode_request(
        12,
        1,
        &MetadataRequest {
            topics: None,
            ..Default::default()
        },
    )?;
    let mut connection = Connection::open(port)?;
    connection.set_limit(Duration::from_millis(500))?;
    let mut sent = 0;
    while sent < count && connection.send_raw(&request).is_ok() {
        sent += 1;
    }
    Ok((
        format!("{sent} requests taken before the broker stopped reading"),
        connection,
    ))
}

/// Kafka accepts such a batch: its limit is on compressed bytes. It must not hold it unpacked.
fn bomb(port: u16, count: usize) -> Result<(String, ())> {
    let desert = vec![0u8; 256 << 20];
    let options = BatchOptions {
        compression: Compression::Zstd,
        ..BatchOptions::default()
    };
    let batch = calls::batch_of(options, 1_700_000_000_000, &[&desert])?;
    drop(desert);
    let length = batch.len();
    let mut answers = Vec::new();
    for _ in 0..count {
        let mut connection = Connection::open(port)?;
        let produced = calls::produce(
            &mut connection,
            Partition {
                topic: TOPIC,
                index: 0,
            },
            batch.clone(),
        )?;
        answers.push(produced.error.name());
    }
    answers.dedup();
    Ok((
        format!("batches of {length} bytes answered {answers:?}"),
        (),
    ))
}

/// Garbage that begins with a length that could be right.
fn noise(port: u16, seed: u64, bytes: usize) -> Result<(String, ())> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut left = bytes;
    let mut connections = 0;
    while left > 0 {
        let size = left.min(1 << 20);
        let mut body = vec![0; size];
        random.fill_bytes(&mut body);
        let mut connection = Connection::open(port)?;
        connection.send_raw(&frame(&body)).ok();
        let reaction = connection.reaction(REACTION_LIMIT)?;
        ensure!(
            !matches!(reaction, Reaction::Silent),
            "the broker neither answered nor closed"
        );
        left -= size;
        connections += 1;
    }
    Ok((format!("{connections} frames answered or closed"), ()))
}

/// A slow peer gets its answer, and nobody else waits for it.
fn drip(port: u16) -> Result<String> {
    let request = encode_request(
        12,
        1,
        &MetadataRequest {
            topics: None,
            ..Default::default()
        },
    )?;
    let mut slow = Connection::open(port)?;
    let mut worst = Duration::ZERO;
    for byte in &request {
        slow.send_raw(&[*byte])?;
        let begin = Instant::now();
        alive(port)?;
        worst = worst.max(begin.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    let reaction = slow.reaction(REACTION_LIMIT)?;
    ensure!(
        matches!(reaction, Reaction::Answered(_)),
        "the slow request got {reaction:?}"
    );
    ensure!(
        worst < Duration::from_secs(1),
        "another client waited {} ms",
        worst.as_millis()
    );
    Ok(format!(
        "answered; another client waited {} ms at most",
        worst.as_millis()
    ))
}

/// Half a frame, then nobody: the broker must not keep the connection.
fn vanish(server: &mut Server, count: usize) -> Result<String> {
    let pid = server.process()?.pid();
    let open = || -> Result<usize> { Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count()) };
    let before = open()?;
    for _ in 0..count {
        let mut connection = Connection::open(server.port())?;
        connection.send_raw(&[0, 0, 1, 0, 0, 3, 0])?;
    }
    wait_for(
        "the broker to close what its peers left",
        Duration::from_secs(20),
        || Ok((open()? <= before + 2).then_some(())),
    )?;
    Ok(format!("{count} connections given up, none kept"))
}

/// Changes a few bytes of valid requests. Any answer is right, as long as there is one or the connection ends.
fn mutate(port: u16, seed: u64, count: usize) -> Result<(String, ())> {
    let mut random = SmallRng::seed_from_u64(seed);
    let originals = originals()?;
    let (mut answered, mut closed) = (0, 0);
    for index in 0..count {
        let mut request = originals[index % originals.len()].clone();
        for _ in 0..random.random_range(1..4) {
            // The length stays: a frame that never ends would only be waited for.
            let at = random.random_range(4..request.len());
            request[at] = random.random();
        }
        let mut connection = Connection::open(port)?;
        connection.send_raw(&request)?;
        // acks=0 is never answered, and a changed wait may be long: silence is no fault here.
        match connection.reaction(Duration::from_millis(20))? {
            Reaction::Answered(_) => answered += 1,
            Reaction::Closed => closed += 1,
            Reaction::Silent => {}
        }
    }
    let silent = count - answered - closed;
    Ok((
        format!("{answered} answered, {closed} closed, {silent} waiting"),
        (),
    ))
}

fn originals() -> Result<Vec<Vec<u8>>> {
    let partition = Partition {
        topic: TOPIC,
        index: 0,
    };
    let batch = calls::batch_of(
        BatchOptions::default(),
        1_700_000_000_000,
        &[b"value", b"other"],
    )?;
    let produce = calls::produce_request(TOPIC, vec![(0, batch)]);
    let limit = FetchLimit {
        wait_ms: 1,
        bytes: 4_096,
    };
    let fetch = calls::fetch_request(partition, 0, limit);
    Ok(vec![
        encode_request(PRODUCE_VERSION, 1, &produce)?,
        encode_request(calls::FETCH_VERSION, 1, &fetch)?,
        encode_request(
            12,
            1,
            &MetadataRequest {
                topics: None,
                ..Default::default()
            },
        )?,
        encode_request(7, 1, &ListOffsetsRequest::default())?,
        encode_request(4, 1, &InitProducerIdRequest::default())?,
    ])
}

/// The scenario's broker runs with an idle limit of four seconds.
fn idle(port: u16) -> Result<String> {
    let mut connection = Connection::open(port)?;
    let begin = Instant::now();
    let reaction = connection.reaction(Duration::from_secs(30))?;
    ensure!(
        reaction == Reaction::Closed,
        "an idle connection got {reaction:?}"
    );
    Ok(format!("closed after {} ms", begin.elapsed().as_millis()))
}
