//! The coordinator through its public API: scenarios per behaviour, and a seeded simulation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod consumer;
mod harness;
mod join;
mod liveness;
mod log;
mod offsets;
mod share;
mod simulated;
mod simulation;
mod static_members;
mod streams;
mod sync;
mod versions;
