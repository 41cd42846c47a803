//! The bench lane: Affluent and Apache Kafka 4.3.1 in turns on one machine, with the same clients.
//!
//! `cargo run --release -p bench -- all` runs every scenario; names of scenarios run only those. Each round runs
//! every contender once (A B A B), so that a machine that slows down slows all of them; a number in the table is
//! the median of the rounds. Results go to `docs/results/bench.json`, one row a measurement with the commit and
//! command that made it, and `docs/results/bench.md` is written from that.
//!
//! Words used here:
//! - a **contender** is a broker with a configuration ([`contender::Contender`]);
//! - a **scenario** is one experiment ([`scenario`]), which gives several **measurements** a round;
//! - a **target** is what the project wants of a measurement ([`report::Target`]).
//!
//! Nothing here decides whether a build passes: a machine shared with other work gives numbers, not verdicts.

#![expect(
    clippy::print_stderr,
    reason = "a command-line tool says how far it is"
)]

mod contender;
mod direct;
mod disk;
mod java;
mod latency;
mod machine;
mod report;
mod scenario;
mod service;
mod stats;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use contender::{Contender, Hall};
use report::{Ledger, Sample};
use scenario::Scenario;

#[derive(Debug, Parser)]
#[command(
    name = "bench",
    about = "Affluent against Apache Kafka, in turns on this machine"
)]
struct Cli {
    /// The scenarios to run, or `all`.
    #[arg(required = true)]
    scenarios: Vec<String>,
    /// Small sizes and one round: whether the harness works, not how fast the brokers are.
    #[arg(long)]
    quick: bool,
    /// How often each contender runs.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only this contender: `kafka`, `affluent` or `affluent-os`; more than once for several.
    #[arg(long)]
    only: Vec<Contender>,
    /// Where the data directories go; it should be the disk to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Written beside the numbers, such as what else ran on the machine.
    #[arg(long, default_value = "")]
    note: String,
    /// Where `bench.json` and `bench.md` are kept; a quick run writes none unless told where.
    #[arg(long)]
    results: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    raise_file_limit();
    let scenarios = scenario::select(&cli.scenarios)?;
    let rounds = cli.rounds.unwrap_or(if cli.quick { 1 } else { 3 });
    ensure!(rounds > 0, "--rounds must be at least 1");
    let hall = Hall::open(&cli.directory, cli.quick)?;
    let results = match (&cli.results, cli.quick) {
        (Some(directory), _) => Some(directory.clone()),
        (None, false) => Some(machine::root()?.join("docs").join("results")),
        (None, true) => None,
    };
    let mut ledger = match &results {
        Some(directory) => Ledger::load(directory)?,
        None => Ledger::default(),
    };
    // Taken once: the sources may move on while an hour of scenarios runs, the program does not.
    let facts = machine::run_facts(&cli.note)?;
    for scenario in scenarios {
        let samples = run_scenario(&hall, scenario, rounds, &cli.only)?;
        ledger.record(&scenario, &samples, facts.clone());
        // Saved after each scenario: an hour's work should not hang on the last one.
        if let Some(directory) = &results {
            ledger.save(directory)?;
        }
    }
    eprint!("{}", ledger.to_markdown());
    Ok(())
}

/// All rounds of one scenario: for each measurement and contender, one value a round.
fn run_scenario(
    hall: &Hall,
    scenario: Scenario,
    rounds: usize,
    only: &[Contender],
) -> Result<BTreeMap<(String, Contender), Vec<f64>>> {
    let mut samples: BTreeMap<(String, Contender), Vec<f64>> = BTreeMap::new();
    for round in 1..=rounds {
        for contender in scenario.contenders() {
            if !only.is_empty() && !only.contains(contender) {
                continue;
            }
            eprintln!("{} round {round}/{rounds}: {contender}", scenario.name());
            let measured = scenario
                .run(hall, *contender)
                .with_context(|| format!("scenario {} with {contender}", scenario.name()))?;
            for Sample { measurement, value } in measured {
                eprintln!("    {measurement} = {value:.3}");
                samples
                    .entry((measurement, *contender))
                    .or_default()
                    .push(value);
            }
        }
    }
    Ok(samples)
}

/// Thousands of connections need as many file descriptors, here and in the brokers that inherit the limit.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        eprintln!("could not raise the limit of open files: {error}");
    }
}
