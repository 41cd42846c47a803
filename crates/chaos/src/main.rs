//! The command line of the chaos lane: `cargo run --release -p chaos -- all [--quick]`.

#![expect(
    clippy::print_stderr,
    reason = "a command-line tool says how far it is"
)]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use chaos::checker;
use chaos::report::{self, Ledger, Section};
use chaos::scenario::{self, Plan};
use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "chaos", about = "Faults and bad input against the real binary")]
struct Cli {
    /// The scenarios to run, or `all`; or `judge` and the file of a history.
    #[arg(required = true)]
    scenarios: Vec<String>,
    /// Ten kills instead of two hundred, and fewer cases of everything else.
    #[arg(long)]
    quick: bool,
    /// The seed of every random choice; the clock's nanoseconds when left out.
    #[arg(long)]
    seed: Option<u64>,
    /// For how long the checker's clients go through faults of every kind, instead of a fixed number of faults.
    #[arg(long)]
    minutes: Option<u64>,
    /// Only sends the malformed frames, to a broker that runs at this port of the loopback interface.
    #[arg(long)]
    against: Option<u16>,
    /// Where `chaos.json` and `chaos.md` are kept; a quick run writes none unless told where.
    #[arg(long)]
    results: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if let Some(port) = cli.against {
        for verdict in scenario::frames::run_against(port) {
            eprintln!("{} {}: {}", verdict.passed, verdict.case, verdict.detail);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let [command, file] = cli.scenarios.as_slice()
        && command == "judge"
    {
        return judge(Path::new(file));
    }
    let scenarios = scenario::select(&cli.scenarios)?;
    let seed = seed(&cli)?;
    let results = match (&cli.results, cli.quick) {
        (Some(directory), _) => Some(directory.clone()),
        (None, false) => Some(report::root().join("docs").join("results")),
        (None, true) => None,
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("cargo run --release -p chaos -- {}", arguments.join(" "));
    let commit = report::commit()?;
    let plan = Plan {
        quick: cli.quick,
        seed,
        minutes: cli.minutes,
    };
    let mut failed = 0;
    for scenario in scenarios {
        eprintln!("{} (seed {seed})", scenario.name());
        let begin = Instant::now();
        let verdicts = scenario.run(&plan);
        for verdict in &verdicts {
            let mark = if verdict.passed { "ok    " } else { "FAILED" };
            eprintln!("  {mark} {}: {}", verdict.case, verdict.detail);
        }
        failed += verdicts.iter().filter(|verdict| !verdict.passed).count();
        let seconds = begin.elapsed().as_secs();
        if let Some(directory) = &results {
            let mut ledger = Ledger::load(directory)?;
            let section = Section {
                command: command.clone(),
                commit: commit.clone(),
                seed,
                seconds,
                verdicts,
            };
            ledger.scenarios.insert(scenario.name().to_owned(), section);
            ledger.save(directory)?;
        }
    }
    eprintln!(
        "{}",
        if failed == 0 {
            "everything held"
        } else {
            "SOMETHING DID NOT HOLD"
        }
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The seed given, or the clock's nanoseconds.
fn seed(cli: &Cli) -> Result<u64> {
    if let Some(seed) = cli.seed {
        return Ok(seed);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(now
        .context("the clock stands before 1970")?
        .subsec_nanos()
        .into())
}

/// Judges a stored history again.
fn judge(path: &Path) -> Result<ExitCode> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let history = checker::History::read(BufReader::new(file))?;
    let violations = checker::judge(&history);
    for violation in &violations {
        eprintln!("{violation}");
    }
    eprintln!("{}", checker::judge::Counts::of(&history));
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
