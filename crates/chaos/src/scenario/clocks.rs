//! A wall clock that jumps: the broker runs under libfaketime, whose offset is a file that the case rewrites.
//!
//! Only the wall clock is faked. Groups, sessions and long polls must not notice; retention must not delete
//! what is younger than its limit by any reading of the clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use testkit::calls::{self, EARLIEST, FetchLimit, Partition};
use testkit::wait::wait_for;
use testkit::{Server, ServerOptions};
use wire::ErrorCode;
use wire::record_data::BatchOptions;

use crate::history::History;
use crate::report::Verdict;
use crate::scenario::Plan;
use crate::scenario::workload::{Load, TOPIC, Workload, judge, quiet};

const STAMPED_TOPIC: &str = "stamped";
const LIMIT: Duration = Duration::from_secs(20);

/// Jumps in both directions under load.
#[must_use]
pub fn run(plan: &Plan) -> Vec<Verdict> {
    let jumps: &[&str] = plan.size(
        &["+3600", "-3600", "+0", "-2592000", "+0", "+7200", "+0"],
        &["+3600", "-2592000", "+0"],
    );
    let name = format!("the wall clock jumps by {} s under load", jumps.join(", "));
    vec![Verdict::of(name, jump(jumps))]
}

fn jump(jumps: &[&str]) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let offset = directory.path().join("offset");
    fs::write(&offset, "+0")?;
    let options = ServerOptions {
        environment: environment(&offset)?,
        ..ServerOptions::default().with("log.retention.check.interval.ms", 500)
    };
    let mut server = Server::start(options)?;
    let mut connection = server.connect()?;
    let configs = [("message.timestamp.type", "LogAppendTime")];
    calls::create_topic(&mut connection, STAMPED_TOPIC, 1, &configs)?;
    let workload = Workload::start(
        &server,
        Load {
            librdkafka_producers: 1,
            ..Load::default()
        },
    )?;
    for offset_text in jumps {
        if let Err(error) = jump_once(&server, &workload, &offset, offset_text) {
            return Err(workload
                .give_up(error)
                .context(format!("at {offset_text} s")));
        }
    }
    nothing_deleted(&server)?;
    let history = workload.finish()?;
    let text = judge(&history)?;
    rebalances(&history)?;
    server.stop()?;
    quiet(&server, &["listener"])?;
    Ok(format!(
        "{text}; no rebalance, nothing deleted, long polls on time"
    ))
}

fn jump_once(server: &Server, workload: &Workload, file: &Path, offset_text: &str) -> Result<()> {
    workload.wait_for_progress(1_000)?;
    fs::write(file, offset_text)?;
    wait_until_seen(server, offset_text.parse()?)?;
    workload.wait_for_progress(1_000)?;
    long_poll(server)?;
    // Long enough for heartbeats, for the sweep of the sessions and for a retention check.
    thread::sleep(Duration::from_millis(1_500));
    workload.wait_for_progress(100)
}

fn environment(offset: &Path) -> Result<Vec<(String, String)>> {
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|triple| PathBuf::from(format!("/usr/lib/{triple}/faketime/libfaketimeMT.so.1")))
        .into_iter()
        .find(|path| path.is_file())
        .context("libfaketime is not installed (Debian: apt-get install faketime)")?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok([
        ("LD_PRELOAD", text(&library)),
        ("FAKETIME_TIMESTAMP_FILE", text(offset)),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec())
}

/// Waits until the broker stamps records with the jumped time: the proof that the clock is faked at all.
fn wait_until_seen(server: &Server, offset_s: i64) -> Result<()> {
    let mut connection = server.connect()?;
    let partition = Partition {
        topic: STAMPED_TOPIC,
        index: 0,
    };
    wait_for("the broker to see the jumped clock", LIMIT, || {
        let batch = calls::batch_of(BatchOptions::default(), -1, &[b"what time is it"])?;
        let produced = calls::produce(&mut connection, partition, batch)?;
        ensure!(
            produced.error == ErrorCode::None,
            "Produce answered {}",
            produced.error.name()
        );
        let read = calls::read_partition(&mut connection, partition, produced.base_offset)?;
        let stamp = read
            .records
            .first()
            .context("the stamped record is not there")?
            .timestamp;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        Ok(((stamp / 1_000 - now - offset_s).abs() < 60).then_some(()))
    })
}

/// A fetch at the end of an idle log waits for its half second, whatever the wall clock does.
fn long_poll(server: &Server) -> Result<()> {
    let mut connection = server.connect()?;
    let partition = Partition {
        topic: STAMPED_TOPIC,
        index: 0,
    };
    let (_, end) = calls::list_offset(&mut connection, partition, calls::LATEST)?;
    let begin = Instant::now();
    calls::fetch(
        &mut connection,
        partition,
        end,
        FetchLimit {
            wait_ms: 500,
            bytes: 1 << 20,
        },
    )?;
    let waited = begin.elapsed();
    let right = Duration::from_millis(400)..Duration::from_secs(5);
    ensure!(
        right.contains(&waited),
        "a fetch with max_wait_ms=500 took {} ms",
        waited.as_millis()
    );
    Ok(())
}

fn nothing_deleted(server: &Server) -> Result<()> {
    let mut connection = server.connect()?;
    for index in 0..Load::default().partitions {
        let partition = Partition {
            topic: TOPIC,
            index,
        };
        let (_, start) = calls::list_offset(&mut connection, partition, EARLIEST)?;
        ensure!(
            start == 0,
            "{partition} begins at offset {start}: fresh records were deleted"
        );
    }
    Ok(())
}

/// Each member is given its partitions when it joins and once more when the other one does.
fn rebalances(history: &History) -> Result<()> {
    let most = history
        .polls
        .iter()
        .map(|poll| poll.assignment)
        .max()
        .unwrap_or(0);
    ensure!(
        most <= 4,
        "a member was given its partitions anew {most} times"
    );
    Ok(())
}
