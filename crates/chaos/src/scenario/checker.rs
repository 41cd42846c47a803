//! Transactions, exactly-once loops and groups of real clients through kills, pauses, and a full disk; the checker judges
//! the history.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::{Server, ServerOptions};

use super::Plan;
use super::disk::Mount;
use super::kills::EXPECTED;
use super::workload::quiet;
use crate::checker::judge::verdict;
use crate::live::Live;
use crate::report::Verdict;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9, and a restart.
    Kill,
    /// SIGSTOP for up to a second and a half.
    Pause,
    /// A disk without room for up to two seconds.
    FullDisk,
}

/// Every case.
#[must_use]
pub fn run(plan: &Plan) -> Vec<Verdict> {
    let count = plan.size(40, 4);
    let cases = [
        (Fault::Kill, "kill -9"),
        (Fault::Pause, "SIGSTOP for up to 1.5 s"),
        (Fault::FullDisk, "a full disk for up to 2 s"),
    ];
    let cases = cases.into_iter();
    cases
        .map(|(fault, name)| {
            Verdict::of(
                format!("{name}, {count} times, under transactions, exactly-once loops and groups"),
                run_case(plan.seed, fault, count),
            )
        })
        .collect()
}

/// Runs the clients through `count` faults and judges what they saw.
///
/// # Errors
/// When a rule is broken, a client gives up, a restart fails, or the broker logs what it should not.
pub fn run_case(seed: u64, fault: Fault, count: usize) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let mut options = ServerOptions::default()
        .with("group.initial.rebalance.delay.ms", 0)
        .with(
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            1_000,
        );
    let mount = if fault == Fault::FullDisk {
        options = options.at(directory.path());
        Some(Mount::tmpfs(&directory.path().join("data"), 512)?)
    } else {
        None
    };
    let mut random = SmallRng::seed_from_u64(seed);
    let mut server = Server::start(options)?;
    let live = Live::start(&server, seed)?;
    let ballast = mount.as_ref().map(Mount::path);
    for number in 1..=count {
        live.wait_for_progress(random.random_range(1..60))
            .and_then(|()| strike(&mut server, fault, &mut random, ballast))
            .with_context(|| format!("fault {number} of {count}"))?;
    }
    live.wait_for_progress(1)?;
    let history = live.finish(&server)?;
    let judged = verdict(&history);
    let counts = judged.map_err(|error| {
        // It can be judged again: `chaos judge FILE`.
        let kept = server.keep_directory().join("history.jsonl");
        let written = File::create(&kept)
            .map_err(anyhow::Error::from)
            .and_then(|file| history.write(BufWriter::new(file)));
        match written {
            Ok(()) => error.context(format!("the history is kept in {}", kept.display())),
            Err(failed) => error.context(format!("the history is not kept: {failed}")),
        }
    })?;
    match fault {
        Fault::FullDisk => quiet(&server, &[" WARN ", " ERROR "])?,
        Fault::Kill | Fault::Pause => quiet(&server, EXPECTED)?,
    }
    drop(server);
    Ok(counts.to_string())
}

fn strike(
    server: &mut Server,
    fault: Fault,
    random: &mut SmallRng,
    ballast: Option<&Path>,
) -> Result<()> {
    // Not a wait for anything: the moment of the fault should be any moment.
    thread::sleep(Duration::from_micros(random.random_range(0..30_000)));
    match fault {
        Fault::Kill => {
            server.kill()?;
            server.restart()?;
        }
        Fault::Pause => {
            server.freeze()?;
            thread::sleep(Duration::from_millis(random.random_range(10..1_500)));
            server.thaw()?;
        }
        Fault::FullDisk => {
            let path = ballast.context("a full disk needs a mount")?.join("filler");
            fill(&path)?;
            thread::sleep(Duration::from_millis(random.random_range(100..2_000)));
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Takes all the room there is.
fn fill(path: &PathBuf) -> Result<()> {
    use std::io::Write;
    let mut file = File::create(path)?;
    let block = vec![7; 1 << 20];
    // The error at the end is the purpose.
    while file.write_all(&block).is_ok() {}
    Ok(())
}
