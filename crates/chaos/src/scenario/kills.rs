//! kill -9 and SIGSTOP under load: nothing acknowledged may be lost, duplicated or reordered.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::{Server, ServerOptions};

use crate::report::Verdict;
use crate::scenario::Plan;
use crate::scenario::workload::{Load, Workload, judge, quiet};

/// Alarms that a kill explains: a directory of a topic whose creation nobody acknowledged is set aside, and a
/// segment that was being written is cut where the journal takes over.
pub(super) const EXPECTED: &[&str] = &["setting a stray log aside", "the end of a segment is torn"];

/// Groups settle between two kills.
fn options() -> ServerOptions {
    ServerOptions::default().with("group.initial.rebalance.delay.ms", 0)
}

/// A broker that is killed two hundred times.
#[must_use]
pub fn run(plan: &Plan) -> Vec<Verdict> {
    let kills = plan.size(200, 10);
    vec![Verdict::of(
        format!("kill -9, {kills} times, under idempotent producers, a group and a committer"),
        kill_often(plan.seed, kills, Load::default()),
    )]
}

/// Kills a broker under load at random moments, and checks everything.
///
/// # Errors
/// When a rule is broken, a client gives up, a restart fails, or the broker logs what it should not.
pub fn kill_often(seed: u64, kills: usize, load: Load) -> Result<String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut server = Server::start(options())?;
    let workload = Workload::start(&server, load)?;
    let mut slowest = Duration::ZERO;
    for kill in 1..=kills {
        let result = kill_once(&mut server, &workload, &mut random);
        match result.with_context(|| format!("kill {kill} of {kills}")) {
            Ok(restart) => slowest = slowest.max(restart),
            Err(error) => return Err(keep(&mut server, workload.give_up(error))),
        }
    }
    if let Err(error) = workload.wait_for_progress(1) {
        return Err(keep(&mut server, workload.give_up(error)));
    }
    let verdict = workload.finish().and_then(|history| judge(&history));
    let verdict = verdict.and_then(|text| quiet(&server, EXPECTED).map(|()| text));
    let text = verdict.map_err(|error| keep(&mut server, error))?;
    Ok(format!(
        "{text}; slowest restart {} ms",
        slowest.as_millis()
    ))
}

/// What went wrong can be looked at.
fn keep(server: &mut Server, error: anyhow::Error) -> anyhow::Error {
    error.context(format!("kept in {}", server.keep_directory().display()))
}

fn kill_once(server: &mut Server, workload: &Workload, random: &mut SmallRng) -> Result<Duration> {
    workload.wait_for_progress(random.random_range(1..2_000))?;
    // Not a wait for anything: the moment of the kill should be any moment.
    thread::sleep(Duration::from_micros(random.random_range(0..30_000)));
    server.kill()?;
    server.restart()
}

/// A broker that stands still for a while.
#[must_use]
pub fn run_freezes(plan: &Plan) -> Vec<Verdict> {
    let freezes = plan.size(20, 3);
    vec![Verdict::of(
        format!("SIGSTOP for up to 2 s, then SIGCONT, {freezes} times, under load"),
        freeze_often(plan.seed, freezes),
    )]
}

fn freeze_often(seed: u64, freezes: usize) -> Result<String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut server = Server::start(options())?;
    let workload = Workload::start(&server, Load::default())?;
    for _ in 0..freezes {
        workload.wait_for_progress(random.random_range(1..2_000))?;
        server.freeze()?;
        let until = Instant::now() + Duration::from_millis(random.random_range(10..2_000));
        thread::sleep(until.saturating_duration_since(Instant::now()));
        server.thaw()?;
    }
    if let Err(error) = workload.wait_for_progress(1) {
        return Err(keep(&mut server, workload.give_up(error)));
    }
    let verdict = workload.finish().and_then(|history| judge(&history));
    let verdict = verdict.and_then(|text| quiet(&server, EXPECTED).map(|()| text));
    verdict.map_err(|error| keep(&mut server, error))
}
