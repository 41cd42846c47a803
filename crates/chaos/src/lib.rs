//! The chaos lane: what happens to a broker that is killed, starved, lied to and shouted at.
//!
//! `cargo run --release -p chaos -- all` runs every scenario against the real binary and writes its verdicts to
//! `docs/results/chaos.md`. A short form of each runs in `cargo test`.
//!
//! - [`checker`] is the history of transactions and groups, and its judge; the simulation uses it too.
//! - [`history`] holds what clients did and saw, and the checker that looks for a contradiction in it.
//! - [`producer`] and [`consumer`] are clients that go on through every fault and write that history.
//! - [`live`] are librdkafka's clients of the checker: transactions, exactly-once loops, groups of both protocols.
//! - [`scenario`] has one file a kind of fault; each case gives a [`report::Verdict`].
//!
//! **Invariants:** the checker knows nothing of the broker and the broker nothing of the checker; every random
//! choice comes from one printed seed; a case that cannot run here (no root, no tool) says why instead of passing.

pub mod checker;
pub mod consumer;
pub mod history;
pub mod live;
pub mod producer;
pub mod report;
pub mod scenario;
