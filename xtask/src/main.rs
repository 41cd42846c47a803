//! `cargo xtask`: everything the project does to itself that has logic in it.
//!
//! One file a subcommand. The `justfile` and `.ci/run` call these and hold no logic of their own, so that a
//! person at a terminal and the build run the same code. Nothing here ships.

#![expect(
    clippy::print_stdout,
    reason = "a command-line tool answers on its standard output"
)]

mod codegen;
mod compat;
mod lanes;
mod repo;
mod start;
mod test;
mod tidy;
mod toolchain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Affluent's own tasks",
    disable_version_flag = true
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Builds the release binary, if it is not built yet, and starts Affluent on its embedded default.
    Start(start::Args),
    /// Runs the whole test suite.
    Test(test::Args),
    /// Checks what the compiler cannot: crate edges, file sizes, file headers, links in the docs.
    Tidy(tidy::Args),
    /// Generates the Kafka messages from their specification, or checks that they are fresh.
    Codegen(codegen::Args),
    /// Runs real Kafka clients against Affluent and against Apache Kafka.
    Compat(compat::Args),
    /// Compares Affluent and Apache Kafka in turns on this machine.
    #[command(disable_help_flag = true)]
    Bench(lanes::Args),
    /// Kills, full disks, damaged files and malformed frames against the real binary.
    #[command(disable_help_flag = true)]
    Chaos(lanes::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Start(args) => start::run(args),
        Task::Test(args) => test::run(args),
        Task::Tidy(args) => tidy::run(args),
        Task::Codegen(args) => codegen::run(args),
        Task::Compat(args) => compat::run(args),
        Task::Bench(args) => lanes::run("bench", args),
        Task::Chaos(args) => lanes::chaos(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes, without a backtrace: these errors are for people.
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
