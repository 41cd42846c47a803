//! Transactions, exactly-once loops and groups of real clients through kills, pauses, a full disk, a slow one, and topics
//! that grow; the checker judges the history.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::{Server, ServerOptions};

use super::Plan;
use super::disk::{self, Mount};
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
    /// A disk whose every write and sync takes up to a fifth of a second longer, for up to two seconds.
    SlowDisk,
    /// A topic with one more partition, and every other time a kill right behind it.
    Growth,
    /// One of the above, another one each time.
    Any,
}

impl Fault {
    const EACH: [Fault; 5] = [
        Fault::Kill,
        Fault::Pause,
        Fault::FullDisk,
        Fault::SlowDisk,
        Fault::Growth,
    ];

    fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9",
            Fault::Pause => "SIGSTOP for up to 1.5 s",
            Fault::FullDisk => "a full disk for up to 2 s",
            Fault::SlowDisk => "writes and syncs slower by up to 200 ms for up to 2 s",
            Fault::Growth => "one more partition, half of them with a kill -9",
            Fault::Any => "faults of every kind in turn",
        }
    }

    /// Megabytes of the disk, when it must be one that can be filled.
    fn needs_mount(self) -> Option<u32> {
        match self {
            Fault::FullDisk => Some(512),
            Fault::Any => Some(2_048),
            Fault::Kill | Fault::Pause | Fault::SlowDisk | Fault::Growth => None,
        }
    }
}

/// When a case is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many faults.
    Faults(usize),
    /// After so long.
    Minutes(u64),
}

/// Every case.
#[must_use]
pub fn run(plan: &Plan) -> Vec<Verdict> {
    let mut cases: Vec<(Fault, Until)> = Fault::EACH
        .into_iter()
        .map(|fault| (fault, Until::Faults(plan.size(40, 4))))
        .collect();
    let every = plan.minutes.map(Until::Minutes);
    cases.push((Fault::Any, every.unwrap_or(Until::Faults(plan.size(60, 5)))));
    let cases = cases.into_iter();
    cases
        .map(|(fault, until)| {
            let times = match until {
                Until::Faults(count) => format!("{count} times"),
                Until::Minutes(minutes) => format!("for {minutes} minutes"),
            };
            let name = fault.name();
            Verdict::of(
                format!("{name}, {times}, under transactions, exactly-once loops and groups"),
                run_case(plan.seed, fault, until),
            )
        })
        .collect()
}

/// Runs the clients through faults and judges what they saw.
///
/// # Errors
/// When a rule is broken, a client gives up, a group does not take up a partition, a restart fails, or the broker logs
/// what it should not.
pub fn run_case(seed: u64, fault: Fault, until: Until) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let mut options = ServerOptions::default()
        .with("group.initial.rebalance.delay.ms", 0)
        .with(
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            1_000,
        );
    let mount = match fault.needs_mount() {
        Some(megabytes) => {
            options = options.at(directory.path());
            Some(Mount::tmpfs(&directory.path().join("data"), megabytes)?)
        }
        None => None,
    };
    let mut server = Server::start(options)?;
    let live = Live::start(&server, seed)?;
    let mut nemesis = Nemesis {
        random: SmallRng::seed_from_u64(seed),
        mount,
        strikes: 0,
    };
    let struck = nemesis.go_on(&mut server, &live, fault, until);
    let struck = struck.and_then(|()| live.wait_for_progress(1));
    struck
        .and_then(|()| live.wait_for_assignments())
        .with_context(|| format!("fault {} of {until:?}", nemesis.strikes))
        .map_err(|error| match fault {
            Fault::Any | Fault::FullDisk => error,
            _ => error.context(format!("kept in {}", server.keep_directory().display())),
        })?;
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
        Fault::FullDisk | Fault::Any => quiet(&server, &[" WARN ", " ERROR "])?,
        Fault::Kill | Fault::Pause | Fault::SlowDisk | Fault::Growth => quiet(&server, EXPECTED)?,
    }
    drop(server);
    Ok(format!("{} faults; {counts}", nemesis.strikes))
}

/// Who does the faults.
struct Nemesis {
    random: SmallRng,
    /// The disk that can be filled.
    mount: Option<Mount>,
    strikes: usize,
}

impl Nemesis {
    fn go_on(
        &mut self,
        server: &mut Server,
        live: &Live,
        fault: Fault,
        until: Until,
    ) -> Result<()> {
        let began = Instant::now();
        loop {
            let is_over = match until {
                Until::Faults(count) => self.strikes >= count,
                Until::Minutes(minutes) => began.elapsed() >= Duration::from_secs(minutes * 60),
            };
            if is_over {
                return Ok(());
            }
            self.strikes += 1;
            live.wait_for_progress(self.random.random_range(1..60))?;
            let each = Fault::EACH;
            let now = match fault {
                Fault::Any => each[self.random.random_range(0..each.len())],
                one => one,
            };
            self.strike(server, live, now)
                .with_context(|| format!("{now:?}"))?;
        }
    }

    fn strike(&mut self, server: &mut Server, live: &Live, fault: Fault) -> Result<()> {
        let random = &mut self.random;
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
                let mount = self.mount.as_ref();
                let path = mount.context("a full disk needs a mount")?.path();
                let path = path.join("filler");
                fill(&path)?;
                thread::sleep(Duration::from_millis(random.random_range(100..2_000)));
                fs::remove_file(&path)?;
            }
            Fault::SlowDisk => {
                let delay_us = random.random_range(5_000..200_000);
                let tracer = disk::inject(server, &format!("delay_exit={delay_us}"))?;
                thread::sleep(Duration::from_millis(random.random_range(200..2_000)));
                drop(tracer);
            }
            Fault::Growth => {
                live.grow(server, self.strikes)?;
                if random.random_bool(0.5) {
                    server.kill()?;
                    server.restart()?;
                }
            }
            Fault::Any => bail!("a fault must be one"),
        }
        Ok(())
    }
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
