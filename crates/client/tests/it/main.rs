//! The client's public API against brokers of a few lines.

#![expect(
    clippy::unwrap_used,
    reason = "a failure in a test's support is the test's failure"
)]

mod admin;
mod connection;
mod support;
