//! Writes the seeds of every fuzz target to where `cargo fuzz run` looks for them:
//!
//! ```text
//! cargo run -p wire --example fuzz_seeds
//! cd crates/wire && cargo +nightly fuzz run validate_produce -- -max_total_time=60
//! ```

use std::fs;

#[path = "../tests/support/mod.rs"]
mod support;
#[path = "../fuzz/targets.rs"]
mod targets;

fn main() -> std::io::Result<()> {
    for (target, _) in targets::TARGETS {
        let corpus = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(&corpus)?;
        for (number, seed) in support::fuzz_seeds::seeds(target).into_iter().enumerate() {
            fs::write(format!("{corpus}/seed-{number}"), seed)?;
        }
    }
    Ok(())
}
