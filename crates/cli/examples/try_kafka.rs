//! Temporary.
use clap::Parser;
#[derive(Parser)]
struct A {
    #[command(subcommand)]
    c: C,
}
#[derive(clap::Subcommand)]
enum C {
    Kafka(cli::KafkaCommand),
}
fn main() -> std::process::ExitCode {
    let C::Kafka(k) = A::parse().c;
    cli::run_kafka(k)
}
