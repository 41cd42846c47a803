//! The command line of the simulation: `cargo run -p sim -- --schedules 500`.

#![expect(
    clippy::print_stderr,
    reason = "a command-line tool says how far it is"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use chaos::checker::judge::Counts;
use clap::Parser;
use sim::report::Report;
use sim::{Outcome, Plant, Schedule, run};

/// Seeds that are tried for a planted fault.
const PLANT_SEEDS: u64 = 20;

#[derive(Debug, Parser)]
#[command(
    name = "sim",
    about = "A broker in virtual time, with faults, judged by the checker"
)]
struct Cli {
    /// How many schedules to run.
    #[arg(long, default_value_t = 50)]
    schedules: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how long faults come, in virtual milliseconds.
    #[arg(long, default_value_t = 20_000)]
    faults_ms: u64,
    /// Only this planted fault, by its name.
    #[arg(long)]
    plant: Option<String>,
    /// Plant each fault too.
    #[arg(long)]
    plants: bool,
    /// Where the history and the trace of a schedule that is not clean go.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Where `checker.json` and `checker.md` are kept.
    #[arg(long)]
    results: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let plant = cli.plant.as_deref().map(by_name).transpose()?;
    let began = Instant::now();
    let mut counts = Counts::default();
    let (mut clean, mut crashes, mut other_faults) = (0, 0, 0);
    let mut findings = BTreeMap::new();
    for seed in cli.seed..cli.seed + cli.schedules {
        let outcome = run(&Schedule {
            seed,
            plant,
            faults_ms: cli.faults_ms,
        });
        counts.add(outcome.counts);
        crashes += outcome.crashes;
        other_faults += outcome.other_faults;
        match outcome.findings.first() {
            None => clean += 1,
            Some(first) => {
                let text = format!(
                    "{} ({} in all): {}",
                    first.name,
                    outcome.findings.len(),
                    first.detail
                );
                eprintln!("seed {seed}: {text}");
                findings.insert(seed, text);
                keep(cli.keep.as_deref(), seed, &outcome)?;
            }
        }
        eprintln!(
            "seed {seed}: {} crashes, trace {:016x}, {}",
            outcome.crashes,
            outcome.trace.hash(),
            outcome.counts
        );
    }
    let mut plants = BTreeMap::new();
    for plant in Plant::ALL.iter().filter(|_| cli.plants) {
        let by = find(*plant, cli.faults_ms);
        eprintln!("planted {}: {by:?}", plant.name());
        plants.insert(plant.name().to_owned(), by);
    }
    let failed = clean < cli.schedules || plants.values().any(Option::is_none);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let report = Report {
        command: format!("cargo run -p sim -- {}", arguments.join(" ")),
        commit: chaos::report::commit()?,
        seed: cli.seed,
        seconds: began.elapsed().as_secs(),
        schedules: cli.schedules,
        clean,
        crashes,
        other_faults,
        shown: counts.to_string(),
        findings,
        plants,
    };
    if let Some(directory) = &cli.results {
        report.save(directory)?;
    }
    eprintln!("{clean} of {} schedules clean", cli.schedules);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn by_name(name: &str) -> Result<Plant> {
    let known = || {
        let names: Vec<&str> = Plant::ALL.iter().map(|plant| plant.name()).collect();
        names.join(", ")
    };
    let mut all = Plant::ALL.iter();
    let plant = all.find(|plant| plant.name() == name).copied();
    plant.with_context(|| format!("there is no planted fault '{name}': use one of {}", known()))
}

/// The first seed with which a planted fault is found, and by what.
fn find(plant: Plant, faults_ms: u64) -> Option<(u64, String)> {
    (1..=PLANT_SEEDS).find_map(|seed| {
        let outcome = run(&Schedule {
            seed,
            plant: Some(plant),
            faults_ms,
        });
        let mut found = outcome.findings.into_iter();
        let by = found.find(|finding| plant.found_by().contains(&finding.name.as_str()))?;
        Some((seed, by.name))
    })
}

fn keep(directory: Option<&std::path::Path>, seed: u64, outcome: &Outcome) -> Result<()> {
    let Some(directory) = directory else {
        return Ok(());
    };
    std::fs::create_dir_all(directory)?;
    let history = File::create(directory.join(format!("{seed}.jsonl")))?;
    outcome.history.write(BufWriter::new(history))?;
    let mut trace = BufWriter::new(File::create(directory.join(format!("{seed}.trace")))?);
    for line in &outcome.trace.lines {
        writeln!(trace, "{line}")?;
    }
    Ok(trace.flush()?)
}
