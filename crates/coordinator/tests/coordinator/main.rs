//! The coordinator through its public API: scenarios per behaviour, and a seeded simulation.

mod admin;
mod harness;
mod join;
mod liveness;
mod log;
mod offsets;
mod simulation;
mod static_members;
mod sync;
mod versions;
