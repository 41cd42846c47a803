//! A producer that measures below a millisecond: one connection, requests at a fixed rate, answers read on a
//! thread of their own.
//!
//! The rate does not wait for answers (an open loop), or a broker that stalls would also stall the clock that
//! should show it. A request's time begins when it is due; if the thread woke late from a sleep, when it woke,
//! since that delay is the client's own; never later than when it should have been sent but for a full socket.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use testkit::Connection;
use testkit::calls::{self, PRODUCE_VERSION};
use testkit::connection::{decode_response, encode_request};
use wire::ErrorCode;
use wire::messages::ProduceRequest;
use wire::record_data::BatchOptions;

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace<'a> {
    /// The topic.
    pub(crate) topic: &'a str,
    /// Its partitions, which are written to in turn.
    pub(crate) partitions: i32,
    /// Records in each request.
    pub(crate) records: usize,
    /// The size of a record's value.
    pub(crate) record_bytes: usize,
    /// From one request to the next.
    pub(crate) interval: Duration,
    /// Requests whose time is not kept: a JVM compiles its code while they run.
    pub(crate) warm_up: usize,
    /// Requests whose time is kept.
    pub(crate) requests: usize,
}

/// Sends at the pace given and returns the time from each request to its answer in nanoseconds, ascending.
pub(crate) fn measure(writer: Connection, pace: Pace<'_>) -> Result<Vec<u64>> {
    let frames = frames(pace)?;
    let reader = writer.try_clone()?;
    let (sent, receive) = mpsc::channel();
    let total = pace.warm_up + pace.requests;
    let answers = thread::spawn(move || read_answers(reader, &receive, total));
    let sending = send_all(writer, &frames, pace, &sent);
    drop(sent);
    let times = answers
        .join()
        .map_err(|_| anyhow!("the thread that reads answers panicked"))??;
    sending?;
    ensure!(
        times.len() == total,
        "{} answers came for {total} requests",
        times.len()
    );
    let mut kept: Vec<u64> = times.into_iter().skip(pace.warm_up).collect();
    kept.sort_unstable();
    Ok(kept)
}

/// One encoded request a partition, sent again and again.
fn frames(pace: Pace<'_>) -> Result<Vec<Vec<u8>>> {
    let value = vec![b'x'; pace.record_bytes];
    let values = vec![value.as_slice(); pace.records];
    (0..pace.partitions)
        .map(|partition| {
            let batch = calls::batch_of(BatchOptions::default(), 1_700_000_000_000, &values)?;
            let request = calls::produce_request(pace.topic, vec![(partition, batch)]);
            encode_request(PRODUCE_VERSION, partition, &request)
        })
        .collect()
}

fn send_all(
    mut writer: Connection,
    frames: &[Vec<u8>],
    pace: Pace<'_>,
    sent: &mpsc::Sender<Instant>,
) -> Result<()> {
    let started = Instant::now();
    for (index, frame) in frames
        .iter()
        .cycle()
        .take(pace.warm_up + pace.requests)
        .enumerate()
    {
        let due = started + pace.interval * u32::try_from(index)?;
        let slept = due
            .checked_duration_since(Instant::now())
            .inspect(|rest| thread::sleep(*rest));
        let begins = if slept.is_some() { Instant::now() } else { due };
        // The reader is gone when it failed; its error is the one to show.
        if sent.send(begins).is_err() {
            return Ok(());
        }
        writer.send_raw(frame).context("could not send a request")?;
    }
    Ok(())
}

fn read_answers(
    mut reader: Connection,
    sent: &mpsc::Receiver<Instant>,
    total: usize,
) -> Result<Vec<u64>> {
    let mut times = Vec::with_capacity(total);
    let mut waiting = VecDeque::new();
    while times.len() < total {
        if waiting.is_empty() {
            let Ok(begins) = sent.recv() else { break };
            waiting.push_back(begins);
        }
        let frame = reader
            .receive()?
            .context("the broker closed the connection")?;
        let now = Instant::now();
        waiting.extend(sent.try_iter());
        let begins = waiting
            .pop_front()
            .context("an answer came without a request")?;
        times.push(u64::try_from(
            now.saturating_duration_since(begins).as_nanos(),
        )?);
        let (_, answer) = decode_response::<ProduceRequest>(PRODUCE_VERSION, frame)?;
        for produced in calls::produced(answer)? {
            if produced.error != ErrorCode::None {
                bail!(
                    "Produce answered {} {}",
                    produced.error.name(),
                    produced.message
                );
            }
        }
    }
    Ok(times)
}
