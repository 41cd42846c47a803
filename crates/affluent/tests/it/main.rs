//! The binary a user runs, as a user runs it: real processes, real sockets, real output.
//!
//! What a command prints is compared with the files in `tests/expected/`; `UPDATE_EXPECT=1` rewrites them.

#![expect(
    clippy::unwrap_used,
    reason = "a failure in a test's support is the test's failure"
)]

mod catalog;
mod config;
mod contracts;
mod expect;
mod groups;
mod http;
mod keys;
mod loggers;
mod records;
mod registry;
mod rest_consumers;
mod rest_groups;
mod rest_proxy;
mod rest_refusals;
mod rest_rules;
mod rest_schemas;
mod rest_v2;
mod server;
mod start;
mod storage;
mod topics;
mod transactions;
mod validation;
