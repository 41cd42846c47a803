//! What the test lanes share: a real broker as a child process, a client that can misbehave, and waiting
//! without sleeping.
//!
//! - [`Server`] runs the `affluent` binary a user runs, on a data directory and a port it keeps, and can be
//!   killed, stopped in its tracks and started again.
//! - [`Connection`] speaks the protocol one frame at a time over a blocking socket, so that a test decides what
//!   is sent, when, and whether it is well-formed. [`calls`] holds the requests that every lane needs.
//! - [`wait`] polls for a condition and says which one was missing when time runs out.
//! - [`log`] finds the lines of a broker's log that nobody expected.
//!
//! **Invariants:** no process started here outlives its owner; nothing is written outside a temporary
//! directory; the time limit of every wait is a bound on failure, never a pause on success.

pub mod calls;
pub mod connection;
pub mod log;
pub mod port;
pub mod process;
pub mod server;
pub mod usage;
pub mod wait;

pub use connection::Connection;
pub use server::{Server, ServerOptions};
pub use usage::Usage;
