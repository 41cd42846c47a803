//! The share coordinator through its public interface.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bench;
mod requests;
mod simulation;
