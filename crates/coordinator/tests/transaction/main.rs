//! The transaction coordinator through its public interface, and the offsets that transactions commit.

#![expect(
    clippy::unwrap_used,
    reason = "a failure in a test's support is the test's failure"
)]

mod bench;
mod ending;
mod group_bench;
mod offsets;
mod producers;
mod simulation;
mod time;
