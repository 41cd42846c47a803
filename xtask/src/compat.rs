//! `cargo xtask compat`: real clients against Affluent and against Apache Kafka. The work is in the crate `compat`.

use std::path::PathBuf;

use anyhow::Result;
use compat::cache::Cache;
use compat::kafka::Kafka;
use compat::lane::{self, Request};
use compat::suite::Tier;
use compat::target::Kind;

use crate::repo;

/// What `cargo xtask compat` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    step: Option<Step>,
    /// Only this client; may be given several times.
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,
    /// The broker the clients talk to.
    #[arg(long, value_enum, default_value_t = On::Both)]
    target: On,
    /// How much to run.
    #[arg(long, value_enum, default_value_t = Amount::Full)]
    tier: Amount,
    /// Only cases whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Keep the results in docs/results/compat.{json,md}.
    #[arg(long)]
    record: bool,
    /// Our broker; without it `affluent` is built in the dev profile, as the tests are.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Step {
    /// Only fetches Apache Kafka and compiles the Java runner, into the cache.
    Fetch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// Affluent.
    Affluent,
    /// Apache Kafka, the oracle.
    Kafka,
    /// First the oracle, then Affluent.
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Amount {
    /// A few minutes.
    Quick,
    /// All there is.
    Full,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if let Some(Step::Fetch) = args.step {
        let kafka = Kafka::fetch(&Cache::from_env()?)?;
        let classes = kafka.compile_runner()?;
        println!(
            "Apache Kafka is in the cache; the Java runner is in {}",
            classes.display()
        );
        return Ok(());
    }
    let targets = match args.target {
        On::Affluent => vec![Kind::Affluent],
        On::Kafka => vec![Kind::Kafka],
        On::Both => vec![Kind::Kafka, Kind::Affluent],
    };
    let affluent = match args.binary {
        Some(binary) => Some(binary.canonicalize()?),
        None if targets.contains(&Kind::Affluent) => Some(build_affluent()?),
        None => None,
    };
    lane::run(&Request {
        clients: args.clients,
        targets,
        tier: match args.tier {
            Amount::Quick => Tier::Quick,
            Amount::Full => Tier::Full,
        },
        filter: args.case,
        affluent,
        record: if args.record {
            Some(repo::root()?.join("docs").join("results"))
        } else {
            None
        },
    })
}

/// The dev profile on purpose: a second profile would build every dependency a second time.
fn build_affluent() -> Result<PathBuf> {
    repo::run(repo::cargo().args(["build", "--quiet", "--package", "affluent"]))?;
    Ok(repo::target_directory()?.join("debug").join("affluent"))
}
